"""Numbers of experiments as people read them: points, amounts, both ends, in their language."""

from __future__ import annotations

import math

import pytest
from django.utils import translation

from upsell.engine.readings import Answer
from upsell.engine.stats import Interval
from upsell.models import Arm, Campaign, Experiment
from upsell.presenting import experiments
from upsell.presenting.campaigns import bare

NBSP = "\N{NO-BREAK SPACE}"


def words(metric="ACCEPTANCE", currency="EUR") -> experiments.Words:
    return experiments.Words(Experiment(metric=metric, currency=currency))


def answer(control, treated, low, high, found=False) -> Answer:
    return Answer(arm="b", control=control, treated=treated, interval=Interval(low=low, high=high),
                  p_value=0.5, found=found)  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "told", "sentence", "meaning"),
    [
        pytest.param(
            "ACCEPTANCE", answer(0.05, 0.062, 0.003, 0.021, found=True),
            f"“b” was accepted by 1.2 points more than the control (between 0.3 and 2.1): "
            f"6.2{NBSP}% against 5.0{NBSP}%.", "does better", id="more",
        ),
        pytest.param(
            "ACCEPTANCE", answer(0.05, 0.045, -0.009, -0.001, found=True),
            f"“b” was accepted by 0.50 points less than the control (between −0.90 and −0.10): "
            f"4.5{NBSP}% against 5.0{NBSP}%.", "does worse", id="less, and small",
        ),
        pytest.param(
            "ACCEPTANCE", answer(0.05, 0.06, -math.inf, math.inf),
            f"“b” was accepted by 1.0 point more than the control (how sure that is cannot be "
            f"told yet): 6.0{NBSP}% against 5.0{NBSP}%.", "may be chance", id="nothing known",
        ),
        pytest.param(
            "REVENUE", answer(1234.5, 1230, -20, 11),
            "A buyer in “b” spent €4.50 less than one in the control (between −€20.00 and "
            "€11.00): €1,230.00 against €1,234.50.", "may be chance", id="money",
        ),
    ],
)  # fmt: skip
def test_a_result_is_one_sentence(metric, told, sentence, meaning):
    verdict = words(metric).verdict(told)

    assert verdict.sentence == sentence
    assert meaning in verdict.meaning


def test_numbers_are_written_as_the_reader_writes_them():
    with translation.override("de"):
        verdict = words("REVENUE", "JPY").verdict(answer(1234.5, 2000, -20, 11))
        share = experiments.share_of(3_333)

    assert f"2.000{NBSP}¥" in verdict.sentence
    assert share == f"33,33{NBSP}%"
    assert experiments.share_of(10_000) == f"100{NBSP}%"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "“Tea” as it stands"),
        ({"rule": "PERCENT", "percent": "10"}, f"“Tea”, but with 10{NBSP}% off"),
        ({"rule": "FIXED", "amounts": {"EUR": "9.00"}}, "“Tea”, but for 9.00 EUR"),
        ({"rule": "AMOUNT", "amounts": {"EUR": "9.00"}}, "“Tea”, but with 9.00 EUR off"),
        ({"rule": "FIXED_DIFFERENCE", "amounts": {"EUR": "9"}}, "“Tea”, but for 9 EUR more"),
        ({"rule": "LIST"}, "“Tea”, but at the selling price"),
        ({"rule": "NEW"}, "“Tea”, but NEW"),
        ({"product_ref": "7", "copy": {"en": {"headline": "Warm", "body": ""}}},
         "“Tea”, but offers 7, says “Warm”"),
        ({"copy": ["no words"]}, "“Tea” as it stands"),
        ({"copy": {"en": "no words"}}, "“Tea” as it stands"),
    ],
)  # fmt: skip
def test_what_an_arm_offers_is_said_in_words(changes, told):
    arm = Arm(slug="b", campaign=Campaign(name="Tea"), overrides=changes)

    assert experiments.arm_in_words(arm, bare) == told
    assert experiments.arm_in_words(Arm(slug="b"), bare) == "offers nothing of this experiment"


@pytest.mark.parametrize(
    ("p_value", "told"), [(0.5, f"50.0{NBSP}%"), (0.004, f"0.40{NBSP}%"), (0.0009, "below 0.1")]
)
def test_how_often_chance_alone_does_it(p_value, told):
    assert experiments.chance(p_value).startswith(told)
