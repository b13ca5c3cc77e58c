"""A buyer's change of mind: the order as it was, and the money on its way back."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from upsell import clock, conf, snapshots
from upsell.exceptions import OfferNotAcceptable, OfferNotFound, Refused
from upsell.models import Acceptance, Offer
from upsell.models.tokens import hashed
from upsell.ports import Applied, Price
from upsell.services import recording, refunding
from upsell.services.accepting import retried


def undo(*, token: str, trusted: bool) -> Offer:
    """Give an accepted offer back, once: lines, totals, then the money.

    Args:
        token: The offer's token, with ``trusted``; or the undo token, which suffices by
            itself because it only gives back.
        trusted: Whether this request may act for the buyer.

    Raises:
        OfferNotFound: No offer has this token.
        OfferNotAcceptable: ``login_required``; ``expired`` after the time to undo;
            ``order_released`` once packed; ``order_changed``.
    """
    offer, refusal, refund_id = retried(lambda: _undone(token, trusted=trusted))
    if refusal:
        raise OfferNotAcceptable(refusal, f"offer {offer.pk} cannot be undone: {refusal}")
    if refund_id is not None:
        refunding.send(refund_id=refund_id)
        offer.refresh_from_db()
    return offer


def _undone(token: str, *, trusted: bool) -> tuple[Offer, str, int | None]:
    digest = hashed(token)
    with transaction.atomic(durable=True):
        offer = (
            Offer.objects.select_for_update()
            .filter(Q(token_hash=digest) | Q(undo_hash=digest))
            .first()
        )
        if offer is None:
            raise OfferNotFound
        if offer.undo_hash != digest and not trusted:
            return offer, "login_required", None
        if offer.state == "REVERSED":
            return offer, "", None
        if offer.state != "ACCEPTED":
            return offer, "revoked", None
        acceptance = Acceptance.objects.select_related("attempt").get(offer=offer)
        now = clock.database_now()
        if acceptance.undo_until <= now:
            return offer, "expired", None
        occasion = snapshots.gather(offer.order_ref or "")
        if occasion.released:
            return offer, "order_released", None
        try:
            with transaction.atomic():
                conf.shop().revert(snapshots.change_of(offer), applied_of(offer, acceptance))
        except Refused as refused:
            return offer, refused.reason, None
        return offer, "", reverse(offer, acceptance, reason="customer_undo", actor="buyer", now=now)


def reverse(
    offer: Offer, acceptance: Acceptance, *, reason: str, actor: str, now: datetime
) -> int | None:
    """Close an accepted offer as reversed, inside the caller's transaction; return its refund.

    Only what is left of **our** charge goes back; nothing, where it was on the open balance.
    """
    acceptance.reversed_at = now
    acceptance.save(update_fields=["reversed_at"])
    recording.move(offer, "REVERSED", at=now, reason=reason, actor=actor)
    recording.enqueue(offer, ["REVERSAL"], now=now)
    attempt = acceptance.attempt
    left = refunding.refundable(attempt)
    if left <= 0 or attempt.charge_state == "DEFERRED":
        return None
    return refunding.open_refund(attempt, left, reason=reason, now=now).pk


def applied_of(offer: Offer, acceptance: Acceptance) -> Applied:
    """Return what ``Shop.apply`` returned when this was accepted."""
    return Applied(
        change_id=str(offer.uuid),
        line_ref=acceptance.line_ref,
        total_before=Price(
            currency=offer.currency,
            net=acceptance.total_before_net,
            gross=acceptance.total_before_gross,
        ),
        total_after=Price(
            currency=offer.currency,
            net=acceptance.total_after_net,
            gross=acceptance.total_after_gross,
        ),
        removed=tuple(acceptance.removed),
    )
