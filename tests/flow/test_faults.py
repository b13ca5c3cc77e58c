"""What goes wrong outside while a buyer waits: the provider, the database, the shop itself.

The faults have the numbers of the specification's list. Each goes through the real pages; then
time passes, ``upsell_reconcile`` runs, and ``upsell_audit`` has to be content.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from http.client import HTTPException

import pytest
from django.db import connection, transaction

from example_shop.adapter import ExampleShop
from example_shop.models import Order, OrderLine, Product
from tests.flow import faults
from tests.flow.browsing import PATIENCE, Browser, Page
from tests.flow.processes import Started, server
from tests.flow.sales import (
    STOCK,
    Sale,
    accepts,
    agrees,
    audit,
    killed,
    offered,
    reconcile,
    sold,
    stock,
    undoes,
)
from upsell.models import Attempt, Offer, Refund

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

CUT = {
    "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist"
    " WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}


def accepted(sale: Sale, **options: object) -> Page:
    """Accept at a server with a fault; return the page that the buyer gets."""
    with server(**options) as shop:
        return accepts(sale, shop)


def looked_at(sale: Sale) -> Page:
    """Look at the thank-you page again, when all is well."""
    with server() as shop:
        return sale.thanks(shop)


def is_whole(sale: Sale, *, live: bool) -> None:
    agrees(sale, live=live)
    assert stock() == STOCK["CROSS_SELL" if live else ""]
    assert audit() == (0, "1 offers looked at, 0 invariants broken\n")


@pytest.mark.parametrize(
    ("card", "fault", "minutes", "state"),
    [
        pytest.param("card_ok", faults.unreachable, 5, "SHOWN", id="F24 cannot be reached"),
        pytest.param("card_ok", faults.silent, 2, "ACCEPTED", id="F25 charges and says nothing"),
        pytest.param("card_hang", None, 5, "SHOWN", id="F26 says nothing and charges nothing"),
    ],
)
def test_f24_f25_f26_a_provider_that(card, fault, minutes, state, noon):
    sale = sold(offered("CROSS_SELL"), card=card)

    page = accepted(sale, fault=fault)

    assert (page.code, page.state) == (200, "confirming")
    assert "Please do not pay again" in page.text
    assert not page.address("accept")
    reconcile(minutes=minutes)
    assert sale.offer.state == state
    assert looked_at(sale).state == ("open" if state == "SHOWN" else "accepted")
    is_whole(sale, live=state == "ACCEPTED")


def test_f30_a_provider_that_charges_another_amount_is_never_believed(noon, gateway):
    sale = sold(offered("CROSS_SELL"), card="card_wrong_amount")

    page = accepted(sale)
    reconcile(minutes=5)

    assert page.state == looked_at(sale).state == "failed"
    assert "goes back to you" in page.text
    assert (sale.offer.state, sale.offer.failure_code) == ("FAILED", "amount_mismatch")
    assert gateway.charged(str(sale.placed.pk)) == 0
    is_whole(sale, live=False)


def test_f30_what_does_not_go_back_by_itself_waits_for_staff(noon, gateway):
    sale = sold(offered("CROSS_SELL"), card="card_wrong_amount_kept")

    page = accepted(sale)
    reconcile(minutes=5)

    assert page.state == looked_at(sale).state == "confirming"
    assert (sale.offer.state, sale.offer.failure_code) == ("NEEDS_ATTENTION", "refund_refused")
    assert gateway.charged(str(sale.placed.pk)) == 25
    assert Order.objects.get().total_gross == 600
    assert OrderLine.objects.count() == 1


# ------------------------------------------------------------------ a provider that hangs


@contextmanager
def waiting(sale: Sale, shop: Started) -> Iterator[Browser]:
    """Press the button at a provider that hangs; yields another tab of the same buyer."""
    other = Browser(sale.buyer.session_key)
    other.port = shop.port
    other.get(sale.address)
    sale.thanks(shop)

    def press() -> None:
        with suppress(OSError, HTTPException):  # where the test kills the server
            sale.buyer.press("accept")

    thread = threading.Thread(target=press)
    thread.start()
    shop.waits()
    yield other
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_f27_a_provider_that_hangs_holds_up_nobody_else(noon, gateway):
    products = offered("CROSS_SELL")
    sale = sold(products)

    with (
        server(threads=True, fault=faults.hangs_before) as shop,
        waiting(sale, shop) as other,
    ):
        pressed = other.press("accept")
        seen = other.get(sale.address)
        with transaction.atomic():  # I28: no transaction is open while the provider is asked
            rows = Offer.objects.select_for_update(nowait=connection.vendor != "sqlite")
            assert rows.get().state == "ACCEPTING"
            Product.objects.filter(sku="CA").update(title="Case")
        neighbour = sold(products)
        assert neighbour.thanks(shop).state == "open"
        shop.kill()

    assert pressed.state == seen.state == "confirming"
    assert not seen.address("accept")
    reconcile(minutes=5)
    assert looked_at(sale).state == "open"
    assert gateway.charges(str(sale.placed.pk)) == []
    agrees(sale, live=False)
    assert audit()[0] == 0


def test_a_provider_that_answers_after_we_gave_up_gives_the_money_back(noon, gateway):
    sale = sold(offered("CROSS_SELL"))

    with (
        server(threads=True, fault=faults.hangs_before) as shop,
        waiting(sale, shop),
    ):
        reconcile(minutes=2)
        assert sale.offer.state == "SHOWN"
        shop.go_on()

    assert len(gateway.charges(str(sale.placed.pk))) == 1
    assert Refund.objects.get().reason == "late"
    is_whole(sale, live=False)


# ------------------------------------------------------------------ a database that fails


def test_f16_a_database_that_gives_up_leaves_nothing_behind(noon, gateway):
    sale = sold(offered("CROSS_SELL"))

    page = accepted(sale, fault=faults.locked)

    assert page.code == 503
    assert "Nothing was charged; please try again" in page.text
    assert page.address("accept"), "it may be tried again"
    assert Attempt.objects.count() == 0
    assert gateway.charges(str(sale.placed.pk)) == []
    is_whole(sale, live=False)


def test_f33_a_deadlock_repeats_the_change_and_never_the_charge(noon):
    sale = sold(offered("CROSS_SELL"))

    with server(fault=faults.deadlock) as shop:
        page = accepts(sale, shop)

    assert page.state == "accepted", "without waiting for the reconciler"
    assert shop.steps.count("before charge") == 1
    is_whole(sale, live=True)


def test_f32_a_database_that_is_down_after_the_charge_is_made_up_for(noon):
    sale = sold(offered("CROSS_SELL"))

    page = accepted(sale, fault=faults.database_down)  # redirected; by then it is up again

    assert (page.code, page.state) == (200, "confirming")
    assert sale.offer.state == "ACCEPTING"
    reconcile(minutes=2)
    assert looked_at(sale).state == "accepted"
    is_whole(sale, live=True)


def test_f61_a_connection_that_is_cut_during_the_charge_is_opened_again(noon):
    if connection.vendor not in CUT:
        pytest.skip("SQLite has no connection that could be cut")
    sale = sold(offered("CROSS_SELL"))

    with (
        server(threads=True, fault=faults.hangs_after) as shop,
        waiting(sale, shop),
    ):
        with connection.cursor() as cursor:
            cursor.execute(CUT[connection.vendor])
            cut = [row[0] for row in cursor.fetchall()]
            if connection.vendor == "mysql":
                for number in cut:
                    cursor.execute(f"KILL {number}")
        assert cut, "there was something to cut"
        shop.go_on()

    assert sale.buyer.page.state == "accepted"
    is_whole(sale, live=True)


# ------------------------------------------------------------------ a shop that fails


def test_a_refund_that_the_shop_cannot_book_keeps_no_other_waiting(noon, gateway, monkeypatch):
    products = offered("CROSS_SELL")
    sales = [sold(products), sold(products)]
    for sale in sales:
        with server() as shop:
            accepts(sale, shop)
        killed(undoes, sale, 3)  # before the refund is sent
    book = ExampleShop.record_payment

    def fails_for_the_first(self, order_ref, *payment):
        if order_ref == str(sales[0].placed.pk):
            raise RuntimeError("the books are closed")
        book(self, order_ref, *payment)

    with monkeypatch.context() as patch:
        patch.setattr(ExampleShop, "record_payment", fails_for_the_first)
        reconcile(minutes=2)
    assert sorted(Refund.objects.values_list("state", flat=True)) == ["DONE", "PENDING"]

    reconcile(minutes=3)
    for sale in sales:
        agrees(sale, live=False)
    assert audit()[0] == 0


def test_a_gateway_that_left_the_settings_makes_nothing_free(noon, settings):
    sale = sold(offered("CROSS_SELL"), card="card_hang")
    accepted(sale)

    left = {"invoice": settings.UPSELL_GATEWAYS["invoice"]}
    settings.UPSELL_GATEWAYS, known = left, settings.UPSELL_GATEWAYS
    reconcile(minutes=1)
    assert sale.offer.state == "ACCEPTING"
    assert Order.objects.get().total_gross == Decimal(600)

    settings.UPSELL_GATEWAYS = known
    reconcile(minutes=20)
    is_whole(sale, live=False)
