"""Money in every currency of ISO 4217: exact to the minor unit, and a float nowhere (I29)."""

from __future__ import annotations

import decimal
from dataclasses import fields, is_dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upsell.engine.campaigns import PriceRule, RuleKind
from upsell.engine.money import allocate, exponent, minor_units, round_money
from upsell.engine.quoting import credit, gross_price, plan_change, unit_price
from upsell.engine.types import (
    Change,
    ChangeKind,
    Customer,
    Line,
    Occasion,
    Price,
    Product,
    Quote,
    Replaced,
)

ISO_4217: dict[int, str] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD "
        "CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP "
        "GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK "
        "LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO "
        "NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS "
        "SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST "
        "XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
"""List one, active codes by their minor unit. (Metals, funds and test codes have none.)"""
PLACES = {code: places for places, codes in ISO_4217.items() for code in codes.split()}
CODES = sorted(PLACES)

minor = st.integers(1, 10**9)
"""An amount in minor units: beyond what a float could add up in cents."""


@pytest.mark.parametrize("code", CODES)
def test_i29_exponent_of(code):
    assert exponent(code) == PLACES[code]


@given(code=st.sampled_from(CODES), units=st.integers(0, 10**14))
def test_i29_an_amount_survives_the_way_to_the_provider_and_back(code, units):
    amount = Decimal(units).scaleb(-PLACES[code])

    assert minor_units(amount, code) == units
    assert round_money(amount, code) == amount


@given(code=st.sampled_from(CODES), units=st.integers(0, 10**12), part=st.integers(1, 9))
def test_i29_what_is_finer_than_the_minor_unit_is_refused(code, units, part):
    finer = Decimal(units * 10 + part).scaleb(-PLACES[code] - 1)

    with pytest.raises(ValueError, match="finer"):
        minor_units(finer, code)


def numbers(value: object) -> list[object]:
    """Return every number in a value, however deep."""
    if is_dataclass(value):
        return [n for field in fields(value) for n in numbers(getattr(value, field.name))]
    if isinstance(value, tuple | list):
        return [n for item in value for n in numbers(item)]
    return [value] if isinstance(value, int | float | Decimal) else []


def amounts(quote: Quote) -> list[Decimal]:
    prices = [quote.unit, quote.line, quote.credit, quote.shipping, quote.amount_due]
    return [amount for price in prices for amount in (price.net, price.gross)]


@given(
    code=st.sampled_from(CODES),
    old=minor,
    new=minor,
    coupon=st.integers(0, 10**9),
    percent=st.decimals(0, 99, places=2),
    delivery=st.integers(0, 10**5),
    rate=st.sampled_from(["0", "0.07", "0.081", "0.2", "0.255"]),
    bought=st.integers(1, 7),
)
def test_i29_from_a_price_to_the_amount_due_all_is_decimal_and_whole(
    code, old, new, coupon, percent, delivery, rate, bought
):
    """An upsell of all units, at a discount, with delivery, of a line that had a coupon."""

    def price(units: int) -> Price:
        return gross_price(Decimal(units).scaleb(-PLACES[code]), rate=Decimal(rate), currency=code)

    with decimal.localcontext() as context:
        context.traps[decimal.FloatOperation] = True  # a Decimal that meets a float raises
        before = price(old).times(bought)
        shares = allocate(Decimal(min(coupon, old)), [Decimal(old), Decimal(new)], code)
        paid = price(max(old * bought - int(shares[0]), 0))
        line = Line(
            ref="1",
            product=Product(ref="old"),
            quantity=bought,
            unit=price(old),
            total=paid,
            total_before_discounts=before,
        )
        unit = unit_price(
            PriceRule(kind=RuleKind.PERCENT, percent=percent, allow_free=True),
            selling=price(new),
            regular=None,
            prices_include_tax=True,
            tax_exempt=False,
            credit=credit(line, units=bought),
            quantity=bought,
        )
        assert unit is not None
        order = Occasion(
            moment="post_purchase",
            ref="1",
            currency=code,
            lines=(line,),
            goods=paid,
            shipping=Price.zero(code),
            total=paid,
            customer=Customer(),
            channel="web",
        )
        change = Change(
            id="1",
            kind=ChangeKind.REPLACE,
            order_ref="1",
            product_ref="new",
            quantity=bought,
            unit=unit,
            replaces=(Replaced(line_ref="1", quantity=bought, credit=paid),),
            shipping=price(delivery),
        )
        quote = plan_change(change, order, tax_code=rate, rate_of=Decimal)

    assert {type(number) for number in numbers((order, change, quote))} <= {Decimal, int, bool}
    for amount in amounts(quote):
        assert Decimal(minor_units(amount, code)).scaleb(-PLACES[code]) == amount
    assert quote.credit.gross == paid.gross
    due = quote.line.gross + quote.shipping.gross - quote.credit.gross
    assert quote.amount_due.gross == due
    assert sum((row.amount for row in quote.tax_lines), Decimal(0)) == quote.amount_due.tax
