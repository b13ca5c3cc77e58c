"""A refund of the host's on the line that an offer added: our part of it comes first."""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction

from upsell import clock
from upsell.models import Acceptance, Offer
from upsell.services import recording, refunding
from upsell.services.locking import retried
from upsell.services.refunding import Split
from upsell.services.undoing import reverse


def refund_line(*, order_ref: str, line_ref: str, amount: Decimal) -> Split:
    """Give back our part of what the host refunds of a line; report the host's part.

    The add-on's own charge is used up first. A line that is refunded whole, in one go or in
    several, reverses its offer; until then the offer stays accepted. The order itself, and the
    stock, are changed by the host.

    Args:
        amount: What the buyer gets back for this line now, tax included, in the order's currency.

    Returns:
        What we send back, and what is left for the host to send from the original payment.

    Raises:
        ValueError: ``amount`` is not positive, or more than is left of the line.
    """
    part, refund_id = retried(lambda: _refunded(order_ref, line_ref, amount))
    if refund_id is not None:
        refunding.send(refund_id=refund_id)
    return part


def _refunded(order_ref: str, line_ref: str, amount: Decimal) -> tuple[Split, int | None]:
    if not amount.is_finite() or amount <= 0:
        raise ValueError(f"the amount to refund must be positive, and is {amount}")
    none = Split(ours=Decimal(0), original=amount)
    with transaction.atomic(durable=True):
        offer = Offer.objects.select_for_update().filter(order_ref=order_ref).first()
        if offer is None or offer.state != "ACCEPTED":
            return none, None
        acceptance = Acceptance.objects.select_related("attempt", "quote").get(offer=offer)
        if acceptance.line_ref != line_ref:
            return none, None
        before = sum(
            (Decimal(row.figures["amount"]) for row in offer.events.filter(kind="line_refunded")),
            Decimal(0),
        )
        whole = acceptance.quote.line_gross
        if before + amount > whole:
            raise ValueError(f"{whole - before} is left of line {line_ref}, and {amount} was asked")
        now = clock.database_now()
        part = refunding.split(order_ref, line_ref, amount)
        figures = {"amount": str(amount), "ours": str(part.ours), "original": str(part.original)}
        recording.append([recording.event(offer, "line_refunded", at=now, actor="host", **figures)])
        # On the open balance nothing was charged by us: what the host gives back is the add-on's.
        deferred = acceptance.attempt.charge_state == "DEFERRED"
        left = max(acceptance.quote.due_gross - before, Decimal(0))
        back = min(amount, left) if deferred else part.ours
        refunding.note_back(acceptance, back, now=now)
        if before + amount == whole:
            reason = "order_refunded"
            refund_id = reverse(
                offer, acceptance, reason=reason, actor="host", now=now, amount=part.ours
            )
        elif part.ours > 0:
            reason = "line_refunded"
            refund_id = refunding.open_refund(
                acceptance.attempt, part.ours, reason=reason, now=now
            ).pk
        else:
            refund_id = None
        return part, refund_id
