"""What the sums per day say of offers that went through the shop and its payments."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import Error, connection

from example_shop import orders as shop_orders
from example_shop.models import Order
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered
from tests.flow.test_races import outcome, threaded
from upsell import hooks
from upsell.engine.metrics import COLUMNS, Tally
from upsell.models import Acceptance, Attempt, DailyMetric, Offer
from upsell.models.tokens import offer_token, undo_token
from upsell.ports import ChargeResult, ChargeState
from upsell.services import declining, metrics, mirroring, undoing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

FUNNEL = {"eligible": 1, "shown": 1}
SOLD = FUNNEL | {"accepted": 1, "sold": 1}
INVOICE = {"payment_method": "invoice", "card": "", "paid": False}


def added_up() -> Tally:
    """Return all sums, made anew."""
    metrics.roll_up(anew=True)
    rows = DailyMetric.objects.all()
    tallies = [Tally(**{name: getattr(row, name) for name in COLUMNS}) for row in rows]
    return sum(tallies, Tally())


def nothing(placed, offer):
    """The offer is left open."""


def says_no(placed, offer):
    declining.decline(token=offer_token(offer))


def says_yes(placed, offer):
    accept(offer)


def undoes(placed, offer):
    undoing.undo(token=undo_token(accept(offer)), trusted=False)


def is_cancelled(placed, offer):
    accept(offer)
    shop_orders.cancel(placed.pk)
    hooks.order_cancelled(order_ref=str(placed.pk))


def gets_12_back(placed, offer):
    line_ref = accept(offer).acceptance.line_ref
    hooks.refund_line(order_ref=str(placed.pk), line_ref=line_ref, amount=Decimal(12))


def gets_12_back_a_month_later(placed, offer):
    line_ref = accept(offer).acceptance.line_ref
    Acceptance.objects.update(at=Acceptance.objects.get().at - timedelta(days=30))
    hooks.refund_line(order_ref=str(placed.pk), line_ref=line_ref, amount=Decimal(12))


def gets_12_back_in_the_dashboard(placed, offer):
    accept(offer)
    attempt = Attempt.objects.get()
    told = ChargeResult(
        state=ChargeState.CAPTURED, reference=attempt.reference, amount=attempt.amount,
        currency="EUR", refunded=Decimal(12),
    )  # fmt: skip
    mirroring.mirror(attempt_id=attempt.pk, result=told)


@pytest.mark.parametrize(
    ("buyer", "rule", "paid", "sums"),
    [
        pytest.param(nothing, {}, {}, FUNNEL, id="no answer"),
        pytest.param(says_no, {}, {}, FUNNEL | {"declined": 1}, id="no"),
        pytest.param(says_yes, {}, {}, SOLD | {"revenue_net": "20"}, id="24.00 with 20 % tax"),
        pytest.param(says_yes, {"rule": "PERCENT", "percent": 25}, {},
                     SOLD | {"revenue_net": "15", "discount_net": "5", "discounted": 1},
                     id="25 % off"),
        pytest.param(undoes, {}, {},
                     SOLD | {"revenue_net": "20", "returned_net": "20", "undone": 1},
                     id="undone"),
        pytest.param(is_cancelled, {}, {},
                     SOLD | {"revenue_net": "20", "returned_net": "20", "refunded": 1},
                     id="cancelled"),
        pytest.param(gets_12_back, {}, {},
                     SOLD | {"revenue_net": "20", "returned_net": "10", "refunded": 1},
                     id="half back, from the card"),
        pytest.param(gets_12_back, {}, INVOICE,
                     SOLD | {"revenue_net": "20", "returned_net": "10", "refunded": 1},
                     id="half back, on the open invoice"),
        pytest.param(gets_12_back_in_the_dashboard, {}, {},
                     SOLD | {"revenue_net": "20", "returned_net": "10", "refunded": 1},
                     id="half back, in the provider's dashboard"),
        pytest.param(gets_12_back_a_month_later, {}, {}, SOLD | {"revenue_net": "20"},
                     id="half back, after 30 days"),
    ],
)  # fmt: skip
def test_a_buyer_who(buyer, rule, paid, sums):
    products = catalogue()
    campaign(products["CA"], **rule)
    placed = order(products, **paid)

    buyer(placed, offered(placed))

    wanted = {name: Decimal(value) for name, value in sums.items() if name.endswith("_net")}
    assert added_up() == Tally(**sums | wanted)


def test_an_upgrade_is_worth_what_it_is_dearer():
    """A6: paid 540 for W1 with a coupon, 300 more for W2; then 100 of it come back."""
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL")
    placed = order(products, ("W1", 1), ("DT", 1), charged={"W1": "540"})
    line_ref = accept(offered(placed)).acceptance.line_ref

    assert added_up().revenue_net == Decimal(250)
    hooks.refund_line(order_ref=str(placed.pk), line_ref=line_ref, amount=Decimal(100))
    part = added_up()
    hooks.refund_line(order_ref=str(placed.pk), line_ref=line_ref, amount=Decimal(740))

    assert (part.returned_net, part.refunded) == (Decimal("83.33"), 1)
    assert (added_up().net_revenue, added_up().refunded) == (0, 1)


# ------------------------------------------------------------------ two rounds at once


@pytest.fixture
def sold():
    products = catalogue()
    campaign(products["CA"])
    accept(offered(order(products)))
    return Offer.objects.get()


def at_once(monkeypatch) -> list[object]:
    """Two rounds, each waiting for the other between counting and writing, if it can."""
    both, counts = threading.Barrier(2, timeout=1), metrics._sales
    told: list[object] = []

    def waits(*args):
        found = list(counts(*args))
        with suppress(threading.BrokenBarrierError):
            both.wait()
        return found

    monkeypatch.setattr(metrics, "_sales", waits)
    threads = [
        threaded(lambda: told.append(outcome(lambda: metrics.roll_up(anew=True)))) for _ in range(2)
    ]
    for thread in threads:
        thread.join()
    return told


@pytest.mark.parametrize("locked", [True, False], ids=["as it is", "without the lock"])
def test_two_rounds_at_once_wait_for_each_other(sold, monkeypatch, locked):
    if not locked and connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time in any case")
    if not locked:
        monkeypatch.setattr(metrics, "_lock", lambda: None)

    told = at_once(monkeypatch)

    crashes = [one for one in told if isinstance(one, Error)]
    assert bool(crashes) is not locked, told
    assert added_up().sold == 1
    assert Order.objects.count() == DailyMetric.objects.count() == 1
