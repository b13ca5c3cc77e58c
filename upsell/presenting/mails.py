"""What the mails say, as plain values."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency
from django.conf import settings
from django.urls import reverse
from django.utils import timezone, translation

from upsell import conf
from upsell.engine.money import round_money
from upsell.models import Offer
from upsell.models.tokens import undo_token
from upsell.ports import Occasion

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def shown_money(amount: Decimal, currency: str) -> str:
    """Return an amount as the reader's language writes it, with ISO 4217 places."""
    return _formatted(amount, currency, translation.get_language() or "en")


@lru_cache(maxsize=4096)
def _formatted(amount: Decimal, currency: str, language: str) -> str:
    return str(
        format_currency(
            round_money(amount, currency),
            currency,
            locale=_locale(language),
            currency_digits=False,
            decimal_quantization=False,
        )
    )


def _locale(language: str) -> Locale:
    """Return Babel's locale for a language of Django; a shop may have one that Babel has not."""
    for tag in (language, language.partition("-")[0]):
        try:
            return Locale.parse(translation.to_locale(tag))
        except (UnknownLocaleError, ValueError):
            continue
    return Locale("en")


def language_of(locale: str) -> str:
    """Return the shop's language nearest to a buyer's locale; its own where it has none.

    Only a language that the shop has leads to a page that it has, too.
    """
    try:
        return translation.get_supported_language_variant(locale.replace("_", "-").lower())
    except (LookupError, ValueError):
        return str(settings.LANGUAGE_CODE)


def one_line(text: str) -> str:
    """Return a text as a header of a mail holds it: without line ends and control characters."""
    return " ".join(_CONTROL.sub(" ", text).split())


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
