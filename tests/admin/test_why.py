"""Why this offer, or none: the winner, each loser in words, the facts that were used."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from example_shop.models import CustomerGroup
from tests import factories
from tests.admin.screens import offered, url
from tests.tables import unchanged
from upsell.models import Campaign, Decision, Offer
from upsell.services import campaigns, offering

pytestmark = pytest.mark.django_db


def asked(client, order, **more):
    return client.get(url("campaign_why"), {"order": str(order)} | more)


def outcomes(response):
    return {row["campaign"].name: row for row in response.context["verdicts"]}


def test_it_names_the_winner_and_why_each_other_one_lost(client, boss, shop):
    CustomerGroup.objects.create(code="club", name="Club")
    soon = timezone.now() + timedelta(days=1)
    for name, trigger, options in (
        ("Wins", "W1", {"priority": 50}),
        ("Outranked", "W1", {"priority": 40}),
        ("Not bought", "DR", {"priority": 90}),
        ("Too little", "W1", {"priority": 80, "bounds": {"EUR": ["500.01", None]}}),
        ("For the club", "W1", {"priority": 70, "groups": ["club"]}),
        ("To France", "W1", {"priority": 69, "countries": ["FR"]}),
        ("By invoice", "W1", {"priority": 68, "payment_methods": ["invoice"]}),
        ("In yen", "W1", {"priority": 67, "currencies": ["JPY"]}),
        ("Off", "W1", {"priority": 60, "status": "OFF"}),
        ("Later", "W1", {"priority": 59, "valid_from": soon}),
        ("Elsewhere", "W1", {"priority": 58, "channels": ["other"]}),
    ):
        factories.campaign(shop["DT"], shop[trigger], name=name, **options)
    without = factories.campaign(shop["DT"], shop["W1"], name="Never with W1", priority=66)
    without.exclusions.create(kind="PRODUCT", ref=str(shop["W1"].pk))
    factories.campaign(shop["DR"], shop["W1"], name="Sold out", priority=65)

    response = asked(client, offered(shop).order_ref)

    told = outcomes(response)
    assert {name for name, row in told.items() if row["won"]} == {"Wins"}
    assert response.context["winner"]["campaign"].name == "Wins"
    assert {name: row["code"] for name, row in told.items()} == {
        "Not bought": "trigger_absent", "Too little": "below_min", "For the club": "group",
        "To France": "country", "By invoice": "payment_method_filter",
        "In yen": "currency_unsupported", "Never with W1": "excluded_product_present",
        "Sold out": "out_of_stock", "Off": "off", "Later": "not_started",
        "Elsewhere": "wrong_channel", "Wins": "", "Outranked": "outranked",
    }  # fmt: skip
    assert told["Too little"]["detail"] == "Wanted: at least €500.01. There: €500.00."
    assert told["For the club"]["detail"] == "Wanted: Club. There: –."
    assert told["To France"]["detail"].startswith("Wanted: France")
    assert told["In yen"]["detail"] == "Wanted: JPY. There: EUR."
    assert told["Not bought"]["detail"] == "Wanted: DR."
    assert told["Never with W1"]["detail"] == "Excluded: W1."
    assert [row["campaign"].name for row in response.context["elsewhere"]] == [
        "Off", "Later", "Elsewhere",
    ]  # fmt: skip
    page = response.content.decode()
    assert "It was offered “Wins”." in page
    assert "The order does not contain what triggers the campaign." in page


def test_an_order_offered_nothing_says_why(client, boss, shop):
    factories.campaign(shop["DT"], shop["DR"], name="Loses")
    placed = factories.order(shop)
    offering.offer_for(order_ref=str(placed.pk), now=timezone.now(), show=True)

    page = asked(client, placed.pk).content.decode()

    assert "It was offered nothing." in page
    assert "No campaign qualified." in page


def test_an_order_nobody_looked_at_is_asked_now(client, boss, shop):
    factories.campaign(shop["DT"], shop["W1"], name="Would win")
    placed = factories.order(shop)

    response = asked(client, placed.pk)

    assert response.context["decision"] is None
    assert "It would be offered “Would win”." in response.content.decode()
    assert outcomes(response)["Would win"]["won"]


@pytest.mark.parametrize("order", ["nonsense", "999999", "1", '"><b>'])
def test_an_order_the_shop_does_not_know_is_said_so(client, boss, shop, order):
    """The number 1 is in "1000", which is another order."""
    factories.order(shop)
    factories.order(shop)

    response = asked(client, order if order != "1" else "100")

    assert response.context["verdicts"] == []
    assert "The shop knows no order" in response.context["error"]


def test_an_order_is_found_by_number_and_by_reference(client, boss, shop):
    first, second = factories.order(shop), factories.order(shop)

    for typed in (second.number, str(second.pk), f" {second.number} "):
        assert asked(client, typed).context["occasion"].number == second.number
    assert first.number != second.number


def test_what_was_decided_stands_whatever_has_been_edited_since(client, boss, shop):
    won = factories.campaign(shop["DT"], shop["W1"], name="Won", slug="won", priority=20)
    factories.campaign(shop["CA"], shop["W1"], name="Second", slug="second", priority=10)
    offer = offered(shop)
    campaigns.save_campaign(slug="won", status="OFF")
    campaigns.save_campaign(slug="second", priority=90)
    factories.campaign(shop["CA"], shop["W1"], name="New", priority=99)

    told = outcomes(asked(client, offer.order_ref))

    assert (told["Won"]["won"], told["Won"]["edited_since"]) == (True, True)
    assert told["Won"]["today"] == "The campaign is switched off."
    assert (told["Second"]["code"], told["Second"]["won"]) == ("outranked", False)
    assert not told["New"]["won"]
    assert "not there when this was decided" in told["New"]["reason"]
    Campaign.objects.filter(pk=won.pk).update(archived=True)
    assert outcomes(asked(client, offer.order_ref))["Won"]["won"]


def test_the_facts_are_those_of_the_decision(client, boss, shop):
    factories.campaign(shop["DT"], shop["W1"])
    offer = offered(shop, ("W1", 2))
    order = factories.Order.objects.get(pk=offer.order_ref)
    order.lines.update(quantity=1)

    facts = asked(client, offer.order_ref).context["facts"]

    assert [(line.title, line.quantity, line.gross) for line in facts.lines] == [
        ("W1", 2, "€1,200.00")
    ]
    rows = dict(facts.rows)
    assert rows["Goods after discounts, before tax"] == "€1,000.00"
    assert (rows["Sales channel"], rows["Paid by"], rows["Guest"]) == ("Web", "Card", "yes")


def test_it_never_says_who_the_buyer_is(client, boss, shop):
    factories.campaign(shop["DT"], shop["W1"])
    offer = offered(shop, email="nobody@example.org", name="Nobody Known", street="Secret lane 1")

    page = asked(client, offer.order_ref).content.decode()

    for private in ("nobody@example.org", "Nobody Known", "Secret lane"):
        assert private not in page


def test_it_can_be_asked_as_of_another_time(client, boss, shop):
    now = timezone.now()
    factories.campaign(shop["DT"], shop["W1"], name="Later", valid_from=now + timedelta(minutes=5))
    placed = factories.order(shop, placed_at=now)

    before = asked(client, placed.pk, at=now.isoformat())
    after = asked(client, placed.pk, at=(now + timedelta(minutes=6)).isoformat())
    wrong = asked(client, placed.pk, at="tomorrow")

    assert outcomes(before)["Later"]["code"] == "not_started"
    assert outcomes(after)["Later"]["won"]
    assert "“tomorrow” is not a time" in wrong.context["error"]


def test_asking_decides_nothing(client, boss, shop):
    factories.campaign(shop["DT"], shop["W1"])

    asked(client, factories.order(shop).pk)

    assert not Decision.objects.exists()
    assert not Offer.objects.exists()


def test_a_campaign_is_tried_as_if_it_were_live(client, boss, shop):
    factories.campaign(shop["DT"], shop["W1"], name="Live")
    draft = factories.campaign(shop["CA"], shop["W1"], name="Draft", status="OFF", priority=90)
    placed = offered(shop).order_ref

    with unchanged():
        response = asked(client, placed, **{"with": draft.pk})

    told = outcomes(response)
    assert (told["Draft"]["won"], told["Live"]["code"]) == (True, "outranked")
    page = response.content.decode()
    assert "It would be offered “Draft”." in page
    assert "Taken as if it were live" in page
    assert "In truth it would be offered nothing" not in page
    assert response.context["draft"] == draft


def test_what_is_not_live_can_be_chosen(client, boss, shop):
    now = timezone.now()
    factories.campaign(shop["DT"], name="Live")
    factories.campaign(shop["DT"], name="Later", valid_from=now + timedelta(days=1))
    factories.campaign(shop["DT"], name="Over", valid_until=now - timedelta(days=1))
    factories.campaign(shop["DT"], name="Off", status="OFF")
    factories.campaign(shop["DT"], name="Gone", status="OFF", archived=True)

    shown = client.get(url("campaign_why")).context["drafts"]

    assert {row.name for row in shown} == {"Later", "Over", "Off"}


def test_the_form_of_a_campaign_leads_there(client, boss, shop):
    made = factories.campaign(shop["DT"], shop["W1"], status="OFF", name="Draft")
    form = client.get(url("campaign_change", made.pk)).content.decode()

    assert f"{url('campaign_why')}?with={made.pk}" in form
    page = client.get(url("campaign_why"), {"with": made.pk})
    assert page.context["draft"] == made
    assert f'<option value="{made.pk}" selected>Draft</option>' in page.content.decode()


@pytest.mark.parametrize(
    "typed", ["x", "-1", "0", "9" * 18, "9" * 30, "1 OR 1=1", "\x00", "²", "١", '"><b>']
)
def test_a_campaign_that_is_not_there_is_said_so(client, boss, shop, typed):
    placed = factories.order(shop)

    response = asked(client, placed.pk, **{"with": typed})

    assert response.status_code == 200
    assert "There is no campaign" in response.context["error"]
    assert response.context["verdicts"] == []


def test_limited_staff_try_their_own_campaigns_alone(client, signed_in, shop):
    mine = factories.campaign(shop["DT"], shop["W1"], status="OFF")
    foreign = factories.campaign(shop["DT"], status="OFF", channels=["other"], name="Foreign")
    placed = factories.order(shop)
    signed_in("simulate_campaign", channels=("web",))

    refused = asked(client, placed.pk, **{"with": foreign.pk})
    absent = asked(client, placed.pk, **{"with": 987654})

    assert asked(client, placed.pk, **{"with": mine.pk}).context["winner"] is not None
    assert "Foreign" not in refused.content.decode()
    assert refused.context["error"].replace(str(foreign.pk), "") == absent.context["error"].replace(
        "987654", ""
    )
