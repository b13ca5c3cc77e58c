"""How many statements a page costs: ours alone, whatever the campaigns and the lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from example_shop.models import Order, Product
from tests.factories import campaign, catalogue, order
from tests.views.test_offer_page import thanks
from upsell import conf, queries
from upsell.models import Campaign, CampaignTrigger, Decision

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

OURS = re.compile(r"\bupsell_")
NOT_COUNTED = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")


def ours(client, placed: Order, *, offered: bool = True) -> list[str]:
    """Return what the page asked our tables, savepoints and the shop's ports not counted."""
    session = client.session
    session["order_ref"] = str(placed.pk)
    session.save()
    with CaptureQueriesContext(
        connection,
    ) as asked:
        page = thanks(client, placed)
    assert ("data-upsell-offer" in page) is offered
    return [row["sql"] for row in asked if OURS.search(row["sql"].split("WHERE")[0])]


def many_campaigns(offered: Product, trigger: Product, count: int) -> None:
    rows = Campaign.objects.bulk_create(
        Campaign(
            name=f"Below {number}",
            slug=f"below-{number}",
            status="LIVE",
            kind="CROSS_SELL",
            channels=["web"],
            priority=1,
            product_ref=str(offered.pk),
        )
        for number in range(count)
    )
    CampaignTrigger.objects.bulk_create(
        CampaignTrigger(campaign=row, kind="PRODUCT", ref=str(trigger.pk)) for row in rows
    )


@pytest.mark.parametrize(
    ("campaigns", "lines"),
    [
        pytest.param(0, 1, id="one campaign, one line"),
        pytest.param(499, 1, id="500 campaigns, one line"),
        pytest.param(0, 50, id="one campaign, 50 lines"),
        pytest.param(999, 50, id="S64: 1,000 campaigns, 50 lines"),
    ],
)
def test_the_first_view_takes_six_statements_of_ours(client, campaigns, lines):
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL")
    many_campaigns(products["CA"], products["W1"], campaigns)
    rows = [("W1", 1), *[("DT", 1)] * (lines - 1)]
    ours(client, order(products, *rows))  # the index is compiled by a worker's first decision

    first = ours(client, order(products, *rows))

    assert len(first) == 6, "\n".join(first)


def test_a_page_with_a_decided_offer_takes_one_statement_more(client):
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL")
    placed = order(products)
    ours(client, placed)

    again = ours(client, placed)

    assert len(again) == 1, "\n".join(again)


def test_a_page_that_reads_begins_no_transaction(client):
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL")
    placed = order(products)
    ours(client, placed)

    with CaptureQueriesContext(connection) as asked:
        thanks(client, placed)

    assert [row["sql"] for row in asked if row["sql"].startswith(NOT_COUNTED)] == []


def test_an_edit_is_seen_by_the_next_decision(client):
    products = catalogue()
    made = campaign(products["CA"])
    ours(client, order(products))
    Campaign.objects.filter(pk=made.pk).update(product_ref=str(products["DT"].pk))

    session = client.session
    placed = order(products)
    session["order_ref"] = str(placed.pk)
    session.save()

    assert ">DT<" in thanks(client, placed).replace("\n", "")


@pytest.mark.parametrize(
    ("sold_out", "asked"),
    [
        pytest.param(0, 1, id="the first candidate is there"),
        pytest.param(16, 2, id="the first sixteen are sold out"),
        pytest.param(40, 2, id="forty are sold out"),
    ],
)
def test_each_port_is_asked_once_or_twice_when_sixteen_are_gone(
    client, monkeypatch, sold_out, asked
):
    products = catalogue()
    many_campaigns(products["DR"], products["W1"], sold_out)
    campaign(products["CA"], products["W1"], priority=0)
    shop, counted = conf.shop(), Counter()
    for name in ("order", "products", "availability", "purchases", "quote"):
        monkeypatch.setattr(shop, name, counting(counted, name, getattr(shop, name)))

    ours(client, order(products))

    assert +counted == {
        "order": 1,
        "products": asked,
        "availability": asked,
        "purchases": 1,
        "quote": 1,
    }


def counting(counted: Counter[str], name: str, port: Callable[..., object]) -> object:
    """Return a port that counts who asks it from outside; its answers are the shop's."""

    def answered(*args: object, **kwargs: object) -> object:
        counted[name] += not counted["inside"]
        counted["inside"] += 1
        try:
            return port(*args, **kwargs)
        finally:
            counted["inside"] -= 1

    return answered


def test_the_page_reads_what_was_written(client):
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL")
    placed = order(products)
    ours(client, placed)

    page = queries.page_for(str(placed.pk))
    quiet = queries.page_for("no such order")

    assert quiet is None
    assert page is not None
    for part in (page.decision, page.offer, page.quote):
        fresh = type(part).objects.get(pk=part.pk)
        read = [
            field.attname
            for field in fresh._meta.concrete_fields
            if field.attname not in part.get_deferred_fields()
        ]
        assert len(read) > 5
        for name in read:
            assert getattr(part, name) == getattr(fresh, name), name
    assert page.acceptance is None


def test_a_shop_without_campaigns_is_asked_nothing_and_nothing_is_written(client):
    """Installed and not used yet: one statement, and no row of ours."""
    products = catalogue()
    ours(client, order(products, ("W1", 1)), offered=False)  # a worker's first look at the set

    looked = ours(client, order(products, ("W1", 1)), offered=False)

    assert len(looked) == 1, "\n".join(looked)
    assert not Decision.objects.exists()
