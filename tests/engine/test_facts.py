"""What an order and an event tell of, and when an event is about the same thing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.engine.builders import line, order
from upsell.engine import facts
from upsell.engine.conditions import Asked, ConditionError, Money, parse
from upsell.engine.history import (
    Ancillary,
    Around,
    Bought,
    Done,
    of_events,
    of_purchases,
)
from upsell.engine.journeys.matching import matches

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
THREE = {"product_refs": ["a", "b", "c"], "order_ref": "1", "channel": "web"}


@pytest.mark.parametrize(
    ("event", "names", "same"),
    [
        pytest.param({"product_ref": "b"}, ["product_id"], True, id="J34: one of three"),
        pytest.param({"product_ref": "d"}, ["product_id"], False, id="J34: none of three"),
        pytest.param({"path": "/"}, ["product_id"], False, id="J34: field missing"),
        pytest.param({"order_id": 1}, ["order_ref"], True, id="a number and a text"),
        pytest.param({"order_ref": "1"}, ["order_ref", "product_ref"], False, id="one is missing"),
        pytest.param({"order_ref": "1", "seat": "4"}, "all", True, id="all that both have"),
        pytest.param({"order_ref": "1", "channel": "b2b"}, "all", False, id="one differs"),
        pytest.param({"seat": "4"}, "all", False, id="nothing in common"),
        pytest.param({}, [], False, id="nothing compared"),
        pytest.param({"plan": None}, ["plan"], False, id="nothing is not a value"),
    ],
)
def test_is_an_event_about_the_same(event, names, same):
    assert matches(THREE | {"plan": None}, event, names) is same


def asked(fact, **args):
    return Asked(fact=fact, args=tuple(sorted(args.items())))


STARTER = {
    "name": "order.placed",
    "at": NOON.isoformat(),
    "order_ref": "1",
    "parameters": THREE
    | {
        "total": "19.90",
        "currency": "EUR",
        "full": True,
        "ratio": "0.8",
        "service_at": "2026-03-09T08:00:00+00:00",
        "tags": [],
    },
}


@pytest.mark.parametrize(
    ("one", "value"),
    [
        pytest.param(asked("starter.name"), "order.placed", id="name"),
        pytest.param(asked("starter.at"), NOON, id="when, frozen as text"),
        pytest.param(asked("starter.order_ref"), "1", id="order"),
        pytest.param(asked("starter.product_refs"), frozenset("abc"), id="products"),
        pytest.param(asked("starter.tags"), frozenset(), id="no tags are known to be none"),
        pytest.param(asked("starter.value"), Money(amount=Decimal("19.90"), currency="EUR"),
                     id="amount"),
        pytest.param(asked("starter.service_at"), datetime(2026, 3, 9, 8, tzinfo=UTC),
                     id="service"),
        pytest.param(asked("starter.param", name="full"), "true", id="yes as text"),
        pytest.param(asked("starter.number", name="ratio"), Decimal("0.8"), id="number"),
        pytest.param(asked("starter.number", name="channel"), None, id="no number"),
        pytest.param(asked("starter.param", name="plan"), None, id="not told"),
    ],
)  # fmt: skip
def test_a_starter_tells(one, value):
    assert facts.of_starter(one, STARTER) == value


def bought(order_ref, ref, days=0, **rest):
    return Bought(
        order_ref=order_ref,
        product_ref=ref,
        at=NOON - timedelta(days=days),
        currency="EUR",
        net=Decimal(10),
        **rest,
    )


BOUGHT = [
    bought("1", "flight", category_refs=frozenset({"flights"})),
    bought("1", "seat", tags=frozenset({"extra"}), added=True),
    bought("2", "bag", days=10, tags=frozenset({"extra"})),
    bought("3", "mug", days=40),
]
HERE = Around(
    starter=THREE,
    entered_at=NOON,
    now=NOON + timedelta(hours=3),
    ancillary=Ancillary(tags=frozenset({"extra"})),
)
OTHER = [row for row in BOUGHT if row.product_ref != "seat"]


@pytest.mark.parametrize(
    ("rows", "one", "value"),
    [
        pytest.param(OTHER, asked("purchased", ancillary="true", match_starter="order_id"), False,
                     id="J30: for another order"),
        pytest.param(BOUGHT, asked("purchased", ancillary="true", match_starter="order_id"), True,
                     id="J31: for this order"),
        pytest.param(BOUGHT, asked("purchased", product="mug"), True, id="product"),
        pytest.param(BOUGHT, asked("purchased", product="mug", since="P30D"), False, id="too old"),
        pytest.param(BOUGHT, asked("purchased", category="flights"), True, id="category"),
        pytest.param(BOUGHT, asked("purchased", tag="extra", since="entry"), True,
                     id="added to the order since"),
        pytest.param(OTHER, asked("purchased", tag="extra", since="entry"), False,
                     id="nothing since"),
        pytest.param([], asked("purchased"), False, id="nothing at all"),
        pytest.param(BOUGHT, asked("purchases.count"), 3, id="orders, not lines"),
        pytest.param(BOUGHT, asked("purchases.value", within="P30D"),
                     Money(amount=Decimal(30), currency="EUR"), id="value"),
        pytest.param([], asked("purchases.value"), None, id="nothing, in no currency"),
        pytest.param([], asked("purchases.value", currency="JPY"),
                     Money(amount=Decimal(0), currency="JPY"), id="nothing, in one"),
        pytest.param(BOUGHT, asked("purchases.last_at", tag="extra"), NOON, id="last"),
        pytest.param(BOUGHT, asked("purchases.last_ago", product="mug"),
                     timedelta(days=40, hours=3), id="how long ago"),
        pytest.param([], asked("purchases.last_at"), None, id="never"),
    ],
)  # fmt: skip
def test_what_was_bought(rows, one, value):
    assert of_purchases(one, rows, HERE) == value


def done(name, minutes, **parameters):
    return Done(name=name, at=NOON + timedelta(minutes=minutes), parameters=parameters)


DONE = [
    done("product.viewed", -60, product_ref="a"),
    done("product.viewed", 0, product_ref="a"),
    done("product.viewed", 60, product_ref="z", category_refs=["tea", "food"]),
    done("page.viewed", 60, path="/help/seats"),
    done("page.viewed", 181, path="/help/seats"),
]


@pytest.mark.parametrize(
    ("one", "count"),
    [
        pytest.param(asked("event.count", name="product.viewed"), 3, id="all"),
        pytest.param(asked("event.count", name="product.viewed", since_entry="true"), 1,
                     id="since the entry, its own instant left out"),
        pytest.param(asked("event.count", name="product.viewed", within="PT3H"), 1, id="within"),
        pytest.param(asked("event.count", name="product.viewed", product="a"), 2, id="product"),
        pytest.param(asked("event.count", name="product.viewed", category="food"), 1,
                     id="category"),
        pytest.param(asked("event.count", name="product.viewed", match_starter="product_id"), 2,
                     id="of the starter's products"),
        pytest.param(asked("event.count", name="page.viewed", path="/help/*"), 1,
                     id="path, and nothing to come"),
        pytest.param(asked("event.count", name="page.viewed", path="/help"), 0, id="other path"),
    ],
)  # fmt: skip
def test_what_was_done(one, count):
    assert of_events(one, DONE, HERE) == count


def test_since_an_entry_that_was_none_is_not_known():
    nowhere = Around(starter={}, entered_at=None, now=NOON)

    assert of_events(asked("event.count", name="a", since_entry="true"), DONE, nowhere) is None
    assert of_purchases(asked("purchased", since="entry"), BOUGHT, nowhere) is None


@pytest.mark.parametrize(
    ("fact", "args", "message"),
    [
        pytest.param("event.count", {}, "has to say its name", id="of which event"),
        pytest.param("event.count", {"name": "a", "within": "3 days"}, "a duration", id="duration"),
        pytest.param("purchased", {"since": "yesterday"}, "“entry”", id="since"),
        pytest.param("purchased", {"ancillary": "yes"}, "true or false", id="yes or no"),
        pytest.param("purchased", {"product": ""}, "1 to 190", id="empty"),
    ],
)
def test_what_is_asked_wrongly_is_refused(fact, args, message):
    op = {"op": "is", "value": True} if fact == "purchased" else {"op": "ge", "value": 1}

    with pytest.raises(ConditionError, match=message):
        parse({"fact": fact, "args": args, **op}, facts.OURS)


def test_arguments_are_kept_as_text():
    tree = parse(
        {
            "fact": "purchased",
            "args": {"ancillary": True, "match_starter": ["order_id", "tags"]},
            "op": "is",
            "value": True,
        },
        facts.OURS,
    )

    assert tree.asked == asked("purchased", ancillary="true", match_starter="order_id,tags")


BACK = line("W1", 2, returned=2)
FLIGHT = datetime(2026, 6, 20, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("placed", "fact", "value"),
    [
        pytest.param(order("W1", "DT"), "order.net", Money(amount=Decimal(510), currency="EUR"),
                     id="net"),
        pytest.param(order(BACK, line("DT", 3)), "order.lines", 1, id="what came back is no line"),
        pytest.param(order(BACK, line("DT", 3)), "order.units", 3, id="units"),
        pytest.param(order("PH128"), "order.product_refs", frozenset({"PH128", "PH"}),
                     id="a variant and its parent"),
        pytest.param(order("W1"), "order.category_refs", frozenset({"Machines", "Laundry"}),
                     id="categories with those above"),
        pytest.param(order(line("W1", service_at=FLIGHT + timedelta(days=1)),
                           line("DT", service_at=FLIGHT)), "order.service_at", FLIGHT,
                     id="the first service"),
        pytest.param(order("W1"), "order.service_at", None, id="no service"),
        pytest.param(order("W1", shipping_country=None), "order.country", None, id="not told"),
        pytest.param(order("W1", closed_reason="refunded"), "order.refunded", True, id="refunded"),
        pytest.param(order("W1", cancelled=True), "order.cancelled", True, id="cancelled"),
    ],
)  # fmt: skip
def test_an_order_tells(placed, fact, value):
    told = facts.of_order(placed)

    assert told.keys() <= facts.OURS.keys()
    assert told.get(fact) == value


@pytest.mark.parametrize(
    ("placed", "primary", "back"),
    [
        pytest.param(order("W1", "DT"), None, False, id="nothing"),
        pytest.param(order("W1", line("DT", 3, returned=1)), None, True, id="a unit"),
        pytest.param(order("W1", line("DT", 1, returned=1)), {"W1"}, False,
                     id="J33: partly, the primary is kept"),
        pytest.param(order(line("W1", 1, returned=1), "DT"), {"W1"}, True, id="J33: the primary"),
        pytest.param(order("W1", closed_reason="refunded"), {"W1"}, True, id="J33: all money"),
    ],
)  # fmt: skip
def test_what_came_back(placed, primary, back):
    told = None if primary is None else frozenset(primary)

    assert facts.came_back(placed, primary=told) is back
