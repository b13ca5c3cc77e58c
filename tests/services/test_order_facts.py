"""The mirror of the shop's orders: what it holds, and that nothing is missed or taken twice."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from example_shop import orders as shop_orders
from example_shop.models import Order
from tests.factories import campaign, catalogue, order
from upsell import conf, hooks, snapshots
from upsell.models import OrderFact, OrderLineFact, OrderNote, Progress
from upsell.services import erasing, order_facts, running
from upsell.services.purging import purge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

START = timezone.now().replace(microsecond=0)


@pytest.fixture
def products():
    return catalogue()


@pytest.fixture(autouse=True)
def _clock(settings):
    """Tests move the time by writing to ``moved``."""
    settings.UPSELL_CLOCK = "tests.services.test_order_facts.now"
    moved.clear()


moved: list[timedelta] = []


def now() -> datetime:
    """The time of these tests."""
    return START + sum(moved, timedelta())


def walked() -> int:
    return sum(page.orders for page in order_facts.walk())


def facts() -> dict[str, tuple]:
    return {
        row.order_ref: (row.net, row.refunded_net, row.lines, row.cancelled)
        for row in OrderFact.objects.all()
    }


def test_an_order_and_its_lines_are_mirrored(products):
    placed = order(products, ("W1", 1), ("DT", 3))

    assert order_facts.take(order_refs=[str(placed.pk), "no-such-order"]) == 1

    fact = OrderFact.objects.get()
    assert (fact.order_ref, fact.channel, fact.currency) == (str(placed.pk), "web", "EUR")
    assert (fact.net, fact.lines, fact.refunded_net) == (Decimal(530), 2, 0)
    assert fact.customer_key.startswith("e:")
    assert list(
        fact.products.order_by("pk").values_list("product_ref", "category_ref", "quantity", "net")
    ) == [
        (str(products["W1"].pk), "laundry", 1, Decimal(500)),
        (str(products["DT"].pk), "laundry", 3, Decimal(30)),
    ]


def returned(placed: Order) -> None:
    placed.lines.filter(position=2).update(returned=1)


def refunded(placed: Order) -> None:
    Order.objects.filter(pk=placed.pk).update(refunded=True)


def cancelled(placed: Order) -> None:
    shop_orders.cancel(placed.pk)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(returned, (530, 10, 2, False), id="one of three came back"),
        pytest.param(refunded, (530, 530, 2, False), id="all money went back"),
        pytest.param(cancelled, (530, 0, 2, True), id="cancelled"),
    ],
)
def test_what_changed_is_told_by_the_event(products, change, told):
    placed = order(products, ("W1", 1), ("DT", 3))
    hooks.order_placed(order_ref=str(placed.pk))
    order_facts.take_noted()
    assert facts() == {str(placed.pk): (530, 0, 2, False)}
    change(placed)

    hooks.order_changed(order_ref=str(placed.pk))
    hooks.order_changed(order_ref=str(placed.pk))
    order_facts.take_noted()

    assert facts() == {str(placed.pk): told}
    assert OrderLineFact.objects.count() == 2


def test_drafts_and_what_is_older_than_is_kept_are_left_out(products):
    order(products, paid=False, payment_reference="pi_1")
    order(products, placed_at=now() - timedelta(days=731))
    kept = order(products, placed_at=now() - timedelta(days=729))

    walked()

    assert set(facts()) == {str(kept.pk)}


def test_an_order_that_is_gone_from_the_shop_is_gone_from_the_mirror(products):
    placed = order(products)
    walked()
    Order.objects.all().delete()

    order_facts.take(order_refs=[str(placed.pk)])

    assert not OrderFact.objects.exists()
    assert not OrderLineFact.objects.exists()


def test_an_event_costs_the_checkout_one_statement_and_asks_the_shop_nothing(products, monkeypatch):
    placed = order(products)
    monkeypatch.setattr(conf.shop(), "orders", None)

    with CaptureQueriesContext(connection) as asked:
        hooks.order_placed(order_ref=str(placed.pk))

    assert len(asked) == 1


def test_an_event_that_comes_while_the_order_is_read_is_not_lost(products, monkeypatch):
    placed = order(products)
    hooks.order_placed(order_ref=str(placed.pk))
    read = conf.shop().orders

    def slow(refs):
        found = read(refs)
        monkeypatch.setattr(conf.shop(), "orders", read)
        shop_orders.cancel(placed.pk)
        hooks.order_cancelled(order_ref=str(placed.pk))
        return found

    monkeypatch.setattr(conf.shop(), "orders", slow)

    order_facts.take_noted()

    assert OrderFact.objects.get().cancelled
    assert not OrderNote.objects.exists()


def test_a_note_that_cannot_be_written_does_not_break_the_checkout(monkeypatch, caplog):
    def breaks(**_order):
        raise RuntimeError("disk full")

    monkeypatch.setattr(order_facts, "note", breaks)

    hooks.order_placed(order_ref="1")

    assert "could not be noted" in caplog.text


def test_one_broken_order_holds_up_no_other(products, monkeypatch, caplog):
    first, broken, last = (str(order(products).pk) for _ in range(3))
    read = conf.shop().orders

    def breaks(refs):
        if broken in refs:
            raise RuntimeError("one of them is broken")
        return read(refs)

    monkeypatch.setattr(conf.shop(), "orders", breaks)

    assert walked() == 2

    assert set(facts()) == {first, last}
    assert f"order {broken} could not be read" in caplog.text


# ------------------------------------------------------------------ the walk


def test_the_walk_finds_what_no_signal_told(products, monkeypatch):
    monkeypatch.setattr(order_facts, "PAGE", 2)
    rows = [
        order(
            products, placed_at=now() - timedelta(days=day), changed_at=now() - timedelta(hours=1)
        )
        for day in range(5)
    ]

    assert walked() == 5

    assert set(facts()) == {str(row.pk) for row in rows}


def test_an_interrupted_walk_goes_on_where_it_stopped(products, monkeypatch):
    monkeypatch.setattr(order_facts, "PAGE", 2)
    for hour in range(6):
        order(products, changed_at=now() - timedelta(days=1, hours=hour))
    asked = []
    since = conf.shop().orders_since
    monkeypatch.setattr(
        conf.shop(),
        "orders_since",
        lambda cursor, limit: asked.append(cursor) or since(cursor, limit),
    )
    pages = order_facts.walk()
    next(pages), next(pages)
    pages.close()
    asked_before = asked.copy()
    asked.clear()

    assert walked() == 2

    assert len(facts()) == 6
    assert not set(asked) & set(asked_before), "no page is asked for twice"


def test_an_order_committed_late_is_found_all_the_same(products):
    """Two orders of one second: the walk has seen the later one when the other is committed."""
    order(products, changed_at=now())
    walked()
    late = order(products, changed_at=now() - timedelta(seconds=1))
    moved.append(timedelta(minutes=1))
    walked()

    assert str(late.pk) in facts()


def test_what_is_behind_is_forgotten_after_two_minutes(products):
    for _round in range(4):
        order(products, changed_at=now())
        walked()
        moved.append(timedelta(minutes=3))

    with CaptureQueriesContext(connection) as asked:
        again = walked()

    assert again <= 1, "at most the last round is told again"
    written = ("INSERT", "UPDATE", "DELETE")
    changed = [row["sql"] for row in asked if row["sql"].startswith(written)]
    assert all("upsell_progress" in sql for sql in changed), changed


def test_statements_do_not_grow_with_orders(products):
    snapshots.look_for_journeys()
    counts = []
    for rows in (1, 20):
        for _ in range(rows):
            order(products, ("W1", 1), ("DT", 2))
        OrderFact.objects.all().delete()
        with CaptureQueriesContext(connection) as asked:
            sum(page.orders for page in order_facts.walk(anew=True))
        counts.append(len(asked))

    assert counts[0] == counts[1], counts


def test_due_work_walks_once_a_minute_and_survives_a_broken_shop(products, monkeypatch, caplog):
    order(products)
    assert running.run_due()["orders"] == 1
    order(products)
    assert running.run_due()["orders"] == 0
    moved.append(timedelta(minutes=1))
    assert running.run_due()["orders"] >= 1
    moved.append(timedelta(minutes=1))

    def breaks(*_asked):
        raise RuntimeError("no route to the shop")

    monkeypatch.setattr(conf.shop(), "orders_since", breaks)
    assert running.run_due()["orders"] == 0
    assert "could not be mirrored" in caplog.text


def test_the_command_fills_the_mirror_and_says_how_far_it_is(products):
    order(products, placed_at=now() - timedelta(days=3))
    told = io.StringIO()

    call_command("upsell_mirror", stdout=told)
    call_command("upsell_mirror", "--anew", stdout=told)

    lines = told.getvalue().splitlines()
    assert lines[0].startswith("1 orders, up to ")
    assert lines[1] == "orders mirrored: 1"
    assert len(facts()) == 1


# ------------------------------------------------------------------ whose it was, and how long


def test_an_erased_buyer_stays_erased_whatever_the_shop_still_tells(products):
    placed = order(products)
    walked()
    key = OrderFact.objects.get().customer_key
    assert list(erasing.export(customer_keys=[key])["orderfact"])

    assert erasing.erase(customer_keys=[key])["orderfact"] == 1
    shop_orders.cancel(placed.pk)
    order_facts.take(order_refs=[str(placed.pk)])

    fact = OrderFact.objects.get()
    assert (fact.customer_key, fact.cancelled) == ("", True)


def test_mirrored_orders_go_after_two_years(products):
    order(products)
    walked()

    assert dict(purge(now=now() + timedelta(days=729))) == {}
    assert dict(purge(now=now() + timedelta(days=731))) == {"orders": 1}
    assert not OrderLineFact.objects.exists()
    assert Progress.objects.filter(name="orders").exists()


def test_nothing_is_noted_while_there_is_no_campaign(products):
    """Installed and not used yet: the walk along the orders finds them all the same."""
    placed = order(products)
    snapshots.index()  # a page was looked at, and there was none
    hooks.order_placed(order_ref=str(placed.pk))
    assert not OrderNote.objects.exists()

    campaign(products["CA"])
    snapshots.index()
    hooks.order_placed(order_ref=str(placed.pk))
    assert OrderNote.objects.count() == 1
