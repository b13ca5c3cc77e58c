"""Backtests in the admin: started, watched, cancelled and read, by whoever may simulate."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import factories
from tests.admin.screens import XSS, said, url
from tests.tables import unchanged
from upsell.models import BacktestRun, Campaign
from upsell.services import backtest

pytestmark = pytest.mark.django_db

START = "backtestrun_start"


def started(client, **data) -> BacktestRun:
    answer = client.post(url(START), {"days": "30"} | data)
    assert answer.status_code == 302, answer.context["error"]
    return BacktestRun.objects.latest("pk")


def look(client, run):
    return client.get(url("backtestrun_change", run.pk))


@pytest.fixture
def history(shop):
    """A day of three orders, a live campaign and one that is off."""
    yesterday = timezone.now() - timedelta(days=1)
    factories.campaign(shop["DT"], shop["W1"], name="Detergent", priority=50)
    for lines in ([("W1", 1)], [("W1", 2)], [("IN", 1)]):
        factories.order(shop, *lines, placed_at=yesterday)
    return factories.campaign(
        shop["CA"], shop["W1"], name="Draft", priority=90, status="OFF",
        bounds={"EUR": ["501", None]},
    )  # fmt: skip


def test_from_the_campaign_to_the_result(client, boss, history):
    form = client.get(url("campaign_change", history.pk)).content.decode()
    assert f"{url(START)}?with={history.pk}" in form
    page = client.get(url(START), {"with": history.pk})
    assert f'<option value="{history.pk}" selected>Draft</option>' in page.content.decode()
    run = started(client, **{"with": history.pk})

    waits = look(client, run)
    assert "It waits for a worker" in waits.content.decode()
    assert waits["Refresh"] == "3"
    assert backtest.work()
    done = look(client, run)

    assert "Refresh" not in done
    rows = {row.name: (row.count, row.percent, row.is_draft) for row in done.context["rows"]}
    assert rows == {"Draft": (1, "33.3", True), "Detergent": (1, "33.3", False)}
    assert [(row.name, row.count) for row in done.context["taken"]] == [("Detergent", 1)]
    text = done.content.decode()
    assert "2 of 3 orders would have been made an offer." in text
    assert "Stock, prices, customer groups and ways to pay are today's." in text
    assert "The goods are worth less than the campaign asks for" in text
    assert (run.started_by, run.channels) == (boss, [])


def test_the_page_of_one_that_runs_says_how_far_it_is(client, boss, shop):
    run = started(client)
    now = timezone.now()
    BacktestRun.objects.update(state="RUNNING", began_at=now, beat_at=now, looked_at=25, total=100)

    page = look(client, run)

    text = page.content.decode()
    assert "25 of 100 orders looked at" in text
    assert '<progress id="upsell-progress" class="upsell-progress" max="100" value="25">' in text
    assert page["Refresh"] == "3"
    assert "<script" not in text.split('class="upsell-page')[1].split("</main>")[0]


def test_one_that_gave_no_sign_is_dead_and_looking_changes_nothing(client, boss, shop):
    run = started(client, days="7")
    long_ago = timezone.now() - timedelta(minutes=3)
    BacktestRun.objects.update(state="RUNNING", beat_at=long_ago, began_at=long_ago, looked_at=9)

    with unchanged():
        page = look(client, run)
        listed = client.get(url("backtestrun_changelist"))

    text = page.content.decode()
    assert "Its process ended after 9 orders, without a word." in text
    assert f"{url(START)}?days=7" in text
    assert "Refresh" not in page
    assert "its process ended" in listed.content.decode()
    assert started(client).pk != run.pk
    run.refresh_from_db()
    assert (run.state, run.failure) == ("FAILED", "died")


@pytest.mark.parametrize(
    ("age", "slow"), [(timedelta(seconds=60), False), (timedelta(seconds=180), True)]
)
def test_one_that_nobody_takes_up_says_whom_to_ask(client, boss, shop, age, slow):
    run = started(client)
    BacktestRun.objects.update(created_at=timezone.now() - age)

    assert ("No worker has taken it up." in look(client, run).content.decode()) is slow


def test_it_is_cancelled_by_a_button_alone(client, boss, shop):
    run = started(client)
    address = url("backtestrun_cancel", run.pk)

    with unchanged():
        assert client.get(address).status_code == 302
    first = client.post(address, follow=True)
    again = client.post(address, follow=True)

    assert said(first) == ["It is cancelled."]
    assert said(again) == ["It had ended already."]
    assert "It was cancelled after 0 orders." in again.content.decode()


@pytest.mark.parametrize("days", ["", "0", "-3", "366", "9" * 30, "1.5", "x", "²", "\x00", XSS])
def test_odd_days_are_refused_and_kept_in_the_form(client, boss, shop, days):
    answer = client.post(url(START), {"days": days})

    assert answer.status_code == 200
    assert "between 1 and 365" in answer.context["error"]
    assert XSS not in answer.content.decode()
    assert not BacktestRun.objects.exists()


@pytest.mark.parametrize("typed", ["x", "0", "987654", "9" * 30, XSS])
def test_a_campaign_that_is_not_there_is_refused(client, boss, shop, typed):
    answer = client.post(url(START), {"days": "3", "with": typed})

    assert "There is no campaign" in answer.context["error"]
    assert not BacktestRun.objects.exists()


def test_a_second_one_is_refused_while_one_lives(client, boss, shop):
    started(client)

    answer = client.post(url(START), {"days": "3"})

    assert "one at a time" in answer.context["error"]


def test_limited_staff_test_and_see_their_sales_channels_alone(client, boss, signed_in, history):
    foreign = factories.campaign(
        factories.Product.objects.get(sku="DT"), channels=["other"], status="OFF", name="Foreign"
    )
    of_all = started(client)
    backtest.work()
    signed_in("simulate_campaign", channels=("web",))
    answer = client.post(url(START), {"days": "3", "with": foreign.pk})
    assert "There is no campaign" in answer.context["error"]

    run = started(client)
    assert run.channels == ["web"]
    assert look(client, run).status_code == 200
    assert client.post(url("backtestrun_cancel", run.pk)).status_code == 302
    for name in ("change", "cancel", "csv"):
        assert client.get(url(f"backtestrun_{name}", of_all.pk)).status_code == 404
    listed = client.get(url("backtestrun_changelist"))
    assert [row.pk for row in listed.context["cl"].result_list] == [run.pk]


def test_the_file_holds_the_numbers_of_the_page_and_no_formula(client, boss, history):
    Campaign.objects.filter(pk=history.pk).update(name='=HYPERLINK("x");\t@SUM')
    run = started(client, **{"with": history.pk})
    waits = client.get(url("backtestrun_csv", run.pk)).content.decode()
    backtest.work()

    answer = client.get(url("backtestrun_csv", run.pk))

    assert waits.count("\n") == 1
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [row["name"] for row in rows if row["campaign"] == str(history.pk)] == [
        '\'=HYPERLINK("x"), @SUM'
    ]
    shown = {row["name"]: row["orders"] for row in rows if row["table"] == "shown"}
    assert sorted(shown.values()) == ["1", "1"]
    assert answer["Content-Disposition"] == f'attachment; filename="backtest-{run.pk}.csv"'


def test_a_name_is_text_on_every_page(client, boss, history):
    Campaign.objects.filter(pk=history.pk).update(name=XSS)
    run = started(client, **{"with": history.pk})
    backtest.work()

    for page in (look(client, run), client.get(url("backtestrun_changelist")),
                 client.get(url(START))):  # fmt: skip
        assert XSS not in page.content.decode()


def test_fifty_runs_cost_as_many_statements_as_one(client, boss, shop):
    costs = []
    for count in (1, 50):
        for _ in range(count):
            run = started(client)
            backtest.cancel(run_id=run.pk)
        with CaptureQueriesContext(connection) as seen:
            client.get(url("backtestrun_changelist"))
        costs.append(len(seen))

    assert costs[0] == costs[1]
