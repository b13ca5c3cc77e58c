"""A buyer's yes: checked, quoted again, stock held, an attempt begun, and then settled."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from upsell import clock, conf, snapshots
from upsell.engine import states
from upsell.exceptions import NotFound, OfferNotAcceptable, Refused
from upsell.models import Attempt, Offer, OfferQuote
from upsell.models.tokens import hashed
from upsell.ports import Collection, CollectionWay, Occasion, Quote
from upsell.services import changing, fulfilling, guarding, limiting, recording
from upsell.services.asking import collection_for
from upsell.services.locking import locked, retried
from upsell.services.quote_rows import quote_row

_CLOSED_CODES = {
    "DECLINED": "declined",
    "EXPIRED": "expired",
    "REVOKED": "revoked",
    "REVERSED": "revoked",
    "SUPPRESSED": "revoked",
    "NEEDS_ATTENTION": "payment_unknown",
}
_FOR_GOOD = {"product_unavailable", "out_of_stock"}
"""Reasons of the shop's after which this offer cannot be had any more."""
_SILENT = {CollectionWay.CHARGE_SAVED, CollectionWay.ADD_TO_BALANCE}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Yes:
    """What a buyer's yes says: which offer, which figures, and who says it."""

    token: str
    quote_number: int
    trusted: bool
    address_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """What the first transaction came to: an attempt, or a code to refuse with."""

    offer: Offer
    attempt_id: int | None = None
    refusal: str = ""
    wait: timedelta | None = None
    """How long until it may be tried again, where that is known."""


def accept(
    *, token: str, quote_number: int, trusted: bool, return_url: str = "", address: str = ""
) -> Offer:
    """Take a buyer's yes, once, however often the button is pressed.

    Charges first and changes the order after; a refused charge leaves the order as it was.

    Args:
        token: The unguessable part of the offer's address.
        quote_number: The figures the buyer saw. Nothing else that a browser sends counts.
        trusted: Whether this request may act for the buyer (``Shop.may_act``). Who only
            holds the link can pay on the provider's approval page at most.
        return_url: Where a bank's challenge sends the buyer back to.
        address: Where the request came from; it limits how often, and only its hash is kept.

    Returns:
        The offer: ACCEPTED; ACCEPTING while the payment is being confirmed;
        ACTION_REQUIRED while the buyer's bank asks; SHOWN or FAILED never.

    Raises:
        OfferNotFound: No offer has this token.
        OfferNotAcceptable: With the code to answer, ``quote_changed`` among them.
        ChargeDeclined: The provider refused; nothing was charged.
    """
    yes = _Yes(
        token=token,
        quote_number=quote_number,
        trusted=trusted,
        address_key=limiting.address_key(address),
    )
    seen = None if changing.is_shared() else _seen_elsewhere(token)
    begun = retried(lambda: _begin(yes, seen))
    if begun.attempt_id is not None and not changing.is_shared():
        begun = _held_elsewhere(begun.attempt_id, begun)
    if begun.refusal:
        raise OfferNotAcceptable(
            begun.refusal, f"offer {begun.offer.pk}: {begun.refusal}", retry_after=begun.wait
        )
    if begun.attempt_id is None:
        return begun.offer
    return fulfilling.charge(attempt_id=begun.attempt_id, return_url=return_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The order as it stands, and what the change would cost now; none where it may not be."""

    occasion: Occasion
    quote: Quote | None
    refusal: str = ""
    """Why the shop would not quote: the product is gone, or the lines are not what they were."""


def _seen(offer: Offer) -> _Seen:
    occasion = snapshots.gather(offer.order_ref or "")
    if snapshots.gone(occasion) or _changed(offer, occasion):
        return _Seen(occasion=occasion, quote=None)
    try:
        return _Seen(occasion=occasion, quote=conf.shop().quote(snapshots.change_of(offer)))
    except NotFound:
        return _Seen(occasion=occasion, quote=None, refusal="product_unavailable")
    except Refused as refused:
        return _Seen(occasion=occasion, quote=None, refusal=refused.reason)


def _seen_elsewhere(token: str) -> _Seen | None:
    """Look before the transaction: a shop elsewhere is reached over the network."""
    offer = Offer.objects.select_related("decision").filter(token_hash=hashed(token)).first()
    if offer is None or offer.state not in states.UNANSWERED:
        return None
    return _seen_if_known(offer)


def _seen_if_known(offer: Offer) -> _Seen | None:
    """Look at the order again, and ask what the change costs; none = no such order any more."""
    try:
        return _seen(offer)
    except NotFound:
        return None


def _begin(yes: _Yes, seen: _Seen | None) -> _Begun:
    with transaction.atomic(durable=True):
        offer = locked(token_hash=hashed(yes.token))
        now = clock.database_now()
        if offer.state in {"ACCEPTED", "ACCEPTING", "ACTION_REQUIRED"}:
            return _Begun(offer=offer)
        closed = _closed(offer, now=now)
        if closed:
            return _Begun(offer=offer, refusal=closed)
        if seen is None and changing.is_shared():
            seen = _seen_if_known(offer)
        if seen is None:
            return _Begun(offer=offer, refusal="order_changed")
        occasion = seen.occasion
        gone = snapshots.gone(occasion)
        if gone:
            recording.move(offer, "REVOKED", at=now, reason=gone)
            return _Begun(offer=offer, refusal="revoked")
        changed = _changed(offer, occasion)
        if seen.refusal in _FOR_GOOD and not changed:
            return _failed(offer, seen.refusal, now=now)
        if changed or seen.quote is None:
            return _Begun(offer=offer, refusal=changed or seen.refusal or "order_changed")
        return _quote_and_hold(offer, occasion, seen.quote, yes, now=now)


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
    quote: Quote,
    yes: _Yes,
    *,
    now: datetime,
) -> _Begun:
    shop, change = conf.shop(), snapshots.change_of(offer)
    if not quote.available:
        return _failed(offer, quote.reason or "product_unavailable", now=now)
    collection = Collection(how=CollectionWay.NONE)
    if quote.amount_due.gross > 0:
        collection = (
            collection_for(occasion, quote.amount_due.gross, trusted=yes.trusted) or collection
        )
        if not yes.trusted and collection.how in _SILENT | {CollectionWay.NONE}:
            return _Begun(offer=offer, refusal="login_required")
    shown = offer.quotes.filter(number=offer.quote_number).first()
    row = quote_row(offer, quote, collection, number=offer.quote_number, at=now)
    if shown is None or row.hash != shown.hash:
        _requote(offer, row)
        return _Begun(offer=offer, refusal="quote_changed")
    if yes.quote_number != offer.quote_number:
        return _Begun(offer=offer, refusal="quote_changed")
    if quote.amount_due.gross > 0 and collection.how is CollectionWay.NONE:
        return _Begun(offer=offer, refusal="payment_unavailable")
    if quote.amount_due.gross > 0 and collection.how is not CollectionWay.ADD_TO_BALANCE:
        refused_for_now = _not_now(offer, occasion, yes, now=now)
        if refused_for_now is not None:
            return refused_for_now
    try:
        with transaction.atomic():
            hold = shop.hold(change, quote) if shop.shares_database else ""
    except Refused as refused:
        return _failed(offer, refused.reason, now=now)
    attempt = _attempt(offer, shown, occasion, yes, hold=hold, now=now)
    return _Begun(offer=offer, attempt_id=attempt.pk)


def _not_now(offer: Offer, occasion: Occasion, yes: _Yes, *, now: datetime) -> _Begun | None:
    """Refuse before an attempt begins: somebody tries too often, or nobody would be asked."""
    wait = limiting.wait_for(offer, address=yes.address_key, now=now)
    if wait is not None:
        limiting.note(offer, wait=wait, address=yes.address_key, now=now)
        return _Begun(offer=offer, refusal="rate_limited", wait=wait.length)
    gateway = conf.gateways().get(occasion.payment_method or "")
    if gateway is not None and guarding.is_open(gateway.slug, now=now):
        pause = conf.duration("UPSELL_BREAKER_PAUSE")
        return _Begun(offer=offer, refusal="payment_unavailable", wait=pause)
    return None


def _held_elsewhere(attempt_id: int, begun: _Begun) -> _Begun:
    """Hold stock in a shop elsewhere, after the attempt is written; refused ends both."""
    attempt = Attempt.objects.select_related("offer", "quote").get(pk=attempt_id)
    change, quote = snapshots.change_of(attempt.offer), changing.quote_of(attempt.offer, attempt)
    try:
        hold = conf.shop().hold(change, quote)
    except Refused as refused:
        offer = fulfilling.give_up(attempt_id=attempt.pk, code=refused.reason)
        return _Begun(offer=offer, refusal=refused.reason)
    Attempt.objects.filter(pk=attempt.pk).update(hold=hold)
    return begun


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
    yes: _Yes,
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
    attempt = Attempt.objects.create(
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
        address_key=yes.address_key,
        started_at=now,
        next_look_at=now + after,
    )
    recording.begun(attempt)
    return attempt
