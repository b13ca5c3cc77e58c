"""What offers came to in a range of days: the sums per day, added up by SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet, Sum

from upsell.engine.metrics import COLUMNS, COUNTS, Tally
from upsell.models import DailyMetric, Progress
from upsell.services import metrics

ByCurrency = Mapping[str, Tally]
"""Currency to its sums: amounts of two currencies are never added."""

_PLACES = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which results are wanted."""

    first: date
    last: date
    """This day is still in."""
    channel: str | None = None
    campaign: int | None = None
    moment: str | None = None
    channels: frozenset[str] | None = None
    """Sales channels that may be seen at all; none = all."""

    @property
    def days(self) -> int:
        """How many days the range has."""
        return (self.last - self.first).days + 1

    @property
    def before(self) -> Asked:
        """The same for as many days right before."""
        gap = timedelta(days=self.days)
        return Asked(
            first=self.first - gap,
            last=self.last - gap,
            channel=self.channel,
            campaign=self.campaign,
            moment=self.moment,
            channels=self.channels,
        )


def sums_by(asked: Asked, name: str) -> Mapping[Any, ByCurrency]:
    """Return the values of one column of ``DailyMetric`` to their sums. One statement.

    Args:
        name: ``day``, ``channel``, ``campaign``, ``moment`` or ``arm``.
    """
    found: dict[Any, dict[str, Tally]] = {}
    rows = _rows(asked).values(name, "currency").order_by(name, "currency")
    for row in rows.annotate(**{f"sum_{column}": Sum(column) for column in COLUMNS}):
        tally = Tally(**{column: exact(row[f"sum_{column}"]) for column in COLUMNS})
        found.setdefault(row[name], {})[row["currency"]] = tally
    return found


def total(sums: Mapping[Any, ByCurrency]) -> ByCurrency:
    """Add up what ``sums_by`` found, each currency by itself."""
    found: dict[str, Tally] = {}
    for by_currency in sums.values():
        for currency, tally in by_currency.items():
            found[currency] = found.get(currency, Tally()) + tally
    return dict(sorted(found.items()))


def counts(by_currency: ByCurrency) -> Tally:
    """Return the counts over all currencies. Its amounts mean nothing: they are left at 0."""
    none = {name: Decimal(0) for name in COLUMNS if name not in COUNTS}
    sums = Tally()
    for tally in by_currency.values():
        sums += tally
    return Tally(**{name: none.get(name, getattr(sums, name)) for name in COLUMNS})


def moments() -> list[str]:
    """Return the moments that there are results of. One statement."""
    rows = DailyMetric.objects.order_by("moment").values_list("moment", flat=True)
    return list(rows.distinct())


def channels() -> list[str]:
    """Return the sales channels that there are results of. One statement."""
    rows = DailyMetric.objects.order_by("channel").values_list("channel", flat=True)
    return list(rows.exclude(channel="").distinct())


def first_day(channels: frozenset[str] | None) -> date | None:
    """Return the first day there are results of; none = there are none yet. One statement."""
    rows = DailyMetric.objects.all()
    if channels is not None:
        rows = rows.filter(channel__in=sorted(channels))
    return rows.order_by("day").values_list("day", flat=True).first()


def counted_until() -> datetime | None:
    """Return when everything was last added up; none = never. One statement."""
    rows = Progress.objects.filter(name=metrics.NAME)
    return rows.values_list("at", flat=True).first()


def _rows(asked: Asked) -> QuerySet[DailyMetric]:
    rows = DailyMetric.objects.filter(day__gte=asked.first, day__lte=asked.last)
    if asked.channels is not None:
        rows = rows.filter(channel__in=sorted(asked.channels))
    for name in ("channel", "campaign", "moment"):
        value = getattr(asked, name)
        if value is not None:
            rows = rows.filter(**{name: value})
    return rows


def exact(value: Any) -> Any:
    """Return an amount with its four places, whatever a database makes of a sum; else the value."""
    return value.quantize(_PLACES) if isinstance(value, Decimal) else value
