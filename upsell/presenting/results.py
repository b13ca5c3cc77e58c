"""What offers came to, as the dashboard and its downloads show it: sums in, plain values out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from upsell import conf
from upsell.engine.metrics import COLUMNS, Estimate, Tally
from upsell.presenting.charts import Chart, Point, draw
from upsell.presenting.mails import shown_money
from upsell.presenting.metrics import WORDS
from upsell.presenting.spreadsheets import as_csv
from upsell.presenting.timeline import NOTHING

ByCurrency = Mapping[str, Tally]

WIDE, NARROW = 960, 340


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of all in percent, with the ends of its interval where it has one."""

    value: str
    low: str = ""
    high: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """The amounts of one currency."""

    currency: str
    net: str
    revenue: str
    returned: str
    per_shown: str
    discount: str
    profit: str
    known: str
    """Of how many of the sold the profit is, where that is not all."""
    roi: str
    rate: str
    """Discount given, as a share of the revenue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table: counts over all currencies, amounts by currency."""

    title: str
    tally: Tally
    rate: Share | None
    money: tuple[Money, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One chart, in a wide and in a narrow drawing of the same, and its numbers."""

    title: str
    about: str
    wide: Chart
    narrow: Chart
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """One for each point: its name, and a cell for each head but the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure now and before, as text."""

    title: str
    now: str
    before: str
    """Empty where there was nothing to tell it from."""
    more: str = ""


def row(title: str, counts: Tally, by_currency: ByCurrency) -> Row:
    """Return one line; ``counts`` are over all currencies."""
    rate = counts.acceptance_rate
    return Row(
        title=title,
        tally=counts,
        rate=None if rate is None else share(rate),
        money=tuple(
            money(tally, currency)
            for currency, tally in by_currency.items()
            if tally.sold or tally.revenue_net or len(by_currency) == 1
        ),
    )


def money(tally: Tally, currency: str) -> Money:
    """Return the amounts of one currency as the reader's language writes them."""
    per_shown = tally.revenue_per_shown
    return Money(
        currency=currency,
        net=shown_money(tally.net_revenue, currency),
        revenue=shown_money(tally.revenue_net, currency),
        returned=shown_money(tally.returned_net, currency),
        per_shown=NOTHING if per_shown is None else shown_money(per_shown, currency),
        discount=shown_money(tally.discount_net, currency),
        profit=_profit(tally, currency),
        known=_known(tally),
        roi=_roi(tally),
        rate=_share_or_dash(None if tally.discount_rate is None else float(tally.discount_rate)),
    )


def _profit(tally: Tally, currency: str) -> str:
    """Return the profit, or why there is none to tell; never 0 for what is not known."""
    if tally.profit is not None:
        return shown_money(tally.profit, currency)
    if not tally.sold:
        return NOTHING
    costs_in = str(conf.get("UPSELL_COST_CURRENCY"))
    if costs_in and costs_in != currency:
        return _("not told: costs are in %s") % costs_in
    return _("not told: no costs known")


def _known(tally: Tally) -> str:
    if not 0 < tally.costed < tally.sold:
        return ""
    told = {"known": number(tally.costed), "sold": number(tally.sold)}
    return _("for %(known)s of %(sold)s sold") % told


def _roi(tally: Tally) -> str:
    if tally.return_on_investment is not None:
        return _share_or_dash(float(tally.return_on_investment))
    return _("no discount given") if tally.profit is not None else NOTHING


def share(rate: Estimate) -> Share:
    """Return a share and its interval in percent, to a tenth."""
    return Share(value=percent(rate.value), low=percent(rate.low), high=percent(rate.high))


def percent(value: float) -> str:
    """Return a fraction in percent as the reader's language writes it, without the sign."""
    return str(formats.number_format(Decimal(str(round(value * 100, 1))), 1))


def days_of(first: date, last: date) -> list[date]:
    """Return every day of a range, its last one included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def tiles(now: Row, earlier: Row, sums: ByCurrency, before: ByCurrency) -> list[Figure]:
    """Return the few figures that are read first."""
    found = [
        Figure(
            title=str(WORDS[name].title),
            now=number(getattr(now.tally, name)),
            before=number(getattr(earlier.tally, name)),
        )
        for name in ("eligible", "shown", "accepted")
    ]
    found.append(
        Figure(
            title=str(WORDS["acceptance_rate"].title),
            now=f"{now.rate.value}\N{NO-BREAK SPACE}%" if now.rate else NOTHING,
            before=f"{earlier.rate.value}\N{NO-BREAK SPACE}%" if earlier.rate else "",
            more=_("between %(low)s and %(high)s\N{NO-BREAK SPACE}%%")
            % {"low": now.rate.low, "high": now.rate.high}
            if now.rate
            else "",
        )
    )
    wanted = (WORDS["net_revenue"].title, WORDS["revenue_per_shown"].title)
    heads = tuple(str(title) for title in wanted)
    return found + [row for row in amounts(sums, before) if row.title.startswith(heads)]


def figures(now: Row, before: Row) -> list[Figure]:
    """Return every count of a range beside those of the range before, in reading order."""
    names = [
        "eligible",
        "shown",
        "accepted",
        "declined",
        "unanswered",
        "sold",
        "undone",
        "refunded",
    ]
    if now.tally.held_out or before.tally.held_out:
        names.insert(1, "held_out")
    found = [
        Figure(
            title=str(WORDS[name].title),
            now=number(getattr(now.tally, name)),
            before=number(getattr(before.tally, name)),
        )
        for name in names
    ]
    shares = [
        Figure(
            title=str(WORDS[name].title),
            now=_share_or_dash(getattr(now.tally, name)),
            before=_share_or_dash(getattr(before.tally, name)),
        )
        for name in ("view_rate", "decline_rate")
    ]
    shares.append(
        Figure(
            title=str(WORDS["discount_share"].title),
            now=_with_interval(now.tally.discount_share),
            before=_with_interval(before.tally.discount_share),
        )
    )
    return found + shares + _satisfaction(now.tally, before.tally)


def _satisfaction(now: Tally, before: Tally) -> list[Figure]:
    """Return what buyers said of it; nothing, where none of either range was asked or answered."""
    found = []
    for who in ("accepted", "declined"):
        told, earlier = (_mean(tally, who) for tally in (now, before))
        if (told, earlier) != (NOTHING, NOTHING):
            title = str(WORDS[f"satisfaction_{who}"].title)
            found.append(Figure(title=title, now=told, before=earlier))
    return found


def _mean(tally: Tally, who: str) -> str:
    mean: Estimate | None = getattr(tally, f"satisfaction_{who}")
    if mean is None:
        return NOTHING
    value, low, high = (
        formats.number_format(Decimal(f"{end:.2f}"), 2) for end in (mean.value, mean.low, mean.high)
    )
    answers: int = getattr(tally, f"{who}_rated")
    return ngettext(
        "%(value)s (%(low)s to %(high)s), one answer",
        "%(value)s (%(low)s to %(high)s), %(answers)s answers",
        answers,
    ) % {"value": value, "low": low, "high": high, "answers": number(answers)}


def amounts(now: ByCurrency, before: ByCurrency) -> list[Figure]:
    """Return the amounts of each currency of either range, side by side; never added."""
    found = []
    for currency in sorted({*now, *before}):
        told = money(now.get(currency, Tally()), currency)
        earlier = money(before[currency], currency) if currency in before else None
        for name, column in _AMOUNTS:
            found.append(
                Figure(
                    title=f"{WORDS[name].title}, {currency}",
                    now=getattr(told, column),
                    before=getattr(earlier, column) if earlier else NOTHING,
                    more=told.known if name in _OF_KNOWN_COSTS else "",
                )
            )
    return found


_AMOUNTS = (
    ("revenue_net", "revenue"),
    ("returned_net", "returned"),
    ("net_revenue", "net"),
    ("revenue_per_shown", "per_shown"),
    ("discount_net", "discount"),
    ("discount_rate", "rate"),
    ("profit", "profit"),
    ("return_on_investment", "roi"),
)
_OF_KNOWN_COSTS = ("profit", "return_on_investment")


def number(value: int) -> str:
    """Return a count as the reader's language writes it."""
    return str(formats.number_format(value, 0, force_grouping=True))


def revenue_chart(days: Sequence[date], sums: Mapping[date, ByCurrency], currency: str) -> Drawing:
    """Return net revenue by day, in one currency."""
    points, rows = [], []
    for day in days:
        tally = sums.get(day, {}).get(currency, Tally())
        told = money(tally, currency)
        points.append(
            Point(label=_short(day), value=tally.net_revenue, told=f"{_day(day)}: {told.net}")
        )
        if tally.sold or tally.shown:
            rows.append((_day(day), told.revenue, told.returned, told.net, told.per_shown))
    if not any(point.value for point in points):
        points = []
    return drawing(
        points,
        "bars",
        _("Net revenue by day, %s") % currency,
        str(WORDS["net_revenue"].definition),
        _whole,
        heads=("revenue_net", "returned_net", "net_revenue", "revenue_per_shown"),
        rows=rows,
    )


def acceptance_chart(days: Sequence[date], counts: Mapping[date, Tally]) -> Drawing:
    """Return acceptance by day with its interval; a day on which none was shown is a gap."""
    points, rows = [], []
    for day in days:
        tally = counts.get(day, Tally())
        rate = tally.acceptance_rate
        if rate is None:
            points.append(Point(label=_short(day), value=None))
            continue
        points.append(rated(_short(day), _day(day), rate))
        rows.append((_day(day), number(tally.shown), number(tally.accepted), in_words(rate)))
    return drawing(
        points,
        "intervals",
        _("Acceptance by day"),
        _("A dot is the share of the shown that was accepted, the line its 95 % interval."),
        percents,
        heads=("shown", "accepted", "acceptance_rate"),
        rows=rows,
    )


def shown_chart(days: Sequence[date], counts: Mapping[date, Tally]) -> Drawing:
    """Return how many offers were shown, day by day."""
    points, rows = [], []
    heads = ("eligible", "shown", "accepted", "declined", "undone", "refunded")
    for day in days:
        tally = counts.get(day, Tally())
        shown = Decimal(tally.shown)
        told = f"{_day(day)}: {number(tally.shown)}"
        points.append(Point(label=_short(day), value=shown, told=told))
        if tally != Tally():
            rows.append((_day(day), *(number(getattr(tally, name)) for name in heads)))
    if not any(point.value for point in points):
        points = []
    about = str(WORDS["shown"].definition)
    title = _("Offers shown by day")
    return drawing(points, "line", title, about, _whole, least=Decimal(1), heads=heads, rows=rows)


def table_as_csv(name: str, sums: Mapping[Any, ByCurrency], title_of: Callable[[Any], str]) -> str:
    """Return sums as CSV, one line per value and currency; amounts and counts are plain numbers.

    A text that a spreadsheet would run begins with an apostrophe.
    """
    figures = ("net_revenue", "revenue_per_shown", "profit", "return_on_investment")
    rates = ("acceptance_rate", "acceptance_low", "acceptance_high")
    rows = [
        [title_of(key), currency, *_figures(tally, (*COLUMNS, *figures)), *_rates(tally)]
        for key, by_currency in sums.items()
        for currency, tally in by_currency.items()
    ]
    return as_csv([name, "currency", *COLUMNS, *figures, *rates], rows)


def _figures(tally: Tally, names: Sequence[str]) -> list[object]:
    return [getattr(tally, name) for name in names]


def _rates(tally: Tally) -> list[Decimal | None]:
    rate = tally.acceptance_rate
    found = (None, None, None) if rate is None else (rate.value, rate.low, rate.high)
    return [None if value is None else Decimal(f"{value:.6f}") for value in found]


def rated(label: str, title: str, rate: Estimate) -> Point:
    """Return a rate as a dot with its interval."""
    told = f"{title}: {in_words(rate)}"
    return Point(label=label, value=rate.value, low=rate.low, high=rate.high, told=told)


def in_words(rate: Estimate) -> str:
    """Return a rate and its interval in percent."""
    told = {"value": rate.value, "low": rate.low, "high": rate.high}
    return _("%(value)s\N{NO-BREAK SPACE}%% (%(low)s to %(high)s\N{NO-BREAK SPACE}%%)") % {
        name: percent(value) for name, value in told.items()
    }


def _with_interval(rate: Estimate | None) -> str:
    return NOTHING if rate is None else in_words(rate)


def _share_or_dash(value: float | None) -> str:
    return NOTHING if value is None else _("%s\N{NO-BREAK SPACE}%%") % percent(value)


def drawing(
    points: Sequence[Point],
    kind: str,
    title: str,
    about: str,
    label: Callable[[Decimal], str],
    *,
    heads: Sequence[str],
    rows: Sequence[tuple[str, ...]],
    first: str = "",
    least: Decimal | None = None,
) -> Drawing:
    """Return one chart, wide and narrow.

    Args:
        heads: Of its numbers: figures, or words where ``first`` says what a row is.
        first: What a row is; empty = a day.
    """
    wide, narrow = (
        draw(points, kind=kind, label=label, width=width, least=least) for width in (WIDE, NARROW)
    )
    return Drawing(
        title=title,
        about=about,
        wide=wide,
        narrow=narrow,
        heads=(first, *heads) if first else (_("Day"), *(str(WORDS[name].title) for name in heads)),
        rows=tuple(rows),
    )


def _whole(value: Decimal) -> str:
    """Say a tick without cents where it is whole: there is little room on the left."""
    whole = value == value.to_integral_value()
    plain = Decimal(format(value.normalize(), "f"))
    return str(formats.number_format(plain, 0 if whole else None, force_grouping=True))


def percents(value: Decimal) -> str:
    """Say a tick in percent."""
    text = format((value * 100).normalize(), "f")
    return _("%s\N{NO-BREAK SPACE}%%") % formats.number_format(Decimal(text))


def _day(day: date) -> str:
    return str(formats.date_format(day, "SHORT_DATE_FORMAT"))


def _short(day: date) -> str:
    return str(formats.date_format(day, "MONTH_DAY_FORMAT"))
