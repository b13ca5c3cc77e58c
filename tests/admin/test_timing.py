"""The page Timing: what it shows, for whom, and what it says where there is nothing yet."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.admin.screens import XSS, url
from tests.admin.test_attending import words
from tests.measuring import a_campaign, lived
from tests.tables import unchanged
from upsell.models import Campaign, CampaignTrigger, OrderFact, OrderLineFact

pytestmark = pytest.mark.django_db

PAGE = "dailymetric_timing"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def now() -> datetime:
    """The time of these tests."""
    return NOON


@pytest.fixture(autouse=True)
def _at_noon(settings, shop):
    settings.UPSELL_CLOCK = "tests.admin.test_timing.now"
    settings.TIME_ZONE = "UTC"


def bought(buyer: str, ago: timedelta, category: str, ref: str = "", channel: str = "web") -> None:
    fact = OrderFact.objects.create(
        order_ref=ref or f"{buyer}-{ago}", customer_key=buyer, channel=channel,
        placed_at=NOON - ago, currency="EUR", net=10,
    )  # fmt: skip
    OrderLineFact.objects.create(
        order_fact=fact, product_ref=f"p-{category}", category_ref=category, quantity=1, net=10
    )


@pytest.fixture
def tea() -> Campaign:
    """A campaign with sales and, from the mirror, buyers who came back by themselves."""
    row = a_campaign("tea")
    Campaign.objects.filter(pk=row.pk).update(product_ref="p-supplies")
    CampaignTrigger.objects.create(campaign=row, kind="CATEGORY", ref="machines")
    for number in range(6):
        bought(f"u:{number}", 20 * DAY, "machines", channel="fr" if number == 5 else "web")
        bought(f"u:{number}", (17 - number) * DAY, "supplies")
        offer = lived("ACCEPTED" if number % 2 else "DECLINED", made=NOON - number * HOUR, of=row)
        bought("", number * HOUR + timedelta(minutes=3), "machines", ref=offer.order_ref)
    return row


def ask(client, **query):
    return client.get(url(PAGE), query)


def downloaded(client, name: str, **query) -> list[dict[str, str]]:
    answer = ask(client, csv=name, **query)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert f"timing-{name}-" in answer["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def test_it_says_how_long_after_and_when_offers_are_taken(client, boss, tea):
    with unchanged():
        told = words(ask(client))

    assert "1. Machines, then Supplies 6 4 days 5 days 7 days" in told
    assert "1 to 5 minutes 6 3 50.0 % (18.8 to 81.2 %)" in told
    assert "12:00 to 13:00 1 0" in told
    assert "11:00 to 12:00 1 1" in told


def test_a_campaign_is_told_in_a_sentence(client, boss, tea):
    told = words(ask(client, campaign=tea.pk))

    assert "Tea : 6 buyers bought what it offers after what triggers it." in told
    assert (
        "Half of them had it within 5 days, a quarter within 4 days, three quarters within 7"
        in told
    )


@pytest.mark.parametrize(
    ("trigger", "told"),
    [
        pytest.param(("CATEGORY", "toys"), "fewer than 5 buyers", id="nobody came back"),
        pytest.param(("BRAND", "x"), "It cannot be told", id="a brand"),
    ],
)
def test_a_campaign_of_which_nothing_is_known_says_so(client, boss, tea, trigger, told):
    CampaignTrigger.objects.update(kind=trigger[0], ref=trigger[1])

    assert told in words(ask(client, campaign=tea.pk))


def test_downloads_have_the_numbers_of_the_page(client, boss, tea):
    (gap,) = downloaded(client, "gaps")
    minutes, hours = downloaded(client, "minutes"), downloaded(client, "hours")

    assert gap == {
        "bought_first": "Machines", "bought_then": "Supplies", "buyers": "6",
        "first_quarter_hours": "96.00", "median_hours": "120.00", "third_quarter_hours": "168.00",
    }  # fmt: skip
    assert [row["accepted"] for row in minutes] == ["0", "3", "0", "0", "0", "0"]
    assert minutes[1]["acceptance_rate"] == "0.500000"
    assert (len(hours), sum(int(row["shown"]) for row in hours)) == (24, 6)


def test_a_new_shop_is_told_that_nothing_is_there_yet(client, boss):
    told = words(ask(client))

    assert told.count("Not enough data yet.") == 3


@pytest.mark.parametrize(
    ("query", "told"),
    [
        pytest.param({"first": "2026-08-20", "last": "2026-11-20"}, "of 92 days at most",
                     id="93 days"),
        pytest.param({"first": "2026-11-20", "last": "2026-11-01"}, "exchange the two dates",
                     id="reversed"),
        pytest.param({"campaign": "99"}, "There is nothing of that name", id="no such campaign"),
    ],
)  # fmt: skip
def test_bad_input_is_told_and_downloads_nothing(client, boss, tea, query, told):
    assert told in words(ask(client, **query))
    assert ask(client, csv="gaps", **query)["Content-Type"].startswith("text/html")


def test_it_needs_the_right_to_view_results(client, signed_in):
    signed_in("view_campaign", name="looks-at-campaigns")
    assert ask(client).status_code == 403
    signed_in("view_dailymetric", name="looks-at-results")
    assert ask(client).status_code == 200
    assert url(PAGE) in client.get(url("dailymetric_changelist")).content.decode()


def test_staff_of_one_channel_see_its_orders_alone(client, signed_in, tea):
    signed_in("view_dailymetric", channels=("web",))
    told = words(ask(client))
    assert "1. Machines, then Supplies 5" in told

    signed_in("view_dailymetric", name="other", channels=("fr",))
    assert words(ask(client)).count("Not enough data yet.") == 3
    assert downloaded(client, "gaps") == []


def test_a_part_of_very_many_orders_is_said_to_be_one(client, boss, tea, monkeypatch):
    assert "was followed" not in words(ask(client))
    monkeypatch.setattr("upsell.services.timing.SAMPLE", 9)

    assert "a part of the buyers was followed" in words(ask(client))


def test_names_are_escaped(client, boss, tea, monkeypatch):
    Campaign.objects.update(name=XSS)
    monkeypatch.setattr("upsell.admin.timing.names_of", lambda kind: {"machines": XSS})

    assert XSS not in ask(client, campaign=tea.pk).content.decode()


def test_statements_do_not_grow(client, boss, tea):
    counts = []
    for rows in (1, 20):
        for number in range(rows):
            offer = lived("ACCEPTED", made=NOON - number * HOUR, of=a_campaign(f"c{number}"))
            bought("", number * HOUR, "machines", ref=offer.order_ref)
            bought(f"x{rows}{number}", 9 * DAY, f"toys{number}")
        with CaptureQueriesContext(connection) as asked:
            ask(client, campaign=tea.pk)
        counts.append(len(asked))

    assert counts[0] == counts[1], counts
