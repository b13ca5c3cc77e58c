"""What holds per sales channel: the master switch, what empty means, who changed it; and limits."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.utils import timezone

from tests import factories
from tests.admin.screens import offered, url
from upsell.exceptions import OfferNotAcceptable
from upsell.models import CampaignSet, ChannelAccess, ChannelSettings, Offer
from upsell.models.tokens import offer_token
from upsell.services import accepting, offering

pytestmark = pytest.mark.django_db(transaction=True)


def settings_form(**changes):
    data = {"channel": "web", "enabled": "on", "confirmation_mail": "unknown", "hold": "unknown",
            "holdout": "0"}  # fmt: skip
    return {key: value for key, value in (data | changes).items() if value is not None}


def test_the_master_switch_stops_new_offers_and_open_ones(client, boss, shop):
    factories.campaign(shop["DT"], shop["W1"])
    open_one = offered(shop)
    version = CampaignSet.objects.get().version

    response = client.post(url("channelsettings_add"), settings_form(channel="", enabled=None))

    assert response.status_code == 302
    assert CampaignSet.objects.get().version > version
    later = factories.order(shop)
    page = offering.offer_for(order_ref=str(later.pk), now=timezone.now(), show=True)
    assert (page.offer, page.decision.reason) == (None, "disabled")
    with pytest.raises(OfferNotAcceptable) as caught:
        accepting.accept(token=offer_token(open_one), quote_number=1, trusted=True, return_url="")
    assert caught.value.code == "withdrawn"
    assert Offer.objects.get().state == "SHOWN"


def test_a_row_for_one_channel_goes_before_the_row_for_all(client, boss, shop):
    factories.campaign(shop["DT"], shop["W1"])
    client.post(url("channelsettings_add"), settings_form(channel="", enabled=None))
    client.post(url("channelsettings_add"), settings_form(channel="web"))

    assert offered(shop).state == "SHOWN"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        pytest.param([], "Offers are on wherever no row below", id="no row"),
        pytest.param([("", False)], "Offers are off wherever no row below", id="off for all"),
        pytest.param([("web", False)], "Offers are on wherever no row below", id="off for one"),
    ],
)
def test_the_list_says_whether_offers_are_on(client, boss, shop, rows, told):
    for channel, enabled in rows:
        ChannelSettings.objects.create(channel=channel, enabled=enabled)

    page = client.get(url("channelsettings_changelist")).content.decode()

    assert told in page
    assert ("the settings of your developers hold" in page) is (rows != [("", False)])


def test_each_field_says_what_empty_means(client, boss, shop, settings):
    settings.UPSELL_OFFER_LIFETIME = timedelta(minutes=45)
    settings.UPSELL_CONFIRMATION_MAIL = False
    settings.UPSELL_STAFF_EMAIL = "desk@example.org"
    settings.UPSELL_POSTAL_ADDRESS = "Shop Ltd\n1 Street"

    form = client.get(url("channelsettings_add")).context["adminform"].form

    helps = {name: str(field.help_text) for name, field in form.fields.items()}
    assert all(helps.values())
    assert "00:45:00" in helps["validity"]
    assert helps["confirmation_mail"].endswith("Empty: no.")
    assert "desk@example.org" in helps["staff_address"]
    assert helps["postal_address"].endswith("Empty: Shop Ltd, 1 Street.")
    assert helps["quiet_email_from"].endswith("Empty: none.")
    assert helps["quiet_sms_from"].endswith("Empty: 21:00–09:00.")
    assert [str(text) for _code, text in form.fields["channel"].widget.choices] == [
        "all channels", "Web",
    ]  # fmt: skip


def test_a_change_is_kept_with_before_and_after(client, boss, shop, caplog):
    row = ChannelSettings.objects.create(channel="web", sender="old@example.org")
    changed = settings_form(enabled=None, validity="01:00:00", sender="new@example.org")

    with caplog.at_level(logging.INFO, logger="upsell"):
        client.post(url("channelsettings_change", row.pk), changed)

    entry = LogEntry.objects.get()
    assert entry.user == boss
    assert entry.get_change_message() == (
        "Offers on: yes → no; Validity: – → 1:00:00; Sender: … → …"
    )
    assert (
        entry.get_change_message()
        in client.get(url("channelsettings_history", row.pk)).content.decode()
    )
    assert "'Offers on': ('yes', 'no')" in caplog.text
    assert "example.org" not in caplog.text


@pytest.mark.parametrize(
    ("hours", "faults"),
    [
        pytest.param({"from": "20:00", "until": "08:00"}, set(), id="over midnight"),
        pytest.param({"from": "00:00", "until": "00:00"}, set(), id="never"),
        pytest.param({}, set(), id="as in the settings"),
        pytest.param({"from": "20:00"}, {"quiet_email_until"}, id="without an end"),
        pytest.param({"until": "08:00"}, {"quiet_email_from"}, id="without a beginning"),
        pytest.param({"from": "late", "until": "08:00"}, {"quiet_email_from"}, id="no time"),
    ],
)
def test_quiet_hours_begin_and_end(client, boss, shop, hours, faults):
    told = {f"quiet_email_{end}": value for end, value in hours.items()}

    response = client.post(url("channelsettings_add"), settings_form(**told))

    if faults:
        assert set(response.context["adminform"].form.errors) == faults
        assert not ChannelSettings.objects.exists()
    else:
        row = ChannelSettings.objects.get()
        kept = [row.quiet_email_from, row.quiet_email_until]
        assert [value and f"{value:%H:%M}" for value in kept] == [
            hours.get("from"), hours.get("until"),
        ]  # fmt: skip
        assert (row.quiet_sms_from, row.quiet_sms_until) == (None, None)


def test_settings_that_cannot_be_read_do_not_keep_the_form_from_opening(
    client, boss, shop, settings
):
    settings.UPSELL_QUIET_HOURS = {"sms": "late"}

    assert client.get(url("channelsettings_add")).status_code == 200


def test_a_channel_has_one_row(client, boss, shop):
    ChannelSettings.objects.create(channel="web")

    response = client.post(url("channelsettings_add"), settings_form(holdout="7"))

    assert "channel" in response.context["adminform"].form.errors
    assert response.context["adminform"].form["holdout"].value() == "7"


def test_staff_are_limited_by_name_and_channel(client, boss, shop):
    user = User.objects.create_user("greta", is_staff=True)

    client.post(url("channelaccess_add"), {"user": user.pk, "channel": "web"})
    page = client.get(url("channelaccess_changelist")).content.decode()

    assert ChannelAccess.objects.get().channel == "web"
    assert "greta" in page
    assert "Web" in page


def test_users_are_searched_where_the_site_lists_them_and_typed_elsewhere(client, boss, shop):
    page = client.get(url("channelaccess_add")).content.decode()

    assert "admin-autocomplete" in page


def test_who_may_not_see_users_types_the_number(client, shop, signed_in):
    signed_in("add_channelaccess")

    page = client.get(url("channelaccess_add")).content.decode()

    assert "vForeignKeyRawIdAdminField" in page
    assert "admin-autocomplete" not in page
