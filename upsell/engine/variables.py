"""The closed table of what a message may say of a buyer, and amounts as their language writes them.

An amount has three forms: ``price`` is the bare number (``19,9``), ``price_formatted`` has the
places of its currency (``19,90``), ``price_shown`` has the currency too (``19,90 €``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal

from babel import Locale, UnknownLocaleError
from babel.numbers import format_decimal, parse_pattern

from upsell.engine.money import exponent, round_money

MOST_ITEMS = 8
"""Of the items of an order, and of suggestions, that have names of their own."""
ROWS = "purchased.rows"
"""All items of the order as JSON, for the block that lists them; no text may name it."""


def _money(name: str, meaning: str) -> dict[str, str]:
    return {
        name: f"{meaning}, the bare number",
        f"{name}_formatted": f"{meaning}, with the places of its currency",
        f"{name}_shown": f"{meaning}, with its currency",
    }


ITEM: Mapping[str, str] = {
    "name": "what it is called",
    "url": "its page",
    "image": "its picture",
    "id": "the shop's reference of it",
    "sku": "its number in the shop",
    "variant": "which variant was bought",
    "category": "a category that it is in",
    **_money("price", "what one unit cost, after discounts"),
    **_money("original_price", "what one unit cost before discounts"),
    "quantity": "units bought and not returned",
    **_money("line_total", "what all its units cost, after discounts"),
}
"""Of each item that was bought: ``purchased.1.name`` to ``purchased.8.name``."""
SUGGESTION: Mapping[str, str] = {
    "name": "what it is called",
    "url": "its page",
    "image": "its picture",
    "price": "its price today",
    "reason": "why it is suggested",
}
SINGLE: Mapping[str, str] = {
    "subject.first_name": "the buyer's first name",
    "subject.locale": "the buyer's language",
    "subject.timezone": "the buyer's time zone",
    "starter.product_name": "the product that the journey began with",
    "starter.product_url": "its page",
    "starter.product_image": "its picture",
    "order.number": "the number that the buyer knows the order by",
    "order.date": "the day it was placed",
    "order.currency": "its currency",
    **_money("order.total", "what the order came to"),
    "order.service_date": "the day of departure, check-in or pick-up, the earliest",
    "purchased.items": "names of all items, and how many of each",
    "purchased.currency": "the currency of their prices",
    "purchased.total_count": "units of all items",
    **_money("purchased.total_amount", "what the order came to"),
    "purchased.kinds": "how many different items",
    "last.purchase_date": "the day of the buyer's newest order, as of the step",
    **_money("last.purchase_amount", "what that order came to"),
    "last.currency": "its currency",
    "last.product_name": "its first product",
    "last.product_url": "the page of that product",
    "last.product_image": "the picture of that product",
    "offer.name": "the product that is offered",
    "offer.url": "its page in the shop",
    "offer.image": "its picture",
    "offer.headline": "its headline, as the campaign has it",
    "offer.body": "its text, as the campaign has it",
    **_money("offer.price", "what it costs"),
    **_money("offer.due", "what the buyer would pay now"),
    **_money("offer.original_price", "its lowest price of 30 days, where that is higher"),
    **_money("offer.saving", "the difference"),
    "offer.link": "the page of the offer",
    "offer.expires_at": "until when it stands",
    "offer.kind": "upsell or cross_sell",
    "offer.replaces": "what leaves the order for it",
    "links.order": "the order in the shop",
    "links.unsubscribe": "no more messages of this kind",
    "links.preferences": "what the buyer wants to get",
    "links.view_online": "the message as a page",
    "links.rating": "the page that takes a rating",
    "shop.name": "the sales channel, as the shop calls it",
    "shop.url": "the shop's front page",
    "journey.name": "the journey",
}
"""Names that stand for one thing each, and what that is."""
PATTERNS: Mapping[str, str] = {
    "starter.<param>": "a parameter of the event that the journey began with, as it was then",
    "latest.<event>.<param>": "a parameter of the buyer's newest event of that name",
    "webhook.<step>.<field>": "a field of what a step's webhook answered",
}
"""Names with a part that depends on the shop."""

SENT_WITH = frozenset(
    {
        *("offer.link", "links.order", "links.unsubscribe", "links.preferences"),
        *("links.view_online", "links.rating"),
        *("subject.first_name", "subject.locale", "subject.timezone"),
    }
)
"""Links and what is known of a person: made when a message is sent, and never stored."""
LINKS = (
    *("offer.link", "links.order", "links.rating", "links.view_online", "links.preferences"),
    *("links.unsubscribe", "offer.url", "starter.product_url", "last.product_url"),
    *("purchased.1.url", "suggestion.1.url", "shop.url"),
)
"""Names that a button may lead to."""

_PART = r"[a-z0-9_]+"
_PATTERN = re.compile(
    rf"starter\.{_PART}|latest\.{_PART}(?:\.{_PART})+|webhook\.{_PART}\.{_PART}"
)  # fmt: skip


class _Names(Collection[str]):
    """Every name there is. The ones with free parts are in it, and not listed."""

    def __init__(self) -> None:
        numbers = range(1, MOST_ITEMS + 1)
        self._listed = {
            **SINGLE,
            **{f"purchased.{n}.{name}": text for n in numbers for name, text in ITEM.items()},
            **{
                f"suggestion.{n}.{name}": text for n in numbers for name, text in SUGGESTION.items()
            },
        }

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (
            name in self._listed or _PATTERN.fullmatch(name) is not None
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


NAMES: Collection[str] = _Names()
"""The closed table: a name that is not in it is refused."""


# ------------------------------------------------------------------ what can never be known

_ABOUT_ORDERS = re.compile(r"order\.[a-z_]+|offer\.[a-z_]+")
_WITHOUT_ORDER = frozenset(
    {
        *("page.viewed", "product.viewed", "category.viewed"),
        *("cart.added", "cart.removed", "cart.abandoned", "checkout.started"),
        *("usage.threshold", "feature.used", "subscription.renewal_due"),
        *("trial.started", "trial.ending"),
    }
)
"""Events that come before an order, or without one."""
_OF_ORDERS = frozenset(
    {
        *("order_ref", "channel", "currency", "total", "line_refs", "product_refs"),
        *("category_refs", "tags", "coupons", "service_at", "full", "product_ref"),
        *("product_name", "product_url", "product_image", "offer", "campaign", "amount"),
    }
)
"""Parameters of events of orders and offers, and what follows from them. These are ours; to any
other event a shop adds parameters as it likes."""


def never_known(
    names: Collection[str], *, event: str, offer: bool, webhooks: Collection[str] = ()
) -> frozenset[str]:
    """Return the names that can have no value in a journey, whoever is in it.

    Args:
        names: Names of the table.
        event: What the journey begins with.
        offer: Whether a step before the message makes an offer and suggestions.
        webhooks: Steps that call a system, and were answered on every way to the message.
    """
    return frozenset(
        name for name in names if not _may_be_known(name, event=event, offer=offer, calls=webhooks)
    )


def _may_be_known(name: str, *, event: str, offer: bool, calls: Collection[str]) -> bool:
    family, _, rest = name.partition(".")
    if family in {"offer", "suggestion"}:
        return offer
    if family in {"order", "purchased"} or name == "links.order":
        return event not in _WITHOUT_ORDER
    if family == "starter":
        return _ABOUT_ORDERS.fullmatch(event) is None or rest in _OF_ORDERS
    if family == "webhook":
        return rest.partition(".")[0] in calls
    return True


# ------------------------------------------------------------------ amounts


def locale_of(tag: str, /) -> Locale:
    """Return Babel's locale for a language tag such as ``de-DE``; English where it knows none."""
    for one in (tag, tag.replace("_", "-").partition("-")[0]):
        try:
            return Locale.parse(one.replace("_", "-"), sep="-")
        except (UnknownLocaleError, ValueError, TypeError):
            continue
    return Locale("en")


def plain(amount: Decimal, currency: str, locale: Locale, /) -> str:
    """Return an amount as a bare number: no group separators, no more places than it needs.

    >>> plain(Decimal("19.90"), "EUR", Locale("de"))
    '19,9'
    """
    return str(format_decimal(round_money(amount, currency), format="0.####", locale=locale))


def formatted(amount: Decimal, currency: str, locale: Locale, /) -> str:
    """Return an amount with the places of its currency, by ISO 4217, and no group separators.

    >>> formatted(Decimal("1.5"), "KWD", Locale("en"))
    '1.500'
    """
    places = exponent(currency)
    pattern = f"0.{'0' * places}" if places else "0"
    return str(format_decimal(round_money(amount, currency), format=pattern, locale=locale))


def shown(amount: Decimal, currency: str, locale: Locale, /) -> str:
    """Return an amount with its currency, as a reader of the language expects it."""
    # A pattern of its own, with the places of ISO 4217: Babel's differ for some currencies.
    pattern = parse_pattern(locale.currency_formats["standard"].pattern)
    pattern.frac_prec = (exponent(currency), exponent(currency))
    rounded = round_money(amount, currency)
    return str(pattern.apply(rounded, locale, currency=currency, currency_digits=False))


def forms_of(name: str, amount: Decimal, currency: str, locale: Locale, /) -> dict[str, str]:
    """Return an amount under its three names."""
    return {
        name: plain(amount, currency, locale),
        f"{name}_formatted": formatted(amount, currency, locale),
        f"{name}_shown": shown(amount, currency, locale),
    }
