"""Providers' reports: once each, in any order and number; and what was done in their dashboard."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from example_shop.adapter import CardGateway
from example_shop.models import Order, Payment, Product
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered
from tests.flow.test_refunds import broken
from upsell import signals
from upsell.models import Attempt, GatewayEvent, Offer, OfferEvent, Refund
from upsell.models.tokens import offer_token
from upsell.ports import ChargeResult, ChargeState
from upsell.services import hearing, reconciling, undoing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

CAPTURED, UNKNOWN = ChargeState.CAPTURED, ChargeState.UNKNOWN


def report(attempt: Attempt, state=CAPTURED, *, key: str | None = None, **told) -> tuple:
    told = {"reference": attempt.reference or "ch_1", "amount": attempt.amount} | told
    values = {"currency": "EUR", "event_id": "evt_1"} | told
    return (attempt.key if key is None else key, ChargeResult(state=state, **values))


def hear(*reports) -> dict[str, int]:
    return dict(hearing.hear(gateway_slug="card", results=list(reports)))


@pytest.fixture
def waiting(gateway) -> Attempt:
    """No answer came: whether it was charged is not known here."""
    products = catalogue()
    campaign(products["CA"])
    accept(offered(order(products, card="card_hang")))
    return Attempt.objects.get()


@pytest.fixture
def accepted(gateway) -> Attempt:
    products = catalogue()
    campaign(products["CA"])
    accept(offered(order(products)))
    return Attempt.objects.get()


def test_f41_ten_times_is_once(waiting):
    told = report(waiting, reference="ch_of_the_provider")

    outcomes = [hear(told) for _ in range(10)]

    assert outcomes == [{"done": 1}] + [{"known": 1}] * 9
    assert Offer.objects.get().state == "ACCEPTED"
    assert OfferEvent.objects.filter(kind="accepted").count() == 1
    assert GatewayEvent.objects.get().state == "DONE"


def test_f41_of_something_unknown_it_is_parked_and_matched_later(waiting):
    told = report(waiting, reference="ch_of_the_provider")
    key, waiting.key = waiting.key, "ups-not-committed-yet"
    waiting.save(update_fields=["key"])
    assert hear(told) == {"parked": 1}
    assert Offer.objects.get().state == "ACCEPTING"
    Attempt.objects.update(key=key)

    assert reconciling.reconcile()["report_done"] == 1

    assert Offer.objects.get().state == "ACCEPTED"


def test_a_report_about_nothing_of_ours_is_given_up_after_three_days(waiting):
    hear(report(waiting, key="ups-of-somebody-else", reference=""))
    now = timezone.now()

    assert hearing.match_parked(now=now + timedelta(days=2)) == {"parked": 1}
    assert hearing.match_parked(now=now + timedelta(days=4)) == {"given_up": 1}
    assert hearing.match_parked(now=now + timedelta(days=4)) == {}


def test_another_gateway_s_report_does_not_settle_ours(waiting):
    told = report(waiting)

    assert dict(hearing.hear(gateway_slug="other", results=[told])) == {"parked": 1}
    assert Offer.objects.get().state == "ACCEPTING"


def test_t2_another_amount_is_never_accepted(waiting):
    hear(report(waiting, amount=Decimal(1)))

    offer = Offer.objects.get()
    # The card was never charged: what the report speaks of is not to be given back, either.
    assert (offer.state, offer.failure_code) == ("NEEDS_ATTENTION", "refund_refused")
    assert [(row.amount, row.state) for row in Refund.objects.all()] == [(1, "REFUSED")]


@pytest.mark.parametrize("seed", range(4))
def test_i16_whatever_the_order_the_rows_end_alike(gateway, seed):
    """Paid, then half of it given back in the dashboard, told in every order, each twice."""
    products = catalogue()
    campaign(products["CA"])
    accept(offered(order(products, card="card_lost")))
    attempt = Attempt.objects.get()
    reports = [
        report(attempt, event_id="evt_paid"),
        report(attempt, event_id="evt_again"),
        report(attempt, event_id="evt_refunded", refunded=Decimal(12)),
    ] * 2
    random.Random(seed).shuffle(reports)

    for row in reports:
        hear(row)

    assert Offer.objects.get().state == "ACCEPTED"
    assert [(row.state, row.amount, row.reason) for row in Refund.objects.all()] == [
        ("DONE", Decimal(12), "dashboard")
    ]
    assert Payment.objects.filter(kind="refund").count() == 1
    assert Offer.objects.get().acceptance.refunded_net == 10


def test_f44_a_refund_in_part_is_mirrored_and_the_offer_stays(accepted):
    hear(report(accepted, event_id="e1", refunded=Decimal("4.80")))
    hear(report(accepted, event_id="e2", refunded=Decimal("7.20")))

    assert list(Refund.objects.order_by("pk").values_list("amount", flat=True)) == [
        Decimal("4.80"),
        Decimal("2.40"),
    ]
    offer = Offer.objects.get()
    assert (offer.state, offer.acceptance.refunded_net) == ("ACCEPTED", Decimal("6.00"))


def test_f44_all_of_it_back_reverses_a_cross_sell(accepted):
    hear(report(accepted, refunded=Decimal(24)))

    offer = Offer.objects.get()
    assert (offer.state, offer.acceptance.refunded_net) == ("REVERSED", Decimal(20))
    assert broken() == []


def test_our_own_refund_is_not_mirrored_a_second_time(accepted, gateway):
    undoing.undo(token=offer_token(accepted.offer), trusted=True)

    hear(report(accepted, refunded=Decimal(24)))

    assert Refund.objects.count() == 1
    assert broken() == []


def test_f44_all_of_it_back_before_the_order_changed_ends_the_offer(waiting):
    hear(report(waiting, refunded=Decimal(24)))

    offer = Offer.objects.get()
    assert (offer.state, offer.failure_code) == ("FAILED", "refunded")
    assert not Attempt.objects.unsettled().exists()
    placed = offer.order_ref
    assert Payment.objects.filter(order=placed, kind="charge", amount=24).count() == 0


def test_f44_a_look_sees_that_all_of_it_is_back_and_changes_no_order(waiting, monkeypatch):
    """No webhook came: the reconciler's own look says what the dashboard did."""
    _, found = report(waiting, reference="ch_1", refunded=Decimal(24))
    monkeypatch.setattr(CardGateway, "find", lambda self, *asked: found)

    reconciling.reconcile(now=timezone.now() + timedelta(seconds=31))

    offer = Offer.objects.get()
    assert (offer.state, offer.failure_code) == ("FAILED", "refunded")
    assert Order.objects.get(pk=offer.order_ref).total_gross == 600
    assert Product.objects.get(sku="CA").stock == 20


@pytest.mark.parametrize(
    ("told", "state", "refunds"),
    [
        pytest.param(["open"], "ACCEPTED", [], id="opened"),
        pytest.param(["open", "won"], "ACCEPTED", [], id="won"),
        pytest.param(["open", "lost"], "REVERSED", [24], id="lost"),
        pytest.param(["open", "lost", "lost", "open"], "REVERSED", [24], id="told again"),
    ],
)
def test_f44_a_dispute_is_mirrored(accepted, told, state, refunds):
    heard: list[str] = []

    def listen(code: str, **kwargs: object) -> None:
        heard.append(code)

    signals.offer_needs_attention.connect(listen)
    for number, dispute in enumerate(told):
        hear(report(accepted, UNKNOWN, key="", event_id=f"e{number}", dispute=dispute))
    signals.offer_needs_attention.disconnect(listen)

    assert Offer.objects.get().state == state
    assert list(Refund.objects.values_list("amount", flat=True)) == refunds
    assert heard == ["disputed"]
