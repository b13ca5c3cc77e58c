"""What health says of a shop: one thing wrong at a time, on the edge of its limit."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import models
from django.utils import timezone

from tests.factories import campaign, catalogue, order
from tests.services.journeys import T0, H, journey, move, tell
from tests.standing import offer_in
from tests.tables import unchanged
from upsell.models import (
    Attempt,
    GatewayEvent,
    GatewayHealth,
    Heartbeat,
    JourneyRun,
    Offer,
    OfferEvent,
    OutboxMessage,
    Refund,
)
from upsell.services import health, journey_states, limiting, recording, running

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.usefixtures("addressed"),
]

SECOND = timedelta(seconds=1)


@pytest.fixture
def products():
    made = catalogue()
    campaign(made["CA"])
    return made


@pytest.fixture
def now() -> datetime:
    return timezone.now() + timedelta(days=1)


def raw(model: type[models.Model], **values: object) -> None:
    """Change rows as no code of ours would."""
    models.QuerySet(model).update(**values)


def measured(name: str, now: datetime, **options) -> health.Measure:
    return {row.name: row for row in health.read(now=now, **options)}[name]


def test_a_shop_that_never_sold_is_fine_but_for_the_loop_that_nobody_saw(now):
    told = health.read(now=now)

    assert [row.name for row in told] == list(health.LIMITS)
    assert [row.name for row in told if not row.fine] == ["due_work"]
    assert {row.count for row in told} == {0, None}


# ------------------------------------------------------------------ one thing wrong at a time


def charging(products, since: datetime) -> dict:
    offer = offer_in("ACCEPTING", products)
    raw(Attempt, started_at=since)
    return {"attempt": Attempt.objects.get().pk, "offer": offer.pk, "state": "STARTED"}


def at_the_bank(products, since: datetime) -> dict:
    offer = offer_in("ACTION_REQUIRED", products)
    raw(Attempt, started_at=since - timedelta(minutes=15))
    raw(Offer, action_expires_at=since)
    return {"attempt": Attempt.objects.get().pk, "offer": offer.pk, "state": "ACTION_REQUIRED"}


def to_be_told(products, since: datetime) -> dict:
    offer = offer_in("ACCEPTED", products)
    raw(OutboxMessage, created_at=since)
    message = OutboxMessage.objects.get()
    return {"message": message.pk, "offer": offer.pk, "kind": "CONFIRMATION"}


def given_back(products, since: datetime) -> dict:
    offer = offer_in("REVERSED", products)
    raw(Refund, state="PENDING", created_at=since)
    return {"refund": Refund.objects.get().pk, "offer": offer.pk}


def parked(products, since: datetime) -> dict:
    row = GatewayEvent.objects.create(
        gateway="card", event_id="evt_1", key="ups-of-nobody", received_at=since
    )
    return {"report": row.pk, "gateway": "card"}


def last_seen(products, since: datetime) -> dict:
    Heartbeat.objects.create(name=running.LOOP, at=since)
    return {"seen_at": since}


def late_letter(products, since: datetime) -> dict:
    message = letter(products)
    raw(OutboxMessage, not_before=since)
    run = JourneyRun.objects.get()
    return {"message": message.pk, "run": run.pk, "journey": run.journey.slug}


def letter(products) -> OutboxMessage:
    """A message that a journey has to say."""
    journey()
    tell(order_ref=str(order(products, email="emily@example.org").pk))
    move(T0 + 3 * H)
    return OutboxMessage.objects.get()


Begin = Callable[..., dict]
AGED: dict[str, tuple[str, Begin]] = {
    "an answer that does not come": ("stuck_attempt", charging),
    "a buyer who left the bank": ("stuck_attempt", at_the_bank),
    "a mail that does not leave": ("outbox", to_be_told),
    "a refund without an answer": ("refund", given_back),
    "a report on a key that nobody has": ("parked_report", parked),
    "a loop that stopped": ("due_work", last_seen),
    "a letter of a journey that does not leave": ("overdue_letter", late_letter),
}


@pytest.mark.parametrize("what", AGED)
@pytest.mark.parametrize(("late", "fine"), [(0, True), (1, False)], ids=["at the limit", "past"])
def test_age(what, late, fine, products, now):
    name, begin = AGED[what]
    limit = health.LIMITS[name]
    since = (now - limit - late * SECOND).replace(microsecond=0)
    facts = begin(products, since)

    told = measured(name, since + limit + late * SECOND)

    assert told.fine is fine
    assert told.age == limit + late * SECOND
    assert told.facts == facts


def test_a_buyer_at_the_bank_is_not_stuck(products):
    offer_in("ACTION_REQUIRED", products)

    told = measured("stuck_attempt", timezone.now() + timedelta(minutes=14))

    assert (told.count, told.age, told.fine) == (1, timedelta(0), True)


def test_what_waits_for_staff_is_counted_there_alone(products, now):
    offer = offer_in("NEEDS_ATTENTION", products)

    told = measured("needs_attention", now)

    assert (told.count, told.fine, told.facts) == (1, False, {"offer": offer.pk})
    assert timedelta(hours=23) < told.age < timedelta(hours=25)
    assert measured("stuck_attempt", now).count == 0


def test_a_provider_that_is_left_alone(products, now):
    GatewayHealth.objects.create(gateway="card", failures=5, open_until=now + SECOND)

    told = measured("breaker", now)
    later = measured("breaker", now + SECOND)

    assert (told.count, told.fine) == (1, False)
    assert told.facts["gateways"]["card"] == {
        "open": True, "open_until": now + SECOND, "failures": 5,
    }  # fmt: skip
    assert told.facts["gateways"]["invoice"]["open"] is False
    assert (later.count, later.fine) == (0, True)


def test_lock_outs_are_counted_while_they_last_and_say_of_whom(products, now):
    offers = [offer_in("SHOWN", products) for _ in range(health.LIMITS["lock_out"] + 1)]
    wait = limiting.Wait(limit="ADDRESS", length=timedelta(hours=1))
    key = limiting.address_key("203.0.113.7")
    for offer in offers[1:]:
        for _ in range(3):
            limiting.note(offer, wait=wait, address=key, now=now)

    assert (measured("lock_out", now).count, measured("lock_out", now).fine) == (10, True)
    limiting.note(offers[0], wait=wait, address=key, now=now)
    assert (measured("lock_out", now).count, measured("lock_out", now).fine) == (11, False)
    assert measured("lock_out", now + timedelta(hours=1)).count == 0

    row = limiting.locked_out(now=now)[0]
    assert (row.offer_id, row.limit) == (offers[0].pk, "limit_address")
    assert row.until == now + timedelta(hours=1)
    assert row.buyer == offers[0].customer_key
    assert key.startswith(row.address)
    assert "203.0.113.7" not in str(row)


# ------------------------------------------------------------------ journeys


@pytest.mark.parametrize(
    ("late", "fine", "standing"),
    [
        pytest.param(timedelta(minutes=5), True, "fine", id="at five minutes"),
        pytest.param(timedelta(minutes=5, seconds=1), False, "degraded", id="past five"),
        pytest.param(timedelta(minutes=30), False, "degraded", id="at thirty"),
        pytest.param(timedelta(minutes=30, seconds=1), False, "failing", id="past thirty"),
    ],
)
@pytest.mark.parametrize("state", ["WAITING", "RUNNING"])
def test_j93_a_run_that_nobody_moves(late, fine, standing, state, now):
    row = journey()
    tell(order_ref="A1")
    raw(JourneyRun, due_at=now - late, state=state)

    told = measured("overdue_run", now)

    assert (told.count, told.age, told.fine) == (1, late, fine)
    run = JourneyRun.objects.get().pk
    assert told.facts == {"run": run, "journey": row.slug, "standing": standing}


def test_a_run_of_a_paused_journey_is_not_late(now):
    row = journey()
    tell(order_ref="A1")
    journey_states.pause(row, now=T0)

    assert measured("overdue_run", now).count == 0


def test_stuck_runs_are_counted_whatever_their_age(now):
    row = journey()
    for number in range(2):
        tell(order_ref=f"A{number}", key=f"u:{number}")
    raw(JourneyRun, state="STUCK", due_at=None)

    told = measured("stuck_run", now)

    assert (told.count, told.age, told.fine) == (2, None, False)
    assert told.facts == {"run": JourneyRun.objects.order_by("pk")[0].pk, "journey": row.slug}
    assert measured("overdue_run", now).count == 0


def test_letters_that_perhaps_arrived_are_counted_for_a_day(products, now):
    message = letter(products)
    copies = [
        OutboxMessage(key=f"copy {number}", kind="JOURNEY", not_before=now, created_at=now)
        for number in range(10)
    ]
    OutboxMessage.objects.bulk_create(copies)
    raw(OutboxMessage, state="UNKNOWN", created_at=now)
    day = timedelta(days=1)

    told = measured("unknown_letter", now)
    raw(OutboxMessage, created_at=now - day + SECOND)
    last = measured("unknown_letter", now)
    raw(OutboxMessage, created_at=now - day)

    assert (told.count, told.age, told.fine) == (11, None, False)
    assert told.facts["message"] == message.pk
    assert (last.count, measured("unknown_letter", now).count) == (11, 0)


def test_a_letter_that_waits_for_the_morning_is_no_mail_that_does_not_leave(products, now):
    letter(products)
    raw(OutboxMessage, not_before=now + SECOND, created_at=now - timedelta(hours=9))

    assert measured("outbox", now).count == 0
    assert measured("overdue_letter", now).count == 0
    assert measured("overdue_letter", now + SECOND).count == 1


# ------------------------------------------------------------------ whose, and at what cost


def test_staff_of_one_channel_are_told_of_its_offers_alone(products, now):
    charging(products, now - timedelta(hours=1))
    offer_in("NEEDS_ATTENTION", products)
    letter(products)
    raw(OutboxMessage, not_before=now)
    raw(JourneyRun, due_at=now)

    ours = health.as_json(health.read(now=now, channels={"web"}))
    theirs = health.as_json(health.read(now=now, channels={"elsewhere"}))

    for name in ("stuck_attempt", "needs_attention", "overdue_run", "overdue_letter"):
        assert (ours[name]["count"], theirs[name]["count"]) == (1, 0), name
        assert theirs[name].get("offer") is None


@pytest.mark.parametrize("count", [1, 4])
def test_health_takes_as_many_statements_for_many_and_writes_nothing(
    count, products, now, django_assert_max_num_queries
):
    for state in ("ACCEPTING", "ACCEPTED", "REVERSED", "NEEDS_ATTENTION") * count:
        offer_in(state, products)
    raw(Refund, state="PENDING")
    with unchanged(), django_assert_max_num_queries(20):
        health.read(now=now)


def test_the_loop_is_noted_at_most_once_a_minute(products, monkeypatch):
    noon = datetime(2026, 3, 2, 12, tzinfo=timezone.get_current_timezone())
    seen = []
    for seconds in (0, 5, 59, 60, 65):
        monkeypatch.setattr("upsell.clock.now", lambda at=seconds: noon + at * SECOND)
        running.beat()
        seen.append((Heartbeat.objects.get().at - noon).total_seconds())

    assert seen == [0, 0, 0, 60, 60]


def test_all_due_work_leaves_its_mark(products):
    running.run_due()

    assert measured("due_work", timezone.now()).fine


def test_the_audit_says_it_and_its_exit_status_stays_that_of_the_invariants(products):
    offer = offer_in("NEEDS_ATTENTION", products)
    out = io.StringIO()

    call_command("upsell_audit", "--json", stdout=out)  # raises where the status is 1

    told = json.loads(out.getvalue().splitlines()[-1])["health"]
    assert list(told) == list(health.LIMITS)
    assert told["needs_attention"] == {
        "fine": False, "count": 1, "offer": offer.pk,
        "age_seconds": told["needs_attention"]["age_seconds"],
    }  # fmt: skip
    assert told["due_work"] == {"fine": False, "count": None, "age_seconds": None, "seen_at": None}


def test_events_of_before_until_was_kept_are_no_lock_outs(products, now):
    offer = offer_in("SHOWN", products)
    recording.append([recording.event(offer, "locked_out", at=now, seconds="60")])

    assert limiting.locked_out(now=now) == []
    assert OfferEvent.objects.filter(kind="locked_out").exists()
