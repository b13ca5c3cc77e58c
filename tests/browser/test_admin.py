"""The admin in a real browser: pages for everybody, on a phone too, and pickers that pick."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from tests import factories
from tests.admin.screens import offered
from tests.browser.admin_pages import SHOP, Staff, findings
from upsell.models import Campaign, ChannelAccess, ChannelSettings, Offer
from upsell.services import campaign_files, campaigns, offering


@pytest.fixture(scope="module")
def window(chromium):
    """The browser that all tests of this folder share."""
    return chromium


@pytest.fixture(scope="module")
def address(django_db_setup):
    with override_settings(**SHOP):
        running = LiveServer("127.0.0.1")
        yield running.url
        running.stop()


@pytest.fixture
def shop(window, address, transactional_db):
    return factories.catalogue()


@pytest.fixture
def staff(window, address, shop):
    """Make a window of somebody who may do everything; each must leave a clean console."""
    boss = User.objects.create_superuser("boss", "boss@example.org", "x")
    made: list[Staff] = []

    def arrives(**options) -> Staff:
        made.append(Staff(window, address, boss, **options))
        return made[-1]

    yield arrives
    for one in made:
        one.leaves()
    assert [line for one in made for line in one.complaints] == []


# ------------------------------------------------------------------ every page of ours


@pytest.fixture
def rows(shop):
    """Something to show on every page: a winner, a loser, an answer, and trouble."""
    won = factories.campaign(shop["DT"], shop["W1"], name="Detergent with a machine", priority=20)
    won.copies.create(language="en", headline="Clean clothes", body="Mild.", benefits=["Soft"])
    won.copies.create(language="de", headline="Saubere Wäsche")
    for options in ({"status": "OFF"}, {"channels": []}, {"valid_until": timezone.now()}):
        factories.campaign(shop["CA"], shop["W2"], name=f"Also {options}"[:60], **options)
    campaigns.save_campaign(slug=won.slug, bounds={"EUR": ["10.00", None]})
    offer, troubled = offered(shop), offered(shop)
    Offer.objects.filter(pk=troubled.pk).update(state="NEEDS_ATTENTION")
    nothing = factories.order(shop, ("CA", 1))
    offering.offer_for(order_ref=str(nothing.pk), now=timezone.now(), show=True)
    ChannelSettings.objects.create(channel="web")
    ChannelAccess.objects.create(user=User.objects.create_user("greta"), channel="web")
    return {"won": won, "offer": offer, "troubled": troubled, "nothing": nothing}


def _wrong(staff, rows):
    staff.opens("campaign_add")
    staff.page.fill("#id_bounds", "EUR 100 - 10")
    staff.page.locator("input[name=_save]").first.click()
    staff.page.locator(".errornote").wait_for()


def _looked_at(staff, rows):
    told = campaign_files.export_([rows["won"]])
    told[0]["priority"] = 77
    told += [told[0] | {"slug": "fresh"}, told[0] | {"slug": "bad", "percent": "120"}]
    staff.opens("campaign_import")
    raw = {"name": "c.json", "mimeType": "application/json", "buffer": json.dumps(told).encode()}
    staff.page.set_input_files("#upsell-file", raw)
    staff.page.get_by_role("button", name="Look at it").click()
    staff.page.get_by_role("heading", name="What it would do").wait_for()


def _withdrawing(staff, rows):
    staff.opens("campaign_changelist")
    staff.page.locator(f"input.action-select[value='{rows['won'].pk}']").check()
    staff.page.select_option("select[name=action]", "withdraw_outstanding")
    staff.page.locator("button[name=index]").click()
    staff.page.get_by_role("button", name="Withdraw them").wait_for()


def _empty_list(staff, rows):
    # To somebody with another channel, the list of a shop is as empty as a new one.
    Campaign.objects.filter(offers=None).delete()
    boss = User.objects.get(username="boss")
    ChannelAccess.objects.get_or_create(user=boss, channel="elsewhere")
    staff.opens("campaign_changelist")
    staff.page.get_by_role("heading", name="Your first campaign").wait_for()


def _page(name, *keys, query=""):
    def go(staff, rows):
        args = [rows[key].pk for key in keys]
        staff.opens(name, *args, query=query.format(**{k: v.pk for k, v in rows.items()}))

    return go


PAGES = {
    "list, empty": _empty_list,
    "list": _page("campaign_changelist"),
    "add": _page("campaign_add"),
    "add, wrong": _wrong,
    "change": _page("campaign_change", "won"),
    "history": _page("campaign_history", "won"),
    "preview": _page("campaign_preview", "won"),
    "first": _page("campaign_first"),
    "steps": _page("campaign_steps", "won"),
    "import": _page("campaign_import"),
    "import, looked at": _looked_at,
    "withdraw": _withdrawing,
    "why": _page("campaign_why"),
    "why, no such order": _page("campaign_why", query="?order=nonsense"),
    "why, nothing": _page("campaign_why", query="?order={nothing}"),
    "offers": _page("offer_changelist"),
    "offer": _page("offer_change", "offer"),
    "offer in trouble": _page("offer_change", "troubled"),
    "events": _page("offerevent_changelist"),
    "decisions": _page("decision_changelist"),
    "settings": _page("channelsettings_changelist"),
    "settings, add": _page("channelsettings_add"),
    "access": _page("channelaccess_changelist"),
    "access, add": _page("channelaccess_add"),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_for_everybody_at_every_width(staff, axe, rows, name):
    """axe finds nothing, a phone shows it without sideways scroll, and no console complains."""
    told = {}
    for width, scheme in ((1280, "light"), (390, "dark")):
        one = staff(width=width, scheme=scheme)
        PAGES[name](one, rows)
        told[width, scheme] = findings(axe, one.page)
        assert one.scrolls_sideways() == 0, (width, scheme)
    assert told == {key: [] for key in told}


def test_why_an_order_was_offered_that_is_for_everybody_and_printed_whole(staff, axe, rows):
    told = {}
    for width, scheme in ((1280, "light"), (390, "dark")):
        one = staff(width=width, scheme=scheme)
        one.opens("campaign_why", query=f"?order={rows['offer'].order_ref}")
        told[width, scheme] = findings(axe, one.page)
        assert one.scrolls_sideways() == 0
    hidden = one.page.locator("details td", has_text="switched off")
    before = hidden.is_visible()
    one.page.emulate_media(media="print")

    assert told == {key: [] for key in told}
    assert (before, hidden.is_visible()) == (False, True)
    assert not one.page.locator("#upsell-order").is_visible()


# ------------------------------------------------------------------ writing a campaign


def test_pickers_search_the_shop_and_what_is_picked_is_saved(staff, shop):
    one = staff()
    one.opens("campaign_add")
    page = one.page
    page.fill("#id_name", "Detergent with a machine")
    page.select_option("#id_kind", "CROSS_SELL")
    one.picks("#id_product_ref", "dt", "DT")
    page.select_option("#id_triggers-0-kind", "CATEGORY")
    one.picks("#id_triggers-0-ref", "mach", "Machines")
    page.get_by_text("Add another Trigger").click()
    page.select_option("#id_triggers-1-kind", "PRODUCT")
    one.picks("#id_triggers-1-ref", "w1", "W1")
    one.picks("#id_countries", "ger", "Germany")
    page.locator("input[name=_save]").first.click()
    page.locator(".messagelist").wait_for()

    made = Campaign.objects.get()
    assert (made.slug, made.product_ref) == ("detergent-with-a-machine", str(shop["DT"].pk))
    assert sorted(made.triggers.values_list("kind", "ref")) == [
        ("CATEGORY", "machines"), ("PRODUCT", str(shop["W1"].pk)),
    ]  # fmt: skip
    assert (made.countries, made.groups, made.payment_methods) == (["DE"], [], [])


def test_another_kind_of_trigger_forgets_what_was_picked(staff, shop):
    one = staff()
    one.opens("campaign_add")
    one.page.select_option("#id_triggers-0-kind", "PRODUCT")
    one.picks("#id_triggers-0-ref", "w1", "W1")

    one.page.select_option("#id_triggers-0-kind", "BRAND")

    assert one.page.locator("#id_triggers-0-ref").input_value() == ""
    one.page.select_option("#id_triggers-0-kind", "ALWAYS")
    assert one.page.locator("#id_triggers-0-ref").is_disabled()


def test_fields_that_nothing_reads_step_aside_and_come_back(staff, shop):
    one = staff()
    one.opens("campaign_add")

    def seen():
        names = ("percent", "amounts", "product_map", "shipping_flat", "from_regular")
        return {name for name in names if one.page.locator(f".field-{name}").is_visible()}

    told = [seen()]
    for field, value in (("rule", "PERCENT"), ("rule", "FIXED"), ("offer_by", "MAP"),
                         ("shipping", "FLAT"), ("rule", "LIST")):  # fmt: skip
        one.page.select_option(f"#id_{field}", value)
        told.append(seen())

    assert told == [
        set(), {"percent", "from_regular"}, {"amounts"}, {"amounts", "product_map"},
        {"amounts", "product_map", "shipping_flat"}, {"product_map", "shipping_flat"},
    ]  # fmt: skip


def test_a_field_with_an_error_is_never_hidden(staff, shop):
    one = staff()
    one.opens("campaign_add")
    one.page.fill("#id_name", "Wrong")
    one.page.select_option("#id_rule", "FIXED")
    one.page.fill("#id_amounts", "twelve euros")
    one.page.locator("input[name=_save]").first.click()
    one.page.locator(".errornote").wait_for()
    one.page.select_option("#id_rule", "LIST")

    assert one.page.locator(".field-amounts .errorlist").is_visible()
    assert one.page.locator("#id_amounts").input_value() == "twelve euros"
    assert one.page.locator("#id_name").input_value() == "Wrong"


def test_without_a_script_every_field_is_there(staff, shop):
    one = staff(script=False)
    one.opens("campaign_add")

    for name in ("percent", "amounts", "product_map", "shipping_flat", "quantity"):
        assert one.page.locator(f".form-row.field-{name}").is_visible(), name


# ------------------------------------------------------------------ the first campaign


def test_the_first_campaign_from_an_empty_list_to_live(staff, shop):
    factories.order(shop)
    one = staff(width=390)
    page = one.page
    one.opens("campaign_changelist")
    page.get_by_role("link", name="Begin").click()
    one.picks("#id_bought", "w1", "W1")
    one.picks("#id_offered", "dt", "DT")
    page.get_by_label("What you would say").fill("Clean clothes")
    page.get_by_role("button", name="Write it, switched off").click()
    page.get_by_text("When an order in Web contains W1, offer DT in addition").wait_for()
    page.get_by_role("link", name="Show me").click()
    shown = page.frame_locator("iframe")
    shown.get_by_text("Clean clothes").wait_for()
    page.go_back()
    page.get_by_role("button", name="Switch it to staff only").click()
    page.get_by_text("Staff see it now").wait_for()
    page.get_by_role("button", name="Go live").click()
    page.get_by_text("It is live: the next order that fits").wait_for()

    assert Campaign.objects.get().status == "LIVE"


def test_nothing_can_be_pressed_in_the_preview(staff, shop):
    factories.order(shop)
    campaign = factories.campaign(shop["DT"], shop["W1"])
    one = staff()
    one.opens("campaign_preview", campaign.pk)
    shown = one.page.frame_locator("iframe")
    pay = shown.get_by_role("button", name="€12.00")
    coloured = pay.evaluate("element => getComputedStyle(element).backgroundColor")

    pay.click()

    assert coloured not in ("rgba(0, 0, 0, 0)", "rgb(239, 239, 239)")  # the shop's own style is on
    assert pay.is_visible()
    assert not Offer.objects.exists()
    # What the browser says of it: the form was stopped, and so was what this test ran in there.
    stopped, one.complaints = one.complaints, []
    said = {line.split(": ", 1)[1].split(" in '")[0].split(" to '")[0] for line in stopped}
    assert said == {"Blocked form submission", "Blocked script execution"}
