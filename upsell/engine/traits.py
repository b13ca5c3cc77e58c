"""Who an offer was made to, as far as results are split by it: kinds of buyers, never a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from upsell.engine.types import Occasion, Purchase

NEW, RETURNING = "new", "returning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a request says of who looks. Both empty where an offer is made without a page."""

    device: str = ""
    """``phone``, ``tablet`` or ``desktop``."""
    language: str = ""
    """The page's language code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """As they were when the offer was made. Empty = not known."""

    new_or_returning: str = ""
    customer_group: str = ""
    """All groups of the buyer, in order: whoever is in two counts once, under both names."""
    country: str = ""
    """Where the order goes: ISO 3166 alpha-2."""
    device: str = ""
    language: str = ""
    """The buyer's, else the page's; without a region."""
    segment: str = ""
    """Nothing fills it yet."""


TRAITS = tuple(row.name for row in fields(Traits))
LONGEST_GROUP = 190


def traits_of(occasion: Occasion, visit: Visit, *, bought: Sequence[Purchase] | None) -> Traits:
    """Return what is known of who an order's offer is made to.

    Args:
        occasion: The order.
        visit: What the request says.
        bought: What this buyer has bought at all; none = the shop cannot tell.
    """
    customer = occasion.customer
    return Traits(
        new_or_returning=_new_or_returning(occasion, bought),
        customer_group=", ".join(sorted(customer.group_refs))[:LONGEST_GROUP],
        country=_country(occasion.shipping_country or ""),
        device=visit.device,
        language=_language(customer.locale or "") or _language(visit.language),
    )


def _new_or_returning(occasion: Occasion, bought: Sequence[Purchase] | None) -> str:
    placed = occasion.customer.orders_count
    if placed is not None:
        return RETURNING if placed > 1 else NEW
    if bought is None or not (occasion.customer.ref or occasion.customer.email):
        return ""
    return RETURNING if any(row.order_ref != occasion.ref for row in bought) else NEW


def _country(told: str) -> str:
    """Return a country as two letters; what is none, is not known."""
    code = told.strip().upper()
    return code if len(code) == 2 and code.isascii() and code.isalpha() else ""


def _language(locale: str) -> str:
    """Return the language of ``de``, ``de-AT`` or ``de_AT.UTF-8``.

    >>> _language("pt_BR.UTF-8")
    'pt'
    """
    code = locale.replace("_", "-").partition("-")[0].strip().lower()
    return code if 2 <= len(code) <= 3 and code.isascii() and code.isalpha() else ""
