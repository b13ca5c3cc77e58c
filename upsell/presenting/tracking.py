"""What an accepted or undone offer tells the shop's own measuring tools, as plain text."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from upsell.engine.money import round_money
from upsell.presenting.fields import Fields
from upsell.queries import Page

_EVENTS = {"ACCEPTED": ("purchase", "accepted"), "REVERSED": ("refund", "reversed")}
"""State to the name that GA4 has for it, and to the end of its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked(Fields):
    """One event of one offer. It names no person, and not the link."""

    event_id: str
    """The same at every look, and in the webhook of the event."""
    event: str
    """``purchase`` or ``refund``, as GA4 documents them."""
    transaction_id: str
    """The same for the purchase and for its refund."""
    currency: str
    value: str
    """What the order grew by, or shrinks by again: net, without delivery."""
    quantity: int
    product_ref: str
    sku: str
    title: str
    campaign: str
    arm: str
    kind: str
    order_number: str


def tracked(page: Page) -> Tracked | None:
    """Return what there is to measure; none before a yes, for a trial, and for a preview."""
    offer, quote = page.offer, page.quote
    if offer is None or quote is None or page.acceptance is None or offer.trial:
        return None
    if offer.state not in _EVENTS:
        return None
    event, ending = _EVENTS[offer.state]
    value: Decimal = quote.line_net - quote.credit_net
    terms = offer.terms
    return Tracked(
        event_id=f"{offer.uuid}-{ending}",
        event=event,
        transaction_id=str(offer.uuid),
        currency=offer.currency,
        value=str(round_money(value, offer.currency)),
        quantity=offer.quantity,
        product_ref=offer.product_ref,
        sku=terms["product"].get("sku", ""),
        title=terms["product"]["title"],
        campaign=terms.get("campaign", ""),
        arm=offer.arm,
        kind=offer.kind.lower(),
        order_number=terms["order_number"],
    )
