"""What goods cost is frozen when an offer is accepted, and never stands in a sale's way."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from django.db import connection

from example_shop.models import Product
from tests.factories import campaign, catalogue, order
from tests.flow import test_elsewhere
from tests.flow.test_accept import accept, offered
from tests.flow.test_results import added_up
from upsell import conf
from upsell.exceptions import NotFound
from upsell.models import Acceptance

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


@pytest.fixture
def products(settings):
    settings.UPSELL_COST_CURRENCY = "EUR"
    made = catalogue()
    for sku, cost in (("W1", "320"), ("W2", "400"), ("CA", "6.5")):
        Product.objects.filter(sku=sku).update(cost=cost)
    return made


def frozen() -> tuple[Decimal | None, Decimal | None]:
    done = Acceptance.objects.get()
    return done.cost_net, done.replaced_cost_net


def sold(products, **rule) -> None:
    campaign(products["CA"], **rule)
    accept(offered(order(products)))


def test_a_cross_sell_costs_what_its_units_cost(products):
    sold(products, quantity=2)
    Product.objects.update(cost=99)

    assert frozen() == (13, 0)
    assert added_up().profit == 40 - 13


def test_what_an_upgrade_replaces_goes_back_to_stock(products):
    campaign(products["W2"], products["W1"], kind="UPSELL")
    accept(offered(order(products, ("W1", 1))))

    assert frozen() == (400, 320)
    assert added_up().profit == 200 - 80


@pytest.mark.parametrize(
    ("cost", "currency", "rule"),
    [
        pytest.param(None, "EUR", {}, id="the shop does not say"),
        pytest.param("6.5", "JPY", {}, id="costs are in another currency"),
        pytest.param("6.5", "", {}, id="which currency costs are in is not set"),
    ],
)
def test_what_is_not_known_stays_unknown(products, settings, cost, currency, rule):
    settings.UPSELL_COST_CURRENCY = currency
    Product.objects.filter(sku="CA").update(cost=cost)

    sold(products, **rule)

    assert frozen()[0] is None
    assert (added_up().profit, added_up().sold, added_up().costed) == (None, 1, 0)


def gone(refs):
    raise NotFound("the catalogue is being moved")


def broken(refs):
    Product.objects.create(pk=refs[0], sku="again")  # poisons a transaction


@pytest.mark.parametrize("answer", [gone, broken, lambda refs: {}, lambda refs: None])
def test_a_shop_that_cannot_say_sells_all_the_same(products, monkeypatch, answer):
    campaign(products["CA"])
    offer = offered(order(products))
    apply = conf.shop().apply

    def then(*args):
        done = apply(*args)
        monkeypatch.setattr(conf.shop(), "products", answer)
        return done

    monkeypatch.setattr(conf.shop(), "apply", then)

    assert accept(offer).state == "ACCEPTED"
    assert frozen()[0] is None


@pytest.mark.parametrize("cost", ["NaN", "Infinity", "1E+40", 2.5, "text"])
def test_a_cost_that_is_no_amount_is_not_known(products, monkeypatch, cost):
    read = conf.shop().products
    wrong = cost if isinstance(cost, float) or cost == "text" else Decimal(cost)
    monkeypatch.setattr(
        conf.shop(),
        "products",
        lambda refs: {ref: replace(row, cost=wrong) for ref, row in read(refs).items()},
    )
    campaign(products["CA"], allow_below_cost=True)

    assert accept(offered(order(products))).state == "ACCEPTED"
    assert frozen()[0] is None


def test_a_shop_elsewhere_is_asked_outside_any_transaction(settings, monkeypatch):
    settings.UPSELL_COST_CURRENCY = "EUR"
    settings.UPSELL_SHOP = "tests.flow.test_elsewhere.Elsewhere"
    settings.UPSELL_GATEWAYS = {"card": "upsell.testing.fakes.FakeGateway"}
    shop = conf.shop()
    test_elsewhere.campaign("case")
    offer = test_elsewhere.offered(shop)
    read = shop.products

    def priced(refs):
        assert not connection.in_atomic_block, "a transaction spans the network"
        return {ref: replace(row, cost=Decimal("7.5")) for ref, row in read(refs).items()}

    monkeypatch.setattr(shop, "products", priced)

    assert test_elsewhere.accept(offer).state == "ACCEPTED"
    assert frozen() == (Decimal("7.5"), 0)
