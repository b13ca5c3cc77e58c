"""Nothing ran for days, the clock leaps, or the night has an hour too many (F55, F57, J15).

Whole rounds of ``upsell_run``, against a real mail server.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db.models import Count

from example_shop.models import Product
from tests.factories import catalogue, order
from tests.flow import clock
from tests.flow.mailing import Post
from tests.services.journeys import END, MAIL, WAIT_3H, journey, tell, way
from upsell.models import ChannelSettings, Heartbeat, Journey, JourneyRun, OutboxMessage
from upsell.models.journey import ACTIVE, ENDED
from upsell.services import health, journey_holding, journey_running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

HOUR, DAY = 60, 24 * 60
DUE = 3 * HOUR
TWICE = {
    "wait": WAIT_3H,
    "mail": MAIL | {"to": {"sent": "again", "skipped": "again", "failed": "again"}},
    "again": {"type": "wait", "for": "P1D", "to": {"next": "second"}},
    "second": MAIL,
    "end": END,
}


@pytest.fixture(autouse=True)
def _holds(post: Post, settings) -> Iterator[None]:
    settings.UPSELL_BASE_URL = "https://shop.example"
    yield
    assert max(post.mails.copies().values(), default=0) <= 1, "no mail is there twice"
    for row in Journey.objects.annotate(entered=Count("runs")):
        assert row.entered == (
            row.runs.filter(state__in=ACTIVE).count() + row.runs.filter(state__in=ENDED).count()
        )


def works(*, minutes: float | None = None) -> None:
    """Do what is due; where a time is given, that long after noon."""
    if minutes is not None:
        clock.set_to(minutes=minutes)
    call_command("upsell_run", "--once", stdout=StringIO())


def enter(count: int) -> list[JourneyRun]:
    """Let buyers start their trial now."""
    products = {row.sku: row for row in Product.objects.all()} or catalogue()
    since = JourneyRun.objects.count()
    for number in range(since, since + count):
        placed = order(products, placed_at=clock.NOON, email=f"buyer{number}@example.org")
        key = f"u:{number}"
        tell("trial.started", order_ref=str(placed.pk), key=key, at=clock.told())
    return list(JourneyRun.objects.order_by("pk")[since:])


def states() -> dict[str, int]:
    rows = OutboxMessage.objects.values_list("state").annotate(n=Count("pk")).order_by("state")
    return dict(rows)


# ------------------------------------------------------------------ nothing ran


def test_f55_after_three_days_down_no_stale_mail_bursts_out(post):
    journey(TWICE, event="trial.started")
    runs = enter(4)
    works()

    works(minutes=3 * DAY)
    works()

    assert post.mails.taken == []
    assert {way(run) for run in runs} == {"wait:next mail:skipped"}
    assert set(OutboxMessage.objects.values_list("state", "reason")) == {("SKIPPED", "stale")}

    works(minutes=4 * DAY)
    works()
    assert len(post.mails.taken) == 4, "what comes after it comes in its time"


def test_f55_after_a_night_down_caps_hold(post):
    """Each buyer has two mails that are due at once, and neither is stale."""
    journey(event="trial.started")
    journey(event="trial.started")
    enter(3)
    works()

    works(minutes=DUE + 10 * HOUR)
    works()

    assert len(post.mails.taken) == 3, "one in sixteen hours to each"
    assert states() == {"SENT": 3, "SKIPPED": 3}
    assert set(OutboxMessage.objects.filter(state="SKIPPED").values_list("reason", flat=True)) == {
        "capped"
    }


# ------------------------------------------------------------------ the clock leaps


def test_f57_a_clock_that_leaps_a_year_and_back_sends_nothing_twice(post):
    journey(event="trial.started")
    enter(2)
    works()
    works(minutes=DUE)
    enter(2)
    works()
    assert len(post.mails.taken) == 2

    works(minutes=365 * DAY)
    works()
    assert len(post.mails.taken) == 2, "what was due is stale by then"
    assert states() == {"SENT": 2, "SKIPPED": 2}

    for minutes in (-DAY, -DAY + 1, 0, DUE, DUE + HOUR):
        works(minutes=minutes)
    assert len(post.mails.taken) == 2
    assert Heartbeat.objects.get().at == clock.told(), "health sees the loop by the clock of now"


def test_f57_after_the_clock_is_back_all_goes_on(post):
    journey(event="trial.started")
    works()
    works(minutes=365 * DAY)
    works(minutes=-DAY)
    enter(1)

    works(minutes=-DAY + DUE)
    works()

    assert (len(post.mails.taken), states()) == (1, {"SENT": 1})


@pytest.fixture
def few(monkeypatch):
    """Four are very many."""
    assert journey_holding.MOST == 1_000
    assert journey_holding.LEAP.total_seconds() == 3_600
    monkeypatch.setattr(journey_holding, "MOST", 3)


def held(at: float) -> health.Measure:
    now = clock.NOON + timedelta(minutes=at)
    return {row.name: row for row in health.read(now=now)}["sends_held"]


def test_f57_very_many_after_a_leap_wait_for_staff(post, few, caplog):
    journey(event="trial.started")
    enter(4)
    works()

    works(minutes=DUE)
    works(minutes=DUE + 1)
    works(minutes=DUE + 2 * HOUR)

    assert post.mails.taken == []
    assert states() == {"PENDING": 4}
    assert "4 messages of journeys are due at once" in caplog.text
    told = held(DUE + 2 * HOUR)
    assert (told.fine, told.count, told.age) == (False, 4, timedelta(hours=2))

    said = StringIO()
    call_command("upsell_run", "--send-held", stdout=said)
    assert said.getvalue() == "4 messages may go\n"
    works()
    assert len(post.mails.taken) == 4
    assert held(DUE + 2 * HOUR).fine


def test_f57_what_is_held_goes_stale_as_ever(post, few):
    journey(event="trial.started")
    runs = enter(4)
    works()
    works(minutes=DUE)

    works(minutes=DUE + DAY)
    call_command("upsell_run", "--send-held", stdout=StringIO())
    works()

    assert (post.mails.taken, states()) == ([], {"EXPIRED": 4})
    assert {way(run) for run in runs} == {"wait:next mail:failed"}


@pytest.mark.parametrize(
    ("count", "rounds"),
    [
        pytest.param(3, (0, DUE), id="as many as are fine after a leap"),
        pytest.param(4, (0, 50, 100, 150, DUE), id="very many, and no leap"),
        pytest.param(4, (0, 60, 120, DUE), id="an hour is no leap"),
    ],
)
def test_f57_else_nobody_waits(count, rounds, post, few):
    journey(event="trial.started")
    enter(count)

    for minutes in rounds:
        works(minutes=minutes)

    assert len(post.mails.taken) == count


# ------------------------------------------------------------------ the two nights


@pytest.mark.parametrize(
    ("entered", "due"),
    [
        pytest.param(
            datetime(2026, 3, 28, 1, 30, tzinfo=UTC),
            datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
            id="02:30 does not exist: 03:00",
        ),
        pytest.param(
            datetime(2026, 10, 24, 0, 30, tzinfo=UTC),
            datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
            id="02:30 comes twice: the first",
        ),
    ],
)
def test_j15_half_past_two_in_a_night_when_the_clock_is_changed(entered, due):
    ChannelSettings.objects.update_or_create(channel="web", defaults={"time_zone": "Europe/Berlin"})
    wait = {"type": "wait", "for": "P1D", "until": "02:30", "to": {"next": "end"}}
    journey({"wait": wait, "end": END}, event="trial.started")
    tell("trial.started", at=entered)

    run = JourneyRun.objects.get()
    assert (run.time_zone, run.due_at) == ("Europe/Berlin", due)
    assert journey_running.advance_due(now=due - timedelta(seconds=1)) == 0
    assert journey_running.advance_due(now=due) == 1
    assert journey_running.advance_due(now=due + timedelta(hours=1)) == 0, "once in the night"
    assert way(run) == "wait:next"
