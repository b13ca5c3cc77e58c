"""Who is in, in which arm, and who is counted."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.engine.builders import NOON
from upsell.engine.experiments import (
    ArmSpec,
    Exposed,
    PhaseSpec,
    arm_of,
    bucket,
    count_exposures,
    is_held_out,
    joined,
    u,
)

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "buckets.json").read_text())
BUYERS = [f"u:{number}" for number in range(20_000)]


def phase(traffic: int = 10_000, salt: str = "exp-1", **weights: int) -> PhaseSpec:
    weights = weights or {"control": 5_000, "gift": 5_000}
    arms = tuple(ArmSpec(slug=slug, weight=weight) for slug, weight in weights.items())
    return PhaseSpec(salt=salt, traffic=traffic, arms=arms)


@pytest.mark.parametrize(("salt", "unit", "number"), VECTORS)
def test_bucket_is_what_it_always_was(salt, unit, number):
    assert bucket(salt, unit) == number


@pytest.mark.parametrize(
    ("buyer", "arm", "number"),
    [
        ("u:1", "control", 0.0483729),
        ("e:ada@example.com", "gift", 0.4812519),
        ("v:7f3a", "gift", 0.7010717),
    ],
)
def test_arms_and_u_are_what_they_always_were(buyer, arm, number):
    assert (arm_of(phase(), buyer), round(u("cart", buyer, 17), 7)) == (arm, number)


def test_x72_everyone_in_before_stays_in_in_the_same_arm():
    before = {buyer: arm_of(phase(traffic=1_000), buyer) for buyer in BUYERS}
    after = {buyer: arm_of(phase(traffic=2_000), buyer) for buyer in BUYERS}

    were_in = {buyer: arm for buyer, arm in before.items() if arm}
    are_in = {buyer: arm for buyer, arm in after.items() if arm}

    assert were_in.items() <= are_in.items()
    assert len(were_in) == pytest.approx(2_000, abs=150)
    assert len(are_in) == pytest.approx(4_000, abs=200)


@pytest.mark.parametrize("traffic", [1_000, 5_000, 10_000])
def test_traffic_says_nothing_of_the_arm(traffic):
    arms = [arm_of(phase(traffic=traffic), buyer) for buyer in BUYERS]

    assert arms.count("gift") / (len(BUYERS) - arms.count(None)) == pytest.approx(0.5, abs=0.03)


def test_one_salt_for_both_would_put_everybody_in_one_arm():
    in_traffic = [buyer for buyer in BUYERS if bucket("exp-1", buyer) < 1_000]

    assert all(bucket("exp-1", buyer) < 5_000 for buyer in in_traffic)


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param({"control": 9_000, "gift": 1_000}, id="90/10"),
        pytest.param({"a": 3_334, "b": 3_333, "c": 3_333}, id="three"),
    ],
)
def test_arms_are_as_large_as_their_weights(weights):
    arms = [arm_of(phase(**weights), buyer) for buyer in BUYERS]

    for slug, weight in weights.items():
        assert arms.count(slug) / len(BUYERS) == pytest.approx(weight / 10_000, abs=0.012)


def test_the_order_of_arms_does_not_matter():
    one, other = phase(gift=5_000, control=5_000), phase(control=5_000, gift=5_000)

    assert [arm_of(one, buyer) for buyer in BUYERS] == [arm_of(other, buyer) for buyer in BUYERS]


@pytest.mark.parametrize(
    ("traffic", "weights"),
    [
        pytest.param(10_000, {"control": 5_000, "gift": 4_999}, id="a bucket short"),
        pytest.param(10_000, {"control": 5_000, "gift": 5_001}, id="a bucket over"),
        pytest.param(10_000, {"control": 10_000, "gift": 0}, id="an arm of nobody"),
        pytest.param(10_000, {"control": 10_001, "gift": -1}, id="less than nobody"),
        pytest.param(10_000, {"control": 10_000}, id="one arm"),
        pytest.param(10_001, {"control": 5_000, "gift": 5_000}, id="more than all"),
        pytest.param(-1, {"control": 5_000, "gift": 5_000}, id="less than none"),
    ],
)
def test_a_phase_refuses(traffic, weights):
    with pytest.raises(ValueError, match=r"weights|arms|traffic"):
        phase(traffic=traffic, **weights)


def test_two_arms_of_one_name_are_refused():
    same = ArmSpec(slug="gift", weight=5_000)

    with pytest.raises(ValueError, match="slug of its own"):
        PhaseSpec(salt="exp-1", traffic=10_000, arms=(same, same))


def test_a_larger_holdout_lets_nobody_go():
    held = [{b for b in BUYERS if is_held_out(b, holdout=size)} for size in (0, 500, 1_000, 2_000)]

    assert not held[0]
    assert all(smaller < larger for smaller, larger in pairwise(held))
    assert len(held[1]) == pytest.approx(1_000, abs=120)


def test_another_salt_rotates_the_holdout():
    first = {buyer for buyer in BUYERS if is_held_out(buyer, holdout=2_000)}
    second = {buyer for buyer in BUYERS if is_held_out(buyer, holdout=2_000, salt="holdout-2")}

    assert len(first & second) / len(first) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("holdout", [-1, 2_001])
def test_a_holdout_is_a_fifth_at_most(holdout):
    with pytest.raises(ValueError, match="a holdout is 0 to 2000"):
        is_held_out("u:1", holdout=holdout)


@pytest.mark.parametrize(
    ("digest", "is_edge"), [(bytes(8), "low"), (b"\xff" * 8, "high")], ids=["all 0", "all 1"]
)
def test_u_is_never_0_and_never_1(monkeypatch, digest, is_edge):
    class Digest:
        def digest(self):
            return digest

    monkeypatch.setattr("upsell.engine.experiments.sha256", lambda _text: Digest())

    assert 0.0 < u("salt", "u:1", 1) < 1.0
    assert (u("salt", "u:1", 1) < 0.5) is (is_edge == "low")


def test_u_is_even():
    tenths = [int(10 * u("cart", buyer, 17)) for buyer in BUYERS]

    assert all(tenths.count(tenth) == pytest.approx(2_000, abs=180) for tenth in range(10))


def seen(arm: str, minutes: int) -> Exposed:
    return Exposed(arm=arm, at=NOON + timedelta(minutes=minutes))


def test_the_earlier_exposure_is_kept_at_log_in():
    assert joined([seen("gift", 9), seen("gift", 2)]) == seen("gift", 2)


def test_x77_a_buyer_in_both_arms_is_left_out_and_counted():
    counted = count_exposures(
        [
            [seen("control", 0)],
            [seen("gift", 1), seen("control", 5)],
            [seen("gift", 3), seen("gift", 4)],
            [seen("gift", 5)],
        ]
    )

    assert counted.by_arm == {"control": 1, "gift": 2}
    assert counted.excluded == 1


def test_a_buyer_without_an_exposure_is_not_counted_by_mistake():
    with pytest.raises(ValueError, match="without an exposure"):
        count_exposures([[]])
