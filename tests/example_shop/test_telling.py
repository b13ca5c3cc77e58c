"""The shop tells what its visitors do, of those who said that it may."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.test import Client, RequestFactory

from example_shop.models import Product
from tests.example_shop.shop import bought, put
from upsell import snapshots
from upsell.models import EventInbox
from upsell.ports import Customer
from upsell.presenting import visitors

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def browser(shop) -> Client:
    """Somebody who has the cookie that the first look at a product brings."""
    client, response = Client(), HttpResponse()
    visitors.remember(RequestFactory().get("/"), response)
    client.cookies[visitors.COOKIE] = response.cookies[visitors.COOKIE].value
    return client


def buys(client: Client, product: Product) -> str:
    put(client, product, 2)
    put(client, product, 1)
    client.get("/checkout/")
    return str(bought(client).pk)


def test_by_default_it_tells_nothing(browser, shop):
    buys(browser, shop["wash7"])

    assert not EventInbox.objects.exists()


@pytest.mark.parametrize("signed_in", [False, True])
def test_with_a_yes_it_tells_the_way_to_an_order(signed_in, browser, shop):
    if signed_in:
        user = get_user_model().objects.get(username="mara")
        browser.force_login(user)
    browser.post("/remember/", {"remember": "yes"})

    ref = buys(browser, shop["wash7"])

    rows = EventInbox.objects.order_by("pk")
    visitor = "v:" + browser.cookies[visitors.COOKIE].value.split(":")[0]
    guest = snapshots.customer_key(Customer(email="buyer@example.org"))
    whose = [f"u:{user.pk}"] * 4 if signed_in else [visitor, visitor, visitor, guest]
    assert [row.name for row in rows] == [
        "cart.added",
        "cart.removed",
        "checkout.started",
        "checkout.completed",
    ]
    assert [row.customer_key for row in rows] == whose
    assert [row.order_ref for row in rows] == ["", "", "", ref]
    price = shop["wash7"].selling
    added = rows[0].parameters
    assert (added["product_ref"], added["quantity"]) == (str(shop["wash7"].pk), 2)
    assert added["value"] >= str(2 * price)
    assert rows[1].parameters["quantity"] == 1


def test_taking_it_back_forgets_the_visitor(browser, shop):
    browser.post("/remember/", {"remember": "yes"})
    put(browser, shop["wash7"])
    assert EventInbox.objects.count() == 1

    answer = browser.post(
        "/remember/", {"remember": "no"}, headers={"Referer": "http://testserver/terms/"}
    )
    put(browser, shop["soft"])

    assert answer.headers["Location"] == "http://testserver/terms/"
    assert browser.cookies[visitors.COOKIE].value == ""
    assert not EventInbox.objects.exists()


def test_it_leads_nobody_elsewhere(browser):
    answer = browser.post("/remember/", {}, headers={"Referer": "https://evil.example/"})

    assert answer.headers["Location"] == "/"
