"""A buyer's no, as easy as a yes."""

from __future__ import annotations

from django.db import transaction

from upsell import clock
from upsell.engine import states
from upsell.exceptions import OfferNotAcceptable
from upsell.models import Offer
from upsell.models.tokens import hashed
from upsell.services import recording
from upsell.services.locking import locked, retried


def decline(*, token: str) -> Offer:
    """Take a buyer's no, once, however often the button is pressed.

    Returns:
        The declined offer. A second call returns it unchanged.

    Raises:
        OfferNotFound: No offer has this token.
        OfferNotAcceptable: Expired, or answered otherwise.
    """
    offer, refusal = retried(lambda: _declined(token))
    if refusal:
        raise OfferNotAcceptable(refusal, f"offer {offer.pk} is {offer.state}")
    return offer


def _declined(token: str) -> tuple[Offer, str]:
    with transaction.atomic(durable=True):
        offer = locked(token_hash=hashed(token))
        now = clock.database_now()
        if offer.state == "DECLINED":
            return offer, ""
        if offer.state not in states.UNANSWERED:
            return offer, "expired" if offer.state == "EXPIRED" else "revoked"
        if offer.expires_at <= now:
            recording.move(offer, "EXPIRED", at=now)
            return offer, "expired"
        recording.move(offer, "DECLINED", at=now, actor="buyer")
        return offer, ""
