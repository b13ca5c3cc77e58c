"""Every statistic against another program that computes it: to 1e-9, on random aggregates.

tea-tasting is fed with its own ``Aggregates``, made from the sums, never with a table of pyarrow:
there, identical calls gave different results.
"""

from __future__ import annotations

import math
import random
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest

from tests.oracles import MENS, NOBODY, WOMENS, oracle, pairs_of, sums_of
from upsell.engine.aggregates import Pairs, Rate, Sums
from upsell.engine.bandit import Posterior, propensities
from upsell.engine.stats import (
    Needed,
    compare_rates,
    holm,
    needed,
    newcombe,
    pooled_z,
    power_of,
    relative_change,
    two_sided,
    wilson,
)

scipy_stats = oracle("scipy.stats")
quad = oracle("scipy.integrate").quad
tea = oracle("tea_tasting")
Aggregates = oracle("tea_tasting.aggr").Aggregates
proportion = oracle("statsmodels.stats.proportion")
multipletests = oracle("statsmodels.stats.multitest").multipletests
smpower = oracle("statsmodels.stats.power")
Inference = oracle("upsell.engine.inference").Inference

inference = Inference()


def close(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-300)


def ends(interval) -> tuple[float, float]:
    return interval.low, interval.high


def _rates(seed: int) -> tuple[Rate, Rate]:
    draw = random.Random(seed)
    sizes = draw.randint(2, 10 ** draw.randint(1, 6)), draw.randint(2, 10 ** draw.randint(1, 6))
    control, treated = (Rate(hits=draw.randint(1, n - 1 or 1), n=n) for n in sizes)
    return control, treated


RATES = [
    (NOBODY.visit, MENS.visit),
    (NOBODY.conversion, WOMENS.conversion),
    (Rate(hits=1, n=10), Rate(hits=9, n=10)),
    *(_rates(seed) for seed in range(20)),
]


@pytest.mark.parametrize(("control", "treated"), RATES)
def test_wilson_is_that_of_statsmodels(control, treated):
    for rate in (control, treated):
        for confidence in (0.8, 0.95, 0.999):
            theirs = proportion.proportion_confint(
                rate.hits, rate.n, alpha=1 - confidence, method="wilson"
            )
            assert ends(wilson(rate, confidence=confidence)) == close(theirs)


@pytest.mark.parametrize("rate", [Rate(hits=0, n=20), Rate(hits=20, n=20)], ids=["none", "all"])
def test_wilson_at_its_ends_is_that_of_statsmodels(rate):
    theirs = proportion.proportion_confint(rate.hits, rate.n, method="wilson")

    assert ends(wilson(rate)) == pytest.approx(theirs, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(("control", "treated"), RATES)
def test_newcombe_is_that_of_statsmodels(control, treated):
    theirs = proportion.confint_proportions_2indep(
        treated.hits, treated.n, control.hits, control.n, method="newcomb", compare="diff"
    )

    assert ends(newcombe(control, treated)) == close(theirs)


@pytest.mark.parametrize(("control", "treated"), RATES)
def test_z_is_that_of_statsmodels_and_tea_tasting(control, treated):
    z, p_value = proportion.proportions_ztest(
        [treated.hits, control.hits], [treated.n, control.n], prop_var=False
    )
    sides = [Aggregates(count_=rate.n, mean_={"hit": rate.value}) for rate in (control, treated)]
    theirs = tea.Proportion("hit", method="norm", correction=False).analyze_aggregates(*sides)

    assert pooled_z(control, treated) == pytest.approx(z, rel=1e-9, abs=1e-12)
    assert compare_rates(control, treated).p_value == close(p_value)
    assert compare_rates(control, treated).p_value == close(theirs.pvalue)


@pytest.mark.parametrize(("control", "treated"), RATES)
def test_the_relative_change_is_that_of_statsmodels(control, treated):
    theirs = proportion.confint_proportions_2indep(
        treated.hits, treated.n, control.hits, control.n, method="log", compare="ratio"
    )
    change = relative_change(control, treated)
    error = math.sqrt(
        1 / treated.hits - 1 / treated.n + 1 / control.hits - 1 / control.n
    )  # as Katz wrote it

    assert (1 + change.interval.low, 1 + change.interval.high) == close(theirs)
    assert change.p_worse == close(
        scipy_stats.norm.sf(math.log(treated.value / control.value), scale=error)
    )


@pytest.mark.parametrize("z", [0.0, 0.5, -1.96, 8.0, 37.0])
def test_normal_tails_are_those_of_scipy(z):
    assert two_sided(z) == close(2 * scipy_stats.norm.sf(abs(z)))


@pytest.mark.parametrize(
    ("base", "lift", "share"),
    [(0.05, 0.1, 0.5), (0.05, 0.2, 0.5), (0.1, 0.1, 0.5), (0.05, 0.1, 0.1), (0.3, -0.2, 0.7)],
)
def test_sizes_and_power_are_those_of_statsmodels(base, lift, share):
    effect = proportion.proportion_effectsize(base * (1 + lift), base)
    ratio = share / (1 - share)  # statsmodels counts the treated first
    units = smpower.NormalIndPower().solve_power(effect, power=0.8, alpha=0.05, ratio=ratio)
    have = Needed(control=1234, treated=5678)

    assert needed(base, lift, control_share=share) == Needed(
        control=math.ceil(units * ratio), treated=math.ceil(units)
    )
    assert power_of(base, lift, have) == close(
        smpower.NormalIndPower().power(effect, 5678, 0.05, ratio=1234 / 5678)
    )


@pytest.mark.parametrize("seed", range(10))
def test_holm_is_that_of_statsmodels(seed):
    draw = random.Random(seed)
    p_values = {f"metric {place}": draw.random() ** 3 for place in range(draw.randint(1, 12))}
    raised = holm(p_values)
    _rejected, theirs, *_alphas = multipletests(list(p_values.values()), method="holm")

    assert list(raised.values()) == close(list(theirs))


def _pairs(seed: int) -> tuple[Pairs, Pairs]:
    draw = random.Random(seed)

    def arm(lift: float) -> Pairs:
        before = [Decimal(draw.randint(0, 9_999)) / 100 for _ in range(draw.randint(40, 400))]
        after = [
            (value * Decimal(draw.random()) + Decimal(draw.expovariate(0.05) + lift)).quantize(
                Decimal("0.01")
            )
            for value in before
        ]
        return pairs_of(after, before)

    return arm(0), arm(draw.random() * 10)


PAIRS = [
    (NOBODY.spend, MENS.spend),
    (NOBODY.spend, WOMENS.spend),
    *(_pairs(seed) for seed in range(10)),
]


def aggregates(sums: Pairs):
    """The same figures as tea-tasting takes them, worked out from the sums as fractions."""
    n = sums.n
    totals = {"first": Fraction(sums.first), "second": Fraction(sums.second)}
    squares = {"first": sums.first_squares, "second": sums.second_squares}
    return Aggregates(
        count_=n,
        mean_={name: float(total / n) for name, total in totals.items()},
        var_={
            name: float((Fraction(squares[name]) - total**2 / n) / (n - 1))
            for name, total in totals.items()
        },
        cov_={
            ("first", "second"): float(
                (Fraction(sums.cross) - totals["first"] * totals["second"] / n) / (n - 1)
            )
        },
    )


def theirs_of(metric, control: Pairs, treated: Pairs) -> tuple[float, ...]:
    theirs = metric.analyze_aggregates(aggregates(control), aggregates(treated))
    return (
        theirs.control,
        theirs.treatment,
        theirs.effect_size_ci_lower,
        theirs.effect_size_ci_upper,
        theirs.pvalue,
    )


def ours_of(compared) -> tuple[float, ...]:
    return (compared.control, compared.treated, *ends(compared.interval), compared.p_value)


@pytest.mark.parametrize(("control", "treated"), PAIRS)
def test_welch_is_that_of_scipy_and_tea_tasting(control, treated):
    compared = inference.means(control.of_first, treated.of_first)
    theirs = scipy_stats.ttest_ind_from_stats(
        treated.of_first.mean,
        math.sqrt(treated.of_first.variance),
        treated.n,
        control.of_first.mean,
        math.sqrt(control.of_first.variance),
        control.n,
        equal_var=False,
    )

    assert ours_of(compared) == close(theirs_of(tea.Mean("first"), control, treated))
    assert compared.p_value == close(theirs.pvalue)


def test_welch_on_rows_is_that_of_scipy():
    draw = random.Random(5)
    control = [Decimal(draw.randint(0, 9_999)) / 100 for _ in range(60)]
    treated = [Decimal(draw.randint(0, 12_999)) / 100 for _ in range(45)]
    theirs = scipy_stats.ttest_ind(
        [float(value) for value in treated], [float(value) for value in control], equal_var=False
    )
    compared = inference.means(sums_of(control), sums_of(treated))

    assert compared.p_value == close(theirs.pvalue)
    assert ends(compared.interval) == close(tuple(theirs.confidence_interval(0.95)))


@pytest.mark.parametrize(("control", "treated"), PAIRS)
def test_ratios_are_those_of_tea_tasting(control, treated):
    compared = inference.ratios(control, treated)

    assert ours_of(compared) == close(
        theirs_of(tea.RatioOfMeans("first", "second"), control, treated)
    )


@pytest.mark.parametrize(("control", "treated"), PAIRS)
def test_cuped_is_that_of_tea_tasting(control, treated):
    adjusted = inference.cuped(control, treated)

    assert ours_of(adjusted.comparison) == close(
        theirs_of(tea.Mean("first", "second"), control, treated)
    )


def test_cuped_of_rows_has_scipys_correlation():
    draw = random.Random(2)
    before = [Decimal(draw.randint(0, 999)) for _ in range(200)]
    after = [value + Decimal(draw.randint(0, 999)) for value in before]
    theirs = scipy_stats.pearsonr([float(value) for value in after], [*map(float, before)])
    adjusted = inference.cuped(
        pairs_of(after[:100], before[:100]), pairs_of(after[100:], before[100:])
    )

    assert adjusted.correlation == close(theirs.statistic)


@pytest.mark.parametrize(
    ("counted", "weights"),
    [
        ({"control": 9_150, "gift": 850}, {"control": 90, "gift": 10}),
        ({"control": 502, "gift": 498}, {"control": 1, "gift": 1}),
        ({"a": 21_306, "b": 21_307, "c": 21_387}, {"a": 3_334, "b": 3_333, "c": 3_333}),
    ],
)
def test_the_split_is_that_of_scipy_and_tea_tasting(counted, weights):
    total = sum(counted.values()) / sum(weights.values())
    theirs = scipy_stats.power_divergence(
        list(counted.values()), [weight * total for weight in weights.values()]
    )
    p_value = inference.split(counted, weights).p_value

    assert p_value == close(theirs.pvalue)
    if len(counted) == 2:
        sides = [Aggregates(count_=count) for count in counted.values()]
        ratio = weights["gift"] / weights["control"]
        sample = tea.SampleRatio(ratio, method="norm", correction=False)
        assert p_value == close(sample.analyze(dict(enumerate(sides)), 0, 1).pvalue)


BELIEFS = [
    {"a": (41, 1_000, 1), "b": (52, 1_000, 1), "c": (55, 940, 1)},
    {"a": (0.4, 19.6, 1), "b": (1.4, 19.6, 1)},
    {"a": (5_000, 95_000, 1), "b": (10, 200, 1)},
    {"a": (5, 95, 20), "b": (30, 200, "8.50"), "c": (1, 20, 100)},
    {"a": (1, 1, 1), "b": (100, 1, 1)},
]


@pytest.mark.parametrize("beliefs", BELIEFS)
def test_propensities_are_those_of_scipys_integral(beliefs):
    def chance(name: str) -> float:
        alpha, beta, worth = beliefs[name]
        rivals = [other for rival, other in beliefs.items() if rival != name]

        def density(p: float) -> float:
            below = (
                scipy_stats.beta.cdf(min(1.0, p * float(worth) / float(theirs)), a, b)
                for a, b, theirs in rivals
            )
            return scipy_stats.beta.pdf(p, alpha, beta) * math.prod(below)

        cuts = [0, *scipy_stats.beta.ppf([1e-6, 0.01, 0.2, 0.5, 0.8, 0.99], alpha, beta), 1]
        return sum(quad(density, low, high)[0] for low, high in pairwise(cuts))

    candidates = {
        name: Posterior(alpha=alpha, beta=beta, worth=Decimal(worth))
        for name, (alpha, beta, worth) in beliefs.items()
    }
    ours = propensities(candidates, floor=0.0)

    assert ours == pytest.approx({name: chance(name) for name in beliefs}, abs=1e-4)


def test_a_mean_of_one_unit_tells_nothing():
    one = Sums(n=1, total=Decimal(5), squares=Decimal(25))

    assert inference.means(one, one).p_value == 1.0
