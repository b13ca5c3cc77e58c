"""The figures of a quote, as they are shown and as an accept names them."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from decimal import Decimal

from upsell.models import Offer, OfferQuote
from upsell.ports import Collection, Quote


def quote_row(
    offer: Offer, quote: Quote, collection: Collection, *, number: int, at: datetime
) -> OfferQuote:
    """Return the figures of a quote as a row, not yet written."""
    due = quote.amount_due
    how = collection.how if due.gross > 0 else "NONE"
    label = collection.label if due.gross > 0 else ""
    tax_lines = [
        {"label": line.label, "rate": _plain(line.rate), "amount": _plain(line.amount)}
        for line in quote.tax_lines
    ]
    row = OfferQuote(
        offer=offer,
        number=number,
        at=at,
        currency=offer.currency,
        line_net=quote.line.net,
        line_gross=quote.line.gross,
        shipping_net=quote.shipping.net,
        shipping_gross=quote.shipping.gross,
        credit_net=quote.credit.net,
        credit_gross=quote.credit.gross,
        due_net=due.net,
        due_gross=due.gross,
        tax_lines=tax_lines,
        collection=str(how),
        collection_label=label,
        order_version=quote.order_version,
    )
    row.hash = _hash_of(row, offer)
    return row


def _hash_of(row: OfferQuote, offer: Offer) -> str:
    """Amounts, tax, the way of collecting and what is replaced; never the words."""
    bound = [
        row.currency,
        *(
            _plain(amount)
            for amount in (
                row.line_net,
                row.line_gross,
                row.shipping_net,
                row.shipping_gross,
                row.credit_net,
                row.credit_gross,
                row.due_net,
                row.due_gross,
            )
        ),
        row.tax_lines,
        row.collection,
        row.collection_label,
        [[part["line_ref"], part["quantity"]] for part in offer.terms["replaced"]],
    ]
    return hashlib.sha256(json.dumps(bound).encode()).hexdigest()


def _plain(amount: Decimal) -> str:
    """Return an amount without trailing zeros, so that 4.00 and 4.0000 are one."""
    return format(amount.normalize(), "f")
