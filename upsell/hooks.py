"""What a host may call. Idempotent, after commit, and never raising towards the checkout."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from django.db import transaction

from upsell import clock, conf
from upsell.queries import Page
from upsell.services import campaigns, offering, returning, revoking

logger = logging.getLogger("upsell")


def order_placed(*, order_ref: str) -> None:
    """Tell that an order was placed. The page decides when it first asks; this hurries nothing."""


def order_changed(*, order_ref: str) -> None:
    """Tell that an order changed: if it is gone, its offer is taken back after the commit.

    Once or ten times is the same, and where nobody tells us, the next ask and the accept find
    out by themselves. Never raises.
    """
    try:
        # No partial: Django's log of one that raises asks for its name, and raises in turn.
        transaction.on_commit(lambda: _look_again(order_ref), robust=True)
    except Exception:
        logger.exception("order %s could not be looked at again", order_ref)


def _look_again(order_ref: str) -> None:
    try:
        revoking.order_changed(order_ref=order_ref)
    except Exception:
        # The host has committed, and its request is still under way: nothing of ours may pass.
        logger.exception("order %s could not be looked at again", order_ref)


def order_cancelled(*, order_ref: str) -> None:
    """Tell that an order was cancelled: an open offer is revoked, an accepted one reversed."""
    order_changed(order_ref=order_ref)


def order_refunded(*, order_ref: str) -> None:
    """Tell that money went back: a fully refunded order is as gone as a cancelled one."""
    order_changed(order_ref=order_ref)


def order_returned(*, order_ref: str) -> None:
    """Tell that goods came back. The order is looked at again."""
    order_changed(order_ref=order_ref)


def order_shipped(*, order_ref: str) -> None:
    """Tell that an order left. Accept and undo ask the order itself; this hurries nothing."""


def order_delivered(*, order_ref: str) -> None:
    """Tell that an order arrived. Journeys wait for it; this hurries nothing."""


ORDER_EVENTS: Mapping[str, Callable[..., None]] = {
    "placed": order_placed,
    "changed": order_changed,
    "cancelled": order_cancelled,
    "refunded": order_refunded,
    "shipped": order_shipped,
    "delivered": order_delivered,
    "returned": order_returned,
}
"""What a shop may tell of an order, by the name it has in ``Shop.signals``."""


def offer_for(*, order_ref: str) -> Page | None:
    """Return what an order is offered, deciding it if nobody has asked before."""
    return offering.offer_for(order_ref=order_ref, now=clock.now())


shop = conf.shop
refund_line = returning.refund_line
save_campaign = campaigns.save_campaign
