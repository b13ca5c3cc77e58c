"""Cases of journeys 1.4: who enters, how often, and why the others do not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import catalogue, order
from tests.services.journeys import (
    END,
    KEY,
    T0,
    D,
    H,
    adds_up,
    go,
    journey,
    only,
    tell,
)
from upsell.models import (
    EntryRefused,
    Journey,
    JourneyRun,
    OutboxMessage,
)
from upsell.services import journey_states, linking

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.usefixtures("addressed"),
]


@pytest.fixture(autouse=True)
def _adds_up():
    yield
    adds_up()


@pytest.fixture
def placed():
    return order(catalogue(), email="emily@example.org")


def test_j1_an_event_starts_one_run_that_waits(placed):
    flights = {"fact": "starter.category_refs", "op": "has_any", "value": ["flights"]}
    journey(where=flights)

    tell(order_ref=str(placed.pk), category_refs=["travel", "flights"])
    tell(order_ref="other", category_refs=["hotels"])

    run = only()
    assert (run.state, run.step, run.due_at) == ("WAITING", "wait", T0 + 3 * H)
    assert run.starter["parameters"]["category_refs"] == ["travel", "flights"]
    assert EntryRefused.objects.get().reason == "condition:starter.category_refs"


def test_an_event_that_is_followed_twice_starts_one_run():
    journey()
    row = tell(order_ref="A1")
    row.processed_at = None
    row.save()

    tell(order_ref="A1", event_id="again")

    assert JourneyRun.objects.count() == 1
    assert EntryRefused.objects.get().reason == "already_entered"


def test_j4_once_is_once():
    journey({"end": END}, policy="once")
    tell(order_ref="A1")
    go(T0)
    assert only().state == "COMPLETED"

    tell(order_ref="A2", at=T0 + D)

    assert EntryRefused.objects.get().reason == "already_done"


@pytest.mark.parametrize(
    ("later", "runs"),
    [(timedelta(days=29, hours=23, minutes=59), 1), (timedelta(days=30), 2)],
)
def test_j5_again_thirty_days_after_the_end(later, runs):
    journey({"end": END}, policy="after", again_after=30 * D)
    tell(order_ref="A1")
    go(T0)

    tell(order_ref="A2", at=T0 + later)

    assert JourneyRun.objects.count() == runs


@pytest.mark.parametrize(
    ("state", "reason"),
    [("DRAFT", None), ("PAUSED", "paused"), ("SUNSET", None), ("STOPPED", None)],
)
def test_j12_only_a_live_journey_is_entered(state, reason):
    row = journey()
    Journey.objects.filter(pk=row.pk).update(state=state, paused_at=T0)

    tell(order_ref="A1")

    assert not JourneyRun.objects.exists()
    assert [one.reason for one in EntryRefused.objects.all()] == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("options", "told", "reason"),
    [
        ({"channels": ["shop"]}, {}, "channel"),
        ({"channels": []}, {}, "channel"),
        ({}, {"occurred_at": T0 - timedelta(hours=25)}, "late"),
    ],
)
def test_an_entry_that_is_refused_says_why(options, told, reason):
    row = journey(live=False)
    journey_states.go_live(row, now=T0)
    Journey.objects.filter(pk=row.pk).update(**options)

    tell(order_ref="A1", **told)

    assert not JourneyRun.objects.exists()
    assert EntryRefused.objects.get().reason == reason


def test_entries_of_a_buyer_are_capped_over_all_journeys():
    for _number in range(4):
        journey({"end": END})

    tell(order_ref="A1")

    assert JourneyRun.objects.count() == 3
    assert EntryRefused.objects.get().reason == "cap:all"


def test_a_transactional_journey_is_not_capped():
    for _number in range(4):
        journey({"end": END}, category="transactional")

    tell(order_ref="A1")

    assert JourneyRun.objects.count() == 4


def test_one_entry_a_day_unless_staff_say_otherwise():
    journey({"end": END}, cap_per_day=1)

    tell(order_ref="A1")
    tell(order_ref="A2", at=T0 + 23 * H)
    tell(order_ref="A3", at=T0 + 25 * H)

    assert [run.order_ref for run in JourneyRun.objects.order_by("pk")] == ["A1", "A3"]
    assert EntryRefused.objects.get().reason == "cap:journey"


def test_of_a_group_the_one_with_the_higher_priority_wins():
    low = journey(exclusion_group="after", priority=1)
    high = journey(exclusion_group="after", priority=2)

    tell(order_ref="A1")

    assert only().journey == high
    assert EntryRefused.objects.get().journey == low


def test_a_stronger_journey_may_end_the_others_of_its_group():
    weak = journey(exclusion_group="after", priority=1)
    tell(order_ref="A1")
    journey(exclusion_group="after", priority=2, exit_others=True, event="order.delivered")

    tell("order.delivered", order_ref="A1", at=T0 + H)

    assert JourneyRun.objects.get(journey=weak).end_reason == "superseded"
    assert JourneyRun.objects.filter(state="WAITING").count() == 1


def test_who_may_not_enter_ends_no_weaker_run():
    """A cap keeps the stronger journey away: the weaker one goes on."""
    weak = journey(exclusion_group="after", priority=1)
    tell(order_ref="A1")
    journey(
        {"end": END}, exclusion_group="after", priority=2, exit_others=True,
        event="order.delivered", cap_per_day=1,
    )  # fmt: skip
    strong = Journey.objects.get(event="order.delivered")
    first = JourneyRun.objects.get(journey=weak)
    JourneyRun.objects.create(
        journey=strong, version=strong.version, customer_key=KEY, dedupe_key="x", step="end",
        since=T0, entered_at=T0, ended_at=T0, state="COMPLETED", end_reason="completed",
    )  # fmt: skip

    tell("order.delivered", order_ref="A1", at=T0 + H)

    first.refresh_from_db()
    assert first.state == "WAITING"
    assert EntryRefused.objects.get().reason == "cap:journey"


def test_a_guest_who_became_an_account_has_entered_already():
    journey({"end": END}, policy="once")
    guest = "e:" + "0" * 64
    tell(order_ref="A1", key=guest)
    go(T0)
    linking.link(old=guest, new=KEY, now=T0 + H)

    tell(order_ref="A2", at=T0 + 2 * H)

    assert JourneyRun.objects.count() == 1
    assert EntryRefused.objects.get().reason == "already_done"


def test_a_control_group_goes_through_in_silence():
    journey(control=50)
    for number in range(40):
        tell(order_ref=f"A{number}", key=f"u:{number}")
    go(T0 + 4 * H)

    control = JourneyRun.objects.filter(is_control=True)
    assert 8 <= control.count() <= 32
    assert {one.reason for one in OutboxMessage.objects.filter(run__in=control)} == {"holdout"}
    assert not control.exclude(state="COMPLETED").exists()


def test_in_a_test_only_listed_buyers_enter_and_a_day_is_a_minute():
    wait = {"type": "wait", "for": "P1D", "until": "09:00", "to": {"next": "end"}}
    journey({"wait": wait, "end": END}, mode="TEST", testers=[KEY], compressed=True)

    tell(order_ref="A1")
    tell(order_ref="A2", key="u:stranger")

    assert only().due_at == T0 + timedelta(minutes=1)
