"""Past orders decided again: equal to what was decided live, and what a draft would change."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from example_shop.adapter import ExampleShop
from example_shop.models import Order, Product
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept
from tests.tables import changes, dump
from upsell.exceptions import NotFound
from upsell.models import BacktestRun, ChannelSettings, Offer
from upsell.models.tokens import offer_token
from upsell.services import backtest, declining, offering

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def products() -> dict[str, Product]:
    made = catalogue()
    Product.objects.update(stock=None)
    return made


def replayed(days: int = 30, *, now: datetime = NOON, **options) -> BacktestRun:
    """Run a backtest to its end."""
    run = backtest.start(days=days, now=now, **options)
    assert backtest.work(run_id=run.pk)
    run.refresh_from_db()
    assert (run.state, run.live) == ("DONE", None), run.failure
    return run


def shown(run: BacktestRun) -> dict[str, int]:
    """How often each campaign would have been shown."""
    names = run.results["names"]
    return {
        names[pk]: sum(row["count"] for row in sums.values())
        for pk, sums in run.results["shown"].items()
    }


def past(products, *lines, ago: timedelta = DAY, **options) -> Order:
    return order(products, *lines, placed_at=NOON - ago, **options)


# ------------------------------------------------------------------ the same as deciding live


def test_a_history_that_did_not_change_is_decided_as_it_was_live(products, monkeypatch):
    """Orders of twelve buyers, decided live one by one, some of them accepted."""
    monkeypatch.setattr("upsell.services.backtest.CHUNK", 17)
    for name, offers, triggers, options in (
        ("Better machine", "W2", ["W1"], {"kind": "UPSELL", "priority": 60,
                                          "bounds": {"EUR": ["900.00", None]}}),
        ("Once a month", "DT", ["W1"], {"priority": 50, "not_seen_days": 30}),
        ("Not twice", "CA", ["W1", "DR"], {"priority": 40, "not_bought_days": 365}),
        ("For France", "IN", [], {"priority": 30, "countries": ["FR"]}),
        ("Second week", "IN", ["CA"], {"priority": 20, "valid_from": NOON - 14 * DAY,
                                       "valid_until": NOON - 7 * DAY}),
        ("Off", "CA", [], {"priority": 99, "status": "OFF"}),
        ("Staff", "CA", [], {"priority": 98, "status": "STAFF_ONLY"}),
    ):  # fmt: skip
        campaign(products[offers], *(products[sku] for sku in triggers), name=name, **options)
    chance = random.Random(7)
    live: Counter[str] = Counter()
    nothing: Counter[str] = Counter()
    for number in range(120):
        at = NOON - 20 * DAY + number * timedelta(hours=3)
        sku = chance.choice(["W1", "W1", "DR", "CA", "IN"])
        placed = order(
            products, (sku, chance.choice([1, 2])), placed_at=at,
            email=f"buyer{chance.randrange(12)}@example.org", country=chance.choice(["DE", "FR"]),
        )  # fmt: skip
        page = offering.offer_for(order_ref=str(placed.pk), now=at, show=True)
        if page.offer is None:
            nothing[page.decision.reason] += 1
            continue
        live[page.offer.campaign.name] += 1
        Offer.objects.filter(pk=page.offer.pk).update(expires_at=timezone.now() + DAY)
        if chance.random() < 0.3:
            assert accept(Offer.objects.get(pk=page.offer.pk)).state == "ACCEPTED"
        elif chance.random() < 0.5:
            declining.decline(token=offer_token(page.offer))

    run = replayed()

    assert shown(run) == live
    assert run.results["nothing"] == nothing
    assert {run.results["names"][pk]: n for pk, n in run.results["then"].items()} == live
    assert (run.results["orders"], run.results["unreadable"]) == (120, 0)
    assert set(live) == {"Better machine", "Once a month", "Not twice", "For France", "Second week"}
    assert nothing["no_match"] > 10


# ------------------------------------------------------------------ a draft among the others


def test_a_draft_is_tried_and_says_whom_it_takes_from(products):
    Product.objects.filter(sku="DT").update(cost="4")
    Product.objects.filter(sku="CA").update(cost="5")
    campaign(products["DT"], products["W1"], name="Detergent", priority=50)
    draft = campaign(products["CA"], products["W1"], products["DR"], name="Draft", priority=90,
                     status="OFF", valid_from=NOON + DAY,
                     bounds={"EUR": ["401", None]})  # fmt: skip
    for lines in ([("W1", 1)], [("W1", 2)], [("DR", 2)], [("DR", 1)], [("W1", 1), ("CA", 1)]):
        past(products, *lines)
    past(products, ("IN", 1))

    run = replayed(campaign_id=draft.pk)

    pk = str(draft.pk)
    assert shown(run) == {"Draft": 3, "Detergent": 1}
    # 24.00 with tax is 20.00 before it, and costs 5.
    assert run.results["shown"][pk] == {
        "EUR": {"count": 3, "net": "60.00", "margin": "45.00", "costed": 3}
    }
    taken = {run.results["names"].get(key, key): sums for key, sums in run.results["taken"].items()}
    assert taken == {
        "Detergent": {"EUR": {"count": 2, "net": "20.00", "margin": "12.00", "costed": 2}},
        "0": {"EUR": {"count": 1, "net": "0.00", "margin": "0.00", "costed": 1}},
    }
    assert run.results["refused"] == {
        "trigger_absent": 1, "below_min": 1, "already_in_order": 1,
    }  # fmt: skip
    assert run.results["nothing"] == {"no_match": 2}


def test_a_live_campaign_is_compared_with_the_shop_without_it(products):
    front = campaign(products["CA"], products["W1"], name="Front", priority=90)
    campaign(products["DT"], products["W1"], name="Behind", priority=50)
    past(products)

    run = replayed(campaign_id=front.pk)

    assert shown(run) == {"Front": 1}
    names = run.results["names"]
    assert {names[pk]: sums["EUR"]["count"] for pk, sums in run.results["taken"].items()} == {
        "Behind": 1
    }


def test_a_draft_below_the_winner_says_why_it_is_not_shown(products):
    draft = campaign(products["CA"], products["W1"], status="OFF", priority=1)
    elsewhere = campaign(products["CA"], products["DR"], status="OFF", priority=1)
    campaign(products["DT"], products["W1"], priority=50)
    past(products)

    assert replayed(campaign_id=draft.pk).results["refused"] == {"outranked": 1}
    assert replayed(campaign_id=elsewhere.pk).results["refused"] == {"trigger_absent": 1}


def test_an_upsell_is_worth_the_difference(products):
    Product.objects.filter(sku="W1").update(cost="300")
    Product.objects.filter(sku="W2").update(cost="400")
    campaign(products["W2"], products["W1"], kind="UPSELL", name="Better")
    past(products, ("W1", 2))

    run = replayed()

    # Twice 700 less twice 500; the shop keeps two machines of 300 and gives away two of 400.
    ((sums,),) = (row.values() for row in run.results["shown"].values())
    assert {name: Decimal(sums[name]) for name in ("net", "margin")} == {
        "net": Decimal(400), "margin": Decimal(200),
    }  # fmt: skip


@pytest.mark.parametrize("cost", [None, "4"])
def test_a_margin_is_known_where_the_cost_is(products, cost):
    Product.objects.filter(sku="DT").update(cost=cost)
    campaign(products["DT"], products["W1"])
    past(products)

    ((sums,),) = (row.values() for row in replayed().results["shown"].values())

    assert (sums["costed"], Decimal(sums["margin"])) == ((1, Decimal(6)) if cost else (0, 0))


class TwoCurrencies(ExampleShop):
    """The same shop, where every price is the same number of dollars."""

    def availability(self, wanted, occasion):
        found = super().availability(wanted, replace(occasion, currency="EUR"))
        return {
            ref: replace(row, unit=replace(row.unit, currency=occasion.currency))
            for ref, row in found.items()
        }


@pytest.mark.parametrize(
    ("currencies", "sums"),
    [
        pytest.param(["EUR", "EUR"], {"EUR": (2, "20.00", "12.00", 2)}, id="one"),
        pytest.param(
            ["EUR", "USD"],
            {"EUR": (1, "10.00", "0.00", 0), "USD": (1, "10.00", "0.00", 0)},
            id="two: nobody says which one costs are in",
        ),
    ],
)
def test_currencies_are_never_added(products, settings, currencies, sums):
    settings.UPSELL_SHOP = "tests.services.test_backtest.TwoCurrencies"
    Product.objects.filter(sku="DT").update(cost="4")
    campaign(products["DT"], products["W1"])
    for currency in currencies:
        placed = past(products)
        Order.objects.filter(pk=placed.pk).update(currency=currency)

    ((_pk, told),) = replayed().results["shown"].items()

    assert {
        currency: (row["count"], row["net"], row["margin"], row["costed"])
        for currency, row in told.items()
    } == sums


# ------------------------------------------------------------------ which orders, and how


@pytest.mark.parametrize(
    ("became", "orders"),
    [
        pytest.param({"cancelled": True}, 1, id="cancelled"),
        pytest.param({"refunded": True}, 1, id="refunded"),
        pytest.param({"released": True}, 1, id="sent"),
        pytest.param({"paid": False, "payment_reference": "p"}, 0, id="a draft: no order yet"),
    ],
)
def test_what_became_of_an_order_since_does_not_matter(products, became, orders):
    campaign(products["DT"], products["W1"], name="Live")
    past(products)
    Order.objects.update(**became)

    run = replayed()

    assert (run.results["orders"], run.results["nothing"]) == (orders, {})
    assert shown(run) == ({"Live": 1} if orders else {})


def test_what_came_back_since_counts_as_bought(products):
    campaign(products["DT"], products["W1"], name="Live", bounds={"EUR": ["1000", None]})
    placed = past(products, ("W1", 2))
    placed.lines.update(returned=2)

    assert shown(replayed()) == {"Live": 1}


@pytest.mark.parametrize(
    ("placed_at", "counts"),
    [
        pytest.param(NOON - 3 * DAY - timedelta(microseconds=1), False, id="just before"),
        pytest.param(NOON - 3 * DAY, True, id="at the beginning"),
        pytest.param(NOON - timedelta(microseconds=1), True, id="just before the end"),
        pytest.param(NOON, False, id="at the end"),
    ],
)
def test_orders_of_the_period_count(products, placed_at, counts):
    campaign(products["DT"], products["W1"])
    order(products, placed_at=placed_at)

    run = replayed(days=3)

    assert run.results["orders"] == counts


def test_orders_of_other_sales_channels_are_left_out(products):
    campaign(products["DT"], products["W1"])
    past(products)

    told = replayed(channels=["other"]).results

    assert (told["orders"], told["outside"], told["shown"]) == (0, 1, {})


def test_a_sales_channel_that_is_switched_off_offers_nothing(products):
    campaign(products["DT"], products["W1"])
    ChannelSettings.objects.create(channel="web", enabled=False)
    past(products)

    assert replayed().results["nothing"] == {"disabled": 1}


class Forgetful(ExampleShop):
    """A shop that breaks over one order, and does not know another any more."""

    def order(self, ref):
        found = super().order(ref)
        if found.number == "1001":
            raise NotFound("gone")
        return found

    def purchases(self, customer, since, limit):
        if customer.email == "broken@example.org":
            raise RuntimeError("foreign code")
        return super().purchases(customer, since, limit)


def test_an_order_that_cannot_be_read_is_counted_and_passed_over(products, settings):
    settings.UPSELL_SHOP = "tests.services.test_backtest.Forgetful"
    campaign(products["DT"], products["W1"], name="Live")
    for email in ("a@example.org", "b@example.org", "broken@example.org", "c@example.org"):
        past(products, email=email)

    run = replayed()

    assert (run.results["unreadable"], run.looked_at, run.total) == (2, 4, 4)
    assert shown(run) == {"Live": 2}


def test_so_many_orders_are_looked_at_and_no_more(products, monkeypatch):
    campaign(products["DT"], products["W1"])
    for _ in range(3):
        past(products)
    monkeypatch.setattr(backtest, "MOST_ORDERS", 2)

    run = replayed()
    monkeypatch.setattr(backtest, "MOST_ORDERS", 3)

    assert (run.results["cut"], run.results["orders"]) == (True, 2)
    assert replayed().results["cut"] is False


def test_nothing_but_its_own_row_and_the_mirror_is_written(products):
    draft = campaign(products["CA"], products["W1"], status="OFF", priority=90)
    campaign(products["DT"], products["W1"], not_seen_days=3)
    placed = past(products)
    offering.offer_for(order_ref=str(placed.pk), now=NOON - DAY, show=True)
    before = dump()

    replayed(campaign_id=draft.pk)

    mirror = {"upsell_orderfact", "upsell_orderlinefact", "upsell_progress"}
    assert set(changes(before, dump())) <= {"upsell_backtestrun", "sqlite_sequence"} | mirror


def test_statements_of_ours_do_not_grow_with_orders(products, monkeypatch):
    monkeypatch.setattr(backtest, "SIGN", 3600.0)  # a sign of life more where it takes long
    campaign(products["DT"], products["W1"], not_seen_days=3)
    told = []
    for _ in range(2):
        for _order in range(10):
            past(products)
        replayed()  # what is kept between decisions is there
        with CaptureQueriesContext(connection) as seen:
            replayed()
        told.append(len([row for row in seen if "upsell_" in row["sql"]]))

    assert told[0] == told[1]


# ------------------------------------------------------------------ one at a time, stopped, dead


@pytest.mark.parametrize("days", [0, -1, 366, 10**9])
def test_so_many_days_are_refused(products, days):
    with pytest.raises(ValidationError, match="between 1 and 365"):
        backtest.start(days=days, now=NOON)
    assert not BacktestRun.objects.exists()


def test_a_campaign_that_is_not_there_is_refused(products):
    gone = campaign(products["DT"], archived=True)
    for pk in (gone.pk, 987654):
        with pytest.raises(ValidationError, match="no such campaign"):
            backtest.start(days=3, campaign_id=pk)


def test_one_waits_or_runs_at_a_time(products):
    run = backtest.start(days=3)
    with pytest.raises(ValidationError, match="one at a time"):
        backtest.start(days=3)

    assert backtest.work()
    assert not backtest.work(run_id=run.pk)
    assert backtest.start(days=3).pk != run.pk


def test_two_who_start_at_once_make_one(products):
    """The row's unique column decides, not who looked first."""
    if connection.vendor == "sqlite":
        pytest.skip("one writer at a time")
    gate, told = threading.Barrier(4), []

    def press() -> None:
        try:
            gate.wait(timeout=20)
            told.append(backtest.start(days=3).live)
        except ValidationError as error:
            told.append(error.code)
        finally:
            connection.close()

    _together(press, 4)

    assert sorted(map(str, told)) == ["1", "running", "running", "running"]


@pytest.mark.parametrize("guarded", [True, False])
def test_two_workers_take_it_up_once(products, monkeypatch, guarded):
    """All have seen it waiting; without the guard of the claim each of them works on it."""
    if connection.vendor == "sqlite":
        pytest.skip("one writer at a time")
    for _ in range(3):
        past(products)
    run = backtest.start(days=30, now=NOON)
    gate, told, claim = threading.Barrier(4), [], backtest._claim

    def at_once(row: BacktestRun, now: datetime) -> bool:
        gate.wait(timeout=20)
        return claim(row, now) or not guarded

    def take() -> None:
        try:
            told.append(backtest.work(run_id=run.pk))
        finally:
            connection.close()

    monkeypatch.setattr(backtest, "_claim", at_once)
    _together(take, 4)

    assert sorted(told) == ([False, False, False, True] if guarded else [True] * 4)
    run.refresh_from_db()
    assert (run.state, run.looked_at) == ("DONE", 3)


def _together(act, count: int) -> None:
    threads = [threading.Thread(target=act) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads)


def test_one_that_waits_is_cancelled_at_once(products):
    run = backtest.start(days=3)

    assert backtest.cancel(run_id=run.pk)
    assert not backtest.cancel(run_id=run.pk)

    run.refresh_from_db()
    assert (run.state, run.live) == ("CANCELLED", None)
    assert not backtest.work()


def test_one_that_runs_is_cancelled_at_its_next_sign(products, monkeypatch):
    monkeypatch.setattr(backtest, "SIGN", 0)
    for _ in range(5):
        past(products)
    run = backtest.start(days=30, now=NOON)

    def at_the_second(row: BacktestRun) -> None:
        if row.looked_at == 2:
            assert backtest.cancel(run_id=row.pk)

    assert backtest.work(told=at_the_second)

    run.refresh_from_db()
    assert (run.state, run.live, run.looked_at, run.results) == ("CANCELLED", None, 3, {})


def test_one_that_is_taken_for_dead_writes_nothing_more(products, monkeypatch):
    """It was asleep for long; another was started in its place, and is not disturbed."""
    monkeypatch.setattr(backtest, "SIGN", 0)
    campaign(products["DT"], products["W1"])
    for _ in range(5):
        past(products)
    run = backtest.start(days=30, now=NOON)
    later: list[BacktestRun] = []

    def asleep(row: BacktestRun) -> None:
        if row.looked_at == 2 and not later:
            BacktestRun.objects.update(beat_at=NOON - DAY)
            later.append(backtest.start(days=7))

    backtest.work(run_id=run.pk, told=asleep)

    run.refresh_from_db()
    assert (run.state, run.failure, run.live, run.results) == ("FAILED", "died", None, {})
    assert BacktestRun.objects.get(pk=later[0].pk).state == "WAITING"


def test_a_campaign_deleted_before_it_began_ends_it(products):
    draft = campaign(products["DT"], status="OFF")
    run = backtest.start(days=3, campaign_id=draft.pk)
    draft.delete()

    assert backtest.work()

    run.refresh_from_db()
    assert (run.state, run.failure, run.live) == ("FAILED", "error", None)


def test_an_interrupted_one_is_cancelled(products, monkeypatch):
    def interrupted(since: datetime, **_alive: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(backtest, "orders_of", interrupted)
    run = backtest.start(days=3)

    with pytest.raises(KeyboardInterrupt):
        backtest.work()

    run.refresh_from_db()
    assert (run.state, run.live) == ("CANCELLED", None)


def _environment() -> dict[str, str]:
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "UPSELL_TEST_NAME": str(connection.settings_dict["NAME"]),
    }


def waits_for(done, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.05)


KILLED = """
import os, sys, django
django.setup()
from example_shop.adapter import ExampleShop
from upsell.services import backtest
backtest.SIGN = 0
def signed(run):
    if run.looked_at == 2:
        print("two", flush=True)
        sys.stdin.read()  # until it is killed
backtest.work(told=signed)
"""


def test_a_killed_one_can_be_seen_as_dead_and_started_anew(products):
    campaign(products["DT"], products["W1"], name="Live")
    for _ in range(4):
        past(products)
    run = backtest.start(days=30, now=NOON)
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=_environment(),
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"two\n"
    finally:
        child.kill()
        child.wait(timeout=20)
        for pipe in (child.stdin, child.stdout):
            pipe.close()
    run.refresh_from_db()
    now = run.beat_at
    assert (run.state, run.live, run.looked_at) == ("RUNNING", 1, 2)
    assert not run.is_dead(now + BacktestRun.DEAD_AFTER)
    with pytest.raises(ValidationError, match="one at a time"):
        backtest.start(days=30, now=NOON)
    assert run.is_dead(now + BacktestRun.DEAD_AFTER + timedelta(microseconds=1))
    BacktestRun.objects.update(beat_at=NOON - DAY)

    anew = replayed()

    run.refresh_from_db()
    assert (run.state, run.failure) == ("FAILED", "died")
    assert shown(anew) == {"Live": 4}


# ------------------------------------------------------------------ the command


def test_the_command_prints_what_would_have_been_shown(products, capsys):
    Product.objects.filter(sku="CA").update(cost="5")
    campaign(products["DT"], products["W1"], name="Detergent", priority=50)
    campaign(products["CA"], products["W1"], name="=Draft", slug="draft", priority=90, status="OFF")
    order(products, placed_at=timezone.now() - DAY)
    order(products, ("IN", 1), placed_at=timezone.now() - DAY)

    call_command("upsell_backtest", "--days", "2", "--with", "draft")
    told = capsys.readouterr()
    call_command("upsell_backtest", "--days", "2", "--with", "draft", "--csv")
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    call_command("upsell_backtest", "--days", "2", "--json")
    plain = json.loads(capsys.readouterr().out)

    assert "1 of 2 orders would have been made an offer." in told.out
    assert "*      1  =Draft  €20.00, margin €15.00" in told.out
    assert "1  taken from Detergent" in told.out
    assert "2 of 2 orders" in told.err
    assert [(row["table"], row["name"], row["orders"], row["net"], row["margin"])
            for row in table] == [
        ("shown", "'=Draft", "1", "20.00", "15.00"),
        ("taken from", "Detergent", "1", "10.00", ""),
        ("nothing", "no_match", "1", "", ""),
        ("refused", "trigger_absent", "1", "", ""),
    ]  # fmt: skip
    assert plain["offered"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--days", "0"], "between 1 and 365"),
        (["--days", "999999"], "between 1 and 365"),
        (["--with", "nosuch"], "no campaign 'nosuch'"),
    ],
)
def test_the_command_says_what_was_wanted(products, arguments, message):
    with pytest.raises(CommandError, match=message):
        call_command("upsell_backtest", *arguments)


def test_the_command_works_on_what_staff_asked_for(products, capsys):
    call_command("upsell_backtest", "--waiting")
    run = backtest.start(days=3)
    call_command("upsell_backtest", "--waiting")

    assert capsys.readouterr().out == "none waits\nworked on the one that waited\n"
    run.refresh_from_db()
    assert run.state == "DONE"


def test_the_loop_takes_it_up_beside_its_work(products):
    run = backtest.start(days=3)

    thread = backtest.work_beside()
    assert thread is not None
    thread.join(timeout=30)

    run.refresh_from_db()
    assert run.state == "DONE"
    assert backtest.work_beside() is None


def test_a_loop_in_a_process_of_its_own_takes_it_up(products):
    campaign(products["DT"], products["W1"], name="Live")
    past(products)
    loop = subprocess.Popen(
        [sys.executable, "-m", "django", "upsell_run", "--interval", "0.1"], env=_environment()
    )
    try:
        run = backtest.start(days=30, now=NOON)
        waits_for(lambda: BacktestRun.objects.get(pk=run.pk).state == "DONE")
    finally:
        loop.terminate()
        assert loop.wait(timeout=20) == 0

    run.refresh_from_db()
    assert shown(run) == {"Live": 1}
