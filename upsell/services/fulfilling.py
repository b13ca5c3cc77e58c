"""Charge, then change the order. Resumable from any point: every path calls ``settle``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from django.db import transaction
from django.db.models import F

from upsell import clock, conf, signals, snapshots
from upsell.engine.money import minor_units
from upsell.exceptions import (
    ChargeDeclined,
    ConfigurationError,
    OfferNotAcceptable,
    OfferNotFound,
)
from upsell.models import Acceptance, Attempt, Offer, Refund
from upsell.models.tokens import hashed
from upsell.ports import (
    Applied,
    ChargeRequest,
    ChargeResult,
    ChargeState,
    Gateway,
)
from upsell.services import changing, guarding, mirroring, recording, refunding
from upsell.services.changing import Changed
from upsell.services.locking import GAVE_UP, locked_with, retried

logger = logging.getLogger("upsell")

Answered = TypeVar("Answered", ChargeResult, ChargeResult | None)

_PAID = {ChargeState.CAPTURED, ChargeState.AUTHORIZED, ChargeState.DEFERRED}
_WAITS = {ChargeState.REQUIRES_ACTION, ChargeState.PENDING}
_TAKES = {"ACCEPTING", "ACTION_REQUIRED", "NEEDS_ATTENTION"}
_KNOWN = {"APPLIED", "NEEDS_ATTENTION", "REFUNDING", "REFUNDED"}
"""Attempts whose order is not changed by a report any more: it was, or staff decide, or decided."""


def charge(*, attempt_id: int, return_url: str = "") -> Offer:
    """Collect what an attempt is for, then settle it. Only the accepting request calls this.

    ``return_url`` is where a challenge sends the buyer back to. It opens the offer, so it is
    handed on and never stored.

    Raises:
        ChargeDeclined: The provider refused; nothing was charged, the order is as it was.
    """
    attempt = Attempt.objects.select_related("quote", "offer__decision").get(pk=attempt_id)
    gateway = gateway_to_ask(attempt)
    try:
        result = _asked(attempt, gateway, return_url) if gateway else _nothing_to_ask(attempt)
    except guarding.NotAsked as error:
        offer = release(attempt_id=attempt_id, state="RELEASED", code="payment_unavailable")
        # Nothing was sent: a try that the buyer's card never saw is given back.
        Offer.objects.filter(pk=offer.pk).update(attempts_made=F("attempts_made") - 1)
        raise OfferNotAcceptable("payment_unavailable", str(error)) from error
    offer = _settled(attempt, result)
    offer.client_secret = result.client_secret if offer.state == "ACTION_REQUIRED" else ""
    if result.state is ChargeState.DECLINED and offer.state in {"SHOWN", "FAILED", "EXPIRED"}:
        raise ChargeDeclined(result.public_message)
    return offer


def settle(*, attempt_id: int, result: ChargeResult | None = None) -> Offer:
    """Carry out what the provider said of an attempt; without it, ask what became of the key.

    Idempotent: the request, the return from a challenge, a webhook and the reconciler all
    end here, in any order and number.
    """
    attempt = Attempt.objects.select_related("quote", "offer__decision").get(pk=attempt_id)
    if result is None:
        gateway = gateway_to_ask(attempt)
        result = _nothing_to_ask(attempt) if gateway is None else found(gateway, attempt)
    if result is not None and mirroring.mirror(attempt_id=attempt_id, result=result):
        attempt.refresh_from_db()
    if result is None or result.state is ChargeState.UNKNOWN:
        return Offer.objects.get(pk=attempt.offer_id)
    if attempt.state == "REFUNDING" and result.state in _PAID:
        return _given_back(attempt, result)
    if result.state in _PAID:
        if not _is_what_was_asked(attempt, result):
            retried(partial(_not_as_asked, attempt, result))
            return refunding.give_back(attempt_id=attempt.pk)
        return _applied(attempt, result)
    if result.state in _WAITS:
        return retried(partial(_waiting, attempt, result))
    until = attempt.offer.action_expires_at
    if until is not None and until <= clock.database_now():
        # Given up, and the report of it came before the answer.
        return release(
            attempt_id=attempt.pk, state="RELEASED", code="challenge_expired", expired=True
        )
    return release(attempt_id=attempt.pk, state="DECLINED", code=result.decline_code)


def resume(*, token: str) -> Offer:
    """Finish after the buyer came back from the bank.

    Raises:
        OfferNotFound: No offer has this token.
        ChargeDeclined: The challenge failed or was given up; nothing was charged.
    """
    offer = Offer.objects.filter(token_hash=hashed(token)).first()
    if offer is None:
        raise OfferNotFound
    attempt = Attempt.objects.select_related("offer", "quote").filter(live_offer=offer).first()
    if attempt is None:
        return offer
    gateway = gateway_to_ask(attempt)
    if gateway is None or not attempt.reference:
        return settle(attempt_id=attempt.pk)
    result = answer_of(gateway, partial(gateway.resume, attempt.reference), attempt)
    offer = _settled(attempt, result)
    if result.state is ChargeState.DECLINED and offer.state in {"SHOWN", "FAILED", "EXPIRED"}:
        raise ChargeDeclined(result.public_message)
    return offer


# ------------------------------------------------------------------ asking the provider


def gateway_to_ask(attempt: Attempt) -> Gateway | None:
    """Return who collects; none where nothing is due, or it goes on the open balance.

    Raises:
        ConfigurationError: The gateway is not in the settings any more. Whether it charged
            cannot be asked then, and must not be guessed.
    """
    if attempt.amount <= 0 or attempt.quote.collection == "ADD_TO_BALANCE":
        return None
    gateway = conf.gateway_by_slug(attempt.gateway)
    if gateway is None:
        raise ConfigurationError(
            f"attempt {attempt.pk} was begun with the gateway {attempt.gateway!r}, "
            "and UPSELL_GATEWAYS does not name it"
        )
    return gateway


def _nothing_to_ask(attempt: Attempt) -> ChargeResult:
    return ChargeResult(
        state=ChargeState.DEFERRED, amount=attempt.amount, currency=attempt.currency
    )


def _asked(attempt: Attempt, gateway: Gateway, return_url: str) -> ChargeResult:
    """Charge under the attempt's key; once more with the same key where the answer was lost."""
    occasion = snapshots.gather(attempt.offer.order_ref or "")
    collection = gateway.collection(occasion, attempt.amount, attempt.currency, trusted=True)
    request = ChargeRequest(
        key=attempt.key,
        order_ref=occasion.ref,
        order_number=occasion.number,
        amount=attempt.amount,
        currency=attempt.currency,
        minor_units=minor_units(attempt.amount, attempt.currency),
        credential=collection.credential,
        return_url=return_url,
        description=occasion.number,
        metadata={
            "key": attempt.key,
            "offer": str(attempt.offer.uuid),
            "order": occasion.ref,
        },
    )
    with guarding.place(gateway):
        unasked = Attempt.objects.filter(pk=attempt.pk, asked_at=None)
        retried(lambda: unasked.update(asked_at=clock.now()))
        result = _answer(gateway, partial(gateway.charge, request), attempt)
        if result.state is ChargeState.UNKNOWN and not guarding.is_open(gateway.slug):
            time.sleep(float(conf.get("UPSELL_UNKNOWN_RETRY_SECONDS")))
            result = _answer(gateway, partial(gateway.charge, request), attempt)
    return result


def found(gateway: Gateway, attempt: Attempt) -> ChargeResult | None:
    """Ask what became of an attempt's key; none = certainly nothing.

    Raises:
        NotAsked: The provider does not answer lately, or too many ask at once.
    """
    look = partial(gateway.find, attempt.key, attempt.offer.order_ref or "", attempt.started_at)
    with guarding.place(gateway):
        return _answer(gateway, look, attempt)


def answer_of(gateway: Gateway, call: Callable[[], ChargeResult], attempt: Attempt) -> ChargeResult:
    """Return what a gateway answers; UNKNOWN where it raises, or may not be asked now."""
    try:
        with guarding.place(gateway):
            return _answer(gateway, call, attempt)
    except guarding.NotAsked:
        logger.warning("attempt %s: the provider is not asked now", attempt.pk)
        return ChargeResult(state=ChargeState.UNKNOWN, reference=attempt.reference or "")


def _answer(
    gateway: Gateway, call: Callable[[], Answered], attempt: Attempt
) -> Answered | ChargeResult:
    """Return what a gateway answers; one that raises may have charged, so that is UNKNOWN."""
    result: Answered | ChargeResult
    try:
        result = call()
    except Exception:
        # The gateway is foreign code, and must not raise for the network.
        logger.exception("attempt %s: the gateway raised", attempt.pk)
        result = ChargeResult(state=ChargeState.UNKNOWN, reference=attempt.reference or "")
    guarding.told(gateway, answered=result is None or result.state is not ChargeState.UNKNOWN)
    return result


def _settled(attempt: Attempt, result: ChargeResult) -> Offer:
    """Settle in the buyer's request; without the database the offer is still being confirmed."""
    try:
        return settle(attempt_id=attempt.pk, result=result)
    except GAVE_UP:
        # What was charged is known to the provider. The reconciler asks it, by the key.
        logger.exception("attempt %s: the database did not take the answer", attempt.pk)
        return attempt.offer


def _is_what_was_asked(attempt: Attempt, result: ChargeResult) -> bool:
    if result.amount is None:
        return True
    return result.amount == attempt.amount and result.currency in ("", attempt.currency)


# ------------------------------------------------------------------ what it comes to


def _applied(attempt: Attempt, result: ChargeResult) -> Offer:
    """Second transaction: the order changes, once, and everything that tells of it is written."""
    changed: Changed | None = None
    if attempt.state in _KNOWN:
        return Offer.objects.get(pk=attempt.offer_id)
    if not changing.is_shared() and _is_to_be_applied(attempt):
        _note(attempt, result)
        try:
            changed = changing.carry_out(attempt.offer, attempt, result)
        except changing.NotSaid:
            return Offer.objects.get(pk=attempt.offer_id)
    came_to_nothing = changed is None or changed.applied is None
    if not changing.is_shared() and came_to_nothing and attempt.live_offer_id is not None:
        changing.let_go(attempt)
    offer, refund_id = retried(lambda: _recorded(attempt, result, changed))
    if changed is not None and changed.applied is not None and offer.state != "ACCEPTED":
        _take_back_if_given_back(offer, attempt, changed.applied)
    if refund_id is not None:
        refunding.send(refund_id=refund_id)
        offer.refresh_from_db()
    return offer


def _take_back_if_given_back(offer: Offer, attempt: Attempt, applied: Applied) -> None:
    """A shop elsewhere changed the order while staff gave the money back: change it back."""
    attempt.refresh_from_db(fields=["state"])
    if attempt.state in {"REFUNDING", "REFUNDED"} and not changing.is_shared():
        changing.forget(offer, attempt, applied)


def _given_back(attempt: Attempt, result: ChargeResult) -> Offer:
    """Staff gave an offer up before it was known whether it was charged, and now it is."""
    if result.state is ChargeState.DEFERRED:
        return release(attempt_id=attempt.pk, state="RELEASED")
    if not changing.is_shared() and attempt.charge_state in _PAID and attempt.live_offer_id:
        # It was told to change the order, and perhaps did: asked again, it says the same.
        try:
            changed = changing.carry_out(attempt.offer, attempt, result)
        except changing.NotSaid:
            return Offer.objects.get(pk=attempt.offer_id)
        if changed.applied is not None:
            changing.forget(attempt.offer, attempt, changed.applied)
    _note(attempt, result)
    return refunding.give_back(attempt_id=attempt.pk)


def _is_to_be_applied(attempt: Attempt) -> bool:
    offer = attempt.offer
    asked_back = offer.revoke_requested_at is not None
    return attempt.live_offer_id is not None and offer.state in _TAKES and not asked_back


def _recorded(
    attempt: Attempt, result: ChargeResult, changed: Changed | None
) -> tuple[Offer, int | None]:
    """Record what became of the order, having changed it here where the shop is in this database.

    Returns:
        The offer, and the refund that is now due.
    """
    with transaction.atomic(durable=True):
        offer, attempt = locked_with(attempt)
        now = clock.database_now()
        if attempt.state in _KNOWN:
            return offer, None
        if attempt.live_offer_id is None or offer.state not in _TAKES:
            return offer, _late(offer, attempt, result, now=now)
        if changed is None:
            if offer.revoke_requested_at is not None:
                return offer, _to_refund(offer, attempt, result, reason="revoked", now=now)
            if not changing.is_shared():  # it became fit to be applied just now: the next look does
                return offer, None
            changed = changing.carry_out(offer, attempt, result)
        if changed.applied is None:
            offer.failure_code = "apply_failed"
            offer.save(update_fields=["failure_code"])
            return offer, _to_refund(offer, attempt, result, reason=changed.refusal, now=now)
        _accepted(offer, attempt, result, changed, changed.applied, now=now)
        return offer, None


def _accepted(
    offer: Offer,
    attempt: Attempt,
    result: ChargeResult,
    changed: Changed,
    applied: Applied,
    *,
    now: datetime,
) -> None:
    terms = snapshots.policy(offer.channel)
    Acceptance.objects.create(
        offer=offer,
        quote=attempt.quote,
        attempt=attempt,
        at=now,
        undo_until=now + terms.undo_time,
        line_ref=applied.line_ref,
        total_before_net=applied.total_before.net,
        total_before_gross=applied.total_before.gross,
        total_after_net=applied.total_after.net,
        total_after_gross=applied.total_after.gross,
        removed=list(applied.removed),
        cost_net=changed.costs.added,
        replaced_cost_net=changed.costs.replaced,
    )
    _end(attempt, "APPLIED", result, now=now)
    offer.failure_code = ""
    recording.move(
        offer,
        "ACCEPTED",
        at=now,
        fields=["failure_code"],
        amount=str(attempt.amount),
        currency=attempt.currency,
    )
    kinds = ["DOCUMENTS"] if changed.invoiced else []
    if terms.confirmation_mail:
        kinds.append("CONFIRMATION")
    recording.enqueue(offer, kinds, now=now)


def _late(offer: Offer, attempt: Attempt, result: ChargeResult, *, now: datetime) -> int | None:
    """Money for an offer that is closed: it goes back, and somebody is told."""
    if result.state is ChargeState.DEFERRED or Refund.objects.filter(attempt=attempt).exists():
        return None
    logger.error("offer %s: money arrived after it was closed", offer.pk)
    transaction.on_commit(
        partial(
            signals.late_money.send_robust, sender=Offer, offer_id=offer.pk, attempt_id=attempt.pk
        )
    )
    _note(attempt, result)
    return refunding.open_refund(attempt, attempt.amount, reason="late", now=now).pk


def _to_refund(
    offer: Offer, attempt: Attempt, result: ChargeResult, *, reason: str, now: datetime
) -> int | None:
    """The order cannot change: give the money back, and stay ACCEPTING until that is answered."""
    _note(attempt, result)
    if attempt.amount <= 0 or result.state is ChargeState.DEFERRED:
        if changing.is_shared():
            changing.let_go(attempt)
        _end(attempt, "RELEASED", result, now=now)
        refunding.close_after_refund(offer, now=now)
        return None
    recording.stand(attempt, "REFUNDING")
    attempt.next_look_at = None
    attempt.save(update_fields=["state", "next_look_at"])
    return refunding.open_refund(attempt, attempt.amount, reason=reason, now=now).pk


def _note(attempt: Attempt, result: ChargeResult) -> None:
    attempt.charge_state = result.state.value
    attempt.reference = result.reference or attempt.reference
    if result.state in _PAID and not _is_what_was_asked(attempt, result):
        attempt.charged, attempt.charged_currency = result.amount, result.currency
    attempt.save(update_fields=["charge_state", "reference", "charged", "charged_currency"])


def _end(attempt: Attempt, state: str, result: ChargeResult | None, *, now: datetime) -> None:
    recording.stand(attempt, state)
    attempt.live_offer, attempt.settled_at, attempt.next_look_at = None, now, None
    if result is not None:
        attempt.charge_state = result.state.value
        attempt.reference = result.reference or attempt.reference
    attempt.save(
        update_fields=[
            "state",
            "live_offer",
            "settled_at",
            "next_look_at",
            "charge_state",
            "reference",
        ]
    )


def _waiting(attempt: Attempt, result: ChargeResult) -> Offer:
    with transaction.atomic(durable=True):
        offer, attempt = locked_with(attempt)
        if attempt.live_offer_id is None or attempt.state != "STARTED":
            return offer
        now = clock.database_now()
        recording.stand(attempt, "ACTION_REQUIRED")
        attempt.charge_state = result.state.value
        attempt.reference = result.reference or None
        attempt.action_url = result.action_url
        attempt.save(update_fields=["state", "charge_state", "reference", "action_url"])
        if offer.state == "ACCEPTING":
            offer.action_expires_at = now + conf.duration("UPSELL_ACTION_LIFETIME")
            recording.move(offer, "ACTION_REQUIRED", at=now, fields=["action_expires_at"])
        return offer


def release(*, attempt_id: int, state: str, code: str = "", expired: bool = False) -> Offer:
    """End an attempt that came to nothing: stock back, the offer open again or closed.

    Args:
        state: DECLINED (the provider refused) or RELEASED (nothing was charged).
        expired: The buyer never came back from the challenge: the offer is over.
    """
    attempt = Attempt.objects.select_related("offer", "quote").get(pk=attempt_id)
    may_close = attempt.live_offer_id is not None and not refunding.is_going_back(attempt)
    if not changing.is_shared() and may_close:
        changing.let_go(attempt)
    return retried(lambda: _released(attempt, state=state, code=code, expired=expired))


def _released(attempt: Attempt, *, state: str, code: str, expired: bool) -> Offer:
    with transaction.atomic(durable=True):
        offer, attempt = locked_with(attempt)
        if attempt.live_offer_id is None or refunding.is_going_back(attempt):
            return offer
        now = clock.database_now()
        given_up = attempt.state == "REFUNDING"  # by staff, and nothing had been charged
        if changing.is_shared():
            changing.let_go(attempt)
        attempt.decline_code = code[:64]
        attempt.save(update_fields=["decline_code"])
        _end(attempt, state, None, now=now)
        spent = offer.attempts_made >= int(conf.get("UPSELL_ATTEMPTS"))
        if offer.state == "NEEDS_ATTENTION":
            following, reason = "FAILED", "given_back" if given_up else "payment_declined"
        elif offer.revoke_requested_at is not None:
            following, reason = "REVOKED", "revoked"
        elif state == "DECLINED" and spent:
            following, reason = "FAILED", "payment_declined"
        elif expired or offer.expires_at <= now:
            following, reason = "EXPIRED", ""
        else:
            following, reason = "SHOWN", code
        actor = refunding.asked_by(offer) if given_up else ""
        if following == "FAILED":
            offer.failure_code = reason
        recording.move(
            offer, following, at=now, actor=actor, reason=reason, fields=["failure_code"]
        )
    return offer


def give_up(*, attempt_id: int, code: str) -> Offer:
    """End an attempt before anything was asked of the provider: it cannot be had any more."""
    attempt = Attempt.objects.get(pk=attempt_id)
    with transaction.atomic(durable=True):
        offer, attempt = locked_with(attempt)
        if attempt.live_offer_id is None or attempt.asked_at is not None:
            return offer
        now = clock.database_now()
        _end(attempt, "RELEASED", None, now=now)
        offer.failure_code = code
        recording.move(offer, "FAILED", at=now, reason=code, fields=["failure_code"])
    return offer


def _not_as_asked(attempt: Attempt, result: ChargeResult) -> None:
    """The provider took something else than was asked: never accepted, staff are told at once.

    What it took goes back by itself; the offer waits for staff until it has.
    """
    with transaction.atomic(durable=True):
        offer, attempt = locked_with(attempt)
        if attempt.state in _KNOWN:
            return
        now = clock.database_now()
        logger.error("offer %s: the provider took another amount than asked", offer.pk)
        _note(attempt, result)
        recording.stand(attempt, "REFUNDING")
        attempt.next_look_at = now + timedelta(seconds=conf.get("UPSELL_RECONCILE_AFTER")[0])
        attempt.save(update_fields=["state", "next_look_at"])
        needs_attention(offer, code="amount_mismatch", now=now)


def needs_attention(offer: Offer, *, code: str, now: datetime) -> None:
    """Put an offer into the staff queue, with its signal."""
    if offer.state in {"ACCEPTING", "ACTION_REQUIRED"}:
        offer.failure_code = code
        recording.move(offer, "NEEDS_ATTENTION", at=now, reason=code, fields=["failure_code"])
    else:
        offer.failure_code = code
        offer.save(update_fields=["failure_code"])
        recording.append([recording.event(offer, "needs_attention", at=now, reason=code)])
        recording.announce(offer, "NEEDS_ATTENTION", at=now, code=code)


def next_look(started_at: datetime, looks: int) -> datetime | None:
    """Return when to look again after so many looks; none = never."""
    schedule = conf.get("UPSELL_RECONCILE_AFTER")
    return started_at + timedelta(seconds=schedule[looks]) if looks < len(schedule) else None
