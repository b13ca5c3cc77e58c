"""The selection cases of the specification, under their ids."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.engine.builders import NOON, NOW, Ports, campaign, line, order
from upsell.engine import decide, explain
from upsell.engine.campaigns import (
    Bounds,
    CampaignSpec,
    ChannelPolicy,
    Decision,
    Exclusion,
    Explanation,
    Match,
    OfferBy,
    OfferKind,
    QuantityRule,
    Status,
    StockPolicy,
    Trigger,
    TriggerKind,
)
from upsell.engine.deciding import expires_at
from upsell.engine.index import compile_index
from upsell.engine.types import CollectionWay, Occasion, Purchase

UP = OfferKind.UPSELL
LAUNDRY = Trigger(kind=TriggerKind.CATEGORY, ref="Laundry")
MACHINES = Trigger(kind=TriggerKind.CATEGORY, ref="Machines")
NO_DT = Exclusion(kind=TriggerKind.PRODUCT, ref="DT")
NO_PH = Exclusion(kind=TriggerKind.PRODUCT, ref="PH")
PH128 = Trigger(kind=TriggerKind.PRODUCT, ref="PH128", exact=True)
SET = {"kind": UP, "quantity_rule": QuantityRule.SET}


def net(least: str | None = None, most: str | None = None) -> dict[str, dict[str, Bounds]]:
    """Bounds on the order's net value in euro."""
    ends = Bounds(
        least=None if least is None else Decimal(least),
        most=None if most is None else Decimal(most),
    )
    return {"bounds": {"EUR": ends}}


def bought(days: int) -> Ports:
    """A buyer who bought the case that many days ago."""
    at = NOW - timedelta(days=days)
    return Ports(purchases=[Purchase(order_ref="0", product_ref="CA", at=at)])


def decided(
    occasion: Occasion, campaigns: list[CampaignSpec], ports: Ports | None = None, **policy: object
) -> tuple[Decision, Explanation]:
    made = ChannelPolicy(**policy)  # type: ignore[arg-type]
    index = compile_index(campaigns, version=1, policies={"": made})
    ports = ports or Ports()
    decision = decide(occasion, index, now=NOW, ask=ports)
    explanation = explain(occasion, campaigns, now=NOW, ask=ports, policy=made)
    return decision, explanation


def answer(occasion, campaigns, ports=None, **policy) -> str:
    """What came out, as the case table writes it: the offered product, or the reason."""
    decision, explanation = decided(occasion, campaigns, ports, **policy)
    chosen = decision.chosen
    assert explanation.winner == (chosen.campaign.id if chosen else None)
    if chosen:
        return chosen.product_ref
    if decision.reason != "no_match":
        return decision.reason
    return explanation.verdicts[0].reason


@pytest.mark.parametrize(
    ("occasion", "campaigns", "expected"),
    [
        pytest.param(order(), [], "no_campaign", id="S1"),
        pytest.param(order(), [campaign()], "CA", id="S2"),
        pytest.param(order(), [campaign(status=Status.OFF)], "off", id="S4"),
        pytest.param(order(), [campaign(channels=frozenset())], "wrong_channel", id="S7"),
        pytest.param(order(), [campaign(), campaign("DT", id=2, priority=20)], "DT", id="S9"),
        pytest.param(
            order(),
            [campaign(), campaign("DT", id=2, edited_at=NOON + timedelta(hours=1))],
            "DT",
            id="S10",
        ),
        pytest.param(order(), [campaign(), campaign("DT", id=2)], "DT", id="S11"),
        pytest.param(order(), [campaign("DR")], "out_of_stock", id="S13"),
        pytest.param(order(), [campaign("DT")], "DT", id="S14"),
        pytest.param(order(), [campaign("DR", stock=StockPolicy.BACKORDER)], "DR", id="S15"),
        pytest.param(order("DT"), [campaign("CA", "W1")], "trigger_absent", id="S16"),
        pytest.param(order("DT", "W1"), [campaign("CA", "W1")], "CA", id="S17"),
        pytest.param(order("PH256"), [campaign("CA", PH128)], "trigger_absent", id="S19"),
        pytest.param(order("DT"), [campaign("CA", LAUNDRY)], "CA", id="S20"),
        pytest.param(
            order("W1", "DT"), [campaign(exclusions=(NO_DT,))], "excluded_product_present", id="S23"
        ),
        pytest.param(
            order("PH256"), [campaign(exclusions=(NO_PH,))], "excluded_product_present", id="S24"
        ),
        pytest.param(order(), [campaign(**net("600"))], "below_min", id="S26 below"),
        pytest.param(order("W1", "PH128"), [campaign(**net("600"))], "CA", id="S26 reached"),
        pytest.param(order(), [campaign(**net("500.00"))], "CA", id="S27 exact"),
        pytest.param(order(), [campaign(**net("500.01"))], "below_min", id="S27 a cent short"),
        pytest.param(order(), [campaign(**net("510"))], "below_min", id="S28"),
        pytest.param(
            order(line("W1", paid="540")), [campaign(**net("460"))], "below_min", id="S29"
        ),
        pytest.param(order(), [campaign(**net("500"))], "CA", id="S30"),
        pytest.param(order(), [campaign(groups=frozenset({"wholesale"}))], "group", id="S31"),
        pytest.param(order(), [campaign(countries=frozenset({"AT"}))], "country", id="S32"),
        pytest.param(
            order(),
            [campaign(payment_methods=frozenset({"paypal"}))],
            "payment_method_filter",
            id="S33",
        ),
        pytest.param(
            order("W1", "CA"), [campaign(), campaign("DT", id=2, priority=5)], "DT", id="S34"
        ),
        pytest.param(order("PH128"), [campaign("PH256")], "already_in_order", id="S35 cross-sell"),
        pytest.param(order("PH128"), [campaign("PH256", PH128, kind=UP)], "PH256", id="S35 upsell"),
        pytest.param(order("W2"), [campaign("W2", "W1", kind=UP)], "trigger_absent", id="S43"),
        pytest.param(order("W2"), [campaign("W1", "W2", kind=UP)], "not_more_expensive", id="S44"),
        pytest.param(
            order(released=True), [campaign("W2", "W1", kind=UP)], "order_released", id="S45"
        ),
        pytest.param(order(is_test=True), [campaign()], "order_test", id="S57 test"),
        pytest.param(order(is_draft=True), [campaign()], "order_draft", id="S57 draft"),
        pytest.param(order(is_renewal=True), [campaign()], "order_renewal", id="S57 renewal"),
        pytest.param(
            order("PH128"),
            [campaign("PH256", "PH128", "CA", match=Match.ALL, **SET)],
            "trigger_absent",
            id="S81",
        ),
        pytest.param(order(), [campaign(**net(None, "600"))], "CA", id="S83 under"),
        pytest.param(
            order("W1", "PH128"), [campaign(**net(None, "600"))], "above_max", id="S83 over"
        ),
        pytest.param(
            order("PH256"),
            [
                campaign(
                    "",
                    Trigger(kind=TriggerKind.PRODUCT, ref="PH"),
                    offer_by=OfferBy.MAP,
                    product_map=(("PH128", "CA"), ("PH256", "EB")),
                )
            ],
            "EB",
            id="S84",
        ),
        pytest.param(order("PH256"), [campaign(must_fit=True)], "not_compatible", id="S85"),
        pytest.param(order("PH128"), [campaign(must_fit=True)], "CA", id="S85 fits"),
        pytest.param(
            order(), [campaign("", MACHINES, kind=UP, offer_by=OfferBy.NEXT_MODEL)], "W2", id="S86"
        ),
        pytest.param(
            order("W2"),
            [campaign("", MACHINES, kind=UP, offer_by=OfferBy.NEXT_MODEL)],
            "product_unavailable",
            id="S86 nothing dearer",
        ),
        pytest.param(
            order(line("W1", locked_reason="shipped")),
            [campaign("W2", "W1", kind=UP)],
            "target_not_replaceable",
            id="shipped line",
        ),
        pytest.param(order(cancelled=True), [campaign()], "order_cancelled", id="cancelled"),
        pytest.param(
            order(checkout_completed_at=NOW - timedelta(minutes=29, seconds=1)),
            [campaign()],
            "window_closed",
            id="59 s left",
        ),
        pytest.param(
            order(checkout_completed_at=NOW - timedelta(minutes=29)),
            [campaign()],
            "CA",
            id="60 s left",
        ),
        pytest.param(order(), [campaign(valid_until=NOW)], "CA", id="ends this instant"),
        pytest.param(order(), [campaign(valid_from=NOW)], "CA", id="starts this instant"),
        pytest.param(order(), [campaign(status=Status.STAFF_ONLY)], "staff_only", id="staff only"),
        pytest.param(
            order(has_shipping_address=False), [campaign()], "no_shipping_address", id="no address"
        ),
        pytest.param(
            order(has_shipping_address=False), [campaign("EB")], "EB", id="digital needs no address"
        ),
        pytest.param(
            order(shipping_country=None),
            [campaign(countries=frozenset({"DE"}))],
            "country",
            id="unknown is not empty",
        ),
    ],
)
def test_selection(occasion, campaigns, expected):
    assert answer(occasion, campaigns) == expected


def test_s3_the_master_switch_is_off():
    assert answer(order(), [campaign()], enabled=False) == "disabled"


@pytest.mark.parametrize(
    ("how", "more"),
    [
        pytest.param(CollectionWay.NONE, {}, id="S36 S37 S38 no way to collect"),
        pytest.param(CollectionWay.CHARGE_SAVED, {"remaining_charges": 0}, id="A41 none left"),
    ],
)
def test_payment_is_not_supported(how, more):
    assert answer(order(), [campaign()], Ports(how=how, collection=more)) == "payment_not_supported"


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        pytest.param(100, "already_purchased", id="S55 100 days ago"),
        pytest.param(400, "CA", id="S55 400 days ago"),
    ],
)
def test_s55_bought_before(days, expected):
    assert answer(order(), [campaign(not_bought_days=365)], bought(days)) == expected


@pytest.mark.parametrize(
    ("minutes", "effective"), [(1, 5), (30, 30), (500, 120)], ids=["S52 1", "S52 30", "S52 500"]
)
def test_s52_validity_is_clamped(minutes, effective):
    policy = ChannelPolicy(validity=timedelta(minutes=minutes))
    assert expires_at(order(), policy) == NOON + timedelta(minutes=effective)


@pytest.mark.parametrize(
    ("lines", "spec", "due", "tax"),
    [
        pytest.param([line("W1")], campaign("W2", "W1", kind=UP), "240", "40", id="A5"),
        pytest.param([line("W1", paid="540")], campaign("W2", "W1", kind=UP), "300", "50", id="A6"),
        pytest.param([line("W1", 2)], campaign("W2", "W1", kind=UP), "480", "80", id="A8 match"),
        pytest.param(
            [line("W1", 2)],
            campaign("W2", "W1", kind=UP, quantity_rule=QuantityRule.ONE),
            "240",
            "40",
            id="A8 one",
        ),
        pytest.param([line("W1")], campaign("IN"), "30", "0", id="A40"),
        pytest.param(
            [line("PH128"), line("CA"), line("DT")],
            campaign("PH256", "PH128", "CA", **SET),
            "36",
            "6",
            id="S80",
        ),
    ],
)
def test_amount_due(lines, spec, due, tax):
    decision, _ = decided(order(*lines), [spec])

    assert decision.chosen is not None
    assert decision.chosen.amount_due.gross == Decimal(due)
    assert decision.chosen.amount_due.tax == Decimal(tax)


def test_a39_an_exempt_order_pays_the_net_part():
    decision, _ = decided(order(tax_exempt=True), [campaign()])

    assert decision.chosen is not None
    assert decision.chosen.amount_due.gross == Decimal("20.00")


def test_candidates_are_asked_for_in_two_batches_at_most():
    ports = Ports()
    sold_out = [campaign("DR", id=number) for number in range(1, 40)]

    decision, _ = decided(order(), sold_out, ports)

    assert decision.chosen is None
    assert len(ports.asked) == 3  # decide twice, explain once
