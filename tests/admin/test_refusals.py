"""How often each reason refused a campaign in the last 30 days, and what to do about it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import factories
from tests.admin.screens import url
from tests.tables import unchanged
from upsell.engine.campaigns import Reason
from upsell.models import Decision
from upsell.presenting.reasons import REMEDIES, in_words, remedy
from upsell.services import offering, refusals

pytestmark = pytest.mark.django_db

OF_THE_ORDER = {
    Reason.DISABLED, Reason.ALREADY_HAS_OFFER, Reason.ORDER_CANCELLED, Reason.ORDER_REFUNDED,
    Reason.ORDER_TEST, Reason.ORDER_DRAFT, Reason.ORDER_RENEWAL, Reason.PAYMENT_FAILED,
    Reason.WINDOW_CLOSED, Reason.ORDER_RELEASED, Reason.TIMEOUT, Reason.ERROR, Reason.NO_CAMPAIGN,
    Reason.NO_MATCH,
}  # fmt: skip


def decided(shop, *lines, **options) -> Decision:
    placed = factories.order(shop, *lines, **options)
    offering.offer_for(order_ref=str(placed.pk), now=timezone.now(), show=True)
    return Decision.objects.get(order_ref=str(placed.pk))


def told(client, campaign):
    return client.get(url("campaign_refusals", campaign.pk))


def counted(client, campaign) -> dict[str, int]:
    return {row["code"]: row["count"] for row in told(client, campaign).context["rows"]}


def test_each_reason_is_counted_in_words(client, boss, shop):
    front = factories.campaign(shop["DT"], shop["W1"], name="Front", priority=90, countries=["FR"])
    asked = factories.campaign(
        shop["CA"], shop["W1"], name="Asked", priority=10, bounds={"EUR": ["501.00", None]}
    )
    for lines, country in (
        ([("W1", 1)], "DE"),  # 500 net: a unit too little
        ([("W1", 1)], "DE"),
        ([("W1", 2)], "DE"),  # wins
        ([("W1", 2)], "FR"),  # outranked
        ([("W1", 2), ("CA", 1)], "DE"),  # bought already
        ([("IN", 1)], "DE"),  # not looked at
    ):
        decided(shop, *lines, country=country)

    page = told(client, asked)

    assert counted(client, asked) == {"below_min": 2, "already_in_order": 1, "outranked": 1}
    assert counted(client, front) == {"country": 4}
    assert (page.context["told"].won, page.context["told"].absent) == (1, 1)
    text = page.content.decode()
    assert "It was offered 1 time in the last 30 days." in text
    assert "The goods are worth less than the campaign asks for, before tax." in text
    assert "Lower the least value of an order" in text
    assert [row["percent"] for row in page.context["rows"]] == [40, 20, 20]


@pytest.mark.parametrize(
    ("age", "trial", "counts"),
    [
        pytest.param(timedelta(days=30), False, False, id="just over 30 days"),
        pytest.param(timedelta(days=29, hours=23), False, True, id="just under"),
        pytest.param(timedelta(hours=1), True, False, id="a trial by staff"),
    ],
)
def test_what_is_old_or_a_trial_is_left_out(client, boss, shop, age, trial, counts):
    asked = factories.campaign(shop["CA"], shop["W1"], bounds={"EUR": ["501.00", None]})
    row = decided(shop)
    Decision.objects.filter(pk=row.pk).update(at=timezone.now() - age, trial=trial)

    assert counted(client, asked) == ({"below_min": 1} if counts else {})


def test_without_decisions_it_says_so(client, boss, shop):
    asked = factories.campaign(shop["CA"], shop["W1"])

    assert "there is nothing to count yet" in told(client, asked).content.decode()


def test_limited_staff_count_their_channels_alone(client, signed_in, shop):
    asked = factories.campaign(shop["CA"], shop["W1"], bounds={"EUR": ["501.00", None]})
    decided(shop)
    Decision.objects.update(channel="other")
    decided(shop)
    signed_in("view_campaign", "simulate_campaign", channels=("web",))

    assert counted(client, asked) == {"below_min": 1}


def test_it_reads_so_many_decisions_and_no_more(client, boss, shop, monkeypatch):
    asked = factories.campaign(shop["CA"], shop["W1"], bounds={"EUR": ["501.00", None]})
    for _ in range(3):
        decided(shop)
    monkeypatch.setattr(refusals, "MOST", 2)

    assert counted(client, asked) == {"below_min": 2}
    assert told(client, asked).context["told"].cut
    monkeypatch.setattr(refusals, "MOST", 3)
    assert not told(client, asked).context["told"].cut


def test_the_page_costs_the_same_for_many_decisions_and_writes_nothing(client, boss, shop):
    asked = factories.campaign(shop["CA"], shop["W1"], bounds={"EUR": ["501.00", None]})
    costs = []
    for count in (1, 30):
        for _ in range(count):
            decided(shop)
        told(client, asked)
        with CaptureQueriesContext(connection) as seen, unchanged():
            told(client, asked)
        costs.append(len([row for row in seen if '"upsell_' in row["sql"]]))

    assert costs[0] == costs[1]


def test_every_reason_of_a_campaign_says_what_to_do():
    assert set(REMEDIES) == set(Reason) - OF_THE_ORDER
    assert remedy("unheard_of") == ("", "")


def test_every_place_is_on_the_form_of_a_campaign(client, boss, shop):
    made = factories.campaign(shop["CA"], shop["W1"])
    form = client.get(url("campaign_change", made.pk)).content.decode()

    places = {place for _words, place in REMEDIES.values() if place}
    assert [place for place in places if f'id="{place}"' not in form] == []


def test_why_leads_to_the_rule_that_refused(client, boss, shop):
    asked = factories.campaign(shop["CA"], shop["W1"], bounds={"EUR": ["501.00", None]})
    placed = factories.order(shop)

    page = client.get(url("campaign_why"), {"order": str(placed.pk)}).content.decode()

    assert in_words("below_min") in page
    assert f'href="{url("campaign_change", asked.pk)}#id_bounds"' in page
