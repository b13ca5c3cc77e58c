"""Names, times and ways to pay as they stand in a sentence of a page or a mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import formats, timezone
from django.utils.translation import gettext as _

from upsell.models import OfferQuote


def units(quantity: int, title: str) -> str:
    """Name a product, with its number where it is not one.

    >>> units(1, "Sencha"), units(2, "Sencha")
    ('Sencha', '2 × Sencha')
    """
    return title if quantity == 1 else f"{quantity} × {title}"


def leaving(row: Mapping[str, Any]) -> str:
    """Name what an upsell takes out of a line; a part of the line may stay."""
    whole = row.get("of", row["quantity"])
    if row["quantity"] == whole:
        return units(whole, row["title"])
    told = {"quantity": row["quantity"], "of": whole, "title": row["title"]}
    return _("%(quantity)s of %(of)s × %(title)s") % told


def listed(names: Sequence[str]) -> str:
    """Join names as one says them; empty for none."""
    *first, last = names or [""]
    return (
        _("%(first)s and %(last)s") % {"first": ", ".join(first), "last": last} if first else last
    )


def collected(quote: OfferQuote, *, done: bool = False) -> str:
    """Say how the amount is collected, or was."""
    label = {"label": quote.collection_label}
    if quote.due_gross == 0:
        return _("nothing to pay")
    if quote.collection == "CHARGE_SAVED":
        return _("charged to %(label)s") % label
    if quote.collection == "ADD_TO_BALANCE":
        return _("added to %(label)s") % label
    if quote.collection == "REDIRECT_APPROVAL":
        if not quote.collection_label:
            return _("paid on the provider's page") if done else _("paid on the next page")
        how = _("paid with %(label)s") if done else _("paid with %(label)s, on the next page")
        return how % label
    return _("nothing to pay")


def score(value: int) -> str:
    """Say what a buyer thinks of an offer, from 1 to 5."""
    return (_("1, very poor"), _("2, poor"), _("3, all right"), _("4, good"), _("5, very good"))[
        value - 1
    ]


def suggested(reason: str) -> str:
    """Say why a product is suggested; empty for a reason that there are no words for."""
    words = {"looked_at": _("You looked at it"), "best_seller": _("Often booked with it")}
    return words.get(reason, "")


def time_of_day(at: datetime) -> str:
    """Return a time as the reader's language writes it."""
    return str(formats.time_format(timezone.localtime(at), "TIME_FORMAT"))


def date_and_time(at: datetime) -> str:
    """Return a time with its day: a mail may be read on another."""
    return str(formats.date_format(timezone.localtime(at), "DATETIME_FORMAT"))


def exact_time(at: datetime) -> str:
    """Return a time with its day and its zone: the date of a legal act."""
    local = timezone.localtime(at)
    told = {"day": formats.date_format(local, "DATE_FORMAT"), "time": f"{local:%H:%M:%S %Z}"}
    return _("%(day)s at %(time)s") % told
