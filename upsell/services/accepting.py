"""A buyer's yes: checked, quoted again, stock held, an attempt begun, and then settled."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from django.db import OperationalError, transaction

from upsell import clock, conf, snapshots
from upsell.engine import states
from upsell.exceptions import NotFound, OfferNotAcceptable, OfferNotFound, Refused
from upsell.models import Attempt, Offer, OfferQuote
from upsell.models.tokens import hashed
from upsell.ports import Collection, CollectionWay, Occasion
from upsell.services import fulfilling, recording
from upsell.services.offering import collection_for, quote_row

Outcome = TypeVar("Outcome")

_CLOSED_CODES = {
    "DECLINED": "declined",
    "EXPIRED": "expired",
    "REVOKED": "revoked",
    "REVERSED": "revoked",
    "SUPPRESSED": "revoked",
    "NEEDS_ATTENTION": "payment_unknown",
}
_SILENT = {CollectionWay.CHARGE_SAVED, CollectionWay.ADD_TO_BALANCE}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """What the first transaction came to: an attempt, or a code to refuse with."""

    offer: Offer
    attempt_id: int | None = None
    refusal: str = ""


def accept(*, token: str, quote_number: int, trusted: bool, return_url: str = "") -> Offer:
    """Take a buyer's yes, once, however often the button is pressed.

    Charges first and changes the order after; a refused charge leaves the order as it was.

    Args:
        token: The unguessable part of the offer's address.
        quote_number: The figures the buyer saw. Nothing else that a browser sends counts.
        trusted: Whether this request may act for the buyer (``Shop.may_act``). Who only
            holds the link can pay on the provider's approval page at most.
        return_url: Where a bank's challenge sends the buyer back to.

    Returns:
        The offer: ACCEPTED; ACCEPTING while the payment is being confirmed;
        ACTION_REQUIRED while the buyer's bank asks; SHOWN or FAILED never.

    Raises:
        OfferNotFound: No offer has this token.
        OfferNotAcceptable: With the code to answer, ``quote_changed`` among them.
        ChargeDeclined: The provider refused; nothing was charged.
    """
    begun = retried(lambda: _begin(token=token, quote_number=quote_number, trusted=trusted))
    if begun.refusal:
        raise OfferNotAcceptable(begun.refusal, f"offer {begun.offer.pk}: {begun.refusal}")
    if begun.attempt_id is None:
        return begun.offer
    return fulfilling.charge(attempt_id=begun.attempt_id, return_url=return_url)


def retried(work: Callable[[], Outcome], *, times: int = 3) -> Outcome:
    """Run a short transaction again after a deadlock or a lock time-out, at most three times.

    Raises:
        OperationalError: It did not go through.
    """
    for left in range(times, 0, -1):
        try:
            return work()
        except OperationalError:
            if left == 1:
                raise
            time.sleep(0.05 + random.random() / 10)  # noqa: S311
    raise AssertionError("unreachable")


def locked(**lookup: object) -> Offer:
    """Return an offer under its row lock.

    Raises:
        OfferNotFound: There is none.
    """
    offer = Offer.objects.select_for_update().filter(**lookup).first()
    if offer is None:
        raise OfferNotFound
    return offer


def _begin(*, token: str, quote_number: int, trusted: bool) -> _Begun:
    with transaction.atomic(durable=True):
        offer = locked(token_hash=hashed(token))
        now = clock.database_now()
        if offer.state in {"ACCEPTED", "ACCEPTING", "ACTION_REQUIRED"}:
            return _Begun(offer=offer)
        closed = _closed(offer, now=now)
        if closed:
            return _Begun(offer=offer, refusal=closed)
        try:
            occasion = snapshots.gather(offer.order_ref or "")
        except NotFound:
            return _Begun(offer=offer, refusal="order_changed")
        if occasion.cancelled or occasion.closed_reason == "refunded":
            recording.move(offer, "REVOKED", at=now, reason="order_cancelled")
            return _Begun(offer=offer, refusal="revoked")
        changed = _changed(offer, occasion)
        if changed:
            return _Begun(offer=offer, refusal=changed)
        return _quote_and_hold(
            offer,
            occasion,
            now=now,
            quote_number=quote_number,
            trusted=trusted,
        )


def _closed(offer: Offer, *, now: datetime) -> str:
    if offer.state == "FAILED":
        return offer.failure_code or "payment_declined"
    if offer.state in _CLOSED_CODES:
        return _CLOSED_CODES[offer.state]
    if offer.expires_at <= now:
        recording.move(offer, "EXPIRED", at=now)
        return "expired"
    if offer.revoke_requested_at is not None:
        return "revoked"
    if not snapshots.policy(offer.channel).enabled:
        return "withdrawn"
    if offer.attempts_made >= int(conf.get("UPSELL_ATTEMPTS")):
        return "payment_declined"
    return ""


def _changed(offer: Offer, occasion: Occasion) -> str:
    """Look at the order again: it must be what the buyer was promised a change of."""
    if occasion.released:
        return "order_released"
    if occasion.closed_reason or occasion.currency != offer.currency:
        return "order_changed"
    lines = {line.ref: line for line in occasion.lines}
    promised = {
        row["ref"]: row for row in (offer.decision.facts["lines"] if offer.decision else [])
    }
    for part in offer.terms["replaced"]:
        line, before = lines.get(part["line_ref"]), promised.get(part["line_ref"])
        if line is None or line.locked_reason:
            return "order_changed"
        if before is not None and (
            line.quantity != before["quantity"]
            or line.returned != before["returned"]
            or line.total.gross != Decimal(before["gross"])
        ):
            return "order_changed"
    already = {row["product"] for row in promised.values()}
    if offer.product_ref not in already and any(
        line.product.ref == offer.product_ref and line.live_quantity for line in occasion.lines
    ):
        return "already_in_order"
    return ""


def _quote_and_hold(
    offer: Offer,
    occasion: Occasion,
    *,
    now: datetime,
    quote_number: int,
    trusted: bool,
) -> _Begun:
    shop, change = conf.shop(), snapshots.change_of(offer)
    quote = shop.quote(change)
    if not quote.available:
        return _failed(offer, quote.reason or "product_unavailable", now=now)
    collection = Collection(how=CollectionWay.NONE)
    if quote.amount_due.gross > 0:
        collection = collection_for(occasion, quote.amount_due.gross, trusted=trusted) or collection
        if not trusted and collection.how in _SILENT | {CollectionWay.NONE}:
            return _Begun(offer=offer, refusal="login_required")
    shown = offer.quotes.filter(number=offer.quote_number).first()
    row = quote_row(offer, quote, collection, number=offer.quote_number, at=now)
    if shown is None or row.hash != shown.hash:
        _requote(offer, row)
        return _Begun(offer=offer, refusal="quote_changed")
    if quote_number != offer.quote_number:
        return _Begun(offer=offer, refusal="quote_changed")
    if quote.amount_due.gross > 0 and collection.how is CollectionWay.NONE:
        return _Begun(offer=offer, refusal="payment_unavailable")
    try:
        with transaction.atomic():
            hold = shop.hold(change, quote) if shop.shares_database else ""
    except Refused as refused:
        return _failed(offer, refused.reason, now=now)
    attempt = _attempt(offer, shown, occasion, hold=hold, now=now)
    return _Begun(offer=offer, attempt_id=attempt.pk)


def _requote(offer: Offer, row: OfferQuote) -> None:
    newest = offer.quotes.order_by("-number").values_list("number", flat=True).first() or 0
    row.number = newest + 1
    row.save(force_insert=True)
    offer.quote_number = row.number
    offer.save(update_fields=["quote_number"])


def _failed(offer: Offer, code: str, *, now: datetime) -> _Begun:
    """Close an offer that cannot be had any more; nothing was charged."""
    offer.failure_code = code
    recording.move(offer, "ACCEPTING", at=now)
    recording.move(offer, "FAILED", at=now, reason=code, fields=["failure_code"])
    return _Begun(offer=offer, refusal=code)


def _attempt(
    offer: Offer,
    quote: OfferQuote,
    occasion: Occasion,
    *,
    hold: str,
    now: datetime,
) -> Attempt:
    key = uuid.uuid4()
    offer.attempts_made += 1
    gateway = conf.gateways().get(occasion.payment_method or "")
    recording.move(
        offer, states.OfferState.ACCEPTING.value, at=now, fields=["attempts_made"], key=f"ups-{key}"
    )
    after = timedelta(seconds=conf.get("UPSELL_RECONCILE_AFTER")[0])
    return Attempt.objects.create(
        uuid=key,
        offer=offer,
        live_offer=offer,
        number=Attempt.objects.filter(offer=offer).count() + 1,
        key=f"ups-{key}",
        quote=quote,
        gateway=gateway.slug if gateway and quote.due_gross > 0 else "",
        amount=quote.due_gross,
        currency=quote.currency,
        hold=hold,
        started_at=now,
        next_look_at=now + after,
    )
