"""What the offer's page says, in words that must be true for every price and number."""

from __future__ import annotations

import pytest
from django.utils import timezone, translation

from tests.factories import campaign, catalogue, order
from upsell.presenting.offers import ShownOffer, shown_offer
from upsell.services import offering

pytestmark = pytest.mark.django_db(transaction=True)

FLAT = {"shipping": "FLAT", "shipping_flat": {"EUR": "4.90"}}


def shown(placed) -> ShownOffer:
    now = timezone.now()
    page = offering.offer_for(order_ref=str(placed.pk), now=now, show=True)
    assert page is not None
    made = shown_offer(page, now=now)
    assert made is not None, page.decision and page.decision.candidates
    return made


@pytest.mark.parametrize(
    ("offered", "triggers", "lines", "options", "arithmetic", "exchange", "included"),
    [
        pytest.param(
            "W2", ["W1"], [("W1", 1)], {"kind": "UPSELL"},
            "€840.00 − €600.00 you paid = <b>€240.00 now</b>",
            "W1 leaves your order, W2 takes its place.",
            "charged to your card · includes €40.00 tax · no extra delivery cost",
            id="one for one",
        ),
        pytest.param(
            "W2", ["W1"], [("W1", 1)], {"kind": "UPSELL", **FLAT},
            "€840.00 + €4.90 delivery − €600.00 you paid = <b>€244.90 now</b>",
            "W1 leaves your order, W2 takes its place.",
            "charged to your card · includes €40.82 tax · includes €4.90 delivery",
            id="delivery is in the sum",
        ),
        pytest.param(
            "W2", ["W1"], [("W1", 2)], {"kind": "UPSELL"},
            "€1,680.00 − €1,200.00 you paid = <b>€480.00 now</b>",
            "2 × W1 leave your order, 2 × W2 takes their place.",
            "charged to your card · includes €80.00 tax · no extra delivery cost",
            id="two for two",
        ),
        pytest.param(
            "W2", ["W1"], [("W1", 2)], {"kind": "UPSELL", "quantity_rule": "ONE"},
            "€840.00 − €600.00 you paid = <b>€240.00 now</b>",
            "1 of 2 × W1 leaves your order, W2 takes its place.",
            "charged to your card · includes €40.00 tax · no extra delivery cost",
            id="one of two stays",
        ),
        pytest.param(
            "W2", ["W1", "CA"], [("W1", 1), ("CA", 1)],
            {"kind": "UPSELL", "quantity_rule": "SET"},
            "€840.00 − €624.00 you paid = <b>€216.00 now</b>",
            "W1 and CA leave your order, W2 takes their place.",
            "charged to your card · includes €36.00 tax · no extra delivery cost",
            id="a set for two",
        ),
        pytest.param(
            "CA", [], [("W1", 1)], {}, "", "",
            "charged to your card · includes €4.00 tax · no extra delivery cost",
            id="a cross-sell is its price",
        ),
        pytest.param(
            "CA", [], [("W1", 1)], FLAT,
            "€24.00 + €4.90 delivery = <b>€28.90 now</b>", "",
            "charged to your card · includes €4.82 tax · includes €4.90 delivery",
            id="a cross-sell with delivery",
        ),
        pytest.param(
            "IN", [], [("W1", 1)], {}, "", "",
            "charged to your card · free of tax · no extra delivery cost",
            id="no tax on it",
        ),
    ],
)  # fmt: skip
def test_the_price_is_told_so_that_a_child_can_follow(
    offered, triggers, lines, options, arithmetic, exchange, included
):
    products = catalogue()
    campaign(products[offered], *(products[sku] for sku in triggers), **options)

    told = shown(order(products, *lines))

    assert told.arithmetic == arithmetic
    assert told.exchange == exchange
    assert told.included == included


def test_the_rows_say_each_difference_in_words_and_end_with_the_prices():
    products = catalogue()
    for sku, facts in {
        "W1": {"Load": "7 kg", "Colour": "white"},
        "W2": {"Load": "9 kg", "Colour": "white", "App": "yes"},
    }.items():
        products[sku].facts = facts
        products[sku].save()
    campaign(products["W2"], products["W1"], kind="UPSELL")

    told = shown(order(products, charged={"W1": "540"}))

    assert [(row.name, row.before, row.after, row.words, row.differs) for row in told.rows] == [
        ("Load", "7 kg", "9 kg", "instead of 7 kg", True),
        ("Colour", "white", "white", "the same", False),
        ("App", "–", "yes", "new", True),
        ("Price", "€540.00, paid", "€840.00", "", True),
    ]


def test_names_and_amounts_stay_whole_in_a_sentence_from_right_to_left():
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL")
    placed = order(products)

    with translation.override("he"):
        told = shown(placed)

    assert "\u2068W1\u2069" in told.exchange
    assert told.due.startswith("\u2068")
    assert told.due.endswith("\u2069")
    assert "\u2068" not in shown(placed).exchange


def test_markup_in_a_title_stays_text():
    products = catalogue()
    products["W1"].title = "<b>W1</b>"
    products["W1"].save()
    campaign(products["W2"], products["W1"], kind="UPSELL")

    told = shown(order(products))

    assert not hasattr(told.exchange, "__html__")
    assert hasattr(told.arithmetic, "__html__")


def test_of_tax_that_falls_nothing_is_said():
    products = catalogue()
    products["IN"].price = 700
    products["IN"].save()
    campaign(products["IN"], products["W1"], kind="UPSELL")

    told = shown(order(products))

    assert told.due == "€100.00"
    assert told.included == "charged to your card · no extra delivery cost"
