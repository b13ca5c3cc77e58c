"""Money on its way back: ours only, under one key each, repeated until it is answered."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from django.db import transaction
from django.db.models import Sum

from upsell import clock, conf
from upsell.engine import metrics
from upsell.engine.money import round_money
from upsell.models import Acceptance, Attempt, Offer, OfferEvent, OfferQuote, Refund
from upsell.ports import Gateway, RefundResult
from upsell.ports import RefundState as Answer
from upsell.services import changing, guarding, recording
from upsell.services.locking import locked_with, retried

logger = logging.getLogger("upsell")

PAUSES = tuple(timedelta(seconds=seconds) for seconds in (30, 90, 300, 900, 3600, 21600, 86400))


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Who gives back what of a refund, in the order's currency."""

    ours: Decimal
    """From the add-on's own charge: first."""
    original: Decimal
    """From the order's original payment: the host's."""


def split(order_ref: str, line_ref: str, amount: Decimal) -> Split:
    """Tell the host which part of a line's refund is ours.

    The add-on's charge is used up first, then the original payment: a line of 840 paid
    540 + 300 and refunded in full gives 300 by us and 540 by the host.
    """
    acceptance = (
        Acceptance.objects.select_related("attempt")
        .filter(offer__order_ref=order_ref, line_ref=line_ref, reversed_at=None)
        .first()
    )
    if acceptance is None:
        return Split(ours=Decimal(0), original=amount)
    left = refundable(acceptance.attempt)
    ours = min(left, amount)
    return Split(ours=ours, original=amount - ours)


def refundable(attempt: Attempt) -> Decimal:
    """Return what of a charge has not been given back or promised back.

    Nothing, where nothing was charged: what is on the open balance is the host's.
    """
    if attempt.charge_state == "DEFERRED":
        return Decimal(0)
    taken = (
        Refund.objects.filter(attempt=attempt)
        .exclude(state="REFUSED")
        .aggregate(total=Sum("amount"))["total"]
    )
    return attempt.taken - (taken or Decimal(0))


def net_of(amount: Decimal, quote: OfferQuote) -> Decimal:
    """Return the net part of a refund, in proportion to what was charged."""
    if quote.due_gross <= 0:
        return Decimal(0)
    return round_money(amount * quote.due_net / quote.due_gross, quote.currency)


def note_back(acceptance: Acceptance, amount: Decimal, *, now: datetime) -> None:
    """Add a refund of a part, tax included, to what came back of a line; see ``net_of``."""
    net = net_of(amount, acceptance.quote)
    acceptance.refunded_net += net
    if now < acceptance.at + metrics.OUTCOME:
        acceptance.returned_net += net
    acceptance.save(update_fields=["refunded_net", "returned_net"])


def open_refund(attempt: Attempt, amount: Decimal, *, reason: str, now: datetime) -> Refund:
    """Write a refund, inside the transaction that makes it due. Sending comes after commit."""
    key = uuid.uuid4()
    refund = Refund.objects.create(
        uuid=key,
        attempt=attempt,
        key=f"ups-{key}",
        amount=amount,
        currency=attempt.taken_currency,
        reason=reason[:64],
        created_at=now,
        next_try_at=now,
    )
    recording.begun(refund)
    return refund


def is_going_back(attempt: Attempt) -> bool:
    """Whether an attempt's money is being given back: what was charged is known then."""
    if attempt.state != "REFUNDING":
        return False
    return Refund.objects.filter(attempt=attempt).exclude(state="REFUSED").exists()


def give_back(*, attempt_id: int) -> Offer:
    """Give back all that is left of a charge that was given up; its offer closes with the answer.

    Twice is the same as once: what is on its way already is left to the reconciler.
    """
    attempt = Attempt.objects.select_related("offer", "quote").get(pk=attempt_id)
    if not changing.is_shared() and refundable(attempt) <= 0 and attempt.live_offer_id is not None:
        changing.let_go(attempt)
    offer, due = retried(partial(_given_up, attempt))
    for refund_id in due:
        send(refund_id=refund_id)
    offer.refresh_from_db()
    return offer


def _given_up(attempt: Attempt) -> tuple[Offer, list[int]]:
    with transaction.atomic(durable=True):
        offer, attempt = locked_with(attempt)
        if attempt.state != "REFUNDING" or attempt.refunds.filter(state="PENDING").exists():
            return offer, []
        now = clock.database_now()
        due = all_back(attempt, reason="given_back", now=now)
        if not due:
            _end(offer, attempt, now=now)
        attempt.next_look_at = None  # what is left to do is the refund's
        attempt.save(update_fields=["next_look_at"])
        return offer, due


def all_back(attempt: Attempt, *, reason: str, now: datetime) -> list[int]:
    """Make all that is left of a charge due, inside the caller's transaction.

    A refund that was refused is asked for anew under its own key, as long as what is left is as
    much: a key stands for one amount for ever, and the same money never gets a second one.

    Returns:
        The refunds that are now to be sent.
    """
    left = refundable(attempt)
    due: list[int] = []
    for refund in attempt.refunds.filter(state="REFUSED").order_by("pk"):
        if refund.amount <= left:
            left -= refund.amount
            recording.stand(refund, "PENDING")
            refund.tries, refund.settled_at, refund.next_try_at = 0, None, now
            refund.save(update_fields=["state", "tries", "settled_at", "next_try_at"])
            due.append(refund.pk)
    if left > 0:
        due.append(open_refund(attempt, left, reason=reason, now=now).pk)
    return due


def send(*, refund_id: int) -> Refund:
    """Ask the provider to give back, outside any transaction; the same key however often."""
    refund = Refund.objects.select_related("attempt__offer", "attempt__quote").get(pk=refund_id)
    if refund.state != "PENDING":
        return refund
    attempt = refund.attempt
    gateway = conf.gateway_by_slug(attempt.gateway)
    if gateway is None or not attempt.reference:
        result = RefundResult(state=Answer.REFUSED, message="no gateway to refund with")
    else:
        result = _asked(gateway, attempt.reference, refund)
    if result.state is Answer.REFUNDED and not changing.is_shared():
        _tell_elsewhere(refund, result)
    return retried(lambda: _answered(refund, result))


def _tell_elsewhere(refund: Refund, result: RefundResult) -> None:
    """Tell a shop elsewhere before it is recorded here: told twice is told once."""
    if refund.attempt.state == "REFUNDING":
        changing.let_go(refund.attempt)
    elif refund.attempt.state == "APPLIED":
        book(refund, result.reference)


def book(refund: Refund, reference: str) -> None:
    """Book a refund on the host's order; the host does it once per reference."""
    conf.shop().record_payment(
        refund.attempt.offer.order_ref or "",
        "refund",
        refund.amount,
        refund.currency,
        reference or refund.key,
        refund.attempt.gateway,
    )


def _asked(gateway: Gateway, reference: str, refund: Refund) -> RefundResult:
    give_back = partial(gateway.refund, reference, refund.amount, refund.currency, refund.key)
    try:
        return guarding.asked(gateway, give_back, is_answer=_is_answer)
    except guarding.NotAsked:
        logger.warning("refund %s: the provider is not asked now", refund.pk)
    except Exception:
        # The gateway is foreign code: asked again later, under the same key.
        logger.exception("refund %s: the gateway raised", refund.pk)
    return RefundResult(state=Answer.UNKNOWN)


def _is_answer(result: RefundResult) -> bool:
    return result.state is not Answer.UNKNOWN


def _answered(refund: Refund, result: RefundResult) -> Refund:
    with transaction.atomic(durable=True):
        offer = Offer.objects.select_for_update().get(pk=refund.attempt.offer_id)
        refund = Refund.objects.select_for_update().get(pk=refund.pk)
        if refund.state != "PENDING":
            return refund
        now = clock.database_now()
        refund.tries += 1
        refund.reference = result.reference or refund.reference
        if result.state is Answer.REFUNDED:
            recording.stand(refund, "DONE")
            refund.settled_at, refund.next_try_at = now, None
        elif result.state is Answer.REFUSED:
            recording.stand(refund, "REFUSED")
            refund.settled_at, refund.next_try_at = now, None
        else:
            refund.next_try_at = now + PAUSES[min(refund.tries, len(PAUSES)) - 1]
        refund.save()
        if refund.state == "DONE":
            _done(offer, refund, now=now)
        elif refund.state == "REFUSED":
            _refused(offer, refund, now=now)
    return refund


def _done(offer: Offer, refund: Refund, *, now: datetime) -> None:
    attempt = Attempt.objects.select_for_update().get(pk=refund.attempt_id)
    recording.append(
        [
            recording.event(
                offer,
                "refunded",
                at=now,
                reason=refund.reason,
                amount=str(refund.amount),
                currency=refund.currency,
                refund=str(refund.uuid),
            )
        ]
    )
    if attempt.state == "REFUNDING":
        _end(offer, attempt, now=now)
    elif attempt.state == "APPLIED" and changing.is_shared():
        book(refund, refund.reference)  # only a charge that the host's books know


def _end(offer: Offer, attempt: Attempt, *, now: datetime) -> None:
    if changing.is_shared():
        changing.let_go(attempt)
    recording.stand(attempt, "REFUNDED")
    attempt.live_offer, attempt.settled_at, attempt.next_look_at = None, now, None
    attempt.save(update_fields=["state", "live_offer", "settled_at", "next_look_at"])
    close_after_refund(offer, now=now)


def asked_by(offer: Offer) -> str:
    """Return which member of staff said to give an offer's money back; empty = nobody did."""
    asked = OfferEvent.objects.filter(offer=offer, kind="giving_back").order_by("-pk")
    return asked.values_list("actor", flat=True).first() or ""


def close_after_refund(offer: Offer, *, now: datetime) -> None:
    """The money is back: the offer failed, or was revoked where staff had asked for that."""
    if offer.state not in {"ACCEPTING", "ACTION_REQUIRED", "NEEDS_ATTENTION"}:
        return
    if offer.revoke_requested_at is not None and offer.state != "NEEDS_ATTENTION":
        recording.move(offer, "REVOKED", at=now, reason="revoked")
        return
    actor = asked_by(offer) if offer.state == "NEEDS_ATTENTION" else ""
    offer.failure_code = "given_back" if actor else offer.failure_code or "apply_failed"
    recording.move(
        offer,
        "FAILED",
        at=now,
        actor=actor,
        reason=offer.failure_code,
        fields=["failure_code"],
    )


def _refused(offer: Offer, refund: Refund, *, now: datetime) -> None:
    """Refused for good: never silent. The offer waits for staff; a reversed one stays reversed."""
    logger.error("offer %s: refund %s was refused", offer.pk, refund.pk)
    offer.failure_code = "refund_refused"
    attempt = Attempt.objects.select_for_update().get(pk=refund.attempt_id)
    if attempt.state == "REFUNDING":
        recording.stand(attempt, "NEEDS_ATTENTION")
        attempt.save(update_fields=["state"])
    if offer.state in {"ACCEPTING", "ACTION_REQUIRED"}:
        recording.move(
            offer, "NEEDS_ATTENTION", at=now, reason="refund_refused", fields=["failure_code"]
        )
        return
    offer.save(update_fields=["failure_code"])
    recording.append([recording.event(offer, "needs_attention", at=now, reason="refund_refused")])
    recording.announce(offer, "NEEDS_ATTENTION", at=now, code="refund_refused")
