"""When more is bought: how long after the main purchase, and when an offer is taken.

The first is read from the mirror of the shop's orders: a buyer counts once, from their first order
with the one to their first later order with the other. Quartiles are the nearest rank, in SQL.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import (
    Case,
    DateTimeField,
    ExpressionWrapper,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import ExtractHour

from upsell.engine.campaigns import OfferBy, TriggerKind
from upsell.engine.metrics import Tally
from upsell.models import Campaign, Offer, OrderFact
from upsell.ports import Moment
from upsell.queries.gaps import Goods, gaps
from upsell.services.metrics import FUNNEL, Zones, bounds
from upsell.services.results import Asked
from upsell.services.splits import filters, within

LONGEST = 92
"""Days of offers that are read at most."""
MEMORY = timedelta(days=365)
"""How far back in the mirror first purchases are looked for."""
LEAST = 5
"""Pairs that fewer buyers had are not told: they would say something of somebody."""
PAIRS = 20
SAMPLE = 40_000
"""With more orders, a part of the buyers is followed; with ten times more, a tenth of those."""
MINUTES = (1, 5, 15, 60, 24 * 60)
"""Ends of the stretches since checkout, in minutes; the last one has no end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """How long after the one the other is bought, of buyers who bought both."""

    main: str
    """A category's reference; empty where it is what triggers a campaign."""
    ancillary: str
    """A category's reference; empty where it is what a campaign offers."""
    buyers: int
    first_quarter: timedelta
    median: timedelta
    third_quarter: timedelta


def part(*, now: datetime) -> str:
    """Return how the keys end of the buyers who are followed; empty = all. One statement.

    One in ten where keys end in digits, one in sixteen where they are hashes. Choosing by the key
    chooses nobody for when they bought, as taking the latest would.
    """
    orders = OrderFact.objects.filter(placed_at__gte=now - MEMORY).count()
    return "7" * len(str(orders // SAMPLE).lstrip("0"))


def by_category(
    *, now: datetime, channels: Collection[str] | None = None, ends: str | None = None
) -> Sequence[Gap]:
    """Return pairs of categories, those that most buyers had first; ``PAIRS`` at most.

    A product counts for one of its categories, the one that the mirror keeps. One statement.
    ``ends`` is what ``part`` returns, where that was asked already.
    """
    return _gaps(
        gaps(
            since=now - MEMORY,
            ends=part(now=now) if ends is None else ends,
            least=LEAST,
            pairs=PAIRS,
            channels=_sorted(channels),
        )
    )


def of_campaign(
    campaign: Campaign,
    *,
    now: datetime,
    channels: Collection[str] | None = None,
    ends: str | None = None,
) -> Gap | None:
    """Return how long after what triggers a campaign its product is bought without it.

    None where too few buyers bought both, or where the mirror cannot tell: it knows products and
    a category of each, and no brands or tags. One statement, and one for the triggers.
    """
    main, ancillary = _triggers(campaign), _offered(campaign)
    if not any(main) or not any(ancillary):
        return None
    found = _gaps(
        gaps(
            since=now - MEMORY,
            ends=part(now=now) if ends is None else ends,
            least=LEAST,
            pairs=1,
            channels=_sorted(channels),
            main=main,
            ancillary=ancillary,
        )
    )
    return next(iter(found), None)


def can_be_told(campaign: Campaign) -> bool:
    """Whether the mirror knows what triggers a campaign, and what it offers."""
    return any(_triggers(campaign)) and any(_offered(campaign))


def _triggers(campaign: Campaign) -> Goods:
    kinds = (TriggerKind.PRODUCT, TriggerKind.CATEGORY)
    rows = list(campaign.triggers.all())
    products, categories = (sorted({row.ref for row in rows if row.kind == kind}) for kind in kinds)
    return products, categories


def _offered(campaign: Campaign) -> Goods:
    if campaign.offer_by == OfferBy.PRODUCT:
        refs = {campaign.product_ref} - {""}
    elif campaign.offer_by == OfferBy.MAP:
        refs = {row[1] for row in campaign.product_map}
    else:
        refs = set()
    return sorted(refs), []


def _sorted(channels: Collection[str] | None) -> list[str] | None:
    return None if channels is None else sorted(channels)


def _gaps(rows: Iterable[Sequence[Any]]) -> list[Gap]:
    return [
        Gap(
            main=main,
            ancillary=ancillary,
            buyers=int(buyers),
            first_quarter=_length(quarters[0]),
            median=_length(quarters[1]),
            third_quarter=_length(quarters[2]),
        )
        for main, ancillary, buyers, *quarters in rows
    ]


def _length(told: Any) -> timedelta:
    """Return a length of time: PostgreSQL has a type for it, the others tell microseconds."""
    return told if isinstance(told, timedelta) else timedelta(microseconds=int(told))


# ------------------------------------------------------------------ when an offer is taken

Taken = Mapping[int, Tally]
"""Stretch or hour to how many were shown in it, and what became of them."""
NOT_MIRRORED = -1
"""The stretch of offers whose order is not mirrored: when it was placed is not known."""


def by_minutes(asked: Asked) -> Taken:
    """Return the offers after checkout by how long after it they were first shown.

    Keys are places in ``MINUTES``, one more for what is later, and ``NOT_MIRRORED``. Two
    statements.
    """
    placed = OrderFact.objects.filter(order_ref=OuterRef("order_ref")).values("placed_at")[:1]
    rows = _shown(asked, Zones()).filter(moment=Moment.POST_PURCHASE)
    rows = rows.annotate(placed=Subquery(placed)).annotate(gap=F("first_shown_at") - F("placed"))
    stretches = [
        When(gap__lt=timedelta(minutes=end), then=Value(at)) for at, end in enumerate(MINUTES)
    ]
    return _taken(
        rows,
        Case(
            When(placed__isnull=True, then=Value(NOT_MIRRORED)),
            *stretches,
            default=Value(len(MINUTES)),
            output_field=IntegerField(),
        ),
    )


def by_hour(asked: Asked) -> Taken:
    """Return offers by the hour of the day at which they were first shown, 0 to 23.

    The day is the sales channel's. Two statements: zones are turned into lengths of time first,
    since not every database has a table of them.
    """
    zones = Zones()
    rows = _shown(asked, zones)
    return _taken(
        rows, Case(*_hours(asked, zones), default=_hour(timedelta()), output_field=IntegerField())
    )


def _shown(asked: Asked, zones: Zones) -> QuerySet[Offer]:
    days = within(asked, "first_shown_at", zones)
    return Offer.objects.filter(days, filters(asked), trial=False)


def _taken(rows: QuerySet[Offer], of: Case) -> Taken:
    groups = rows.order_by().annotate(place=of).values("place").annotate(**FUNNEL)
    return {
        int(place): Tally(**dict(zip(FUNNEL, counts, strict=True)))
        for place, *counts in sorted(groups.values_list("place", *FUNNEL))
    }


def _hour(ahead: timedelta) -> ExtractHour:
    at = F("first_shown_at") + Value(ahead) if ahead else F("first_shown_at")
    return ExtractHour(ExpressionWrapper(at, DateTimeField()), tzinfo=UTC)


def _hours(asked: Asked, zones: Zones) -> Iterator[When]:
    """Yield how far ahead of UTC clocks are, zone by zone and from change to change."""
    channels: dict[str, list[str]] = defaultdict(list)
    for channel in sorted(zones.named):
        channels[zones[channel].key].append(channel)
    named = [(Q(channel__in=those), ZoneInfo(key)) for key, those in channels.items()]
    for of, zone in [*named, (Q(), zones[""])]:
        for until, ahead in _offsets(asked, zone):
            yield When(of & Q(first_shown_at__lt=until), then=_hour(ahead))


def _offsets(asked: Asked, zone: ZoneInfo) -> Iterator[tuple[datetime, timedelta]]:
    """Yield until when a zone's clocks are how far ahead of UTC, over the days asked for."""
    at, _day_end = bounds(asked.first, zone)
    _day, end = bounds(asked.last, zone)
    ahead = _ahead(at, zone)
    # Clocks change at a quarter of an hour of UTC, everywhere.
    while at < end:
        at += timedelta(minutes=15)
        if (now := _ahead(at, zone)) != ahead:
            yield at, ahead
            ahead = now
    yield end, ahead


def _ahead(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()
