"""A buyer withdraws from the contract for what an offer added, as the law lets them.

It lasts for the whole period that the shop names, long after the time to undo is over and also
once the order is packed or shipped. What becomes of a line that the added one replaced:

- Not packed yet, and the shop can change the order back: it is as it was, the replaced lines
  included, as after an undo. Our charge goes back.
- Packed or shipped, or the shop cannot: the added line comes back to the shop, and what it
  replaced stays out. Our charge goes back; what had been paid for the replaced lines with the
  order itself is the shop's to give back, and it is told how much that is.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from upsell import clock, conf, snapshots
from upsell.exceptions import NotFound, OfferNotAcceptable, OfferNotFound, Refused
from upsell.models import Acceptance, Offer, OfferEvent
from upsell.ports import Capability, Ref
from upsell.presenting import wording
from upsell.services import changing, recording, refunding, undoing
from upsell.services.locking import locked, retried

logger = logging.getLogger("upsell")

ASKED, MADE = "withdrawal_requested", "withdrawal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What a buyer may withdraw from, or has withdrawn from."""

    order_ref: Ref
    line_ref: Ref
    title: str
    """The added product, with its number where it is not one."""
    replaced: str
    """What it took the place of, in one phrase; empty where it took none."""
    currency: str
    until: datetime | None = None
    """Until when it may be made; none once it is made."""
    made_at: datetime | None = None
    statement: str = ""
    put_back: bool = False
    """The order is as it was. Else the added line comes back, and what it replaced does not."""
    ours: Decimal = Decimal(0)
    """Given back by us: our own charge, or what was left of it."""
    original: Decimal = Decimal(0)
    """For the shop to give back from the order's own payment."""


def withdrawal_of(*, order_ref: Ref) -> Withdrawal | None:
    """Return what the buyer of an order may withdraw from now, or withdrew from.

    None = there is nothing: no accepted offer, the period is over, or the shop has none.
    """
    offer = Offer.objects.filter(order_ref=order_ref, state__in=["ACCEPTED", "REVERSED"]).first()
    if offer is None:
        return None
    acceptance = Acceptance.objects.select_related("quote").get(offer=offer)
    made = _made(offer, acceptance)
    if made is not None or offer.state != "ACCEPTED":
        return made
    until = _until(offer, acceptance)
    return _described(offer, acceptance, until=until) if until is not None else None


def withdraw(*, order_ref: Ref, statement: str) -> Withdrawal:
    """Take a buyer's withdrawal, once; a second time returns the first.

    The caller has seen that the buyer may act for this order, and that they confirmed.

    Args:
        statement: What they declared, in their words: which contract, their name, where the
            receipt goes. It stands in the receipt that is mailed, with date and time.

    Raises:
        OfferNotFound: The order has no accepted offer.
        OfferNotAcceptable: ``expired`` after the period, or where there is none; ``revoked``
            where the line is gone by another way; ``order_changed`` where the shop refuses.
    """
    may = None if changing.is_shared() else _may_elsewhere(order_ref)
    offer_id, refusal, refund_id = retried(lambda: _stated(order_ref, statement, may))
    if refusal:
        raise OfferNotAcceptable(refusal, f"offer {offer_id}: no withdrawal: {refusal}")
    if not changing.is_shared():
        _finished_if_answered(offer_id)
    elif refund_id is not None:
        refunding.send(refund_id=refund_id)
    offer = Offer.objects.get(pk=offer_id)
    made = _made(offer, Acceptance.objects.select_related("quote").get(offer=offer))
    if made is None:
        raise OfferNotAcceptable("revoked", f"offer {offer_id} was given back by another way")
    return made


def _finished_if_answered(offer_id: int) -> None:
    try:
        finish(offer_id=offer_id)
    except Exception:
        # A shop over the network that does not answer: the statement stands, and the sweep goes on.
        logger.exception("offer %s: a withdrawal waits for the shop", offer_id)


def is_asked(*, offer_id: int) -> bool:
    """Whether a withdrawal was stated that a shop elsewhere has not carried out yet."""
    return OfferEvent.objects.filter(offer=offer_id, kind=ASKED).exists()


def finish(*, offer_id: int) -> Offer:
    """Carry out a withdrawal in a shop elsewhere, and record it. Safe to repeat.

    Raises:
        Refused: The shop neither changes the order back nor takes the line back. The statement
            holds: it is tried again, and in the log until somebody looks.
    """
    offer = Offer.objects.get(pk=offer_id)
    if offer.state != "ACCEPTED":
        return offer
    acceptance = Acceptance.objects.select_related("attempt", "quote").get(offer=offer)
    put_back = not undoing.taken_back(offer, acceptance)
    original = Decimal(0) if put_back else _original(offer, acceptance)
    if not put_back:
        changing.note_withdrawal(offer, acceptance, original)
    with transaction.atomic(durable=True):
        offer = locked(pk=offer_id)
        if offer.state != "ACCEPTED":
            return offer
        refund_id = _reversed(offer, put_back=put_back, original=original, tell="")
    if refund_id is not None:
        refunding.send(refund_id=refund_id)
        offer.refresh_from_db()
    return offer


def _may_elsewhere(order_ref: Ref) -> bool:
    """Look before the transaction: a shop elsewhere is reached over the network."""
    acceptance = Acceptance.objects.select_related("offer").filter(offer__order_ref=order_ref)
    row = acceptance.first()
    return row is not None and row.offer.state == "ACCEPTED" and _until(row.offer, row) is not None


def _stated(order_ref: Ref, statement: str, may: bool | None) -> tuple[int, str, int | None]:
    """Check, and carry it out; where the shop is elsewhere, only note that it was stated.

    Args:
        may: What a shop elsewhere said of the period; none = it is asked here.

    Returns:
        The offer, why it may not be, and the refund that is now due.
    """
    with transaction.atomic(durable=True):
        offer = locked(order_ref=order_ref)
        acceptance = (
            Acceptance.objects.select_related("attempt", "quote").filter(offer=offer).first()
        )
        if acceptance is None:
            raise OfferNotFound
        if _made(offer, acceptance) is not None:
            return offer.pk, "", None
        if offer.state != "ACCEPTED" or offer.revoke_requested_at is not None:
            return offer.pk, "revoked", None
        if not (_until(offer, acceptance) is not None if may is None else may):
            return offer.pk, "expired", None
        now = clock.database_now()
        if not changing.is_shared():
            offer.revoke_requested_at = now
            offer.save(update_fields=["revoke_requested_at"])
            recording.append([recording.event(offer, ASKED, at=now, actor="buyer")])
            _tell(offer, statement, now=now)
            return offer.pk, "", None
        put_back = not undoing.taken_back(offer, acceptance)
        original = Decimal(0) if put_back else _original(offer, acceptance)
        if not put_back:
            try:
                changing.note_withdrawal(offer, acceptance, original)
            except Refused as refused:
                return offer.pk, refused.reason, None
        refund_id = _reversed(offer, put_back=put_back, original=original, tell=statement)
        return offer.pk, "", refund_id


def _reversed(offer: Offer, *, put_back: bool, original: Decimal, tell: str) -> int | None:
    """Record a withdrawal that the shop has carried out, inside the caller's transaction."""
    now = clock.database_now()
    acceptance = Acceptance.objects.select_related("attempt", "quote").get(offer=offer)
    ours = refunding.refundable(acceptance.attempt)
    event = recording.event(
        offer,
        MADE,
        at=now,
        actor="buyer",
        put_back=put_back,
        ours=str(ours),
        original=str(original),
        currency=offer.currency,
    )
    recording.append([event])
    if tell:
        _tell(offer, tell, now=now)
    return undoing.reverse(offer, acceptance, reason=MADE, actor="buyer", now=now, tell="")


def _tell(offer: Offer, statement: str, *, now: datetime) -> None:
    recording.enqueue(offer, ["WITHDRAWAL"], now=now, variables={"statement": statement})


def _until(offer: Offer, acceptance: Acceptance) -> datetime | None:
    """Ask the shop until when; none where that is over, or there is no such order any more."""
    shop, order_ref = conf.shop(), offer.order_ref or ""
    if Capability.WITHDRAWAL not in shop.capabilities:
        return None
    try:
        if snapshots.gone(snapshots.gather(order_ref)):
            return None
        until = shop.withdrawal_until(order_ref, acceptance.line_ref)
    except NotFound:
        return None
    return until if until is not None and until > clock.now() else None


def _original(offer: Offer, acceptance: Acceptance) -> Decimal:
    """Return what of the line the order itself paid, less what the host has given back of that.

    On the open balance nothing was charged by us: there it is the whole of it.
    """
    quote = acceptance.quote
    whole = quote.credit_gross
    if acceptance.attempt.charge_state == "DEFERRED":
        whole += quote.due_gross
    given = sum(
        (Decimal(row.figures["original"]) for row in offer.events.filter(kind="line_refunded")),
        Decimal(0),
    )
    return max(whole - given, Decimal(0))


def _made(offer: Offer, acceptance: Acceptance) -> Withdrawal | None:
    events = {row.kind: row for row in offer.events.filter(kind__in=[ASKED, MADE])}
    first = events.get(ASKED) or events.get(MADE)
    if first is None:
        return None
    message = offer.messages.filter(kind="WITHDRAWAL").first()
    figures = events[MADE].figures if MADE in events else {}
    return _described(
        offer,
        acceptance,
        made_at=first.at,
        statement=message.variables.get("statement", "") if message else "",
        put_back=bool(figures.get("put_back")),
        ours=Decimal(figures.get("ours", 0)),
        original=Decimal(figures.get("original", 0)),
    )


def _described(offer: Offer, acceptance: Acceptance, **told: object) -> Withdrawal:
    terms = offer.terms
    return Withdrawal(
        order_ref=offer.order_ref or "",
        line_ref=acceptance.line_ref,
        title=wording.units(offer.quantity, terms["product"]["title"]),
        replaced=wording.listed([wording.leaving(row) for row in terms["replaced"]]),
        currency=offer.currency,
        **told,  # type: ignore[arg-type]
    )
