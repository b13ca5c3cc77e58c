"""A buyer's change of mind: the order as it was, and the money on its way back."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Q

from upsell import clock, snapshots
from upsell.exceptions import NotFound, OfferNotAcceptable, OfferNotFound, Refused
from upsell.models import Acceptance, Offer, OfferEvent
from upsell.models.tokens import hashed
from upsell.services import changing, recording, refunding
from upsell.services.locking import locked, retried


def undo(*, token: str, trusted: bool) -> Offer:
    """Give an accepted offer back, once: lines, totals, then the money.

    Of an order that is cancelled or refunded the shop has given the lines back already: then
    the money alone, at any time.

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
    if not refusal and offer.state == "ACCEPTED":  # asked for, of a shop elsewhere
        offer, refusal, refund_id = _finished(offer.pk)
    if refusal:
        raise OfferNotAcceptable(refusal, f"offer {offer.pk} cannot be undone: {refusal}")
    if refund_id is not None:
        refunding.send(refund_id=refund_id)
        offer.refresh_from_db()
    return offer


def finish(*, offer_id: int) -> Offer:
    """Finish what was begun in a shop elsewhere: the order back, then the offer reversed.

    Safe to repeat: the shop's ``revert`` is idempotent, and the offer is reversed once.
    """
    offer, _refusal, refund_id = _finished(offer_id)
    if refund_id is not None:
        refunding.send(refund_id=refund_id)
        offer.refresh_from_db()
    return offer


def _undone(token: str, *, trusted: bool) -> tuple[Offer, str, int | None]:
    """Check, and reverse; where the shop is elsewhere, only note that it was asked for."""
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
        if not changing.is_shared():
            if acceptance.undo_until <= now:
                return offer, "expired", None
            if offer.revoke_requested_at is None:
                offer.revoke_requested_at = now
                offer.save(update_fields=["revoke_requested_at"])
                recording.append([recording.event(offer, "undo_requested", at=now, actor="buyer")])
            return offer, "", None
        refusal = _reverted(offer, acceptance, now=now)
        if not refusal:
            refund_id = reverse(offer, acceptance, reason="customer_undo", actor="buyer", now=now)
            return offer, "", refund_id
        gone = _gone(offer)
        if gone:
            return offer, "", reverse(offer, acceptance, reason=gone, actor="host", now=now)
        return offer, refusal, None


def _reverted(offer: Offer, acceptance: Acceptance, *, now: datetime) -> str:
    """Have the shop take its change back; return why it could not be."""
    if acceptance.undo_until <= now:
        return "expired"
    return taken_back(offer, acceptance)


def taken_back(offer: Offer, acceptance: Acceptance) -> str:
    """Have the shop take its change back, at any time; return why it could not be."""
    try:
        occasion = snapshots.gather(offer.order_ref or "")
        if snapshots.gone(occasion):
            return "order_changed"
        if occasion.released:
            return "order_released"
        changing.take_back(offer, acceptance)
    except NotFound:
        return "order_changed"
    except Refused as refused:
        return refused.reason
    return ""


def _gone(offer: Offer) -> str:
    """Look again: what the shop would not revert may have been cancelled a moment ago."""
    try:
        return snapshots.gone(snapshots.gather(offer.order_ref or ""))
    except NotFound:
        return ""


def _finished(offer_id: int) -> tuple[Offer, str, int | None]:
    """Take the change back outside any transaction, and record it in one."""
    offer = Offer.objects.get(pk=offer_id)
    if offer.state != "ACCEPTED":
        return offer, "", None
    refusal = taken_back(offer, Acceptance.objects.get(offer=offer))
    gone = _gone(offer) if refusal else ""
    with transaction.atomic(durable=True):
        offer = locked(pk=offer_id)
        if offer.state != "ACCEPTED":
            return offer, "", None
        if refusal and not gone:
            offer.revoke_requested_at = None
            offer.save(update_fields=["revoke_requested_at"])
            return offer, refusal, None
        acceptance = Acceptance.objects.select_related("attempt").get(offer=offer)
        by_buyer = OfferEvent.objects.filter(offer=offer, kind="undo_requested").exists()
        reason, actor = ("customer_undo", "buyer") if by_buyer else ("revoked", "system")
        if gone:
            reason, actor = gone, "host"
        now = clock.database_now()
        return offer, "", reverse(offer, acceptance, reason=reason, actor=actor, now=now)


def reverse(
    offer: Offer,
    acceptance: Acceptance,
    *,
    reason: str,
    actor: str,
    now: datetime,
    amount: Decimal | None = None,
    tell: str = "REVERSAL",
) -> int | None:
    """Close an accepted offer as reversed, inside the caller's transaction; return its refund.

    Only what is left of **our** charge goes back, or ``amount`` of it; nothing, where it was on
    the open balance. ``tell`` is the message to the buyer; empty where one is written already.
    """
    acceptance.reversed_at = now
    acceptance.save(update_fields=["reversed_at"])
    # A page tells an undo from a cancel.
    offer.failure_code = "" if reason == "customer_undo" else reason
    recording.move(offer, "REVERSED", at=now, reason=reason, actor=actor, fields=["failure_code"])
    if tell:
        recording.enqueue(offer, [tell], now=now)
    left = refunding.refundable(acceptance.attempt)
    due = left if amount is None else min(amount, left)
    if due <= 0:
        return None
    return refunding.open_refund(acceptance.attempt, due, reason=reason, now=now).pk
