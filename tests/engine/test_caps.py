"""How often and when: edges of spans, reservations to come, nights, and odd clocks."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from upsell.engine.caps import Cap, Told, best_medium, first_free, longest, quiet_until, score

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEFAULTS = (
    Cap(medium="email", most=1, within=16 * HOUR),
    Cap(medium="email", most=3, within=timedelta(days=7)),
    Cap(medium="sms", most=1, within=24 * HOUR),
    Cap(medium="*", most=5, within=timedelta(days=7)),
)


def sent(*told: str) -> list[tuple[str, datetime]]:
    """Read ``email -3`` as an e-mail three hours before T0, ``sms +2`` as an SMS to come."""
    rows = (one.split() for one in told)
    return [(medium, T0 + int(hours) * HOUR) for medium, hours in rows]


@pytest.mark.parametrize(
    ("times", "medium", "hours"),
    [
        pytest.param([], "email", 0, id="nothing yet"),
        pytest.param(["email 0"], "email", 16, id="J53: sent at 10:00, next at 02:00"),
        pytest.param(["email -15"], "email", 1, id="an hour is left"),
        pytest.param(["email -16"], "email", 0, id="at the instant it is free"),
        pytest.param(["email 0"], "sms", 0, id="another medium"),
        pytest.param(["sms -1"], "sms", 23, id="one SMS a day"),
        pytest.param(["email -100", "email -60", "email -20"], "email", 68, id="three in a week"),
        pytest.param(["email -168", "email -60", "email -20"], "email", 0, id="a week ago"),
        pytest.param(
            ["sms -150", "sms -120", "sms -90", "sms -60", "email -30"], "email", 18,
            id="five of all media",
        ),
        pytest.param(["push 0"] * 4, "push", 0, id="a medium without a cap of its own"),
        pytest.param(["push 0"] * 5, "push", 168, id="which all together have"),
        pytest.param(["email 0", "email +16"], "email", 32, id="behind what is reserved"),
        pytest.param(["email +5"], "email", 21, id="not just before what is reserved"),
    ],
)  # fmt: skip
def test_first_free(times, medium, hours) -> None:
    assert first_free(sent(*times), DEFAULTS, medium=medium, now=T0) == T0 + hours * HOUR


def test_what_is_free_breaks_no_cap_whatever_was_sent() -> None:
    """Fill each free instant: no span of any cap ever holds more than it allows."""
    times: list[tuple[str, datetime]] = []
    for number in range(60):
        medium = ["email", "sms", "push"][number % 3]
        free = first_free(times, DEFAULTS, medium=medium, now=T0 + number * HOUR)
        times.append((medium, free))

    for cap in DEFAULTS:
        own = sorted(when for by, when in times if cap.medium in {by, "*"})
        for first, later in zip(own, own[cap.most :], strict=False):
            assert later - first >= cap.within


def test_no_caps_are_no_limit() -> None:
    assert first_free(sent("email 0"), (), medium="email", now=T0) == T0
    assert longest(()) == timedelta(0)
    assert longest(DEFAULTS) == timedelta(days=7)


@pytest.mark.parametrize(("most", "within"), [(0, HOUR), (1, timedelta(0)), (-1, HOUR)])
def test_a_cap_that_lets_nothing_pass_is_none(most, within) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Cap(medium="email", most=most, within=within)


NIGHT = (time(21), time(9))


@pytest.mark.parametrize(
    ("hours", "zone", "now", "until"),
    [
        pytest.param(NIGHT, "UTC", "2026-03-02 20:59", "2026-03-02 20:59", id="a minute early"),
        pytest.param(NIGHT, "UTC", "2026-03-02 21:00", "2026-03-03 09:00", id="it begins"),
        pytest.param(NIGHT, "UTC", "2026-03-03 00:00", "2026-03-03 09:00", id="after midnight"),
        pytest.param(NIGHT, "UTC", "2026-03-03 08:59", "2026-03-03 09:00", id="the last minute"),
        pytest.param(NIGHT, "UTC", "2026-03-03 09:00", "2026-03-03 09:00", id="it is over"),
        pytest.param(
            NIGHT, "America/New_York", "2026-03-02 10:00", "2026-03-02 14:00", id="there it is 5"
        ),
        pytest.param(
            NIGHT, "Europe/Berlin", "2026-03-28 22:00", "2026-03-29 07:00", id="a short night"
        ),
        pytest.param(
            (time(22), time(2, 30)), "Europe/Berlin", "2026-03-28 22:00", "2026-03-29 01:00",
            id="an end that there is not",
        ),
        pytest.param(
            (time(12), time(14)), "UTC", "2026-03-02 13:00", "2026-03-02 14:00", id="at noon"
        ),
        pytest.param((time(9), time(9)), "UTC", "2026-03-02 13:00", "2026-03-02 13:00", id="never"),
        pytest.param(None, "UTC", "2026-03-02 23:00", "2026-03-02 23:00", id="e-mail"),
    ],
)  # fmt: skip
def test_quiet_until(hours, zone, now, until) -> None:
    told = datetime.fromisoformat(f"{now}+00:00")

    found = quiet_until(hours, ZoneInfo(zone), told)

    assert found == datetime.fromisoformat(f"{until}+00:00")


def test_quiet_hours_never_end_in_the_past() -> None:
    """At 02:15 for the second time the end, 02:30 for the first time, is an hour ago."""
    berlin, second = ZoneInfo("Europe/Berlin"), datetime(2026, 10, 25, 1, 15, tzinfo=UTC)

    assert quiet_until((time(22), time(2, 30)), berlin, second) >= second


@pytest.mark.parametrize(
    ("told", "mean", "wanted"),
    [
        pytest.param(Told(), None, "0.05", id="nothing is known"),
        pytest.param(Told(), "0.1", "0.1", id="the medium's mean"),
        pytest.param(Told(deliveries=1, clicks=1), "0.1", "0.142857", id="one is not a lot"),
        pytest.param(Told(deliveries=180, clicks=0), "0.1", "0.01", id="many are"),
    ],
)
def test_score(told, mean, wanted) -> None:
    found = score(told, mean=None if mean is None else Decimal(mean))

    assert round(found, 6) == Decimal(wanted)


KNOWN = {"sms": Told(deliveries=20, clicks=6)}
MEANS = {"email": Decimal("0.1"), "sms": Decimal("0.1")}


@pytest.mark.parametrize(
    ("media", "draw", "wanted"),
    [
        pytest.param(["email", "sms"], "1", "sms", id="the better one"),
        pytest.param(["push", "onsite"], "1", "push", id="of equals the first"),
        pytest.param(["email"], "1", "email", id="the only one"),
        pytest.param([], "1", "", id="none"),
        pytest.param(["email", "sms"], "0.0249", "email", id="explored: the first half"),
        pytest.param(["email", "sms"], "0.0499", "sms", id="the second"),
        pytest.param(["email", "sms"], "0.05", "sms", id="not explored"),
    ],
)
def test_best_medium(media, draw, wanted) -> None:
    assert best_medium(media, KNOWN, means=MEANS, draw=Decimal(draw)) == wanted
