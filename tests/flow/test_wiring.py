"""A shop may tell of its orders in three ways, or not at all: the offer is the same one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from example_shop import signals as shop_signals
from example_shop.adapter import ExampleShop
from example_shop.models import Order
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered
from upsell import checks, conf, hooks, receivers, signals
from upsell.exceptions import OfferNotAcceptable
from upsell.models import Decision, Offer, OfferEvent
from upsell.services import offering, revoking

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

WAYS: dict[str, Callable[[str, Order], object]] = {
    "by the adapter's attribute": lambda event, placed: getattr(
        shop_signals, f"order_{event}"
    ).send(sender=Order, order=placed),
    "by our signal": lambda event, placed: getattr(signals, f"order_{event}").send(
        sender=Order, order_ref=str(placed.pk)
    ),
    "by a call": lambda event, placed: getattr(hooks, f"order_{event}")(order_ref=str(placed.pk)),
    "by nothing": lambda event, placed: None,
}


@pytest.fixture
def placed() -> Order:
    products = catalogue()
    campaign(products["CA"])
    return order(products)


def cancel(row: Order) -> None:
    Order.objects.filter(pk=row.pk).update(cancelled=True)


@pytest.mark.parametrize("way", WAYS)
def test_a_shop_gets_the_same_one_offer_wired(way, placed):
    for _ in range(2):
        WAYS[way]("placed", placed)
    assert Decision.objects.count() == 0, "a signal decides nothing"

    offer = offered(placed)

    assert (Offer.objects.count(), offer.product_ref) == (1, offer.campaign.product_ref)


@pytest.mark.parametrize("way", WAYS)
def test_a_cancelled_order_loses_its_offer_wired(way, placed):
    offer = offered(placed)
    cancel(placed)

    WAYS[way]("cancelled", placed)

    told = way != "by nothing"
    assert Offer.objects.get().state == ("REVOKED" if told else "SHOWN")
    with pytest.raises(OfferNotAcceptable) as refused:
        accept(offer)
    assert refused.value.code == "revoked"
    assert Offer.objects.get().state == "REVOKED"


def test_a_signal_sent_twice_is_one_event(placed):
    offered(placed)
    cancel(placed)

    for way in WAYS.values():
        way("cancelled", placed)
        way("refunded", placed)

    assert OfferEvent.objects.filter(after="REVOKED").count() == 1


def test_f2_a_transaction_that_rolls_back_told_nothing(placed):
    offered(placed)

    with transaction.atomic():
        cancel(placed)
        for way in WAYS.values():
            way("cancelled", placed)
        transaction.set_rollback(True)

    assert Offer.objects.get().state == "SHOWN"


@pytest.mark.parametrize(
    ("way", "event"),
    [
        *(("by our signal", event) for event in hooks.ORDER_EVENTS),
        *(("by the adapter's attribute", event) for event in ExampleShop.signals),
    ],
)
def test_a_receiver_of_ours_that_raises_never_reaches_the_checkout(
    way, event, placed, monkeypatch, caplog
):
    def broken(*args, **kwargs):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(revoking, "order_changed", broken)
    monkeypatch.setattr(ExampleShop, "ref", broken)
    monkeypatch.setitem(hooks.ORDER_EVENTS, event, broken)

    with transaction.atomic():
        placed.save()
        WAYS[way](event, placed)

    placed.refresh_from_db()
    assert placed.number
    assert len([row for row in caplog.records if row.exc_info]) == 1


@pytest.mark.parametrize("inside", [True, False])
def test_an_error_of_ours_after_the_commit_never_reaches_the_checkout(
    inside, placed, monkeypatch, caplog
):
    """The host's order is committed, and its request goes on as if we were not there."""

    def broken(*args, **kwargs):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(revoking, "order_changed", broken)

    with transaction.atomic() if inside else nullcontext():
        placed.save()
        hooks.order_cancelled(order_ref=str(placed.pk))

    assert len([row for row in caplog.records if row.exc_info]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"order_ref": "no such order"}, id="an order that is not there"),
        pytest.param({"order_ref": ""}, id="an empty reference"),
        pytest.param({"order": object()}, id="a thing that is no order"),
    ],
)
def test_a_signal_without_an_order_we_know_does_nothing(arguments, placed):
    offered(placed)
    cancel(placed)

    signals.order_cancelled.send(sender=Order, **arguments)

    assert Offer.objects.get().state == "SHOWN"


def test_a_shipped_order_can_no_longer_be_changed(placed):
    offer = offered(placed)
    Order.objects.filter(pk=placed.pk).update(released=True)
    WAYS["by our signal"]("shipped", placed)

    with pytest.raises(OfferNotAcceptable) as refused:
        accept(offer)

    assert refused.value.code == "order_released"


def test_an_order_cancelled_before_anybody_looked_is_offered_nothing(placed):
    cancel(placed)

    page = offering.offer_for(order_ref=str(placed.pk), now=timezone.now())

    assert page is not None
    assert (page.offer, page.decision and page.decision.reason) == (None, "order_cancelled")


class Careless(ExampleShop):
    signals = {"placed": "django.db.models.signals.post_save"}


class Mistyped(ExampleShop):
    signals = {"placed": "example_shop.signals.order_plcaed", "posted": "x.y"}


@pytest.mark.parametrize(("adapter", "found"), [(Careless, ["upsell.E003"])])
def test_post_save_is_refused_by_a_system_check(adapter, found):
    with override_settings(UPSELL_SHOP=f"{__name__}.{adapter.__name__}"):
        conf.shop.cache_clear()
        messages = checks.check_signals(None)

    assert [row.id for row in messages] == found
    assert "every save" in str(messages[0].hint)


def test_a_mistyped_signal_does_not_stop_the_start():
    with override_settings(UPSELL_SHOP=f"{__name__}.Mistyped"):
        receivers.connect()
