"""When a wait is over: hours are real hours, days and times of the day are the buyer's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_SPAN = re.compile(
    r"P(?=.)(?:(?P<days>\d{1,3})D)?(?:T(?=.)(?:(?P<hours>\d{1,4})H)?(?:(?P<minutes>\d{1,6})M)?)?"
)
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """How long a wait is: days of the calendar, then time of the clock."""

    days: int = 0
    clock: timedelta = timedelta(0)

    @property
    def about(self) -> timedelta:
        """Its length, but for the hour that a day may be shorter or longer."""
        return timedelta(days=self.days) + self.clock


def span_of(data: object, /) -> Span | None:
    """Return an ISO 8601 duration such as ``P1D``, ``PT3H`` or ``P2DT30M``; None where it is none.

    ``P1D`` is the same time tomorrow; ``PT24H`` is twenty-four hours.
    """
    found = _SPAN.fullmatch(data) if isinstance(data, str) else None
    if found is None:
        return None
    count = {name: int(value or 0) for name, value in found.groupdict().items()}
    return Span(days=count["days"], clock=timedelta(hours=count["hours"], minutes=count["minutes"]))


def due_at(
    begun: datetime,
    span: Span,
    zone: tzinfo,
    *,
    until: time | None = None,
    weekdays: tuple[int, ...] = (),
) -> datetime:
    """Return when a wait is over, in UTC.

    Args:
        begun: When the step before it was committed.
        span: How long it is.
        zone: The buyer's.
        until: The time of the day to wait for after that. After whole days it is that day's,
            also where it is earlier than the time at which the wait began.
        weekdays: Days that it may end on, 1 is Monday; none = any.

    A time that a day does not have, when clocks go forward, is the first minute that there is; one
    that it has twice is the first of the two.
    """
    instant = begun
    if span.days:
        local = begun.astimezone(zone)
        instant = at(local.date() + timedelta(days=span.days), local.time(), zone)
    instant += span.clock
    local = instant.astimezone(zone)
    day = local.date()
    if until is not None:
        whole_days = span.days and not span.clock
        if not whole_days and local.time() > until:
            day += _DAY
        return at(_on(day, weekdays), until, zone)
    if weekdays and day.isoweekday() not in weekdays:
        return at(_on(day, weekdays), local.time(), zone)
    return instant.astimezone(UTC)


def at(day: date, wall: time, zone: tzinfo) -> datetime:
    """Return the instant of a time on a day in a zone, in UTC; see ``due_at`` for odd nights."""
    naive = datetime.combine(day, wall.replace(tzinfo=None, fold=0))
    while not _exists(naive, zone):
        naive = naive.replace(second=0, microsecond=0) + _MINUTE
    return naive.replace(tzinfo=zone).astimezone(UTC)


def _on(day: date, weekdays: tuple[int, ...]) -> date:
    while weekdays and day.isoweekday() not in weekdays:
        day += _DAY
    return day


def _exists(naive: datetime, zone: tzinfo) -> bool:
    there = naive.replace(tzinfo=zone)
    return there.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == naive
