"""Webhooks ten times, shuffled, before the answer, after it and in place of it: one final story.

The story of a sale is every row of it, ours and the shop's, without what differs between any two
sales. It is compared with the story of a sale of which Stripe never reported anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from tests.stripe.shopping import PRICE, Sale, apart, posting, reconcile, sold, story
from upsell.models import GatewayEvent, Refund

pytestmark = pytest.mark.django_db(transaction=True)

TIMES = 10
SEEDS = [1, 2, 3]


@pytest.fixture
def buys(stripe, products) -> Callable[[], Sale]:
    return lambda: sold(stripe, products)


def delivered(stripe, sale: Sale, seed: int) -> None:
    """Deliver all that happened to a sale's payment, ten times and shuffled; each is taken."""
    charge = stripe.ledger.charges({"order": sale.ref})[0]
    answers = stripe.webhooks.deliver(
        posting(),
        stripe.webhooks.find(payment_intent=charge.payment_intent),
        times=TIMES,
        shuffled=seed,
    )
    assert set(answers) == {200}
    assert len(answers) >= 2 * TIMES


def during(held: Any, work: Callable[[], object], happens: Callable[[], object]) -> None:
    """Begin something in a thread; let something happen while Stripe holds the answer."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    with held:
        thread = threading.Thread(target=run)
        thread.start()
        held.wait()
        happens()
        held.release()
        thread.join()


def unreported(buys: Callable[[], Sale], *, undone: bool) -> dict[str, Any]:
    sale = buys()
    sale.accept()
    if undone:
        sale.undo()
    return story(sale, reports=False)


def inbox(sale: Sale) -> set[str]:
    rows = GatewayEvent.objects.filter(key=sale.attempt.key)
    return set(rows.values_list("state", flat=True))


# ------------------------------------------------------------------ the charge


@pytest.mark.parametrize("seed", SEEDS)
def test_f41_after_the_answer(seed, stripe, buys):
    sale = buys()
    sale.accept()

    delivered(stripe, sale, seed)

    assert apart(story(sale, reports=False), unreported(buys, undone=False)) == []
    assert inbox(sale) == {"DONE"}
    sale.agrees(kept=PRICE)


@pytest.mark.parametrize("seed", SEEDS)
def test_f41_before_the_answer(seed, stripe, buys, settings):
    settings.UPSELL_STRIPE_TIMEOUT = timedelta(seconds=30)
    sale = buys()

    held = stripe.faults.hold(executed=True, path="/v1/payment_intents")
    during(held, sale.accept, lambda: delivered(stripe, sale, seed))

    assert apart(story(sale, reports=False), unreported(buys, undone=False)) == []
    assert inbox(sale) == {"DONE"}
    sale.agrees(kept=PRICE)


@pytest.mark.parametrize("seed", SEEDS)
def test_f41_in_place_of_an_answer(seed, stripe, buys):
    sale = buys()
    stripe.faults.drop_response(path="/v1/payment_intents", times=None)
    assert sale.accept().state == "ACCEPTING"
    stripe.faults.clear()

    delivered(stripe, sale, seed)

    assert apart(story(sale, reports=False), unreported(buys, undone=False)) == []
    sale.agrees(kept=PRICE)


def test_f41_the_inbox_is_the_same_in_whatever_order_they_came(stripe, buys):
    told = []
    for seed in SEEDS:
        sale = buys()
        sale.accept()
        delivered(stripe, sale, seed)
        told.append(story(sale, reports=True))

    assert [apart(told[0], other) for other in told[1:]] == [[], []]
    assert len(told[0]["reports"]) >= 1


def test_control_a_report_that_is_believed_twice_would_be_seen(stripe, buys):
    """The comparison sees one row more."""
    sale = buys()
    sale.accept()
    offer = sale.offer
    offer.events.create(kind="accepted", at=timezone.now(), before="ACCEPTING", after="ACCEPTED")

    assert apart(story(sale, reports=False), unreported(buys, undone=False)) == [
        "events: 5 rows and 4"
    ]


# ------------------------------------------------------------------ money back


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("when", ["after", "before", "in place of"])
def test_f41_f44_our_refund_is_reported(when, seed, stripe, buys, settings):
    settings.UPSELL_STRIPE_TIMEOUT = timedelta(seconds=30)
    begun = timezone.now()
    sale = buys()
    sale.accept()

    if when == "before":
        held = stripe.faults.hold(executed=True, path="/v1/refunds")
        during(held, sale.undo, lambda: delivered(stripe, sale, seed))
    else:
        if when == "in place of":
            stripe.faults.drop_response(path="/v1/refunds")
        sale.undo()
        delivered(stripe, sale, seed)
        reconcile(begun, minutes=5)

    wanted = unreported(buys, undone=True)
    found = story(sale, reports=False)
    if when == "in place of":  # it was asked for once more
        assert found["refunds"][0].pop("tries") == 1 + wanted["refunds"][0].pop("tries")
    assert apart(found, wanted) == []
    assert [row.amount for row in stripe.ledger.refunds({"order": sale.ref})] == [PRICE]
    sale.agrees(kept=0)


def test_f44_a_part_in_the_dashboard_and_the_rest_by_undo_in_any_order(stripe, buys):
    told = []
    for seed in SEEDS:
        sale = buys()
        sale.accept()
        stripe.refund(sale.attempt.reference, 500)
        delivered(stripe, sale, seed)
        sale.undo()
        delivered(stripe, sale, seed)
        told.append(story(sale, reports=False))
        sale.agrees(kept=0)

    assert [apart(told[0], other) for other in told[1:]] == [[], []]
    assert sorted(Refund.objects.values_list("amount", "reason").distinct()) == [
        (5, "dashboard"),
        (19, "customer_undo"),
    ]


def test_f44_all_of_it_in_the_dashboard_reverses_the_offer_once(stripe, buys):
    told = []
    for seed in SEEDS:
        sale = buys()
        sale.accept()
        stripe.refund(sale.attempt.reference)
        delivered(stripe, sale, seed)
        told.append(story(sale, reports=False))
        assert (sale.offer.state, sale.kept) == ("REVERSED", 0)

    assert [apart(told[0], other) for other in told[1:]] == [[], []]


# ------------------------------------------------------------------ reports that are worth nothing


@pytest.mark.parametrize(
    ("how", "status"),
    [
        pytest.param({"secret": "whsec_of_a_stranger"}, 400, id="another signature"),
        pytest.param({"unsigned": True}, 400, id="no signature"),
        pytest.param({"tampered": True}, 400, id="changed after signing"),
        pytest.param({"age_seconds": 301}, 400, id="old"),
        pytest.param({"age_seconds": -310}, 400, id="of the future"),
        pytest.param({"account": "acct_of_others"}, 400, id="another account"),
        pytest.param({"changes": {"metadata": {"key": "ups-unknown"}}}, 200, id="unknown"),
        pytest.param({"changes": {"metadata": {}}}, 200, id="not ours"),
    ],
)
def test_t5_reports_that_are_worth_nothing_settle_nothing(how, status, stripe, buys):
    sale = buys()
    stripe.faults.drop_response(path="/v1/payment_intents", times=None)
    sale.accept()
    stripe.faults.clear()

    answers = stripe.webhooks.deliver(
        posting(), stripe.webhooks.find("payment_intent.succeeded"), **how
    )

    assert set(answers) == {status}
    assert sale.offer.state == "ACCEPTING"
    delivered(stripe, sale, 1)
    assert sale.offer.state == "ACCEPTED"
    sale.agrees(kept=PRICE)
