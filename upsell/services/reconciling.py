"""Finishing what a crash, a lost answer or a lost message left half-done. It only ever asks."""

from __future__ import annotations

import logging
import time
from collections import Counter
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import F, Q, QuerySet

from upsell import clock, conf
from upsell.models import Attempt, Offer, Refund
from upsell.ports import ChargeResult, ChargeState
from upsell.services import (
    fulfilling,
    guarding,
    hearing,
    recording,
    refunding,
    undoing,
    withdrawing,
)

logger = logging.getLogger("upsell")

APART = timedelta(seconds=60)
SOON = timedelta(seconds=59)
GIVE_UP_AFTER = timedelta(hours=1)
WHILE_THE_BANK_ASKS = timedelta(seconds=60)
"""A buyer at the bank may pay at any moment of a quarter of an hour, and never come back."""
WHILE_IT_IS_GIVEN_BACK = timedelta(minutes=15)
"""Staff gave an offer up, and the provider does not say yet whether there is money to give back."""


def reconcile(*, now: datetime | None = None, limit: int = 200) -> dict[str, int]:
    """Look at every attempt and refund that is due; return how many came to what.

    Safe in parallel: each row is claimed by a conditional update. Charges are asked for
    30 s, 90 s, 5 min, 15 min and 1 h after they began (``UPSELL_RECONCILE_AFTER``), and every
    minute while the buyer's bank asks; a provider at most ``UPSELL_GATEWAY_RATE`` times a second.
    """
    told = now or clock.database_now()
    counts: Counter[str] = Counter()
    pace = _Pace(float(conf.get("UPSELL_GATEWAY_RATE")))
    for attempt_id in _due_attempts(told).values_list("pk", flat=True)[:limit]:
        pace.wait()
        try:
            outcome = _looked_at(attempt_id, now=told)
        except guarding.NotAsked:
            outcome = "not_asked"
        except Exception:
            # One attempt that cannot be settled must not keep the others waiting.
            logger.exception("attempt %s could not be reconciled", attempt_id)
            outcome = "error"
        counts[outcome] += 1
    if not conf.shop().shares_database:
        for offer_id in _half_undone().values_list("pk", flat=True)[:limit]:
            counts[_undone(offer_id)] += 1
    due = Refund.objects.filter(state="PENDING", next_try_at__lte=told).order_by(
        "next_try_at", "pk"
    )
    for refund in due[:limit]:
        claimed = Refund.objects.filter(
            pk=refund.pk, state="PENDING", next_try_at=refund.next_try_at
        ).update(next_try_at=told + APART)
        if claimed:
            pace.wait()
            counts[_given_back(refund.pk)] += 1
    counts.update({f"report_{name}": n for name, n in hearing.match_parked(now=told).items()})
    return dict(counts)


class _Pace:
    """So many calls a second and no more: a provider that comes back is not run over."""

    def __init__(self, rate: float) -> None:
        self._gap = 1 / rate if rate > 0 else 0.0
        self._next = 0.0

    def wait(self) -> None:
        """Wait until the next call may be made."""
        now = time.monotonic()
        if self._next > now:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + self._gap


def _undone(offer_id: int) -> str:
    try:
        if withdrawing.is_asked(offer_id=offer_id):
            return "withdrawal_" + withdrawing.finish(offer_id=offer_id).state.lower()
        return "undone_" + undoing.finish(offer_id=offer_id).state.lower()
    except Exception:
        # A shop over the network that does not answer: asked again at the next look.
        logger.exception("offer %s could not be given back", offer_id)
        return "error"


def _given_back(refund_id: int) -> str:
    try:
        return "refund_" + refunding.send(refund_id=refund_id).state.lower()
    except Exception:
        # One refund that the shop cannot book must not keep the others waiting.
        logger.exception("refund %s could not be finished", refund_id)
        return "error"


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


def look(*, attempt_id: int) -> str:
    """Look at one attempt now, due or not; return what it came to, as ``reconcile`` counts it.

    Whoever dies meanwhile is made up for within a minute; then the looks go on as planned.
    """
    now = clock.database_now()
    soon = now + SOON
    try:
        outcome = _looked_at(attempt_id, now=now, soon=soon)
    except guarding.NotAsked:
        outcome = "not_asked"
    left = Attempt.objects.filter(pk=attempt_id, next_look_at=soon)
    for attempt in left:
        left.update(next_look_at=_next_look(attempt, now=now))
    return outcome


def _looked_at(attempt_id: int, *, now: datetime, soon: datetime | None = None) -> str:
    attempt = Attempt.objects.select_related("offer", "quote").get(pk=attempt_id)
    offer = attempt.offer
    gateway = fulfilling.gateway_to_ask(attempt)
    if gateway is not None and guarding.is_open(gateway.slug):
        return "not_asked"  # and no look is used up
    claimed = Attempt.objects.filter(
        pk=attempt.pk, looks=attempt.looks, live_offer__isnull=False
    ).update(looks=F("looks") + 1, next_look_at=soon or _next_look(attempt, now=now))
    if not claimed:
        return "claimed_elsewhere"
    if gateway is None:
        return fulfilling.settle(attempt_id=attempt.pk).state.lower()
    result = fulfilling.found(gateway, attempt)
    if result is None:
        return _absent(attempt, now=now)
    over = offer.action_expires_at is not None and offer.action_expires_at <= now
    over = over or attempt.state == "REFUNDING"
    if result.state in {ChargeState.REQUIRES_ACTION, ChargeState.PENDING}:
        if not over:
            return fulfilling.settle(attempt_id=attempt.pk, result=result).state.lower()
        cancel = partial(gateway.cancel, attempt.reference or result.reference, attempt.key)
        return _challenge_over(attempt, fulfilling.answer_of(gateway, cancel, attempt), now=now)
    if result.state is ChargeState.UNKNOWN:
        return _unknown(attempt, now=now)
    if over and result.state is ChargeState.DECLINED:  # given up, and the answer was lost
        return _challenge_over(attempt, result, now=now)
    settled = fulfilling.settle(attempt_id=attempt.pk, result=result)
    if settled.state == "ACCEPTING":  # paid, and the shop does not say what became of the order
        return _unknown(attempt, now=now)
    return settled.state.lower()


def _next_look(attempt: Attempt, *, now: datetime) -> datetime | None:
    if attempt.state == "ACTION_REQUIRED":
        return now + WHILE_THE_BANK_ASKS
    if attempt.state == "REFUNDING":
        return now + APART
    if attempt.state == "NEEDS_ATTENTION":
        return None  # looked at when staff say so
    return fulfilling.next_look(attempt.started_at, attempt.looks + 1)


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
    if now - attempt.absent_since < APART:  # staff asked in between: the second look stays due
        Attempt.objects.filter(pk=attempt.pk).update(next_look_at=attempt.absent_since + APART)
        return "absent_once"
    return fulfilling.release(
        attempt_id=attempt.pk, state="RELEASED", code="payment_unknown"
    ).state.lower()


def _second_look(attempt: Attempt) -> datetime:
    return attempt.started_at + timedelta(seconds=conf.get("UPSELL_RECONCILE_AFTER")[1])


def _unknown(attempt: Attempt, *, now: datetime) -> str:
    if attempt.state == "REFUNDING":
        pause = now + WHILE_IT_IS_GIVEN_BACK
        Attempt.objects.filter(pk=attempt.pk, state="REFUNDING").update(next_look_at=pause)
        return "unknown"
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
