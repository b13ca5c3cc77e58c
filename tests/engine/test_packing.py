"""A campaign survives being packed, whatever staff typed into it."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.builders import NOON, campaign
from upsell.engine.campaigns import (
    Bounds,
    CampaignSpec,
    DocumentPolicy,
    Exclusion,
    Match,
    OfferBy,
    OfferKind,
    PriceRule,
    QuantityRule,
    RuleKind,
    ShippingPolicy,
    Status,
    StockPolicy,
    Trigger,
    TriggerKind,
)
from upsell.engine.packing import instant, micros, pack, unpack

EVERYTHING = CampaignSpec(
    id=2**40,
    slug="spät-und-früh",
    name='Ein "Name"\n',
    revision=7,
    status=Status.STAFF_ONLY,
    kind=OfferKind.UPSELL,
    priority=9,
    edited_at=NOON + timedelta(microseconds=1),
    valid_from=NOON,
    valid_until=NOON + timedelta(days=3),
    channels=frozenset({"web", "app"}),
    moments=frozenset({"cart"}),
    match=Match.ALL,
    triggers=(
        Trigger(kind=TriggerKind.PRODUCT, ref="PH128", exact=True, quantity=2),
        Trigger(kind=TriggerKind.TAG, ref="neu"),
    ),
    exclusions=(Exclusion(kind=TriggerKind.BRAND, ref="b", quantity=3),),
    bounds={"EUR": Bounds(least=Decimal("1.10")), "JPY": Bounds(most=Decimal("900"))},
    currencies=frozenset({"EUR"}),
    groups=frozenset({"retail"}),
    countries=frozenset({"DE"}),
    payment_methods=frozenset({"card"}),
    offer_by=OfferBy.MAP,
    product_ref="W2",
    product_map=(("PH128", "CA"), ("PH256", "EB")),
    must_fit=True,
    allow_if_present=True,
    not_bought_days=30,
    not_seen_days=0,
    rule=PriceRule(
        kind=RuleKind.AMOUNT,
        percent=Decimal("12.50"),
        amounts={"EUR": Decimal("3.00")},
        from_regular=True,
        allow_free=True,
    ),
    quantity_rule=QuantityRule.SET,
    quantity=4,
    shipping=ShippingPolicy.FLAT,
    shipping_flat={"EUR": Decimal("4.90")},
    stock=StockPolicy.BACKORDER,
    documents=DocumentPolicy.SKIP_IF_INVOICED,
    allow_below_cost=True,
    weight=3,
)


def test_every_field_comes_back():
    plain = campaign()

    assert unpack(pack(EVERYTHING)) == EVERYTHING
    assert unpack(pack(plain)) == plain
    same = [f.name for f in fields(plain) if getattr(plain, f.name) == getattr(EVERYTHING, f.name)]
    assert same == [], "this test must change every field, new ones too"


@given(at=st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
@settings(max_examples=100)
def test_an_instant_is_exact_to_the_microsecond(at):
    assert instant(micros(at)) == at


def test_a_plain_campaign_takes_under_300_bytes():
    assert len(pack(campaign())) < 300
