"""Journeys as data: what may be published, what is refused and where, and what is unwise."""

from __future__ import annotations

import copy
from datetime import time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upsell.engine.conditions import FactSpec, FactType
from upsell.engine.journeys.definition import Kind
from upsell.engine.journeys.reading import read
from upsell.engine.journeys.waits import Span

SPECS = {
    spec.name: spec
    for spec in (
        FactSpec(name="starter.category_refs", type=FactType.REFS),
        FactSpec(name="purchased", type=FactType.BOOL, args=("what", "match_starter")),
        FactSpec(name="starter.total", type=FactType.MONEY),
    )
}
BOUGHT = {"fact": "purchased", "args": {"what": "ancillary"}, "op": "is", "value": True}
HOURS = timedelta(hours=1)


def flight() -> dict:
    """The flight journey: three hours, one mail, the next day one more."""
    return {
        "start": {
            "event": "order.placed",
            "where": {"fact": "starter.category_refs", "op": "has_any", "value": ["flights"]},
        },
        "exit": [{"id": "bought", "event": "order.placed", "where": BOUGHT}],
        "goals": [{"id": "ancillary", "event": "order.placed", "within": "P5D"}],
        "first": "reach",
        "steps": {
            "reach": {"type": "reachable", "media": ["email"], "to": {"email": "w1", "none": "x"}},
            "w1": {"type": "wait", "for": "PT3H", "to": {"next": "c1"}},
            "c1": {
                "type": "check",
                "branches": [{"id": "bought", "when": BOUGHT}],
                "to": {"bought": "x", "otherwise": "m1"},
            },
            "m1": {
                "type": "send", "medium": "email", "template": "insurance",
                "to": {"sent": "w2", "skipped": "x", "failed": "x"},
            },
            "w2": {"type": "wait", "for": "P1D", "until": "09:00", "to": {"next": "c2"}},
            "c2": {
                "type": "check",
                "branches": [{"id": "bought", "when": BOUGHT}],
                "to": {"bought": "x", "otherwise": "m2"},
            },
            "m2": {
                "type": "send", "medium": "email", "template": "reminder",
                "to": {"sent": "x", "skipped": "x", "failed": "x"},
            },
            "x": {"type": "exit"},
        },
    }  # fmt: skip


def changed(path: str, value: object) -> dict:
    """The flight journey with one thing changed; a value of None takes it out."""
    data = copy.deepcopy(flight())
    *way, last = path.split(".")
    here = data
    for name in way:
        here = here[int(name)] if isinstance(here, list) else here[name]
    if value is None:
        del here[last]
    else:
        here[last] = value
    return data


def test_the_flight_journey_may_be_published():
    made, faults, warnings = read(flight(), SPECS)

    assert (faults, warnings) == ([], [])
    assert made.steps["w2"].told == {"for": Span(days=1), "until": time(9)}
    assert made.lasts() == (timedelta(0), 27 * HOURS)
    assert made.layers() == [["reach"], ["w1"], ["c1"], ["m1"], ["w2"], ["c2"], ["m2"], ["x"]]
    assert made.goals[0].within == timedelta(days=5)


@pytest.mark.parametrize(
    ("path", "value", "where", "words"),
    [
        pytest.param("steps.m2.to.sent", "w1", "steps.w1", "w1 → c1 → m1 → w2 → c2 → m2 → w1",
                     id="J27: a cycle"),
        pytest.param("steps.m1.to.sent", "w9", "steps.m1.to.sent", "there is no step “w9”",
                     id="J27: a missing target"),
        pytest.param("steps.m1.template", None, "steps.m1.template", "is missing",
                     id="J27: a send without template"),
        pytest.param("steps.w1.for", "PT0M", "steps.w1.for", "1 minute to 365 days",
                     id="J27: a wait of nothing"),
        pytest.param("steps.w1.for", "P400D", "steps.w1.for", "1 minute to 365 days",
                     id="J27: a wait of 400 days"),
        pytest.param("steps.w1.for", "3 hours", "steps.w1.for", "such as PT3H",
                     id="a wait in words"),
        pytest.param("first", "start", "first", "no step “start” to begin with",
                     id="nothing to begin with"),
        pytest.param("steps", {}, "steps", "one step or more", id="no step"),
        pytest.param("steps.alone", {"type": "exit"}, "steps.alone", "nothing leads here",
                     id="a step beside the rest"),
        pytest.param("steps.w1.to", {}, "steps.w1.to.next", "leads nowhere",
                     id="an outcome that leads nowhere"),
        pytest.param("steps.w1.to.later", "x", "steps.w1.to.later", "is no outcome",
                     id="an outcome that there is not"),
        pytest.param("steps.m1.medium", "fax", "steps.m1.medium", "one of email",
                     id="a medium that there is not"),
        pytest.param("steps.w2.until", "25:00", "steps.w2.until", "a time of the day",
                     id="an hour that there is not"),
        pytest.param("steps.w2.weekdays", [0], "steps.w2.weekdays", "1 (Monday) to 7",
                     id="a day that there is not"),
        pytest.param("steps.c1.branches.0.when", {"fact": "mood", "op": "exists"},
                     "steps.c1.branches.0.when", "no fact called “mood”",
                     id="a condition that cannot be read"),
        pytest.param("start.event", "Order placed!", "start.event", "an event's name",
                     id="an event that has no name"),
        pytest.param("entry", {"policy": "after"}, "entry.after", "after which time",
                     id="after, and not after what"),
        pytest.param("entry", {"policy": ["once"]}, "entry.policy", "one of per_key",
                     id="a policy that is a list"),
        pytest.param("steps.w1.type", {}, "steps.w1.type", "one of wait", id="a type that is none"),
        pytest.param("steps.w1", [], "steps.w1.type", "one of wait", id="a step that is a list"),
        pytest.param("colour", "red", "colour", "is not known here", id="something else"),
        pytest.param("steps.w1.note", "x", "steps.w1.note", "is not known here",
                     id="something else in a step"),
    ],
)  # fmt: skip
def test_j27_what_is_refused_names_the_step(path, value, where, words):
    made, faults, _warnings = read(changed(path, value), SPECS)

    assert made is None
    assert [words in fault.message for fault in faults if fault.path == where] == [True], faults


def test_every_fault_is_told_at_once():
    data = changed("steps.w1.for", "PT0M")
    del data["steps"]["m1"]["template"]

    assert len(read(data, SPECS)[1]) == 2


def test_j72_after_a_no_there_is_no_other_offer():
    data = changed(
        "steps.w1",
        {
            "type": "offer",
            "suggestions": 3,
            "to": {"offer": "c1", "suggestions": "c1", "none": "x"},
        },
    )
    assert read(data, SPECS)[1] == []
    data["start"]["event"] = "offer.declined"

    faults = read(data, SPECS)[1]

    assert [fault.path for fault in faults] == ["steps.w1"]
    assert "after a no there is no other offer" in faults[0].message


@pytest.mark.parametrize(
    ("path", "value", "where", "words"),
    [
        pytest.param("exit", [], "goals.0", "nothing ends a run", id="no exit on the goal"),
        pytest.param(
            "steps.m1.to.sent",
            "m2",
            "steps.m2",
            "without a wait between",
            id="two messages at once",
        ),
        pytest.param(
            "steps.w2.to.next",
            "m2",
            "steps.m2",
            "nothing checks",
            id="a message after a wait, unchecked",
        ),
        pytest.param(
            "first",
            "w1",
            "steps.m1",
            "whether the buyer may be reached",
            id="nobody asked whether they may be reached",
        ),
    ],
)
def test_what_is_unwise_is_said_and_published(path, value, where, words):
    data = changed(path, value)
    used, left = set(), [data["first"]]
    while left:
        name = left.pop()
        used.add(name)
        left += [t for t in data["steps"][name].get("to", {}).values() if t not in used]
    data["steps"] = {name: data["steps"][name] for name in data["steps"] if name in used}

    made, faults, warnings = read(data, SPECS)

    assert made is not None, faults
    assert any(words in one.message and one.path == where for one in warnings), warnings


@pytest.mark.parametrize(
    ("step", "kind", "outcomes"),
    [
        ({"type": "split", "key": "x", "arms": {"a": 5_000, "b": 5_000}}, Kind.SPLIT, ["a", "b"]),
        ({"type": "wait_for_event", "event": "order.returned", "timeout": "P3D"},
         Kind.WAIT_FOR_EVENT, ["matched", "timeout"]),
        ({"type": "best_medium", "media": ["email", "sms"]}, Kind.BEST_MEDIUM,
         ["email", "sms", "none"]),
        ({"type": "webhook", "target": "crm"}, Kind.WEBHOOK, ["ok", "failed"]),
        ({"type": "tag", "tag": "asked"}, Kind.TAG, ["next"]),
    ],
)  # fmt: skip
def test_each_kind_has_its_outcomes(step, kind, outcomes):
    data = changed("steps.w1", {**step, "to": dict.fromkeys(outcomes, "c1")})

    made, faults, _warnings = read(data, SPECS)

    assert faults == []
    assert (made.steps["w1"].kind, list(made.steps["w1"].to)) == (kind, outcomes)


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        ({"a": 10_000}, "two arms or more"),
        ({"a": 5_000, "b": 4_000}, "come to 10,000"),
        ({"a": 5_000.0, "b": 5_000}, "a whole weight"),
    ],
)
def test_the_arms_of_a_split_are_whole(arms, words):
    step = {"type": "split", "key": "x", "arms": arms, "to": dict.fromkeys(arms, "c1")}

    assert any(words in fault.message for fault in read(changed("steps.w1", step), SPECS)[1])


def test_there_may_be_a_hundred_steps():
    chain = {f"t{n}": {"type": "tag", "tag": "x", "to": {"next": f"t{n + 1}"}} for n in range(99)}
    data = {"start": {"event": "order.placed"}, "first": "t0",
            "steps": chain | {"t99": {"type": "exit"}}}  # fmt: skip
    assert read(data, SPECS)[1] == []
    data["steps"]["t99"] = {"type": "tag", "tag": "x", "to": {"next": "t100"}}
    data["steps"]["t100"] = {"type": "exit"}

    assert "100 steps, and are 101" in read(data, SPECS)[1][0].message


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
places = st.sampled_from(
    ["start", "start.where", "entry", "exit", "goals", "first", "steps", "steps.w1",
     "steps.w1.for", "steps.c1.branches", "steps.c1.to", "steps.m1.medium", "steps.reach.media"]
)  # fmt: skip


@given(anything)
def test_anything_is_read_or_refused(data):
    made, faults, _warnings = read(data, SPECS)

    assert (made is None) is bool(faults)


@given(places, anything.filter(lambda value: value is not None))
def test_anything_anywhere_is_read_or_refused(path, value):
    made, faults, _warnings = read(changed(path, value), SPECS)

    assert (made is None) is bool(faults)
