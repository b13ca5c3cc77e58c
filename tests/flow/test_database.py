"""The database is cut, down or read-only at every step of accept, undo and reconcile.

The steps are those at which ``test_kills`` takes the power away. Here the process lives on: the
buyer is answered, and never with an error page; then the database is back, time passes,
``upsell_reconcile`` runs, and money and lines agree.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.urls import reverse

from tests.flow import clock, killed
from tests.flow.browsing import PATIENCE, Page
from tests.flow.databases import TROUBLE, Database
from tests.flow.processes import Started, server
from tests.flow.sales import Sale, accepts, agrees, audit, offered, reconcile, sold, stock, undoes
from tests.flow.sales import killed as server_killed
from tests.flow.test_kills import ABSENT_AGAIN, ACCEPT, FOUND, GIVE_BACK, UNDO, number
from upsell.models import Attempt, OutboxMessage, Refund
from upsell.models.tokens import offer_token
from upsell.services import offering

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

every_trouble = pytest.mark.parametrize("trouble", TROUBLE)
THE_PAGE = 2
"""Steps of ``ACCEPT`` that are over when the page with the button has come."""


def each(table, *, since: int = 1) -> Iterator[tuple[int, str]]:
    """Every step of a table, from one on: its number and its name."""
    names = [f"{when}: {what}" for _, what, *_ in table for when in ("before", "after")]
    yield from list(enumerate(names, start=1))[since - 1 :]


def in_trouble(
    trouble: str, database: Database, shop: Started, work: Callable[[], object], step: str
) -> None:
    """Begin something; trouble begins where the shop stands still, and ends when it is done."""
    crashes: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as crash:
            crashes.append(crash)

    thread = threading.Thread(target=run)
    thread.start()
    shop.waits()
    with TROUBLE[trouble](database):
        shop.go_on()
        thread.join(PATIENCE)
        assert not thread.is_alive(), step
    if crashes:
        raise crashes[0]


def reads_the_truth(page: Page, step: str, *, done: bool) -> None:
    """A page of ours: done, or being confirmed, or to be tried later; never that it was not."""
    fine = page.state in {"accepted", "confirming", "undone"} or page.code == 503
    assert fine, f"{step}: {page.code} {page.text[:300]}"
    assert "<h2" in page.text, f"{step}: a page that says what is going on"
    if done:
        assert "Nothing was charged" not in page.text, step


def are_whole(sales: list[Sale], *, live: bool) -> None:
    """Let what is due be told, and look at everything when nothing may be under way any more."""
    call_command("upsell_run", "--once", stdout=StringIO())
    for sale in sales:
        agrees(sale, live=live)
    assert not OutboxMessage.objects.filter(state__in=["PENDING", "SENDING"]).exists()
    assert stock()["CA"] == 20 - (len(sales) if live else 0), "I10: nothing is held for nothing"
    list(clock.half_minutes(minutes=16))
    assert audit() == (0, f"{len(sales)} offers looked at, 0 invariants broken\n")


# ------------------------------------------------------------------ buyers


@every_trouble
def test_f16_f32_f61_accept(trouble, noon, database, gateway):
    products, sales, charged = offered("CROSS_SELL"), [], []
    for number_of_step, step in each(ACCEPT, since=THE_PAGE + 1):
        sale = sold(products)
        sales.append(sale)
        with server(stop=number_of_step, database=database.address) as shop:
            sale.thanks(shop)
            in_trouble(trouble, database, shop, lambda: sale.buyer.press("accept"), step)  # noqa: B023
            if gateway.charged(str(sale.placed.pk)):
                charged.append(sale)
            reads_the_truth(sale.buyer.page, step, done=sale in charged)
            assert sale.thanks(shop).code == 200, "the process is as good as before"
    assert len(charged) >= 4, "from the charge on it was made"

    reconcile(minutes=2)
    assert {sale.offer.state for sale in charged} == {"ACCEPTED"}, "within two minutes"
    reconcile(minutes=3)
    with server() as shop:
        for sale in sales:
            if sale.thanks(shop).state == "open":
                sale.buyer.press("accept")
            assert sale.buyer.page.state == "accepted"
    are_whole(sales, live=True)


@every_trouble
def test_f36_undo(trouble, noon, database):
    products, sales = offered("CROSS_SELL"), []
    for number_of_step, step in each(UNDO):
        sale = sold(products)
        sales.append(sale)
        with server() as shop:
            accepts(sale, shop)
        with server(stop=number_of_step, database=database.address) as shop:
            sale.thanks(shop)
            in_trouble(trouble, database, shop, lambda: sale.buyer.press("undo"), step)  # noqa: B023
            reads_the_truth(sale.buyer.page, step, done=sale.offer.state == "REVERSED")
            assert sale.thanks(shop).code == 200, "the process is as good as before"

    reconcile(minutes=5)
    with server() as shop:
        for sale in sales:
            if sale.thanks(shop).state == "accepted":
                sale.buyer.press("undo")
            assert sale.buyer.page.state == "undone"
    are_whole(sales, live=False)
    assert list(Refund.objects.values_list("state", flat=True)) == ["DONE"] * len(sales)


@every_trouble
def test_f3_the_first_look_at_the_page(trouble, noon, database):
    """The shop's own page needs the database as well; ours must not make it worse."""
    products, sales = offered("CROSS_SELL"), []
    for number_of_step, step in each(ACCEPT[:1]):
        sale = sold(products)
        sales.append(sale)
        with server(stop=number_of_step, database=database.address) as shop:
            in_trouble(trouble, database, shop, lambda: sale.thanks(shop), step)  # noqa: B023
            assert sale.thanks(shop).state == "open"
            assert sale.buyer.press("accept").state == "accepted"
    are_whole(sales, live=True)


def test_f32_a_page_in_a_database_that_takes_no_writes_is_shown(noon, database):
    """Opened by its link for the first time: what cannot be noted is noted at the next look."""
    sale = sold(offered("CROSS_SELL"))
    page = offering.offer_for(order_ref=str(sale.placed.pk), now=clock.NOON)
    address = reverse("upsell:offer", args=[offer_token(page.offer)])
    with server(database=database.address) as shop:
        sale.buyer.port = shop.port
        with database.read_only():
            page = sale.buyer.get(address)
            pressed = sale.buyer.press("accept")
        assert (page.code, page.state) == (200, "open")
        assert (pressed.code, pressed.state) == (503, "open")

        sale.buyer.get(address)
        assert sale.offer.state == "SHOWN"
        assert sale.buyer.press("accept").state == "accepted"
    are_whole([sale], live=True)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_f61_a_commit_that_nobody_hears_of(times, noon, database, gateway):
    sale = sold(offered("CROSS_SELL"))

    with server(database=database.address) as shop:
        sale.thanks(shop)
        for _ in range(times):
            database.lose_the_answer_to_a_commit()
        sale.buyer.press("accept")
        assert database.line.went_off(), "there were as many commits"
        reads_the_truth(sale.buyer.page, "COMMIT", done=bool(gateway.charged(str(sale.placed.pk))))
        reconcile(minutes=5)
        if sale.thanks(shop).state == "open":
            sale.buyer.press("accept")

    assert sale.buyer.page.state == "accepted"
    assert Attempt.objects.filter(state="APPLIED").count() == 1
    are_whole([sale], live=True)


# ------------------------------------------------------------------ reconcile


def reconciled_in(trouble: str, database: Database, step: int) -> None:
    """Reconcile in a process that gets into trouble at a step, and ends as it may."""
    process = Started(killed.command, "upsell_reconcile", stop=step, database=database.address)
    process.waits()
    with TROUBLE[trouble](database):
        process.go_on()
        process.ended()


@every_trouble
def test_f45_a_reconciler_that_finds_a_charge(trouble, noon, database):
    products, sales = offered("CROSS_SELL"), []
    for step, _name in each(FOUND):
        clock.set_to()
        sales.append(sold(products))
        server_killed(accepts, sales[-1], number(ACCEPT, "after charge"))
        clock.set_to(seconds=30)
        reconciled_in(trouble, database, step)

    reconcile(minutes=1.5)

    assert {sale.offer.state for sale in sales} == {"ACCEPTED"}, "within two minutes all the same"
    are_whole(sales, live=True)


@every_trouble
def test_f45_a_reconciler_that_finds_nothing(trouble, noon, database):
    products, sales = offered("CROSS_SELL"), []
    for step, _name in each(ABSENT_AGAIN):
        clock.set_to()
        sales.append(sold(products))
        server_killed(accepts, sales[-1], number(ACCEPT, "before charge"))
        Attempt.objects.filter(offer=sales[-1].offer).update(
            looks=1, absent_since=clock.NOON, next_look_at=clock.NOON + timedelta(seconds=90)
        )
        clock.set_to(seconds=90)
        reconciled_in(trouble, database, step)

    reconcile(minutes=3.5)

    assert {sale.offer.state for sale in sales} == {"SHOWN"}, "within five minutes all the same"
    are_whole(sales, live=False)


@every_trouble
def test_f45_a_reconciler_that_gives_back(trouble, noon, database):
    products, sales = offered("CROSS_SELL"), []
    for step, _name in each(GIVE_BACK):
        clock.set_to()
        sales.append(sold(products))
        with server() as shop:
            accepts(sales[-1], shop)
        server_killed(undoes, sales[-1], number(UNDO, "before refund"))
        clock.set_to(seconds=30)
        reconciled_in(trouble, database, step)

    reconcile(minutes=4.5)

    assert {row.state for row in Refund.objects.all()} == {"DONE"}, "within five minutes as well"
    are_whole(sales, live=False)
