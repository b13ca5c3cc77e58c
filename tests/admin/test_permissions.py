"""Who may do what: by right, and by sales channel, on every screen and in every action."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from django.contrib.auth.models import User

from tests import factories
from tests.admin.screens import ADD, LIST, WRITES, act, form, offered, said, url
from upsell.models import Campaign, ChannelAccess, ChannelSettings, Offer, OfferEvent
from upsell.services import campaign_files

pytestmark = pytest.mark.django_db


@pytest.fixture
def everything(shop):
    """One row of each, so that every screen has something to show."""
    campaign = factories.campaign(shop["DT"], shop["W1"])
    offer = offered(shop)
    settings = ChannelSettings.objects.create(channel="web")
    return {
        "list": url(LIST),
        "add": url(ADD),
        "change": url("campaign_change", campaign.pk),
        "delete": url("campaign_delete", factories.campaign(shop["CA"], shop["W2"]).pk),
        "history": url("campaign_history", campaign.pk),
        "preview": url("campaign_preview", campaign.pk),
        "frame": url("campaign_frame", campaign.pk),
        "real order": url("campaign_preview", campaign.pk) + f"?order={offer.order_ref}",
        "first": url("campaign_first"),
        "steps": url("campaign_steps", campaign.pk),
        "import": url("campaign_import"),
        "why": url("campaign_why") + f"?order={offer.order_ref}",
        "pickers": url("campaign_choices"),
        "desk": url("desk_changelist") + f"?order={offer.order_ref}",
        "offers": url("offer_changelist"),
        "offer": url("offer_change", offer.pk),
        "events": url("offerevent_changelist"),
        "decisions": url("decision_changelist"),
        "decision": url("decision_change", offer.decision_id),
        "settings": url("channelsettings_changelist"),
        "one settings": url("channelsettings_change", settings.pk),
        "access": url("channelaccess_changelist"),
    }


LOOKS = {"list", "change", "history", "pickers"}
WRITTEN = LOOKS | {"add", "delete", "preview", "frame", "first", "steps", "import"}


@pytest.mark.parametrize(
    ("rights", "open_to"),
    [
        pytest.param(["view_campaign"], LOOKS, id="may look"),
        pytest.param(["view_campaign", "simulate_campaign"],
                     LOOKS | {"why", "preview", "frame", "real order"}, id="may simulate"),
        pytest.param(["view_campaign", "change_campaign"],
                     LOOKS | {"preview", "frame", "steps"}, id="may change"),
        pytest.param(["view_campaign", "add_campaign"], LOOKS | {"add", "first"},
                     id="may add"),
        pytest.param(WRITES, WRITTEN, id="writes"),
        pytest.param([*WRITES, "simulate_campaign"], WRITTEN | {"why", "real order"},
                     id="writes and simulates"),
        pytest.param(["view_offer"], {"offers", "offer", "events"}, id="looks at offers"),
        pytest.param(["view_desk"], {"desk"}, id="is at the desk"),
        pytest.param(["view_decision"], {"decisions", "decision"}, id="looks at decisions"),
        pytest.param(["change_channelsettings"], {"settings", "one settings"}, id="settings"),
        pytest.param(["view_channelaccess"], {"access"}, id="access"),
        pytest.param([], set(), id="no right at all"),
    ],
)  # fmt: skip
def test_each_right_opens_its_screens_and_no_other(client, everything, signed_in, rights, open_to):
    signed_in(*rights)

    answers = {name: client.get(address).status_code for name, address in everything.items()}

    assert {name for name, status in answers.items() if status == 200} == open_to
    assert set(answers.values()) <= {200, 403}


def test_a_superuser_sees_every_screen(client, everything, boss):
    answers = {name: client.get(address).status_code for name, address in everything.items()}

    assert set(answers.values()) == {200}


def test_a_stranger_is_sent_to_sign_in(client, everything):
    for name, address in everything.items():
        response = client.get(address)
        assert response.status_code == 302, name
        assert "/login/" in response["Location"], name


def test_who_may_only_look_runs_no_action(client, shop, signed_in):
    """The actions are not offered, and sending one nevertheless changes nothing."""
    campaign = factories.campaign(shop["DT"], shop["W1"])
    signed_in("view_campaign")

    page = client.get(url(LIST))
    for action in ("duplicate", "withdraw_outstanding", "export_json", "export_csv",
                   "delete_selected"):  # fmt: skip
        response = act(client, action, campaign, confirmed="yes", post="yes")
        assert "attachment" not in response.get("Content-Disposition", "")
    stays = {"file": "", "text": campaign_files.as_json([campaign]), "commit": "yes"}

    assert page.context["action_form"] is None
    assert Campaign.objects.count() == 1
    assert client.post(url("campaign_import"), stays).status_code == 403
    assert client.post(url("campaign_steps", campaign.pk), {"step": "off"}).status_code == 403
    assert client.post(url("campaign_change", campaign.pk), form(shop)).status_code == 403
    campaign.refresh_from_db()
    assert (campaign.name, campaign.status) == ("Campaign 0", "LIVE")


def test_who_may_only_look_reads_it_in_words(client, shop, signed_in):
    campaign = factories.campaign(shop["DT"], shop["W1"], bounds={"EUR": ["10.00", None]})
    signed_in("view_campaign")

    page = client.get(url("campaign_change", campaign.pk)).content.decode()

    assert "at least €10.00" in page
    assert "{&quot;EUR" not in page
    assert 'name="name"' not in page


def test_each_action_needs_its_own_right(client, shop, signed_in):
    campaign = factories.campaign(shop["DT"], shop["W1"])
    signed_in("view_campaign", "withdraw_campaign")

    offered_actions = [name for name, _text in client.get(url(LIST)).context["action_form"]
                       .fields["action"].choices if name]  # fmt: skip

    assert offered_actions == ["withdraw_outstanding"]
    assert act(client, "withdraw_outstanding", campaign).status_code == 200


def test_who_writes_campaigns_writes_their_child_rows(client, shop, signed_in):
    """Triggers, exclusions and words have rights of their own in Django; nobody gives those."""
    signed_in("view_campaign", "add_campaign", "change_campaign")

    assert client.post(url(ADD), form(shop)).status_code == 302
    campaign = Campaign.objects.get()
    assert (campaign.triggers.count(), campaign.copies.count()) == (1, 1)


# ------------------------------------------------------------------ limited to channels

ALL = (*WRITES, "withdraw_campaign", "simulate_campaign", "view_offer", "view_decision",
       "view_channelsettings", "change_channelsettings", "add_channelsettings",
       "view_channelaccess", "add_channelaccess", "change_channelaccess")  # fmt: skip


@pytest.fixture
def two_shops(shop, signed_in):
    """Somebody who may do everything in channel "other", and rows of both channels."""
    rows = {
        "mine": factories.campaign(shop["CA"], shop["W1"], name="Mine", channels=["other"]),
        "theirs": factories.campaign(shop["DT"], shop["W1"], name="Theirs"),
        "both": factories.campaign(shop["CA"], shop["W1"], name="Both",
                                   channels=["web", "other"], priority=5),
        "nowhere": factories.campaign(shop["CA"], shop["W1"], name="Nowhere", channels=[]),
    }  # fmt: skip
    rows["offer"] = offered(shop)
    ChannelSettings.objects.create(channel="web")
    ChannelSettings.objects.create(channel="")
    ChannelSettings.objects.create(channel="other")
    signed_in(*ALL, channels=("other",))
    return rows


def test_limited_staff_see_and_change_the_campaigns_of_their_channels(client, shop, two_shops):
    page = client.get(url(LIST))

    names = {row.name for row in page.context["cl"].result_list}
    assert names == {"Mine", "Both", "Nowhere"}
    opened = {name: client.get(url("campaign_change", two_shops[name].pk)).status_code
              for name in ("mine", "theirs", "both", "nowhere")}  # fmt: skip
    assert opened == {"mine": 200, "theirs": 302, "both": 200, "nowhere": 200}
    for name, status in (("both", 403), ("theirs", 302)):
        for screen in ("campaign_change", "campaign_delete"):
            response = client.post(url(screen, two_shops[name].pk), form(shop, post="yes"))
            assert response.status_code == status, (name, screen)
    for screen in ("campaign_preview", "campaign_frame", "campaign_steps"):
        assert client.get(url(screen, two_shops["theirs"].pk)).status_code == 404, screen
    assert client.get(url("campaign_steps", two_shops["both"].pk)).status_code == 403
    assert client.get(url("campaign_history", two_shops["theirs"].pk)).status_code == 302


def test_limited_staff_choose_among_their_channels_alone(client, shop, two_shops):
    refused = client.post(url(ADD), form(shop, channels=["web"]))
    picked = client.get(url("campaign_choices"), {"field_name": "channel", "term": ""})

    assert refused.context["adminform"].form.errors["channels"]
    assert picked.json()["results"] == []
    assert not Campaign.objects.filter(slug="detergent").exists()


def test_limited_staff_act_on_their_campaigns_alone(client, shop, two_shops):
    chosen = [two_shops[name] for name in ("mine", "both", "theirs")]

    duplicated = client.get(act(client, "duplicate", *chosen)["Location"])
    told = said(duplicated)
    withdrawn = act(client, "withdraw_outstanding", *chosen, confirmed="yes")
    deleted = act(client, "delete_selected", two_shops["both"], post="yes")
    exported = act(client, "export_json", *chosen)

    assert "Left alone, since they run in sales channels that are not yours: Both." in told
    assert set(Campaign.objects.filter(name__endswith="(copy)").values_list("name", flat=True)) == {
        "Mine (copy)"
    }
    assert withdrawn.status_code == 302
    assert Offer.objects.get().state == "SHOWN"
    assert deleted.status_code in (200, 403)
    assert Campaign.objects.filter(name="Both").exists()
    assert {row["name"] for row in json.loads(exported.content)} == {"Mine", "Both"}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        pytest.param({"slug": "new", "name": "New", "channels": ["web"]}, "web", id="a new one"),
        pytest.param({"slug": "theirs", "name": "Taken over"}, "Theirs", id="one of theirs"),
        pytest.param({"slug": "mine", "channels": ["web"]}, "web", id="moved away"),
    ],
)
def test_limited_staff_import_into_their_channels_alone(client, shop, two_shops, row, told):
    for name in ("mine", "theirs"):
        Campaign.objects.filter(pk=two_shops[name].pk).update(slug=name)
    before = campaign_files.as_json(Campaign.objects.order_by("pk"))

    response = client.post(url("campaign_import"), {"text": json.dumps([row]), "commit": "yes"})

    assert told in response.context["error"]
    assert campaign_files.as_json(Campaign.objects.order_by("pk")) == before


def test_limited_staff_look_at_their_offers_decisions_and_orders_alone(client, shop, two_shops):
    offer = two_shops["offer"]

    for screen in ("offer", "offerevent", "decision"):
        page = client.get(url(f"{screen}_changelist"))
        assert list(page.context["cl"].result_list) == [], screen
        assert "Theirs" not in page.content.decode(), screen
    assert client.get(url("offer_change", offer.pk)).status_code == 302
    assert client.get(url("decision_change", offer.decision_id)).status_code == 302
    why = client.get(url("campaign_why"), {"order": offer.order_ref})
    unknown = client.get(url("campaign_why"), {"order": "999"})
    assert why.context["error"] == unknown.context["error"].replace("999", offer.order_ref)
    lately = client.get(url("campaign_why"))
    assert lately.context["recent"] == []
    seen = client.get(url("campaign_preview", two_shops["mine"].pk), {"order": offer.order_ref})
    assert seen.context["problem"]
    framed = client.get(url("campaign_frame", two_shops["mine"].pk), {"order": offer.order_ref})
    assert framed.status_code == 403


def test_limited_staff_edit_their_settings_and_nobodys_limits(client, shop, two_shops):
    page = client.get(url("channelsettings_changelist"))

    rows = list(page.context["cl"].result_list)
    assert [row.channel for row in rows] == ["other"]
    assert client.get(url("channelsettings_add")).status_code == 403
    change = url("channelsettings_change", rows[0].pk)
    sent = {"channel": "web", "confirmation_mail": "unknown", "hold": "unknown", "holdout": "0"}
    assert client.post(change, sent).status_code == 302
    rows[0].refresh_from_db()
    assert (rows[0].channel, rows[0].enabled) == ("other", False)
    assert client.get(url("channelaccess_add")).status_code == 403
    assert list(client.get(url("channelaccess_changelist")).context["cl"].result_list) == []


# ------------------------------------------------------------------ cost, and what is read when


def test_the_admin_is_read_before_any_setting_of_ours():
    """A class that read a setting while being built could not be configured by a test or a host."""
    program = (
        "import django, tests.settings as s\n"
        "from django.conf import settings\n"
        "settings.configure(**{name: getattr(s, name) for name in dir(s)"
        " if name.isupper() and not name.startswith('UPSELL_')})\n"
        "django.setup()\n"
        "import upsell.admin\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, check=False
    )

    assert found.returncode == 0, found.stderr


def _one_more(screen, shop, number):
    """Add a row to a list, each of another product, channel and member of staff."""
    user = User.objects.create_user(f"user{number}", is_staff=True)
    if screen == LIST:
        products = list(shop.values())
        row = factories.campaign(products[number % 6], shop["W2"], priority=100 + number)
        Campaign.objects.filter(pk=row.pk).update(channels=["web", f"c{number}"])
    elif screen == "channelsettings_changelist":
        ChannelSettings.objects.create(channel=f"c{number}")
    elif screen == "channelaccess_changelist":
        ChannelAccess.objects.create(user=user, channel=f"c{number}")
    else:
        offer = offered(shop)
        OfferEvent.objects.create(
            offer=offer, kind="revoked", at=offer.created_at, actor=f"staff:{user.pk}"
        )


@pytest.mark.parametrize(
    "screen",
    [LIST, "offer_changelist", "offerevent_changelist", "decision_changelist",
     "channelsettings_changelist", "channelaccess_changelist"],
)  # fmt: skip
def test_a_list_costs_the_same_for_fifty_rows(
    client, boss, shop, django_assert_max_num_queries, screen
):
    factories.campaign(shop["DT"], shop["W1"])

    def cost():
        client.get(url(screen))  # compiled campaigns are kept from here on
        with django_assert_max_num_queries(40) as asked:
            page = client.get(url(screen))
        return page.context["cl"].result_count, len(asked)

    _one_more(screen, shop, 0)
    few, cost_of_few = cost()
    for number in range(1, 50):
        _one_more(screen, shop, number)
    many, cost_of_many = cost()

    assert many >= few + 49
    assert cost_of_many == cost_of_few
