"""What happens to orders, offers and carts is told once, and only where a journey may listen."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from example_shop import orders as shop_orders
from example_shop.models import Order
from tests.factories import campaign, catalogue, order
from upsell import hooks, snapshots
from upsell.models import EventInbox, Journey, Offer, OrderNote
from upsell.ports import Customer
from upsell.services import (
    carts,
    erasing,
    events,
    expiring,
    linking,
    offering,
    order_facts,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

START = timezone.now().replace(microsecond=0)
BUYER = snapshots.customer_key(Customer(email="buyer@example.org"))
moved: list[timedelta] = []


def now() -> datetime:
    """The time of these tests."""
    return START + sum(moved, timedelta())


@pytest.fixture(autouse=True)
def _clock(settings):
    settings.UPSELL_CLOCK = f"{__name__}.now"
    moved.clear()


@pytest.fixture
def products():
    return catalogue()


@pytest.fixture
def live():
    """A journey that may listen."""
    return Journey.objects.create(slug="j", name="J", state="LIVE")


def names() -> list[str]:
    return list(EventInbox.objects.order_by("pk").values_list("name", flat=True))


def walked() -> None:
    for _page in order_facts.walk():
        pass


# ------------------------------------------------------------------ orders


def test_an_order_is_told_of_once_whoever_finds_it(live, products):
    placed = order(products, ("W1", 1), ("DT", 3), placed_at=now() - timedelta(minutes=5))
    hooks.order_placed(order_ref=str(placed.pk))
    hooks.order_placed(order_ref=str(placed.pk))
    walked()
    order_facts.take_noted()
    walked()

    row = EventInbox.objects.get()

    assert (row.name, row.source, row.event_id) == ("order.placed", "SHOP", f"{placed.pk}:placed")
    assert (row.customer_key, row.order_ref) == (BUYER, str(placed.pk))
    assert (row.occurred_at, row.processed_at) == (placed.placed_at, None)
    assert row.parameters == {
        "order_ref": str(placed.pk),
        "channel": "web",
        "currency": "EUR",
        "total": str(placed.total_gross),
        "line_refs": [str(line.pk) for line in placed.lines.order_by("position")],
        "product_refs": sorted(row.parameters["product_refs"]),
        "category_refs": ["laundry", "machines", "supplies"],
        "tags": [],
        "coupons": [],
    }
    assert {str(products["W1"].pk), str(products["DT"].pk)} <= set(row.parameters["product_refs"])


@pytest.mark.parametrize(
    ("age", "told"),
    [
        pytest.param(timedelta(hours=24) - timedelta(seconds=1), ["order.placed"], id="a day"),
        pytest.param(timedelta(hours=24), [], id="older"),
    ],
)
def test_a_history_that_is_mirrored_tells_nothing(live, products, age, told):
    order(products, placed_at=now() - age)

    walked()

    assert names() == told


def cancelled(placed: Order) -> None:
    shop_orders.cancel(placed.pk)


def refunded(placed: Order) -> None:
    Order.objects.filter(pk=placed.pk).update(refunded=True)


def returned(placed: Order) -> None:
    placed.lines.filter(position=2).update(returned=1)


def nothing(placed: Order) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "tell", "name", "full"),
    [
        pytest.param(cancelled, hooks.order_cancelled, "order.cancelled", None, id="cancelled"),
        pytest.param(cancelled, hooks.order_changed, "order.cancelled", None, id="as a change"),
        pytest.param(refunded, hooks.order_refunded, "order.refunded", True, id="all money"),
        pytest.param(returned, hooks.order_refunded, "order.refunded", False, id="some money"),
        pytest.param(returned, hooks.order_returned, "order.returned", None, id="returned"),
        pytest.param(nothing, hooks.order_shipped, "order.shipped", None, id="shipped"),
        pytest.param(nothing, hooks.order_delivered, "order.delivered", None, id="delivered"),
        pytest.param(nothing, hooks.order_changed, "order.changed", None, id="changed"),
    ],
)  # fmt: skip
def test_what_happens_to_an_order_is_told_once(live, products, change, tell, name, full):
    placed = order(products, ("W1", 1), ("DT", 3))
    walked()
    change(placed)

    for _twice in range(2):
        tell(order_ref=str(placed.pk))
        tell(order_ref=str(placed.pk))
        order_facts.take_noted()

    rows = [row for row in EventInbox.objects.all() if row.name == name]
    assert len(rows) == 1
    assert rows[0].parameters.get("full") is full
    assert names().count("order.placed") == 1


def test_a_cancellation_that_nobody_told_of_is_found_by_the_walk(live, products):
    placed = order(products, ("W1", 1))
    walked()
    cancelled(placed)

    order_facts.take(order_refs=[str(placed.pk)])

    assert names() == ["order.placed", "order.cancelled"]


def test_without_a_journey_nothing_is_told_and_less_is_noted(products):
    campaign(products["CA"], products["W1"])
    snapshots.index()
    placed = order(products, ("W1", 1))

    hooks.order_placed(order_ref=str(placed.pk))
    hooks.order_shipped(order_ref=str(placed.pk))

    assert list(OrderNote.objects.values_list("name", flat=True)) == ["placed"]
    order_facts.take_noted()
    assert names() == []


def test_a_host_pays_one_insert_with_a_journey_and_no_campaign(live, products):
    snapshots.index()
    placed = order(products, ("W1", 1))

    with CaptureQueriesContext(connection) as ran:
        hooks.order_placed(order_ref=str(placed.pk))

    assert [row["sql"].split()[0] for row in ran] == ["INSERT"]


def test_a_process_learns_of_the_first_journey(products):
    snapshots.index()
    assert snapshots.is_unused()

    Journey.objects.create(slug="j", name="J", state="LIVE")
    snapshots.index()

    assert not snapshots.is_unused()
    assert snapshots.has_journeys()
    Journey.objects.all().update(state="STOPPED")
    snapshots.index()
    assert not snapshots.has_journeys()


def test_of_an_erased_buyer_nothing_is_told(live, products):
    placed = order(products, ("W1", 1))
    walked()
    erasing.erase(customer_keys=[BUYER], now=now())
    EventInbox.objects.all().delete()

    hooks.order_shipped(order_ref=str(placed.pk))
    order_facts.take_noted()

    assert names() == []


def test_long_lists_are_cut_and_long_references_hashed(live):
    row = events.row(
        "order.placed", customer_key="u:1", source="SHOP", event_id="1", order_ref="1",
        parameters={"line_refs": ["x" * 190] * 500, "total": "1.00"}, at=now(), now=now(),
    )  # fmt: skip

    assert row.parameters["total"] == "1.00"
    assert 0 < len(row.parameters["line_refs"]) < 100


# ------------------------------------------------------------------ offers


@pytest.fixture
def offer(products):
    campaign(products["CA"], products["W1"], slug="case")
    placed = order(products, ("W1", 1))

    def made() -> Offer:
        offering.offer_for(order_ref=str(placed.pk), now=now())
        return Offer.objects.get()

    return made


def test_what_became_of_an_offer_is_told(live, offer):
    made = offer()
    moved.append(timedelta(hours=3))
    expiring.expire_due()

    row = EventInbox.objects.get(name="offer.expired")

    assert names()[-1] == "offer.expired"
    assert (row.customer_key, row.order_ref, row.source) == (BUYER, made.order_ref, "OURS")
    assert row.parameters == {
        "offer": str(made.uuid),
        "campaign": "case",
        "order_ref": made.order_ref,
        "channel": "web",
        "product_ref": made.product_ref,
        "amount": row.parameters["amount"],
        "currency": "EUR",
        "reason": "",
    }


def test_without_a_journey_an_offer_tells_nothing(offer):
    offer()
    moved.append(timedelta(hours=3))
    expiring.expire_due()

    assert names() == []


# ------------------------------------------------------------------ carts


def touch(name, minutes, *, cart="c1", key="u:7", **parameters):
    EventInbox.objects.create(
        source="HOST", event_id=f"{EventInbox.objects.count()}", name=name, customer_key=key,
        parameters={"cart_ref": cart} | parameters, occurred_at=now() - timedelta(minutes=minutes),
        received_at=now(),
    )  # fmt: skip


ADD, DONE = "cart.added", "checkout.completed"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        pytest.param([(ADD, 60)], 1, id="an hour"),
        pytest.param([(ADD, 59)], 0, id="not yet"),
        pytest.param([(ADD, 70), ("cart.removed", 61)], 1, id="touched twice"),
        pytest.param([(ADD, 60), ("cart.removed", 30)], 0, id="touched since"),
        pytest.param([(ADD, 61), (DONE, 60.5)], 0, id="bought"),
        pytest.param([(ADD, 61), ("order.placed", 30, {"cart": ""})], 0, id="an order came"),
        pytest.param([(ADD, 61), (DONE, 60.5, {"cart": "c2"})], 1, id="another cart was bought"),
        pytest.param([(ADD, 60, {"key": "v:1"})], 0, id="nobody who could be written to"),
        pytest.param([("page.viewed", 60)], 0, id="no cart"),
    ],
)
def test_a_cart_that_was_left_is_told_of(live, rows, told):
    touch(ADD, 60 * 24 * 3, cart="old")
    for name, minutes, *options in rows:
        touch(name, minutes, **(options[0] if options else {}))

    assert carts.abandon_due() == told
    moved.append(timedelta(minutes=1))
    carts.abandon_due()

    found = [row for row in EventInbox.objects.all() if row.name == "cart.abandoned"]
    assert sum(row.occurred_at <= START for row in found) == told


def test_each_time_a_cart_is_left_is_told_once(live):
    touch(ADD, 60, value="10.00", currency="EUR")
    carts.abandon_due()
    moved.append(timedelta(minutes=5))
    touch("cart.removed", 0)
    carts.abandon_due()
    moved.append(timedelta(minutes=60))
    carts.abandon_due()
    moved.append(timedelta(minutes=60))
    carts.abandon_due()

    rows = EventInbox.objects.filter(name="cart.abandoned").order_by("pk")
    assert [row.occurred_at for row in rows] == [START, START + timedelta(minutes=65)]
    assert rows[0].parameters == {"cart_ref": "c1", "value": "10.00", "currency": "EUR"}


def test_a_visitor_who_signed_in_has_an_address(live):
    touch(ADD, 60, key="v:1")
    linking.link(old="v:1", new="u:7", now=now())

    carts.abandon_due()

    assert EventInbox.objects.get(name="cart.abandoned").customer_key == "u:7"


def test_without_a_journey_no_cart_is_looked_at():
    touch(ADD, 60)
    snapshots.look_for_journeys()

    with CaptureQueriesContext(connection) as ran:
        assert carts.abandon_due() == 0

    assert len(ran) == 0
