"""When a wait is over: real hours, the buyer's days, and the two odd nights of a year."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upsell.engine.journeys.waits import Span, at, due_at, span_of

BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
"""At 2 it is 3 on the first, and at 3 it is 2 on the second."""


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("PT3H", Span(clock=timedelta(hours=3))),
        ("P1D", Span(days=1)),
        ("P2DT1H30M", Span(days=2, clock=timedelta(hours=1, minutes=30))),
        ("PT90M", Span(clock=timedelta(minutes=90))),
        ("P", None),
        ("PT", None),
        ("P1W", None),
        ("3 hours", None),
        (3, None),
    ],
)
def test_a_span_is_days_and_clock(text, span):
    assert span_of(text) == span


@pytest.mark.parametrize(
    ("begun", "span", "options", "due"),
    [
        # 2026-03-02 is a Monday; Berlin is an hour ahead of UTC in winter, two in summer.
        pytest.param("2026-03-02T10:00", "PT3H", {}, "2026-03-02T13:00", id="three hours"),
        pytest.param("2026-03-02T10:00", "P1D", {}, "2026-03-03T10:00", id="a day"),
        pytest.param("2026-03-28T23:30", "PT3H", {}, "2026-03-29T02:30",
                     id="three real hours over the change"),
        pytest.param("2026-03-28T10:00", "P1D", {}, "2026-03-29T09:00",
                     id="the same time tomorrow, though the day is short"),
        pytest.param("2026-03-28T10:00", "PT24H", {}, "2026-03-29T10:00",
                     id="24 hours are 24 hours"),
        pytest.param("2026-03-02T10:00", "P1D", {"until": time(9)}, "2026-03-03T08:00",
                     id="next day at nine, local"),
        pytest.param("2026-03-02T10:00", "PT3H", {"until": time(9)}, "2026-03-03T08:00",
                     id="three hours, then the next nine"),
        pytest.param("2026-03-02T10:00", "PT3H", {"until": time(14)}, "2026-03-02T13:00",
                     id="that very minute"),
        pytest.param("2026-03-02T23:30", "P1D", {"until": time(9)}, "2026-03-04T08:00",
                     id="the day is the buyer's, who has Tuesday already"),
        pytest.param("2026-03-06T10:00", "P1D", {"until": time(9), "weekdays": (1, 2, 3, 4, 5)},
                     "2026-03-09T08:00", id="not at the weekend"),
        pytest.param("2026-03-06T10:00", "PT30H", {"weekdays": (1,)}, "2026-03-09T16:00",
                     id="on a Monday, at the same time"),
        pytest.param("2026-03-28T10:00", "P1D", {"until": time(2, 30)}, "2026-03-29T01:00",
                     id="J15: 02:30 does not exist: 03:00"),
        pytest.param("2026-10-24T10:00", "P1D", {"until": time(2, 30)}, "2026-10-25T00:30",
                     id="J15: 02:30 twice: the first"),
    ],
)  # fmt: skip
def test_a_wait_is_over(begun, span, options, due):
    assert due_at(utc(begun), span_of(span), BERLIN, **options) == utc(due)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia"])
def test_an_hour_of_the_day_is_that_of_the_buyer(zone):
    there = due_at(utc("2026-06-01T12:00"), Span(days=2), ZoneInfo(zone), until=time(9))

    assert there.astimezone(ZoneInfo(zone)).time() == time(9)


def test_a_day_that_a_country_left_out_is_the_next_one():
    """Samoa had no 30 December 2011."""
    apia = ZoneInfo("Pacific/Apia")

    assert at(date(2011, 12, 30), time(9), apia).astimezone(apia).date() == date(2011, 12, 31)


begun = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
spans = st.builds(
    Span,
    days=st.integers(0, 40),
    clock=st.integers(1, 5_000).map(lambda minutes: timedelta(minutes=minutes)),
)
days = st.lists(st.integers(1, 7), unique=True).map(lambda found: tuple(sorted(found)))


@given(begun=begun, span=spans, until=st.none() | st.times().map(lambda t: t.replace(second=0)),
       weekdays=days)  # fmt: skip
def test_a_wait_never_ends_before_it_began_nor_a_week_too_late(begun, span, until, weekdays):
    due = due_at(begun, span, BERLIN, until=until, weekdays=weekdays)

    assert due > begun
    assert due - begun <= span.about + timedelta(days=8, hours=2)
    if weekdays:
        assert due.astimezone(BERLIN).isoweekday() in weekdays


@given(begun=begun, hours=st.integers(1, 100))
def test_hours_are_real_hours(begun, hours):
    assert due_at(begun, Span(clock=timedelta(hours=hours)), BERLIN) - begun == timedelta(
        hours=hours
    )
