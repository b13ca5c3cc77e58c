"""Cases of journeys 1.5 to 1.7: waits, checks, exits, goals, and what fails."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail

from tests.factories import catalogue, order
from tests.services.journeys import (
    END,
    MAIL,
    T0,
    D,
    H,
    adds_up,
    consent,
    go,
    journey,
    message,
    move,
    only,
    send,
    tell,
    template,
    way,
)
from upsell import clock
from upsell.models import (
    GoalHit,
    Journey,
    JourneyRun,
    StepLog,
)
from upsell.presenting import journey_letters
from upsell.queries.journeys import any_due
from upsell.services import (
    consenting,
    journey_hearing,
    journey_running,
    journey_states,
    templates,
)

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


# ------------------------------------------------------------------ waits and the clock


def test_three_hours_are_three_hours_and_not_a_second_less(placed):
    journey()
    tell(order_ref=str(placed.pk))

    assert move(T0 + 3 * H - timedelta(seconds=1)) == 0
    assert move(T0 + 3 * H) == 1
    assert way(only()) == "wait:next"


def test_j19_nothing_fires_early_by_a_workers_clock(monkeypatch):
    """The database's time decides; the process's is not asked."""
    journey({"wait": {"type": "wait", "for": "PT5M", "to": {"next": "end"}}, "end": END})
    tell(order_ref="A1")
    monkeypatch.setattr("upsell.clock.database_now", lambda: T0 + timedelta(minutes=1))
    monkeypatch.setattr("upsell.clock.now", lambda: T0 + timedelta(minutes=11))

    assert journey_running.advance_due() == 0


def test_nothing_due_is_one_statement(django_assert_num_queries):
    journey()
    tell(order_ref="A1")

    with django_assert_num_queries(1):
        assert move(T0 + 3 * H - timedelta(microseconds=1)) == 0


def test_what_a_dead_process_had_in_its_hands_is_due(placed):
    """The one look of an idle worker sees a lease that ran out, and not one that lasts."""
    journey()
    tell(order_ref=str(placed.pk))
    journey_running.claim(now=T0 + 3 * H)
    ends = T0 + 3 * H + journey_running.LEASE

    assert move(ends - timedelta(microseconds=1)) == 0
    assert move(ends) == 1


def test_the_databases_own_time_is_asked_where_none_is_given():
    journey({"wait": {"type": "wait", "for": "PT5M", "to": {"next": "end"}}, "end": END})
    tell(order_ref="A1")
    soon = clock.database_now() + H

    JourneyRun.objects.update(due_at=soon)
    assert not any_due()
    JourneyRun.objects.update(due_at=soon - 2 * H)
    assert any_due()
    JourneyRun.objects.update(state="RUNNING", lease_until=soon)
    assert not any_due()
    JourneyRun.objects.update(lease_until=soon - 2 * H)
    assert any_due()


@pytest.mark.parametrize(
    ("how", "due"),
    [("shift", T0 + 5 * H), ("run_now", T0 + 3 * H)],
)
def test_j21_a_pause_is_added_or_is_not(how, due):
    row = journey()
    tell(order_ref="A1")
    journey_states.pause(row, now=T0 + H)
    assert move(T0 + 3 * H) == 0

    journey_states.resume(row, how, now=T0 + 3 * H)

    assert only().due_at == due


def test_j21_what_became_due_in_a_pause_may_be_dropped():
    row = journey()
    tell(order_ref="A1")
    journey_states.pause(row, now=T0 + H)

    journey_states.resume(row, "drop_stale", now=T0 + 4 * H)

    assert (only().state, only().end_reason) == ("DROPPED", "stale")


def test_exits_still_happen_in_a_pause():
    row = journey(exits=[{"id": "cancelled", "event": "order.cancelled"}])
    tell(order_ref="A1")
    journey_states.pause(row, now=T0 + H)

    tell("order.cancelled", order_ref="A1", at=T0 + 2 * H)

    assert only().end_reason == "exit:cancelled"


def test_j74_a_wait_that_ends_after_the_service_has_begun_is_not_started():
    journey()
    tell(order_ref="A1", service_at=(T0 + 2.5 * H).isoformat())
    go(T0)

    assert (only().end_reason, mail.outbox) == ("exit:service_started", [])


def test_a_mail_that_is_due_after_downtime_is_stale():
    journey()
    tell(order_ref="A1")

    go(T0 + 3 * D)

    assert way(only()) == "wait:next mail:skipped"
    assert message(only()).reason == "stale"


# ------------------------------------------------------------------ checks, exits, goals


def test_a_check_takes_the_first_branch_that_is_true(placed):
    channel = {"fact": "starter.channel", "op": "is", "value": "web"}
    check = {
        "type": "check",
        "branches": [{"id": "web", "when": channel}],
        "to": {"web": "end", "otherwise": "mail"},
    }
    journey({"check": check, "mail": MAIL, "end": END})
    tell(order_ref=str(placed.pk))
    go(T0)

    assert way(only()) == "check:web"


@pytest.mark.parametrize(("channel", "is_shown"), [("web", True), ("app", False)])
def test_a_block_with_a_condition_is_shown_to_whom_it_fits(placed, channel, is_shown):
    block = {
        "kind": "text",
        "text": "For the web",
        "show_if": {"fact": "starter.channel", "op": "is", "value": channel},
    }
    row = template()
    row.content["en"]["blocks"].append(block)
    row.save()
    templates.publish(row, user=None, now=T0)
    consent()
    journey()
    tell(order_ref=str(placed.pk))
    go(T0 + 3 * H)

    assert ("For the web" in mail.outbox[0].body) is is_shown


def test_stopping_ends_every_run_and_sends_nothing_more(placed):
    row = journey()
    tell(order_ref=str(placed.pk))
    move(T0 + 3 * H)
    assert message(only()).state == "PENDING"

    assert journey_states.stop(row, now=T0 + 3 * H) == 1
    go(T0 + 4 * H)

    assert (only().state, only().end_reason) == ("CANCELLED", "journey_stopped")
    assert (message(only()).state, mail.outbox) == ("CANCELLED", [])


def test_j39_an_exit_between_claim_and_hand_over_stops_the_mail(placed, monkeypatch):
    journey(exits=[{"id": "bought", "event": "order.placed"}])
    tell(order_ref=str(placed.pk))
    move(T0 + 3 * H)
    real = "upsell.presenting.journey_letters.letter"
    made = journey_letters.letter

    def bought_meanwhile(*args):
        tell(order_ref="A2", at=T0 + 3 * H)
        return made(*args)

    monkeypatch.setattr(real, bought_meanwhile)
    send(T0 + 3 * H)

    first = JourneyRun.objects.order_by("pk").first()
    assert first is not None
    assert first.end_reason == "exit:bought"
    assert (message(first).state, mail.outbox) == ("CANCELLED", [])


@pytest.mark.parametrize(("after", "hits"), [(timedelta(0), 1), (timedelta(seconds=1), 0)])
def test_j41_the_window_of_a_goal_ends_to_the_second(placed, after, hits):
    journey(goals=[{"id": "bought", "event": "order.placed", "within": "P5D"}])
    tell(order_ref=str(placed.pk))
    go(T0 + 3 * H)
    assert len(mail.outbox) == 1

    tell(order_ref="A2", at=T0 + 3 * H + 5 * D + after, total="20.00", currency="EUR")

    assert GoalHit.objects.count() == hits


def test_j45_the_same_goal_told_twice_is_one(placed):
    journey(goals=[{"id": "bought", "event": "checkout.completed", "within": "P5D"}])
    tell(order_ref=str(placed.pk))
    go(T0 + 3 * H)

    row = tell("checkout.completed", at=T0 + D, event_id="c1", total="20.00", currency="EUR")
    row.processed_at = None
    row.save()
    journey_hearing.work_on(row.pk, now=T0 + D)

    assert GoalHit.objects.get().amount == 20


def test_a_run_waits_for_an_event_of_the_same_order(placed):
    wait = {
        "type": "wait_for_event",
        "event": "order.delivered",
        "match_starter": ["order_ref"],
        "timeout": "P10D",
        "to": {"matched": "mail", "timeout": "end"},
    }
    journey({"wait": wait, "mail": MAIL, "end": END})
    tell(order_ref=str(placed.pk), order="x")
    go(T0)

    tell("order.delivered", order_ref="other", at=T0 + D)
    go(T0 + D)
    assert way(only()) == ""
    tell("order.delivered", order_ref=str(placed.pk), at=T0 + 2 * D)
    go(T0 + 2 * D)

    assert way(only()) == "wait:matched mail:sent"


def test_nobody_waits_for_an_event_for_ever():
    wait = {
        "type": "wait_for_event", "event": "order.delivered", "timeout": "P10D",
        "to": {"matched": "end", "timeout": "end"},
    }  # fmt: skip
    journey({"wait": wait, "end": END})
    tell(order_ref="A1")
    go(T0)
    go(T0 + 10 * D)

    assert way(only()) == "wait:timeout"


def test_a_journey_may_lead_into_another():
    journey(
        {"go": {"type": "goto_journey", "journey": "second", "to": {}}}, slug="first", live=False
    )
    journey(slug="second", event="never.told")
    journey_states.go_live(Journey.objects.get(slug="first"), now=T0)

    tell(order_ref="A1")
    go(T0)

    assert [run.journey.slug for run in JourneyRun.objects.order_by("pk")] == ["first", "second"]
    assert JourneyRun.objects.filter(state="COMPLETED").count() == 1


# ------------------------------------------------------------------ failing


def test_a_run_that_fails_is_tried_again_and_gets_stuck_and_takes_no_other_with_it(
    placed, monkeypatch
):
    journey()
    tell(order_ref=str(placed.pk), key="u:bad")
    tell(order_ref=str(placed.pk), key="u:good")
    real = consenting.may_write

    def fails_for_one(who, *args, **options):
        if who.customer_key == "u:bad":
            raise RuntimeError("the shop is down")
        return real(who, *args, **options)

    monkeypatch.setattr("upsell.services.consenting.may_write", fails_for_one)
    times = []
    at = T0 + 3 * H
    for _try in range(6):
        go(at)
        bad = JourneyRun.objects.get(customer_key="u:bad")
        if bad.due_at is None:
            break
        times.append(bad.due_at - at)
        at = bad.due_at

    minute = timedelta(minutes=1)
    assert times == [minute, 5 * minute, 30 * minute, 2 * H, 12 * H]
    bad = JourneyRun.objects.get(customer_key="u:bad")
    assert (bad.state, bad.step, bad.error) == ("STUCK", "mail", "RuntimeError")
    assert JourneyRun.objects.get(customer_key="u:good").state == "COMPLETED"

    journey_states.skip(bad, outcome="skipped", now=at)
    go(at)
    assert JourneyRun.objects.get(pk=bad.pk).state == "COMPLETED"


def test_what_a_dead_process_had_in_its_hands_is_given_back():
    journey()
    tell(order_ref="A1")
    claimed = journey_running.claim(now=T0 + 3 * H)
    assert [run.state for run in claimed] == ["RUNNING"]

    assert move(T0 + 3 * H + timedelta(minutes=1)) == 0
    assert move(T0 + 3 * H + timedelta(minutes=2)) >= 1

    assert StepLog.objects.filter(step="wait").count() == 1
