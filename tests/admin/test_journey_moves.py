"""Staff move buyers who wait to another version: they look first, and each step is named."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry

from tests.admin.screens import said, url
from tests.services.journeys import END, T0, H, journey, tell
from upsell.models import Journey, JourneyRun, Listener, OutboxMessage
from upsell.services import journey_publishing

WAITS = {"type": "wait", "for": "P1D", "to": {"next": "end"}}
STEPS = {"first": WAITS, "end": END}


@pytest.fixture
def changed(shop) -> Journey:
    """Two buyers wait at a step that the second version calls otherwise."""
    row = journey(STEPS)
    for key in ("u:1", "u:2"):
        tell(order_ref=key, key=key)
    row.steps.filter(name="first").update(name="pause", told={"for": "PT1H"})
    journey_publishing.publish(row, now=T0 + H)
    row.refresh_from_db()
    return row


def steps() -> set[tuple[str, int]]:
    return set(JourneyRun.objects.values_list("step", "version__number"))


def test_it_says_how_many_stand_where(client, boss, changed):
    page = client.get(url("journey_move", changed.pk))

    (field,) = page.context["form"]
    assert (field.label, field.help_text) == ("first", "2 buyers are there.")
    assert [name for name, _label in field.field.choices] == ["", "pause", "end"]
    assert page.context["form"].initial == {}


def test_a_step_that_leads_nowhere_is_refused_by_name(client, boss, changed):
    data = {"version": "2", "steps": "yes", "step-first": "", "confirmed": "yes"}

    answer = client.post(url("journey_move", changed.pk), data)

    assert answer.status_code == 200
    assert answer.context["form"].errors == {
        "step-first": ["2 buyers stand at “first”: say where they go."]
    }
    assert steps() == {("first", 1)}


def test_nothing_moves_before_it_is_confirmed(client, boss, changed):
    data = {"version": "2", "steps": "yes", "step-first": "pause"}

    asked = client.post(url("journey_move", changed.pk), data)

    assert asked.status_code == 200
    (told,) = asked.context["told"]
    assert (told["name"], told["count"], told["same"]) == ("first", 2, False)
    assert steps() == {("first", 1)}
    assert not LogEntry.objects.exists()

    done = client.post(url("journey_move", changed.pk), data | {"confirmed": "yes"}, follow=True)

    assert steps() == {("pause", 2)}
    assert said(done) == ["2 buyers were moved to version 2."]
    (entry,) = LogEntry.objects.all()
    assert entry.object_id == str(changed.pk)
    assert "version 2" in entry.get_change_message()
    assert "first → pause" in entry.get_change_message()


def test_a_step_of_the_same_name_is_chosen_already(client, boss, shop):
    row = journey(STEPS)
    tell(order_ref="A1")
    row.steps.filter(name="first").update(told={"for": "PT1H"})
    journey_publishing.publish(row, now=T0)

    (field,) = client.get(url("journey_move", row.pk)).context["form"]

    assert field.initial == "first"


def test_a_buyer_who_came_to_another_step_meanwhile_stops_the_move(client, boss, changed):
    """What was looked at is not what is there any more: nobody is moved by guess."""
    JourneyRun.objects.filter(customer_key="u:2").update(step="end")
    data = {"version": "2", "steps": "yes", "step-first": "pause", "confirmed": "yes"}

    answer = client.post(url("journey_move", changed.pk), data)

    assert list(answer.context["form"].errors) == ["step-end"]
    assert steps() == {("first", 1), ("end", 1)}


def test_the_way_back_is_a_move_too(client, boss, changed):
    data = {"steps": "yes", "confirmed": "yes"}
    client.post(url("journey_move", changed.pk), data | {"version": "2", "step-first": "pause"})

    client.post(url("journey_move", changed.pk), data | {"version": "1", "step-pause": "first"})

    assert steps() == {("first", 1)}


@pytest.mark.parametrize(
    ("rights", "channels"),
    [
        pytest.param(("view_journey", "change_journey"), (), id="no right to run"),
        pytest.param(("view_journey", "run_journey"), ("web",), id="another channel beside"),
    ],
)
def test_who_may_not_moves_nobody(rights, channels, client, signed_in, changed):
    Journey.objects.update(channels=["web", "other"])
    data = {"version": "2", "steps": "yes", "step-first": "pause", "confirmed": "yes"}
    signed_in(*rights, channels=channels)

    assert client.get(url("journey_move", changed.pk)).status_code == 403
    assert client.post(url("journey_move", changed.pk), data).status_code == 403
    assert steps() == {("first", 1)}


def test_where_nobody_waits_there_is_nothing_to_move(client, boss, changed):
    page = client.get(url("journey_move", changed.pk), {"version": "1"})

    assert "Nobody waits in another version than 1." in page.content.decode()
    data = {"version": "1", "steps": "yes", "confirmed": "yes"}
    assert client.post(url("journey_move", changed.pk), data).status_code == 200


# ------------------------------------------------------------------ what moves along


def test_what_it_leaves_for_and_what_it_is_for_are_the_new_versions(client, boss, changed):
    Journey.objects.update(
        exits=[{"id": "left", "event": "cart.added"}],
        goals=[{"id": "bought", "event": "order.placed"}],
    )
    journey_publishing.publish(changed, now=T0 + H)
    data = {"version": "3", "steps": "yes", "step-first": "pause", "confirmed": "yes"}
    client.post(url("journey_move", changed.pk), data)

    heard = Listener.objects.values_list("event", "purpose", "criterion").distinct()
    assert set(heard) == {("cart.added", "EXIT", "left"), ("order.placed", "GOAL", "bought")}
    tell("cart.added", at=T0 + 2 * H, key="u:1")
    assert JourneyRun.objects.get(customer_key="u:1").end_reason == "exit:left"


def test_what_was_found_and_not_sent_yet_goes_along_or_is_cancelled(client, boss, changed):
    first = JourneyRun.objects.get(customer_key="u:1")
    first.found = {"webhook": {"first": {"points": 7}}, "offer": None}
    first.settled = "sent"
    first.save()
    row = OutboxMessage.objects.create(
        key="j:1:first", kind="JOURNEY", run=first, step="first", customer_key="u:1",
        medium="email", category="marketing", not_before=T0, created_at=T0, reserved_at=T0,
    )  # fmt: skip
    data = {"version": "2", "steps": "yes", "step-first": "pause", "confirmed": "yes"}

    client.post(url("journey_move", changed.pk), data)

    first.refresh_from_db()
    row.refresh_from_db()
    assert first.found == {"webhook": {"pause": {"points": 7}}, "offer": None}
    assert first.settled == ""
    assert (row.state, row.reason, row.reserved_at) == ("CANCELLED", "moved", None)
