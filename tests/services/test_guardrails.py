"""Alarms: when they trip, that few offers prove nothing, that each is announced once."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.measuring import a_campaign, lived
from upsell.models import (
    Alarm,
    Campaign,
    DailyMetric,
    Decision,
    EventInbox,
    OrderFact,
    Progress,
)
from upsell.services import guardrails, running
from upsell.signals import guardrail_tripped

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
moved: list[timedelta] = []


def now() -> datetime:
    """The time of these tests; they move it by writing to ``moved``."""
    return NOON + sum(moved, timedelta())


@pytest.fixture(autouse=True)
def _clock(settings):
    settings.UPSELL_CLOCK = "tests.services.test_guardrails.now"
    settings.TIME_ZONE = "UTC"
    moved.clear()


@pytest.fixture
def tea() -> Campaign:
    """A campaign that went live just now: that it was never shown is no wonder yet."""
    row = a_campaign("tea")
    Campaign.objects.filter(pk=row.pk).update(edited_at=NOON)
    return row


@contextmanager
def heard():
    """Collect what is announced meanwhile."""
    told: list[tuple[str, str]] = []

    def hear(sender, guardrail, campaign_id, channel, at, **_kwargs):
        assert sender is Alarm
        told.append((str(guardrail), Campaign.objects.get(pk=campaign_id).slug))

    guardrail_tripped.connect(hear)
    try:
        yield told
    finally:
        guardrail_tripped.disconnect(hear)


def sums(of: Campaign, *, days_ago: int = 1, channel: str = "web", **counts: int) -> None:
    """Write a day's sums of a campaign."""
    day = (NOON - days_ago * DAY).date()
    DailyMetric.objects.update_or_create(
        day=day, channel=channel, moment="post_purchase", campaign=of, arm="", currency="EUR",
        defaults=counts,
    )  # fmt: skip


def orders(count: int, back: int, *, channel: str = "web", days_ago: int = 5) -> None:
    """Write mirrored orders, some of which came back: half refunded, half cancelled."""
    start = OrderFact.objects.count()
    OrderFact.objects.bulk_create(
        OrderFact(
            order_ref=f"o{start + number}", channel=channel, placed_at=NOON - days_ago * DAY,
            currency="EUR", net=10, refunded_net=1 if number < back and number % 2 else 0,
            cancelled=number < back and not number % 2,
        )
        for number in range(count)
    )  # fmt: skip


def decisions(count: int, *, channel: str = "web", at: datetime = NOON - HOUR, **more) -> None:
    Decision.objects.bulk_create(
        Decision(order_ref=f"{channel}-{at}-{number}", channel=channel, at=at, **more)
        for number in range(count)
    )


def tripped() -> dict[str, tuple]:
    guardrails.check(now=now())
    return {row.kind: (row.hits, row.n, row.base_hits, row.base_n) for row in Alarm.objects.all()}


# ------------------------------------------------------------------ when they trip


@pytest.mark.parametrize(
    ("sold", "back", "base", "alarm"),
    [
        pytest.param(3, 3, (1000, 0), False, id="three offers prove nothing"),
        pytest.param(29, 29, (1000, 0), False, id="nor do 29"),
        pytest.param(30, 15, (1000, 20), True, id="half of 30, against 2 %"),
        pytest.param(100, 3, (1000, 20), False, id="3 % against 2 %"),
        pytest.param(100, 12, (1000, 20), True, id="12 % against 2 %"),
        pytest.param(100, 2, (1000, 200), False, id="less than usual"),
        pytest.param(100, 50, (29, 0), False, id="too few orders to measure against"),
        pytest.param(100, 50, (0, 0), False, id="no mirror of the orders"),
    ],
)
def test_refunds_and_undos_above_those_of_other_orders(tea, sold, back, base, alarm):
    sums(tea, sold=sold, undone=back // 2, refunded=back - back // 2)
    orders(*base)

    told = tripped()

    assert told == ({"refunds": (back, sold, base[1], base[0])} if alarm else {})


def test_the_base_is_of_the_same_channels_and_without_orders_that_accepted(tea):
    orders(100, 2)
    orders(500, 500, channel="fr")
    orders(500, 500, days_ago=31)
    for row in OrderFact.objects.filter(
        channel="web", cancelled=True, placed_at__gt=NOON - 9 * DAY
    ):
        offer = lived("ACCEPTED", made=NOON - 5 * DAY, of=tea)
        type(offer).objects.filter(pk=offer.pk).update(order_ref=row.order_ref)
    sums(tea, sold=100, refunded=50)

    assert tripped() == {"refunds": (50, 100, 1, 99)}


@pytest.mark.parametrize(
    ("shown", "accepted", "alarm"),
    [
        pytest.param(3, 0, False, id="three offers prove nothing"),
        pytest.param(300, 0, False, id="300 without a yes may still be 2 %"),
        pytest.param(700, 0, True, id="700 without a yes are below 1 %"),
        pytest.param(3000, 15, True, id="a half per cent"),
        pytest.param(3000, 27, False, id="nearly one"),
        pytest.param(3000, 90, False, id="3 %"),
    ],
)
def test_acceptance_near_zero(tea, shown, accepted, alarm):
    sums(tea, shown=shown, accepted=accepted)

    assert tripped() == ({"acceptance": (accepted, shown, None, None)} if alarm else {})


@pytest.mark.parametrize(
    ("sold", "discounted", "alarm"),
    [
        pytest.param(3, 3, False, id="three offers prove nothing"),
        pytest.param(29, 29, False, id="nor do 29"),
        pytest.param(30, 30, True, id="all of 30"),
        pytest.param(100, 65, False, id="65 of 100 may be 60 %"),
        pytest.param(100, 75, True, id="75 of 100 are more"),
        pytest.param(100, 60, False, id="60 %"),
    ],
)
def test_more_than_60_percent_sold_with_a_discount(tea, sold, discounted, alarm):
    cup = a_campaign("cup")
    sums(cup, sold=sold - 1, discounted=discounted - 1)
    sums(tea, sold=1, discounted=1)
    sums(tea, sold=500, discounted=500, days_ago=30)

    told = tripped()

    assert told.get("discount") == ((discounted, sold, None, None) if alarm else None)
    if alarm:
        assert Alarm.objects.get(kind="discount").campaign == cup


@pytest.mark.parametrize(
    ("change", "seen", "orders_of", "alarm"),
    [
        pytest.param({}, False, {"web": 30}, True, id="30 orders, and not shown"),
        pytest.param({}, False, {"web": 3}, False, id="three orders prove nothing"),
        pytest.param({}, False, {"fr": 300}, False, id="orders elsewhere"),
        pytest.param({}, True, {"web": 300}, False, id="it was shown"),
        pytest.param({"edited_at": NOON - 2 * DAY}, False, {"web": 300}, False, id="just edited"),
        pytest.param({"valid_from": NOON - 2 * DAY}, False, {"web": 300}, False, id="just begun"),
        pytest.param({"valid_until": NOON - DAY}, False, {"web": 300}, False, id="over"),
        pytest.param({"status": "OFF"}, False, {"web": 300}, False, id="off"),
        pytest.param({"archived": True}, False, {"web": 300}, False, id="archived"),
        pytest.param({"moments": ["cart"]}, False, {"web": 300}, False, id="not after checkout"),
    ],
)
def test_live_for_days_and_never_shown(tea, change, seen, orders_of, alarm):
    Campaign.objects.filter(pk=tea.pk).update(**{"edited_at": NOON - 4 * DAY} | change)
    lived("SHOWN" if seen else "CREATED", made=NOON - 9 * DAY, of=tea, shown=seen)
    for channel, count in orders_of.items():
        decisions(count, channel=channel)
    decisions(50, at=NOON - 4 * DAY)

    told = tripped()

    assert told == ({"never_shown": (0, orders_of["web"], None, None)} if alarm else {})


def test_trials_by_staff_are_no_orders(tea):
    Campaign.objects.filter(pk=tea.pk).update(edited_at=NOON - 4 * DAY)
    decisions(100, trial=True)

    assert tripped() == {}


# ------------------------------------------------------------------ announced once


def test_an_alarm_is_announced_once_until_it_has_cleared(tea):
    with heard() as told:
        for discounted in (95, 90, 62, 55, 95):
            sums(tea, sold=100, discounted=discounted)
            guardrails.check(now=now())
            moved.append(HOUR)
            assert Alarm.objects.exists() is (discounted > 60)

    assert told == [("discount", "tea")] * 2


def test_what_goes_on_keeps_its_beginning_and_has_new_counts(tea):
    sums(tea, sold=100, discounted=95)
    guardrails.check(now=now())
    moved.append(HOUR)
    sums(tea, sold=200, discounted=150)
    guardrails.check(now=now())

    row = Alarm.objects.get()

    assert (row.hits, row.n, row.tripped_at, row.looked_at) == (150, 200, NOON, NOON + HOUR)


def test_a_campaign_that_is_switched_off_alarms_nobody(tea):
    sums(tea, shown=2000)
    guardrails.check(now=now())
    assert Alarm.objects.count() == 1

    Campaign.objects.update(status="OFF")
    guardrails.check(now=now())

    assert not Alarm.objects.exists()


def test_due_work_looks_once_an_hour(tea):
    sums(tea, sold=100, discounted=95)
    looked = []
    for minutes in (0, 30, 29, 1, 1):
        moved.append(timedelta(minutes=minutes))
        Alarm.objects.all().delete()
        looked.append(running.run_due()["alarms"])

    assert looked == [1, 0, 0, 1, 0]


def test_two_at_once_announce_it_once(tea):
    sums(tea, sold=100, discounted=95)
    Progress.objects.create(name=guardrails.NAME)
    both = threading.Barrier(2, timeout=5)

    def look():
        both.wait()
        try:
            guardrails.check_due()
        finally:
            connection.close()

    with heard() as told:
        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert told == [("discount", "tea")]


def test_statements_do_not_grow_with_campaigns():
    counts = []
    for rows in (1, 30):
        for number in range(rows):
            one = a_campaign(f"c{rows}-{number}")
            sums(one, sold=100, discounted=95, shown=5000, refunded=60)
        orders(100, 1)
        Alarm.objects.all().delete()
        with CaptureQueriesContext(connection) as asked:
            guardrails.check(now=now())
        counts.append(len([row for row in asked if "SAVEPOINT" not in row["sql"]]))

    assert Alarm.objects.filter(kind="refunds").count() == 31
    assert counts[0] == counts[1] <= 12, counts


# ------------------------------------------------------------------ checkouts


def checkouts(began: int, completed: int, *, days_ago: int) -> None:
    """So many buyers began a checkout, and the first of them completed it."""
    at = NOON - days_ago * DAY
    EventInbox.objects.bulk_create(
        EventInbox(
            source="HOST", event_id=f"{name}-{days_ago}-{buyer}", name=f"checkout.{name}",
            customer_key=f"u:{buyer}", occurred_at=at, received_at=at,
        )
        for name, count in (("started", began), ("completed", completed))
        for buyer in range(count)
    )  # fmt: skip


def earned(row: Campaign, amount: int, *, days_ago: int) -> None:
    day = (NOON - days_ago * DAY).date()
    DailyMetric.objects.create(
        day=day, campaign=row, channel="web", moment="post_purchase", currency="EUR",
        revenue_net=amount,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "now_", "money", "alarms"),
    [
        pytest.param((1_000, 700), (1_000, 600), (100, 200), ["checkout"], id="fewer, for more"),
        pytest.param((1_000, 700), (1_000, 600), (200, 100), [], id="fewer, and less money"),
        pytest.param((1_000, 700), (1_000, 690), (100, 200), [], id="hardly fewer"),
        pytest.param((1_000, 600), (1_000, 700), (100, 200), [], id="more of both"),
        pytest.param((20, 15), (20, 5), (100, 200), [], id="too few to say"),
        pytest.param((0, 0), (1_000, 600), (100, 200), [], id="nothing to measure against"),
    ],
)
def test_offers_that_cost_orders_are_told(tea, before, now_, money, alarms):
    for (began, completed), amount, days in ((before, money[0], 45), (now_, money[1], 5)):
        checkouts(began, completed, days_ago=days)
        earned(tea, amount, days_ago=days)

    with heard() as told:
        guardrails.check(now=NOON)

    assert [kind for kind, _slug in told] == alarms


def test_what_cannot_be_watched_says_which_event_is_missing(tea):
    assert guardrails.unwatched(now=NOON) == ["checkout.started"]

    checkouts(1, 0, days_ago=3)

    assert guardrails.unwatched(now=NOON) == []
