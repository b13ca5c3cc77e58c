"""Results by who: frozen with the offer, and in sum what the roll-ups say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from example_shop.models import Order
from tests.factories import campaign, catalogue, order
from tests.measuring import a_campaign, lived
from tests.services.test_metrics import NOON, ZONES, lives
from tests.views.test_offer_page import thanks
from upsell.engine.traits import TRAITS
from upsell.models import ChannelSettings, Offer
from upsell.services import erasing, metrics, results, splits
from upsell.services.results import Asked

pytestmark = [pytest.mark.django_db, pytest.mark.databases]

DAY = timedelta(days=1)
WEEK = Asked(first=date(2026, 11, 14), last=date(2026, 11, 20))
PHONE = {
    "User-Agent": "Mozilla/5.0 (Linux; Android 10; K) Chrome/131.0.0.0 Mobile Safari/537.36",
    "Sec-CH-UA-Mobile": "?1",
    "Accept-Language": "de",
}


@pytest.fixture(autouse=True)
def _at_noon(settings):
    settings.UPSELL_CLOCK = "tests.services.test_metrics.now"
    settings.TIME_ZONE = "UTC"


def looked_at(placed: Order, **headers: str) -> Offer:
    """Return the offer of an order, made for the browser it was placed in."""
    client = Client()
    session = client.session
    session["order_ref"] = str(placed.pk)
    session.save()
    assert "data-upsell-offer" in thanks(client, placed, **headers)
    return Offer.objects.get(order_ref=str(placed.pk))


def test_the_first_look_freezes_who_it_was_made_to(settings):
    del settings.UPSELL_CLOCK
    products = catalogue()
    campaign(products["CA"], not_bought_days=None)

    first = looked_at(order(products, locale="de-AT", country="AT"), **PHONE)
    again = looked_at(order(products, locale="", country="DE"))

    assert [getattr(first, name) for name in TRAITS] == ["new", "", "AT", "phone", "de", ""]
    assert [getattr(again, name) for name in TRAITS] == ["returning", "", "DE", "", "en", ""]


def test_who_it_was_is_forgotten_with_the_buyer():
    offer = lived("DECLINED", made=NOON)
    frozen = dict.fromkeys(TRAITS[:-1], "x") | {"country": "AT", "language": "de"}
    Offer.objects.filter(pk=offer.pk).update(customer_key="u:1", **frozen)

    erasing.erase(customer_keys=["u:1"])

    offer.refresh_from_db()
    assert {getattr(offer, name) for name in TRAITS} == {""}


def test_each_value_has_its_sums():
    for number, (device, state) in enumerate(
        [("phone", "ACCEPTED"), ("phone", "DECLINED"), ("", "SHOWN"), ("desktop", "ACCEPTED")]
    ):
        offer = lived(state, made=NOON - number * DAY, line="10.00")
        Offer.objects.filter(pk=offer.pk).update(device=device)
    lived("ACCEPTED", made=NOON - 7 * DAY)
    lived("ACCEPTED", made=NOON, trial=True)

    sums = splits.sums_by(WEEK, "device")

    told = {name: (sum_["EUR"].shown, sum_["EUR"].net_revenue) for name, sum_ in sums.items()}
    assert told == {"": (1, 0), "desktop": (1, 10), "phone": (2, 10)}


@pytest.mark.parametrize(
    ("name", "days"),
    [
        pytest.param("device", 93, id="too long"),
        pytest.param("segment", 7, id="nothing fills it"),
        pytest.param("customer_key", 7, id="whose they are"),
    ],
)
def test_nothing_else_is_read(name, days):
    asked = Asked(first=WEEK.last - (days - 1) * DAY, last=WEEK.last)

    with pytest.raises(ValueError, match=name):
        splits.sums_by(asked, name)


def test_statements_do_not_grow_with_offers():
    counts = []
    for rows in (1, 40):
        for number in range(rows):
            offer = lived("ACCEPTED", made=NOON - timedelta(minutes=number), channel=f"c{number}")
            Offer.objects.filter(pk=offer.pk).update(country=f"A{chr(65 + number % 26)}")
        with CaptureQueriesContext(connection) as asked:
            splits.sums_by(WEEK, "country")
        counts.append(len(asked))

    assert counts == [3, 3]


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    log=st.lists(st.tuples(lives(), st.sampled_from(["", "AT", "DE"])), max_size=20),
    ends=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    of=st.fixed_dictionaries(
        {
            "channel": st.sampled_from([None, "web", "fr"]),
            "moment": st.sampled_from([None, "cart"]),
            "channels": st.sampled_from([None, frozenset({"fr", "jp"})]),
        }
    ),
)
def test_together_they_are_the_sums_per_day(log, ends, of):
    last = datetime(2026, 11, 21, tzinfo=UTC).date()
    asked = Asked(first=last - max(ends) * DAY, last=last - min(ends) * DAY, **of)
    with transaction.atomic():
        ChannelSettings.objects.create(channel="", time_zone="Asia/Tokyo")
        for channel, zone in list(ZONES.items())[:2]:
            ChannelSettings.objects.create(channel=channel, time_zone=zone)
        for life, country in log:
            offer = lived(**life | {"of": a_campaign(life["of"])})
            Offer.objects.filter(pk=offer.pk).update(country=country)
        metrics.roll_up()

        by_day = results.total(results.sums_by(asked, "day"))
        by_who = splits.sums_by(asked, "country")

        assert results.total(by_who) == by_day
        transaction.set_rollback(True)
