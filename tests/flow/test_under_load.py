"""A crowd before a slow database, and a provider that hangs for everybody, measured."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException

import pytest
from django.db import connection

from example_shop.models import Product
from tests.flow import faults
from tests.flow.browsing import Browser
from tests.flow.processes import server
from tests.flow.sales import Sale, agrees, audit, offered, sold, stock
from tests.flow.test_outside_calls import open_transactions

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.long,
]

BUYERS, UNITS = 200, 10
AT_ONCE = 20
"""So many of them press at one moment: each holds the product's row for some ten statements."""
LATENCY_SECONDS = 0.03
FAST_SECONDS = 0.5
"""The thank-you page, for 95 of 100."""


def presses_until_answered(sale: Sale) -> None:
    """Press; once more where the page says to try again in a moment."""
    assert sale.buyer.page.address("accept"), "everybody was offered one"
    while sale.buyer.page.address("accept"):
        sale.buyer.press("accept")


def test_two_hundred_buyers_of_ten_units_before_a_slow_database(noon, database, gateway):
    """Each statement takes 30 ms longer; ten are charged, and nobody else is."""
    if connection.vendor != "postgresql":
        pytest.skip("measured on PostgreSQL")
    products = offered("CROSS_SELL")
    Product.objects.filter(sku="CA").update(stock=UNITS)
    sales = [sold(products) for _ in range(BUYERS)]
    database.line.latency_seconds = LATENCY_SECONDS

    with (
        server(threads=True, silent=True, database=database.address) as shop,
        ThreadPoolExecutor(AT_ONCE) as crowd,
    ):
        list(crowd.map(lambda sale: sale.thanks(shop), sales))
        list(crowd.map(presses_until_answered, sales))

    charged = Counter(gateway.charged(str(sale.placed.pk)) for sale in sales)
    assert charged == {24: UNITS, 0: BUYERS - UNITS}
    assert Counter((sale.buyer.page.code, sale.buyer.page.state) for sale in sales) == {
        (200, "accepted"): UNITS,
        (422, "failed"): BUYERS - UNITS,
    }
    assert stock()["CA"] == 0
    for sale in sales[:20]:
        agrees(sale, live=sale.offer.state == "ACCEPTED")
    assert audit()[0] == 0


# ------------------------------------------------------------------ a provider that hangs


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def p95(times: Iterable[float]) -> float:
    found = sorted(times)
    return found[int(len(found) * 0.95)]


def test_f27_the_page_is_fast_while_every_charge_hangs(noon, record_property):
    """Ten buyers wait for the provider; others look, and no transaction is open meanwhile."""
    products = offered("CROSS_SELL")
    waiting, before, looking = ([sold(products) for _ in range(count)] for count in (10, 40, 60))

    def look(sale: Sale) -> float:
        tab = Browser(sale.buyer.session_key)
        tab.port = shop.port
        took = timed(lambda: tab.get(sale.address))
        assert (tab.page.code, tab.page.state) == (200, "open")
        return took

    def press(sale: Sale) -> None:
        with suppress(OSError, HTTPException):  # where the test takes the power away
            sale.buyer.press("accept")

    with server(threads=True, silent=True, fault=faults.hangs_for_good) as shop:
        with ThreadPoolExecutor(2) as lookers:
            quiet = p95(lookers.map(look, before))
        for sale in waiting:
            sale.thanks(shop)
        threads = [threading.Thread(target=press, args=(sale,)) for sale in waiting]
        for thread in threads:
            thread.start()
        shop.waits()  # the first is being charged, and the others follow

        with ThreadPoolExecutor(2) as lookers:
            hanging = p95(lookers.map(look, looking))
        still = [row for row in open_transactions() if row]
        shop.kill()
        for thread in threads:
            thread.join()

    record_property("p95_ms", round(hanging * 1000))
    print(f"p95 {hanging * 1000:.0f} ms, {quiet * 1000:.0f} ms before")  # noqa: T201
    assert hanging <= max(FAST_SECONDS, 2 * quiet), (
        "on a machine that is busy, no slower than before"
    )
    assert still == [], "I28: idle in transaction is zero"
