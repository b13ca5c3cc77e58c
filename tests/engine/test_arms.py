"""Experiments, holdout and selection inside a decision; ``explain`` names the same winner."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.engine.builders import NOW, Ports, campaign, order
from upsell.engine import decide, explain
from upsell.engine.arms import ArmOffer, RunningExperiment, by_campaign
from upsell.engine.bandit import Posterior
from upsell.engine.campaigns import By, ChannelPolicy, History, PriceRule, Reason, RuleKind
from upsell.engine.experiments import ArmSpec, PhaseSpec, arm_of, is_held_out
from upsell.engine.index import compile_index
from upsell.engine.selecting import Selection
from upsell.engine.types import Occasion

BUYERS = [f"u:{number}" for number in range(200)]


def experiment(number: int = 1, *, traffic: int = 10_000, moment: str = "post_purchase", **arms):
    """An experiment with arms of equal weight, by name."""
    share = 10_000 // len(arms)
    weights = [share] * (len(arms) - 1) + [10_000 - share * (len(arms) - 1)]
    phase = PhaseSpec(
        salt=f"exp-{number}",
        traffic=traffic,
        arms=tuple(
            ArmSpec(slug=slug, weight=weight)
            for slug, weight in zip(sorted(arms), weights, strict=True)
        ),
    )
    return RunningExperiment(
        id=number, phase_id=10 * number, slug=f"exp-{number}", moment=moment, phase=phase, arms=arms
    )


def unit_in(one: RunningExperiment, arm: str | None) -> str:
    return next(buyer for buyer in BUYERS if arm_of(one.phase, buyer) == arm)


def decided(
    specs, unit: str, *experiments, placed: Occasion | None = None, selections=None, **options
):
    """What ``decide`` says, after ``explain`` was seen to name the same winner."""
    placed = placed or order("W1")
    running = by_campaign(list(experiments))
    policy = options.pop("policy", ChannelPolicy())
    history = History(unit=unit, **options)
    index = compile_index(
        specs, version=1, policies={"": policy}, running=running, selections=selections or {}
    )
    answer = decide(placed, index, now=NOW, ask=Ports(), history=history)
    told = explain(
        placed,
        specs,
        now=NOW,
        ask=Ports(),
        history=history,
        policy=policy,
        running=running,
        selection=(selections or {}).get("post_purchase"),
    )
    assert told.winner == (answer.chosen.campaign.id if answer.chosen else None)
    assert told.reason == answer.reason
    assert told.held_out == answer.held_out
    reasons = {v.campaign.id: v.reason for v in told.verdicts}
    assert {key: reasons[key] for key in answer.passed_over} == dict(answer.passed_over)
    return answer


def cheaper(spec):
    return replace(spec, rule=PriceRule(kind=RuleKind.PERCENT, percent=Decimal(10)))


DETERGENT = campaign("DT", id=1, priority=20)
CASE = campaign("EB", id=2, priority=10)
PRICE = {"control": ArmOffer(campaign=1), "cheap": ArmOffer(campaign=1, instead=cheaper(DETERGENT))}
NOTHING = {"control": ArmOffer(), "offer": ArmOffer(campaign=1)}


@pytest.mark.parametrize(
    ("arms", "arm", "wins", "percent"),
    [
        pytest.param(PRICE, "control", 1, 0, id="the control is the campaign as it stands"),
        pytest.param(PRICE, "cheap", 1, 10, id="an arm changes the price"),
        pytest.param(NOTHING, "offer", 1, 0, id="an arm with the campaign"),
        pytest.param(NOTHING, "control", 2, 0, id="a control without: what there is besides wins"),
    ],
)
def test_only_the_buyers_arm_is_a_candidate(arms, arm, wins, percent):
    one = experiment(**arms)

    answer = decided([DETERGENT, CASE], unit_in(one, arm), one)

    assert answer.chosen.campaign.id == wins
    assert answer.chosen.campaign.rule.percent == percent
    assert [(row.slug, row.arm) for row in answer.exposed] == [("exp-1", arm)]
    assert answer.arm == (f"exp-1/{arm}" if wins == 1 else "")


@pytest.mark.parametrize(
    ("unit", "options"),
    [
        pytest.param("", {}, id="nobody knows who it is"),
        pytest.param("u:1", {"staff": True}, id="staff who try"),
    ],
)
def test_who_is_in_no_experiment_gets_the_campaign_as_it_stands(unit, options):
    answer = decided([DETERGENT, CASE], unit, experiment(**PRICE), **options)

    assert answer.chosen.campaign == DETERGENT
    assert answer.exposed == ()
    assert answer.arm == ""


def test_outside_the_traffic_nothing_is_noted():
    one = experiment(traffic=1_000, **NOTHING)

    answer = decided([DETERGENT, CASE], unit_in(one, None), one)

    assert (answer.chosen.campaign.id, answer.exposed) == (1, ())


def test_an_experiment_of_another_moment_is_not_looked_at():
    answer = decided([DETERGENT], "u:1", experiment(moment="cart", **NOTHING))

    assert (answer.chosen.campaign.id, answer.exposed) == (1, ())


@pytest.mark.parametrize("arm", ["control", "offer"])
def test_exposed_is_who_gets_there_and_nobody_else(arm):
    """Below a winner an experiment does not matter; nor where its campaign does not qualify."""
    one = experiment(**NOTHING)
    above = campaign("EB", id=3, priority=99)
    for_phones = campaign("DT", "PH128", id=1, priority=20)

    assert decided([above, DETERGENT], unit_in(one, arm), one).exposed == ()
    assert decided([for_phones, CASE], unit_in(one, arm), one).exposed == ()


@pytest.mark.parametrize("arm", ["control", "dryer"])
def test_an_arm_whose_product_is_not_to_be_had_counts_as_exposed(arm):
    dryer = replace(DETERGENT, product_ref="DR")
    one = experiment(control=ArmOffer(campaign=1), dryer=ArmOffer(campaign=1, instead=dryer))

    answer = decided([DETERGENT, CASE], unit_in(one, arm), one)

    assert answer.chosen.campaign.id == {"control": 1, "dryer": 2}[arm]
    assert [row.arm for row in answer.exposed] == [arm]
    assert answer.arm == {"control": "exp-1/control", "dryer": ""}[arm]


def test_two_campaigns_compete_in_one_experiment():
    one = experiment(control=ArmOffer(campaign=1), other=ArmOffer(campaign=2))

    told = {arm: decided([DETERGENT, CASE], unit_in(one, arm), one) for arm in ("control", "other")}

    assert {arm: answer.chosen.campaign.id for arm, answer in told.items()} == {
        "control": 1,
        "other": 2,
    }
    assert told["other"].passed_over[1] == Reason.OTHER_ARM
    assert all(len(answer.exposed) == 1 for answer in told.values())


def test_one_decision_may_expose_to_two_experiments():
    first = experiment(1, **NOTHING)
    second = experiment(2, control=ArmOffer(), offer=ArmOffer(campaign=2))
    unit = next(
        buyer
        for buyer in BUYERS
        if arm_of(first.phase, buyer) == "control" and arm_of(second.phase, buyer) == "offer"
    )

    answer = decided([DETERGENT, CASE], unit, first, second)

    assert answer.chosen.campaign.id == 2
    assert [row.label for row in answer.exposed] == ["exp-1/control", "exp-2/offer"]
    assert answer.arm == "exp-2/offer"


# ------------------------------------------------------------------ holdout


def test_the_holdout_keeps_the_winner_from_a_buyer_and_from_every_experiment():
    one = experiment(**PRICE)
    policy = ChannelPolicy(holdout=1_000)
    told = {unit: decided([DETERGENT], unit, one, policy=policy) for unit in BUYERS}

    held = [unit for unit in BUYERS if is_held_out(unit, holdout=1_000)]
    assert held
    for unit, answer in told.items():
        assert answer.held_out is (unit in held)
        assert (answer.exposed == ()) is (unit in held)
        assert answer.chosen.campaign.id == 1, "what would have been offered"


def test_nobody_is_held_out_of_nothing():
    unit = next(unit for unit in BUYERS if is_held_out(unit, holdout=1_000))

    answer = decided([campaign("DR")], unit, policy=ChannelPolicy(holdout=1_000))

    assert (answer.chosen, answer.held_out) == (None, False)


@pytest.mark.parametrize("options", [{"staff": True}, {}])
def test_staff_who_try_and_strangers_are_never_held_out(options):
    unit = BUYERS[0] if options else ""
    policy = ChannelPolicy(holdout=2_000)
    for salt in range(20):
        answer = decided(
            [DETERGENT], unit, policy=replace(policy, holdout_salt=str(salt)), **options
        )
        assert not answer.held_out


# ------------------------------------------------------------------ selection


EQUALS = [campaign("DT", id=1), campaign("EB", id=2), campaign("IN", id=3)]
BELIEFS = {
    1: Posterior(alpha=40, beta=960, worth=Decimal(5)),
    2: Posterior(alpha=60, beta=940, worth=Decimal(1)),
    3: Posterior(alpha=50, beta=950, worth=Decimal(2)),
}


def selection(by: By, **options) -> dict[str, Selection]:
    return {"post_purchase": Selection(by=by, beliefs=BELIEFS, version="v1", **options)}


def test_by_value_the_most_expected_of_equals_wins():
    answer = decided(EQUALS, "u:1", selections=selection(By.VALUE))

    assert answer.chosen.campaign.id == 1  # 0.04 * 5 beats 0.05 * 2 and 0.06 * 1
    assert answer.drawn.candidates == (1, 3, 2)
    assert answer.drawn.version == "v1"


@pytest.mark.parametrize("by", [By.VALUE, By.WEIGHTED, By.LEARNED])
def test_a_higher_priority_beats_every_value(by):
    answer = decided([*EQUALS, campaign("W2", id=9, priority=99)], "u:1", selections=selection(by))

    assert answer.chosen.campaign.id == 9
    assert answer.drawn.candidates == (9,)


@pytest.mark.parametrize("by", [By.VALUE, By.WEIGHTED, By.LEARNED])
def test_where_no_equal_can_be_had_the_next_priority_is_asked(by):
    specs = [campaign("DR", id=1, priority=20), campaign("DT", id=2)]

    answer = decided(specs, "u:1", selections=selection(by))

    assert answer.chosen.campaign.id == 2
    assert answer.passed_over[1] == Reason.OUT_OF_STOCK
    assert answer.drawn is None, "nothing was told apart"


def test_by_weight_each_comes_first_as_often_as_its_weight():
    heavy = [replace(EQUALS[0], weight=3), EQUALS[1]]
    wins = Counter(
        decided(heavy, f"u:{number}", selections=selection(By.WEIGHTED)).chosen.campaign.id
        for number in range(2_000)
    )

    assert 0.72 < wins[1] / 2_000 < 0.78


def test_learned_draws_are_made_again_from_the_order_and_tell_how_likely_they_were():
    wins = Counter()
    for number in range(300):
        placed = replace(order("W1"), ref=f"order-{number}")
        first, again = (
            decided(EQUALS, "", placed=placed, selections=selection(By.LEARNED)) for _ in range(2)
        )
        assert first.drawn == again.drawn
        assert 0 < first.drawn.propensity < 1
        wins[first.chosen.campaign.id] += 1

    assert wins[1] > wins[3] > 0, "worth 0.20 against 0.10 and 0.06"


def test_the_propensity_is_of_those_that_could_be_had():
    specs = [campaign("DT", id=1), campaign("DR", id=2)]

    answer = decided(specs, "", selections=selection(By.LEARNED))

    assert answer.chosen.campaign.id == 1
    assert answer.drawn.propensity == pytest.approx(1)


def test_an_experiment_works_among_equals():
    cheap = ArmOffer(campaign=1, instead=cheaper(EQUALS[0]))
    one = experiment(control=ArmOffer(campaign=1), cheap=cheap)
    unit = unit_in(one, "cheap")

    answer = decided(EQUALS, unit, one, selections=selection(By.VALUE))

    assert answer.arm == "exp-1/cheap"
    assert answer.chosen.campaign.rule.percent == 10
