"""What a buyer says of how an offer was made: one number, theirs to change or to leave out."""

from __future__ import annotations

from django.db import transaction

from upsell import clock, snapshots
from upsell.engine.metrics import SCORES
from upsell.exceptions import OfferNotAcceptable
from upsell.models import Offer, OfferEvent
from upsell.models.tokens import hashed
from upsell.services import recording
from upsell.services.locking import locked, retried

KIND = "rated"
CHANGES = 20
"""How often one buyer may change their mind: a log that only grows is not everybody's to write."""


def rate(*, token: str, score: int) -> Offer:
    """Take a buyer's answer to the one question, on an offer that they accepted or declined.

    It may be changed as long as the page of the offer can be opened. The same again is nothing.

    Args:
        score: From 1, very poor, to 5, very good.

    Raises:
        OfferNotFound: No offer has this token.
        OfferNotAcceptable: ``revoked`` where nobody is asked: the sales channel does not ask, it
            was a trial, or it is neither accepted nor declined; ``rate_limited`` after twenty.
        ValueError: ``score`` is no such number.
    """
    if score not in SCORES:
        raise ValueError(f"a score is from {SCORES[0]} to {SCORES[-1]}, and is {score}")
    offer, refusal = retried(lambda: _rated(token, score))
    if refusal:
        raise OfferNotAcceptable(refusal, f"offer {offer.pk} is not to be rated: {refusal}")
    return offer


def _rated(token: str, score: int) -> tuple[Offer, str]:
    with transaction.atomic(durable=True):
        offer = locked(token_hash=hashed(token))
        asked = snapshots.policy(offer.channel).ask_satisfaction and not offer.trial
        if not asked or offer.state not in {"ACCEPTED", "DECLINED"}:
            return offer, "revoked"
        if offer.satisfaction == score:
            return offer, ""
        if OfferEvent.objects.filter(offer=offer, kind=KIND).count() >= CHANGES:
            return offer, "rate_limited"
        offer.satisfaction = score
        offer.save(update_fields=["satisfaction"])
        now = clock.database_now()
        recording.append([recording.event(offer, KIND, at=now, actor="buyer", score=score)])
        return offer, ""
