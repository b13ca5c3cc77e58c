"""The page Results: what offers came to, for whom it may be seen, and what is wrong to ask."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.admin.screens import XSS, url
from tests.admin.test_attending import words
from tests.measuring import a_campaign, lived
from tests.oracles import oracle
from tests.tables import unchanged
from upsell.exceptions import MissingExtra
from upsell.models import Alarm, Campaign, Offer, OrderFact
from upsell.services import guardrails, metrics

pytestmark = pytest.mark.django_db

PAGE = "dailymetric_changelist"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def now() -> datetime:
    """The time of these tests."""
    return NOON


@pytest.fixture(autouse=True)
def _at_noon(settings, shop):
    settings.UPSELL_CLOCK = "tests.admin.test_results.now"
    settings.TIME_ZONE = "UTC"


def ask(client, **query):
    return client.get(url(PAGE), query)


def downloaded(client, by: str, **query) -> list[dict[str, str]]:
    answer = ask(client, csv=by, **query)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


@pytest.fixture
def a_month():
    """Two campaigns, two currencies, two channels, and a little in the month before."""
    tea, cup = a_campaign("tea"), a_campaign("cup")
    for day in range(10):
        lived("ACCEPTED", made=NOON - day * DAY, of=tea, line="20.00", discount="2.00")
        lived("DECLINED", made=NOON - day * DAY, of=tea)
        lived("SHOWN", made=NOON - day * DAY, of=cup, currency="JPY")
    lived("REVERSED", made=NOON - 3 * DAY, of=cup, undo=True, currency="JPY", line="500")
    lived("ACCEPTED", made=NOON - 3 * DAY, of=cup, returned="5.00", channel="fr")
    lived("ACCEPTED", made=NOON - 40 * DAY, of=tea, line="7.00")
    metrics.roll_up()


def test_it_says_what_offers_came_to_and_what_before(client, boss, a_month):
    with unchanged():
        page = ask(client)

    told = words(page)
    assert "30 days, compared with" in told
    assert "Offers made 32 before: 1" in told
    assert "Shown 32 before: 1" in told
    assert "Accepted 12 before: 1" in told
    assert "Acceptance 37.5 % between 22.9 and 54.7 % before: 100.0 %" in told
    assert "Net revenue, EUR €215.00 before: €7.00" in told
    assert "Net revenue, JPY ¥0" in told
    assert "Discount given, EUR €20.00" in told
    assert "Undone 1 0" in told
    assert "Refunded 1 0" in told
    assert "Counted until" in told


def test_it_names_campaigns_and_channels_and_leaves_out_what_does_not_differ(client, boss, a_month):
    told = words(ask(client))

    assert "By campaign" in told
    assert "By sales channel" in told
    assert "By moment" not in told
    assert "By arm" not in told


@pytest.mark.parametrize(
    ("query", "accepted"),
    [
        pytest.param({}, 12, id="all"),
        pytest.param({"channel": "web"}, 11, id="one channel"),
        pytest.param({"channel": "fr"}, 1, id="one that the shop has no more"),
        pytest.param({"campaign": "cup"}, 2, id="one campaign"),
        pytest.param({"moment": "post_purchase"}, 12, id="one moment"),
        pytest.param({"first": "2026-11-17", "last": "2026-11-17"}, 3, id="one day"),
        pytest.param({"first": "2026-10-01"}, 13, id="from October on"),
    ],
)
def test_filters_and_the_download_agree(client, boss, a_month, query, accepted):
    if "campaign" in query:
        query = query | {"campaign": Campaign.objects.get(slug=query["campaign"]).pk}

    page, rows = ask(client, **query), downloaded(client, "day", **query)

    assert page.context["total"].tally.accepted == accepted
    assert sum(int(row["accepted"]) for row in rows) == accepted
    for by in ("campaign", "channel", "moment", "arm"):
        told = downloaded(client, by, **query)
        assert sum(int(row["accepted"]) for row in told) == accepted, by
        money = {row["currency"]: Decimal(0) for row in told}
        for row in told:
            money[row["currency"]] += Decimal(row["net_revenue"])
        days = {currency: Decimal(0) for currency in money}
        for row in rows:
            days[row["currency"]] += Decimal(row["net_revenue"])
        assert money == days, by


def test_a_download_is_safe_in_a_spreadsheet(client, boss, shop):
    evil = a_campaign("evil")
    Campaign.objects.filter(pk=evil.pk).update(name="=HYPERLINK(1)")
    lived("REVERSED", made=NOON, of=evil, line="5.00", credit="9.00", back_after=31 * DAY)
    metrics.roll_up()

    row = downloaded(client, "campaign")[0]

    assert row["campaign"] == "'=HYPERLINK(1)"
    assert row["revenue_net"] == "-4.0000"
    assert row["currency"] == "EUR"


def test_orders_without_a_sales_channel_have_a_line_of_their_own(client, boss, a_month):
    lived("ACCEPTED", made=NOON, channel="")
    metrics.roll_up()

    assert {row["channel"] for row in downloaded(client, "channel")} == {"Web", "fr", "none"}


def test_names_are_escaped(client, boss, shop):
    evil = a_campaign("evil")
    Campaign.objects.filter(pk=evil.pk).update(name=XSS)
    lived("ACCEPTED", made=NOON, of=evil)
    metrics.roll_up()

    assert XSS not in ask(client).content.decode()


# ------------------------------------------------------------------ nothing to see, or wrong


def test_a_new_shop_is_told_that_nothing_is_there_yet(client, boss):
    told = words(ask(client))

    assert "No offer was made in these days." in told
    assert "they come with the first offer" in told
    assert "Nothing has been added up yet." in told


def test_a_range_without_data_says_when_there_is_some(client, boss, a_month):
    told = words(ask(client, first="2026-01-01", last="2026-01-31"))

    assert "No offer was made in these days." in told
    assert "The first results are of" in told


@pytest.mark.parametrize(
    ("query", "told"),
    [
        pytest.param({"first": "2026-11-20", "last": "2026-11-01"},
                     "The range ends before it begins: exchange the two dates.", id="reversed"),
        pytest.param({"first": "2026-02-30"}, "“2026-02-30” is not a date such as 2026-03-02.",
                     id="no such day"),
        pytest.param({"first": "noon"}, "“noon” is not a date", id="not a date"),
        pytest.param({"first": "0001-01-01"}, "No shop of ours sells in that year.", id="year 1"),
        pytest.param({"last": "9999-12-31"}, "No shop of ours sells in that year.", id="9999"),
        pytest.param({"first": "2020-01-01"}, "take a shorter range", id="too long"),
        pytest.param({"campaign": "99"}, "There is nothing of that name", id="no such campaign"),
        pytest.param({"campaign": "1 OR 1"}, "There is nothing of that name", id="no number"),
        pytest.param({"channel": "\x00"}, "There is nothing of that name", id="NUL"),
        pytest.param({"moment": "lunch"}, "There is nothing of that name", id="no such moment"),
    ],
)  # fmt: skip
def test_bad_input_is_told_and_kept(client, boss, a_month, query, told):
    page = ask(client, **{"first": "2026-11-01"} | query)

    assert page.status_code == 200
    assert told in words(page)
    assert "Offers made" not in words(page)
    if "last" in query:
        assert f'value="{query["last"]}"' in page.content.decode()


def test_the_same_bad_input_downloads_nothing(client, boss, a_month):
    answer = ask(client, first="2026-11-20", last="2026-11-01", csv="day")

    assert answer["Content-Type"].startswith("text/html")
    assert ask(client, csv="customer_key")["Content-Type"].startswith("text/html")


def test_sums_that_nobody_renews_are_said_to_be_old(client, boss, a_month, settings):
    settings.UPSELL_CLOCK = "tests.admin.test_results.in_the_evening"

    assert "Added up for the last time on" in words(ask(client))


def in_the_evening() -> datetime:
    return NOON + timedelta(hours=6)


# ------------------------------------------------------------------ who may


def test_it_needs_its_right_and_stands_in_the_index(client, signed_in, a_month):
    signed_in("view_campaign", name="looks-at-campaigns")
    assert ask(client).status_code == 403
    signed_in("view_dailymetric", name="looks-at-results")

    index = client.get("/admin/").content.decode()

    assert url(PAGE) in index
    assert ask(client).status_code == 200


def test_staff_of_one_channel_see_its_results_alone(client, signed_in, a_month):
    signed_in("view_dailymetric", channels=("fr",))

    page = ask(client)

    assert page.context["total"].tally.accepted == 1
    assert {row["channel"] for row in downloaded(client, "channel")} == {"fr"}
    assert "There is nothing of that name" in words(ask(client, channel="web"))


# ------------------------------------------------------------------ how it is made


def test_statements_do_not_grow_with_days_campaigns_or_offers(client, boss, shop):
    counted = []
    for rows in (1, 25):
        for number in range(rows):
            lived("ACCEPTED", made=NOON - number * DAY, of=a_campaign(f"c{rows}-{number}"))
        metrics.roll_up(anew=True)
        with CaptureQueriesContext(connection) as asked:
            ask(client)
        counted.append(len(asked))

    assert counted[0] == counted[1], counted


def test_nothing_of_the_page_is_inline(client, boss, a_month):
    page = ask(client).content.decode()

    main = page[page.index("upsell-results") :]
    assert "<script" not in main.split("</main>")[0]
    assert " style=" not in main
    assert not re.search(r"\son\w+=", main)
    assert main.count('role="img"') == 2 * 3  # each drawn wide and narrow; there are no yen


def test_without_a_holdout_the_page_says_why_one_would_be_worth_it(client, boss, a_month):
    assert "Nobody was held out in these days" in words(ask(client))


def test_what_offers_really_earn_stands_on_the_page(client, boss, a_month):
    oracle("scipy.stats")
    tea = Campaign.objects.get(slug="tea")
    for number in range(210):
        held = number % 2 == 0
        offer = lived("SUPPRESSED" if held else "SHOWN", made=NOON - 2 * DAY, of=tea)
        offer.customer_key = f"u:{number}"
        offer.save()
        OrderFact.objects.create(
            order_ref=f"f{number}",
            customer_key=offer.customer_key,
            channel=offer.channel,
            placed_at=NOON - 2 * DAY,
            currency="EUR",
            net=10 + number % 7 + (0 if held else 20),
        )

    told = words(ask(client))

    assert "EUR: Offers brought €2," in told
    assert "Buyers 105 105" in told


def test_without_scipy_the_page_says_what_to_install(client, boss, a_month, monkeypatch):
    def missing():
        raise MissingExtra("stats")

    monkeypatch.setattr("upsell.conf.inference", missing)
    monkeypatch.setattr("upsell.services.holdout.FEWEST", 1)
    for state, key in (("SUPPRESSED", "u:1"), ("SHOWN", "u:2")):
        offer = lived(state, made=NOON - 2 * DAY, of=Campaign.objects.get(slug="tea"))
        offer.customer_key = key
        offer.save()
        OrderFact.objects.create(order_ref=key, customer_key=key, channel=offer.channel,
                                 placed_at=NOON - DAY, currency="EUR", net=10)  # fmt: skip

    assert 'pip install "django-upsell[stats]"' in words(ask(client))


# ------------------------------------------------------------------ by who


@pytest.fixture
def by_device(a_month):
    for device, made in (("phone", NOON - 3 * DAY), ("desktop", NOON - 2 * DAY)):
        Offer.objects.filter(created_at__date=made.date()).update(device=device)


def test_a_split_says_its_source_and_has_a_line_for_each_value(client, boss, by_device):
    told = words(ask(client, split="device"))

    assert "By who: device" in told
    assert "Source: the offers themselves" in told
    for name in ("phone", "desktop", "not known"):
        assert name in told
    assert "By who" not in words(ask(client))


def test_a_split_and_its_download_agree_with_the_rest(client, boss, by_device):
    rows = downloaded(client, "split", split="device")

    assert {row["device"] for row in rows} == {"phone", "desktop", "not known"}
    assert sum(int(row["accepted"]) for row in rows) == 12
    assert sum(int(row["shown"]) for row in rows) == 32


def test_groups_and_countries_have_the_names_of_the_shop(client, boss, a_month, monkeypatch):
    Offer.objects.update(customer_group="trade, vip", country="AT")
    names = {"group": {"trade": "Trade"}, "country": {"AT": "Austria"}}
    monkeypatch.setattr("upsell.admin.ranges.names_of", lambda kind: names[kind])

    groups = {row["customer_group"] for row in downloaded(client, "split", split="customer_group")}
    countries = {row["country"] for row in downloaded(client, "split", split="country")}

    assert (groups, countries) == ({"Trade, vip"}, {"Austria"})


@pytest.mark.parametrize(
    ("query", "told"),
    [
        pytest.param({"split": "device", "first": "2026-08-20", "last": "2026-11-20"},
                     "of 92 days at most: take a shorter range", id="93 days"),
        pytest.param({"split": "segment"}, "There is nothing of that name", id="no segments yet"),
        pytest.param({"split": "customer_key"}, "There is nothing of that name", id="no buyers"),
    ],
)  # fmt: skip
def test_what_cannot_be_split_is_told(client, boss, a_month, query, told):
    assert told in words(ask(client, **query))
    assert ask(client, csv="split", **query)["Content-Type"].startswith("text/html")


def test_staff_of_one_channel_split_its_results_alone(client, signed_in, by_device):
    signed_in("view_dailymetric", channels=("fr",))

    rows = downloaded(client, "split", split="device")

    assert [(row["device"], row["accepted"]) for row in rows] == [("phone", "1")]


def test_a_split_with_many_values_is_cut_on_the_page_alone(client, boss, shop):
    for number in range(33):
        offer = lived("ACCEPTED", made=NOON)
        Offer.objects.filter(pk=offer.pk).update(customer_group=f"g{number:02}")
    metrics.roll_up()

    assert "3 lines more are in the download." in words(ask(client, split="customer_group"))
    assert len(downloaded(client, "split", split="customer_group")) == 33


# ------------------------------------------------------------------ profit


@pytest.mark.parametrize(
    ("costs_in", "offers", "profit", "roi"),
    [
        pytest.param("EUR", [{"cost": "12.00"}], "Profit, EUR €8.00", "no discount given",
                     id="8 of 20"),
        pytest.param("EUR", [{"cost": "12.00", "discount": "4.00"}], "Profit, EUR €8.00",
                     "Return on investment, EUR 200.0 %", id="8 for 4"),
        pytest.param("EUR", [{"cost": "12.00"}, {}],
                     "Profit, EUR €8.00 for 1 of 2 sold", "", id="known for one"),
        pytest.param("EUR", [{"cost": "25.00"}], "Profit, EUR -€5.00", "", id="a loss"),
        pytest.param("EUR", [{}], "Profit, EUR not told: no costs known", "", id="unknown"),
        pytest.param("", [{}], "Profit, EUR not told: no costs known", "", id="not set"),
        pytest.param("CHF", [{}], "Profit, EUR not told: costs are in CHF", "", id="in francs"),
    ],
)  # fmt: skip
def test_profit_or_why_it_is_not_told(client, boss, settings, shop, costs_in, offers, profit, roi):
    settings.UPSELL_COST_CURRENCY = costs_in
    for offer in offers:
        lived("ACCEPTED", made=NOON, **offer)
    metrics.roll_up()

    told = words(ask(client))

    assert profit in told
    assert roi in told


def test_the_discount_share_is_told_with_its_interval(client, boss, a_month):
    assert "Discount share 83.3 % (55.2 to 95.3 %)" in words(ask(client))


def test_a_download_leaves_unknown_profit_empty(client, boss, a_month):
    lived("ACCEPTED", made=NOON - 5 * DAY, channel="pl", currency="PLN", cost="15.00")
    metrics.roll_up(anew=True)

    told = {(row["channel"], row["currency"]): row for row in downloaded(client, "channel")}

    assert told["pl", "PLN"]["profit"] == "5.0000"
    assert (told["Web", "EUR"]["profit"], told["Web", "EUR"]["costed"]) == ("", "0")


# ------------------------------------------------------------------ alarms


def alarm(
    kind: str, of: Campaign, *, channel: str = "", hits: int = 45, n: int = 50, **more
) -> None:
    Alarm.objects.create(
        key=f"{kind}:{of.pk}", kind=kind, campaign=of, channel=channel, hits=hits, n=n,
        tripped_at=NOON, looked_at=NOON, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "more", "told"),
    [
        pytest.param("refunds", {"base_hits": 20, "base_n": 1000},
                     "More comes back than usual: Tea. Of 50 sold in 30 days, 45 were undone, "
                     "refunded or cancelled (90.0 %). Of 1,000 orders without an accepted offer, "
                     "20 were (2.0 %). Read the offer as a buyer does", id="refunds"),
        pytest.param("acceptance", {"hits": 1, "n": 1500},
                     "Hardly anybody accepts: Tea. Of 1,500 shown in 30 days, 1 were accepted "
                     "(0.1 %). Offer another product", id="acceptance"),
        pytest.param("never_shown", {"hits": 0},
                     "Live and never shown: Tea. 50 orders were decided in its sales channels in 3 "
                     "days, and it was never shown. Look why", id="never shown"),
        pytest.param("discount", {"channel": "web"},
                     "Mostly sold with a discount: Tea. Web: of 50 sold in 30 days, 45 had a "
                     "discount (90.0 %).", id="discount"),
    ],
)  # fmt: skip
def test_an_alarm_says_what_was_counted_and_what_to_try(client, boss, shop, kind, more, told):
    tea = a_campaign("tea")
    alarm(kind, tea, **more)

    page = ask(client)

    assert "1 alarm" in words(page)
    assert told in words(page).replace(" .", ".")
    assert url("campaign_change", tea.pk) in page.content.decode()
    seen = url("campaign_refusals", tea.pk) in page.content.decode()
    assert seen is (kind == "never_shown")


def test_without_an_alarm_it_says_when_it_was_looked_and_what_cannot_be(client, boss, shop):
    told = words(ask(client))
    assert "No alarm" in told
    assert "Not looked yet" in told
    assert "cannot be watched: no checkout.started events." in told

    guardrails.check_due()

    assert "Looked at on Nov. 20, 2026" in words(ask(client)) or "11/20/2026" in words(ask(client))


def test_staff_of_one_channel_see_alarms_of_it_alone(client, signed_in, shop):
    for number, channels in enumerate((["web"], ["fr"], ["web", "fr"])):
        row = a_campaign(f"c{number}")
        Campaign.objects.filter(pk=row.pk).update(channels=channels)
        alarm("acceptance", row)
    alarm("discount", a_campaign("c0"), channel="web")
    signed_in("view_dailymetric", channels=("fr",))

    told = [row.campaign.slug for row in ask(client).context["alarms"]]

    assert told == ["c1"]


def test_names_in_alarms_are_escaped(client, boss, shop):
    evil = a_campaign("evil")
    Campaign.objects.filter(pk=evil.pk).update(name=XSS)
    evil.refresh_from_db()
    alarm("discount", evil, channel=XSS)

    assert XSS not in ask(client).content.decode()
