"""One offer in each state, brought there by our own services."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from example_shop.models import Order, Product
from tests.factories import order
from upsell.engine.states import OfferState
from upsell.exceptions import ChargeDeclined
from upsell.models import Offer
from upsell.models.tokens import offer_token
from upsell.services import accepting, declining, expiring, offering, revoking, undoing

STATES = [state.value for state in OfferState]

# What the card that paid the order does, where a state depends on it.
_CARDS = {
    "ACCEPTING": "card_hang",
    "ACTION_REQUIRED": "card_challenge",
    "FAILED": "card_declined",
    "NEEDS_ATTENTION": "card_wrong_amount_kept",
}
_ACCEPTED_FIRST = {"ACCEPTED", "REVERSED", *_CARDS}


def offer_in(state: str, products: dict[str, Product], **options: Any) -> Offer:
    """Place an order for a washing machine, and bring its offer to where it is wanted."""
    if state in _CARDS:
        options.setdefault("card", _CARDS[state])
    placed: Order = order(products, **options)
    now = timezone.now()
    page = offering.offer_for(order_ref=str(placed.pk), now=now, show=state != "CREATED")
    assert page is not None
    assert page.offer is not None
    offer = page.offer
    token = offer_token(offer)
    if state in _ACCEPTED_FIRST:
        for _attempt in range(2 if state == "FAILED" else 1):
            try:
                accepting.accept(token=token, quote_number=1, trusted=True)
            except ChargeDeclined:
                assert state == "FAILED"
    if state == "REVERSED":
        undoing.undo(token=token, trusted=True)
    elif state == "DECLINED":
        declining.decline(token=token)
    elif state == "EXPIRED":
        Offer.objects.filter(pk=offer.pk).update(
            created_at=now - timedelta(hours=2), expires_at=now - timedelta(hours=1)
        )
        expiring.expire_due()
    elif state == "REVOKED":
        revoking.revoke(offer_id=offer.pk, reason="withdrawn", actor="test")
    elif state == "SUPPRESSED":
        Offer.objects.filter(pk=offer.pk).update(state="SUPPRESSED", first_shown_at=None)
    offer = Offer.objects.get(pk=offer.pk)
    assert offer.state == state
    return offer
