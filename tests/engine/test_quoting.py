"""Prices, credits and rounding, to the minor unit of each currency."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.builders import line
from upsell.engine.campaigns import PriceRule, RuleKind
from upsell.engine.money import allocate, exponent, share_of_units
from upsell.engine.quoting import credit, unit_price
from upsell.engine.types import Price


def priced(rule: PriceRule, gross: str, currency: str = "EUR") -> Price | None:
    amount = Decimal(gross)
    return unit_price(
        rule,
        selling=Price(currency=currency, net=amount, gross=amount),
        regular=None,
        prices_include_tax=True,
        tax_exempt=False,
        credit=None,
        quantity=1,
    )


@pytest.mark.parametrize(
    ("gross", "currency", "percent", "quantity", "expected"),
    [
        pytest.param("9.99", "EUR", "15", 1, "8.49", id="A13 euro"),
        pytest.param("0.33", "EUR", "10", 3, "0.90", id="A13 per unit"),
        pytest.param("999", "JPY", "15", 1, "849", id="A13 yen"),
        pytest.param("1.235", "KWD", "15", 1, "1.050", id="A13 dinar"),
    ],
)
def test_a13_percent_is_rounded_per_unit(gross, currency, percent, quantity, expected):
    unit = priced(PriceRule(kind=RuleKind.PERCENT, percent=Decimal(percent)), gross, currency)

    assert unit is not None
    assert unit.gross * quantity == Decimal(expected)


def test_a4_a_discount_keeps_the_tax_rate():
    unit = unit_price(
        PriceRule(kind=RuleKind.PERCENT, percent=Decimal(25)),
        selling=Price(currency="EUR", net=Decimal(10), gross=Decimal(12)),
        regular=None,
        prices_include_tax=True,
        tax_exempt=False,
        credit=None,
        quantity=1,
    )

    assert unit == Price(currency="EUR", net=Decimal("7.50"), gross=Decimal("9.00"))


def test_a_fixed_difference_is_what_is_paid():
    unit = unit_price(
        PriceRule(kind=RuleKind.FIXED_DIFFERENCE, amounts={"EUR": Decimal(100)}),
        selling=Price(currency="EUR", net=Decimal(700), gross=Decimal(840)),
        regular=None,
        prices_include_tax=True,
        tax_exempt=False,
        credit=Price(currency="EUR", net=Decimal(500), gross=Decimal(600)),
        quantity=1,
    )

    assert unit == Price(currency="EUR", net=Decimal("583.33"), gross=Decimal("700.00"))


def test_free_only_where_it_is_allowed():
    free = PriceRule(kind=RuleKind.PERCENT, percent=Decimal(100))

    assert priced(free, "5") is None
    allowed = priced(PriceRule(kind=RuleKind.PERCENT, percent=Decimal(100), allow_free=True), "5")
    assert allowed is not None
    assert allowed.gross == 0


def test_a14_units_of_a_line_add_up():
    made = line("W1", 3, paid="100.00")
    first = credit(made, units=1).gross
    both = credit(made, units=2).gross

    assert (first, both - first, made.total.gross - both) == (
        Decimal("33.33"),
        Decimal("33.34"),
        Decimal("33.33"),
    )


amounts = st.integers(0, 10**9)


@given(
    total=amounts,
    weights=st.lists(amounts, min_size=1, max_size=12),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_shares_add_up_to_the_minor_unit(total, weights, currency):
    amount = Decimal(total).scaleb(-exponent(currency))
    shares = allocate(amount, [Decimal(weight) for weight in weights], currency)

    assert sum(shares) == amount
    assert all(share >= 0 for share in shares)


@given(paid=amounts, units=st.integers(1, 50), currency=st.sampled_from(["EUR", "JPY", "KWD"]))
def test_units_add_up_and_are_never_negative(paid, units, currency):
    amount = Decimal(paid).scaleb(-exponent(currency))
    parts = [
        share_of_units(amount, units=units, first=number, count=1, currency=currency)
        for number in range(units)
    ]

    assert sum(parts) == amount
    assert all(part >= 0 for part in parts)
