"""The median order and the median gap: made nightly, and facts by them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.factories import catalogue, order
from upsell.engine.conditions import Asked, facts_needed, parse
from upsell.models import OrderFact, Progress, Segment, ShopNumber
from upsell.ports import Who
from upsell.services import facts, segments, shop_numbers

pytestmark = [pytest.mark.django_db, pytest.mark.databases]

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
DAY = timedelta(days=1)
moved = [timedelta()]


def told() -> datetime:
    return NOW + moved[0]


@pytest.fixture(autouse=True)
def _clock(settings):
    settings.UPSELL_CLOCK = f"{__name__}.told"
    moved[0] = timedelta()


def sold(net: str, *, ago: timedelta = DAY, **values) -> None:
    values = {"channel": "web", "currency": "EUR", "customer_key": ""} | values
    OrderFact.objects.create(
        order_ref=f"F{OrderFact.objects.count()}", placed_at=NOW - ago, net=Decimal(net), **values
    )


def many(nets, **values) -> None:
    for net in nets:
        sold(str(net), **values)


def numbers() -> dict[tuple[str, str, str], tuple[Decimal, int]]:
    return {
        (row.name, row.channel, row.currency): (row.value, row.among)
        for row in ShopNumber.objects.all()
    }


MEDIANS = {
    "of an odd number the middle one": (range(1, 22), 11),
    "of an even number the lower of the two": (range(1, 21), 10),
    "of fewer than twenty none": (range(1, 20), None),
    "one that is very large moves nothing": ([*range(1, 21), 10_000_000], 11),
}


@pytest.mark.parametrize(("nets", "median"), MEDIANS.values(), ids=MEDIANS)
def test_the_median_order_is_one_that_there_was(nets, median):
    many(nets)

    shop_numbers.renew_due()

    wanted = {} if median is None else {("MEDIAN_ORDER", "web", "EUR"): (median, len(list(nets)))}
    assert numbers() == wanted


def test_each_sales_channel_and_currency_has_its_own():
    many(range(1, 22))
    many(range(101, 122), channel="app")
    many(range(1001, 1022), currency="JPY")

    shop_numbers.renew_due()

    assert {key[1:]: value for key, (value, _n) in numbers().items()} == {
        ("web", "EUR"): 11, ("app", "EUR"): 111, ("web", "JPY"): 1011,
    }  # fmt: skip


LEFT_OUT = {
    "older than ninety days": {"ago": 90 * DAY},
    "cancelled": {"cancelled": True},
    "of a time to come": {"ago": -DAY},
}


@pytest.mark.parametrize("values", LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_is_left_out(values):
    many(range(1, 20))

    sold("20", **values)
    shop_numbers.renew_due()

    assert numbers() == {}


def test_the_median_gap_is_between_orders_of_one_buyer():
    for buyer in range(21):
        for place in range(2):  # one to twenty-one days apart, and nothing across buyers
            sold("1", ago=(50 - place * (buyer + 1)) * DAY, customer_key=f"u:{buyer}")
    many(range(5), ago=3 * DAY)  # nobody's

    shop_numbers.renew_due()

    assert numbers()["MEDIAN_GAP", "", ""] == (11 * 86_400, 21)


def test_once_a_day_and_by_one_alone(django_assert_num_queries):
    many(range(1, 22))
    assert shop_numbers.renew_due() == 1
    many(range(1001, 1042))

    with django_assert_num_queries(1):
        assert shop_numbers.renew_due() == 0
    moved[0] = DAY
    assert shop_numbers.renew_due() == 1
    assert numbers()["MEDIAN_ORDER", "web", "EUR"] == (1010, 62)

    moved[0] = 2 * DAY
    stale = Progress.objects.get(name="shop_numbers")
    Progress.objects.update(at=NOW + 2 * DAY)  # another process was faster
    assert stale.at == NOW + DAY
    assert shop_numbers.renew_due() == 0


def test_a_clock_that_was_set_back_is_followed():
    many(range(1, 22))
    Progress.objects.create(name="shop_numbers", at=NOW + 400 * DAY)

    assert shop_numbers.renew_due() == 1


# ------------------------------------------------------------------ facts


def gathered(name: str, **who: str) -> Decimal | None:
    asked = Asked(fact=name, args=())
    found = facts.gather([asked], who=Who(**who), starter={}, entered_at=None, now=told())
    return found.get(asked)


def test_an_order_is_measured_by_the_median_of_its_sales_channel():
    placed = order(catalogue(), placed_at=NOW)
    net = facts.conf.shop().order(str(placed.pk)).goods.net
    assert gathered("order.to_median", order_ref=str(placed.pk)) is None, "there is no median yet"
    ShopNumber.objects.create(
        name="MEDIAN_ORDER", channel="web", currency="EUR", value=net / 3, among=20, at=NOW
    )

    assert round(gathered("order.to_median", order_ref=str(placed.pk)), 3) == 3
    assert gathered("order.to_median", customer_key="u:1") is None, "there is no order"


def test_a_buyer_is_measured_by_the_median_gap():
    sold("5", ago=9 * DAY, customer_key="u:1")
    assert gathered("customer.gaps_since_last", customer_key="u:1") is None
    ShopNumber.objects.create(name="MEDIAN_GAP", value=6 * 86_400, among=20, at=NOW)

    assert gathered("customer.gaps_since_last", customer_key="u:1") == Decimal("1.5")
    assert gathered("customer.gaps_since_last", customer_key="u:2") is None, "never bought"


SEGMENTS = {
    # days since the last order, where the median gap is ten: the segment
    20: "active",
    21: "at-risk",
    40: "at-risk",
    41: "lapsed",
}


@pytest.mark.parametrize(("days", "slug"), SEGMENTS.items())
def test_active_at_risk_and_lapsed_are_apart(days, slug):
    ShopNumber.objects.create(name="MEDIAN_GAP", value=10 * 86_400, among=20, at=NOW)
    sold("5", ago=days * DAY, customer_key="u:1")
    made = {name: segments.copy_ready(name) for name in set(SEGMENTS.values())}
    who = Who(customer_key="u:1")

    matched = {name for name, row in made.items() if segments.is_in(row, who, told()).matches}
    segments.count_due()

    assert matched == {slug} | ({"at-risk"} if days == 20 else set())
    counted = dict(Segment.objects.values_list("slug", "counted"))
    assert {name for name, n in counted.items() if n} == matched, "and they can be counted"


def test_every_ready_made_segment_names_facts_that_there_are():
    for name, tree in segments.READY.values():
        assert facts_needed(parse(tree, facts.specs())), name
