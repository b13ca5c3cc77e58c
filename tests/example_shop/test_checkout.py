"""One checkout: what is charged to the cent, and what a mistake leaves as it was."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core import mail

from example_shop.models import GiftCard, Order, Product
from tests.example_shop.shop import BUYER, bought, put

pytestmark = pytest.mark.django_db


def test_a_coupon_is_spread_over_the_lines_to_the_cent(client, shop):
    put(client, shop["wash7"])
    put(client, shop["soft"])

    order = bought(client, coupon="welcome10")

    paid = {line.product.sku: line.total_gross for line in order.lines.all()}
    assert paid == {"wash7": Decimal("540"), "soft": Decimal("6.75")}
    assert order.total_gross == Decimal("546.75") == order.payments.get().amount
    assert order.discounts.get().gross == Decimal("60.75")


@pytest.mark.parametrize(
    ("basket", "coupon", "total"),
    [
        pytest.param({"soft": 1}, "", "12.40", id="7.50 and delivery"),
        pytest.param({"wash7": 1}, "", "600", id="free delivery from 50"),
        pytest.param({"soft": 2}, "", "19.90", id="two cost twice"),
        pytest.param({"soft": 3}, "", "25.15", id="three are ten percent less"),
        pytest.param({"deter": 5}, "SPRING15", "50.80", id="54 less 15 % is below 50"),
        pytest.param({"gift25": 1}, "WELCOME10", "25", id="no coupon on a gift card"),
        pytest.param({"ber": 1}, "", "389", id="nothing to deliver"),
        pytest.param({"sencha": 1}, "", "2400", id="yen and delivery"),
    ],
)
def test_the_total_is(client, shop, basket, coupon, total):
    for sku, quantity in basket.items():
        put(client, shop[sku], quantity)

    order = bought(client, coupon=coupon)

    assert order.total_gross == Decimal(total)
    assert order.total_gross == order.shipping_gross + sum(
        line.total_gross for line in order.lines.all()
    )
    assert order.total_net == order.shipping_net + sum(line.total_net for line in order.lines.all())


def test_yen_have_no_decimals(client, shop):
    put(client, shop["sencha"])
    put(client, shop["kyusu"])

    order = bought(client, coupon="WELCOME10", country="JP")

    assert all(line.total_net % 1 == 0 for line in order.lines.all())
    assert order.total_gross == Decimal("9540")


@pytest.mark.parametrize(
    ("method", "paid", "card", "offered"),
    [
        pytest.param("card", True, "card_ok", True, id="card"),
        pytest.param("invoice", False, "", True, id="invoice"),
    ],
)
def test_an_order_is_paid_by(client, shop, method, paid, card, offered):
    put(client, shop["wash9"])

    order = bought(client, payment_method=method)

    assert (order.payment_method, order.paid, order.card) == (method, paid, card)
    assert order.payments.count() == int(paid)
    page = client.get(f"/order/{order.pk}/thanks/").content
    assert (b"data-upsell-offer" in page) is offered
    assert order.number in mail.outbox[0].subject


def test_a_gift_card_pays_a_part_and_the_card_the_rest(client, shop):
    put(client, shop["wash7"])

    order = bought(client, gift_card="gift-2500-demo")

    paid = {payment.gateway: payment.amount for payment in order.payments.all()}
    assert paid == {"gift_card": Decimal("25"), "card": Decimal("575")}
    assert order.payment_method == "card"
    assert GiftCard.objects.get(code="GIFT-2500-DEMO").balance == 0
    assert b"data-upsell-offer" in client.get(f"/order/{order.pk}/thanks/").content


def test_an_order_paid_by_gift_card_alone_is_offered_nothing(client, shop):
    put(client, shop["clean"])

    order = bought(client, gift_card="GIFT-2500-DEMO")

    assert (order.payment_method, order.paid) == ("gift_card", True)
    assert GiftCard.objects.get(code="GIFT-2500-DEMO").balance == Decimal("2.10")
    assert b"data-upsell-offer" not in client.get(f"/order/{order.pk}/thanks/").content


def test_a_bought_gift_card_pays_the_next_order(client, shop):
    put(client, shop["gift25"])
    code = bought(client).lines.get().gift_cards.get().code
    put(client, shop["soft"])

    order = bought(client, gift_card=code)

    assert order.payment_method == "gift_card"
    assert GiftCard.objects.get(code=code).balance == Decimal("12.60")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("email", "not an address", "look like an e-mail address"),
        ("name", "", "give your name"),
        ("street", "", "give street and number"),
        ("country", "XX", "valid choice"),
        ("payment_method", "cash", "valid choice"),
        ("card", "", "Choose a test card"),
        ("coupon", "nope", "do not know this coupon"),
        ("gift_card", "nope", "do not know this gift card"),
        ("gift_card", "GIFT-5000-YEN", "holds JPY"),
        ("coupon", "SPRING15", "counts from 30 EUR"),
    ],
)
def test_a_mistake_is_told_at_its_field_and_keeps_what_was_typed(client, shop, field, value, words):
    put(client, shop["soft"])

    response = client.post("/checkout/", BUYER | {field: value})

    page = response.content.decode()
    assert response.status_code == 200
    assert list(response.context["form"].errors) == [field]
    assert words in response.context["form"].errors[field][0]
    assert f'id="id_{field}_error"' in page
    typed = {name: BUYER[name] for name in ("email", "name", "street")}
    if field not in {"country", "payment_method", "card"}:
        typed[field] = value
    assert all(f'value="{text}"' in page for text in typed.values() if text)
    assert not Order.objects.exists()
    assert client.session["basket"] == {str(shop["soft"].pk): 1}


def test_a_coupon_is_applied_before_the_rest_is_typed(client, shop):
    put(client, shop["wash7"])

    response = client.post("/checkout/", {"coupon": "WELCOME10", "do": "coupon"})

    page = response.content.decode()
    assert not response.context["form"].errors
    assert "Coupon WELCOME10" in page
    assert "€540.00" in page
    assert not Order.objects.exists()


def test_the_last_unit_is_not_sold_twice(client, shop):
    put(client, shop["wash9"])
    Product.objects.filter(sku="wash9").update(stock=0)

    response = client.post("/checkout/", BUYER)

    assert "has just sold out" in response.content.decode()
    assert not Order.objects.exists()


def test_an_empty_basket_has_no_checkout(client, shop):
    assert client.get("/checkout/").headers["Location"] == "/basket/"
