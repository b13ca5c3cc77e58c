"""A provider that hangs: few calls at once, and nobody asks one that does not answer."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import offered
from upsell import conf
from upsell.exceptions import OfferNotAcceptable
from upsell.models import Attempt, GatewayHealth, Offer
from upsell.models.tokens import offer_token
from upsell.ports import ChargeResult, ChargeState
from upsell.services import accepting, guarding, reconciling

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

UNKNOWN = ChargeResult(state=ChargeState.UNKNOWN)
PAID = ChargeResult(state=ChargeState.CAPTURED)


def ask(gateway, result: ChargeResult) -> ChargeResult:
    return guarding.asked(
        gateway, lambda: result, is_answer=lambda row: row.state is not ChargeState.UNKNOWN
    )


def accept(offer: Offer) -> Offer:
    return accepting.accept(token=offer_token(offer), quote_number=1, trusted=True)


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        pytest.param([UNKNOWN] * 4, True, id="four unanswered: one more may ask"),
        pytest.param([UNKNOWN] * 5, False, id="five unanswered: nobody asks"),
        pytest.param([UNKNOWN] * 4 + [PAID] + [UNKNOWN] * 4, True, id="an answer in between"),
    ],
)
def test_the_breaker_opens_after_five_in_a_row(gateway, answers, asked):
    for answer in answers:
        ask(gateway, answer)

    assert guarding.is_open(gateway.slug) is not asked


def test_after_the_pause_one_asks_and_the_others_wait_for_what_it_learns(gateway):
    for _ in range(5):
        ask(gateway, UNKNOWN)
    GatewayHealth.objects.update(open_until=timezone.now() - timedelta(seconds=1))

    with (
        guarding.place(gateway),
        pytest.raises(guarding.NotAsked, match="did not answer lately"),
    ):
        ask(gateway, PAID)
    GatewayHealth.objects.update(open_until=timezone.now() - timedelta(seconds=1))
    ask(gateway, PAID)

    assert not guarding.is_open(gateway.slug)
    assert GatewayHealth.objects.get().failures == 0


def test_a_call_that_raises_is_no_answer(gateway):
    def broken() -> ChargeResult:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        guarding.asked(gateway, broken, is_answer=lambda row: True)

    assert GatewayHealth.objects.get().failures == 1


def test_so_many_at_once_and_the_next_is_told_at_once(gateway, settings):
    settings.UPSELL_GATEWAY_CONCURRENCY = 2
    inside, may_end = threading.Barrier(3), threading.Event()
    results: list[object] = []

    def hangs() -> ChargeResult:
        inside.wait()
        may_end.wait(10)
        return PAID

    def run() -> None:
        try:
            with guarding.place(gateway):
                results.append(hangs())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait()

    with pytest.raises(guarding.NotAsked, match="at once"):
        ask(gateway, PAID)
    may_end.set()
    for thread in threads:
        thread.join()

    assert ask(gateway, PAID) is PAID
    assert results == [PAID, PAID]


def test_f27_a_yes_while_the_breaker_is_open_begins_no_attempt(gateway):
    products = catalogue()
    campaign(products["CA"])
    offer = offered(order(products))
    for _ in range(5):
        ask(gateway, UNKNOWN)

    with pytest.raises(OfferNotAcceptable) as refused:
        accept(offer)

    assert refused.value.code == "payment_unavailable"
    assert refused.value.retry_after == conf.duration("UPSELL_BREAKER_PAUSE")
    assert Attempt.objects.count() == 0
    assert Offer.objects.get().state == "SHOWN"


def test_f24_no_free_place_gives_stock_back_and_leaves_the_offer_open(gateway, monkeypatch):
    products = catalogue()
    campaign(products["CA"])
    offer = offered(order(products))
    with monkeypatch.context() as patched:
        patched.setattr(guarding, "_may_ask", lambda slug: False)
        for _ in range(3):  # more often than a card may be tried: none of these is a try
            with pytest.raises(OfferNotAcceptable, match="did not answer lately"):
                accept(offer)

    assert Offer.objects.get().state == "SHOWN"
    assert Offer.objects.get().attempts_made == 0
    assert not Attempt.objects.unsettled().exists()
    assert gateway.charges(offer.order_ref) == []
    assert accept(offer).state == "ACCEPTED"


def test_the_reconciler_uses_up_no_look_while_nobody_may_ask(gateway, settings):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products, card="card_hang")
    assert accept(offered(placed)).state == "ACCEPTING"
    GatewayHealth.objects.update(failures=5, open_until=timezone.now() + timedelta(hours=1))
    later = timezone.now() + timedelta(seconds=31)

    assert reconciling.reconcile(now=later) == {"not_asked": 1}
    assert Attempt.objects.get().looks == 0
    GatewayHealth.objects.update(open_until=None)

    assert reconciling.reconcile(now=later) == {"absent_once": 1}


def test_a_provider_that_is_back_is_asked_no_faster_than_allowed(monkeypatch):
    clock = [0.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 3))
        clock[0] += seconds

    monkeypatch.setattr(reconciling.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(reconciling.time, "sleep", sleep)
    pace = reconciling._Pace(20)
    for _ in range(1000):
        pace.wait()

    assert len(slept) == 999
    assert clock[0] == pytest.approx(999 / 20)
