"""The sums per day: what each counts, on which day, and that Python comes to the same."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.measuring import a_campaign, lived
from upsell.engine.metrics import COLUMNS, Tally
from upsell.models import ChannelSettings, DailyMetric, Offer, OfferEvent, Progress
from upsell.services import metrics, purging

pytestmark = [pytest.mark.django_db, pytest.mark.databases]

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def _at_noon(settings):
    settings.UPSELL_CLOCK = "tests.services.test_metrics.now"
    settings.TIME_ZONE = "UTC"


def now() -> datetime:
    """The time of these tests."""
    return NOON


def told() -> dict[tuple, Tally]:
    """Return day, channel, moment, campaign, arm and currency to the sums of it."""
    return {
        (row.day, row.channel, row.moment, row.campaign.slug, row.arm, row.currency): Tally(
            **{name: getattr(row, name) for name in COLUMNS}
        )
        for row in DailyMetric.objects.select_related("campaign")
    }


def total() -> Tally:
    """Return all sums together."""
    return sum(told().values(), Tally())


SOLD = {"eligible": 1, "shown": 1, "accepted": 1, "sold": 1, "revenue_net": "20"}


@pytest.mark.parametrize(
    ("offer", "counted"),
    [
        pytest.param({"state": "CREATED", "shown": False}, {"eligible": 1}, id="made, not seen"),
        pytest.param({"state": "SUPPRESSED", "shown": False}, {"eligible": 1, "held_out": 1},
                     id="held out"),
        pytest.param({"state": "EXPIRED"}, {"eligible": 1, "shown": 1}, id="seen, no answer"),
        pytest.param({"state": "DECLINED"}, {"eligible": 1, "shown": 1, "declined": 1}, id="no"),
        pytest.param({"state": "FAILED"}, {"eligible": 1, "shown": 1}, id="the card was refused"),
        pytest.param({"state": "ACCEPTED", "line": "20.00", "discount": "5.00"},
                     {"eligible": 1, "shown": 1, "accepted": 1, "sold": 1, "revenue_net": "20",
                      "discount_net": "5", "discounted": 1},
                     id="a cross-sell of 20, sold for 5 less"),
        pytest.param({"state": "ACCEPTED", "cost": "12.00", "discount": "5.00"},
                     SOLD | {"discount_net": "5", "discounted": 1, "costed": 1,
                             "costed_net": "20", "costed_discount_net": "5", "cost_net": "12"},
                     id="what it cost is known"),
        pytest.param({"state": "ACCEPTED", "cost": "0"},
                     SOLD | {"costed": 1, "costed_net": "20"}, id="it cost nothing"),
        pytest.param({"state": "ACCEPTED", "line": "70.00", "credit": "50.00", "cost": "40.00",
                      "replaced_cost": "30.00"},
                     SOLD | {"costed": 1, "costed_net": "20", "cost_net": "10"},
                     id="the replaced one goes back to stock"),
        pytest.param({"state": "ACCEPTED", "cost": "40.00", "replaced_cost": None}, SOLD,
                     id="what the replaced one cost is not known"),
        pytest.param({"state": "ACCEPTED", "replaced_cost": "30.00"}, SOLD,
                     id="what the new one cost is not known"),
        pytest.param({"state": "REVERSED", "undo": True, "cost": "12.00"},
                     SOLD | {"returned_net": "20", "undone": 1, "costed": 1},
                     id="undone: the goods are back, and cost nothing"),
        pytest.param({"state": "REVERSED", "back_after": 30 * DAY, "cost": "12.00"},
                     SOLD | {"costed": 1, "costed_net": "20", "cost_net": "12"},
                     id="back too late to count"),
        pytest.param({"state": "ACCEPTED", "returned": "7.50", "cost": "12.00"},
                     SOLD | {"returned_net": "7.5", "refunded": 1, "costed": 1,
                             "costed_net": "12.5", "cost_net": "12"},
                     id="money back, the goods stay with the buyer"),
        pytest.param({"state": "ACCEPTED", "line": "70.00", "credit": "50.00"},
                     {"eligible": 1, "shown": 1, "accepted": 1, "sold": 1, "revenue_net": "20"},
                     id="an upgrade from 50 to 70 is 20"),
        pytest.param({"state": "REVERSED", "undo": True},
                     {"eligible": 1, "shown": 1, "accepted": 1, "sold": 1, "undone": 1,
                      "revenue_net": "20", "returned_net": "20"}, id="undone"),
        pytest.param({"state": "REVERSED", "back_after": 30 * DAY - MINUTE},
                     {"eligible": 1, "shown": 1, "accepted": 1, "sold": 1, "refunded": 1,
                      "revenue_net": "20", "returned_net": "20"}, id="cancelled on day 30"),
        pytest.param({"state": "REVERSED", "back_after": 30 * DAY},
                     {"eligible": 1, "shown": 1, "accepted": 1, "sold": 1, "revenue_net": "20"},
                     id="cancelled after 30 days"),
        pytest.param({"state": "ACCEPTED", "returned": "7.50"},
                     {"eligible": 1, "shown": 1, "accepted": 1, "sold": 1, "refunded": 1,
                      "revenue_net": "20", "returned_net": "7.5"}, id="a part came back"),
        pytest.param({"state": "ACCEPTED", "returned": "25.00"},
                     {"eligible": 1, "shown": 1, "accepted": 1, "sold": 1, "refunded": 1,
                      "revenue_net": "20", "returned_net": "20"},
                     id="with delivery more came back than the line"),
        pytest.param({"state": "ACCEPTED", "trial": True}, {}, id="a trial by staff"),
    ],
)  # fmt: skip
def test_an_offer_counts_as(offer, counted):
    lived(**offer, made=NOON - 40 * DAY)

    metrics.roll_up()

    money = {name: Decimal(value) for name, value in counted.items() if name.endswith("_net")}
    assert total() == Tally(**counted | money)


def test_x81_a_rate_is_of_all_units_not_a_mean_of_days():
    for day, (accepted, shown) in enumerate([(3, 10), (1, 9), (5, 15)]):
        for number in range(shown):
            state = "ACCEPTED" if number < accepted else "DECLINED"
            lived(state, made=NOON - day * DAY - timedelta(hours=1))
    metrics.roll_up()

    rate = total().acceptance_rate

    assert len(told()) == 3
    assert f"{rate.value:.1%}" == "26.5%"
    assert (round(rate.low, 4), round(rate.high, 4)) == (0.1460, 0.4312)


@pytest.mark.parametrize(
    ("zone", "at", "day"),
    [
        pytest.param("", datetime(2026, 11, 19, 23, 59, tzinfo=UTC), 19, id="of the settings"),
        pytest.param("Europe/Berlin", datetime(2026, 11, 18, 22, 59, tzinfo=UTC), 18, id="before"),
        pytest.param("Europe/Berlin", datetime(2026, 11, 18, 23, 0, tzinfo=UTC), 19, id="midnight"),
        pytest.param("Asia/Kathmandu", datetime(2026, 11, 18, 18, 15, tzinfo=UTC), 19,
                     id="a quarter of an hour off"),
        pytest.param("America/New_York", datetime(2026, 11, 19, 4, 59, tzinfo=UTC), 18, id="west"),
    ],
)  # fmt: skip
def test_a_day_is_one_of_the_sales_channel(zone, at, day):
    ChannelSettings.objects.create(channel="web", time_zone=zone)
    lived("DECLINED", made=at)

    metrics.roll_up()

    assert [key[0] for key in told()] == [date(2026, 11, day)]


def test_money_is_of_the_day_of_the_accept_and_the_funnel_of_the_day_it_was_made():
    lived("ACCEPTED", made=datetime(2026, 11, 18, 23, 59, tzinfo=UTC))

    metrics.roll_up()

    by_day = {key[0].day: sums for key, sums in told().items()}
    assert (by_day[18].accepted, by_day[18].sold) == (1, 0)
    assert (by_day[19].accepted, by_day[19].sold) == (0, 1)
    assert by_day[19].revenue_net == 20


def test_currencies_arms_moments_and_channels_stay_apart():
    for what in ({}, {"currency": "JPY"}, {"arm": "b"}, {"moment": "cart"}, {"channel": "fr"}):
        lived("ACCEPTED", made=NOON - DAY, **what)

    metrics.roll_up()

    assert sorted(key[1:] for key in told()) == [
        ("fr", "post_purchase", "add", "", "EUR"),
        ("web", "cart", "add", "", "EUR"),
        ("web", "post_purchase", "add", "", "EUR"),
        ("web", "post_purchase", "add", "", "JPY"),
        ("web", "post_purchase", "add", "b", "EUR"),
    ]


# ------------------------------------------------------------------ which days


def test_twice_is_the_same_as_once():
    for day in range(3):
        lived("ACCEPTED", made=NOON - day * DAY)
    metrics.roll_up()
    first = told()

    metrics.roll_up(anew=True)

    assert told() == first
    assert DailyMetric.objects.count() == len(first) == 3


def test_only_days_on_which_something_happened_are_made_anew(settings):
    offers = [lived("ACCEPTED", made=NOON - day * DAY) for day in range(1, 6)]
    assert metrics.roll_up() == 5
    settings.UPSELL_CLOCK = "tests.services.test_metrics.an_hour_later"
    assert metrics.roll_up() == 0
    before = dict(DailyMetric.objects.values_list("day", "pk"))
    OfferEvent.objects.create(offer=offers[3], kind="line_refunded", at=an_hour_later())
    offers[3].acceptance.returned_net = 4
    offers[3].acceptance.save()

    assert metrics.roll_up() == 1

    after = dict(DailyMetric.objects.values_list("day", "pk"))
    assert {day for day in before if before[day] != after[day]} == {(NOON - 4 * DAY).date()}
    assert told()[(NOON - 4 * DAY).date(), "web", "post_purchase", "add", "", "EUR"].refunded == 1


def an_hour_later() -> datetime:
    return NOON + timedelta(hours=1)


def test_a_round_has_an_end_and_the_next_one_goes_on():
    for day in range(5):
        lived("DECLINED", made=NOON - day * DAY - timedelta(hours=1))

    rounds = [metrics.roll_up(days=2) for _ in range(4)]

    assert rounds == [2, 2, 1, 0] or rounds == [2, 2, 1, 2]  # the last hours are looked at again
    assert total().declined == 5
    assert Progress.objects.get(name="rollup").cursor == NOON.isoformat()


def test_rounds_wait_five_minutes_unless_there_is_more_to_do():
    lived("DECLINED", made=NOON - DAY)

    assert metrics.roll_up_due() == 1
    assert metrics.roll_up_due() == 0


def test_what_may_be_purged_already_is_not_counted_again(settings):
    """One offer of a day is purged, the other is refunded late: the day keeps both."""
    gone, late = (lived("ACCEPTED", made=NOON - DAY) for _ in range(2))
    metrics.roll_up()
    settings.UPSELL_CLOCK = "tests.services.test_metrics.a_year_later"
    purging._remove_offers([gone.pk])
    OfferEvent.objects.create(offer=late, kind="refunded", at=a_year_later())

    assert metrics.roll_up() == 0

    assert total().sold == 2


def a_year_later() -> datetime:
    return NOON + 365 * DAY


def test_the_command_says_how_many_days_it_added_up(capsys):
    lived("ACCEPTED", made=NOON - DAY)

    call_command("upsell_rollup")
    call_command("upsell_rollup", "--anew")

    assert capsys.readouterr().out.splitlines() == ["days added up: 1", "days added up: 1"]


def test_sums_go_after_two_years_and_outlive_their_offers():
    lived("ACCEPTED", made=NOON - DAY)
    metrics.roll_up()

    kept = dict(purging.purge(now=NOON + 729 * DAY))
    gone = dict(purging.purge(now=NOON + 732 * DAY))

    assert (kept, gone) == ({"offers": 1}, {"sums": 1})


def test_statements_do_not_grow_with_offers():
    counts = []
    for rows in (1, 60):
        for number in range(rows):
            lived("ACCEPTED", made=NOON - DAY - number * MINUTE)
        with CaptureQueriesContext(connection) as asked:
            metrics.roll_up(anew=True)
        counts.append(len(asked))

    assert counts[0] == counts[1] <= 13


# ------------------------------------------------------------------ Python comes to the same

STATES = ["CREATED", "SHOWN", "ACCEPTED", "REVERSED", "DECLINED", "EXPIRED", "SUPPRESSED"]
ZONES = {"web": "Pacific/Auckland", "fr": "America/St_Johns", "jp": "Asia/Kathmandu"}
CENTS = st.integers(min_value=0, max_value=99_999).map(lambda cents: str(Decimal(cents) / 100))


@st.composite
def lives(draw):
    """One offer's life: anything that the tables allow."""
    state = draw(st.sampled_from(STATES))
    return {
        "state": state,
        "shown": state not in {"CREATED", "SUPPRESSED"},
        "made": NOON - timedelta(minutes=draw(st.integers(0, 60 * 24 * 50))),
        "after": timedelta(minutes=draw(st.integers(0, 3000))),
        "line": draw(CENTS),
        "credit": "0" if draw(st.booleans()) else draw(CENTS),
        "discount": draw(CENTS),
        "returned": draw(st.sampled_from(["0", "0", "3.33", "700"])),
        "back_after": timedelta(hours=draw(st.integers(0, 24 * 40))),
        "undo": draw(st.booleans()),
        "channel": draw(st.sampled_from(sorted(ZONES))),
        "moment": draw(st.sampled_from(["post_purchase", "cart"])),
        "arm": draw(st.sampled_from(["", "b"])),
        "currency": draw(st.sampled_from(["EUR", "JPY", "KWD"])),
        "trial": draw(st.sampled_from([False, False, False, True])),
        "cost": draw(st.none() | CENTS),
        "replaced_cost": draw(st.none() | CENTS),
        "of": draw(st.sampled_from(["one", "two"])),
    }


def recomputed() -> dict[tuple, Tally]:
    """Return the same sums by plain Python over every row."""
    found: dict[tuple, Tally] = defaultdict(Tally)
    for offer in Offer.objects.filter(trial=False).select_related("campaign"):
        zone = ZoneInfo(ZONES[offer.channel])

        def key(at, offer=offer, zone=zone):
            day = at.astimezone(zone).date()
            names = (offer.channel, offer.moment, offer.campaign.slug, offer.arm, offer.currency)
            return (day, *names)

        taken = offer.state in {"ACCEPTED", "REVERSED"}
        found[key(offer.created_at)] += Tally(
            eligible=1,
            held_out=int(offer.state == "SUPPRESSED"),
            shown=int(offer.first_shown_at is not None),
            accepted=int(taken),
            declined=int(offer.state == "DECLINED"),
        )
        if not taken:
            continue
        quote, done = offer.quotes.get(number=offer.quote_number), offer.acceptance
        added = quote.line_net - quote.credit_net
        whole = done.reversed_at is not None and done.reversed_at < done.at + 30 * DAY
        back = added if whole else min(done.returned_net, added)
        known = None not in (done.cost_net, done.replaced_cost_net)
        cost = 0 if whole or not known else done.cost_net - done.replaced_cost_net
        by_buyer = offer.events.filter(kind="reversed", reason="customer_undo").exists()
        found[key(offer.responded_at)] += Tally(
            sold=1,
            undone=int(whole and by_buyer),
            refunded=int((whole or done.returned_net > 0) and not by_buyer),
            revenue_net=added,
            returned_net=back,
            discount_net=offer.discount_net,
            discounted=int(offer.discount_net > 0),
            costed=int(known),
            costed_net=added - back if known else Decimal(0),
            costed_discount_net=offer.discount_net if known else Decimal(0),
            cost_net=Decimal(cost),
        )
    return dict(found)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(log=st.lists(lives(), max_size=25))
def test_the_sums_are_what_python_comes_to(log):
    with transaction.atomic():
        for channel, zone in ZONES.items():
            ChannelSettings.objects.create(channel=channel, time_zone=zone)
        for life in log:
            lived(**life | {"of": a_campaign(life["of"])})

        metrics.roll_up()

        assert told() == recomputed()
        transaction.set_rollback(True)  # the next example begins with empty tables
