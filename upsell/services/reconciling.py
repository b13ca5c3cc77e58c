"""Finishing what a crash, a lost answer or a lost message left half-done. It only ever asks."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import F, Q, QuerySet

from upsell import clock, conf
from upsell.models import Attempt, Offer, Refund
from upsell.ports import ChargeResult, ChargeState
from upsell.services import fulfilling, recording, refunding, undoing

logger = logging.getLogger("upsell")

APART = timedelta(seconds=60)
GIVE_UP_AFTER = timedelta(hours=1)


def reconcile(*, now: datetime | None = None, limit: int = 200) -> dict[str, int]:
    """Look at every attempt and refund that is due; return how many came to what.

    Safe in parallel: each row is claimed by a conditional update. Charges are asked for
    30 s, 90 s, 5 min, 15 min and 1 h after they began (``UPSELL_RECONCILE_AFTER``).
    """
    told = now or clock.database_now()
    counts: Counter[str] = Counter()
    for attempt_id in _due_attempts(told).values_list("pk", flat=True)[:limit]:
        try:
            outcome = _looked_at(attempt_id, now=told)
        except Exception:
            # One attempt that cannot be settled must not keep the others waiting.
            logger.exception("attempt %s could not be reconciled", attempt_id)
            outcome = "error"
        counts[outcome] += 1
    if not conf.shop().shares_database:
        for offer_id in _half_undone().values_list("pk", flat=True)[:limit]:
            counts["undone_" + undoing.finish(offer_id=offer_id).state.lower()] += 1
    due = Refund.objects.filter(state="PENDING", next_try_at__lte=told).order_by(
        "next_try_at", "pk"
    )
    for refund in due[:limit]:
        claimed = Refund.objects.filter(
            pk=refund.pk, state="PENDING", next_try_at=refund.next_try_at
        ).update(next_try_at=told + APART)
        if claimed:
            counts["refund_" + refunding.send(refund_id=refund.pk).state.lower()] += 1
    return dict(counts)


def _due_attempts(now: datetime) -> QuerySet[Attempt]:
    return (
        Attempt.objects.unsettled()
        .filter(
            Q(next_look_at__lte=now) | Q(state="ACTION_REQUIRED", offer__action_expires_at__lte=now)
        )
        .order_by("started_at", "pk")
    )


def _half_undone() -> QuerySet[Offer]:
    """Accepted offers that were asked back of a shop elsewhere, and not given back yet."""
    return Offer.objects.filter(state="ACCEPTED", revoke_requested_at__isnull=False).order_by("pk")


def _looked_at(attempt_id: int, *, now: datetime) -> str:
    attempt = Attempt.objects.select_related("offer", "quote").get(pk=attempt_id)
    claimed = Attempt.objects.filter(
        pk=attempt.pk, looks=attempt.looks, live_offer__isnull=False
    ).update(
        looks=F("looks") + 1,
        next_look_at=fulfilling.next_look(attempt.started_at, attempt.looks + 1),
    )
    if not claimed:
        return "claimed_elsewhere"
    offer = attempt.offer
    gateway = conf.gateway_by_slug(attempt.gateway)
    if attempt.amount <= 0 or attempt.quote.collection == "ADD_TO_BALANCE" or gateway is None:
        return fulfilling.settle(attempt_id=attempt.pk).state.lower()
    result = gateway.find(attempt.key, offer.order_ref or "", attempt.started_at)
    if result is None:
        return _absent(attempt, now=now)
    over = offer.action_expires_at is not None and offer.action_expires_at <= now
    if result.state in {ChargeState.REQUIRES_ACTION, ChargeState.PENDING}:
        if not over:
            return fulfilling.settle(attempt_id=attempt.pk, result=result).state.lower()
        cancel = partial(gateway.cancel, attempt.reference or "", attempt.key)
        return _challenge_over(attempt, fulfilling.answer_of(cancel, attempt), now=now)
    if result.state is ChargeState.UNKNOWN:
        return _unknown(attempt, now=now)
    settled = fulfilling.settle(attempt_id=attempt.pk, result=result)
    if settled.state == "ACCEPTING":  # paid, and the shop does not say what became of the order
        return _unknown(attempt, now=now)
    return settled.state.lower()


def _challenge_over(attempt: Attempt, result: ChargeResult, *, now: datetime) -> str:
    """The buyer never came back. The provider was told to give up, and may say it was paid."""
    if result.state in {ChargeState.CAPTURED, ChargeState.AUTHORIZED}:
        return fulfilling.settle(attempt_id=attempt.pk, result=result).state.lower()
    if result.state is ChargeState.UNKNOWN:
        return _unknown(attempt, now=now)
    return fulfilling.release(
        attempt_id=attempt.pk, state="RELEASED", code="challenge_expired", expired=True
    ).state.lower()


def _absent(attempt: Attempt, *, now: datetime) -> str:
    """The provider knows nothing of the key: believed when it says so twice, a minute apart."""
    if attempt.absent_since is None:
        Attempt.objects.filter(pk=attempt.pk).update(
            absent_since=now, next_look_at=max(now + APART, _second_look(attempt))
        )
        return "absent_once"
    if now - attempt.absent_since < APART:
        return "absent_once"
    return fulfilling.release(
        attempt_id=attempt.pk, state="RELEASED", code="payment_unknown"
    ).state.lower()


def _second_look(attempt: Attempt) -> datetime:
    return attempt.started_at + timedelta(seconds=conf.get("UPSELL_RECONCILE_AFTER")[1])


def _unknown(attempt: Attempt, *, now: datetime) -> str:
    if now - attempt.started_at < GIVE_UP_AFTER:
        return "unknown"
    with transaction.atomic():
        offer = Offer.objects.select_for_update().get(pk=attempt.offer_id)
        if offer.state in {"ACCEPTING", "ACTION_REQUIRED"}:
            offer.failure_code = "payment_unknown"
            recording.move(
                offer,
                "NEEDS_ATTENTION",
                at=now,
                reason="payment_unknown",
                fields=["failure_code"],
            )
    return "needs_attention"
