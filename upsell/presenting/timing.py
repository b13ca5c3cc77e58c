"""When more is bought, as a page and its downloads show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from upsell.engine.metrics import Tally
from upsell.presenting.charts import Point
from upsell.presenting.results import Drawing, drawing, in_words, number, percents, rated
from upsell.presenting.spreadsheets import as_csv

DAY = timedelta(days=1)


class Gap(Protocol):
    """How long after one thing another is bought."""

    @property
    def main(self) -> str: ...
    @property
    def ancillary(self) -> str: ...
    @property
    def buyers(self) -> int: ...
    @property
    def first_quarter(self) -> timedelta: ...
    @property
    def median(self) -> timedelta: ...
    @property
    def third_quarter(self) -> timedelta: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Offers of one stretch of time, by its name."""

    title: str
    short: str
    """For the foot of a chart."""
    tally: Tally


def length(told: timedelta) -> str:
    """Return a length of time in the unit that suits it: minutes, hours or days."""
    minutes = round(told / timedelta(minutes=1))
    if minutes < 120:
        return ngettext("%d minute", "%d minutes", minutes) % minutes
    hours = round(told / timedelta(hours=1))
    if hours < 48:
        return ngettext("%d hour", "%d hours", hours) % hours
    days = round(told / DAY)
    return ngettext("%d day", "%d days", days) % days


def gap_chart(gaps: Sequence[Gap], name_of: Callable[[str], str]) -> Drawing:
    """Return the median of each pair, with the quartiles as its ends, in days."""
    points, rows = [], []
    for place, gap in enumerate(gaps, start=1):
        title = _("%(main)s, then %(ancillary)s") % {
            "main": name_of(gap.main),
            "ancillary": name_of(gap.ancillary),
        }
        quarters = (gap.first_quarter, gap.median, gap.third_quarter)
        low, middle, high = (each / DAY for each in quarters)
        points.append(
            Point(
                label=str(place),
                value=middle,
                low=low,
                high=high,
                told=f"{title}: {length(gap.median)}",
            )
        )
        rows.append((f"{place}. {title}", number(gap.buyers), *map(length, quarters)))
    return drawing(
        points,
        "intervals",
        _("Days from one category to the other"),
        _("A dot is the median, the line goes from the first to the third quartile. Numbers are "
          "those of the table."),
        _days,
        first=_("Bought first, then"),
        heads=[_("Buyers"), _("A quarter had it within"), _("Half of them"), _("Three quarters")],
        rows=rows,
    )  # fmt: skip


def stretches(taken: Mapping[int, Tally], ends: Sequence[int], unknown: int) -> list[Stretch]:
    """Return offers by the minutes since checkout; what is not known stands last, if there is any.

    Args:
        taken: Place to sums: ``places of ends``, one more for what is later, ``unknown``.
        ends: Ends of the stretches, in minutes.
        unknown: The place of orders that are not mirrored.
    """
    names = []
    for begin, end in zip((0, *ends), (*ends, None), strict=True):
        if end is None:
            names.append(_("later than %s") % length(timedelta(minutes=begin)))
        elif begin == 0:
            names.append(_("within %s") % length(timedelta(minutes=end)))
        else:
            shown = begin if end <= 60 else begin // 60
            told = {"begin": number(shown), "end": length(timedelta(minutes=end))}
            names.append(_("%(begin)s to %(end)s") % told)
    found = [
        Stretch(title=name, short=name, tally=taken.get(at, Tally()))
        for at, name in enumerate(names)
    ]
    if unknown in taken:
        name = _("not known: the order is not mirrored")
        found.append(Stretch(title=name, short=_("not known"), tally=taken[unknown]))
    return found


def hours(taken: Mapping[int, Tally]) -> list[Stretch]:
    """Return offers by the hour of the day, all 24."""
    return [
        Stretch(
            title=_("%(begin)02d:00 to %(end)02d:00") % {"begin": hour, "end": hour + 1},
            short=_("%02d:00") % hour,
            tally=taken.get(hour, Tally()),
        )
        for hour in range(24)
    ]


def taken_chart(rows: Sequence[Stretch], title: str, first: str) -> Drawing:
    """Return acceptance with its interval, stretch by stretch; one without offers is a gap."""
    points, cells = [], []
    for row in rows:
        rate = row.tally.acceptance_rate
        if rate is None:
            points.append(Point(label=row.short, value=None))
            continue
        points.append(rated(row.short, row.title, rate))
        told = (number(row.tally.shown), number(row.tally.accepted), in_words(rate))
        cells.append((row.title, *told))
    return drawing(
        points,
        "intervals",
        title,
        _("A dot is the share of the shown that was accepted, the line its 95 % interval."),
        percents,
        first=first,
        heads=[_("Shown"), _("Accepted"), _("Acceptance")],
        rows=cells,
    )


def gaps_as_csv(gaps: Sequence[Gap], name_of: Callable[[str], str]) -> str:
    """Return gaps as CSV, lengths of time in hours."""
    rows = [
        [
            name_of(gap.main),
            name_of(gap.ancillary),
            gap.buyers,
            *(_in_hours(each) for each in (gap.first_quarter, gap.median, gap.third_quarter)),
        ]
        for gap in gaps
    ]
    quarters = ["first_quarter_hours", "median_hours", "third_quarter_hours"]
    return as_csv(["bought_first", "bought_then", "buyers", *quarters], rows)


def taken_as_csv(name: str, rows: Sequence[Stretch]) -> str:
    """Return stretches as CSV; a rate is empty where nothing was shown."""
    return as_csv(
        [name, "shown", "accepted", "declined", "acceptance_rate", "acceptance_low",
         "acceptance_high"],
        [[row.title, row.tally.shown, row.tally.accepted, row.tally.declined, *_rate(row.tally)]
         for row in rows],
    )  # fmt: skip


def _rate(tally: Tally) -> list[Any]:
    rate = tally.acceptance_rate
    if rate is None:
        return [None, None, None]
    return [Decimal(f"{value:.6f}") for value in (rate.value, rate.low, rate.high)]


def _in_hours(told: timedelta) -> Decimal:
    return Decimal(f"{told / timedelta(hours=1):.2f}")


def _days(value: Decimal) -> str:
    return str(formats.number_format(Decimal(format(value.normalize(), "f"))))
