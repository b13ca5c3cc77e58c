"""Runs of journeys in the admin: who is where, one passage, and what is done about stuck ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.admin.screens import XSS, url
from upsell.engine.journeys.draft import StepDraft
from upsell.models import GoalHit, JourneyRun, JourneyVersion, OutboxMessage, StepLog
from upsell.queries import journeys as counted
from upsell.services import journey_drafts

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def journey(db):
    steps = (StepDraft(name="wait", kind="wait", told={"for": "PT3H"}),
             StepDraft(name="tag", kind="tag", told={"tag": "x"}),
             StepDraft(name="end", kind="exit"))  # fmt: skip
    values = {"slug": "j", "name": "J", "channels": ["web"], "event": "order.placed"}
    made = journey_drafts.save(journey=None, values=values, steps=steps)
    JourneyVersion.objects.create(
        journey=made, number=1, definition=journey_drafts.look_at(made).document, sha256="x",
        published_at=NOON,
    )  # fmt: skip
    return made


def run(journey, key="1", **values) -> JourneyRun:
    told = {
        "customer_key": f"e:{key}", "dedupe_key": key, "order_ref": f"10{key}", "channel": "web",
        "state": "WAITING", "step": "wait", "since": NOON, "entered_at": NOON,
        "starter": {"name": "order.placed"},
    }  # fmt: skip
    told |= values
    if told["state"] not in {"WAITING", "RUNNING", "STUCK"}:
        told.setdefault("ended_at", NOON + HOUR)
    return JourneyRun.objects.create(
        journey=journey, version=journey.versions.get(number=1), **told
    )


def left(passage, seq, step, kind, outcome, **values) -> None:
    StepLog.objects.create(
        run=passage, seq=seq, step=step, kind=kind, outcome=outcome, at=NOON + seq * HOUR, **values
    )


def test_a_passage_is_told_in_its_order(client, boss, journey) -> None:
    passage = run(journey, state="EXITED", step="tag", end_reason="exit:bought",
                  ended_at=NOON + 9 * HOUR)  # fmt: skip
    left(passage, 3, "wait", "wait", "next")
    left(passage, 4, "check", "check", "otherwise", reason="fact_missing:purchased")
    OutboxMessage.objects.create(
        key="j:1:mail", kind="JOURNEY", run=passage, step="mail", medium="email", state="SKIPPED",
        reason="capped", created_at=NOON + 5 * HOUR, not_before=NOON,
    )  # fmt: skip
    GoalHit.objects.create(run=passage, goal="bought", event_key="o:1", at=NOON + 8 * HOUR)

    entries = client.get(url("journeyrun_change", passage.pk)).context["entries"]

    assert [(entry.what, entry.why) for entry in entries] == [
        ("Entered, with order.placed", ""),
        ("wait: Wait 3 hours", ""),
        ("check: Check → otherwise", "“purchased” is not known"),
        ("Message by e-mail of mail: skipped", "the buyer had enough messages"),
        ("Goal reached: bought", ""),
        ("Over: left: bought", ""),
    ]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        pytest.param({"due_at": NOON}, "Its time has come", id="due"),
        pytest.param({"waiting_for": "order.changed"}, "the event order.changed", id="an event"),
        pytest.param({"state": "STUCK", "tries": 5, "error": "odd"}, "5 times", id="stuck"),
        pytest.param({"tries": 2, "error": "odd"}, "is tried again: odd", id="failed"),
    ],
)
def test_it_says_why_somebody_is_still_here(values, told, client, boss, journey) -> None:
    passage = run(journey, **values)

    why = client.get(url("journeyrun_change", passage.pk)).context["why"]

    assert why[0] == "It stands at wait: Wait 3 hours."
    assert told in why[1]


def test_a_paused_journey_is_why(client, boss, journey) -> None:
    passage = run(journey, due_at=NOON)
    type(journey).objects.update(state="PAUSED")

    why = client.get(url("journeyrun_change", passage.pk)).context["why"]

    assert why[1:] == ["The journey is paused: nobody moves."]


@pytest.mark.parametrize(
    ("act", "state", "after", "step"),
    [
        ("retry", "STUCK", "WAITING", "wait"),
        ("skip", "STUCK", "WAITING", "tag"),
        ("end", "STUCK", "CANCELLED", "wait"),
        ("end", "WAITING", "CANCELLED", "wait"),
        ("retry", "WAITING", "WAITING", "wait"),
        ("skip", "WAITING", "WAITING", "wait"),
        ("end", "COMPLETED", "COMPLETED", "wait"),
    ],
)
def test_what_is_stuck_is_helped_once_it_is_confirmed(
    act, state, after, step, client, boss, journey
) -> None:
    passage = run(journey, state=state)
    asked = client.post(url(f"journeyrun_{act}", passage.pk))
    passage.refresh_from_db()
    assert (asked.status_code, passage.state) == (200, state)

    client.post(url(f"journeyrun_{act}", passage.pk), {"confirmed": "yes"})

    passage.refresh_from_db()
    assert (passage.state, passage.step) == (after, step)


def test_looking_is_not_helping(client, signed_in, journey) -> None:
    passage = run(journey, state="STUCK")
    signed_in("view_journeyrun")

    page = client.get(url("journeyrun_change", passage.pk))

    assert page.status_code == 200
    assert "Try it again" not in page.content.decode()
    assert client.post(url("journeyrun_end", passage.pk), {"confirmed": "yes"}).status_code == 403


def test_limited_staff_see_their_channels_alone(client, signed_in, journey) -> None:
    mine, other = run(journey), run(journey, key="2", channel="other")
    signed_in("view_journey", "view_journeyrun", "run_journey", channels=("web",))

    html = client.get(url("journeyrun_changelist")).content.decode()

    assert f"order {mine.order_ref}" in html
    assert f"order {other.order_ref}" not in html
    assert client.get(url("journeyrun_change", other.pk)).status_code == 404
    numbers = client.get(url("journey_change", journey.pk)).context["numbers"]
    assert numbers.entered == 1


def test_no_word_of_a_buyer_becomes_markup(client, boss, journey) -> None:
    passage = run(journey, order_ref=XSS, state="STUCK", error=XSS, starter={"name": XSS})
    for page in (url("journeyrun_change", passage.pk), url("journeyrun_changelist")):
        assert "<script>alert" not in client.get(page).content.decode()


def test_fifty_runs_cost_as_many_statements_as_one(client, boss, journey) -> None:
    run(journey)
    with CaptureQueriesContext(connection) as one:
        client.get(url("journeyrun_changelist"))
    for place in range(49):
        run(journey, key=f"k{place}")
    with CaptureQueriesContext(connection) as fifty:
        client.get(url("journeyrun_changelist"))

    assert len(fifty) <= len(one)


# ------------------------------------------------------------------ how many went where


def test_a_funnel_counts_each_who_came(journey) -> None:
    done = run(journey, "1", state="COMPLETED", step="end")
    left(done, 1, "wait", "wait", "next")
    left(done, 2, "tag", "tag", "next")
    there = run(journey, "2", step="tag")
    left(there, 1, "wait", "wait", "next")
    run(journey, "3", state="EXITED")
    run(journey, "4", is_control=True)
    run(journey, "5", channel="other")

    found = counted.steps_of(journey.pk, frozenset({"web"}))

    told = {name: (one.entered, one.went_on, one.there, one.ended) for name, one in found.items()}
    assert told == {
        "wait": (3, {"next": 2}, 0, 1), "tag": (2, {"next": 1}, 1, 0), "end": (1, {}, 0, 1),
    }  # fmt: skip
    numbers = counted.numbers_of([journey.pk])[journey.pk]
    assert (numbers.entered, numbers.active, numbers.ended) == (5, 3, 2)
    assert counted.there_now(journey.pk) == {"wait": 2, "tag": 1}


def test_a_goal_counts_a_run_once_and_the_control_group_apart(journey) -> None:
    mine, control = run(journey, "1"), run(journey, "2", is_control=True)
    run(journey, "3")
    for place, one in enumerate((mine, mine, control)):
        GoalHit.objects.create(run=one, goal="bought", event_key=f"o:{place}", at=NOON)

    first, never = counted.goals_of(journey.pk, ["bought", "never"])

    assert (first.reached, first.of, first.control_reached, first.control_of) == (1, 2, 1, 1)
    assert (never.reached, never.control_reached) == (0, 0)
