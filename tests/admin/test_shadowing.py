"""Campaigns that can never win and by whom, equals that overlap, triggers nobody buys."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import factories
from tests.admin.screens import XSS, url
from tests.tables import unchanged
from upsell.models import Campaign, CampaignTrigger, Decision
from upsell.services import offering, shadowing

pytestmark = pytest.mark.django_db

NOW = timezone.now()
DAY = timedelta(days=1)


def page(client):
    return client.get(url("campaign_shadowing"))


def hopeless(client) -> dict[str, tuple[str, str]]:
    told = page(client).context["told"].hopeless
    return {row.campaign.name: (row.why, row.by.name if row.by else "") for row in told}


def equals(client) -> list[tuple[int, str, list[str]]]:
    return [
        (row.priority, row.channel, [one.name for one in row.campaigns])
        for row in page(client).context["told"].equals
    ]


def unbought(client) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in page(client).context["told"].unbought.triggers:
        found.setdefault(row.campaign.name, []).append(f"{row.kind} {row.ref}")
    return found


@pytest.mark.parametrize(
    ("front", "behind", "is_hopeless"),
    [
        pytest.param({}, {}, True, id="the same, in front"),
        pytest.param({"priority": 10}, {"priority": 10}, True, id="an equal, edited later"),
        pytest.param({"countries": ["DE"]}, {}, False, id="for one country"),
        pytest.param({"countries": ["DE"]}, {"countries": ["DE"]}, True, id="both for one"),
        pytest.param({}, {"countries": ["DE"]}, True, id="for all, in front of one for some"),
        pytest.param({"valid_until": NOW + DAY}, {}, False, id="it ends"),
        pytest.param({"valid_until": NOW - DAY}, {}, False, id="it is over"),
        pytest.param({"status": "OFF"}, {}, False, id="it is off"),
        pytest.param({"status": "STAFF_ONLY"}, {}, False, id="for staff"),
        pytest.param({"channels": ["web"]}, {"channels": ["web", "b"]}, False, id="in one of two"),
        pytest.param({"not_seen_days": 3}, {}, False, id="not twice"),
        pytest.param({"rule": "PERCENT", "percent": 50}, {}, False, id="cheaper"),
    ],
)
def test_one_that_is_always_behind_another_can_never_win(
    client, boss, shop, front, behind, is_hopeless
):
    factories.campaign(shop["CA"], shop["W1"], name="Behind", **{"priority": 10} | behind)
    factories.campaign(shop["CA"], shop["W1"], name="Front", **{"priority": 90} | front)
    factories.campaign(shop["DT"], shop["W1"], name="Another product", priority=99)

    assert hopeless(client) == ({"Behind": ("shadowed", "Front")} if is_hopeless else {})


def test_one_without_sales_channel_or_trigger_can_never_win(client, boss, shop):
    factories.campaign(shop["CA"], name="Nowhere", channels=[])
    silent = factories.campaign(shop["DT"], name="Silent")
    silent.triggers.all().delete()
    factories.campaign(shop["CA"], name="Fine")

    assert hopeless(client) == {"Nowhere": ("nowhere", ""), "Silent": ("no_trigger", "")}


@pytest.mark.parametrize(
    ("windows", "together"),
    [
        pytest.param([(None, None), (None, None)], ["B", "A"], id="always, both"),
        pytest.param([(None, NOW + DAY), (NOW + 2 * DAY, None)], [], id="one after the other"),
        pytest.param([(None, NOW + DAY), (NOW + DAY, None)], ["B", "A"], id="one instant shared"),
        pytest.param(
            [(None, None), (NOW + DAY, NOW + 2 * DAY), (NOW + 3 * DAY, None)], ["C", "B", "A"],
            id="one meets two that do not meet",
        ),
        pytest.param(
            [(None, NOW + DAY), (None, NOW + DAY), (NOW + 2 * DAY, None)], ["B", "A"],
            id="the third alone",
        ),
    ],
)  # fmt: skip
def test_equals_that_share_a_time_are_told(client, boss, shop, windows, together):
    offers = [shop["CA"], shop["DT"], shop["IN"]]
    for name, offer, (start, end) in zip("ABC", offers, windows, strict=False):
        factories.campaign(offer, name=name, valid_from=start, valid_until=end)

    assert equals(client) == ([(10, "web", together)] if together else [])


def test_equals_of_other_sales_channels_and_priorities_are_none(client, boss, shop):
    factories.campaign(shop["CA"], channels=["web"])
    factories.campaign(shop["DT"], channels=["b"])
    factories.campaign(shop["IN"], channels=["web"], priority=11)

    assert equals(client) == []


def bought(shop, *lines, ago=timedelta(hours=1)) -> None:
    # Not NOW: where the tests take long, that was more than the minutes in question ago.
    now = timezone.now()
    placed = factories.order(shop, *lines)
    offering.offer_for(order_ref=str(placed.pk), now=now, show=True)
    Decision.objects.filter(order_ref=str(placed.pk)).update(at=now - ago)


@pytest.mark.parametrize(
    ("kind", "ref", "there"),
    [
        pytest.param("PRODUCT", "W1", True, id="a product that was bought"),
        pytest.param("PRODUCT", "DR", False, id="one that was not"),
        pytest.param("CATEGORY", "machines", True, id="its category"),
        pytest.param("CATEGORY", "laundry", True, id="the category above"),
        pytest.param("CATEGORY", "supplies", False, id="another"),
        pytest.param("TAG", "gift", False, id="a tag that nothing has"),
        pytest.param("ALWAYS", "", True, id="every order"),
    ],
)
def test_a_trigger_that_no_order_had_is_told(client, boss, shop, kind, ref, there):
    ref = str(shop[ref].pk) if kind == "PRODUCT" else ref
    asked = factories.campaign(shop["CA"], name="Asked")
    asked.triggers.all().delete()
    CampaignTrigger.objects.create(campaign=asked, kind=kind, ref=ref)
    bought(shop, ("W1", 1))

    assert unbought(client) == ({} if there else {"Asked": [f"{kind} {ref}"]})


@pytest.mark.parametrize(
    ("ago", "there"), [(90 * DAY - timedelta(minutes=5), True), (90 * DAY + DAY, False)]
)
def test_orders_of_90_days_count(client, boss, shop, ago, there):
    factories.campaign(shop["CA"], shop["DR"], name="Asked")
    bought(shop, ("W1", 1))
    bought(shop, ("DR", 1), ago=ago)

    assert ("Asked" not in unbought(client)) is there


def test_without_orders_nothing_is_said_of_triggers(client, boss, shop):
    factories.campaign(shop["CA"], shop["W1"])

    answer = page(client)

    assert unbought(client) == {}
    assert "nothing can be said of triggers yet" in answer.content.decode()


def test_the_page_says_all_of_it_in_words(client, boss, shop):
    factories.campaign(shop["CA"], shop["DR"], name="Behind", priority=10)
    factories.campaign(shop["CA"], shop["DR"], name="Front", priority=90)
    for number in range(12):
        factories.campaign(shop["DT"], shop["W1"], name=f"Equal {number}", priority=5,
                           countries=[["DE"], ["FR"]][number % 2])  # fmt: skip
    bought(shop, ("W1", 1))

    with unchanged():
        text = page(client).content.decode()

    assert "It comes first and can be offered wherever this one can." in text
    assert "and 4 more" in text
    assert "Without it the campaign cannot be shown at all." in text
    assert "Triggers were looked for in 1 order that was decided" in text
    assert url("campaign_shadowing") in client.get(url("campaign_changelist")).content.decode()


def test_with_nothing_to_tell_it_says_so(client, boss, shop):
    assert "No campaign is switched on" in page(client).content.decode()
    factories.campaign(shop["CA"], name="Alone")
    assert "nothing is in its way" in page(client).content.decode()


def test_limited_staff_see_their_sales_channels_alone(client, signed_in, shop):
    for name, channels in (("Ours", ["web"]), ("Both", ["web", "other"])):
        factories.campaign(shop["DT"], shop["DR"], name=name, channels=channels)
    for name in ("Foreign", "Foreign too"):
        factories.campaign(shop["CA"], shop["DR"], name=name, channels=["other"])
    bought(shop, ("DR", 1))
    Decision.objects.update(channel="other")
    bought(shop, ("W1", 1))
    signed_in("view_campaign", "simulate_campaign", channels=("web",))

    assert "Foreign" not in page(client).content.decode()
    assert equals(client) == [(10, "web", ["Both", "Ours"])]
    assert set(unbought(client)) == {"Both", "Ours"}


def test_it_reads_so_many_decisions_and_no_more(client, boss, shop, monkeypatch):
    factories.campaign(shop["CA"], shop["W1"])
    for _ in range(3):
        bought(shop, ("W1", 1))
    monkeypatch.setattr(shadowing, "MOST", 2)

    told = page(client).context["told"].unbought

    assert (told.decisions, told.cut) == (2, True)


def test_names_are_text(client, boss, shop):
    for _ in range(2):
        factories.campaign(shop["CA"], shop["W1"], name=XSS)

    assert XSS not in page(client).content.decode()


def test_fifty_campaigns_cost_as_many_statements_as_two(client, boss, shop):
    bought(shop, ("W1", 1))
    costs = []
    for count in (2, 50):
        for _ in range(count):
            factories.campaign(shop["CA"], shop["DR"])
        with CaptureQueriesContext(connection) as seen:
            page(client)
        costs.append(len([row for row in seen if "upsell_" in row["sql"]]))

    assert Campaign.objects.count() == 52
    assert costs[0] == costs[1]
