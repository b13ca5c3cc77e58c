"""An offer as a page shows it: rows in, plain values out, no query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils import formats, timezone, translation
from django.utils.translation import gettext as _

from upsell import conf
from upsell.models import Offer, OfferQuote
from upsell.models.tokens import offer_token
from upsell.presenting.mails import shown_money
from upsell.queries import Page

_STATES = {
    "CREATED": "open",
    "SHOWN": "open",
    "ACCEPTING": "confirming",
    "ACTION_REQUIRED": "challenge",
    "ACCEPTED": "accepted",
    "DECLINED": "declined",
    "EXPIRED": "expired",
    "REVOKED": "revoked",
    "FAILED": "failed",
    "NEEDS_ATTENTION": "confirming",
    "REVERSED": "undone",
}

GONE = frozenset({"declined", "expired", "revoked"})
"""What the host's page says nothing of any more; our own page has a line for each."""

_SKIPPED = re.compile(r"[\x00-\x20\x7f]")
_RUN = re.compile(r"(javascript|data|vbscript):", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the side-by-side comparison."""

    name: str
    before: str
    after: str
    differs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownOffer:
    """Everything the templates need, as text and addresses."""

    uuid: str
    state: str
    kind: str
    quote_number: int
    order_number: str
    title: str
    product_url: str
    image_url: str
    image_alt: str
    headline: str
    body: str
    benefits: tuple[str, ...]
    quantity: int
    replaced: tuple[Mapping[str, Any], ...]
    rows: tuple[Row, ...]
    price: str
    struck_price: str
    credit: str
    shipping: str
    tax: str
    due: str
    is_free: bool
    accept_label: str
    decline_label: str
    collection: str
    until: str
    undo_until: str
    may_undo: bool
    failure_code: str
    action_url: str
    accept_url: str
    decline_url: str
    undo_url: str
    status_url: str
    return_url: str
    page_url: str
    terms_url: str
    returns_url: str
    total_after: str
    trial: bool


def shown_offer(page: Page, *, now: datetime) -> ShownOffer | None:
    """Return what to show of a decided page; none where there is nothing to show."""
    offer, quote = page.offer, page.quote
    if offer is None or quote is None or offer.state == "SUPPRESSED":
        return None
    state = _STATES[offer.state]
    if state == "open" and offer.expires_at <= now:
        state = "expired"
    token = offer_token(offer)
    terms: Mapping[str, Any] = offer.terms
    words = copy_for(terms)
    product = terms["product"]
    acceptance = page.acceptance

    here = reverse("upsell:offer", args=[token])

    def address(name: str) -> str:
        return f"{here}{name}/"  # the names below it are public

    def money(amount: Decimal) -> str:
        return shown_money(amount, offer.currency)

    attempt = getattr(offer, "live_attempt", None) if state == "challenge" else None
    return ShownOffer(
        uuid=str(offer.uuid),
        state=state,
        kind=offer.kind,
        quote_number=offer.quote_number,
        order_number=terms["order_number"],
        title=product["title"],
        product_url=opened(product["url"]),
        image_url=opened(words["image_url"] or product["image_url"]),
        image_alt=words["image_alt"] or product["image_alt"],
        headline=words["headline"] or product["title"],
        body=words["body"],
        benefits=tuple(words["benefits"]),
        quantity=offer.quantity,
        replaced=tuple({**row, "image_url": opened(row["image_url"])} for row in terms["replaced"]),
        rows=_rows(terms),
        price=money(quote.line_gross),
        struck_price=_struck(offer, terms, quote),
        credit=money(quote.credit_gross),
        shipping=money(quote.shipping_gross) if quote.shipping_gross else "",
        tax=money(quote.due_gross - quote.due_net),
        due=money(quote.due_gross),
        is_free=quote.due_gross == 0,
        accept_label=_accept_label(words["accept_label"], quote, money(quote.due_gross)),
        decline_label=words["decline_label"] or _("No, thank you"),
        collection=_collection(quote),
        until=_time(offer.expires_at),
        undo_until=_time(acceptance.undo_until) if acceptance else "",
        may_undo=bool(acceptance and state == "accepted" and acceptance.undo_until > now),
        failure_code=offer.failure_code,
        action_url=opened(attempt.action_url) if attempt else "",
        accept_url=address("accept"),
        decline_url=address("decline"),
        undo_url=address("undo"),
        status_url=address("status"),
        return_url=address("return"),
        page_url=here,
        terms_url=str(conf.get("UPSELL_TERMS_URL")),
        returns_url=str(conf.get("UPSELL_RETURNS_URL")),
        total_after=money(acceptance.total_after_gross) if acceptance else "",
        trial=offer.trial,
    )


def opened(address: str) -> str:
    """Return an address that a browser opens; nothing for one that it would run.

    Addresses come from the shop, the gateway and staff. Escaping keeps them inside their
    attribute, and does not keep ``javascript:`` from running. Browsers skip blanks and control
    characters in an address; so do we.
    """
    return "" if _RUN.match(_SKIPPED.sub("", address)) else address


def copy_for(terms: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return staff's words: exact language, its base, the campaign's default, else none."""
    copy: Mapping[str, Mapping[str, Any]] = terms["copy"]
    language = translation.get_language() or "en"
    for tag in (language, language.split("-")[0], terms["default_language"]):
        if tag in copy:
            return copy[tag]
    return {
        "headline": "",
        "body": "",
        "benefits": [],
        "image_url": "",
        "image_alt": "",
        "accept_label": "",
        "decline_label": "",
    }


def _rows(terms: Mapping[str, Any]) -> tuple[Row, ...]:
    if not terms["replaced"]:
        return ()
    before: Mapping[str, str] = terms["replaced"][0]["attributes"]
    after: Mapping[str, str] = terms["product"]["attributes"]
    names = [name for name in dict.fromkeys((*before, *after)) if name != "fits"]
    return tuple(
        Row(
            name=name,
            before=before.get(name, "–"),
            after=after.get(name, "–"),
            differs=before.get(name) != after.get(name),
        )
        for name in names
    )


def _struck(offer: Offer, terms: Mapping[str, Any], quote: OfferQuote) -> str:
    """A struck price only against the lowest of 30 days, and only where it is higher."""
    lowest = terms.get("lowest_30d")
    if not lowest:
        return ""
    before = Decimal(lowest["gross"]) * offer.quantity
    return shown_money(before, offer.currency) if before > quote.line_gross else ""


def _accept_label(own: str, quote: OfferQuote, amount: str) -> str:
    """Words that say what a click costs; staff's own get the amount appended."""
    if quote.due_gross == 0:
        return own or _("Change my order, at no charge")
    if own:
        return f"{own} · {amount}"
    if quote.collection == "ADD_TO_BALANCE":
        return _("Order for %(amount)s") % {"amount": amount}
    if quote.collection == "REDIRECT_APPROVAL":
        return _("Continue to pay %(amount)s") % {"amount": amount}
    return _("Pay %(amount)s now") % {"amount": amount}


def _collection(quote: OfferQuote) -> str:
    label = quote.collection_label
    if quote.collection == "CHARGE_SAVED":
        return _("charged to %(label)s") % {"label": label}
    if quote.collection == "ADD_TO_BALANCE":
        return _("added to %(label)s") % {"label": label}
    if quote.collection == "REDIRECT_APPROVAL":
        return _("paid on the next page")
    return _("nothing to pay")


def _time(at: datetime) -> str:
    return str(formats.time_format(timezone.localtime(at), "TIME_FORMAT"))
