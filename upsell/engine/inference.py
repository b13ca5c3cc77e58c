"""What needs scipy: Welch, ratios, CUPED, and whether a split is broken.

Loaded by ``conf.inference`` when an experiment is read, so that nothing else needs the extra
``stats``. Aggregates in, floats out: estimates, never amounts (see ``aggregates``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.stats import chisquare, t

from upsell.engine.aggregates import Pairs, Sums
from upsell.engine.stats import EVERYTHING, Comparison, Interval

BROKEN_BELOW = 0.001
"""A split less likely than this is an error of somebody's; GrowthBook's threshold too."""

_FEWEST_EXPECTED = (
    5  # below, chi-square is no approximation: Cochran (1954), Biometrics 10, 417-451
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Whether buyers came into the arms as the weights say."""

    p_value: float | None
    """None while an arm expects fewer than five: too early to tell."""

    @property
    def is_broken(self) -> bool:
        """Say whether results must not be shown."""
        return self.p_value is not None and self.p_value < BROKEN_BELOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """A comparison with less noise, and how much less."""

    comparison: Comparison
    correlation: float
    """Of the outcome with the figure from before, in all arms together."""
    variance_reduction: float
    """Share of the difference's variance that is gone, 0 to 1; a little below 0 is possible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mean:
    n: int
    value: float
    variance: float
    """Of one unit."""


class Inference:
    """The statistics that need scipy; it holds nothing."""

    def means(self, control: Sums, treated: Sums, *, confidence: float = 0.95) -> Comparison:
        """Compare two means, the variances of which may differ: Welch's t.

        With fewer than two units in an arm, or no spread in either, nothing is known: the
        interval has no ends and the p-value is 1.0.

        Raises:
            ValueError: ``confidence`` is not between 0 and 1.

        Source: Welch (1947), Biometrika 34, 28-35.
        """
        return _welch(_mean(control), _mean(treated), confidence)

    def ratios(self, control: Pairs, treated: Pairs, *, confidence: float = 0.95) -> Comparison:
        """Compare two ratios of sums, such as revenue (first) per order (second) over buyers.

        The spread of a ratio over buyers is that of ``first - ratio * second``, divided by the
        mean of ``second``; then as ``means``. Nothing known where it is as there.

        Raises:
            ValueError: A ``second`` comes to 0 (there is no ratio), or ``confidence`` is not
                between 0 and 1.

        Source: the delta method; Deng, Knoblich, Lu (2018), KDD, 233-242.
        """
        return _welch(_ratio(control), _ratio(treated), confidence)

    def cuped(self, control: Pairs, treated: Pairs, *, confidence: float = 0.95) -> Adjusted:
        """Compare two means of ``first``, less what ``second``, from before exposure, explains.

        The slope is that of both arms together. Where ``second`` does not vary the comparison
        is that of ``means``.

        Raises:
            ValueError: ``confidence`` is not between 0 and 1.

        Source: Deng, Xu, Kohavi, Walker (2013), WSDM, 123-132.
        """
        both = control + treated
        before = both.of_second
        slope = both.covariance / before.variance if before.variance else 0.0
        less = [_less(arm, slope, before.mean) for arm in (control, treated)]
        plain = sum(arm.of_first.variance / arm.n for arm in (control, treated))
        left = sum(arm.variance / arm.n for arm in less)
        spread = math.sqrt(both.of_first.variance * before.variance)
        return Adjusted(
            comparison=_welch(less[0], less[1], confidence),
            correlation=both.covariance / spread if spread else 0.0,
            variance_reduction=1 - left / plain if plain else 0.0,
        )

    def split(self, counted: Mapping[str, int], weights: Mapping[str, int]) -> Split:
        """Say whether exposures by arm are what the weights make likely.

        Args:
            counted: Units by arm; an arm that is not named had none.
            weights: Weight by arm, in any unit, each above 0.

        Raises:
            ValueError: There are fewer than two weights, one is not above 0, a count is below
                0, or an arm that was counted has no weight.

        Source: Pearson's chi-square, arms less one degrees of freedom.
        """
        if len(weights) < 2 or min(weights.values()) <= 0 or not counted.keys() <= weights.keys():
            raise ValueError(f"arms {sorted(counted)} do not fit weights {dict(weights)}")
        seen = [counted.get(arm, 0) for arm in weights]
        if min(seen) < 0:
            raise ValueError(f"counts are 0 or more, and these are {seen}")
        share = sum(seen) / sum(weights.values())
        expected = [weight * share for weight in weights.values()]
        if min(expected) < _FEWEST_EXPECTED:
            return Split(p_value=None)
        return Split(p_value=float(chisquare(seen, expected).pvalue))


def _mean(sums: Sums) -> _Mean:
    return _Mean(n=sums.n, value=sums.mean, variance=sums.variance)


def _ratio(sums: Pairs) -> _Mean:
    first, second = sums.of_first, sums.of_second
    if not second.total:
        raise ValueError("what is divided by comes to 0, so there is no ratio")
    ratio = first.mean / second.mean
    variance = first.variance - 2 * ratio * sums.covariance + ratio**2 * second.variance
    return _Mean(n=sums.n, value=ratio, variance=max(variance, 0.0) / second.mean**2)


def _less(sums: Pairs, slope: float, usual: float) -> _Mean:
    """Return the mean of ``first`` less ``slope`` times how far ``second`` is from usual."""
    first, second = sums.of_first, sums.of_second
    variance = first.variance - 2 * slope * sums.covariance + slope**2 * second.variance
    value = first.mean - slope * (second.mean - usual)
    return _Mean(n=sums.n, value=value, variance=max(variance, 0.0))


def _welch(control: _Mean, treated: _Mean, confidence: float) -> Comparison:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is between 0 and 1, and is {confidence}")
    shares = [arm.variance / arm.n for arm in (control, treated)]
    interval, p_value = EVERYTHING, 1.0
    if min(control.n, treated.n) > 1 and sum(shares) > 0:
        difference, error = treated.value - control.value, math.sqrt(sum(shares))
        freedom = sum(shares) ** 2 / sum(
            share**2 / (arm.n - 1) for share, arm in zip(shares, (control, treated), strict=True)
        )
        half = float(t.isf((1 - confidence) / 2, freedom)) * error
        interval = Interval(low=difference - half, high=difference + half)
        p_value = 2 * float(t.sf(abs(difference) / error, freedom))
    return Comparison(
        control=control.value, treated=treated.value, interval=interval, p_value=p_value
    )
