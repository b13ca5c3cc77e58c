"""The shop's pages, for a guest and for an account."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from example_shop.models import Order, Product
from tests import factories
from tests.example_shop.shop import bought, put
from upsell.models import KeyLink

pytestmark = pytest.mark.django_db

PAGES = [
    "/",
    "/shop/greenhome/",
    "/shop/greenhome/?shelf=skincare",
    "/shop/techgadgets/",
    "/shop/wayfare/",
    "/shop/kissa/",
    "/basket/",
    "/orders/",
    "/mailbox/",
    "/terms/",
    "/returns/",
    "/login/",
    "/challenge/ch_unknown/",
]


@pytest.mark.parametrize("who", ["guest", "mara"])
def test_every_page_answers(client, shop, who):
    if who != "guest":
        client.force_login(get_user_model().objects.get(username=who))
    pages = PAGES + [f"/product/{product.pk}/" for product in shop.values()]
    pages += [f"/picture/{product.pk}.svg" for product in shop.values()]

    answers = {page: client.get(page).status_code for page in pages}

    assert answers == dict.fromkeys(pages, 200)


@pytest.mark.parametrize("who", ["guest", "mara"])
def test_every_page_of_an_order_answers_its_buyer(client, shop, who):
    if who != "guest":
        client.force_login(get_user_model().objects.get(username=who))
    put(client, shop["wash9"])
    checkout = client.get("/checkout/")
    order = bought(client)
    pages = [f"/order/{order.pk}/thanks/", f"/order/{order.pk}/", "/orders/"]

    answers = {page: client.get(page).status_code for page in pages}

    assert checkout.status_code == 200
    assert answers == dict.fromkeys(pages, 200)


def test_an_account_need_not_type_what_is_known(client, shop):
    client.force_login(get_user_model().objects.get(username="mara"))
    put(client, shop["soft"])

    page = client.get("/checkout/").content.decode()

    for known in ("mara@example.org", "Mara Winter", "Lindenstraße 8, 10969 Berlin"):
        assert known in page


def test_a_product_list_takes_as_many_queries_for_many_products_as_for_few(
    client, shop, django_assert_num_queries
):
    client.get("/shop/greenhome/")
    with django_assert_num_queries(3):
        client.get("/shop/greenhome/")
    Product.objects.bulk_create(
        Product(
            channel=shop["soft"].channel,
            category=shop["soft"].category,
            sku=f"more{number}",
            title=f"More {number}",
            price="5",
        )
        for number in range(60)
    )

    with django_assert_num_queries(3):
        assert client.get("/shop/greenhome/").content.count(b'class="card"') > 60


def test_a_reload_of_the_thank_you_page_costs_the_same_for_one_line_and_for_eight(client, shop):
    counts = set()
    for skus in (["deter"], ["deter", "soft", "clean", "moist", "kit", "night", "wash9", "balls"]):
        for sku in skus:
            put(client, shop[sku])
        order = bought(client)
        client.get(f"/order/{order.pk}/thanks/")
        counts.add(_queries(client, f"/order/{order.pk}/thanks/"))

    assert len(counts) == 1, counts


def _queries(client, page: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        client.get(page)
    return len(captured)


def test_the_thank_you_page_shows_the_offer_to_its_buyer_only(client, shop):
    put(client, shop["wash7"])
    order = bought(client)

    page = client.get(f"/order/{order.pk}/thanks/")

    assert b"data-upsell-offer" in page.content
    client.session.flush()
    client.cookies.clear()
    assert client.get(f"/order/{order.pk}/").status_code == 404


def test_a_guest_keeps_an_earlier_order_of_the_same_session(client, shop):
    put(client, shop["soft"])
    first = bought(client)
    put(client, shop["deter"])
    bought(client)

    assert client.get(f"/order/{first.pk}/").status_code == 200
    assert first.number in client.get("/orders/").content.decode()


def test_somebody_elses_order_is_not_in_an_account_and_not_to_be_seen(client, shop):
    put(client, shop["soft"])
    order = bought(client)
    client.session.flush()
    client.cookies.clear()
    client.force_login(get_user_model().objects.get(username="jonas"))

    assert client.get(f"/order/{order.pk}/").status_code == 404
    assert order.number not in client.get("/orders/").content.decode()


def test_the_order_page_tells_what_the_accepted_offer_changed_and_its_undo(client, shop):
    put(client, shop["wash7"])
    order = bought(client)
    shown = client.get(f"/order/{order.pk}/thanks/").context["lines"]
    _answer(client, order, "accept")

    after = client.get(f"/order/{order.pk}/").content.decode()
    _answer(client, order, "undo")
    undone = client.get(f"/order/{order.pk}/").content.decode()

    assert [line.title for line in shown] == ["WashPro 7"]
    assert "took the place of WashPro 7" in after
    for amount in ("€600.00", "€240.00", "€840.00"):
        assert amount in after
    assert "Changed after checkout, and undone" in undone
    assert Order.objects.get(pk=order.pk).total_gross == 600


def _answer(client, order: Order, name: str) -> None:
    page = client.get(f"/order/{order.pk}/thanks/").content.decode()
    address = page.split(f'/{name}/"')[0].rsplit('action="', 1)[1] + f"/{name}/"
    response = client.post(address, {"quote": "1", "answer": name})

    assert response.status_code in {200, 303}, response.content


def test_the_last_path_a_bank_may_send_back_to_is_on_this_host(client, shop):
    response = client.post("/challenge/ch_unknown/?next=https://evil.example/", {"answer": "no"})

    assert response.headers["Location"] == "/orders/"


def test_a_strict_policy_is_on_every_page_and_nothing_is_inline(client, shop, settings):
    settings.MIDDLEWARE = [
        "example_shop.middleware.content_security_policy",
        *settings.MIDDLEWARE,
    ]
    put(client, shop["wash7"])
    pages = [*PAGES, f"/product/{shop['aria5'].pk}/", "/checkout/"]

    for page in pages:
        response = client.get(page)
        text = response.content.decode()

        assert response.headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert "style=" not in text, page
        assert "<style" not in text, page
        assert "<script>" not in text, page


@pytest.mark.parametrize(
    "posted",
    [
        {"product": "0", "quantity": "1"},
        {"product": "-1", "quantity": "1"},
        {"product": "x", "quantity": "1"},
        {"quantity": "1"},
        {"product": "9" * 30, "quantity": "1"},
    ],
)
def test_a_product_that_is_not_there_is_not_found(client, shop, posted):
    assert client.post("/basket/change/", posted).status_code == 404


def test_a_basket_never_holds_more_than_there_is_and_not_fewer_than_none(client, shop):
    put(client, shop["wash9"], 99)
    assert client.session["basket"] == {str(shop["wash9"].pk): 5}

    put(client, shop["wash9"], -3)
    assert client.session["basket"] == {}


def test_putting_the_same_product_in_again_adds_to_it(client, shop):
    for _ in range(2):
        product = shop["soft"]
        client.post("/basket/change/", {"product": product.pk, "quantity": 2, "add": "1"})

    assert client.session["basket"] == {str(shop["soft"].pk): 4}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("bought", "links"),
    [
        pytest.param([], [], id="never a guest: nothing to say"),
        pytest.param(["guest"], [("e:", "u:")], id="a guest first"),
        pytest.param(["account", "guest"], [("u:", "e:")], id="the account first"),
        pytest.param(["guest", "account"], [("e:", "u:")], id="a guest before the account"),
    ],
)
def test_who_signs_in_is_one_buyer_with_the_guest_of_that_address(client, bought, links):
    products = factories.catalogue()
    user = get_user_model().objects.create_user("mara", "Mara@example.org", "secret")
    for day, who in enumerate(bought):
        factories.order(products, email="mara@example.org",
                        user=user if who == "account" else None,
                        placed_at=timezone.now() + timedelta(days=day))  # fmt: skip

    for _twice in range(2):
        client.post("/login/", {"username": "mara", "password": "secret"})

    rows = KeyLink.objects.values_list("old", "new")
    assert [(old[:2], new[:2]) for old, new in rows] == links
