"""Cases of the specification that need the shop: its payments, its past orders, its stock."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from example_shop.models import Order, Product
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered
from upsell import conf
from upsell.exceptions import ChargeDeclined
from upsell.models import Campaign, Offer, OfferEvent
from upsell.ports import CollectionWay
from upsell.queries import Page
from upsell.services import expiring, offering
from upsell.testing.fakes import FakeGateway

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


class Vaulted(FakeGateway):
    """PayPal with the buyer's consent stored."""

    slug = "vaulted"


class AsksEachTime(FakeGateway):
    """PayPal without it."""

    slug = "asks"

    def __init__(self) -> None:
        super().__init__(how=CollectionWay.REDIRECT_APPROVAL)


def looked(placed: Order) -> Page:
    page = offering.offer_for(order_ref=str(placed.pk), now=timezone.now(), show=True)
    assert page is not None
    return page


def why(placed: Order) -> str:
    """What came out: the offered product, or the reason of the one campaign, or of the order."""
    page = looked(placed)
    if page.offer is not None:
        return page.offer.terms["product"]["title"]
    assert page.decision is not None
    reasons = [reason for _, reason in page.decision.candidates]
    return reasons[0] if page.decision.reason == "no_match" else page.decision.reason


@pytest.mark.parametrize(
    ("payment", "expected"),
    [
        pytest.param({"payment_method": "invoice", "card": "", "paid": False}, "CA", id="S2"),
        pytest.param(
            {"payment_method": "invoice", "card": "", "paid": True},
            "payment_not_supported",
            id="S36 invoice paid already",
        ),
        pytest.param({"card": ""}, "payment_not_supported", id="S37 no card kept"),
        pytest.param(
            {"payment_method": "", "card": ""}, "payment_not_supported", id="S41 nothing was paid"
        ),
        pytest.param(
            {"payment_method": "cheque", "card": ""}, "payment_not_supported", id="no gateway"
        ),
    ],
)
def test_the_orders_own_payment_decides(payment, expected):
    products = catalogue()
    campaign(products["CA"])

    assert why(order(products, **payment)) == expected


@pytest.mark.parametrize(
    ("gateway", "approval", "expected"),
    [
        pytest.param("Vaulted", True, "CHARGE_SAVED", id="S38 vaulted"),
        pytest.param("AsksEachTime", True, "REDIRECT_APPROVAL", id="S38 approval on"),
        pytest.param("AsksEachTime", False, "payment_not_supported", id="S38 approval off"),
    ],
)
def test_s38_a_provider_that_asks_each_time(settings, gateway, approval, expected):
    settings.UPSELL_GATEWAYS = {"paypal": f"{__name__}.{gateway}"}
    settings.UPSELL_APPROVAL = approval
    products = catalogue()
    campaign(products["CA"])
    placed = order(products, payment_method="paypal", card="")

    page = looked(placed)

    found = page.quote.collection if page.quote else why(placed)
    assert found == expected


@pytest.mark.parametrize(
    ("days", "options", "expected"),
    [
        pytest.param(100, {}, "already_purchased", id="S55 100 days ago, mail in other case"),
        pytest.param(400, {}, "CA", id="S55 400 days ago"),
        pytest.param(100, {"refunded": True}, "CA", id="S55 refunded"),
        pytest.param(100, {"cancelled": True}, "CA", id="cancelled"),
        pytest.param(100, {"email": "other@example.org"}, "CA", id="somebody else"),
    ],
)
def test_s55_bought_before(days, options, expected):
    products = catalogue()
    campaign(products["CA"], not_bought_days=365)
    long_ago = timezone.now() - timedelta(days=days)
    order(products, ("CA", 1), placed_at=long_ago, **{"email": "Buyer@Example.org"} | options)

    assert why(order(products)) == expected


def test_s49_nothing_follows_an_expired_offer():
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = offered(placed)
    expiring.expire_due(now=offer.expires_at)
    campaign(products["DT"], priority=99)

    page = looked(placed)

    assert page.offer is not None
    assert (page.offer.pk, page.offer.state) == (offer.pk, "EXPIRED")
    assert Offer.objects.count() == 1


def test_s50_a_reload_shows_the_same_offer_quote_and_one_impression():
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = offered(placed)
    campaign(products["DT"], priority=99)

    again = offered(placed)

    assert (again.pk, again.quote_number) == (offer.pk, 1)
    assert OfferEvent.objects.filter(kind="shown").count() == 1


def test_s10_a_counter_that_is_saved_moves_no_rank():
    products = catalogue()
    nine = timezone.now() - timedelta(hours=3)
    older = campaign(products["CA"], edited_at=nine)
    campaign(products["DT"], edited_at=nine + timedelta(hours=1))
    assert why(order(products)) == "DT"

    older.note = "looked at"
    older.save(update_fields=["note"])

    assert why(order(products)) == "DT"


def test_a26_what_was_reserved_for_a_refused_card_goes_back():
    products = catalogue()
    Product.objects.filter(sku="CA").update(stock=1)
    campaign(products["CA"])
    offer = offered(order(products, card="card_declined"))

    with pytest.raises(ChargeDeclined):
        accept(offer)

    assert Product.objects.get(sku="CA").stock == 1


def test_a38_flat_delivery_is_shown_before_and_charged(gateway):
    products = catalogue()
    campaign(products["CA"], shipping="FLAT", shipping_flat={"EUR": "4.90"})
    placed = order(products)
    page = looked(placed)
    assert page.quote is not None
    assert page.offer is not None
    assert (page.quote.shipping_gross, page.quote.due_gross) == (Decimal("4.90"), Decimal("28.90"))

    accept(page.offer)

    placed.refresh_from_db()
    assert placed.total_gross == Decimal("628.90")
    assert gateway.charged(str(placed.pk)) == Decimal("28.90")


def test_a_shop_that_cannot_replace_lines_is_offered_no_upsell(monkeypatch):
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL")
    shop = conf.shop()
    monkeypatch.setattr(shop, "capabilities", shop.capabilities - {"REPLACE"})

    assert why(order(products)) == "target_not_replaceable"


def test_i1_the_database_refuses_a_second_offer_of_an_order():
    products = catalogue()
    campaign(products["CA"])
    offered(order(products))
    first = Offer.objects.get()

    second = Offer(
        moment="post_purchase",
        occasion_ref=first.occasion_ref,
        order_ref=first.order_ref,
        campaign=Campaign.objects.get(),
        kind="CROSS_SELL",
        product_ref="1",
        currency="EUR",
        unit_net=1,
        unit_gross=1,
        created_at=first.created_at,
        expires_at=first.expires_at,
    )

    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        second.save(force_insert=True)
