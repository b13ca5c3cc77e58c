"""What the mails say, as plain values."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from upsell import conf
from upsell.engine.variables import locale_of, shown
from upsell.models import Offer
from upsell.models.tokens import undo_token
from upsell.ports import Occasion
from upsell.presenting import wording

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def shown_money(amount: Decimal, currency: str) -> str:
    """Return an amount as the reader's language writes it, with ISO 4217 places."""
    return _formatted(amount, currency, translation.get_language() or "en")


@lru_cache(maxsize=4096)
def _formatted(amount: Decimal, currency: str, language: str) -> str:
    # As Django writes it: zh-hans is zh_Hans.
    return shown(amount, currency, locale_of(translation.to_locale(language)))


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
    quote, terms = acceptance.quote, offer.terms
    back = acceptance.attempt.refunds.order_by("-pk").first() if offer.state == "REVERSED" else None

    def money(amount: Decimal) -> str:
        return shown_money(amount, offer.currency)

    tax, shipping = quote.due_gross - quote.due_net, quote.shipping_gross
    undo = reverse("upsell:undo", args=[undo_token(offer)])
    return {
        "number": occasion.number,
        "title": terms["product"]["title"],
        "line": wording.units(offer.quantity, terms["product"]["title"]),
        "price": money(quote.line_gross),
        "shipping": money(shipping) if shipping else "",
        "leaving": wording.listed([wording.leaving(row) for row in terms["replaced"]]),
        "credit": money(quote.credit_gross),
        "amount": money(quote.due_gross),
        "tax": money(tax) if tax > 0 else "",
        # A mail sent late still confirms what was agreed, not what became of it since.
        "total_agreed": money(acceptance.total_after_gross),
        "total": money(occasion.total.gross),
        "collected": wording.collected(quote, done=True),
        "on_balance": quote.collection == "ADD_TO_BALANCE" and quote.due_gross > 0,
        "money_back": money(back.amount) if back else "",
        "why": _why(offer, occasion),
        "undo_url": absolute(undo) if offer.state == "ACCEPTED" else "",
        "undo_until": wording.date_and_time(acceptance.undo_until),
        "order_url": absolute(conf.shop().order_url(occasion.ref)),
        "terms_url": absolute(str(conf.get("UPSELL_TERMS_URL"))),
        "returns_url": absolute(str(conf.get("UPSELL_RETURNS_URL"))),
    }


def withdrawal_values(offer: Offer, occasion: Occasion) -> dict[str, Any]:
    """Return what the receipt of a withdrawal says: the statement, when it came, what follows."""
    made = offer.events.filter(kind__in=["withdrawal", "withdrawal_requested"]).order_by("pk")
    message = offer.messages.filter(kind="WITHDRAWAL").first()
    first, last = made.first(), made.last()
    figures = last.figures if last is not None else {}
    original = Decimal(figures.get("original") or 0)
    ours = Decimal(figures.get("ours") or 0)
    return confirmation_values(offer, occasion) | {
        "statement": message.variables.get("statement", "") if message else "",
        "received": wording.exact_time(first.at) if first else "",
        "is_done": offer.state == "REVERSED",
        "put_back": bool(figures.get("put_back")),
        "money_back": shown_money(ours, offer.currency) if ours else "",
        "original": shown_money(original, offer.currency) if original else "",
    }


def _why(offer: Offer, occasion: Occasion) -> str:
    """Say how an accepted offer ended: undone by the buyer, cancelled or refunded by the shop."""
    if offer.state != "REVERSED":
        return ""
    if occasion.cancelled or offer.failure_code == "order_cancelled":
        return "cancelled"
    return "refunded" if offer.failure_code == "order_refunded" else "undone"


def absolute(address: str) -> str:
    """Return an address for a mail; nothing where only the page's own host could complete it."""
    if not address or re.match(r"https?://", address):
        return address
    base = str(conf.get("UPSELL_BASE_URL")).rstrip("/")
    return base + address if base and re.match(r"/(?!/)", address) else ""
