"""Means, ratios, noise and splits, by published numbers. They need the extra ``oracles``."""

from __future__ import annotations

import math
import sys
import tomllib
from decimal import Decimal

import pytest

from tests.oracles import HILLSTROM, MENS, NOBODY, ROOT, WOMENS, oracle, pairs_of, sums_of
from upsell import conf
from upsell.engine.aggregates import Pairs, Sums
from upsell.exceptions import MissingExtra


@pytest.fixture
def inference():
    oracle("scipy.stats")
    return conf.inference()


def six(value: float) -> str:
    return f"{value:.6f}"


def test_without_scipy_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "upsell.engine.inference", raising=False)
    monkeypatch.setitem(sys.modules, "scipy.stats", None)

    with pytest.raises(MissingExtra, match=r'pip install "django-upsell\[stats\]"') as raised:
        conf.inference()

    assert raised.value.extra == "stats"


def test_each_extra_that_conf_names_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert set(conf.EXTRAS.values()) <= set(project["optional-dependencies"])


@pytest.mark.parametrize(
    ("arm", "treated", "difference", "low", "high", "p_value"),
    [
        (MENS, "1.422617", "0.769827", "0.485140", "1.054515", "1.16e-07"),
        (WOMENS, "1.077202", "0.424412", "0.168957", "0.679868", "1.13e-03"),
    ],
    ids=["mens", "womens"],
)
def test_spend_of_the_hillstrom_table(inference, arm, treated, difference, low, high, p_value):
    compared = inference.means(NOBODY.spend.of_first, arm.spend.of_first)

    assert six(compared.control) == "0.652789"
    assert six(compared.treated) == treated
    assert six(compared.difference) == difference
    assert (six(compared.interval.low), six(compared.interval.high)) == (low, high)
    assert f"{compared.p_value:.2e}" == p_value


def test_attribution_claims_nearly_twice_what_the_mail_brought(inference):
    compared = inference.means(NOBODY.spend.of_first, MENS.spend.of_first)
    brought = compared.times(MENS.spend.n)

    assert f"{brought.difference:.2f}" == "16402.71"
    assert MENS.spend.first == Decimal("30311.69")
    assert f"{30311.69 / brought.difference:.2f}" == "1.85"
    assert brought.interval.low == pytest.approx(0.485140 * 21_307, abs=0.02)
    assert brought.p_value == compared.p_value


def test_past_spend_explains_little_here(inference):
    adjusted = inference.cuped(NOBODY.spend, MENS.spend)

    assert f"{adjusted.correlation:.3f}" == "0.021"
    assert f"{adjusted.variance_reduction:.2%}" == "0.04%"


def test_the_hillstrom_split_is_whole(inference):
    counted = {name: arm.spend.n for name, arm in HILLSTROM.items()}
    split = inference.split(counted, dict.fromkeys(counted, 1))

    assert (f"{split.p_value:.3f}", split.is_broken) == ("0.904", False)


@pytest.mark.parametrize(
    ("counted", "weights", "p_value", "is_broken"),
    [
        pytest.param((9_150, 850), (90, 10), "5.7e-07", True, id="X73: 9,150 and 850 at 90/10"),
        pytest.param((502, 498), (50, 50), "9.0e-01", False, id="X73: 502 and 498 at 50/50"),
        pytest.param((1_104, 896), (50, 50), "3.3e-06", True, id="a tenth lost"),
    ],
)
def test_x73_a_broken_split_is_noticed(inference, counted, weights, p_value, is_broken):
    names = ("control", "gift")
    split = inference.split(
        dict(zip(names, counted, strict=True)), dict(zip(names, weights, strict=True))
    )

    assert (f"{split.p_value:.1e}", split.is_broken) == (p_value, is_broken)


def test_x73_to_three_places(inference):
    split = inference.split({"control": 502, "gift": 498}, {"control": 1, "gift": 1})

    assert f"{split.p_value:.3f}" == "0.899"


@pytest.mark.parametrize("counted", [{}, {"control": 4, "gift": 5}, {"gift": 9}])
def test_a_split_of_few_says_nothing_yet(inference, counted):
    split = inference.split(counted, {"control": 1, "gift": 1})

    assert (split.p_value, split.is_broken) == (None, False)


def test_an_arm_of_nobody_is_a_broken_split(inference):
    assert inference.split({"gift": 40}, {"control": 1, "gift": 1}).is_broken


@pytest.mark.parametrize(
    ("counted", "weights"),
    [
        pytest.param({"gift": 5}, {"gift": 1}, id="one arm"),
        pytest.param({"gift": 5}, {"control": 0, "gift": 1}, id="no weight"),
        pytest.param({"other": 5}, {"control": 1, "gift": 1}, id="an arm unknown"),
        pytest.param({"gift": -5}, {"control": 1, "gift": 1}, id="less than nobody"),
    ],
)
def test_a_split_refuses(inference, counted, weights):
    with pytest.raises(ValueError, match=r"do not fit|0 or more"):
        inference.split(counted, weights)


NOTHING = Sums(n=50, total=0, squares=0)
ONE = Sums(n=1, total=Decimal(9), squares=Decimal(81))
SOME = sums_of([Decimal(1), Decimal(2), Decimal(4)])


@pytest.mark.parametrize(
    ("control", "treated"),
    [
        pytest.param(NOTHING, NOTHING, id="nobody bought"),
        pytest.param(ONE, SOME, id="one buyer"),
        pytest.param(SOME, ONE, id="one treated buyer"),
    ],
)
def test_nothing_is_known_of_few(inference, control, treated):
    compared = inference.means(control, treated)

    assert (compared.interval.low, compared.interval.high) == (-math.inf, math.inf)
    assert compared.p_value == 1.0


def test_no_revenue_against_some_is_compared(inference):
    assert inference.means(NOTHING, SOME).p_value < 0.2


def test_a_ratio_to_nothing_is_refused(inference):
    nobody = Pairs(n=3, first=0, first_squares=0, second=0, second_squares=0, cross=0)

    with pytest.raises(ValueError, match="comes to 0"):
        inference.ratios(nobody, nobody)


def test_a_ratio_is_of_sums_and_not_of_ratios(inference):
    # 10 for 1 order, 60 for 4 orders: 70 / 5, not (10 + 15) / 2.
    arm = pairs_of([Decimal(10), Decimal(60)], [Decimal(1), Decimal(4)])

    assert inference.ratios(arm, arm).control == 14.0


def test_what_never_varied_explains_nothing(inference):
    control = pairs_of([Decimal(1), Decimal(2), Decimal(4)], [Decimal(7)] * 3)
    treated = pairs_of([Decimal(2), Decimal(3), Decimal(7)], [Decimal(7)] * 3)
    adjusted = inference.cuped(control, treated)

    assert (adjusted.correlation, adjusted.variance_reduction) == (0.0, 0.0)
    assert adjusted.comparison == inference.means(control.of_first, treated.of_first)


def test_what_was_the_same_before_takes_the_noise_away(inference):
    before = [Decimal(value) for value in (10, 20, 30, 40)]
    control = pairs_of([*before], before)
    treated = pairs_of([value + 1 + value % 4 for value in before], before)

    plain = inference.means(control.of_first, treated.of_first)
    adjusted = inference.cuped(control, treated)

    assert plain.p_value > 0.7
    assert adjusted.variance_reduction > 0.98


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_is_a_fraction(inference, confidence):
    with pytest.raises(ValueError, match="confidence is between 0 and 1"):
        inference.means(SOME, SOME, confidence=confidence)
