"""Many attempts of unknown outcome, and reconcilers: two at once, killed, and in no hurry."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from io import StringIO

import pytest
from django.core.management import call_command
from django.db.models import Sum

from example_shop.adapter import CardGateway
from example_shop.models import Order, Product
from tests.factories import order
from tests.flow import clock, killed
from tests.flow.processes import Started
from tests.flow.sales import Sale, accepts, agrees, audit, offered, reconcile, sold, stock
from tests.flow.sales import killed as server_killed
from tests.flow.test_accept import accept
from tests.flow.test_kills import ACCEPT, number
from upsell.models import Attempt, Offer, OfferEvent
from upsell.ports import ChargeResult, ChargeState
from upsell.services import offering, reconciling

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]

LOST, NEVER = number(ACCEPT, "after charge"), number(ACCEPT, "before charge")
"""Where a server dies whose buyer was charged, and where one dies whose buyer was not."""


def half_done(count: int) -> list[Sale]:
    """So many buyers whose server died: every second one was charged."""
    products = offered("CROSS_SELL")
    sales = [sold(products) for _ in range(count)]
    for place, sale in enumerate(sales):
        server_killed(accepts, sale, (NEVER, LOST)[place % 2])
    return sales


def are_settled(sales: list[Sale]) -> None:
    """Every second one has the case and paid for it once; the others have neither."""
    for place, sale in enumerate(sales):
        assert sale.offer.state == ("SHOWN", "ACCEPTED")[place % 2]
        assert len(CardGateway().charges(str(sale.placed.pk))) == place % 2
        agrees(sale, live=bool(place % 2))
    assert OfferEvent.objects.filter(kind="accepted").count() == len(sales) // 2
    assert stock()["CA"] == 20 - len(sales) // 2
    call_command("upsell_run", "--once", stdout=StringIO())
    list(clock.half_minutes(minutes=16))
    assert audit() == (0, f"{len(sales)} offers looked at, 0 invariants broken\n")


@pytest.mark.databases
def test_f45_two_reconcilers_at_once_settle_each_once(noon):
    sales = half_done(6)

    for _ in clock.half_minutes(minutes=2.5):
        both = [Started(killed.command, "upsell_reconcile") for _ in range(2)]
        assert [one.ended() for one in both] == [0, 0]
    reconcile(minutes=2.5)

    are_settled(sales)


@pytest.mark.databases
def test_f45_a_reconciler_that_is_killed_again_and_again_settles_all(noon):
    """One step further each time, beside one that lives: nothing is done twice, nothing is left."""
    sales = half_done(6)

    for step, _ in enumerate(clock.half_minutes(minutes=5), start=1):
        dies = Started(killed.command, "upsell_reconcile", deadly=3 * step)
        assert dies.ended() in {0, -signal.SIGKILL}
        if step % 3 == 0:
            call_command("upsell_reconcile", stdout=StringIO())
    reconcile(minutes=2)

    are_settled(sales)


# ------------------------------------------------------------------ very many


ATTEMPTS = int(os.environ.get("UPSELL_TEST_ATTEMPTS", "160"))
"""More than one batch of the reconciler; 1000 takes minutes."""
RATE = 20
"""Far below what the reconciler can do on a machine that is busy with other tests."""


def unknown(count: int, monkeypatch) -> list[str]:
    """So many accepts that were not answered, every second one charged; return their orders."""
    charge = CardGateway.charge

    def unheard(self, request):
        charge(self, request)
        return ChargeResult(state=ChargeState.UNKNOWN)

    monkeypatch.setattr(CardGateway, "charge", unheard)
    products = offered("CROSS_SELL")
    Product.objects.filter(sku="CA").update(stock=None)
    refs = []
    for place in range(count):
        placed = order(products, placed_at=clock.NOON, card=("card_hang", "card_ok")[place % 2])
        refs.append(str(placed.pk))
        assert accept(shown(placed)).state == "ACCEPTING"
    return refs


def shown(placed: Order) -> Offer:
    page = offering.offer_for(order_ref=str(placed.pk), now=clock.NOON, show=True)
    assert page is not None
    assert page.offer is not None
    return page.offer


def busiest_second(times: list[float]) -> int:
    """The most that fell into any one second."""
    return max(
        sum(1 for later in times[place:] if later < begun + 1) for place, begun in enumerate(times)
    )


@pytest.mark.parametrize("rate", [RATE, 0])
def test_very_many_are_drained_no_faster_than_the_provider_allows(
    rate, noon, settings, monkeypatch, gateway
):
    """0 is the control: without a limit the provider is run over."""
    settings.UPSELL_GATEWAY_RATE = rate
    settings.UPSELL_BREAKER_FAILURES = 10 * ATTEMPTS  # it does answer, if only later
    count = ATTEMPTS if rate else 120
    refs = unknown(count, monkeypatch)
    asked: list[float] = []
    find = CardGateway.find

    def counted(self, *args):
        asked.append(time.monotonic())
        return find(self, *args)

    monkeypatch.setattr(CardGateway, "find", counted)
    for seconds in (30, 90, 150):
        clock.set_to(seconds=seconds)
        while reconciling.reconcile():
            pass

    states = Counter(Attempt.objects.values_list("state", flat=True))
    assert states == {"APPLIED": count // 2, "RELEASED": count // 2}
    assert sum(gateway.charged(ref) for ref in refs) == 24 * count // 2
    assert Order.objects.aggregate(total=Sum("total_gross"))["total"] == count * (600 + 12)
    assert len(asked) == count + count // 2, "absence is asked for twice"
    if rate:
        # One call more for each batch: they are paced each by itself.
        assert busiest_second(asked) <= rate + 2
    else:
        assert busiest_second(asked) > RATE + 2
