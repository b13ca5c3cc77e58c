"""Looking every day: how often an experiment without any effect has a winner, by simulation.

1,000 experiments of 28 days with 500 buyers per arm and day, of whom 5 % accept. The seed is fixed;
the band of each expectation is three standard errors of 1,000 experiments, or what was promised.
"""

from __future__ import annotations

import random
from bisect import bisect
from functools import cache
from itertools import accumulate
from math import comb
from statistics import median

import pytest

from upsell.engine.aggregates import Rate
from upsell.engine.stats import (
    OBRIEN_FLEMING,
    always_valid,
    look_at_rates,
    passes_look,
    pooled_z,
    two_sided,
)

EXPERIMENTS, DAYS, A_DAY = 1_000, 28, 500
BASE, LIFTED = 0.05, 0.0625
SMALLEST = 0.0075


@cache
def _counts(rate: float) -> list[float]:
    """How likely it is that so many or fewer of a day's buyers accept."""
    return [
        *accumulate(comb(A_DAY, k) * rate**k * (1 - rate) ** (A_DAY - k) for k in range(A_DAY + 1))
    ]


def _days(rate: float, draw: random.Random) -> list[Rate]:
    likely = _counts(rate)
    hits = accumulate(bisect(likely, draw.random()) for _ in range(DAYS))
    return [Rate(hits=sum_, n=A_DAY * day) for day, sum_ in enumerate(hits, start=1)]


def _experiments(treated_rate: float, seed: int) -> list[list[tuple[Rate, Rate]]]:
    draw = random.Random(seed)
    return [
        list(zip(_days(BASE, draw), _days(treated_rate, draw), strict=True))
        for _ in range(EXPERIMENTS)
    ]


@pytest.fixture(scope="module")
def without_effect():
    return _experiments(BASE, seed=11)


@pytest.fixture(scope="module")
def with_effect():
    return _experiments(LIFTED, seed=12)


def _found_on(days: list[tuple[Rate, Rate]]) -> int | None:
    """The first day on which the always-valid test calls a winner."""
    looks = [look_at_rates(control, treated) for control, treated in days]
    if always_valid(looks, smallest=SMALLEST).p_value > 0.05:
        return None
    return next(
        day
        for day in range(1, DAYS + 1)
        if always_valid(looks[:day], smallest=SMALLEST).p_value <= 0.05
    )


def share(found) -> float:
    return sum(found) / EXPERIMENTS


def test_looking_every_day_at_no_effect_calls_a_winner_in_5_percent_at_most(without_effect):
    assert share(_found_on(days) is not None for days in without_effect) <= 0.05


def test_looking_every_day_at_plain_p_values_would_call_one_in_a_quarter(without_effect):
    naive = share(any(two_sided(pooled_z(*day)) < 0.05 for day in days) for days in without_effect)

    assert naive == pytest.approx(0.277, abs=0.043)


def test_a_quarter_more_is_found_in_93_percent_at_least(with_effect):
    found = [_found_on(days) for days in with_effect]

    assert share(day is not None for day in found) >= 0.93
    assert median(day or DAYS for day in found) == pytest.approx(12, abs=2)


def test_a_quarter_more_is_nearly_always_found_at_the_end(with_effect):
    assert share(two_sided(pooled_z(*days[-1])) < 0.05 for days in with_effect) >= 0.98


def test_the_interval_of_each_day_covers_the_truth_on_all_days(with_effect):
    def covers(days) -> bool:
        return all(
            read.interval.low <= LIFTED - BASE <= read.interval.high
            for read in (always_valid([look_at_rates(*day)], smallest=SMALLEST) for day in days)
        )

    assert share(covers(days) for days in with_effect) >= 0.95


def test_four_looks_by_obrien_fleming_keep_5_percent(without_effect):
    looks = [(day, place) for place, day in enumerate((6, 13, 20, 27), start=1)]

    def passes(days) -> bool:
        return any(passes_look(pooled_z(*days[day]), look=place) for day, place in looks)

    def naive(days) -> bool:
        return any(abs(pooled_z(*days[day])) > 1.96 for day, _place in looks)

    assert len(looks) == len(OBRIEN_FLEMING)
    assert share(passes(days) for days in without_effect) == pytest.approx(0.05, abs=0.021)
    assert share(naive(days) for days in without_effect) == pytest.approx(0.125, abs=0.032)
