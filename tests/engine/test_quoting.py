"""Prices, credits and rounding, to the minor unit of each currency."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.builders import line, order
from upsell.engine.campaigns import PriceRule, RuleKind
from upsell.engine.money import allocate, exponent, share_of_units
from upsell.engine.quoting import credit, ensure_as_quoted, plan_change, unit_price
from upsell.engine.types import Change, ChangeKind, Occasion, Price, Quote, Replaced
from upsell.exceptions import Refused


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


@pytest.mark.parametrize(
    ("amount", "weights", "currency", "shares"),
    [
        pytest.param("10", "5 5", "EUR", "5.00 5.00", id="evenly"),
        pytest.param("0.01", "1 1 1", "EUR", "0.01 0.00 0.00", id="a tie: the earlier one"),
        pytest.param("0.05", "1 2 1", "EUR", "0.01 0.03 0.01", id="the largest remainder"),
        pytest.param("100", "1 1 7", "JPY", "11 11 78", id="the last remainder is the largest"),
        pytest.param("0.02", "1 1 1", "EUR", "0.01 0.01 0.00", id="two left over, a tie"),
        pytest.param("9", "0 0 0", "EUR", "9.00 0.00 0.00", id="no weights: the first"),
        pytest.param("7", "0 3", "JPY", "0 7", id="a weight of nothing"),
        pytest.param("0", "2 3", "EUR", "0.00 0.00", id="nothing to spread"),
    ],
)
def test_shares_by_largest_remainder(amount, weights, currency, shares):
    found = allocate(Decimal(amount), [Decimal(weight) for weight in weights.split()], currency)

    assert [str(share) for share in found] == shares.split()


@pytest.mark.parametrize("weights", [[], [Decimal(1), Decimal(-1)]], ids=["none", "negative"])
def test_shares_want_weights_that_are_not_negative(weights):
    with pytest.raises(ValueError, match="present and not negative"):
        allocate(Decimal(1), weights, "EUR")


@given(paid=amounts, units=st.integers(1, 50), currency=st.sampled_from(["EUR", "JPY", "KWD"]))
def test_units_add_up_and_are_never_negative(paid, units, currency):
    amount = Decimal(paid).scaleb(-exponent(currency))
    parts = [
        share_of_units(amount, units=units, first=number, count=1, currency=currency)
        for number in range(units)
    ]

    assert sum(parts) == amount
    assert all(part >= 0 for part in parts)


@pytest.mark.parametrize(
    ("charged", "rates"),
    [
        pytest.param({"": ("8.33", "9.99"), "-": ("500", "600")}, "0.20 0.20", id="20 %"),
        pytest.param({"": ("0.01", "0.01"), "-": ("100", "107")}, "0.00 0.07", id="a cent"),
        pytest.param({"": ("0.99", "1.04"), "-": ("800", "844")}, "0.05 0.055", id="5.5 %"),
        pytest.param({"": ("0", "0"), "-": ("50", "50")}, "0 0.00", id="free, untaxed"),
    ],
)
def test_a_shop_that_stores_no_rates_has_them_worked_out(charged, rates):
    """Of the largest amount with a tax code: a cent says nothing about its rate."""

    def price(net: str, gross: str, code: str) -> Price:
        return Price(currency="EUR", net=Decimal(net), gross=Decimal(gross), tax_code=code)

    new, old = (price(*amounts, code) for code, amounts in charged.items())
    bought = replace(line("W1", 1, paid="1"), total=old)
    placed = order(bought)
    change = Change(
        id="1",
        kind=ChangeKind.REPLACE,
        order_ref="1",
        product_ref="new",
        quantity=1,
        unit=new,
        replaces=(Replaced(line_ref=bought.ref, quantity=1, credit=old),),
        shipping=Price.zero("EUR"),
    )

    quote = plan_change(change, placed, tax_code="")

    assert [str(row.rate) for row in quote.tax_lines] == rates.split()


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("first", "count", "units"),
    [(-1, 1, 3), (0, -1, 3), (2, 2, 3), (0, 0, 0)],
    ids=["before the first", "fewer than none", "more than there are", "a line of nothing"],
)
def test_no_more_units_are_worth_something_than_a_line_has(first, count, units):
    with pytest.raises(ValueError, match="units of a line of"):
        share_of_units(Decimal(9), units=units, first=first, count=count, currency="EUR")


def as_quoted(**changes) -> tuple[Quote, Quote, Occasion]:
    """A plan, what was promised, and the order, with one thing of them changed."""
    price = Price(currency="EUR", net=Decimal(20), gross=Decimal(24))
    zero = Price.zero("EUR")
    promised = Quote(
        change_id="1", unit=price, line=price, credit=zero, shipping=zero, amount_due=price,
        order_version="v1",
    )  # fmt: skip
    of_plan = {name: changes.pop(name) for name in list(changes) if name in _OF_PLAN}
    return replace(promised, **of_plan), promised, replace(order("W1"), number="7", **changes)


_OF_PLAN = {"available", "reason", "order_version", "amount_due"}


def due(net: str = "20", gross: str = "24", currency: str = "EUR") -> Price:
    return Price(currency=currency, net=Decimal(net), gross=Decimal(gross), tax_code="other")


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        pytest.param({"released": True}, "order_released", "order 7 is packed", id="packed"),
        pytest.param({"cancelled": True}, "order_changed", "order 7 may not", id="cancelled"),
        pytest.param({"closed_reason": "refunded"}, "order_changed", "may not", id="refunded"),
        pytest.param({"available": False}, "product_unavailable", "product_unav", id="gone"),
        pytest.param(
            {"available": False, "reason": "out_of_stock"}, "out_of_stock", "out_of", id="sold out"
        ),
        pytest.param({"order_version": "v2"}, "order_changed", "7 is not what", id="version"),
        pytest.param({"amount_due": due(gross="24.01")}, "order_changed", "is not", id="gross"),
        pytest.param({"amount_due": due(net="20.01")}, "order_changed", "is not", id="net"),
        pytest.param({"amount_due": due(currency="USD")}, "order_changed", "is not", id="currency"),
    ],
)
def test_what_is_not_as_quoted_is_refused_by_its_reason(changes, reason, said):
    with pytest.raises(Refused, match=said) as refused:
        ensure_as_quoted(*as_quoted(**changes))

    assert refused.value.reason == reason


def test_what_is_as_quoted_is_let_through_whatever_its_tax_code():
    ensure_as_quoted(*as_quoted(amount_due=due()))


@pytest.mark.parametrize(
    ("line_ref", "units", "locked"),
    [("gone", 1, ""), ("W1", 3, ""), ("W1", 1, "shipped")],
    ids=["gone", "fewer units left", "shipped"],
)
def test_a_line_that_cannot_leave_is_refused(line_ref, units, locked):
    bought = replace(line("W1", 2, paid="100"), locked_reason=locked)
    ref = bought.ref if line_ref == "W1" else line_ref
    change = Change(
        id="1",
        kind=ChangeKind.REPLACE,
        order_ref="1",
        product_ref="new",
        quantity=1,
        unit=due(),
        replaces=(Replaced(line_ref=ref, quantity=units, credit=Price.zero("EUR")),),
        shipping=Price.zero("EUR"),
    )

    with pytest.raises(Refused, match=f"line {ref} cannot leave") as refused:
        plan_change(change, order(bought), tax_code="")

    assert refused.value.reason == "order_changed"


@pytest.mark.parametrize(
    ("net", "gross", "currency", "rate"),
    [
        pytest.param("1000", "1181", "EUR", "0.181", id="three places"),
        pytest.param("10000", "10081.50", "EUR", "0.0082", id="no rate gives it: the nearest"),
        pytest.param("100", "119", "JPY", "0.19", id="yen"),
        pytest.param("1.000", "1.075", "KWD", "0.075", id="dinar"),
    ],
)
def test_the_roundest_rate_that_gives_the_tax(net, gross, currency, rate):
    unit = Price(currency=currency, net=Decimal(net), gross=Decimal(gross))
    change = Change(
        id="1", kind=ChangeKind.APPEND, order_ref="1", product_ref="new", quantity=1, unit=unit,
        shipping=Price.zero(currency),
    )  # fmt: skip

    placed = replace(order("W1"), currency=currency, lines=())
    quote = plan_change(change, placed, tax_code="")

    assert [str(row.rate) for row in quote.tax_lines] == [rate]
