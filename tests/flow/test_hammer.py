"""Many buttons pressed at once at a real server: one effect each, and nothing that is not there."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from example_shop.models import Product
from tests.flow import faults
from tests.flow.browsing import PATIENCE, Browser
from tests.flow.processes import server
from tests.flow.sales import Sale, agrees, audit, offered, sold, stock
from upsell.models import Acceptance, Attempt, OfferEvent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


def together(*work: Callable[[], object]) -> None:
    """Do all at once. What fails in one fails the test."""
    ready = threading.Barrier(len(work), timeout=PATIENCE)
    crashes: list[Exception] = []

    def run(one: Callable[[], object]) -> None:
        try:
            ready.wait()
            one()
        except Exception as crash:
            crashes.append(crash)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if crashes:
        raise ExceptionGroup("not everybody got an answer", crashes)


def pressed(sale: Sale, tabs: int, shop) -> list[Browser]:
    """Open so many tabs of one buyer, and press the button in all of them at once."""
    opened = [Browser(sale.buyer.session_key) for _ in range(tabs)]
    for tab in opened:
        tab.port = shop.port
        tab.get(sale.address)
    together(*[partial(tab.press, "accept") for tab in opened])
    return opened


def all_pressed(sales: list[Sale], shop) -> None:
    """Let every buyer load the page, and all press the button at once."""
    for sale in sales:
        sale.thanks(shop)
    together(*[partial(sale.buyer.press, "accept") for sale in sales])


def test_f8_f9_a16_twelve_presses_of_one_button_are_one_charge(noon, gateway):
    sale = sold(offered("CROSS_SELL"))

    with server(threads=True, fault=faults.company) as shop:
        tabs = pressed(sale, 12, shop)
        last = sale.thanks(shop)

    assert {tab.page.code for tab in tabs} == {200}
    assert {tab.page.state for tab in tabs} <= {"accepted", "confirming"}
    assert last.state == "accepted"
    assert len(gateway.charges(str(sale.placed.pk))) == 1
    assert Acceptance.objects.count() == Attempt.objects.count() == 1
    assert OfferEvent.objects.filter(kind="accepted").count() == 1
    agrees(sale, live=True)
    assert stock()["CA"] == 19


def test_f17_twenty_buyers_of_three_units_are_three_charges(noon, gateway):
    products = offered("CROSS_SELL")
    Product.objects.filter(sku="CA").update(stock=3)
    sales = [sold(products) for _ in range(20)]

    with server(threads=True, fault=faults.company) as shop:
        all_pressed(sales, shop)

    assert Counter((sale.buyer.page.code, sale.buyer.page.state) for sale in sales) == {
        (200, "accepted"): 3,
        (422, "failed"): 17,
    }
    for sale in sales:
        agrees(sale, live=sale.offer.state == "ACCEPTED")
    charged = [gateway.charged(str(sale.placed.pk)) for sale in sales]
    assert Counter(charged) == {24: 3, 0: 17}
    assert stock()["CA"] == 0
    assert audit()[0] == 0


def test_control_looking_first_charges_twelve_times(noon, gateway):
    sale = sold(offered("CROSS_SELL"))

    with server(threads=True, fault=faults.careless, crowd=12) as shop:
        pressed(sale, 12, shop)

    assert len(gateway.charges(str(sale.placed.pk))) == 12


def test_control_looking_first_sells_three_units_twenty_times(noon, gateway):
    products = offered("CROSS_SELL")
    Product.objects.filter(sku="CA").update(stock=3)
    sales = [sold(products) for _ in range(20)]

    with server(threads=True, fault=faults.careless, crowd=20) as shop:
        all_pressed(sales, shop)

    assert [gateway.charged(str(sale.placed.pk)) for sale in sales] == [24] * 20
