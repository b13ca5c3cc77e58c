"""What offers really earn against the holdout: buyers, not lines; SQL against plain Python."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.factories import campaign, catalogue
from tests.oracles import oracle
from upsell.models import Offer, OrderFact
from upsell.services import holdout

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RANGE = {"since": NOON - 30 * DAY, "until": NOON}


def offered(row, key: str, *, held: bool, days_ago: float = 10, **options) -> None:
    at = NOON - days_ago * DAY
    ref = f"o{Offer.objects.count()}"
    Offer.objects.create(
        **{
            "campaign": row,
            "occasion_ref": ref,
            "order_ref": ref,
            "state": "SUPPRESSED" if held else "EXPIRED",
            "kind": "CROSS_SELL",
            "product_ref": "1",
            "currency": "EUR",
            "unit_net": 1,
            "unit_gross": 1,
            "channel": "web",
            "customer_key": key,
            "created_at": at,
            "expires_at": at + DAY,
        }
        | options
    )


def ordered(key: str, net: str, *, days_ago: float = 5, **options) -> None:
    values = {"refunded_net": 0, "currency": "EUR", "channel": "web"} | options
    OrderFact.objects.create(
        order_ref=f"f{OrderFact.objects.count()}",
        customer_key=key,
        placed_at=NOON - days_ago * DAY,
        net=Decimal(net),
        **values,
    )


@pytest.fixture
def row(db):
    return campaign(catalogue()["CA"])


def test_without_a_holdout_nothing_is_said(row):
    offered(row, "u:1", held=False)
    ordered("u:1", "10")

    assert holdout.earned(**RANGE) == {}
    assert holdout.began(channels=None, **RANGE) is None


def test_all_orders_of_a_buyer_count_less_what_came_back(row):
    for key, held in (("u:1", True), ("u:2", False), ("u:3", False)):
        offered(row, key, held=held)
    for key, net, options in (
        ("u:1", "10", {}),
        ("u:1", "5", {"refunded_net": 2}),
        ("u:2", "30", {}),
        ("u:2", "99", {"cancelled": True}),
        ("u:3", "7", {"days_ago": 40}),  # before anybody was held out
        ("u:3", "7.50", {}),
        ("u:9", "500", {}),  # never had an offer
        ("u:2", "1000", {"currency": "JPY"}),  # nobody held out paid in yen
    ):
        ordered(key, net, **options)

    told = holdout.earned(**RANGE)

    assert set(told) == {"EUR"}
    assert (told["EUR"].held.n, told["EUR"].held.total) == (1, Decimal(13))
    assert (told["EUR"].treated.n, told["EUR"].treated.total) == (2, Decimal("37.50"))
    assert told["EUR"].comparison is None, "too few"


def test_who_was_on_both_sides_is_on_neither_and_trials_do_not_count(row):
    offered(row, "u:1", held=True)
    offered(row, "u:1", held=False)
    offered(row, "u:2", held=True)
    offered(row, "u:3", held=False)
    offered(row, "u:4", held=False, trial=True)
    for key in ("u:1", "u:2", "u:3", "u:4"):
        ordered(key, "10")

    told = holdout.earned(**RANGE)["EUR"]

    assert (told.held.n, told.treated.n) == (1, 1)


def test_what_came_before_the_first_held_out_is_not_compared(row):
    offered(row, "u:1", held=False, days_ago=20)
    offered(row, "u:2", held=True, days_ago=10)
    offered(row, "u:3", held=False, days_ago=9)
    for key in ("u:1", "u:2", "u:3"):
        ordered(key, "10", days_ago=8)

    assert holdout.earned(**RANGE)["EUR"].treated.n == 1


def test_the_sums_are_those_of_plain_python_and_the_statements_do_not_grow(row):
    oracle("scipy.stats")
    dice = random.Random(7)
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for number in range(400):
        key = f"u:{number}"
        offered(row, key, held=number % 3 == 0)
        for _ in range(dice.randint(1, 3)):
            net = Decimal(dice.randint(100, 9_999)) / 100
            ordered(key, str(net))
            spent[key] += net
    with CaptureQueriesContext(connection) as asked:
        told = holdout.earned(**RANGE)["EUR"]

    held = [value for key, value in spent.items() if int(key[2:]) % 3 == 0]
    rest = [value for key, value in spent.items() if int(key[2:]) % 3]
    for sums, values in ((told.held, held), (told.treated, rest)):
        assert (sums.n, sums.total) == (len(values), sum(values))
        assert float(sums.squares) == pytest.approx(float(sum(v * v for v in values)))
    difference = float(sum(rest) / len(rest) - sum(held) / len(held))
    assert told.comparison.difference == pytest.approx(difference)
    assert told.incremental.difference == pytest.approx(difference * len(rest))
    assert told.incremental.interval.low < told.incremental.difference
    assert len(asked) == 5
