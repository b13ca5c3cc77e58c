"""An offer as a page shows it: rows in, plain values out, no query."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from django.urls import reverse
from django.utils import translation
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from upsell import conf, snapshots
from upsell.engine.metrics import SCORES
from upsell.models import Offer, OfferQuote
from upsell.models.tokens import offer_token
from upsell.presenting import wording
from upsell.presenting.fields import Fields
from upsell.presenting.mails import shown_money
from upsell.presenting.tracking import Tracked, tracked
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
class Row(Fields):
    """One line of the side-by-side comparison."""

    name: str
    before: str
    after: str
    differs: bool
    words: str
    """The difference said in words: nobody has to see a colour or the other column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving(Fields):
    """One line that an upsell takes out of the order."""

    title: str
    words: str
    """The title with its units, where it is not simply one."""
    quantity: int
    image_url: str
    image_alt: str
    paid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownOffer(Fields):
    """Everything the templates need, as text and addresses."""

    # None is what a template makes of a variable that nobody set.
    leaves_open: ClassVar[frozenset[str | None]] = frozenset(
        {
            *(None, "", "payment_declined", "payment_unavailable", "quote_changed"),
            *("login_required", "rate_limited", "bad_input"),
        }
    )
    """The codes after which an open offer can still be answered; after others it cannot."""

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
    replaced: tuple[Leaving, ...]
    leaving: str
    """What leaves the order, in one phrase; empty for a cross-sell."""
    coming: str
    exchange: str
    """What leaves and what comes, as a sentence; empty for a cross-sell."""
    rows: tuple[Row, ...]
    price: str
    struck_price: str
    credit: str
    shipping: str
    tax: str
    due: str
    confirmed: str
    arithmetic: SafeString | str
    """How the amount comes about; empty where it is the price itself."""
    pay_now: str
    answer_until: str
    is_free: bool
    accept_label: str
    decline_label: str
    collection: str
    included: str
    """How it is collected, and what of tax and delivery is in it: the line under the price."""
    collected_by: str
    """The way itself: ADD_TO_BALANCE, CHARGE_SAVED, REDIRECT_APPROVAL or NONE."""
    provider: str
    """Who asks the buyer to approve, by name; empty for any other way, or without a name."""
    answer_bank_until: str
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
    order_ref: str
    terms_url: str
    returns_url: str
    total_after: str
    trial: bool
    may_rate: bool
    """Whether the buyer is asked how it was."""
    satisfaction: int | None
    """What they said last."""
    rate_url: str
    tracked: Tracked | None
    """For the shop's own measuring tools; none where nothing was bought, or by staff on trial."""

    @property
    def scores(self) -> list[tuple[int, str]]:
        """What may be said of it, each in words."""
        return [(score, wording.score(score)) for score in SCORES]

    @property
    def satisfaction_words(self) -> str:
        """What the buyer said last, in words."""
        return wording.score(self.satisfaction) if self.satisfaction else ""

    @property
    def order_url(self) -> str:
        """Where the buyer looks at the order; the shop is asked only where a page says it."""
        return conf.shop().order_url(self.order_ref) if self.order_ref else ""


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

    # Where sentences run right to left, a name or an amount in them must not be torn apart.
    apart = _isolated if translation.get_language_bidi() else str

    def money(amount: Decimal) -> str:
        return apart(shown_money(amount, offer.currency))

    asked = state == "challenge"
    attempt = getattr(offer, "live_attempt", None) if asked else None
    replaced = tuple(_leaving(row, money) for row in terms["replaced"])
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
        replaced=replaced,
        leaving=(leaving := wording.listed([apart(row.words) for row in replaced])),
        coming=(coming := apart(wording.units(offer.quantity, product["title"]))),
        exchange=_exchange(leaving, coming, sum(row.quantity for row in replaced)),
        rows=_rows(terms, money(quote.line_gross), money(quote.credit_gross)),
        price=money(quote.line_gross),
        struck_price=_struck(offer, terms, quote),
        credit=money(quote.credit_gross),
        shipping=money(quote.shipping_gross) if quote.shipping_gross else "",
        tax=money(quote.due_gross - quote.due_net) if quote.due_gross > quote.due_net else "",
        due=money(quote.due_gross),
        confirmed=_("Order %(number)s is confirmed. Nothing below changes it unless you say so.")
        % {"number": terms["order_number"]},
        arithmetic=_arithmetic(quote, bool(replaced), money),
        pay_now=_("You pay now %(due)s") % {"due": money(quote.due_gross)},
        answer_until=_("You can answer here until %(until)s, and undo afterwards.")
        % {"until": wording.time_of_day(offer.expires_at)},
        is_free=quote.due_gross == 0,
        accept_label=_accept_label(words["accept_label"], quote, money(quote.due_gross)),
        decline_label=words["decline_label"] or _("No, thank you"),
        collection=wording.collected(quote, done=state != "open"),
        included=" · ".join((wording.collected(quote), *_included(quote, money))),
        collected_by=quote.collection if quote.due_gross else "NONE",
        provider=quote.collection_label if quote.collection == "REDIRECT_APPROVAL" else "",
        answer_bank_until=(
            wording.time_of_day(offer.action_expires_at)
            if asked and offer.action_expires_at
            else ""
        ),
        undo_until=wording.time_of_day(acceptance.undo_until) if acceptance else "",
        may_undo=bool(acceptance and state == "accepted" and acceptance.undo_until > now),
        failure_code=offer.failure_code,
        action_url=opened(attempt.action_url) if attempt else "",
        accept_url=address("accept"),
        decline_url=address("decline"),
        undo_url=address("undo"),
        status_url=address("status"),
        return_url=address("return"),
        page_url=here,
        order_ref=offer.order_ref or "",
        terms_url=str(conf.get("UPSELL_TERMS_URL")),
        returns_url=str(conf.get("UPSELL_RETURNS_URL")),
        total_after=money(acceptance.total_after_gross) if acceptance else "",
        trial=offer.trial,
        may_rate=_may_rate(offer, state, page.version),
        satisfaction=offer.satisfaction,
        rate_url=address("rate"),
        tracked=tracked(page),
    )


def _may_rate(offer: Offer, state: str, version: int) -> bool:
    if offer.trial or state not in {"accepted", "declined"}:
        return False
    return snapshots.policy(offer.channel, version).ask_satisfaction


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


def _isolated(text: str) -> str:
    return f"\u2068{text}\u2069"


def _leaving(row: Mapping[str, Any], money: Callable[[Decimal], str]) -> Leaving:
    return Leaving(
        title=row["title"],
        words=wording.leaving(row),
        quantity=row["quantity"],
        image_url=opened(row["image_url"]),
        image_alt=row["image_alt"],
        paid=money(Decimal(row["credit_gross"])),
    )


def _exchange(leaving: str, coming: str, units: int) -> str:
    if not units:
        return ""
    return ngettext(
        "%(old)s leaves your order, %(new)s takes its place.",
        "%(old)s leave your order, %(new)s takes their place.",
        units,
    ) % {"old": leaving, "new": coming}


def _arithmetic(
    quote: OfferQuote, replaces: bool, money: Callable[[Decimal], str]
) -> SafeString | str:
    if replaces and quote.shipping_gross:
        words = _("{price} + {shipping} delivery − {credit} you paid = <b>{due} now</b>")
    elif replaces:
        words = _("{price} − {credit} you paid = <b>{due} now</b>")
    elif quote.shipping_gross:
        words = _("{price} + {shipping} delivery = <b>{due} now</b>")
    else:
        return ""
    return format_html(
        words,
        price=money(quote.line_gross),
        shipping=money(quote.shipping_gross),
        credit=money(quote.credit_gross),
        due=money(quote.due_gross),
    )


def _included(quote: OfferQuote, money: Callable[[Decimal], str]) -> list[str]:
    tax, shipping = quote.due_gross - quote.due_net, quote.shipping_gross
    words = []
    if tax > 0:
        words.append(_("includes %(tax)s tax") % {"tax": money(tax)})
    elif tax == 0:
        words.append(_("free of tax"))
    if shipping:
        words.append(_("includes %(shipping)s delivery") % {"shipping": money(shipping)})
    else:
        words.append(_("no extra delivery cost"))
    return words


def _rows(terms: Mapping[str, Any], price: str, credit: str) -> tuple[Row, ...]:
    """Compare two products, fact by fact, then their prices; several have no facts in common."""
    if not terms["replaced"]:
        return ()
    paid = _("%(credit)s, paid") % {"credit": credit}
    last = Row(name=_("Price"), before=paid, after=price, differs=price != credit, words="")
    if len(terms["replaced"]) > 1:
        return (last,)
    before: Mapping[str, str] = terms["replaced"][0]["attributes"]
    after: Mapping[str, str] = terms["product"]["attributes"]
    names = [name for name in dict.fromkeys((*before, *after)) if name != "fits"]
    facts = (
        Row(
            name=name,
            before=before.get(name, "–"),
            after=after.get(name, "–"),
            differs=before.get(name) != after.get(name),
            words=_difference(before.get(name), after.get(name)),
        )
        for name in names
    )
    return (*facts, last)


def _difference(before: str | None, after: str | None) -> str:
    if before == after:
        return _("the same")
    return _("instead of %(before)s") % {"before": before} if before else _("new")


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
