"""What offers came to by who they were made to: read from the offers, added up by SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import F, Q, QuerySet

from upsell.engine.metrics import COLUMNS, Tally
from upsell.engine.traits import TRAITS
from upsell.models import Offer, OfferQuote
from upsell.services.metrics import FUNNEL, SALES, TAKEN, Zones, bounds
from upsell.services.results import Asked, ByCurrency, exact

LONGEST = 92
"""Days that are read at most: offers are many, and no sums of them are kept by who."""
SPLITS = tuple(name for name in TRAITS if name != "segment")
"""What results can be split by; a segment too, once something fills it."""


def sums_by(asked: Asked, name: str) -> Mapping[str, ByCurrency]:
    """Return the values of one trait of ``Offer`` to their sums. Three statements.

    Added up they are the sums per day of the same range, as these would be if made now.

    Args:
        asked: At most ``LONGEST`` days.
        name: One of ``SPLITS``.
    """
    if name not in SPLITS or asked.days > LONGEST:
        raise ValueError(f"{name} over {asked.days} days")
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    zones = Zones()
    for rows in (_made(asked, name, zones), _sold(asked, name, zones)):
        for row in rows:
            found[row.pop("value")][row.pop("money")].update(row)
    return {
        value: {
            currency: Tally(**{column: exact(row[column]) for column in COLUMNS if column in row})
            for currency, row in sorted(by_currency.items())
        }
        for value, by_currency in sorted(found.items())
    }


def _made(asked: Asked, name: str, zones: Zones) -> QuerySet[Any, Any]:
    offers = Offer.objects.filter(within(asked, "created_at", zones), filters(asked), trial=False)
    return offers.order_by().values(value=F(name), money=F("currency")).annotate(**FUNNEL)


def _sold(asked: Asked, name: str, zones: Zones) -> QuerySet[Any, Any]:
    quotes = OfferQuote.objects.filter(
        within(asked, "responded_at", zones, of="offer__"),
        filters(asked, of="offer__"),
        number=F("offer__quote_number"),
        offer__state__in=TAKEN,
        offer__trial=False,
    )
    groups = quotes.order_by().values(value=F(f"offer__{name}"), money=F("currency"))
    return groups.annotate(**SALES)


def filters(asked: Asked, *, of: str = "") -> Q:
    """Return what else is asked for of an offer: its sales channel, campaign and moment."""
    found = Q()
    if asked.channels is not None:
        found &= Q(**{f"{of}channel__in": sorted(asked.channels)})
    for name in ("channel", "campaign", "moment"):
        value = getattr(asked, name)
        if value is not None:
            found &= Q(**{f"{of}{name}": value})
    return found


def within(asked: Asked, name: str, zones: Zones, *, of: str = "") -> Q:
    """Return that a time lies in the days asked for, each in its own sales channel's time zone."""
    by_ends: dict[tuple[datetime, datetime], list[str]] = defaultdict(list)
    named = sorted(zones.named)
    for channel in named:
        by_ends[_ends(asked.first, asked.last, zones, channel)].append(channel)
    begin, end = _ends(asked.first, asked.last, zones, "")
    rest = _between(f"{of}{name}", begin, end)
    found = rest & ~Q(**{f"{of}channel__in": named}) if named else rest
    for (begin, end), channels in by_ends.items():
        found |= _between(f"{of}{name}", begin, end) & Q(**{f"{of}channel__in": channels})
    return found


def _ends(first: date, last: date, zones: Zones, channel: str) -> tuple[datetime, datetime]:
    return bounds(first, zones[channel])[0], bounds(last + timedelta(days=1), zones[channel])[0]


def _between(name: str, begin: datetime, end: datetime) -> Q:
    return Q(**{f"{name}__gte": begin, f"{name}__lt": end})
