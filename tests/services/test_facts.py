"""Facts are gathered in one go, as of one instant, and nothing that nobody asks."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from example_shop.adapter import ExampleShop
from tests.factories import campaign, catalogue, order
from upsell import conf, snapshots
from upsell.engine.conditions import Asked, FactSpec, FactType, Money
from upsell.models import ChannelSettings, EventInbox, OrderFact
from upsell.ports import Customer, NotFound, Who
from upsell.services import facts, linking, order_facts

pytestmark = [pytest.mark.django_db]

NOW = timezone.now().replace(microsecond=0)
BUYER = snapshots.customer_key(Customer(email="buyer@example.org"))


def asked(fact, **args):
    return Asked(fact=fact, args=tuple(sorted(args.items())))


class Counted(ExampleShop):
    """The example shop, with a score of its own, that counts what it is asked."""

    fact_specs = (
        FactSpec(name="score", type=FactType.INT, label="Score"),
        FactSpec(name="order.net", type=FactType.TEXT, label="Not ours to say"),
        FactSpec(name="wrong", type=FactType.INT),
    )
    asked: list = []

    def orders(self, refs):
        self.asked.append("orders")
        return super().orders(refs)

    def products(self, refs):
        self.asked.append("products")
        return super().products(refs)

    def facts(self, who, names):
        self.asked.append(("facts", *names))
        return {"score": 7, "wrong": "seven"}


@pytest.fixture(autouse=True)
def _shop(settings):
    settings.UPSELL_SHOP = f"{__name__}.Counted"
    Counted.asked.clear()


@pytest.fixture
def products():
    return catalogue()


@pytest.fixture
def placed(products):
    """An order of a washing machine, three hours ago."""
    made = order(products, ("W1", 1), placed_at=NOW - timedelta(hours=3))
    order_facts.take(order_refs=[str(made.pk)])
    Counted.asked.clear()
    return made


def starter(placed) -> dict:
    lines = placed.lines.order_by("pk")
    return {
        "name": "order.placed",
        "at": placed.placed_at.isoformat(),
        "order_ref": str(placed.pk),
        "parameters": {
            "product_refs": [str(line.product_id) for line in lines],
            "line_refs": [str(line.pk) for line in lines],
            "currency": "EUR",
        },
    }


def gathered(placed, *wanted, key=BUYER, **options):
    found = facts.gather(
        wanted,
        who=Who(customer_key=key, order_ref=str(placed.pk) if placed else ""),
        starter=options.pop("starter") if "starter" in options else starter(placed),
        entered_at=options.pop("entered_at", NOW - timedelta(hours=3)),
        now=NOW,
        **options,
    )
    return [found.get(one) for one in wanted]


def told(name, minutes=30, key=BUYER, **parameters):
    count = EventInbox.objects.count()
    EventInbox.objects.create(
        source="HOST", event_id=str(count), name=name, customer_key=key, parameters=parameters,
        occurred_at=NOW - timedelta(minutes=minutes), received_at=NOW,
    )  # fmt: skip


ALONG = asked("purchased", ancillary="true", match_starter="order_id")


def test_nothing_asked_costs_nothing(placed, django_assert_num_queries):
    began = starter(placed)

    with django_assert_num_queries(0):
        assert gathered(placed, starter=began) == []

    assert Counted.asked == []


@pytest.mark.parametrize(
    ("wanted", "statements", "calls"),
    [
        pytest.param([asked("starter.name"), asked("starter.order_ref")], 0, [], id="starter"),
        pytest.param([asked("event.count", name="a"), asked("event.count", name="b")], 2, [],
                     id="events"),
        pytest.param([asked("score")], 0, [("facts", "score")], id="the shop's own"),
        pytest.param([asked("usage.ratio", metric="seats")], 0, [], id="usage, not known yet"),
    ],
)  # fmt: skip
def test_only_what_is_asked_is_read(placed, wanted, statements, calls, django_assert_num_queries):
    began = starter(placed)

    with django_assert_num_queries(statements):
        gathered(placed, *wanted, starter=began)

    assert Counted.asked == calls


def test_everything_at_once_reads_each_source_once(placed, products):
    conf.shop().order(str(placed.pk))
    wanted = [
        asked("order.net"), asked("order.tags"), asked("returned", primary="true"),
        asked("customer.orders_count"), asked("customer.guest"), ALONG,
        asked("purchased", category="laundry"), asked("purchases.value"),
        asked("purchases.count", within="P30D"), asked("event.count", name="a"),
        asked("event.count", name="b", within="PT1H"), asked("score"), asked("wrong"),
        asked("starter.name"),
    ]  # fmt: skip
    Counted.asked.clear()

    with CaptureQueriesContext(
        connection,
    ) as ran:
        gathered(placed, *wanted)

    assert sorted(map(str, Counted.asked)) == ["('facts', 'score', 'wrong')", "orders", "products"]
    for table in ("upsell_eventinbox", "upsell_orderfact", "upsell_keylink"):
        assert sum(f'FROM "{table}"' in row["sql"] for row in ran) == 1, table


def test_what_the_shop_says_wrongly_is_not_known(placed):
    assert gathered(placed, asked("score"), asked("wrong"), asked("order.net")) == [
        7,
        None,
        Money(amount=Decimal(500), currency="EUR"),
    ]


def test_j30_and_j31_an_ancillary_of_this_order_alone(placed, products):
    ChannelSettings.objects.create(channel="web", ancillary_categories=["supplies"])
    assert gathered(placed, ALONG) == [False]

    other = order(products, ("DT", 1), placed_at=NOW - timedelta(hours=1))
    order_facts.take(order_refs=[str(other.pk)])
    assert gathered(placed, ALONG, asked("purchased", ancillary="true")) == [False, True]

    line = other.lines.get()
    line.order = placed
    line.position = 2
    line.save()
    since = asked("purchased", ancillary="true", since="entry", match_starter="order_id")
    began = starter(placed) | {}
    began["parameters"] = began["parameters"] | {"line_refs": [str(placed.lines.first().pk)]}
    # The mirror knows nothing of it yet.
    assert gathered(placed, ALONG, since, starter=began) == [True, True]


def test_what_a_live_cross_sell_offers_goes_along_too(placed, products):
    campaign(products["CA"], products["W1"])
    campaign(products["IN"], products["W1"], status="OFF")
    for sku in ("CA", "IN"):
        made = order(products, (sku, 1), placed_at=NOW - timedelta(hours=1))
        order_facts.take(order_refs=[str(made.pk)])
        along = asked("purchased", ancillary="true", product=str(products[sku].pk))
        assert gathered(placed, along) == [sku == "CA"]


def test_j73_a_buyer_becomes_a_repeat_buyer_meanwhile(placed, products):
    first = asked("customer.new"), asked("customer.orders_count")
    assert gathered(placed, *first) == [True, 1]

    again = order(products, ("DT", 1), placed_at=NOW - timedelta(hours=1))
    order_facts.take(order_refs=[str(again.pk)])

    assert gathered(placed, *first) == [False, 2]


def test_what_was_told_under_a_linked_key_is_theirs(placed):
    told("product.viewed", key="u:7")
    told("product.viewed", key="u:8")
    count = asked("event.count", name="product.viewed")
    assert gathered(placed, count) == [0]

    linking.link(old=BUYER, new="u:7", now=NOW)

    assert gathered(placed, count) == [1]


def test_events_of_this_order_since_the_entry(placed):
    told("support.ticket", minutes=10, order_ref="no")
    told("support.ticket", minutes=20)
    EventInbox.objects.filter(event_id="1").update(order_ref=str(placed.pk))
    told("support.ticket", minutes=181)

    assert gathered(
        placed,
        asked("event.count", name="support.ticket"),
        asked("event.count", name="support.ticket", since_entry="true"),
        asked("event.count", name="support.ticket", match_starter="order_id"),
        asked("event.count", name="support.ticket", within="PT15M"),
    ) == [3, 2, 1, 1]


def test_the_event_at_hand(placed):
    event = {"order_ref": str(placed.pk), "parameters": {"full": False, "score": 5}}

    assert gathered(
        placed,
        asked("event.param", name="full"),
        asked("event.number", name="score"),
        asked("event.matches", match_starter="order_id"),
        event=event,
    ) == ["false", Decimal(5), True]
    assert gathered(placed, asked("event.matches", match_starter="order_id")) == [None]


def test_what_was_spent_is_less_what_came_back(placed, products):
    other = order(products, ("DT", 3), placed_at=NOW - timedelta(days=40))
    order_facts.take(order_refs=[str(other.pk)])
    OrderFact.objects.filter(order_ref=str(other.pk)).update(refunded_net=10)

    assert gathered(placed, asked("purchases.value"), asked("purchases.value", within="P30D")) == [
        Money(amount=Decimal(520), currency="EUR"),
        Money(amount=Decimal(500), currency="EUR"),
    ]


def test_what_is_gone_is_not_known_and_what_fails_is_told(placed, monkeypatch):
    gone = Who(customer_key="", order_ref="no-such-order")
    one = asked("order.net")
    assert facts.gather([one, ALONG], who=gone, starter={}, entered_at=None, now=NOW) == {}

    def down(self, ref):
        raise OSError("down")

    monkeypatch.setattr(Counted, "order", down)
    with pytest.raises(OSError, match="down"):
        gathered(placed, one)
    assert NotFound


def test_every_fact_of_a_shop_stands_beside_ours():
    found = facts.specs()

    assert found["score"].label == "Score"
    assert found["order.net"].type is FactType.MONEY


def test_j33_what_came_back_is_the_order_as_it_is_now(products):
    ChannelSettings.objects.create(channel="web", ancillary_categories=["supplies"])
    placed = order(products, ("W1", 1), ("DT", 2), placed_at=NOW - timedelta(hours=3))
    any_of, primary = asked("returned"), asked("returned", primary="true")
    began = starter(placed)
    assert gathered(placed, any_of, primary, starter=began) == [False, False]

    placed.lines.filter(position=2).update(returned=2)
    assert gathered(placed, any_of, primary, starter=began) == [True, False]

    placed.lines.filter(position=1).update(returned=1)
    assert gathered(placed, any_of, primary, starter=began) == [True, True]
