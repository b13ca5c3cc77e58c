"""The audit of journeys is silent about what is right, and names exactly what is wrong."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import models

from tests.factories import catalogue, order
from tests.services.journeys import T0, D, H, go, journey, move, tell
from upsell.models import JourneyRun, Listener, OutboxMessage, StepLog
from upsell.services import journey_auditing, journey_states

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.usefixtures("addressed"),
]

LATER = T0 + D


def raw(model: type[models.Model], **values: object) -> None:
    """Change rows as no code of ours would."""
    models.QuerySet(model).update(**values)


@pytest.fixture
def plan():
    """A journey with an exit and a goal, and a buyer who is in it."""
    row = journey(
        exits=[{"id": "gone", "event": "order.cancelled"}],
        goals=[{"id": "bought", "event": "order.placed"}],
    )
    placed = order(catalogue(), email="emily@example.org")
    tell(order_ref=str(placed.pk))
    return row


def leave(plan) -> None:
    """Let the buyer leave, with a message that waits."""
    move(T0 + 3 * H)
    tell("order.cancelled", order_ref=JourneyRun.objects.get().order_ref, at=T0 + 3 * H)


LIVES: dict[str, Callable[..., object]] = {
    "in it": lambda plan: None,
    "half way": lambda plan: move(T0 + 3 * H),
    "through": lambda plan: go(T0 + 3 * H),
    "left": leave,
    "stopped": lambda plan: journey_states.stop(plan, now=T0 + H),
}


@pytest.mark.parametrize("life", LIVES)
def test_nothing_is_wrong_with_a_run(life, plan):
    LIVES[life](plan)

    assert journey_auditing.whole(now=LATER) == []


def no_reason(plan) -> None:
    go(T0 + 3 * H)
    raw(JourneyRun, end_reason="")


def a_hole(plan) -> None:
    go(T0 + 3 * H)
    StepLog.objects.filter(seq=2).update(seq=3)


def a_step_too_few(plan) -> None:
    go(T0 + 3 * H)
    StepLog.objects.order_by("-seq")[0].delete()


def from_nought(plan) -> None:
    go(T0 + 3 * H)
    for row in StepLog.objects.order_by("seq"):
        StepLog.objects.filter(pk=row.pk).update(seq=row.seq - 1)


def a_message_left(plan) -> None:
    leave(plan)
    raw(OutboxMessage, state="PENDING")


def still_listens(plan) -> None:
    leave(plan)
    run = JourneyRun.objects.get()
    Listener.objects.create(run=run, customer_key="u:1", event="order.refunded", purpose="EXIT")


WRONG: dict[str, tuple[str, Callable[..., None], str]] = {
    "an end without a reason": ("J92", no_reason, "1 entered, 0 active, 0 ended for a reason"),
    "a hole in the log": ("J22", a_hole, "2 up to number 3"),
    "a step that was not logged": ("J22", a_step_too_few, "1 up to number 1"),
    "a log that begins with nought": ("J22", from_nought, "2 up to number 1"),
    "a message of a run that ended": ("J39", a_message_left, "waits"),
    "a listener of a run that ended": ("J39", still_listens, "order.refunded (EXIT)"),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_audit_finds(what, plan):
    name, spoil, found = WRONG[what]
    spoil(plan)

    (breach,) = journey_auditing.whole(now=LATER)

    assert (breach.invariant, breach.offer_id) == (name, None)
    assert found in breach.found


def test_a_call_that_was_broken_off_has_its_last_look(plan):
    a_message_left(plan)
    ended = JourneyRun.objects.get().ended_at

    assert journey_auditing.whole(now=ended + timedelta(minutes=15)) == []
    assert journey_auditing.whole(now=ended + timedelta(minutes=15, seconds=1)) != []


@pytest.mark.parametrize("count", [1, 4])
def test_it_takes_as_many_statements_for_many(count, plan, django_assert_num_queries):
    for number in range(count):
        tell(order_ref=f"A{number}", key=f"u:{number}")

    with django_assert_num_queries(4):
        journey_auditing.whole(now=LATER)


def test_the_command_says_it_and_fails(plan):
    no_reason(plan)
    out = io.StringIO()

    with pytest.raises(SystemExit):
        call_command("upsell_audit", "--json", stdout=out)

    (breach,) = json.loads(out.getvalue().splitlines()[-1])["breaches"]
    assert (breach["invariant"], breach["offer"]) == ("J92", None)
    assert plan.slug in breach["wanted"]
