"""Many workers on the same runs and messages: each step once, each message once (J22, F53, F56).

Each race has a control that takes one guard away and shows what it prevents.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection

from tests.factories import catalogue, order
from tests.flow.test_races import threaded
from tests.services.journeys import END, T0, H, journey, tell
from upsell.models import EntryRefused, EventInbox, JourneyRun, Listener, OutboxMessage, StepLog
from upsell.services import journey_entering, journey_hearing, journey_running, journey_sending

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.usefixtures("addressed"),
]

WAITS = {
    "first": {"type": "wait", "for": "PT3H", "to": {"next": "second"}},
    "second": {"type": "wait", "for": "PT3H", "to": {"next": "end"}},
    "end": END,
}
DUE = T0 + 3 * H


def runs(count: int) -> None:
    """Let that many buyers wait at the first step."""
    tell(order_ref="A0", key="u:0")
    first = JourneyRun.objects.get()
    JourneyRun.objects.bulk_create(
        JourneyRun(
            **{
                field.attname: getattr(first, field.attname)
                for field in JourneyRun._meta.concrete_fields
                if field.attname not in {"id", "customer_key", "dedupe_key"}
            },
            customer_key=f"u:{number}",
            dedupe_key=f"{number:064}",
        )
        for number in range(1, count)
    )


def at_once(count: int, work: Callable[[], object]) -> list[str]:
    """Let that many threads do the same; return what went wrong."""
    start, wrong = threading.Barrier(count, timeout=20), []

    def one() -> None:
        start.wait()
        try:
            work()
        except Exception as error:
            wrong.append(repr(error))

    for thread in [threaded(one) for _number in range(count)]:
        thread.join(120)
    return wrong


@pytest.mark.long
def test_j22_four_workers_move_a_thousand_runs_each_once():
    journey(WAITS)
    runs(1_000)

    at_once(4, lambda: journey_running.advance_due(now=DUE))
    journey_running.advance_due(now=DUE + timedelta(minutes=3))

    steps = Counter(StepLog.objects.values_list("run", "step"))
    assert len(steps) == 1_000
    assert set(steps.values()) == {1}
    assert set(JourneyRun.objects.values_list("state", "step", "seq")) == {("WAITING", "second", 1)}


def test_j22_control_without_the_claim_two_workers_take_the_same_runs(monkeypatch):
    """Both read what is due before either takes it: what the claim prevents."""
    journey(WAITS)
    runs(20)

    def unguarded():
        due = JourneyRun.objects.filter(state="WAITING", due_at__lte=DUE)
        return list(due.select_related("journey"))

    first, second = unguarded(), unguarded()

    assert [run.pk for run in first] == [run.pk for run in second]
    monkeypatch.setattr(
        journey_running, "_still_ours", lambda looks: {look.run.pk for look in looks}
    )
    assert journey_running.move(first, now=DUE) == 20
    assert journey_running.move(second, now=DUE) == 20
    assert StepLog.objects.filter(step="first").count() == 40, "each step twice"


def test_f53_five_workers_send_one_message_once():
    products = catalogue()
    placed = order(products, email="emily@example.org")
    journey()
    tell(order_ref=str(placed.pk))
    journey_running.advance_due(now=DUE)

    at_once(5, lambda: journey_sending.send_due(now=DUE))

    assert len(mail.outbox) == 1
    assert OutboxMessage.objects.get().state == "SENT"


def test_f53_control_without_the_claim_it_goes_twice(monkeypatch):
    products = catalogue()
    placed = order(products, email="emily@example.org")
    journey()
    tell(order_ref=str(placed.pk))
    journey_running.advance_due(now=DUE)
    # Two that have both passed the claim, and no last look that commits SENDING.
    monkeypatch.setattr(journey_sending, "_last_look", lambda message, now: True)
    for _worker in range(2):
        message = OutboxMessage.objects.select_related("run__journey", "template").get()
        journey_sending._hand_over(message, now=DUE)

    assert len(mail.outbox) == 2


def test_f56_two_beats_claim_each_due_run_once():
    journey(WAITS)
    runs(30)

    first = journey_running.claim(now=DUE)
    second = journey_running.claim(now=DUE)

    assert (len(first), len(second)) == (30, 0)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write at a time")
def test_an_event_told_fifty_times_at_once_begins_one_run():
    journey(WAITS)
    row = {
        "source": "HOST",
        "event_id": "one",
        "name": "order.placed",
        "customer_key": "u:1",
        "order_ref": "A1",
        "parameters": {"channel": "web"},
        "occurred_at": T0,
        "received_at": T0,
    }
    EventInbox.objects.create(**row)
    event = EventInbox.objects.get()

    wrong = at_once(10, lambda: journey_hearing.work_on(event.pk, now=T0))

    assert not wrong
    assert JourneyRun.objects.count() == 1


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write at a time")
def test_ten_events_at_once_pass_no_cap_of_entries():
    for _number in range(5):
        journey(WAITS)
    events = [
        EventInbox.objects.create(
            source="HOST",
            event_id=f"e{number}",
            name="order.placed",
            customer_key="u:1",
            order_ref=f"A{number}",
            parameters={"channel": "web"},
            occurred_at=T0,
            received_at=T0,
        )
        for number in range(10)
    ]
    left = [row.pk for row in events]

    wrong = at_once(10, lambda: journey_hearing.work_on(left.pop(), now=T0))

    assert not wrong
    assert JourneyRun.objects.count() == 3


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write at a time")
def test_an_exit_while_a_worker_looks_wins():
    """The worker has looked, and what it would write is not written: the run left meanwhile."""
    journey(WAITS, exits=[{"id": "gone", "event": "order.cancelled"}])
    tell(order_ref="A1")
    claimed = journey_running.claim(now=DUE)

    tell("order.cancelled", order_ref="A1", at=DUE)
    assert journey_running.move(claimed, now=DUE) == 0

    run = JourneyRun.objects.get()
    assert (run.state, run.end_reason, run.seq) == ("EXITED", "exit:gone", 0)
    assert not Listener.objects.exists()


# ------------------------------------------------------------------ where one is under way


def told_at_once(count: int) -> list[str]:
    """Let a buyer who is in it tell that many events at once; return what went wrong."""
    left = [
        EventInbox.objects.create(
            source="HOST",
            event_id=f"again{number}",
            name="order.placed",
            customer_key="u:1",
            order_ref="A1",
            parameters={"channel": "web", f"told_{number}": "yes"},
            occurred_at=T0,
            received_at=T0,
        ).pk
        for number in range(count)
    ]
    return at_once(count, lambda: journey_hearing.work_on(left.pop(), now=T0))


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write at a time")
def test_ten_events_at_once_restart_one_after_the_other():
    journey(WAITS, if_active="restart", category="transactional")
    tell(order_ref="A1", key="u:1")

    wrong = told_at_once(10)

    assert not wrong
    assert not EventInbox.objects.filter(processed_at=None).exists()
    assert JourneyRun.objects.filter(end_reason="superseded").count() == 10
    assert JourneyRun.objects.filter(state="WAITING").count() == 1
    assert not EntryRefused.objects.exists()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write at a time")
def test_ten_events_at_once_are_merged_and_none_is_lost():
    journey(WAITS, if_active="merge")
    tell(order_ref="A1", key="u:1")

    wrong = told_at_once(10)

    assert not wrong
    told = JourneyRun.objects.get().starter["parameters"]
    assert {name for name in told if name.startswith("told_")} == {
        f"told_{number}" for number in range(10)
    }


def two_first_events() -> list[str]:
    """Let a buyer who is not in it tell two events at once; return what went wrong."""
    left = [
        EventInbox.objects.create(
            source="HOST", event_id=f"first{number}", name="order.placed", customer_key="u:1",
            order_ref=f"B{number}", parameters={"channel": "web"}, occurred_at=T0, received_at=T0,
        ).pk
        for number in range(2)
    ]  # fmt: skip
    return at_once(2, lambda: journey_hearing.work_on(left.pop(), now=T0))


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write at a time")
def test_two_first_events_at_once_begin_and_restart():
    journey(WAITS, if_active="restart", category="transactional", concurrency="one")

    assert two_first_events() == []

    ends = JourneyRun.objects.order_by("end_reason").values_list("end_reason", flat=True)
    assert list(ends) == ["", "superseded"]
    assert not EventInbox.objects.filter(processed_at=None).exists()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write at a time")
def test_control_without_the_buyers_lock_neither_sees_the_others_run(monkeypatch):
    """Both find nothing under way and begin: the key of who is in it lets one of them in alone."""
    journey(WAITS, if_active="restart", category="transactional", concurrency="one")
    monkeypatch.setattr(journey_hearing, "lock_buyer", lambda key: None)
    both, begins = threading.Barrier(2, timeout=20), journey_entering._begin

    def begin(*args, **options):
        both.wait()
        return begins(*args, **options)

    monkeypatch.setattr(journey_entering, "_begin", begin)

    two_first_events()

    assert JourneyRun.objects.get().state == "WAITING"
    assert EventInbox.objects.filter(processed_at=None).count() == 1
