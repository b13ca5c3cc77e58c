"""Rows of a draft as the document that is published, and back; faults and where they belong."""

from __future__ import annotations

import pytest

from upsell.engine.journeys.definition import Fault
from upsell.engine.journeys.draft import (
    Place,
    StepDraft,
    definition_of,
    leads_to,
    outcomes_of,
    place_of,
    steps_of,
)
from upsell.engine.journeys.reading import read

STEPS = (
    StepDraft(name="wait", kind="wait", told={"for": "PT3H"}),
    StepDraft(name="ask", kind="reachable", told={"media": ["email"]}, to={"none": "end"}),
    StepDraft(name="mail", kind="send", told={"medium": "email", "template": "thanks"}),
    StepDraft(name="end", kind="exit"),
)


def test_rows_are_published_as_they_stand() -> None:
    made = definition_of(event="order.placed", steps=STEPS)

    plan, faults, _warnings = read(made, {})

    assert faults == []
    assert plan is not None
    assert plan.first == "wait"
    assert plan.steps["wait"].to == {"next": "ask"}
    assert plan.steps["ask"].to == {"email": "mail", "none": "end"}
    assert plan.steps["mail"].to == {"sent": "end", "skipped": "end", "failed": "end"}
    assert plan.steps["mail"].told["category"] == "marketing"


def test_a_document_gives_its_rows_back() -> None:
    made = definition_of(event="order.placed", steps=STEPS, category="transactional")

    again = definition_of(event="order.placed", steps=steps_of(made))

    assert again == made


def test_again_after_a_while_is_told_only_where_it_is_read() -> None:
    after = {"after": "P30D", "counted_from": "entry"}

    often = definition_of(event="e", policy="after", steps=STEPS, **after)["entry"]
    once = definition_of(event="e", policy="once", steps=STEPS, **after)["entry"]

    assert often == {
        "policy": "after", "concurrency": "per_key", "from": "entry", "after": "P30D",
    }  # fmt: skip
    assert once == {"policy": "once", "concurrency": "per_key"}


@pytest.mark.parametrize(
    ("kind", "told", "wanted"),
    [
        pytest.param("wait", {}, ["next"], id="one way"),
        pytest.param("exit", {}, [], id="the end"),
        pytest.param("juggle", {}, [], id="unknown"),
        pytest.param(
            "check",
            {"branches": [{"id": "yes"}, {"id": "yes"}, {}, "odd"]},
            ["yes", "otherwise"],
            id="branches, half typed",
        ),
        pytest.param("check", {"branches": "odd"}, ["otherwise"], id="no branches"),
        pytest.param(
            "reachable", {"media": ["sms", "email"]}, ["sms", "email", "none"], id="media"
        ),
        pytest.param("best_medium", {"media": "sms"}, ["none"], id="odd media"),
        pytest.param("split", {"arms": {"a": 1, "b": 1}}, ["a", "b"], id="arms"),
    ],
)
def test_outcomes_of(kind, told, wanted) -> None:
    assert outcomes_of(kind, told) == wanted


def test_the_last_step_leads_nowhere() -> None:
    assert leads_to(STEPS[0], "") == {}
    assert leads_to(STEPS[1], "") == {"none": "end"}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("steps.mail_1.to.sent", Place(step="mail_1", field="to.sent")),
        ("steps.mail_1", Place(step="mail_1")),
        ("steps", Place(field="steps")),
        ("start.event", Place(field="start.event")),
        ("exit.0.id", Place(field="exit.0.id")),
    ],
)
def test_place_of(path, wanted) -> None:
    assert place_of(Fault(path=path, message="")) == wanted
