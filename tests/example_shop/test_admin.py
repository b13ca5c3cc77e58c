"""The shop's own admin: every screen, and what its actions tell the offers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from example_shop.models import GiftCard, Order, PriceChange, Product
from tests.example_shop.shop import bought, put
from upsell.exceptions import OfferNotAcceptable
from upsell.models import Offer
from upsell.models.tokens import offer_token
from upsell.services import accepting

pytestmark = pytest.mark.django_db(transaction=True)

SCREENS = [
    "channel", "category", "brand", "tag", "product", "coupon", "giftcard", "customergroup",
    "customer", "order",
]  # fmt: skip


@pytest.fixture
def staff(shop, client_class):
    return client_class("admin")


@pytest.fixture
def client_class():
    def logged_in(name: str) -> Client:
        browser = Client()
        browser.force_login(get_user_model().objects.get(username=name))
        return browser

    return logged_in


def act(staff, action: str, *orders: Order):
    """Choose an action of the order list; return what the page says afterwards."""
    chosen = {"action": action, "_selected_action": [order.pk for order in orders]}
    page = staff.post("/admin/example_shop/order/", chosen, follow=True)
    return [str(message) for message in page.context["messages"]]


@pytest.mark.parametrize("name", SCREENS)
def test_every_screen_answers(staff, client, shop, name):
    put(client, shop["wash7"])
    bought(client)
    model = apps.get_model("example_shop", name)
    row = model.objects.order_by("pk").first()

    assert staff.get(f"/admin/example_shop/{name}/").status_code == 200
    if row is not None:
        assert staff.get(f"/admin/example_shop/{name}/{row.pk}/change/").status_code == 200


def test_the_order_screen_shows_lines_payments_and_asks_why(staff, client, shop):
    put(client, shop["wash7"])
    order = bought(client)

    page = staff.get(f"/admin/example_shop/order/{order.pk}/change/").content.decode()

    assert "WashPro 7" in page
    assert f"order-{order.number}" in page
    assert f'href="/admin/upsell/campaign/why/?order={order.pk}"' in page
    assert staff.get(f"/admin/upsell/campaign/why/?order={order.pk}").status_code == 200


@pytest.mark.parametrize(
    ("action", "state", "stock"),
    [
        pytest.param("cancel", "REVOKED", 12, id="cancelled"),
        pytest.param("refund", "REVOKED", 12, id="refunded"),
    ],
)
def test_an_order_that_is_gone_takes_its_open_offer_along(
    staff, client, shop, action, state, stock
):
    put(client, shop["wash7"])
    order = bought(client)
    client.get(f"/order/{order.pk}/thanks/")

    act(staff, action, order)

    assert Offer.objects.get().state == state
    assert Product.objects.get(sku="wash7").stock == stock
    assert [row.kind for row in order.payments.order_by("pk")] == ["charge", "refund"]


def test_a_cancelled_order_reverses_an_accepted_offer_and_all_stock_is_back(
    staff, client, shop, gateway
):
    put(client, shop["wash7"])
    order = bought(client)
    client.get(f"/order/{order.pk}/thanks/")
    offer = Offer.objects.get()
    accepting.accept(token=offer_token(offer), quote_number=1, trusted=True)
    assert Product.objects.get(sku="wash9").stock == 4

    act(staff, "cancel", order)

    assert Offer.objects.get().state == "REVERSED"
    assert gateway.charged(str(order.pk)) == 0
    stock = dict(Product.objects.filter(sku__startswith="wash").values_list("sku", "stock"))
    assert stock == {"wash7": 12, "wash9": 5}


def test_a_cancelled_order_gives_the_gift_card_back_and_takes_back_what_it_bought(
    staff, client, shop
):
    put(client, shop["gift25"])
    put(client, shop["clean"])
    order = bought(client, gift_card="GIFT-2500-DEMO")

    act(staff, "cancel", order)

    balances = dict(GiftCard.objects.filter(currency="EUR").values_list("bought_with", "balance"))
    assert sorted(balances.values()) == [Decimal(0), Decimal(25)]
    assert balances[None] == 25


def test_a_packed_order_refuses_its_offer(staff, client, shop, gateway):
    put(client, shop["wash7"])
    order = bought(client)
    client.get(f"/order/{order.pk}/thanks/")

    assert act(staff, "mark_packed", order) == ["1 marked as packed."]

    assert Order.objects.get().released
    with pytest.raises(OfferNotAcceptable, match="order_released"):
        accepting.accept(token=offer_token(Offer.objects.get()), quote_number=1, trusted=True)
    assert gateway.charged(str(order.pk)) == 0


def test_an_order_that_waits_for_an_answer_is_not_packed_yet(staff, client, shop):
    put(client, shop["wash7"])
    order = bought(client)
    Order.objects.update(hold_until=timezone.now() + timedelta(minutes=5))

    told = act(staff, "mark_packed", order)

    assert "the buyer is looking at an offer" in told[0]
    assert not Order.objects.get().released


@pytest.mark.parametrize(
    ("first", "then", "words"),
    [
        ("mark_shipped", "cancel", "it is packed; refund it instead."),
        ("mark_shipped", "mark_shipped", "it is shipped already."),
        ("mark_packed", "mark_packed", "it is packed already."),
        ("cancel", "mark_shipped", "it is cancelled."),
        ("cancel", "refund", "it is cancelled."),
        ("refund", "refund", "it is refunded."),
        ("mark_paid", "mark_packed", "marked as packed"),
    ],
)
def test_what_may_follow_what(staff, client, shop, first, then, words):
    put(client, shop["wash7"])
    order = bought(client)
    act(staff, first, order)

    assert words in act(staff, then, order)[0]


def test_a_paid_invoice_is_booked_once_with_what_the_offer_added(staff, client, shop):
    put(client, shop["wash7"])
    order = bought(client, payment_method="invoice")
    client.get(f"/order/{order.pk}/thanks/")
    accepting.accept(token=offer_token(Offer.objects.get()), quote_number=1, trusted=True)

    act(staff, "mark_paid", order)
    again = act(staff, "mark_paid", order)

    assert order.payments.get().amount == Decimal("840")
    assert "it is paid already" in again[0]


def test_a_new_price_is_kept_in_the_history(staff, shop):
    page = staff.get(f"/admin/example_shop/product/{shop['soft'].pk}/change/")
    fields = page.context["adminform"].form.initial | {"price": "6.50", "facts": "{}"}
    posted = {name: value for name, value in fields.items() if value not in (None, False)}
    posted["tags"] = [tag.pk for tag in posted["tags"]]
    posted |= {"price_history-TOTAL_FORMS": "1", "price_history-INITIAL_FORMS": "1"}
    row = PriceChange.objects.get(product=shop["soft"])
    posted |= {"price_history-0-id": row.pk, "price_history-0-product": shop["soft"].pk}

    saved = staff.post(f"/admin/example_shop/product/{shop['soft'].pk}/change/", posted)

    assert saved.status_code == 302, saved.context["errors"]
    prices = PriceChange.objects.filter(product=shop["soft"]).order_by("since")
    assert [row.price for row in prices] == [Decimal("7.50"), Decimal("6.50")]


def test_staff_see_the_orders_of_their_sales_channel_and_viewers_have_no_actions(
    client_class, client, shop
):
    for sku in ("soft", "case"):
        put(client, shop[sku])
        bought(client)
    green = Order.objects.get(channel__code="greenhome")
    tech = Order.objects.get(channel__code="techgadgets")
    greta, viewer = client_class("greta"), client_class("viewer")

    listed = greta.get("/admin/example_shop/order/").content.decode()

    assert green.number in listed
    assert tech.number not in listed
    assert greta.get(f"/admin/example_shop/order/{tech.pk}/change/").status_code == 302
    assert tech.number in viewer.get("/admin/example_shop/order/").content.decode()
    act(viewer, "cancel", tech)
    assert not Order.objects.filter(cancelled=True).exists()
