"""The admin in a real browser: pages for everybody, on a phone too, and pickers that pick."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from example_shop.models import Product
from tests import factories
from tests.admin.screens import offered
from tests.admin.test_experiments import begun, drafted, exposed
from tests.browser.admin_pages import findings
from tests.measuring import a_campaign, lived
from tests.standing import offer_in
from upsell.models import (
    Acceptance,
    Alarm,
    Attempt,
    BacktestRun,
    Campaign,
    CampaignCopy,
    ChannelAccess,
    ChannelSettings,
    Experiment,
    GatewayHealth,
    MessageTemplate,
    Offer,
    OrderFact,
    OrderLineFact,
)
from upsell.services import (
    backtest,
    campaign_files,
    campaigns,
    limiting,
    metrics,
    offering,
    ready_messages,
)

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
    offer, troubled = offered(shop), offer_in("NEEDS_ATTENTION", shop)
    nothing = factories.order(shop, ("CA", 1))
    offering.offer_for(order_ref=str(nothing.pk), now=timezone.now(), show=True)
    ChannelSettings.objects.create(channel="web")
    ChannelAccess.objects.create(user=User.objects.create_user("greta"), channel="web")
    draft = factories.campaign(shop["CA"], shop["W1"], name="A draft", priority=90, status="OFF",
                               bounds={"EUR": ["100", None]})  # fmt: skip
    return {"won": won, "draft": draft, "offer": offer, "troubled": troubled, "nothing": nothing}


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


def _at_the_desk(staff, rows):
    staff.opens("desk_changelist", query=f"?order={rows['offer'].order_ref}")
    staff.page.get_by_role("button", name="Send the link").wait_for()


def _at_the_desk_first(staff, rows):
    CampaignCopy.objects.get_or_create(
        campaign=rows["won"], language="en",
        defaults={"headline": "Less ironing, more evening", "body": "It irons while it dries.",
                  "benefits": ["Quiet at night", "A third less power", "Two years more"]},
    )  # fmt: skip
    placed = factories.order({row.sku: row for row in Product.objects.all()})
    staff.opens("desk_changelist", query=f"?order={placed.number}")
    staff.page.get_by_text("Looking now, the buyer would be offered this.").wait_for()


def _at_the_desk_in_trouble(staff, rows):
    staff.opens("desk_changelist", query=f"?order={rows['troubled'].order_ref}")


def _health_in_trouble(staff, rows):
    now = timezone.now()
    wait = limiting.Wait(limit="REFUSED", length=timedelta(hours=3))
    key = limiting.address_key("203.0.113.7")
    for offer in Offer.objects.all():
        limiting.note(offer, wait=wait, address=key, now=now)
    Attempt.objects.update(started_at=now - timedelta(hours=2))
    later = now + timedelta(hours=1)
    GatewayHealth.objects.update_or_create(
        gateway="card", defaults={"failures": 7, "open_until": later}
    )
    staff.opens("gatewayhealth_changelist")


def _results(staff, rows):
    now = timezone.now()
    tea, cup = a_campaign("tea"), a_campaign("cup")
    Campaign.objects.filter(pk=tea.pk).update(name="Descaler and filters with each coffee machine")
    for number in range(240):
        made = now - timedelta(hours=number * 3)
        state = ("ACCEPTED", "DECLINED", "SHOWN", "SHOWN", "REVERSED", "EXPIRED")[number * 7 % 6]
        lived(state, made=made, of=cup if number % 3 else tea, undo=bool(number % 2),
              line=f"{8 + number % 17}.90", arm="" if number % 5 else "b",
              currency="EUR" if number % 4 else "JPY")  # fmt: skip
    metrics.roll_up()
    staff.opens("dailymetric_changelist", query=rows.get("query", ""))
    for summary in staff.page.locator("details > summary").all():
        summary.click()


def _everything_of_results(staff, rows):
    """By who, with alarms and with profit of some."""
    _results(staff, {})
    now = timezone.now()
    tea, cup = Campaign.objects.get(slug="tea"), Campaign.objects.get(slug="cup")
    for at, device in enumerate(("phone", "tablet", "desktop")):
        Offer.objects.filter(pk__in=[row.pk for row in Offer.objects.all()[at::4]]).update(
            device=device
        )
    Acceptance.objects.filter(offer__campaign=tea).update(cost_net="4.20", replaced_cost_net=0)
    counts = {"hits": 45, "n": 60, "tripped_at": now, "looked_at": now}
    for number, (kind, of) in enumerate(
        (("refunds", tea), ("acceptance", cup), ("never_shown", rows["won"]), ("discount", cup))
    ):
        base = {"base_hits": 12, "base_n": 2400} if kind == "refunds" else {}
        told = {"kind": kind, "campaign": of, "channel": "web"} | counts | base
        Alarm.objects.update_or_create(key=f"{number}", defaults=told)
    metrics.roll_up(anew=True)
    staff.opens("dailymetric_changelist", query="?split=device")
    for summary in staff.page.locator("details > summary").all():
        summary.click()


def _timing(staff, rows):
    now = timezone.now()
    won = rows["won"]
    trigger = won.triggers.get().ref
    for number in range(60):
        made = now - timedelta(hours=number * 7)
        offer = lived(("ACCEPTED", "DECLINED", "SHOWN")[number % 3], made=made, of=won)
        for back, category, ref in (
            (90, "machines", trigger),
            (number, "supplies", won.product_ref),
        ):
            fact = OrderFact.objects.create(
                order_ref=offer.order_ref if category == "supplies" else f"x{offer.pk}",
                customer_key=f"u:{number}", placed_at=made - timedelta(minutes=7 * back**2),
                currency="EUR", net=10, channel="web",
            )  # fmt: skip
            OrderLineFact.objects.create(
                order_fact=fact, product_ref=ref, category_ref=category, quantity=1,
                net=10,
            )  # fmt: skip
    staff.opens("dailymetric_timing", query=f"?campaign={won.pk}")
    staff.page.get_by_role("rowheader", name="then Supplies").wait_for()


def _results_reversed(staff, rows):
    _results(staff, {"query": "?first=2026-11-20&last=2026-11-01"})
    staff.page.get_by_text("exchange the two dates").wait_for()


def _backtest(**state):
    def go(staff, rows):
        run = BacktestRun.objects.filter(live=1).first()
        run = run or backtest.start(days=30, campaign_id=rows["draft"].pk)
        if state:
            now = timezone.now()
            values = {"began_at": now, "beat_at": now, "looked_at": 412, "total": 1000}
            BacktestRun.objects.filter(pk=run.pk).update(state="RUNNING", **values | state)
        staff.opens("backtestrun_change", run.pk)

    return go


def _backtested(staff, rows):
    run = backtest.start(days=30, campaign_id=rows["draft"].pk)
    assert backtest.work(run_id=run.pk)
    staff.opens("backtestrun_change", run.pk)
    staff.page.get_by_role("heading", name="How often each would have been shown").wait_for()


def _experiment(state, page="change", **options):
    """One page of an experiment: a draft, read on any day, locked, or with a broken split."""

    def go(staff, rows):
        row = Experiment.objects.filter(slug="cheap").first()
        if row is None and state == "draft":
            row = drafted(rows["won"], question="Do more buyers take it at 10 % off?")
        elif row is None:
            row = begun(rows["won"], **options)
            counts = (1200, 900) if state == "broken" else (1200, 1210)
            exposed(row, counts=counts, accepted=(60, 118))
            Experiment.objects.filter(pk=row.pk).update(needed=2000)
        staff.opens(f"experiment_{page}", *([row.pk] if page != "changelist" else []))
        for summary in staff.page.locator(".upsell-page details > summary").all():
            summary.click()

    return go


def _experiment_wrong(staff, rows):
    staff.opens("experiment_add")
    staff.page.fill("#id_arms-0-weight", "120")
    staff.page.get_by_role("button", name="Save the draft").click()
    staff.page.locator(".errornote").wait_for()


def _message(page: str, query: str = "", *, wrong: bool = False):
    def show(staff, rows):
        row = MessageTemplate.objects.filter(slug="complement").first()
        row = row or ready_messages.copy("complement")
        keys = () if page in {"changelist", "add", "ready"} else (row.pk,)
        staff.opens(f"messagetemplate_{page}", *keys, query=query)
        if wrong:
            staff.page.fill("#id_letter-subject", "{nothing}")
            staff.page.locator("input[type=submit].default").click()
            staff.page.locator(".errornote").wait_for()

    return show


LONG_AGO = datetime(2026, 3, 2, 12, tzinfo=UTC)
PAGES = {
    "results": _results,
    "results, reversed": _results_reversed,
    "results, by who and with alarms": _everything_of_results,
    "timing": _timing,
    "timing, empty": _page("dailymetric_timing"),
    "results, empty": _page("dailymetric_changelist"),
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
    "why, a draft tried": _page("campaign_why", query="?order={nothing}&with={draft}"),
    "why not shown": _page("campaign_refusals", "won"),
    "in each other's way": _page("campaign_shadowing"),
    "experiments": _experiment("runs", page="changelist"),
    "experiment, to draft": _page("experiment_add"),
    "experiment, wrong": _experiment_wrong,
    "experiment, a draft": _experiment("draft"),
    "experiment, to change": _experiment("draft", page="edit"),
    "experiment, to start": _experiment("draft", page="start"),
    "experiment, any day": _experiment("runs"),
    "experiment, locked": _experiment("locked", reading="AT_THE_END"),
    "experiment, broken": _experiment("broken"),
    "experiment, to grow": _experiment("runs", page="grow"),
    "experiment, new phase": _experiment("runs", page="phase"),
    "experiment, fixed": _experiment("runs", page="edit"),
    "messages": _message("changelist"),
    "message, add": _message("add"),
    "messages, ready-made": _message("ready"),
    "message": _message("change"),
    "message, wrong": _message("change", wrong=True),
    "message, as the buyer gets it": _message("preview", query="?theme=dark&width=phone"),
    "message, plain": _message("preview", query="?part=text&language=de"),
    "message, to publish": _message("publish"),
    "backtests": _page("backtestrun_changelist"),
    "backtest, to start": _page("backtestrun_start", query="?with={draft}"),
    "backtest, waiting": _backtest(),
    "backtest, running": _backtest(looked_at=412),
    "backtest, dead": _backtest(beat_at=LONG_AGO),
    "backtest, done": _backtested,
    "offers": _page("offer_changelist"),
    "offer": _page("offer_change", "offer"),
    "offer in trouble": _page("offer_change", "troubled"),
    "queue": _page("offer_changelist", query="?attention=yes"),
    "ask again": _page("offer_ask", "troubled"),
    "give back": _page("offer_refund", "troubled"),
    "nothing to give back": _page("offer_refund", "offer"),
    "at the desk": _page("desk_changelist"),
    "at the desk, an offer": _at_the_desk,
    "at the desk, not looked at yet": _at_the_desk_first,
    "at the desk, nothing": _page("desk_changelist", query="?order={nothing}"),
    "at the desk, no such order": _page("desk_changelist", query="?order=nonsense"),
    "at the desk, in trouble": _at_the_desk_in_trouble,
    "health": _page("gatewayhealth_changelist"),
    "health, in trouble": _health_in_trouble,
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
    hidden = one.page.locator("details td", has_text="switched off").first
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


# ------------------------------------------------------------------ an experiment


def test_an_experiment_from_a_draft_to_its_start(staff, rows):
    one = staff(width=390)
    page = one.page
    one.opens("experiment_changelist")
    page.get_by_role("link", name="Add experiment").click()
    page.get_by_label("Name").fill("A cheaper detergent")
    page.get_by_label("Expected in the control").fill("5")
    page.get_by_label("Smallest difference worth finding").fill("1")
    for number in (0, 1):
        page.select_option(f"#id_arms-{number}-campaign", str(rows["won"].pk))
    page.locator(".upsell-arm summary").nth(1).click()
    page.select_option("#id_arms-1-rule", "PERCENT")
    page.fill("#id_arms-1-percent", "10")
    page.get_by_role("button", name="Save the draft").click()
    page.get_by_text("each arm needs 8,143 buyers").wait_for()
    page.get_by_role("link", name="Start it").click()
    page.get_by_role("button", name="Start it").click()
    page.get_by_text("It runs: from now on buyers are in its arms.").wait_for()

    assert Experiment.objects.get().state == "RUNNING"


# ------------------------------------------------------------------ a backtest


def test_a_backtest_is_watched_without_a_script_until_it_is_done(staff, rows):
    """The page looks again by itself: it was waiting, and a worker took it up meanwhile."""
    one = staff(script=False, width=390)
    one.opens("campaign_change", rows["draft"].pk)
    one.page.get_by_role("link", name="Try it on past orders").click()
    one.page.get_by_label("Orders of the last").fill("7")
    one.page.get_by_role("button", name="Start").click()
    one.page.get_by_text("It waits for a worker").wait_for()

    assert backtest.work()

    one.page.get_by_role("heading", name="How often each would have been shown").wait_for()
    assert one.page.get_by_role("button", name="Cancel it").count() == 0


def test_a_backtest_is_cancelled(staff, rows):
    one = staff()
    _backtest(looked_at=412)(one, rows)
    bar = one.page.get_by_role("progressbar", name="412 of 1000 orders looked at")
    assert bar.get_attribute("value") == "41"

    one.page.get_by_role("button", name="Cancel it").click()

    one.page.get_by_text("It is being cancelled.").wait_for()


def test_a_message_is_written_by_its_buttons_with_a_script_and_without(staff, rows):
    for script in (True, False):
        row = ready_messages.copy("thank-you")
        one = staff(script=script)
        one.opens("messagetemplate_change", row.pk)
        one.page.get_by_role("button", name="+ Text").click()
        one.page.fill("#id_block-5-text", "See you soon.")
        one.page.get_by_role("button", name="Move block 6 up").click()
        one.page.get_by_role("button", name="Remove block 1").click()
        one.page.get_by_role("button", name="Save", exact=True).last.click()
        one.page.get_by_text("The draft is saved.").wait_for()

        row.refresh_from_db()
        kinds = [block["kind"] for block in row.content["en"]["blocks"]]
        assert kinds == ["text", "item_row", "text", "text", "button"]
        assert row.content["en"]["blocks"][3]["text"] == "See you soon."
