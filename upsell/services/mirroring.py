"""What was done in the provider's own dashboard, or by the buyer's bank, shown in our books."""

from __future__ import annotations

import logging
import uuid
from datetime import datetime
from decimal import Decimal
from functools import partial

from django.db import transaction
from django.db.models import Sum

from upsell import clock, conf, signals
from upsell.engine.money import round_money
from upsell.models import Acceptance, Attempt, Offer, OfferEvent, Refund
from upsell.ports import ChargeResult
from upsell.services import changing, recording
from upsell.services.locking import locked_with, retried

logger = logging.getLogger("upsell")


def mirror(*, attempt_id: int, result: ChargeResult) -> None:
    """Write down what went back without us: refunds in the dashboard, and lost disputes.

    What we asked for ourselves is counted first, so that our own refund is never written twice.
    Once all of an attempt's money is back, its accepted offer is reversed, unless a part of the
    line was paid with the order itself; the order is changed by the host.
    """
    if not result.refunded and not result.dispute:
        return
    attempt = Attempt.objects.select_related("offer").get(pk=attempt_id)
    if result.dispute:
        retried(partial(_dispute, attempt, result))
    if result.refunded or result.dispute == "lost":
        retried(partial(_money_back, attempt, result))


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
        ours = _given_back(attempt)
        if result.dispute == "lost":
            if Refund.objects.filter(attempt=attempt, reason=reason).exists():
                return
            more = min(result.amount or attempt.amount, attempt.amount - ours)
        else:
            more = min(result.refunded or Decimal(0), attempt.amount) - ours
        if more <= 0:
            return
        refund = _written(attempt, more, reason=reason, now=now)
        figures = {"amount": str(more), "currency": attempt.currency}
        recording.append(
            [recording.event(offer, "refunded", at=now, actor="provider", reason=reason, **figures)]
        )
        acceptance = Acceptance.objects.select_related("quote").filter(offer=offer).first()
        if acceptance is not None:
            _count(acceptance, more)
            if offer.state == "ACCEPTED" and ours + more == attempt.amount:
                _reverse_if_whole(offer, acceptance, reason=reason, now=now)
        elif attempt.live_offer_id is not None and ours + more == attempt.amount:
            _close(offer, attempt, now=now)
    if attempt.state == "APPLIED":
        conf.shop().record_payment(
            offer.order_ref or "", "refund", more, attempt.currency, refund.key, attempt.gateway
        )


def _given_back(attempt: Attempt) -> Decimal:
    """What we gave back, or promised to: the provider's total includes it sooner or later."""
    rows = Refund.objects.filter(attempt=attempt).exclude(state="REFUSED")
    return rows.aggregate(total=Sum("amount"))["total"] or Decimal(0)


def _written(attempt: Attempt, amount: Decimal, *, reason: str, now: datetime) -> Refund:
    key = uuid.uuid4()
    return Refund.objects.create(
        uuid=key,
        attempt=attempt,
        key=f"ups-{key}",
        amount=amount,
        currency=attempt.currency,
        reason=reason,
        state="DONE",
        created_at=now,
        settled_at=now,
    )


def _count(acceptance: Acceptance, amount: Decimal) -> None:
    quote = acceptance.quote
    net = round_money(amount * quote.due_net / quote.due_gross, quote.currency)
    acceptance.refunded_net += net
    acceptance.save(update_fields=["refunded_net"])


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
    attempt.state, attempt.live_offer, attempt.settled_at = "REFUNDED", None, now
    attempt.next_look_at = None
    attempt.save(update_fields=["state", "live_offer", "settled_at", "next_look_at"])
    offer.failure_code = "refunded"
    recording.move(offer, "FAILED", at=now, reason="refunded", fields=["failure_code"])
