"""A journey's picture: boxes in layers, arrows that run through none, few of them crossing."""

from __future__ import annotations

import re

import pytest

from upsell.engine.journeys.definition import Definition, Entry, Kind, Step
from upsell.engine.journeys.reading import read
from upsell.presenting.journey_pictures import HEIGHT, WIDTH, draw
from upsell.services import facts, ready_journeys


def plan_of(ready) -> tuple[Definition, dict]:
    plan, _faults, _warnings = read(ready.document, facts.specs())
    assert plan is not None
    return plan, ready.document["steps"]


@pytest.mark.parametrize("ready", ready_journeys.READY, ids=lambda one: one.slug)
def test_no_two_boxes_touch_and_arrows_point_down(ready) -> None:
    plan, told = plan_of(ready)

    picture = draw(plan, told=told)

    assert {box.name for box in picture.boxes} == set(plan.steps)
    for one in picture.boxes:
        assert one.x >= 0
        assert one.x + WIDTH <= picture.width
        assert one.y + HEIGHT <= picture.height
        for other in picture.boxes:
            if one is not other and one.y == other.y:
                assert abs(one.x - other.x) > WIDTH
    for arrow in picture.arrows:
        ys = [int(y) for y in re.findall(r"\d+ (\d+)(?=[MCV]|$)", arrow.path)]
        assert ys == sorted(ys)


def test_arrows_that_need_not_cross_do_not() -> None:
    """Written crosswise, it is drawn straight."""
    ends = {name: Step(id=name, kind=Kind.EXIT) for name in ("x", "y")}
    steps = {
        "split": Step(id="split", kind=Kind.SPLIT, to={"a": "one", "b": "two"}),
        "one": Step(id="one", kind=Kind.TAG, to={"next": "y"}),
        "two": Step(id="two", kind=Kind.TAG, to={"next": "x"}),
        **ends,
    }
    plan = Definition(
        event="e", where=None, entry=Entry(), exits=(), goals=(), first="split", steps=steps
    )

    at = {box.name: box.x for box in draw(plan, told={}).boxes}

    assert (at["one"] < at["two"]) == (at["y"] < at["x"])


def test_the_table_says_what_the_picture_says() -> None:
    plan, told = plan_of(ready_journeys.READY[0])

    picture = draw(plan, told=told, counts={"wait_1": 12})

    rows = {row.name: row for row in picture.rows}
    assert rows["wait_1"].what == "Wait 3 hours"
    assert rows["wait_1"].count == 12
    assert rows["bought_1"].leads == (("bought", "end"), ("otherwise", "reach"))
    assert {box.name: box.count for box in picture.boxes if box.count} == {"wait_1": 12}


def test_a_hundred_steps_are_drawn() -> None:
    steps = {
        f"s{place}": Step(id=f"s{place}", kind=Kind.SPLIT,
                          to={"a": f"s{place + 1}", "b": f"s{min(place + 7, 99)}"})
        for place in range(99)
    }  # fmt: skip
    steps["s99"] = Step(id="s99", kind=Kind.EXIT)
    plan = Definition(
        event="e", where=None, entry=Entry(), exits=(), goals=(), first="s0", steps=steps
    )

    assert len(draw(plan, told={}).boxes) == 100
