"""Experiments as their pages and downloads show them: readings in, sentences and rows out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from upsell.engine import stats
from upsell.engine.readings import (
    ACCEPTANCE,
    ORDERS,
    PER_ORDER,
    REVENUE,
    Answer,
    ArmCounts,
    Line,
    PhaseReading,
)
from upsell.engine.stats import Interval
from upsell.models import Arm, Experiment
from upsell.presenting.campaigns import Label
from upsell.presenting.charts import Chart, Point, draw
from upsell.presenting.mails import shown_money
from upsell.presenting.results import NARROW, WIDE, number
from upsell.presenting.spreadsheets import as_csv
from upsell.presenting.timeline import NOTHING, shortly

FIGURES: Mapping[str, Any] = {
    ACCEPTANCE: gettext_lazy("Acceptance"),
    REVENUE: gettext_lazy("Revenue per buyer"),
    ORDERS: gettext_lazy("Orders per buyer"),
    PER_ORDER: gettext_lazy("Revenue per order"),
    "capped": gettext_lazy("Revenue per buyer, the largest thousandth cut down"),
    "cuped": gettext_lazy("Revenue per buyer, less what earlier spending explains"),
}
_MINUS = "\N{MINUS SIGN}"
_NBSP = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The primary metric of one arm: one sentence, and what it means."""

    sentence: str
    meaning: str
    found: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRow:
    """The counts of one arm as text."""

    name: str
    weight: str
    exposed: str
    accepted: str
    rate: str
    excluded: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRow:
    """One figure of one arm against the control, as text."""

    figure: str
    arm: str
    control: str
    treated: str
    difference: str
    interval: str
    chance: str
    """How often chance alone shows such a difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One of the four looks, as text."""

    look: str
    arm: str
    difference: str
    interval: str
    passes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Differences with their intervals, in a wide and in a narrow drawing of the same."""

    title: str
    about: str
    wide: Chart
    narrow: Chart


class Words:
    """Says the numbers of one experiment: shares in percent, amounts in its currency."""

    def __init__(self, row: Experiment) -> None:
        self.row = row

    # ------------------------------------------------------------------ before the start

    def plan(self, needed: int | None) -> list[str]:
        """Return what is asked, how it is read, and how many buyers that takes."""
        row = self.row
        told = [
            _("Compared is %(metric)s. Read %(reading)s.")
            % {"metric": row.get_metric_display(), "reading": row.get_reading_display()}
        ]
        figure = REVENUE if self.about_revenue else ACCEPTANCE
        sizes = {
            "base": self.value(figure, float(row.base)),
            "smallest": self.difference(figure, float(row.smallest), sign=False),
        }
        told.append(
            _("Expected in the control: %(base)s. Smallest difference worth finding: %(smallest)s.")
            % sizes
        )
        if needed is None:
            told.append(_("How many buyers it takes is not known: no orders are mirrored to tell "
                          "by how much buyers differ."))  # fmt: skip
        else:
            told.append(
                ngettext(
                    "To find such a difference in four of five experiments, each arm needs "
                    "%s buyer.",
                    "To find such a difference in four of five experiments, each arm needs "
                    "%s buyers.",
                    needed,
                )
                % number(needed)
            )
        return told

    @property
    def about_revenue(self) -> bool:
        """Whether revenue is the primary metric."""
        return self.row.metric == Experiment.Metric.REVENUE

    # ------------------------------------------------------------------ results

    def verdict(self, answer: Answer) -> Verdict:
        """Return the primary metric of one arm in one sentence."""
        figure = REVENUE if self.about_revenue else ACCEPTANCE
        told = {
            "arm": answer.arm,
            "control": self.value(figure, answer.control),
            "treated": self.value(figure, answer.treated),
            "by": self.difference(figure, abs(answer.difference), sign=False),
            "between": self.interval(figure, answer.interval),
        }
        more = answer.difference >= 0
        if self.about_revenue:
            text = (
                _("A buyer in “%(arm)s” spent %(by)s more than one in the control "
                  "(%(between)s): %(treated)s against %(control)s.")
                if more
                else _("A buyer in “%(arm)s” spent %(by)s less than one in the control "
                       "(%(between)s): %(treated)s against %(control)s.")
            )  # fmt: skip
        else:
            text = (
                _("“%(arm)s” was accepted by %(by)s more than the control (%(between)s): "
                  "%(treated)s against %(control)s.")
                if more
                else _("“%(arm)s” was accepted by %(by)s less than the control (%(between)s): "
                       "%(treated)s against %(control)s.")
            )  # fmt: skip
        if not answer.found:
            meaning = _("That may be chance: no difference has been found.")
        elif more:
            meaning = _("That is hardly chance: the arm does better.")
        else:
            meaning = _("That is hardly chance: the arm does worse.")
        return Verdict(sentence=text % told, meaning=meaning, found=answer.found)

    def arms(self, reading: PhaseReading) -> list[ArmRow]:
        """Return the counts of every arm."""
        return [self._arm(arm) for arm in reading.arms]

    def figures(self, lines: Sequence[Line]) -> list[FigureRow]:
        """Return figures against the control."""
        return [self._line(line) for line in lines]

    def brought(self, reading: PhaseReading) -> list[str]:
        """Return what each arm brought beyond the control, in one sentence each."""
        buyers = {arm.arm: arm.money.n for arm in reading.arms if arm.money is not None}
        told = []
        for line in reading.incremental:
            told.append(
                _("“%(arm)s”: %(amount)s (%(between)s) with %(buyers)s buyers.")
                % {
                    "arm": line.arm,
                    "amount": self.difference(REVENUE, line.comparison.difference),
                    "between": self.interval(REVENUE, line.comparison.interval),
                    "buyers": number(buyers.get(line.arm, 0)),
                }
            )
        return told

    def guards(self, reading: PhaseReading) -> list[dict[str, Any]]:
        """Return the guardrail of every arm."""
        return [
            {
                "arm": guard.arm,
                "control": percents(guard.control.value),
                "treated": percents(guard.treated.value),
                "alarming": guard.is_alarming,
                "counts": _("%(few)s of %(all)s")
                % {"few": number(guard.treated.hits), "all": number(guard.treated.n)},
            }
            for guard in reading.guards
        ]

    def steps(self, reading: PhaseReading) -> list[StepRow]:
        """Return the looks that were made of four."""
        figure = REVENUE if self.about_revenue else ACCEPTANCE
        return [
            StepRow(
                look=_("%(number)s, %(at)s") % {"number": step.number, "at": shortly(step.at)},
                arm=step.arm,
                difference=self.difference(figure, step.difference),
                interval=self.interval(figure, step.interval),
                passes=step.passes,
            )
            for step in reading.steps
        ]

    def chart(self, reading: PhaseReading) -> Drawing | None:
        """Return the differences of the primary metric with their intervals; none without any."""
        points = [
            Point(
                label=answer.arm,
                value=answer.difference,
                low=answer.interval.low,
                high=answer.interval.high,
                told=self.verdict(answer).sentence,
            )
            for answer in reading.answers
            if math.isfinite(answer.interval.low)
        ] or [
            Point(
                label=_("%(arm)s, look %(number)s") % {"arm": step.arm, "number": step.number},
                value=step.difference,
                low=step.interval.low,
                high=step.interval.high,
            )
            for step in reading.steps
            if math.isfinite(step.interval.low)
        ]
        if not points:
            return None
        wide, narrow = (
            draw(points, kind="intervals", label=self._tick, width=width, height=200)
            for width in (WIDE, NARROW)
        )
        return Drawing(
            title=_("Revenue per buyer: difference to the control, %s") % self.row.currency
            if self.about_revenue
            else _("Acceptance: difference to the control, in points of a hundred"),
            about=_("A dot is an arm's difference to the control, the line its interval. One that "
                    "does not touch zero is hardly chance."),
            wide=wide,
            narrow=narrow,
        )  # fmt: skip

    # ------------------------------------------------------------------ numbers

    def value(self, figure: str, value: float) -> str:
        """Return one figure in its unit."""
        if figure == ACCEPTANCE:
            return percents(value)
        if figure == ORDERS:
            return decimals(value, 2)
        return self._money(value)

    def difference(self, figure: str, value: float, *, sign: bool = True) -> str:
        """Return a difference in its unit; of shares in points of a hundred."""
        if not math.isfinite(value):
            return NOTHING
        mark = (_MINUS if value < 0 else "+") if sign else ""
        size = abs(value)
        if figure == ACCEPTANCE:
            points = decimals(size * 100, _places(size * 100))
            text = ngettext("%s point", "%s points", 1 if round(size * 100, 2) == 1 else 2) % points
        elif figure == ORDERS:
            text = decimals(size, 2)
        else:
            text = self._money(size)
        return f"{mark}{text}"

    def interval(self, figure: str, interval: Interval) -> str:
        """Return both ends of a difference; words where nothing is known."""
        if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
            return _("how sure that is cannot be told yet")
        ends = {"low": interval.low, "high": interval.high}
        places = _places(100 * max(abs(end) for end in ends.values()))
        return _("between %(low)s and %(high)s") % {
            name: self._end(figure, end, places) for name, end in ends.items()
        }

    def _end(self, figure: str, value: float, places: int) -> str:
        mark = _MINUS if value < 0 else ""
        if figure == ACCEPTANCE:
            return mark + decimals(abs(value) * 100, places)
        if figure == ORDERS:
            return mark + decimals(abs(value), 2)
        return mark + self._money(abs(value))

    def _money(self, value: float) -> str:
        return shown_money(Decimal(f"{value:.4f}"), self.row.currency or "XXX")

    def _tick(self, value: Decimal) -> str:
        if self.about_revenue:
            return str(formats.number_format(_plain(value)))
        return str(formats.number_format(_plain(value * 100)))

    def _arm(self, arm: ArmCounts) -> ArmRow:
        rate = arm.rate
        told = NOTHING
        if rate is not None:
            ends = stats.wilson(rate)
            told = _("%(value)s (%(low)s to %(high)s)") % {
                "value": percents(rate.value),
                "low": percents(ends.low),
                "high": percents(ends.high),
            }
        return ArmRow(
            name=arm.arm,
            weight=share_of(arm.weight),
            exposed=number(arm.exposed),
            accepted=number(arm.accepted),
            rate=told,
            excluded=number(arm.excluded),
        )

    def _line(self, line: Line) -> FigureRow:
        told, figure = line.comparison, line.figure
        title = str(FIGURES[figure])
        if line.reduction is not None:
            title = _("%(figure)s: takes %(share)s of the noise away") % {
                "figure": title,
                "share": percents(max(line.reduction, 0.0)),
            }
        p_value = line.adjusted if line.adjusted is not None else told.p_value
        return FigureRow(
            figure=title,
            arm=line.arm,
            control=self.value(figure, told.control),
            treated=self.value(figure, told.treated),
            difference=self.difference(figure, told.difference),
            interval=self.interval(figure, told.interval),
            chance=chance(p_value),
        )


def arm_in_words(arm: Arm, label: Label) -> str:
    """Return what one arm offers, in one sentence."""
    if arm.campaign is None:
        return _("offers nothing of this experiment")
    changes = arm.overrides
    told = []
    if "product_ref" in changes:
        told.append(_("offers %s") % label("product", str(changes["product_ref"])))
    if "rule" in changes:
        told.append(_price(changes))
    words = changes.get("copy", {})
    told += [
        _("says “%s”") % str(text)
        for named in (words.values() if isinstance(words, Mapping) else ())
        if isinstance(named, Mapping)
        for text in named.values()
        if text
    ]
    if not told:
        return _("“%s” as it stands") % arm.campaign
    return _("“%(campaign)s”, but %(changes)s") % {
        "campaign": arm.campaign,
        "changes": ", ".join(told),
    }


def _price(changes: Mapping[str, Any]) -> str:
    amounts = changes.get("amounts") or {}
    listed = ", ".join(f"{amount} {currency}" for currency, amount in amounts.items())
    told = {"percent": str(changes.get("percent", "0")), "amounts": listed}
    texts = {
        "LIST": _("at the selling price"),
        "PERCENT": _("with %(percent)s%(nbsp)s%% off") % {**told, "nbsp": _NBSP},
        "AMOUNT": _("with %(amounts)s off") % told,
        "FIXED": _("for %(amounts)s") % told,
        "FIXED_DIFFERENCE": _("for %(amounts)s more") % told,
    }
    return texts.get(str(changes["rule"]), str(changes["rule"]))


def share_of(buckets: int) -> str:
    """Return ten-thousandths in percent, with as many places as they have."""
    text = formats.number_format(_plain(Decimal(buckets) / 100), use_l10n=True)
    return _("%s\N{NO-BREAK SPACE}%%") % text


def percents(value: float) -> str:
    """Return a share in percent, to a tenth, or to a hundredth where it is small."""
    text = decimals(value * 100, _places(value * 100))
    return _("%s\N{NO-BREAK SPACE}%%") % text


def chance(p_value: float) -> str:
    """Return a p-value as it is read aloud."""
    if p_value < 0.001:
        return _("below 0.1\N{NO-BREAK SPACE}%")
    return percents(p_value)


def decimals(value: float, places: int) -> str:
    """Return a number to so many places, as the reader's language writes it."""
    return str(formats.number_format(Decimal(f"{value:.{places}f}"), places, force_grouping=True))


def results_as_csv(phases: Sequence[tuple[int, PhaseReading]]) -> str:
    """Return counts and comparisons as CSV, plain numbers, one line for each arm and figure."""
    head = ["phase", "arm", "figure", "n", "value", "control", "difference", "low", "high",
            "p_value"]  # fmt: skip
    rows: list[list[object]] = []
    for phase, reading in phases:
        for arm in reading.arms:
            rows.append([phase, arm.arm, "exposed", arm.exposed, *[None] * 6])
            rows.append([phase, arm.arm, "left_out", arm.excluded, *[None] * 6])
            if reading.is_open:
                rows.append([phase, arm.arm, "accepted", arm.accepted, *[None] * 6])
        for answer in reading.answers:
            rows.append(
                [phase, answer.arm, "primary", None, _plain_of(answer.treated),
                 _plain_of(answer.control), _plain_of(answer.difference),
                 _plain_of(answer.interval.low), _plain_of(answer.interval.high),
                 _plain_of(answer.p_value)]
            )  # fmt: skip
        for step in reading.steps:
            rows.append(
                [phase, step.arm, f"look_{step.number}", None, None, None,
                 _plain_of(step.difference), _plain_of(step.interval.low),
                 _plain_of(step.interval.high), None]
            )  # fmt: skip
        for line in (*reading.others, *reading.incremental, *reading.checks):
            told = line.comparison
            p_value = line.adjusted if line.adjusted is not None else told.p_value
            rows.append(
                [phase, line.arm, line.figure, None, _plain_of(told.treated),
                 _plain_of(told.control), _plain_of(told.difference),
                 _plain_of(told.interval.low), _plain_of(told.interval.high), _plain_of(p_value)]
            )  # fmt: skip
        for guard in reading.guards:
            rows.append(
                [phase, guard.arm, "refunds", guard.treated.n, _plain_of(guard.treated.value),
                 _plain_of(guard.control.value), *[None] * 4]
            )  # fmt: skip
    return as_csv(head, rows)


def _plain_of(value: float | None) -> Decimal | None:
    return None if value is None or not math.isfinite(value) else Decimal(f"{value:.6f}")


def _plain(value: Decimal) -> Decimal:
    return Decimal(format(value.normalize(), "f"))


def _places(percent: float) -> int:
    return 2 if 0 < round(percent, 2) < 1 else 1
