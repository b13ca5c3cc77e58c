"""The host waits with packing while an offer is open, and never a moment longer (I27)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone

from example_shop.models import Order, Product
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered
from upsell import conf
from upsell.exceptions import OfferNotAcceptable, Refused
from upsell.models import Campaign, Offer, OutboxMessage
from upsell.models.tokens import offer_token
from upsell.services import declining, expiring, messaging, offering, revoking

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


@pytest.fixture
def hold(settings, monkeypatch) -> list[str]:
    """A shop that waits when asked; what it was asked, in order."""
    settings.UPSELL_FULFILMENT_HOLD = True
    asked: list[str] = []
    shop = conf.shop()
    monkeypatch.setattr(shop, "hold_fulfilment", lambda ref, until: asked.append("hold"))
    monkeypatch.setattr(shop, "release_fulfilment", lambda ref: asked.append("release"))
    return asked


def overdue(offer: Offer) -> None:
    over = timezone.now() - timedelta(seconds=1)
    Offer.objects.filter(pk=offer.pk).update(
        expires_at=over, created_at=over - timedelta(minutes=30)
    )


def accepts_too_late(offer: Offer) -> None:
    overdue(offer)
    accept(offer)


def declines_too_late(offer: Offer) -> None:
    overdue(offer)
    declining.decline(token=offer_token(offer))


def is_forgotten(offer: Offer) -> None:
    overdue(offer)
    expiring.expire_due()


def accepts_what_is_sold_out(offer: Offer) -> None:
    Product.objects.filter(sku="CA").update(stock=0)
    accept(offer)


def accepts_for_a_cancelled_order(offer: Offer) -> None:
    Order.objects.update(cancelled=True)
    accept(offer)


def order_is_cancelled(offer: Offer) -> None:
    Order.objects.update(cancelled=True)
    revoking.order_changed(order_ref=offer.order_ref or "")


def staff_withdraw(offer: Offer) -> None:
    revoking.withdraw_outstanding(campaign_id=Campaign.objects.get().pk, actor="staff")


def is_declined_twice_by_the_bank(offer: Offer) -> None:
    Order.objects.update(card="card_declined")
    for _ in range(2):
        with suppress(Exception):
            accept(offer)


EXITS: dict[str, tuple[Callable[[Offer], object], str]] = {
    "accepts": (accept, "ACCEPTED"),
    "declines": (lambda offer: declining.decline(token=offer_token(offer)), "DECLINED"),
    "accepts too late": (accepts_too_late, "EXPIRED"),
    "declines too late": (declines_too_late, "EXPIRED"),
    "never answers": (is_forgotten, "EXPIRED"),
    "accepts what is sold out": (accepts_what_is_sold_out, "FAILED"),
    "accepts for a cancelled order": (accepts_for_a_cancelled_order, "REVOKED"),
    "has the order cancelled": (order_is_cancelled, "REVOKED"),
    "is late, staff withdrew it": (staff_withdraw, "REVOKED"),
    "is declined twice by the bank": (is_declined_twice_by_the_bank, "FAILED"),
}


@pytest.mark.parametrize("how", EXITS)
def test_the_host_is_let_go_when_the_buyer(how, hold):
    products = catalogue()
    campaign(products["CA"])
    offer = offered(order(products))
    messaging.send_due()
    assert hold == ["hold"]
    act, state = EXITS[how]

    with suppress(OfferNotAcceptable):
        act(offer)
    messaging.send_due()

    assert Offer.objects.get().state == state
    assert hold == ["hold", "release"]


def test_the_host_is_let_go_when_its_shop_refuses_to_apply(hold, monkeypatch):
    products = catalogue()
    campaign(products["CA"])
    offer = offered(order(products))

    def refuses(*args, **kwargs):
        raise Refused("order_changed", "packed a second ago")

    monkeypatch.setattr(conf.shop(), "apply", refuses)
    accept(offer)
    messaging.send_due()

    assert Offer.objects.get().state == "FAILED"
    assert "release" in hold


def test_nothing_is_held_where_nothing_is_shown(hold):
    products = catalogue()
    campaign(products["CA"], status="OFF")
    offering.offer_for(order_ref=str(order(products).pk), now=timezone.now(), show=True)

    messaging.send_due()

    assert OutboxMessage.objects.count() == 0
    assert hold == []
