"""The shop's pages, and an order's money to the cent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.management import call_command

from example_shop.models import Order, Product

pytestmark = pytest.mark.django_db

BUYER = {
    "email": "buyer@example.org",
    "name": "A Buyer",
    "street": "Street 1, Berlin",
    "country": "DE",
    "payment_method": "card",
    "card": "card_ok",
    "do": "buy",
}


@pytest.fixture
def shop():
    call_command("seed_shop", verbosity=0)
    return {product.sku: product for product in Product.objects.all()}


def put(client, product, quantity=1):
    client.post("/basket/change/", {"product": product.pk, "quantity": quantity})


def bought(client, **options) -> Order:
    response = client.post("/checkout/", BUYER | options)

    assert response.status_code == 302, response.context["form"].errors
    return Order.objects.get(pk=client.session["order_ref"])


def test_every_public_page_answers(client, shop):
    pages = ["/", "/shop/greenhome/", "/shop/wayfare/", "/basket/", "/orders/", "/mailbox/"]
    pages += ["/terms/", "/returns/", "/login/"]
    pages += [f"/product/{product.pk}/" for product in shop.values()]
    pages += [f"/picture/{product.pk}.svg" for product in shop.values()]

    assert {page: client.get(page).status_code for page in pages} == dict.fromkeys(pages, 200)


def test_seeding_twice_changes_nothing(shop):
    call_command("seed_shop", verbosity=0)

    assert Product.objects.count() == len(shop)


def test_a_coupon_is_spread_over_the_lines_to_the_cent(client, shop):
    put(client, shop["wash7"])
    put(client, shop["soft"])

    order = bought(client, coupon="welcome10")

    paid = {line.product.sku: line.total_gross for line in order.lines.all()}
    assert paid == {"wash7": Decimal("540"), "soft": Decimal("6.75")}
    assert order.total_gross == Decimal("546.75") == order.payments.get().amount


def test_yen_have_no_decimals(client, shop):
    put(client, shop["ber"])
    put(client, shop["food"], 3)

    order = bought(client, coupon="WELCOME10")

    assert all(line.total_net % 1 == 0 for line in order.lines.all())
    assert order.total_gross == Decimal("95220")


def test_an_unknown_coupon_is_an_error_at_its_field(client, shop):
    put(client, shop["soft"])

    response = client.post("/checkout/", BUYER | {"coupon": "nope"})

    assert "coupon" in response.context["form"].errors
    assert not Order.objects.exists()


def test_the_last_unit_is_not_sold_twice(client, shop):
    put(client, shop["wash9"])
    Product.objects.filter(sku="wash9").update(stock=0)

    response = client.post("/checkout/", BUYER)

    assert response.status_code == 200
    assert not Order.objects.exists()


def test_the_thank_you_page_shows_the_offer_to_its_buyer_only(client, shop):
    put(client, shop["wash7"])
    order = bought(client)

    page = client.get(f"/order/{order.pk}/thanks/")

    assert b"data-upsell-offer" in page.content
    client.session.flush()
    client.cookies.clear()
    assert client.get(f"/order/{order.pk}/").status_code == 404


@pytest.mark.parametrize(
    "sku",
    [
        "wash7",
        "wash9",
        "deter",
        "clean",
        "moist",
        "aria5",
        "aria5-256",
        "cam",
        "ber",
        "room",
        "car",
    ],
)
def test_each_seeded_campaign_finds_its_order(client, shop, sku):
    put(client, shop[sku])
    order = bought(client)

    assert b"data-upsell-offer" in client.get(f"/order/{order.pk}/thanks/").content
