"""Sums per day, made anew for the days on which something happened. SQL adds up, never Python.

The columns are those of ``upsell.engine.metrics.Tally``; this module says them in SQL.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import (
    Case,
    Count,
    DecimalField,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Least, TruncHour

from upsell import clock, conf
from upsell.engine.metrics import OUTCOME
from upsell.models import ChannelSettings, DailyMetric, Offer, OfferEvent, OfferQuote, Progress

logger = logging.getLogger("upsell")

NAME = "rollup"
EVERY = timedelta(minutes=5)
OVERLAP = timedelta(minutes=15)
"""How far before the last round events are looked at again: what was then still to be committed."""
DAYS_A_ROUND = 200

TAKEN = ["ACCEPTED", "REVERSED"]
_MONEY = DecimalField(max_digits=25, decimal_places=4)
_NOTHING = Value(Decimal(0), output_field=_MONEY)
_PLACES = Decimal("0.0001")

FUNNEL = {
    "eligible": Count("pk"),
    "held_out": Count("pk", filter=Q(state="SUPPRESSED")),
    "shown": Count("first_shown_at"),
    "accepted": Count("pk", filter=Q(state__in=TAKEN)),
    "declined": Count("pk", filter=Q(state="DECLINED")),
    "accepted_rated": Count("satisfaction", filter=Q(state__in=TAKEN)),
    "accepted_points": Sum("satisfaction", filter=Q(state__in=TAKEN), default=0),
    "declined_rated": Count("satisfaction", filter=Q(state="DECLINED")),
    "declined_points": Sum("satisfaction", filter=Q(state="DECLINED"), default=0),
}
"""Column to what it counts, over the offers made on a day."""

_ADDED = F("line_net") - F("credit_net")
_REVERSED_IN_TIME = Q(
    offer__acceptance__reversed_at__lt=F("offer__acceptance__at") + OUTCOME,
)
_UNDO = Exists(
    OfferEvent.objects.filter(offer=OuterRef("offer"), kind="reversed", reason="customer_undo")
)
_BACK = Case(
    When(_REVERSED_IN_TIME, then=_ADDED),
    default=Least(Coalesce(F("offer__acceptance__returned_net"), _NOTHING), _ADDED),
    output_field=_MONEY,
)
_GIVEN_BACK = _REVERSED_IN_TIME | Q(offer__acceptance__returned_net__gt=0)

_COSTED = Q(offer__acceptance__cost_net__isnull=False) & Q(
    offer__acceptance__replaced_cost_net__isnull=False
)
# Goods that came back are sold again, and those that they replaced went out again.
_COST = Case(
    When(_REVERSED_IN_TIME, then=_NOTHING),
    default=F("offer__acceptance__cost_net") - F("offer__acceptance__replaced_cost_net"),
    output_field=_MONEY,
)


def _sum(what: Any, **options: Any) -> Coalesce:
    return Coalesce(Sum(what, output_field=_MONEY, **options), _NOTHING)


SALES = {
    "sold": Count("pk"),
    "undone": Count("pk", filter=Q(_UNDO) & _REVERSED_IN_TIME),
    "refunded": Count("pk", filter=_GIVEN_BACK & ~Q(_UNDO)),
    "revenue_net": Sum(_ADDED, output_field=_MONEY),
    "returned_net": Sum(_BACK, output_field=_MONEY),
    "discount_net": Sum("offer__discount_net", output_field=_MONEY),
    "discounted": Count("pk", filter=Q(offer__discount_net__gt=0)),
    "costed": Count("pk", filter=_COSTED),
    "costed_net": _sum(_ADDED - _BACK, filter=_COSTED),
    "costed_discount_net": _sum("offer__discount_net", filter=_COSTED),
    "cost_net": _sum(_COST, filter=_COSTED),
}
"""Column to what it sums, over the accepted quotes of the offers answered on a day."""


def roll_up_due() -> int:
    """Do a round if the last one is five minutes ago, or has not come to its end."""
    row = Progress.objects.filter(name=NAME).first()
    ended = None if row is None or row.reached else row.at
    if ended is not None and clock.now() - ended < EVERY:
        return 0
    return roll_up(days=DAYS_A_ROUND)


def roll_up(*, anew: bool = False, days: int | None = None) -> int:
    """Make the sums of every day anew on which an offer was made, or one of its offers moved.

    Days whose offers may be purged already stay as they are. Each day is a short transaction of
    its own. Twice is the same as once; two at a time wait for each other, day by day.

    Args:
        anew: Every day, as after a change of a sales channel's time zone.
        days: How many days at most; the next round goes on. None = all.

    Returns:
        How many days, each in one sales channel, were made anew.
    """
    now = clock.database_now()
    Progress.objects.bulk_create([Progress(name=NAME)], ignore_conflicts=True)
    row = Progress.objects.get(name=NAME)
    if anew:
        row.cursor, row.reached, row.reached_at = "", "", None
    began = row.reached_at or now
    since = datetime.fromisoformat(row.cursor) - OVERLAP if row.cursor else None
    zones, done = Zones(), 0
    for key, channel, day in _touched(since, zones, now=now):
        if key <= row.reached:
            continue
        if done == days:
            row.save(update_fields=["cursor", "reached", "reached_at"])
            return done
        rebuild(channel=channel, day=day, zone=zones[channel])
        row.reached, row.reached_at = key, began
        done += 1
    row.cursor, row.reached, row.reached_at, row.at = began.isoformat(), "", None, now
    row.save(update_fields=["cursor", "reached", "reached_at", "at"])
    return done


def rebuild(*, channel: str, day: date, zone: ZoneInfo) -> None:
    """Replace the sums of one day in one sales channel by what the offers say now."""
    within = bounds(day, zone)
    with transaction.atomic():
        _lock()
        rows: dict[tuple[Any, ...], DailyMetric] = {}
        for sums in (_funnel(channel, *within), _sales(channel, *within)):
            for found in sums:
                key = tuple(found.pop(name) for name in ("moment", "campaign", "arm", "currency"))
                row = rows.setdefault(key, _empty(channel, day, key))
                for name, value in found.items():
                    exact = value.quantize(_PLACES) if isinstance(value, Decimal) else value
                    setattr(row, name, exact)
        DailyMetric.objects.filter(channel=channel, day=day).delete()
        DailyMetric.objects.bulk_create(rows.values())


def _lock() -> None:
    """Have rounds wait for each other: whoever is second counts after the first has committed."""
    Progress.objects.filter(name=NAME).update(name=NAME)


def bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the instants a day begins and ends at in a time zone, in UTC; the end is outside."""
    midnights = (datetime.combine(one, time(), zone) for one in (day, day + timedelta(days=1)))
    begin, end = (midnight.astimezone(UTC) for midnight in midnights)
    return begin, end


class Zones(dict[str, ZoneInfo]):
    """Sales channel to its time zone: its own, else that of all, else ``TIME_ZONE``."""

    def __init__(self) -> None:
        super().__init__()
        self.named: dict[str, str] = dict(
            ChannelSettings.objects.values_list("channel", "time_zone")
        )

    def __missing__(self, channel: str) -> ZoneInfo:
        named = self.named.get(channel) or self.named.get("") or settings.TIME_ZONE
        try:
            zone = ZoneInfo(named)
        except (KeyError, ValueError):
            logger.warning("sales channel %s: %r is no time zone", channel, named)
            zone = ZoneInfo(settings.TIME_ZONE)
        self[channel] = zone
        return zone


def _touched(since: datetime | None, zones: Zones, *, now: datetime) -> list[tuple[str, str, date]]:
    """Return the days to be made anew, oldest first: sort key, sales channel, day."""
    oldest = now - conf.duration("UPSELL_RETENTION")
    found: set[tuple[str, str, date]] = set()
    for channel, hour in _hours(since):
        zone = zones[channel]
        # Zones are off by quarters of an hour: an hour of UTC may lie on two days.
        for instant in (hour, hour + timedelta(hours=1, microseconds=-1)):
            day = instant.astimezone(zone).date()
            if datetime.combine(day, time(), zone) >= oldest:
                found.add((f"{day.isoformat()} {channel}", channel, day))
    return sorted(found)


def _hours(since: datetime | None) -> Iterator[tuple[str, datetime]]:
    """Yield the hours in which offers were made or answered that moved since, by channel."""
    for name in ("created_at", "responded_at"):
        rows: QuerySet[Any]
        if since is None:
            of, rows = "", Offer.objects.all()
        else:
            of, rows = "offer__", OfferEvent.objects.filter(at__gte=since)
        rows = rows.filter(**{f"{of}{name}__isnull": False})
        hours = rows.annotate(hour=TruncHour(f"{of}{name}", tzinfo=UTC)).order_by()
        yield from hours.values_list(f"{of}channel", "hour").distinct()


def _funnel(channel: str, begin: datetime, end: datetime) -> QuerySet[Any, Any]:
    offers = Offer.objects.filter(
        channel=channel, created_at__gte=begin, created_at__lt=end, trial=False
    )
    groups = offers.order_by().values("moment", "campaign", "arm", "currency")
    return groups.annotate(**FUNNEL)


def _sales(channel: str, begin: datetime, end: datetime) -> QuerySet[Any, Any]:
    quotes = OfferQuote.objects.filter(
        number=F("offer__quote_number"),
        offer__channel=channel,
        offer__responded_at__gte=begin,
        offer__responded_at__lt=end,
        offer__state__in=TAKEN,
        offer__trial=False,
    )
    groups = quotes.order_by().values(
        "currency",
        moment=F("offer__moment"),
        campaign=F("offer__campaign"),
        arm=F("offer__arm"),
    )
    return groups.annotate(**SALES)


def _empty(channel: str, day: date, key: tuple[Any, ...]) -> DailyMetric:
    moment, campaign, arm, currency = key
    return DailyMetric(
        day=day,
        channel=channel,
        moment=moment,
        campaign_id=campaign,
        arm=arm,
        currency=currency,
    )
