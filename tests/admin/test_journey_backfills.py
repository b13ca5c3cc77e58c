"""Staff let past events in: they look at who would enter, start it, see how far it is, stop it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from tests.admin.screens import said, url
from tests.services.journeys import END, WAIT_3H, journey, tell
from upsell.models import Backfill, Journey, JourneyRun
from upsell.services import backfilling

D = timedelta(days=1)
STEPS = {"wait": {**WAIT_3H, "to": {"next": "end"}}, "end": END}


@pytest.fixture
def row(shop) -> Journey:
    """Four orders of three buyers, of which one is too old to be asked for, and one was paused."""
    now = timezone.now()
    for number, days in enumerate((3, 2, 2)):
        tell(order_ref=f"A{number}", key=f"u:{number}", at=now - days * D)
    tell(order_ref="A9", key="u:0", at=now - 40 * D)
    tell(order_ref="A0", key="u:0", at=now - D)
    return journey(STEPS)


def form(**changes) -> dict[str, str]:
    day = timezone.localdate()
    data = {"since": str(day - 7 * D), "until": str(day), "per_minute": "2", "of": "EVENTS"}
    return data | changes


def press(client, row, **changes):
    return client.post(url("journey_backfill", row.pk), form(**changes))


def test_it_says_who_would_enter_and_starts_nothing(client, boss, row):
    page = press(client, row)

    told = page.context["preview"]
    assert (told["events"], told["buyers"], told["entered"]) == (4, 3, 3)
    assert told["refused"] == [("it was begun for that already", 1)]
    assert "Let them in" in page.content.decode()
    assert not Backfill.objects.exists()
    assert not JourneyRun.objects.exists()


def test_it_is_started_once_confirmed_and_shows_how_far_it_is(client, boss, row):
    done = press(client, row, confirmed="yes")
    assert done.url == url("journey_backfill", row.pk)
    assert Backfill.objects.get().created_by == boss
    assert not JourneyRun.objects.exists(), "due work lets them in"
    assert LogEntry.objects.get().object_id == str(row.pk)

    backfilling.work_due()
    page = client.get(done.url)

    assert said(page) == ["4 past events are let in, 2 a minute."]
    one = page.context["running"]["one"]
    assert (one.looked_at, one.total, one.entered) == (2, 4, 2)
    assert "Let them in" not in page.content.decode()
    press(client, row, confirmed="yes")
    assert Backfill.objects.count() == 1, "one at a time"


def test_it_can_be_stopped_and_what_was_is_listed(client, boss, row):
    press(client, row, confirmed="yes")
    backfilling.work_due()
    made = Backfill.objects.get()

    for pressed in (str(made.pk), "x", ""):
        client.post(url("journey_backfill", row.pk), {"stop": pressed})
    page = client.get(url("journey_backfill", row.pk))

    made.refresh_from_db()
    assert (made.state, made.entered) == ("STOPPED", 2)
    assert page.context["running"] is None
    assert [told["one"] for told in page.context["over"]] == [made]
    assert LogEntry.objects.count() == 2


def test_one_of_another_journey_is_not_stopped_here(client, boss, row):
    press(client, row, confirmed="yes")
    other = journey(STEPS)

    client.post(url("journey_backfill", other.pk), {"stop": str(Backfill.objects.get().pk)})

    assert Backfill.objects.get().state == "RUNNING"


def test_a_journey_of_orders_may_take_those_of_the_shop(client, boss, row):
    assert press(client, row, of="ORDERS").context["preview"]["events"] == 0
    press(client, row, of="ORDERS", confirmed="yes")

    assert Backfill.objects.get().of == "ORDERS"
    other = journey(STEPS, event="cart.added")
    assert "of" not in client.get(url("journey_backfill", other.pk)).context["form"].fields


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"since": ""}, "since", id="no day"),
        pytest.param({"since": "2026-13-01"}, "since", id="no such day"),
        pytest.param({"until": "2020-01-01"}, "until", id="ends before it begins"),
        pytest.param({"of": "ALL"}, "of", id="from elsewhere"),
        pytest.param({"per_minute": "0"}, "per_minute", id="none a minute"),
        pytest.param({"per_minute": "601"}, "per_minute", id="too many a minute"),
    ],
)
def test_what_makes_no_sense_is_said_at_its_field(client, boss, row, changes, field):
    page = press(client, row, confirmed="yes", **changes)

    assert field in page.context["form"].errors
    assert not Backfill.objects.exists()


def test_a_year_ago_and_more_is_refused_with_the_reason(client, boss, row):
    page = press(client, row, confirmed="yes", since="2020-01-01")

    assert page.context["problems"] == ["events of 365 days at most are let in"]
    assert page.context["form"].data["since"] == "2020-01-01"
    assert not Backfill.objects.exists()


def test_only_a_live_journey_is_asked_about(client, boss, shop):
    draft = journey(STEPS, live=False)

    page = client.get(url("journey_backfill", draft.pk)).content.decode()

    assert "Only a live journey lets anybody in." in page
    assert "Look at it first" not in page


@pytest.mark.parametrize(
    ("rights", "channels"),
    [
        pytest.param(("view_journey", "change_journey"), (), id="no right to run"),
        pytest.param(("view_journey", "run_journey"), ("web",), id="another channel beside"),
    ],
)
def test_who_may_not_starts_and_stops_nothing(rights, channels, client, signed_in, row):
    Journey.objects.update(channels=["web", "other"])
    made = backfilling.start(
        Journey.objects.get(), since=timezone.now() - D, until=timezone.now(), per_minute=1
    )
    signed_in(*rights, channels=channels)

    assert press(client, row).status_code == 403
    assert client.post(url("journey_backfill", row.pk), {"stop": made.pk}).status_code == 403
    made.refresh_from_db()
    assert made.state == "RUNNING"
