"""What was done in the provider's own dashboard, or by the buyer's bank, shown in our books."""

from __future__ import annotations

import logging
from datetime import datetime
from decimal import Decimal
from functools import partial

from django.db import transaction

from upsell import clock, signals
from upsell.models import Acceptance, Attempt, Offer, OfferEvent, Refund
from upsell.models.offer import REFUSED_REFUND
from upsell.ports import ChargeResult
from upsell.services import changing, recording, refunding
from upsell.services.locking import locked_with, retried

logger = logging.getLogger("upsell")


def mirror(*, attempt_id: int, result: ChargeResult) -> bool:
    """Write down what went back without us: refunds in the dashboard, and lost disputes.

    What we asked for ourselves is counted first, so that our own refund is never written twice.
    Once all of an attempt's money is back, its accepted offer is reversed, unless a part of the
    line was paid with the order itself; the order is changed by the host.

    Returns:
        Whether there was anything of that in the answer.
    """
    if not result.refunded and not result.dispute:
        return False
    attempt = Attempt.objects.select_related("offer").get(pk=attempt_id)
    if result.dispute:
        retried(partial(_dispute, attempt, result))
    if result.refunded or result.dispute == "lost":
        retried(partial(_money_back, attempt, result))
    return True


def _dispute(attempt: Attempt, result: ChargeResult) -> None:
    with transaction.atomic(durable=True):
        offer, attempt = locked_with(attempt)
        kind = f"dispute_{result.dispute}"
        if OfferEvent.objects.filter(offer=offer, kind=kind).exists():
            return
        now = clock.database_now()
        figures = {"amount": str(result.amount), "currency": attempt.currency}
        recording.append([recording.event(offer, kind, at=now, actor="provider", **figures)])
        logger.error("offer %s: the buyer's bank disputes its charge: %s", offer.pk, result.dispute)
        if result.dispute == "open":
            transaction.on_commit(
                partial(
                    signals.offer_needs_attention.send_robust,
                    sender=Offer,
                    offer_id=offer.pk,
                    at=now,
                    code="disputed",
                )
            )


def _money_back(attempt: Attempt, result: ChargeResult) -> None:
    reason = "dispute_lost" if result.dispute == "lost" else "dashboard"
    with transaction.atomic(durable=True):
        offer, attempt = locked_with(attempt)
        now = clock.database_now()
        # Less what we gave back, or promised to: the provider's total includes it sooner or later.
        left = refunding.refundable(attempt)
        if result.dispute == "lost":
            if Refund.objects.filter(attempt=attempt, reason=reason).exists():
                return
            more = min(result.amount or attempt.taken, left)
        else:
            more = min(result.refunded or Decimal(0), attempt.taken) - (attempt.taken - left)
        if more <= 0:
            return
        refund = refunding.open_refund(attempt, more, reason=reason, now=now)
        recording.stand(refund, "DONE")
        refund.settled_at, refund.next_try_at = now, None
        refund.save(update_fields=["state", "settled_at", "next_try_at"])
        figures = {"amount": str(more), "currency": attempt.currency}
        figures["refund"] = str(refund.uuid)
        recording.append(
            [recording.event(offer, "refunded", at=now, actor="provider", reason=reason, **figures)]
        )
        acceptance = Acceptance.objects.select_related("quote").filter(offer=offer).first()
        if acceptance is not None:
            refunding.note_back(acceptance, more, now=now)
            if offer.state == "ACCEPTED" and more == left:
                _reverse_if_whole(offer, acceptance, reason=reason, now=now)
        elif attempt.live_offer_id is not None and more == left:
            _close(offer, attempt, now=now)
        if more == left and offer.failure_code == REFUSED_REFUND:
            offer.failure_code = "refunded"  # staff, or the bank, did what the provider refused us
            offer.save(update_fields=["failure_code"])
        if attempt.state == "APPLIED" and changing.is_shared():
            refunding.book(refund, refund.key)
    if attempt.state == "APPLIED" and not changing.is_shared():
        refunding.book(refund, refund.key)


def _reverse_if_whole(offer: Offer, acceptance: Acceptance, *, reason: str, now: datetime) -> None:
    if acceptance.quote.credit_gross > 0:
        return  # the rest of the line was paid with the order: the host decides about it
    acceptance.reversed_at = now
    acceptance.save(update_fields=["reversed_at"])
    recording.move(offer, "REVERSED", at=now, reason=reason, actor="provider")


def _close(offer: Offer, attempt: Attempt, *, now: datetime) -> None:
    """Everything went back before the order was changed: it is not changed any more."""
    if changing.is_shared():
        changing.let_go(attempt)
    recording.stand(attempt, "REFUNDED")
    attempt.live_offer, attempt.settled_at, attempt.next_look_at = None, now, None
    attempt.save(update_fields=["state", "live_offer", "settled_at", "next_look_at"])
    offer.failure_code = "refunded"
    recording.move(offer, "FAILED", at=now, reason="refunded", fields=["failure_code"])
