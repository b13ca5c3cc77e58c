"""When more is bought: against plain Python over the same rows, on every database."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.measuring import a_campaign, lived
from upsell.models import (
    Campaign,
    CampaignTrigger,
    ChannelSettings,
    Offer,
    OrderFact,
    OrderLineFact,
)
from upsell.services import timing
from upsell.services.results import Asked

pytestmark = [pytest.mark.django_db, pytest.mark.databases]

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def _settings(settings):
    settings.TIME_ZONE = "UTC"


def bought(buyer: str, ago: timedelta, *lines: str, channel: str = "web", **options) -> OrderFact:
    """Write a mirrored order; a line is ``category`` or ``category/product``."""
    fact = OrderFact.objects.create(
        order_ref=f"o{OrderFact.objects.count()}", customer_key=buyer, channel=channel,
        placed_at=NOON - ago, currency="EUR", net=10, **options,
    )  # fmt: skip
    for line in lines:
        category, _, product = line.partition("/")
        OrderLineFact.objects.create(
            order_fact=fact, product_ref=product or category, category_ref=category, quantity=1,
            net=10, parent_ref=f"parent-{product}" if product else "",
        )  # fmt: skip
    return fact


def pairs(**options) -> dict[tuple[str, str], tuple]:
    return {
        (row.main, row.ancillary): (row.buyers, row.first_quarter, row.median, row.third_quarter)
        for row in timing.by_category(now=NOON, **options)
    }


# ------------------------------------------------------------------ how long after


@pytest.mark.parametrize(
    ("days", "quarters"),
    [
        pytest.param([1, 2, 3, 4], None, id="four buyers are too few"),
        pytest.param([3, 1, 5, 2, 4], (2, 3, 4), id="of five the second, third and fourth"),
        pytest.param([8, 7, 6, 5, 4, 3, 2, 1], (2, 4, 6), id="of eight"),
        pytest.param([1] * 9 + [300], (1, 1, 1), id="one late buyer moves nothing"),
    ],
)
def test_quartiles_are_the_nearest_rank(days, quarters):
    for number, each in enumerate(days):
        bought(f"u:{number}", 320 * DAY, "machines")
        bought(f"u:{number}", (320 - each) * DAY, "filters")

    told = pairs()

    wanted = {} if quarters is None else {
        ("machines", "filters"): (len(days), *(each * DAY for each in quarters))
    }  # fmt: skip
    assert told == wanted


@pytest.mark.parametrize(
    ("orders", "gap"),
    [
        pytest.param([(9, "machines"), (7, "filters")], 2, id="once each"),
        pytest.param([(9, "machines"), (7, "filters"), (5, "filters")], 2, id="the first later"),
        pytest.param([(9, "machines"), (8, "machines"), (7, "filters")], 2, id="from the first"),
        pytest.param([(9, "machines", "filters"), (6, "filters")], 3, id="together is not later"),
        pytest.param([(9, "filters"), (8, "machines"), (4, "filters")], 4, id="before is not"),
        pytest.param([(9, "machines"), (7, "machines")], None, id="the same category"),
        pytest.param([(400, "machines"), (7, "filters")], None, id="longer ago than is read"),
    ],
)
def test_a_buyer_counts_once(orders, gap):
    for number in range(5):
        for ago, *lines in orders:
            bought(f"u:{number}", ago * DAY, *lines)

    told = pairs().get(("machines", "filters"))

    assert told == (None if gap is None else (5, gap * DAY, gap * DAY, gap * DAY))


@pytest.mark.parametrize(
    ("buyer", "options"),
    [
        pytest.param("", {}, id="nobody's, or erased"),
        pytest.param("u:9", {"cancelled": True}, id="cancelled"),
    ],
)
def test_orders_that_are_no_purchase_of_somebody_do_not_count(buyer, options):
    for number in range(4):
        bought(f"u:{number}", 9 * DAY, "machines")
        bought(f"u:{number}", 8 * DAY, "filters")
    for _ in range(5):
        bought(buyer, 9 * DAY, "machines", **options)
        bought(buyer, 8 * DAY, "filters", **options)

    assert pairs() == {}


def test_channels_are_kept_apart():
    for number in range(5):
        bought(f"u:{number}", 9 * DAY, "machines", channel="fr")
        bought(f"u:{number}", 8 * DAY, "filters", channel="fr")

    assert len(pairs()) == len(pairs(channels={"fr"})) == 1
    assert pairs(channels={"web"}) == pairs(channels=set()) == {}


def test_the_most_frequent_pairs_come_first_and_there_is_an_end(monkeypatch):
    monkeypatch.setattr(timing, "PAIRS", 2)
    for category, buyers in (("a", 5), ("b", 7), ("c", 6)):
        for number in range(buyers):
            bought(f"u:{category}{number}", 9 * DAY, "machines")
            bought(f"u:{category}{number}", 8 * DAY, category)

    assert list(pairs()) == [("machines", "b"), ("machines", "c")]


def test_of_very_many_orders_a_part_is_followed(monkeypatch):
    for number in range(60):
        bought(f"u:{number}", 9 * DAY, "machines")
        bought(f"u:{number}", 8 * DAY, "filters", "extras")
    assert (timing.part(now=NOON), pairs()["machines", "filters"][0]) == ("", 60)

    monkeypatch.setattr(timing, "SAMPLE", 100)

    assert (timing.part(now=NOON), pairs()["machines", "filters"][0]) == ("7", 6)
    monkeypatch.setattr(timing, "SAMPLE", 12)
    assert timing.part(now=NOON) == "77"


@pytest.mark.parametrize(
    ("triggers", "campaign", "told"),
    [
        pytest.param([("PRODUCT", "m1")], {}, True, id="a product"),
        pytest.param([("PRODUCT", "parent-m1")], {}, True, id="its variants"),
        pytest.param([("CATEGORY", "machines")], {}, True, id="a category"),
        pytest.param([("BRAND", "x"), ("PRODUCT", "m1")], {}, True, id="what is known of it"),
        pytest.param([("BRAND", "x")], {}, None, id="a brand"),
        pytest.param([("ALWAYS", "")], {}, None, id="always"),
        pytest.param([("PRODUCT", "m2")], {}, False, id="another"),
        pytest.param([("PRODUCT", "m1")], {"product_ref": "f2"}, False, id="offers another"),
        pytest.param([("PRODUCT", "m1")],
                     {"offer_by": "MAP", "product_ref": "", "product_map": [["m1", "f1"]]}, True,
                     id="by a table"),
        pytest.param([("PRODUCT", "m1")], {"offer_by": "NEXT_MODEL", "product_ref": ""}, None,
                     id="the next model"),
    ],
)  # fmt: skip
def test_a_campaigns_product_after_its_trigger(triggers, campaign, told):
    row = a_campaign()
    Campaign.objects.filter(pk=row.pk).update(**{"product_ref": "f1"} | campaign)
    row.refresh_from_db()
    for kind, ref in triggers:
        CampaignTrigger.objects.create(campaign=row, kind=kind, ref=ref)
    for number in range(5):
        bought(f"u:{number}", 9 * DAY, "machines/m1")
        bought(f"u:{number}", 9 * DAY - (number + 1) * HOUR, "filters/f1")

    gap = timing.of_campaign(row, now=NOON)

    assert timing.can_be_told(row) is (told is not None)
    assert (gap is not None) is bool(told)
    if gap is not None:
        assert (gap.buyers, gap.first_quarter, gap.median) == (5, 2 * HOUR, 3 * HOUR)


CATEGORIES = ["a", "b", "c", ""]


def recomputed(orders) -> dict[tuple[str, str], tuple]:
    """Return the same gaps by plain Python over every order."""
    gaps = defaultdict(list)
    by_buyer = defaultdict(list)
    for buyer, ago, lines, cancelled in orders:
        if buyer and not cancelled:
            by_buyer[buyer].append((NOON - ago, set(lines) - {""}))
    for mine in by_buyer.values():
        for main in "abc":
            began = [at for at, lines in mine if main in lines and at >= NOON - timing.MEMORY]
            for other in set("abc") - {main}:
                later = [at for at, lines in mine if began and other in lines and at > min(began)]
                if later:
                    gaps[main, other].append(min(later) - min(began))
    return {
        pair: (
            len(found),
            *(sorted(found)[math.ceil(len(found) * at / 4) - 1] for at in (1, 2, 3)),
        )
        for pair, found in gaps.items()
        if len(found) >= timing.LEAST
    }


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    orders=st.lists(
        st.tuples(
            st.sampled_from(["u:1", "u:2", "u:3", "u:4", "u:5", "u:6", "u:7", ""]),
            st.integers(0, 30 * 24 * 60).map(lambda minutes: timedelta(minutes=minutes)),
            st.lists(st.sampled_from(CATEGORIES), max_size=3),
            st.sampled_from([False, False, False, True]),
        ),
        min_size=10,
        max_size=40,
    )
)
def test_gaps_are_what_python_comes_to(orders):
    with transaction.atomic():
        for buyer, ago, lines, cancelled in orders:
            bought(buyer, ago, *lines, cancelled=cancelled)

        assert pairs() == recomputed(orders)
        transaction.set_rollback(True)


# ------------------------------------------------------------------ when it is taken

WEEK = Asked(first=date(2026, 11, 14), last=date(2026, 11, 20))


def shown(state: str, at: datetime, **options) -> Offer:
    return lived(state, made=at, **options)


def placed(offer: Offer, before: timedelta) -> None:
    OrderFact.objects.create(
        order_ref=offer.order_ref, placed_at=offer.first_shown_at - before, currency="EUR", net=1
    )


@pytest.mark.parametrize(
    ("seconds", "place"),
    [
        pytest.param(-5, 0, id="clocks that differ"),
        pytest.param(59, 0, id="within a minute"),
        pytest.param(60, 1, id="a minute"),
        pytest.param(899, 2, id="a quarter of an hour"),
        pytest.param(3600, 4, id="an hour"),
        pytest.param(86_400, 5, id="a day"),
        pytest.param(None, timing.NOT_MIRRORED, id="not mirrored"),
    ],
)
def test_minutes_since_checkout(seconds, place):
    yes, no = (shown(state, NOON - HOUR) for state in ("ACCEPTED", "DECLINED"))
    shown("ACCEPTED", NOON - HOUR, moment="cart")
    shown("ACCEPTED", NOON - HOUR, trial=True)
    shown("CREATED", NOON - HOUR, shown=False)
    for offer in (yes, no):
        if seconds is not None:
            placed(offer, timedelta(seconds=seconds))

    told = timing.by_minutes(WEEK)

    counts = {at: (sums.shown, sums.accepted, sums.declined) for at, sums in told.items()}
    assert counts == {place: (2, 1, 1)}


@pytest.mark.parametrize(
    ("zone", "at", "hour"),
    [
        pytest.param("", "2026-11-20T12:59:59", 12, id="of the settings"),
        pytest.param("Europe/Berlin", "2026-11-20T12:59:59", 13, id="Berlin"),
        pytest.param("Asia/Kathmandu", "2026-11-20T12:14:59", 17, id="a quarter off"),
        pytest.param("Asia/Kathmandu", "2026-11-20T12:15:00", 18, id="a quarter on"),
        pytest.param("America/St_Johns", "2026-11-20T01:00:00", 21, id="the day before"),
        pytest.param("Pacific/Auckland", "2026-11-19T11:30:00", 0, id="the day after"),
        pytest.param("America/New_York", "2026-11-15T12:00:00", 7, id="behind"),
    ],
)
def test_an_hour_is_one_of_the_channels_day(zone, at, hour):
    if zone:
        ChannelSettings.objects.create(channel="web", time_zone=zone)
    shown("ACCEPTED", datetime.fromisoformat(at).replace(tzinfo=UTC))

    assert {at: sums.accepted for at, sums in timing.by_hour(WEEK).items()} == {hour: 1}


def test_clocks_that_change_within_the_days():
    ChannelSettings.objects.create(channel="", time_zone="Europe/Berlin")
    for instant in ("2026-10-24T22:30", "2026-10-25T00:59", "2026-10-25T01:00", "2026-10-26T12:00"):
        shown("DECLINED", datetime.fromisoformat(instant).replace(tzinfo=UTC))

    told = timing.by_hour(Asked(first=date(2026, 10, 1), last=date(2026, 11, 20)))

    assert {at: sums.shown for at, sums in told.items()} == {0: 1, 2: 2, 13: 1}


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    minutes=st.lists(st.tuples(st.integers(0, 60 * 24 * 80), st.booleans()), max_size=15),
    zone=st.sampled_from(["Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"]),
)
def test_hours_are_what_python_comes_to(minutes, zone):
    wanted: dict[int, int] = defaultdict(int)
    first, last = date(2026, 9, 5), date(2026, 11, 19)
    with transaction.atomic():
        ChannelSettings.objects.create(channel="web", time_zone=zone)
        for each, elsewhere in minutes:
            at = NOON - timedelta(minutes=each)
            shown("DECLINED", at, channel="fr" if elsewhere else "web")
            local = at.astimezone(UTC if elsewhere else ZoneInfo(zone))
            if first <= local.date() <= last:
                wanted[local.hour] += 1

        told = timing.by_hour(Asked(first=first, last=last))

        assert {at: sums.shown for at, sums in told.items()} == wanted
        transaction.set_rollback(True)


def test_statements_do_not_grow_with_rows():
    counts = []
    for rows in (5, 30):
        for number in range(rows):
            bought(f"u:{rows}-{number}", 9 * DAY, "machines", channel=f"c{number}")
            bought(f"u:{rows}-{number}", 8 * DAY, f"filters{number % 3}")
            offer = shown("ACCEPTED", NOON - number * HOUR, channel=f"c{number}")
            placed(offer, HOUR)
            ChannelSettings.objects.get_or_create(channel=f"c{number}", time_zone="Asia/Tokyo")
        with CaptureQueriesContext(connection) as asked:
            timing.by_category(now=NOON)
            timing.by_minutes(WEEK)
            timing.by_hour(WEEK)
        counts.append(len(asked))

    assert counts == [6, 6]
