"""Journeys 1.4, ``if_active``: an event for who is in the journey already."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.services.journeys import (
    END,
    KEY,
    T0,
    WAIT_3H,
    D,
    H,
    adds_up,
    journey,
    move,
    only,
    tell,
)
from upsell.models import EntryRefused, Journey, JourneyRun, Listener, OutboxMessage
from upsell.services import journey_publishing, journey_running, linking

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.usefixtures("addressed"),
]

STEPS = {"wait": {**WAIT_3H, "to": {"next": "end"}}, "end": END}
LEFT = [{"id": "left", "event": "cart.added"}]


@pytest.fixture(autouse=True)
def _adds_up():
    yield
    adds_up()


def refused() -> list[str]:
    return list(EntryRefused.objects.order_by("pk").values_list("reason", flat=True))


def states() -> list[tuple[str, str]]:
    return list(JourneyRun.objects.order_by("pk").values_list("state", "end_reason"))


# ------------------------------------------------------------------ ignore


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param({"concurrency": "one"}, "active", id="one at a time"),
        pytest.param({"policy": "once"}, "already_done", id="once"),
    ],
)
def test_unless_staff_say_otherwise_the_run_goes_on_as_it_is(options, reason):
    journey(STEPS, **options)
    tell(order_ref="A1", value="1")

    tell(order_ref="A2", at=T0 + H, value="2")

    assert only().starter["parameters"]["value"] == "1"
    assert refused() == [reason]


# ------------------------------------------------------------------ restart


@pytest.mark.parametrize(
    ("options", "order"),
    [
        pytest.param({"concurrency": "one"}, "A2", id="one at a time"),
        pytest.param({"policy": "once"}, "A2", id="once"),
        pytest.param({}, "A1", id="the same order"),
        pytest.param({"policy": "after", "again_after": D, "concurrency": "one"}, "A2", id="after"),
        pytest.param({"policy": "always", "concurrency": "one"}, "A2", id="always"),
    ],
)
def test_a_restart_ends_the_run_and_begins_with_the_event(options, order):
    journey(STEPS, if_active="restart", exits=LEFT, **options)
    tell(order_ref="A1", value="1")

    tell(order_ref=order, at=T0 + H, value="2")

    assert states() == [("EXITED", "superseded"), ("WAITING", "")]
    run = JourneyRun.objects.get(state="WAITING")
    assert (run.order_ref, run.starter["parameters"]["value"]) == (order, "2")
    assert (run.step, run.due_at) == ("wait", T0 + 4 * H)
    assert set(Listener.objects.values_list("run", flat=True)) == {run.pk}
    assert refused() == []


def test_a_restart_cancels_what_was_not_sent_yet():
    journey(if_active="restart", concurrency="one")
    tell(order_ref="A1")
    first = only()
    OutboxMessage.objects.create(
        key="j:1:mail", kind="JOURNEY", run=first, step="mail", customer_key=KEY, medium="email",
        category="marketing", not_before=T0 + D, created_at=T0,
    )  # fmt: skip

    tell(order_ref="A2", at=T0 + H)

    assert OutboxMessage.objects.get().state == "CANCELLED"


def test_each_event_restarts_and_the_last_one_counts():
    journey(STEPS, if_active="restart", category="transactional")

    for hour in range(4):
        tell(order_ref="A1", at=T0 + hour * H, value=str(hour))

    run = JourneyRun.objects.get(state="WAITING")
    assert run.starter["parameters"]["value"] == "3"
    assert JourneyRun.objects.filter(end_reason="superseded").count() == 3


def test_who_came_to_the_end_is_not_restarted():
    """Once for each order is once for each order: only a run under way begins anew."""
    journey(STEPS, if_active="restart")
    tell(order_ref="A1")
    tell(order_ref="A1", at=T0 + H)
    move(T0 + 5 * H)

    tell(order_ref="A1", at=T0 + 6 * H)

    assert states() == [("EXITED", "superseded"), ("COMPLETED", "completed")]
    assert refused() == ["already_entered"]


def test_the_run_of_another_order_that_is_over_forbids_as_ever():
    journey(STEPS, if_active="restart", concurrency="one")
    tell(order_ref="A1")
    move(T0 + 3 * H)
    tell(order_ref="A2", at=T0 + 4 * H)

    tell(order_ref="A1", at=T0 + 5 * H)

    assert states() == [("COMPLETED", "completed"), ("WAITING", "")]
    assert refused() == ["already_entered"]


def test_a_restart_counts_as_an_entry():
    journey(STEPS, if_active="restart", cap_per_day=1)
    tell(order_ref="A1", value="1")

    tell(order_ref="A1", at=T0 + H, value="2")

    assert only().starter["parameters"]["value"] == "1"
    assert refused() == ["cap:journey"]


def test_an_event_that_may_not_enter_ends_nothing():
    row = journey(STEPS, if_active="restart", channels=["web"])
    tell(order_ref="A1")

    tell(order_ref="A1", at=T0 + H, channel="other")
    tell(order_ref="A1", at=T0 + 30 * H, occurred_at=T0 + H)
    Journey.objects.filter(pk=row.pk).update(state="PAUSED")
    tell(order_ref="A1", at=T0 + 30 * H)

    assert only().state == "WAITING"
    assert refused() == ["channel", "late", "paused"]


# ------------------------------------------------------------------ merge


@pytest.mark.parametrize("options", [{}, {"policy": "once"}, {"concurrency": "one"}])
def test_a_merge_lets_the_run_go_on_with_what_the_event_says(options):
    journey(STEPS, if_active="merge", **options)
    tell(order_ref="A1", value="1", coupon="X")

    tell(order_ref="A1", at=T0 + H, value="2", gift="yes")

    run = only()
    assert run.starter["parameters"] == {
        "channel": "web", "value": "2", "coupon": "X", "gift": "yes",
    }  # fmt: skip
    assert run.starter["event"] == "HOST:e2"
    assert run.starter["at"] == (T0 + H).isoformat()
    assert (run.step, run.due_at, run.entered_at) == ("wait", T0 + 3 * H, T0)
    assert refused() == ["merged"]


def test_a_merge_of_another_order_takes_nothing_of_the_one_before_along():
    journey(STEPS, if_active="merge", concurrency="one")
    tell(order_ref="A1", coupon="X", service_at=(T0 + 2 * D).isoformat())
    JourneyRun.objects.update(
        found={"offer": 3, "suggestions": [], "webhook": {"score": {"points": 1}}}
    )

    tell(order_ref="A2", at=T0 + H, value="2")

    run = only()
    assert run.order_ref == "A2"
    assert run.starter["parameters"] == {"channel": "web", "value": "2"}
    assert run.deadline is None
    assert run.found == {"webhook": {"score": {"points": 1}}}


def test_a_merge_moves_the_deadline_with_the_service():
    journey(STEPS, if_active="merge")
    tell(order_ref="A1", service_at=(T0 + 2 * D).isoformat())

    tell(order_ref="A1", at=T0 + H, service_at=(T0 + 3 * D).isoformat())
    assert only().deadline == T0 + 3 * D - 2 * H

    tell(order_ref="A1", at=T0 + 2 * H, value="3")
    assert only().deadline == T0 + 3 * D - 2 * H


def test_a_merge_while_a_worker_looks_is_not_lost():
    journey(STEPS, if_active="merge")
    tell(order_ref="A1", value="1")
    claimed = journey_running.claim(now=T0 + 3 * H)

    tell(order_ref="A1", at=T0 + 3 * H, value="2")
    journey_running.move(claimed, now=T0 + 3 * H)

    assert (only().state, only().starter["parameters"]["value"]) == ("COMPLETED", "2")


def test_a_guest_who_has_an_account_since_is_merged():
    journey(STEPS, if_active="merge", concurrency="one")
    guest = "e:" + "0" * 64
    tell(order_ref="A1", key=guest)
    linking.link(old=guest, new=KEY, now=T0 + timedelta(minutes=1))

    tell(order_ref="A2", at=T0 + H)

    assert only().order_ref == "A2"
    assert refused() == ["merged"]


# ------------------------------------------------------------------ publishing


def test_it_is_published_with_the_entry_and_not_before():
    row = journey(STEPS, concurrency="one")
    assert "if_active" not in row.version.definition["entry"]
    tell(order_ref="A1")
    Journey.objects.update(if_active="merge")

    tell(order_ref="A2", at=T0 + H)
    assert refused() == ["active"]

    row.refresh_from_db()
    version = journey_publishing.publish(row, now=T0)
    assert version.definition["entry"]["if_active"] == "merge"
    tell(order_ref="A3", at=T0 + 2 * H)
    assert refused() == ["active", "merged"]


def test_where_no_run_is_in_the_way_of_another_it_is_warned():
    row = journey(STEPS, live=False, policy="always", if_active="restart")

    _plan, faults, warnings = journey_publishing.checked(
        journey_publishing.document_of(row), journey=row
    )

    assert (faults, [one.path for one in warnings]) == ([], ["entry.if_active"])


def test_another_word_is_a_fault():
    row = journey(STEPS, live=False, if_active="forget")

    with pytest.raises(journey_publishing.JourneyFaults, match=r"entry\.if_active"):
        journey_publishing.publish(row, now=T0)
