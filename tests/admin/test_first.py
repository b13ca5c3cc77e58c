"""The first campaign, led through from an empty list to a live offer, and the trial before it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests import factories
from tests.admin.screens import LIST, WRITES, said, url
from upsell.models import Campaign, CampaignRevision, Offer

FIRST, STEPS = "campaign_first", "campaign_steps"
pytestmark = pytest.mark.django_db


def first(shop, **changes):
    return {
        "bought": str(shop["W1"].pk), "offered": str(shop["DT"].pk), "kind": "CROSS_SELL",
        "channels": ["web"], "headline": "Clean clothes",
    } | changes  # fmt: skip


def test_the_empty_list_leads_to_the_first_campaign(client, boss, shop):
    page = client.get(url(LIST)).content.decode()

    for words in ("One product, one offer", "Who sees it and who does not", "See it as a shopper",
                  "Try it as staff only", "Go live", url(FIRST)):  # fmt: skip
        assert words in page
    factories.campaign(shop["DT"], shop["W1"])
    assert url(FIRST) not in client.get(url(LIST)).content.decode()


def test_who_may_not_write_is_told_that_somebody_else_has_to(client, shop, signed_in):
    signed_in("view_campaign")

    page = client.get(url(LIST)).content.decode()

    assert "somebody who may add one has to begin" in page
    assert url(FIRST) not in page


def test_one_product_one_offer_makes_a_careful_campaign(client, boss, shop):
    response = client.post(url(FIRST), first(shop))

    campaign = Campaign.objects.get()
    assert response["Location"] == url(STEPS, campaign.pk)
    assert (campaign.name, campaign.slug, campaign.status) == ("DT with W1", "dt-with-w1", "OFF")
    assert (campaign.not_bought_days, campaign.channels) == (365, ["web"])
    assert campaign.triggers.get().ref == str(shop["W1"].pk)
    assert campaign.copies.get().headline == "Clean clothes"
    assert CampaignRevision.objects.get().by == boss


def test_an_upsell_replaces_all_units(client, boss, shop):
    client.post(url(FIRST), first(shop, kind="UPSELL", offered=str(shop["W2"].pk)))

    campaign = Campaign.objects.get()
    assert (campaign.name, campaign.quantity_rule) == ("W2 instead of W1", "MATCH")


@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        pytest.param({"bought": ""}, "bought", "required", id="nothing bought"),
        pytest.param({"offered": ""}, "offered", "required", id="nothing offered"),
        pytest.param({"offered": "W1"}, "offered", "is what triggers", id="the same"),
        pytest.param({"channels": []}, "channels", "required", id="nowhere"),
        pytest.param({"headline": "x" * 81}, "headline", "80", id="too long"),
    ],
)
def test_an_error_stands_at_its_field_and_nothing_is_lost(client, boss, shop, changes, field, told):
    if changes.get("offered") == "W1":
        changes = {"offered": str(shop["W1"].pk)}
    sent = first(shop, **changes)

    form = client.post(url(FIRST), sent).context["form"]

    assert list(form.errors) == [field]
    assert told in form.errors[field][0]
    assert {name: form[name].value() for name in sent} == sent
    assert not Campaign.objects.exists()


def test_the_steps_say_who_sees_it_and_who_does_not(client, boss, shop):
    client.post(url(FIRST), first(shop))

    page = client.get(url(STEPS, Campaign.objects.get().pk))

    assert page.context["says"].startswith("When an order in Web contains W1, offer DT in addition")
    assert page.context["unseen"] == [
        "Not to buyers who bought it in the last 365 days.",
        "Not where the order holds it already.",
        "Not where the order has had an offer, is cancelled, or is being packed.",
        "Not while a campaign with a higher priority fits the order.",
    ]


def test_the_list_leads_back_until_it_is_live(client, boss, shop):
    client.post(url(FIRST), first(shop))
    campaign = Campaign.objects.get()
    steps = url(STEPS, campaign.pk)

    shown = []
    for step in ("try", "live"):
        shown.append(steps in client.get(url(LIST)).content.decode())
        client.post(steps, {"step": step})
    shown.append(steps in client.get(url(LIST)).content.decode())

    campaign.refresh_from_db()
    assert campaign.status == "LIVE"
    assert shown == [True, True, False]
    assert [row.after["status"] for row in CampaignRevision.objects.order_by("number")] == [
        "OFF", "STAFF_ONLY", "LIVE",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "status"),
    [("try", "STAFF_ONLY"), ("live", "LIVE"), ("off", "OFF"), ("delete", "OFF"), ("", "OFF")],
)
def test_each_step_does_what_it_says_and_no_more(client, boss, shop, step, status):
    campaign = factories.campaign(shop["DT"], shop["W1"], status="OFF")

    client.post(url(STEPS, campaign.pk), {"step": step})

    campaign.refresh_from_db()
    assert campaign.status == status


def test_going_live_says_what_forbids_it(client, boss, shop):
    factories.order(shop)
    shop["DT"].cost = "100"
    shop["DT"].save()
    campaign = factories.campaign(shop["DT"], shop["W1"], status="OFF")

    response = client.post(url(STEPS, campaign.pk), {"step": "live"}, follow=True)

    campaign.refresh_from_db()
    assert campaign.status == "OFF"
    assert "below what it costs you" in said(response)[0]


# ------------------------------------------------------------------ the trial


def buys(name: str, shop, *, rights: bool = True) -> str:
    """Somebody buys a machine and looks at the confirmation; return the page."""
    browser = Client(HTTP_USER_AGENT="Mozilla/5.0")
    if name:
        user = User.objects.create_user(name, password="x", is_staff=name == "staff")
        if rights and user.is_staff:
            user.user_permissions.add(Permission.objects.get(codename="view_campaign"))
        browser.force_login(user)
    browser.post("/basket/change/", {"product": shop["W1"].pk, "quantity": 1})
    bought = browser.post(
        "/checkout/",
        {"email": "a@example.org", "name": "A", "street": "Street 1", "country": "DE",
         "payment_method": "card", "card": "card_ok", "do": "buy"},
    )  # fmt: skip
    return browser.get(bought["Location"]).content.decode()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("name", "rights", "sees"),
    [
        pytest.param("staff", True, True, id="staff who may view campaigns"),
        pytest.param("staff", False, False, id="staff who may not"),
        pytest.param("buyer", True, False, id="a customer"),
        pytest.param("", True, False, id="a guest"),
    ],
)
def test_a_staff_only_campaign_is_seen_by_staff_alone(client, boss, shop, name, rights, sees):
    campaign = factories.campaign(shop["DT"], shop["W1"], status="STAFF_ONLY")

    page = buys(name, shop, rights=rights)

    assert ("Only staff see this trial" in page) is sees
    assert [offer.trial for offer in Offer.objects.all()] == ([True] if sees else [])
    tried = client.get(url(STEPS, campaign.pk)).context["tried"]
    assert tried == int(sees)


def test_writes_are_enough_for_all_of_it(client, shop, signed_in):
    signed_in(*WRITES)

    client.post(url(FIRST), first(shop))
    steps = url(STEPS, Campaign.objects.get().pk)

    assert client.get(steps).status_code == 200
    assert client.post(steps, {"step": "live"}).status_code == 302
    assert Campaign.objects.get().status == "LIVE"
