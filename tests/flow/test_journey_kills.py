"""SIGKILL of ``upsell_run`` at every step by which a journey's mail goes out (F50, F51).

A real process hands a real mail server a mail, and dies at a step. Time passes, the next process
does what is due, and the server has the mail once, or, where nobody can know, at most once.
"""

from __future__ import annotations

import signal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db.models import Count

from tests.factories import catalogue, order
from tests.flow import clock, faults, killed
from tests.flow.mailing import Post
from tests.flow.processes import Started, command
from tests.services.journeys import journey, message, tell, way
from upsell.models import Journey, JourneyRun, OutboxMessage, StepLog
from upsell.models.journey import ACTIVE, ENDED

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases, pytest.mark.long]

# What it does once runs move; and what becomes of the mail when it is killed before that, or after.
# Once: it is sent by the next one. Lost, taken: nobody knows, and the server has it not, or has it.
SEND = [
    ("write", "runs of the dead are given back", "once", "once"),
    ("commit", "the run is claimed", "once", "once"),
    ("commit", "the run stands at the mail, and its row is there", "once", "once"),
    ("write", "nothing of the dead is left", "once", "once"),
    ("commit", "no other run is due", "once", "once"),
    ("write", "the mail is claimed", "once", "once"),
    ("commit", "it is being sent", "once", "lost"),
    ("mail", "the mail server takes it", "lost", "taken"),
    ("commit", "it is sent, and the run may go on", "taken", "sent"),
]
ENDS = {
    # state of the message, mails on the server
    "once": ("SENT", 1),
    "lost": ("UNKNOWN", 0),
    "taken": ("UNKNOWN", 1),
    "sent": ("SENT", 1),
}
DEATHS = [
    pytest.param(number, outcome, id=f"{when} {what}")
    for number, (when, what, outcome) in enumerate(
        (
            (when, what, outcome)
            for _kind, what, *outcomes in SEND
            for when, outcome in zip(("before", "after"), outcomes, strict=True)
        ),
        start=1,
    )
]
STEPS = [f"{when} {kind}" for kind, *_ in SEND for when in ("before", "after")]


@pytest.fixture(autouse=True)
def _addressed(settings):
    settings.UPSELL_BASE_URL = "https://shop.example"


@pytest.fixture
def run(post: Post) -> JourneyRun:
    """A buyer whose mail is due now, and a first round that did all that is done once a day."""
    return due(1)[0]


def due(count: int) -> list[JourneyRun]:
    products = catalogue()
    journey(event="trial.started")
    for number in range(count):
        placed = order(products, placed_at=clock.NOON, email=f"buyer{number}@example.org")
        tell("trial.started", order_ref=str(placed.pk), key=f"u:{number}", at=clock.NOON)
    works()
    clock.set_to(minutes=180)
    return list(JourneyRun.objects.order_by("pk"))


def works() -> None:
    """Do what is due, in this process."""
    call_command("upsell_run", "--once", stdout=StringIO())


def dies(step: int, fault=faults.only_journeys) -> Started:
    """Let a process do it, and take the power away at a step."""
    died = command("upsell_run", "--once", deadly=step, fault=fault)
    assert died.ended() == -signal.SIGKILL, "it lived on: there is no such step"
    return died


def five_minutes() -> None:
    for _half in clock.half_minutes(minutes=5):
        works()


def adds_up() -> None:
    """J92, and a log without holes."""
    for row in Journey.objects.annotate(entered=Count("runs")):
        assert row.entered == (
            row.runs.filter(state__in=ACTIVE).count() + row.runs.filter(state__in=ENDED).count()
        )
    for run in JourneyRun.objects.all():
        numbers = StepLog.objects.filter(run=run).order_by("seq").values_list("seq", flat=True)
        assert list(numbers) == list(range(1, run.seq + 1))
    assert not OutboxMessage.objects.filter(state__in=["PENDING", "SENDING"]).exists()


@pytest.mark.parametrize(("step", "outcome"), DEATHS)
def test_f50_f51_killed(step, outcome, run, post):
    dies(step)

    five_minutes()

    row = message(run)
    assert (row.state, len(post.mails.taken)) == ENDS[outcome]
    assert max(post.mails.copies().values(), default=0) <= 1
    assert row.reserved_at is not None, "it counts for the caps, also where nobody knows"
    run.refresh_from_db()
    assert (run.state, way(run)) == ("COMPLETED", "wait:next mail:sent"), "the run goes on"
    adds_up()


def test_f51_until_the_lease_is_over_nobody_touches_it(run, post):
    """Who looks slow may be alive."""
    dies(STEPS.index("before mail") + 1)
    for minutes in (180.5, 181, 181.9):
        clock.set_to(minutes=minutes)
        works()
        assert message(run).state == "SENDING"

    clock.set_to(minutes=182)
    works()

    assert (message(run).state, message(run).reason) == ("UNKNOWN", "interrupted")


@pytest.mark.parametrize("which", [1, 3, 5])
def test_f51_of_five_mails_the_one_in_its_hands_is_not_known_and_the_rest_are_sent(which, post):
    runs = due(5)
    one = [f"{when} {kind}" for kind, *_ in SEND[5:] for when in ("before", "after")]
    # Each run stands at its mail by a commit of its own: those come before the first mail.
    first = 2 * (2 + 5 + 2)

    died = dies(first + (which - 1) * len(one) + one.index("after mail") + 1)
    assert died.steps[-1] == "after mail"
    five_minutes()

    states = [message(run).state for run in runs]
    assert states == ["UNKNOWN" if number == which else "SENT" for number in range(1, 6)]
    assert len(post.mails.taken) == 5
    assert set(post.mails.copies().values()) == {1}
    adds_up()


def test_f56_two_processes_at_once_send_it_once(run, post):
    """A beat that is doubled, as with two schedulers."""
    both = [Started(killed.command, "upsell_run", "--once") for _number in range(2)]

    assert [one.ended() for one in both] == [0, 0]

    assert (message(run).state, len(post.mails.taken)) == ("SENT", 1)


def test_a_process_that_nobody_kills_takes_exactly_these_steps(run, post):
    life = command("upsell_run", "--once", fault=faults.only_journeys)

    assert life.steps[: len(STEPS)] == STEPS
    assert "after mail" not in life.steps[len(STEPS) :]
    assert (message(run).state, len(post.mails.taken)) == ("SENT", 1)


def test_control_without_that_commit_it_is_sent_twice(run, post):
    """What the commit of SENDING is for: who dies with the mail taken leaves it to be sent."""
    fault = faults.nothing_is_committed_before_the_mail
    died = dies(STEPS.index("after mail") + 1 - 2, fault)  # without that commit
    assert died.steps[-1] == "after mail"
    assert (message(run).state, len(post.mails.taken)) == ("PENDING", 1)

    five_minutes()

    assert set(post.mails.copies().values()) == {2}
