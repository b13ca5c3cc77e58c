"""How a phase of an experiment is read: counts and sums of its arms in, comparisons out.

What needs scipy is handed in (``inference``), and where it is missing, what needs it is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from upsell.engine import stats
from upsell.engine.aggregates import Pairs, Rate, Sums
from upsell.engine.stats import (
    EVERYTHING,
    OBRIEN_FLEMING,
    AlwaysValid,
    Change,
    Comparison,
    Interval,
    Look,
)

if TYPE_CHECKING:
    from upsell.engine.inference import Inference, Split

CONTROL = "control"
ACCEPTANCE, REVENUE, ORDERS, PER_ORDER = "acceptance", "revenue", "orders", "per_order"
ANY_DAY, AT_THE_END, FOUR_LOOKS = "ANY_DAY", "AT_THE_END", "FOUR_LOOKS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was fixed before the start."""

    metric: str
    """ACCEPTANCE or REVENUE."""
    reading: str
    smallest: float
    """The smallest difference worth finding: a share, or an amount."""
    needed: int | None
    """Buyers per arm; none = it could not be told."""
    control_offers: bool
    """Whether the control is offered anything, so that acceptance can be compared."""
    ended: bool
    """Whether the phase is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What the buyers of an arm spent, as sums over ``n`` buyers; amounts of one currency."""

    spent_and_orders: Pairs
    """Net of refunds in the outcome window, and how many orders."""
    spent_and_earlier: Pairs
    """The same, and what they spent in the days before."""
    capped: Sums
    """The same, the largest thousandth cut down to where it begins."""
    refunded: int
    """Buyers to whom something was refunded."""

    @property
    def n(self) -> int:
        """Buyers counted."""
        return self.spent_and_orders.n


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmCounts:
    """The buyers of one arm."""

    arm: str
    weight: int
    exposed: int = 0
    """Without those left out."""
    accepted: int = 0
    younger: int = 0
    """Of the exposed, those whose outcome window is not over."""
    excluded: int = 0
    """Left out: they had two keys, in two arms."""
    money: Money | None = None
    """None = nothing is counted: no currency, no mirror, or nobody's window is over."""

    @property
    def rate(self) -> Rate | None:
        """Accepted of exposed; none while nobody was exposed."""
        if not self.exposed:
            return None
        return Rate(hits=min(self.accepted, self.exposed), n=self.exposed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The primary metric of one arm against the control."""

    arm: str
    control: float
    treated: float
    interval: Interval
    """Of the difference; as wide as the way of reading asks for."""
    p_value: float | None
    """None where a boundary decides, not a p-value."""
    found: bool
    """Whether a difference was found: the interval leaves nothing out."""
    plain: Comparison | None = None
    """As it is read once, at the end; none without what it needs."""

    @property
    def difference(self) -> float:
        """Positive when the treated did better."""
        return self.treated - self.control


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLook:
    """One look that was made, of one arm."""

    arm: str
    key: str
    """The day, or which of the four looks."""
    at: datetime
    look: Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One of the four looks, of one arm."""

    arm: str
    number: int
    at: datetime
    difference: float
    interval: Interval
    """At the bound of this look: it leaves 0 out where the bound is passed."""
    passes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Another figure of one arm against the control."""

    arm: str
    figure: str
    comparison: Comparison
    adjusted: float | None = None
    """The p-value by Holm's procedure over all other figures; none for what is not one of them."""
    reduction: float | None = None
    """Share of the variance that CUPED takes away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Buyers with a refund, who should not become more."""

    arm: str
    control: Rate
    treated: Rate
    change: Change | None
    """Of the share of buyers *without* a refund; none where it cannot be told."""

    @property
    def is_alarming(self) -> bool:
        """Say whether the arm makes more refunds."""
        return self.change is not None and self.change.is_alarming


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseReading:
    """All that may be read of one phase now."""

    arms: tuple[ArmCounts, ...]
    """The control first."""
    split: Split | None
    """None = not checked: scipy is missing."""
    locked: bool = False
    """Too early: nothing but counts may be seen."""
    confidence: float = 0.95
    """Of the answers' intervals; higher with several arms, so that all of them hold at once."""
    answers: tuple[Answer, ...] = ()
    steps: tuple[Step, ...] = ()
    others: tuple[Line, ...] = ()
    incremental: tuple[Line, ...] = ()
    """More revenue than the control's buyers would have brought: difference times buyers."""
    checks: tuple[Line, ...] = ()
    """Revenue once more, by other ways: ``capped`` and ``cuped``."""
    guards: tuple[Guard, ...] = ()

    @property
    def is_broken(self) -> bool:
        """Say whether the split is broken, so that nothing else may be shown."""
        return self.split is not None and self.split.is_broken

    @property
    def is_open(self) -> bool:
        """Say whether how the arms stand now may be seen, and not only looks of before."""
        return not (self.locked or self.is_broken) and (not self.steps or bool(self.others))

    @property
    def excluded(self) -> int:
        """Buyers left out, in all arms."""
        return sum(arm.excluded for arm in self.arms)

    @property
    def younger(self) -> int:
        """Buyers whose outcome window is not over."""
        return sum(arm.younger for arm in self.arms)

    @property
    def exposed(self) -> int:
        """Buyers counted, in all arms."""
        return sum(arm.exposed for arm in self.arms)


def counted(plan: Plan, arms: Iterable[ArmCounts]) -> int:
    """Return the buyers, in the arm that has fewest, whom the primary metric counts."""
    if plan.metric == REVENUE.upper():
        return min((arm.money.n if arm.money else 0 for arm in arms), default=0)
    return min((arm.exposed for arm in arms), default=0)


def look_at(plan: Plan, control: ArmCounts, treated: ArmCounts) -> Look | None:
    """Return how an arm stands against the control now; none while there is nothing to tell by."""
    if plan.metric == REVENUE.upper():
        if control.money is None or treated.money is None:
            return None
        sums = (one.spent_and_orders.of_first for one in (control.money, treated.money))
        look = stats.look_at_means(*sums)
    else:
        if control.rate is None or treated.rate is None:
            return None
        look = stats.look_at_rates(control.rate, treated.rate)
    return look if look.variance > 0 else None


def read(
    plan: Plan,
    arms: Sequence[ArmCounts],
    looks: Sequence[StoredLook],
    inference: Inference | None,
) -> PhaseReading:
    """Return what may be read of a phase.

    Args:
        plan: What was fixed before the start.
        arms: The control and one arm or more.
        looks: Those that were made, oldest first.
        inference: What needs scipy; none = it is not installed.
    """
    ordered = tuple(sorted(arms, key=lambda arm: (arm.arm != CONTROL, arm.arm)))
    control, *treated = ordered
    split = None
    if inference is not None:
        counts = {arm.arm: arm.exposed for arm in ordered}
        split = inference.split(counts, {arm.arm: arm.weight for arm in ordered})
    if split is not None and split.is_broken:
        return PhaseReading(arms=ordered, split=split)
    steps = tuple(_steps(looks)) if plan.reading == FOUR_LOOKS else ()
    if not plan.ended and _too_early(plan, ordered, steps):
        return PhaseReading(arms=ordered, split=split, locked=True)
    confidence = 1 - 0.05 / len(treated)
    compare = _Compared(plan, control, inference, confidence)
    answers = [] if steps else [compare.answer(arm, _of(looks, arm)) for arm in treated]
    told = PhaseReading(
        arms=ordered,
        split=split,
        confidence=confidence,
        answers=tuple(one for one in answers if one is not None),
        steps=steps,
    )
    if steps and not plan.ended and not _over(steps):
        return told
    return PhaseReading(
        arms=ordered,
        split=split,
        confidence=confidence,
        answers=told.answers,
        steps=steps,
        others=_by_holm([line for arm in treated for line in compare.others(arm)]),
        incremental=tuple(line for arm in treated for line in compare.incremental(arm)),
        checks=tuple(line for arm in treated for line in compare.checks(arm)),
        guards=tuple(guard for arm in treated for guard in _guards(control, arm)),
    )


def _too_early(plan: Plan, arms: Sequence[ArmCounts], steps: Sequence[Step]) -> bool:
    if plan.reading == AT_THE_END:
        return plan.needed is None or counted(plan, arms) < plan.needed
    return plan.reading == FOUR_LOOKS and not steps


def _over(steps: Sequence[Step]) -> bool:
    """Say whether the looks have come to an end: the last was made, or one passed its bound."""
    return any(step.passes or step.number == len(OBRIEN_FLEMING) for step in steps)


def _of(looks: Iterable[StoredLook], arm: ArmCounts) -> list[Look]:
    return [one.look for one in looks if one.arm == arm.arm]


def _steps(looks: Iterable[StoredLook]) -> Iterable[Step]:
    for one in looks:
        number, look = int(one.key), one.look
        half = OBRIEN_FLEMING[number - 1] * math.sqrt(look.variance)
        z = look.difference / math.sqrt(look.variance) if look.variance else 0.0
        yield Step(
            arm=one.arm,
            number=number,
            at=one.at,
            difference=look.difference,
            interval=Interval(low=look.difference - half, high=look.difference + half)
            if look.variance
            else EVERYTHING,
            passes=stats.passes_look(z, look=number),
        )


@dataclass(frozen=True, slots=True)
class _Compared:
    plan: Plan
    control: ArmCounts
    inference: Inference | None
    confidence: float

    def answer(self, arm: ArmCounts, looks: list[Look]) -> Answer | None:
        """Return the primary metric; none while there is nothing to tell by."""
        plain = self._primary(arm)
        if self.plan.reading != ANY_DAY:
            return None if plain is None else _as_answer(arm.arm, plain)
        now = look_at(self.plan, self.control, arm)
        told = [*looks, *([now] if now is not None else [])]
        means = self._means(arm)
        if now is None or means is None:
            return None
        valid: AlwaysValid = stats.always_valid(
            told, smallest=self.plan.smallest, confidence=self.confidence
        )
        return Answer(
            arm=arm.arm,
            control=means[0],
            treated=means[1],
            interval=valid.interval,
            p_value=valid.p_value,
            # By p: a look that once was beyond doubt stays so.
            found=valid.p_value < 1 - self.confidence,
            plain=plain,
        )

    def others(self, arm: ArmCounts) -> Iterable[Line]:
        """Yield the figures that are not the primary one."""
        figures: Mapping[str, Callable[[ArmCounts], Comparison | None]] = {
            ACCEPTANCE: self._acceptance,
            REVENUE: self._revenue,
            ORDERS: self._orders,
            PER_ORDER: self._per_order,
        }
        for figure, compare in figures.items():
            found = None if figure.upper() == self.plan.metric else compare(arm)
            if found is not None:
                yield Line(arm=arm.arm, figure=figure, comparison=found)

    def incremental(self, arm: ArmCounts) -> Iterable[Line]:
        found = self._revenue(arm)
        if found is not None and arm.money is not None:
            yield Line(arm=arm.arm, figure="incremental", comparison=found.times(arm.money.n))

    def checks(self, arm: ArmCounts) -> Iterable[Line]:
        if self.inference is None or self.control.money is None or arm.money is None:
            return
        control, treated = self.control.money, arm.money
        capped = self.inference.means(control.capped, treated.capped)
        yield Line(arm=arm.arm, figure="capped", comparison=capped)
        less = self.inference.cuped(control.spent_and_earlier, treated.spent_and_earlier)
        yield Line(
            arm=arm.arm,
            figure="cuped",
            comparison=less.comparison,
            reduction=less.variance_reduction,
        )

    def _primary(self, arm: ArmCounts) -> Comparison | None:
        if self.plan.metric == REVENUE.upper():
            return self._revenue(arm, confidence=self.confidence)
        return self._acceptance(arm, confidence=self.confidence)

    def _means(self, arm: ArmCounts) -> tuple[float, float] | None:
        if self.plan.metric == REVENUE.upper():
            if self.control.money is None or arm.money is None:
                return None
            both = (self.control.money, arm.money)
            first, second = (one.spent_and_orders.of_first.mean for one in both)
            return first, second
        if self.control.rate is None or arm.rate is None:
            return None
        return self.control.rate.value, arm.rate.value

    def _acceptance(self, arm: ArmCounts, confidence: float = 0.95) -> Comparison | None:
        if not self.plan.control_offers or self.control.rate is None or arm.rate is None:
            return None
        return stats.compare_rates(self.control.rate, arm.rate, confidence=confidence)

    def _revenue(self, arm: ArmCounts, confidence: float = 0.95) -> Comparison | None:
        return self._welch(arm, lambda money: money.spent_and_orders.of_first, confidence)

    def _orders(self, arm: ArmCounts) -> Comparison | None:
        return self._welch(arm, lambda money: money.spent_and_orders.of_second, 0.95)

    def _welch(
        self, arm: ArmCounts, sums: Callable[[Money], Sums], confidence: float
    ) -> Comparison | None:
        if self.inference is None or self.control.money is None or arm.money is None:
            return None
        control, treated = sums(self.control.money), sums(arm.money)
        return self.inference.means(control, treated, confidence=confidence)

    def _per_order(self, arm: ArmCounts) -> Comparison | None:
        if self.inference is None or self.control.money is None or arm.money is None:
            return None
        pairs = (self.control.money.spent_and_orders, arm.money.spent_and_orders)
        if not all(one.second for one in pairs):
            return None  # nobody ordered, so there is no order to divide by
        return self.inference.ratios(*pairs)


def _as_answer(arm: str, plain: Comparison) -> Answer:
    low, high = plain.interval.low, plain.interval.high
    return Answer(
        arm=arm,
        control=plain.control,
        treated=plain.treated,
        interval=plain.interval,
        p_value=plain.p_value,
        found=low > 0 or high < 0,
        plain=plain,
    )


def _guards(control: ArmCounts, arm: ArmCounts) -> Iterable[Guard]:
    if control.money is None or arm.money is None:
        return
    kept = [Rate(hits=one.n - one.refunded, n=one.n) for one in (control.money, arm.money)]
    back = [Rate(hits=one.refunded, n=one.n) for one in (control.money, arm.money)]
    yield Guard(arm=arm.arm, control=back[0], treated=back[1], change=stats.relative_change(*kept))


def _by_holm(lines: Sequence[Line]) -> tuple[Line, ...]:
    adjusted = stats.holm({f"{one.arm} {one.figure}": one.comparison.p_value for one in lines})
    return tuple(
        Line(
            arm=one.arm,
            figure=one.figure,
            comparison=one.comparison,
            adjusted=adjusted[f"{one.arm} {one.figure}"],
        )
        for one in lines
    )
