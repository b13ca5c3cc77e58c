"""Staff screens: what they show, save and refuse, and to whom."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from tests import factories
from upsell.models import Campaign, CampaignRevision, CampaignSet, ChannelAccess

pytestmark = pytest.mark.django_db
XSS = '"><script>alert(1)</script>'


@pytest.fixture
def shop():
    return factories.catalogue()


@pytest.fixture
def boss(client):
    user = User.objects.create_superuser("boss", "boss@example.org", "x")
    client.force_login(user)
    return user


def form(shop, **changes):
    data = {
        "name": "Detergent", "slug": "detergent", "status": "LIVE", "kind": "CROSS_SELL",
        "offer_by": "PRODUCT", "product_ref": str(shop["DT"].pk), "match": "ANY",
        "channels": ["web"], "bounds": "EUR 10.00 -", "rule": "LIST", "percent": "0",
        "quantity_rule": "FIXED", "quantity": "1", "shipping": "FREE", "stock": "REQUIRE",
        "documents": "ADD_AND_NOTIFY", "priority": "10", "default_language": "en",
        "triggers-TOTAL_FORMS": "1", "triggers-INITIAL_FORMS": "0",
        "triggers-0-kind": "PRODUCT", "triggers-0-ref": str(shop["W1"].pk),
        "triggers-0-quantity": "1",
        "exclusions-TOTAL_FORMS": "0", "exclusions-INITIAL_FORMS": "0",
        "copies-TOTAL_FORMS": "1", "copies-INITIAL_FORMS": "0", "copies-0-language": "en",
        "copies-0-headline": "Clean clothes", "copies-0-benefits": "Soft\nMild",
    }  # fmt: skip
    return {key: value for key, value in (data | changes).items() if value is not None}


ADD = "admin:upsell_campaign_add"
LIST = "admin:upsell_campaign_changelist"


def test_save_writes_a_revision_and_bumps_the_version(client, boss, shop):
    before = CampaignSet.objects.values_list("version", flat=True).first() or 1

    response = client.post(reverse(ADD), form(shop))

    assert response.status_code == 302, response.context["errors"]
    campaign = Campaign.objects.get()
    assert campaign.bounds == {"EUR": ["10.00", None]}
    assert campaign.copies.get().benefits == ["Soft", "Mild"]
    revision = CampaignRevision.objects.get()
    assert (revision.number, revision.by) == (1, boss)
    assert revision.after["triggers"][0]["ref"] == str(shop["W1"].pk)
    assert CampaignSet.objects.get().version > before


def test_save_refuses_and_keeps_what_was_typed(client, boss, shop):
    response = client.post(
        reverse(ADD), form(shop, **{"copies-0-accept_label": "Yes please", "name": "Kept"})
    )

    assert response.status_code == 200
    assert not Campaign.objects.exists()
    assert b"does not say that pressing it costs" in response.content
    assert b"Kept" in response.content


def test_save_warns_and_saves(client, boss, shop):
    response = client.post(reverse(ADD), form(shop, channels=None), follow=True)

    assert Campaign.objects.count() == 1
    assert b"runs nowhere" in response.content


def test_words_of_staff_are_escaped_everywhere(client, boss, shop):
    campaign = factories.campaign(shop["DT"], shop["W1"], name=XSS, note=XSS)
    campaign.copies.create(language="en", headline=XSS, body=XSS)
    for address in (
        reverse(LIST),
        reverse("admin:upsell_campaign_change", args=[campaign.pk]),
        reverse("admin:upsell_campaign_history", args=[campaign.pk]),
        reverse("admin:upsell_campaign_preview", args=[campaign.pk]),
        reverse("admin:upsell_campaign_why") + "?order=1",
    ):
        response = client.get(address)
        assert response.status_code == 200, address
        assert b"<script>alert(1)" not in response.content, address


def test_list_costs_the_same_for_fifty(client, boss, shop, django_assert_max_num_queries):
    factories.campaign(shop["DT"], shop["W1"])
    with django_assert_max_num_queries(30) as one:
        client.get(reverse(LIST))
    for _ in range(49):
        factories.campaign(shop["DT"], shop["W1"])
    with django_assert_max_num_queries(30) as fifty:
        client.get(reverse(LIST))
    assert len(fifty) == len(one)


def test_why_names_winner_and_losers(client, boss, shop):
    winner = factories.campaign(shop["DT"], shop["W1"], name="Wins")
    factories.campaign(shop["IN"], shop["DR"], name="Loses")
    order = factories.order(shop)

    response = client.get(reverse("admin:upsell_campaign_why"), {"order": str(order.pk)})

    outcome = {row["campaign"].id: row["won"] for row in response.context["verdicts"]}
    assert outcome[winner.pk] is True
    assert b"does not contain what triggers" in response.content


def test_picker_searches_the_shop(client, boss, shop):
    address = reverse("admin:upsell_campaign_choices")

    response = client.get(address, {"field_name": "product", "term": "W1"})

    assert str(shop["W1"].pk) in [row["id"] for row in response.json()["results"]]


def test_duplicate_is_off_at_the_next_free_priority(client, boss, shop):
    campaign = factories.campaign(shop["DT"], shop["W1"])

    client.post(reverse(LIST), {"action": "duplicate", "_selected_action": [campaign.pk]})

    copy = Campaign.objects.exclude(pk=campaign.pk).get()
    assert (copy.status, copy.priority) == ("OFF", 20)
    assert copy.triggers.get().ref == str(shop["W1"].pk)


def test_withdraw_asks_first(client, boss, shop):
    campaign = factories.campaign(shop["DT"], shop["W1"])
    data = {"action": "withdraw_outstanding", "_selected_action": [campaign.pk]}

    assert b"cannot be undone" in client.post(reverse(LIST), data).content
    assert client.post(reverse(LIST), data | {"confirmed": "yes"}).status_code == 302


PAGES = [
    LIST, ADD, "admin:upsell_offer_changelist", "admin:upsell_decision_changelist",
    "admin:upsell_channelsettings_changelist", "admin:upsell_channelaccess_changelist",
    "admin:upsell_campaign_why", "admin:upsell_campaign_choices",
]  # fmt: skip


@pytest.mark.parametrize("screen", PAGES)
def test_superuser_sees_every_page(client, boss, shop, screen):
    assert client.get(reverse(screen)).status_code == 200


@pytest.mark.parametrize("screen", PAGES)
def test_stranger_is_sent_to_sign_in(client, shop, screen):
    response = client.get(reverse(screen))

    assert response.status_code == 302
    assert "login" in response["Location"]


@pytest.mark.parametrize(
    ("screen", "status"),
    [(LIST, 200), (ADD, 403), ("admin:upsell_campaign_why", 403),
     ("admin:upsell_offer_changelist", 403), ("admin:upsell_campaign_choices", 200)],
)  # fmt: skip
def test_viewer_may_only_look(client, shop, screen, status):
    user = User.objects.create_user("viewer", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_campaign"))
    client.force_login(user)

    assert client.get(reverse(screen)).status_code == status


def test_limited_staff_touch_their_channels_alone(client, boss, shop):
    ChannelAccess.objects.create(user=boss, channel="web")
    mine = factories.campaign(shop["DT"], shop["W1"])
    other = factories.campaign(shop["DT"], shop["W1"], channels=["shop2"], name="Not mine")
    both = factories.campaign(shop["DT"], shop["W1"], channels=["web", "shop2"])

    assert b"Not mine" not in client.get(reverse(LIST)).content
    change = "admin:upsell_campaign_change"
    assert client.get(reverse(change, args=[mine.pk])).status_code == 200
    assert client.get(reverse(change, args=[other.pk])).status_code == 302
    assert client.post(reverse(change, args=[both.pk]), form(shop)).status_code == 403
    preview = reverse("admin:upsell_campaign_preview", args=[other.pk])
    assert client.get(preview).status_code == 404


def test_import_shows_first_and_saves_then(client, boss, shop):
    made = factories.campaign(shop["DT"], shop["W1"])
    data = {"action": "export_json", "_selected_action": [made.pk]}
    text = client.post(reverse(LIST), data).content.decode().replace(made.slug, "fresh")
    address = reverse("admin:upsell_campaign_import")

    assert b"is added" in client.post(address, {"text": text}).content
    assert Campaign.objects.count() == 1
    assert client.post(address, {"text": text, "commit": "yes"}).status_code == 302
    assert Campaign.objects.filter(slug="fresh").exists()
