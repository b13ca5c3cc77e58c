"""Rates with intervals, comparisons, sizes, looking every day. Standard library only.

Aggregates in, floats out: estimates, never amounts (see ``aggregates``). ``treated`` is compared
with ``control``, so a positive difference means that the treated did better. A rate is a fraction
from 0 to 1, a confidence too: 0.95. What needs Student's t or chi-square is in ``inference``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from operator import add
from statistics import NormalDist

from upsell.engine.aggregates import Rate, Sums

OBRIEN_FLEMING = (4.0486, 2.8628, 2.3375, 2.0243)
"""|z| to pass at each of four equal looks for 5 % in all.

Source: Jennison, Turnbull (2000), Group Sequential Methods, table 2.3: 2.0243 * sqrt(4 / look).
"""

_NORMAL = NormalDist()
_ALARM_DROP, _ALARM_CERTAINTY = -0.01, 0.95  # of a guardrail: more than a point of a hundred


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Both ends belong to it; without end where nothing is known."""

    low: float
    high: float


EVERYTHING = Interval(low=-math.inf, high=math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Treated less control, in the unit of the figure compared."""

    control: float
    treated: float
    interval: Interval
    """Of the difference."""
    p_value: float
    """Two-sided."""

    @property
    def difference(self) -> float:
        """Positive when the treated did better."""
        return self.treated - self.control

    def times(self, units: int) -> Comparison:
        """The same for so many units: incremental revenue is the difference times the treated."""
        return Comparison(
            control=self.control * units,
            treated=self.treated * units,
            interval=Interval(low=self.interval.low * units, high=self.interval.high * units),
            p_value=self.p_value,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How much higher the treated rate is, as a fraction of the control's."""

    value: float
    interval: Interval
    p_worse: float
    """How likely it is that the treated rate is the lower one."""

    @property
    def is_alarming(self) -> bool:
        """Say whether a guardrail is broken: surely lower, or by over 1 % and very likely."""
        dropped = self.value < _ALARM_DROP and self.p_worse > _ALARM_CERTAINTY
        return self.interval.high < 0 or dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A difference as it stood at one time, from the start until then."""

    difference: float
    variance: float
    """Of the difference, at least 0; 0 while there is nothing to tell by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlwaysValid:
    """What may be read at any time, as often as one likes."""

    interval: Interval
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """Units that an experiment needs before it is read."""

    control: int
    treated: int


def together(rates: Iterable[Rate], /) -> Rate:
    """Return the rate of all days, each day counting as much as was shown on it.

    Raises:
        TypeError: There is no rate.

    >>> days = [Rate(hits=3, n=10), Rate(hits=1, n=9), Rate(hits=5, n=15)]
    >>> round(together(days).value, 3)
    0.265
    """
    return reduce(add, rates)


def wilson(rate: Rate, /, *, confidence: float = 0.95) -> Interval:
    """Return the Wilson score interval of a rate, within [0, 1], with the rate in it.

    Unlike the textbook interval it has a width at no hits, where most campaigns begin.

    Raises:
        ValueError: ``confidence`` is not between 0 and 1.

    Source: Wilson (1927), J. Am. Stat. Assoc. 22, 209-212; method 3 of Newcombe (1998a).
    """
    return _score_interval(rate.value, rate.n, confidence)


def mean_within(
    total: int, n: int, /, *, least: int, most: int, confidence: float = 0.95
) -> Interval:
    """Return an interval of the mean of ``n`` numbers between ``least`` and ``most``.

    Wilson's, of the mean as a share of the way from one end to the other. No numbers with that
    mean vary more than those that are all at the ends, which is what it is made for: so it is
    never too narrow, and has a width where all say the same.

    Args:
        total: The numbers, added up.

    Raises:
        ValueError: ``total`` cannot be the sum of such numbers, or there are none.

    Source: Bhatia and Davis (2000), Am. Math. Monthly 107, 353-357, for the greatest variance.
    """
    if n < 1 or not n * least <= total <= n * most or least >= most:
        raise ValueError(f"{n} numbers from {least} to {most} do not add up to {total}")
    way = most - least
    ends = _score_interval((total - n * least) / (n * way), n, confidence)
    return Interval(low=least + way * ends.low, high=least + way * ends.high)


def _score_interval(p: float, n: int, confidence: float) -> Interval:
    squared = _quantile(confidence) ** 2
    middle = p + squared / (2 * n)
    half = math.sqrt(squared * (p * (1 - p) / n + squared / (4 * n * n)))
    width = 1 + squared / n
    low = max(0.0, min(p, (middle - half) / width))
    return Interval(low=low, high=min(1.0, max(p, (middle + half) / width)))


def newcombe(control: Rate, treated: Rate, *, confidence: float = 0.95) -> Interval:
    """Return the interval of the difference of two rates, within [-1, 1].

    Raises:
        ValueError: ``confidence`` is not between 0 and 1.

    Source: Newcombe (1998b), Stat. Med. 17, 873-890, method 10: from the two Wilson intervals.
    """
    low, high = wilson(control, confidence=confidence), wilson(treated, confidence=confidence)
    difference = treated.value - control.value
    down = math.hypot(treated.value - high.low, low.high - control.value)
    up = math.hypot(high.high - treated.value, control.value - low.low)
    return Interval(low=difference - down, high=difference + up)


def pooled_z(control: Rate, treated: Rate) -> float:
    """Return z of the difference of two rates if they were one; 0.0 if all or none are hits.

    Source: Fleiss (1981), Statistical Methods for Rates and Proportions, section 2.3, without
    the correction for continuity.
    """
    both = control + treated
    spread = both.value * (1 - both.value) * (1 / control.n + 1 / treated.n)
    return (treated.value - control.value) / math.sqrt(spread) if spread > 0 else 0.0


def compare_rates(control: Rate, treated: Rate, *, confidence: float = 0.95) -> Comparison:
    """Compare two rates: Newcombe's interval, and p by the pooled z.

    Raises:
        ValueError: ``confidence`` is not between 0 and 1.
    """
    return Comparison(
        control=control.value,
        treated=treated.value,
        interval=newcombe(control, treated, confidence=confidence),
        p_value=two_sided(pooled_z(control, treated)),
    )


def two_sided(z: float, /) -> float:
    """Return the two-sided p-value of a normal z; right far out in the tail as well."""
    return math.erfc(abs(z) / math.sqrt(2))


def relative_change(control: Rate, treated: Rate, *, confidence: float = 0.95) -> Change | None:
    """Return the change of a rate relative to the control's, and P(worse).

    None while one of the two has no hit: the logarithm of their ratio has no value.

    Raises:
        ValueError: ``confidence`` is not between 0 and 1.

    Source: Katz et al. (1978), Biometrics 34, 469-474: the log of the ratio is about normal.
    """
    reach = _quantile(confidence)
    if not control.hits or not treated.hits:
        return None
    log_ratio = math.log(treated.value / control.value)
    error = math.sqrt(
        (1 - control.value) / control.hits + (1 - treated.value) / treated.hits,
    )
    if error == 0:  # every unit of both was a hit
        return Change(value=0.0, interval=Interval(low=0.0, high=0.0), p_worse=0.5)
    return Change(
        value=math.expm1(log_ratio),
        interval=Interval(
            low=math.expm1(log_ratio - reach * error), high=math.expm1(log_ratio + reach * error)
        ),
        p_worse=math.erfc(log_ratio / error / math.sqrt(2)) / 2,
    )


def needed(
    base: float,
    lift: float,
    *,
    power: float = 0.8,
    confidence: float = 0.95,
    control_share: float = 0.5,
) -> Needed:
    """Return how many units an experiment on a rate needs.

    Args:
        base: The control's rate, above 0 and below 1.
        lift: The smallest relative change worth finding: 0.1 is 5 % to 5.5 %.
        power: The chance to find a change of that size.
        confidence: 1 less the chance to find one where there is none.
        control_share: The control's part of all units, above 0 and below 1.

    Raises:
        ValueError: A share or rate is not between 0 and 1, or the lift is 0.

    Source: Cohen (1988), Statistical Power Analysis, chapter 6: the effect h.

    >>> needed(0.05, 0.10)
    Needed(control=31218, treated=31218)
    """
    reach = _quantile(confidence) + _NORMAL.inv_cdf(_share("power", power))
    share = _share("control_share", control_share)
    units = (reach / _effect(base, lift)) ** 2
    return Needed(control=math.ceil(units / (1 - share)), treated=math.ceil(units / share))


def needed_for_means(
    variance: float,
    smallest: float,
    *,
    power: float = 0.8,
    confidence: float = 0.95,
    control_share: float = 0.5,
) -> Needed:
    """Return how many units an experiment on a mean needs.

    Args:
        variance: Of one unit, above 0, in the square of the unit of ``smallest``.
        smallest: The smallest difference worth finding, above 0.
        power: The chance to find a difference of that size.
        confidence: 1 less the chance to find one where there is none.
        control_share: The control's part of all units, above 0 and below 1.

    Raises:
        ValueError: A number is out of range.

    Source: Cohen (1988), Statistical Power Analysis, chapter 2: the normal approximation.

    >>> needed_for_means(100.0, 1.0)
    Needed(control=1570, treated=1570)
    """
    if variance <= 0 or smallest <= 0:
        raise ValueError(f"variance and difference are above 0, and are {variance}, {smallest}")
    reach = _quantile(confidence) + _NORMAL.inv_cdf(_share("power", power))
    share = _share("control_share", control_share)
    units = variance * (reach / smallest) ** 2
    return Needed(control=math.ceil(units / (1 - share)), treated=math.ceil(units / share))


def power_of(base: float, lift: float, have: Needed, *, confidence: float = 0.95) -> float:
    """Return the chance that an experiment of this size finds this change; see ``needed``.

    Raises:
        ValueError: As ``needed``, or there are no units.
    """
    if have.control < 1 or have.treated < 1:
        raise ValueError(f"both sides need a unit, and there are {have}")
    effect = _effect(base, lift) / math.sqrt(1 / have.control + 1 / have.treated)
    reach = _quantile(confidence)
    return _upper(reach - effect) + _upper(reach + effect)


def enough_on(*, needed: int, so_far: int, per_day: float, today: date) -> date | None:
    """Return the day on which there will be enough, None if nobody comes. Units, units a day."""
    missing = max(needed - so_far, 0)
    if not missing:
        return today
    if per_day <= 0 or missing / per_day > (date.max - today).days:
        return None
    return today + timedelta(days=math.ceil(missing / per_day))


def look_at_rates(control: Rate, treated: Rate) -> Look:
    """Return the difference of two rates with its variance, each arm with its own."""
    spread = (rate.value * (1 - rate.value) / rate.n for rate in (control, treated))
    return Look(difference=treated.value - control.value, variance=sum(spread))


def look_at_means(control: Sums, treated: Sums) -> Look:
    """Return the difference of two means with its variance; nothing to tell by below two units."""
    variance = sum(sums.variance / sums.n for sums in (control, treated))
    known = min(control.n, treated.n) > 1
    return Look(difference=treated.mean - control.mean, variance=variance if known else 0.0)


def always_valid(
    looks: Sequence[Look], /, *, smallest: float, confidence: float = 0.95
) -> AlwaysValid:
    """Return what may be read at the last look, however often one has looked.

    Args:
        looks: Every look until now, oldest first.
        smallest: The smallest difference worth finding, absolute, above 0, in the unit of the
            differences. Typed before the start: choosing it later breaks the promise.
        confidence: Of the interval.

    Returns:
        The interval of the last look, and the smallest p-value of all of them. While a variance
        is 0 nothing is known: the interval has no ends and the p-value is 1.0.

    Raises:
        ValueError: There is no look, a variance is below 0, or a number is out of range.

    Source: Robbins (1970), Ann. Math. Stat. 41, 1397-1409; Johari et al. (2022), Oper. Res. 70,
    1806-1821: the likelihood ratio mixed over a normal with this standard deviation.
    """
    if not looks or smallest <= 0 or any(look.variance < 0 for look in looks):
        raise ValueError("looks have a variance of 0 or more, and the smallest effect is above 0")
    _share("confidence", confidence)
    mixed = smallest**2
    p_value = math.exp(min(0.0, *(-_evidence(look, mixed) for look in looks)))
    variance, middle = looks[-1].variance, looks[-1].difference
    if not variance:
        return AlwaysValid(interval=EVERYTHING, p_value=p_value)
    half = math.sqrt(
        variance
        * (variance + mixed)
        / mixed
        * (2 * math.log(1 / (1 - confidence)) + math.log((variance + mixed) / variance))
    )
    return AlwaysValid(interval=Interval(low=middle - half, high=middle + half), p_value=p_value)


def passes_look(z: float, /, *, look: int) -> bool:
    """Say whether one of four equal looks, 1 to 4, may end an experiment. ValueError for others."""
    if not 1 <= look <= len(OBRIEN_FLEMING):
        raise ValueError(f"there are {len(OBRIEN_FLEMING)} looks, and this is look {look}")
    return abs(z) > OBRIEN_FLEMING[look - 1]


def holm(p_values: Mapping[str, float], /) -> dict[str, float]:
    """Return each metric's p-value, raised so that one false find among all stays as rare.

    Raises:
        ValueError: A p-value is not within [0, 1].

    Source: Holm (1979), Scand. J. Stat. 6, 65-70, the step-down procedure.
    """
    if any(not 0 <= p_value <= 1 for p_value in p_values.values()):
        raise ValueError(f"p-values are within 0 and 1, and these are {p_values}")
    adjusted, highest = {}, 0.0
    for place, name in enumerate(sorted(p_values, key=lambda name: (p_values[name], name))):
        highest = max(highest, min(1.0, p_values[name] * (len(p_values) - place)))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def _evidence(look: Look, mixed: float) -> float:
    """Return the logarithm of the mixture likelihood ratio; 0.0 where nothing is known."""
    if not look.variance:
        return 0.0
    total = look.variance + mixed
    return (
        math.log(look.variance / total) / 2
        + look.difference**2 * mixed / (2 * look.variance * total)
    )  # fmt: skip


def _effect(base: float, lift: float) -> float:
    treated = _share("the treated rate", _share("base", base) * (1 + lift))
    if not lift:
        raise ValueError("no experiment finds a change of nothing")
    return 2 * (math.asin(math.sqrt(treated)) - math.asin(math.sqrt(base)))


def _quantile(confidence: float) -> float:
    return _NORMAL.inv_cdf((1 + _share("confidence", confidence)) / 2)


def _upper(z: float) -> float:
    return math.erfc(z / math.sqrt(2)) / 2


def _share(name: str, value: float) -> float:
    if not 0 < value < 1:
        raise ValueError(f"{name} is between 0 and 1, and is {value}")
    return value
