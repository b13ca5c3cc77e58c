"""Journeys 1.4, ``backfill``: past events begin runs, looked at first, so many a minute."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from example_shop.models import Order
from tests.factories import catalogue, order
from tests.flow.test_journey_races import at_once
from tests.services.journeys import END, T0, WAIT_3H, D, H, adds_up, go, journey, tell
from upsell.models import Backfill, EntryRefused, EventInbox, Journey, JourneyRun, OrderFact
from upsell.services import backfilling, journey_entering, journey_states, order_facts, running

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.usefixtures("addressed"),
]

STEPS = {"wait": {**WAIT_3H, "to": {"next": "end"}}, "end": END}
NOW = T0 + 30 * D
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _adds_up():
    yield
    adds_up()


def past(count: int, **options) -> None:
    """Let that many buyers have placed an order, an hour apart, before there was the journey."""
    for number in range(count):
        tell(order_ref=f"A{number}", key=f"u:{number}", at=T0 + number * H, **options)


def begin(row: Journey, *, per_minute: int = 100, since=T0, until=NOW) -> Backfill:
    return backfilling.start(row, since=since, until=until, per_minute=per_minute, now=NOW)


def look(row: Journey, *, since=T0, until=NOW) -> backfilling.Preview:
    return backfilling.preview(row, since=since, until=until, now=NOW)


def works(*, at=NOW) -> int:
    return backfilling.work_due(now=at)


def the() -> Backfill:
    return Backfill.objects.get()


# ------------------------------------------------------------------ who enters


def test_past_events_begin_runs_as_if_they_came_now():
    past(3)
    row = journey(STEPS)
    assert not JourneyRun.objects.exists()
    begin(row)

    assert works() == 3

    runs = JourneyRun.objects.order_by("pk")
    assert [run.order_ref for run in runs] == ["A0", "A1", "A2"]
    assert {(run.entered_at, run.due_at) for run in runs} == {(NOW, NOW + 3 * H)}
    assert runs[0].starter["at"] == T0.isoformat()
    one = the()
    assert (one.state, one.live, one.ended_at) == ("DONE", None, NOW)
    assert (one.total, one.looked_at, one.entered, one.refused) == (3, 3, 3, {})


def test_of_the_time_alone_that_was_said():
    past(5)

    begin(journey(STEPS), since=T0 + H, until=T0 + 3 * H)
    works()

    assert set(JourneyRun.objects.values_list("order_ref", flat=True)) == {"A1", "A2"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param({"channels": ["other"]}, "channel", id="another sales channel"),
        pytest.param(
            {"where": {"fact": "starter.channel", "op": "is", "value": "shop"}},
            "condition:starter.channel", id="its condition",
        ),
        pytest.param({"mode": "TEST", "testers": ["u:9"]}, "test", id="a test of others"),
    ],
)  # fmt: skip
def test_every_rule_of_entry_holds(options, reason):
    past(2)
    row = journey(STEPS, **options)

    assert look(row).refused == {reason: 2}
    begin(row)
    works()

    assert (the().entered, the().refused) == (0, {reason: 2})
    assert set(EntryRefused.objects.values_list("reason", flat=True)) == {reason}
    assert not JourneyRun.objects.exists()


def test_who_entered_by_the_event_itself_does_not_enter_again():
    row = journey(STEPS)
    past(2)
    JourneyRun.objects.filter(customer_key="u:1").delete()

    begin(row)
    works()

    assert (the().entered, the().refused) == (1, {"already_entered": 1})
    assert JourneyRun.objects.count() == 2


def test_caps_hold_among_those_that_are_let_in():
    for number in range(5):
        tell(order_ref=f"A{number}", at=T0 + number * H)
    row = journey(STEPS)

    assert (look(row).entered, look(row).refused) == (3, {"cap:all": 2})
    begin(row)
    works()

    assert (the().entered, the().refused) == (3, {"cap:all": 2})


def test_who_would_have_left_since_does_not_enter():
    past(2)
    tell("order.cancelled", order_ref="A1", key="u:1", at=T0 + D)
    tell("order.cancelled", order_ref="A0", key="u:0", at=T0 - D)
    matches = {
        "fact": "event.matches", "args": {"match_starter": "order_id"}, "op": "is", "value": True,
    }  # fmt: skip
    row = journey(STEPS, exits=[{"id": "gone", "event": "order.cancelled", "where": matches}])

    assert look(row).refused == {"exit:gone": 1}
    begin(row)
    works()

    assert (the().entered, the().refused) == (1, {"exit:gone": 1})
    assert JourneyRun.objects.get().customer_key == "u:0"


def test_a_service_that_has_begun_ends_the_run_at_once():
    past(1, service_at=(T0 + 2 * D).isoformat())
    begin(journey(STEPS))
    works()

    go(NOW)

    assert JourneyRun.objects.get().end_reason == "exit:service_started"


def test_nobody_is_let_in_without_a_key():
    past(2)
    EventInbox.objects.filter(customer_key="u:1").update(customer_key="")

    assert look(journey(STEPS)).events == 1


# ------------------------------------------------------------------ orders as the shop has them


@pytest.fixture
def placed():
    """Three orders that are mirrored; of the first alone an event was told."""
    products = catalogue()
    made = [order(products, email=f"emily{number}@example.org") for number in range(3)]
    order_facts.take(order_refs=[str(one.pk) for one in made])
    for number, one in enumerate(made):
        fact = OrderFact.objects.filter(order_ref=str(one.pk))
        fact.update(placed_at=T0 + number * H, customer_key=f"u:{number}")
    tell(order_ref=str(made[0].pk), key="u:0", event_id="told", at=T0)
    return made


def orders(row: Journey) -> Backfill:
    return backfilling.start(row, since=T0, until=NOW, per_minute=100, of="ORDERS", now=NOW)


def test_orders_of_which_nothing_was_told_begin_runs_too(placed):
    row = journey(STEPS)
    assert look(row).events == 1
    told = backfilling.preview(row, since=T0, until=NOW, of="ORDERS", now=NOW)
    assert (told.events, told.buyers, told.entered) == (3, 3, 3)
    orders(row)

    assert works() == 3

    refs = [str(one.pk) for one in placed]
    runs = JourneyRun.objects.order_by("pk")
    assert [run.order_ref for run in runs] == refs
    events = [run.starter["event"] for run in runs]
    assert events == ["HOST:told", f"SHOP:{refs[1]}:placed", f"SHOP:{refs[2]}:placed"]
    assert runs[1].starter["at"] == (T0 + H).isoformat()
    assert runs[1].starter["parameters"]["order_ref"] == refs[1]
    assert EventInbox.objects.count() == 1, "nothing is told that was not"


def test_an_order_that_is_no_more_begins_nothing(placed):
    Order.objects.filter(pk=placed[1].pk).update(cancelled=True)
    Order.objects.filter(pk=placed[2].pk).delete()

    orders(journey(STEPS))
    works()

    assert (the().entered, the().refused) == (1, {"order_cancelled": 1, "order_gone": 1})


def test_who_entered_by_the_event_does_not_enter_by_the_order(placed):
    row = journey(STEPS, policy="always", cap_per_day=0)
    begin(row)
    works()

    orders(row)
    works(at=NOW + MINUTE)

    last = Backfill.objects.latest("pk")
    assert (last.entered, last.refused) == (2, {"already_entered": 1})


def test_orders_are_for_journeys_that_begin_with_one(placed):
    with pytest.raises(journey_states.NotNow, match=r"begins with cart\.added"):
        orders(journey(STEPS, event="cart.added"))


# ------------------------------------------------------------------ the look before


def test_a_look_says_who_would_enter_and_leaves_nothing_behind():
    past(3)
    tell(order_ref="A9", key="u:0", at=T0 + D)
    row = journey(STEPS, policy="once")

    told = look(row)

    assert (told.events, told.buyers, told.looked_at) == (4, 3, 4)
    assert (told.entered, told.refused) == (3, {"already_done": 1})
    assert not JourneyRun.objects.exists()
    assert not EntryRefused.objects.exists()
    assert not Backfill.objects.exists()


def test_a_look_at_very_many_says_how_many_it_tried(monkeypatch):
    past(4)
    monkeypatch.setattr(backfilling, "LOOKED_AT", 3)

    told = look(journey(STEPS))

    assert (told.events, told.looked_at, told.entered) == (4, 3, 3)


# ------------------------------------------------------------------ so many a minute


def test_so_many_are_looked_at_in_a_minute_and_no_more():
    past(5)
    begin(journey(STEPS), per_minute=2)

    done = [works(at=NOW + second * timedelta(seconds=1)) for second in (0, 1, 59, 60, 61, 120)]

    assert done == [2, 0, 0, 2, 0, 1]
    assert (the().state, the().looked_at) == ("DONE", 5)


def test_an_idle_round_costs_one_statement():
    with CaptureQueriesContext(connection) as told:
        assert works() == 0

    assert len(told) == 1


def test_a_process_that_dies_lets_nobody_in_twice_and_leaves_nobody_out(monkeypatch):
    past(4)
    begin(journey(STEPS))
    begins, seen = journey_entering._begin, []

    def dies(row, one, *, now):
        begins(row, one, now=now)
        seen.append(row.pk)
        if len(seen) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(journey_entering, "_begin", dies)
    with pytest.raises(KeyboardInterrupt):
        works()
    monkeypatch.setattr(journey_entering, "_begin", begins)
    assert (the().state, the().looked_at, JourneyRun.objects.count()) == ("RUNNING", 2, 2)

    assert works(at=NOW + MINUTE) == 2

    assert (the().state, the().entered) == ("DONE", 4)
    assert JourneyRun.objects.count() == 4


def test_a_shop_that_cannot_be_asked_is_asked_again_and_then_left_out(monkeypatch):
    past(2)
    begin(journey(STEPS))
    asks = journey_entering.candidate

    def fails(journey, row, *, now):
        if row.customer_key == "u:0":
            raise RuntimeError("the shop is down")
        return asks(journey, row, now=now)

    monkeypatch.setattr(journey_entering, "candidate", fails)
    done = [works(at=NOW + minute * MINUTE) for minute in range(6)]

    assert done == [0, 0, 0, 0, 2, 0]
    assert (the().entered, the().refused, the().state) == (1, {"error": 1}, "DONE")


def test_a_pause_waits_and_what_is_over_ends_it():
    past(2)
    row = journey(STEPS)
    begin(row, per_minute=1)
    works()
    journey_states.pause(row, now=NOW)
    assert works(at=NOW + MINUTE) == 0
    assert the().state == "RUNNING"
    journey_states.resume(row, now=NOW + 2 * MINUTE)
    assert works(at=NOW + 2 * MINUTE) == 1
    Backfill.objects.all().delete()

    begin(row)
    journey_states.sunset(row, now=NOW)
    assert works() == 0

    assert (the().state, the().live) == ("STOPPED", None)


def test_stopping_lets_nobody_in_any_more():
    past(4)
    made = begin(journey(STEPS), per_minute=1)
    works()

    backfilling.stop(made.pk, now=NOW + MINUTE)

    assert works(at=NOW + MINUTE) == 0
    assert (the().state, the().entered, JourneyRun.objects.count()) == ("STOPPED", 1, 1)
    with pytest.raises(journey_states.NotNow, match="over already"):
        backfilling.stop(made.pk, now=NOW)


def test_due_work_lets_them_in():
    past(2)
    begin(journey(STEPS))

    assert running.run_due()["backfilled"] == 2
    assert the().entered == 2


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param({"since": NOW, "until": NOW}, "begins before it ends", id="no time"),
        pytest.param({"until": NOW + H}, "ends in the past", id="to come"),
        pytest.param({"since": NOW - 400 * D}, "365 days", id="too long"),
        pytest.param({"per_minute": 0}, "1 to 600", id="none a minute"),
        pytest.param({"per_minute": 601}, "1 to 600", id="too many a minute"),
    ],
)
def test_what_makes_no_sense_is_refused(options, told):
    with pytest.raises(journey_states.NotNow, match=told):
        begin(journey(STEPS), **options)

    assert not Backfill.objects.exists()


def test_only_a_live_journey_lets_anybody_in_and_one_at_a_time():
    with pytest.raises(journey_states.NotNow, match="only a live journey"):
        begin(journey(STEPS, live=False))
    row, other = journey(STEPS), journey(STEPS)
    begin(row)
    begin(other)

    with pytest.raises(journey_states.NotNow, match="under way already"):
        begin(row)

    assert Backfill.objects.count() == 2


# ------------------------------------------------------------------ many at once


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write at a time")
def test_four_workers_let_each_event_in_once():
    past(12)
    begin(journey(STEPS), per_minute=600)

    wrong = at_once(4, works)

    assert not wrong
    assert (the().looked_at, the().entered, the().state) == (12, 12, "DONE")
    assert JourneyRun.objects.count() == 12


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write at a time")
def test_a_worker_that_is_overtaken_stops_where_the_other_is():
    """The first one's minute is over while it still works: both walk, and no event counts twice."""
    past(12)
    begin(journey(STEPS), per_minute=600)
    minutes = iter(range(4))

    wrong = at_once(4, lambda: works(at=NOW + next(minutes) * MINUTE))

    assert not wrong
    assert (the().looked_at, the().entered) == (12, 12)
    assert JourneyRun.objects.count() == 12


def test_control_without_how_far_it_got_two_workers_count_an_event_twice(monkeypatch):
    """Each has read the same events: what the look at the locked row prevents."""
    past(3)
    made = begin(journey(STEPS, policy="always", cap_per_day=0))
    rows = list(backfilling._left(made))
    for row in rows:
        assert backfilling._let_in(made, row, now=NOW)
    stale = Backfill.objects.get()
    stale.reached_at, stale.reached_id = None, 0
    assert backfilling._let_in(stale, rows[0], now=NOW) is False
    assert the().looked_at == 3

    Backfill.objects.update(reached_at=None, reached_id=0)  # as if nobody had noted it
    assert backfilling._let_in(stale, rows[0], now=NOW) is True
    assert (the().looked_at, the().refused) == (4, {"already_entered": 1})
