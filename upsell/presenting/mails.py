"""What the mails say, as plain values."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any

from babel.numbers import format_currency
from django.urls import reverse
from django.utils import timezone, translation

from upsell import conf
from upsell.engine.money import round_money
from upsell.models import Offer
from upsell.models.tokens import undo_token
from upsell.ports import Occasion


def shown_money(amount: Decimal, currency: str) -> str:
    """Return an amount as the reader's language writes it, with ISO 4217 places."""
    return _formatted(amount, currency, translation.get_language() or "en")


@lru_cache(maxsize=4096)
def _formatted(amount: Decimal, currency: str, language: str) -> str:
    return str(
        format_currency(
            round_money(amount, currency),
            currency,
            locale=translation.to_locale(language),
            currency_digits=False,
            decimal_quantization=False,
        )
    )


def confirmation_values(offer: Offer, occasion: Occasion) -> dict[str, Any]:
    """Return what the confirmation of an accepted, or undone, offer says."""
    acceptance = offer.acceptance
    quote = acceptance.quote
    base = str(conf.get("UPSELL_BASE_URL")).rstrip("/")
    return {
        "number": occasion.number,
        "title": offer.terms["product"]["title"],
        "quantity": offer.quantity,
        "amount": shown_money(quote.due_gross, offer.currency),
        "replaced": [row["title"] for row in offer.terms["replaced"]],
        "credit": shown_money(quote.credit_gross, offer.currency),
        "total": shown_money(occasion.total.gross, offer.currency),
        "collection": quote.collection,
        "collection_label": quote.collection_label,
        "charged": offer.acceptance.attempt.charge_state not in ("", "DEFERRED"),
        "undo_url": base + reverse("upsell:undo", args=[undo_token(offer)]) if base else "",
        "undo_until": timezone.localtime(acceptance.undo_until),
        "reversed": offer.state == "REVERSED",
    }
