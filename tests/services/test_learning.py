"""Beliefs of campaigns, made from the sums per day, and what a decision makes of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from example_shop.models import Product
from tests.factories import campaign, catalogue, order
from upsell import snapshots
from upsell.engine.bandit import learned, propensities
from upsell.engine.selecting import SALT
from upsell.models import Belief, Campaign, DailyMetric, Decision
from upsell.services import explaining, learning, offering
from upsell.services.purging import purge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TODAY = date(2026, 3, 2)


@pytest.fixture
def products(settings) -> dict[str, Product]:
    settings.UPSELL_SELECTION = {"post_purchase": "learned"}
    made = catalogue()
    Product.objects.update(stock=None)
    return made


def day(row: Campaign, days_ago: int, shown: int, accepted: int, **sums) -> None:
    DailyMetric.objects.create(
        day=TODAY - timedelta(days=days_ago),
        channel="web",
        moment="post_purchase",
        campaign=row,
        shown=shown,
        accepted=accepted,
        **{"currency": "EUR", "sold": accepted, "revenue_net": 10 * accepted} | sums,
    )


def belief(row: Campaign) -> Belief:
    return Belief.objects.filter(campaign=row).latest("made_at")


def test_a_day_thirty_days_older_counts_half_and_today_not_yet(products):
    row = campaign(products["CA"])
    day(row, 30, 400, 40)
    day(row, 0, 1_000, 0)

    assert learning.learn("post_purchase", now=NOON) == 1

    made = belief(row)
    assert (made.views, made.accepts) == (pytest.approx(200), pytest.approx(20))
    mean = (1 + 20) / (2 + 200)
    assert made.alpha == pytest.approx(20 * mean + 20)
    assert made.beta == pytest.approx(20 * (1 - mean) + 180)


def test_a_campaign_begins_with_the_mean_of_its_moment(products):
    known, new = campaign(products["CA"]), campaign(products["DT"])
    day(known, 1, 1_000, 50)

    learning.learn("post_purchase", now=NOON)

    made = belief(new)
    assert made.alpha + made.beta == pytest.approx(20)
    assert made.alpha / 20 == pytest.approx(belief(known).alpha / 1_017, abs=0.01)
    assert made.worth == belief(known).worth == Decimal(10)


def test_worth_is_net_of_what_came_back_and_drawn_towards_the_mean(products):
    dear, cheap = campaign(products["CA"]), campaign(products["DT"])
    day(dear, 1, 500, 100, revenue_net=3_000, returned_net=1_000)
    day(cheap, 1, 500, 100, revenue_net=500)

    learning.learn("post_purchase", now=NOON)

    # The mean of both is 12.50, as of twenty acceptances more.
    assert belief(dear).worth == Decimal("18.7500")
    assert belief(cheap).worth == Decimal("6.2500")


def test_where_all_costs_are_known_worth_is_the_margin(products):
    dear, cheap = campaign(products["CA"]), campaign(products["DT"])
    day(dear, 1, 500, 100, revenue_net=3_000, costed=100, costed_net=3_000, cost_net=2_800)
    day(cheap, 1, 500, 100, revenue_net=500, costed=100, costed_net=500, cost_net=100)

    learning.learn("post_purchase", now=NOON)

    # 200 and 400 of margin; the mean of both is 3.00, as of twenty acceptances more.
    assert belief(dear).worth == Decimal("2.1667")
    assert belief(cheap).worth == Decimal("3.8333")


def test_where_one_cost_is_unknown_all_are_told_apart_by_revenue(products):
    dear, cheap = campaign(products["CA"]), campaign(products["DT"])
    day(dear, 1, 500, 100, revenue_net=3_000, costed=99, costed_net=2_970, cost_net=2_800)
    day(cheap, 1, 500, 100, revenue_net=500, costed=100, costed_net=500, cost_net=100)

    learning.learn("post_purchase", now=NOON)

    assert belief(dear).worth > belief(cheap).worth


def test_amounts_of_two_currencies_are_not_told_apart(products):
    euro, yen = campaign(products["CA"]), campaign(products["DT"])
    day(euro, 1, 500, 100)
    day(yen, 1, 500, 100, currency="JPY", revenue_net=100_000)

    learning.learn("post_purchase", now=NOON)

    assert {belief(euro).worth, belief(yen).worth} == {Decimal(1)}


@pytest.mark.parametrize(
    ("shown", "refunded", "paused"),
    [
        pytest.param(500, 12, True, id="surely more than the rest"),
        pytest.param(500, 3, False, id="about as much"),
        pytest.param(90, 12, False, id="seen too rarely to be switched off"),
    ],
)
def test_a_campaign_that_gives_back_too_much_comes_last(products, shown, refunded, paused):
    row, rest = campaign(products["CA"]), campaign(products["DT"])
    day(row, 1, shown, 30, refunded=refunded)
    day(rest, 1, 2_000, 200, refunded=10)

    learning.learn("post_purchase", now=NOON)

    assert belief(row).paused is paused
    assert not belief(rest).paused
    if paused:
        placed = [order(products, email=f"b{n}@example.org", placed_at=NOON) for n in range(6)]
        offers = [offering.offer_for(order_ref=str(p.pk), now=NOON).offer for p in placed]
        assert {offer.campaign_id for offer in offers} == {rest.pk}


def test_a_decision_uses_the_newest_beliefs_and_can_be_drawn_again(products):
    rows = [campaign(products[sku]) for sku in ("CA", "DT")]
    for row in rows:
        day(row, 1, 300, 30)
    learning.learn("post_purchase", now=NOON)

    placed = order(products, placed_at=NOON)
    offer = offering.offer_for(order_ref=str(placed.pk), now=NOON).offer

    told = Decision.objects.get().facts["selection"]
    beliefs = snapshots.selections()["post_purchase"]
    assert told["beliefs"] == beliefs.version == "20260302T120000"
    names = {str(row.pk): beliefs.belief(row.pk) for row in rows}
    draw = learned(names, salt=SALT, moment="post_purchase", occasion=str(placed.pk),
                   version=told["beliefs"])  # fmt: skip
    assert draw.ranked == tuple(map(str, told["candidates"]))
    assert draw.ranked[0] == str(offer.campaign_id)
    assert told["floor"] is draw.is_floor
    assert told["propensity"] == pytest.approx(propensities(names)[draw.ranked[0]])
    explained = explaining.explain_order(order_ref=str(placed.pk)).explanation
    assert explained.winner == offer.campaign_id


def test_the_sweep_learns_once_a_day_and_only_where_it_is_used(products, settings, monkeypatch):
    monkeypatch.setattr("upsell.clock.now", lambda: NOON)
    campaign(products["CA"])

    assert [learning.learn_due() for _ in range(2)] == [1, 0]
    monkeypatch.setattr("upsell.clock.now", lambda: NOON + timedelta(days=1))
    assert learning.learn_due() == 1
    settings.UPSELL_SELECTION = {"post_purchase": "weighted"}
    monkeypatch.setattr("upsell.clock.now", lambda: NOON + timedelta(days=2))
    assert learning.learn_due() == 0
    assert Belief.objects.values("version").distinct().count() == 2


def test_old_beliefs_go_and_the_newest_stay(products):
    campaign(products["CA"])
    for days in (200, 100, 95):
        learning.learn("post_purchase", now=NOON - timedelta(days=days))

    assert dict(purge(now=NOON))["beliefs"] == 2
    assert Belief.objects.get().made_at == NOON - timedelta(days=95)
