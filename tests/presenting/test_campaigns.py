"""A campaign in words, as a shopkeeper would say it."""

from __future__ import annotations

import pytest

from upsell.presenting.campaigns import differences, offered, sentence

NAMES = {"w1": "WashPro 7", "w2": "WashPro 9", "s": "Stand", "web": "GreenHome", "tea": "Kissa",
         "dryers": "Dryers", "acme": "Acme", "eco": "eco", "club": "Club", "DE": "Germany",
         "card": "card"}  # fmt: skip
BOUGHT = {"kind": "PRODUCT", "ref": "w1", "quantity": 1}
CROSS = {"kind": "CROSS_SELL", "offer_by": "PRODUCT", "product_ref": "s", "rule": "LIST",
         "channels": ["web"], "triggers": [BOUGHT]}  # fmt: skip
UP = CROSS | {"kind": "UPSELL", "product_ref": "w2", "quantity_rule": "MATCH"}


def label(_kind, ref):
    return NAMES[ref]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param(CROSS, "When an order in GreenHome contains WashPro 7, offer Stand in "
                     "addition, at its selling price.", id="plain"),
        pytest.param(CROSS | {"channels": []}, "When an order in no sales channel contains "
                     "WashPro 7, offer Stand in addition, at its selling price.", id="nowhere"),
        pytest.param(CROSS | {"triggers": []}, "When an order in GreenHome contains something "
                     "that is not chosen yet, offer Stand in addition, at its selling price.",
                     id="no trigger"),
        pytest.param(CROSS | {"triggers": [{"kind": "ALWAYS", "ref": ""}], "quantity": 2,
                              "channels": ["web", "tea"]},
                     "When an order in GreenHome or Kissa is placed, offer 2 × Stand in addition, "
                     "at its selling price.", id="every order"),
        pytest.param(CROSS | {"match": "ALL", "rule": "PERCENT", "percent": "12.50", "triggers": [
                         BOUGHT | {"exact": True}, {"kind": "CATEGORY", "ref": "dryers",
                                                    "quantity": 2},
                         {"kind": "BRAND", "ref": "acme"}, {"kind": "TAG", "ref": "eco"}]},
                     "When an order in GreenHome contains WashPro 7 (this variant), at least 2 × "
                     "something of the category Dryers, something of the brand Acme and something "
                     "marked eco, offer Stand in addition, at 12.5 % off.", id="all of them"),
        pytest.param(UP | {"bounds": {"EUR": ["100.00", None]}},
                     "When an order in GreenHome contains WashPro 7 and is worth at least €100.00 "
                     "net, offer WashPro 9 instead, for the difference. Every unit of WashPro 7 "
                     "leaves the order.", id="upsell"),
        pytest.param(UP | {"quantity_rule": "ONE", "rule": "FIXED_DIFFERENCE",
                           "amounts": {"EUR": "90", "GBP": "75"}},
                     "When an order in GreenHome contains WashPro 7, offer WashPro 9 instead, for "
                     "€90.00 or £75.00 more. One unit of WashPro 7 leaves the order.", id="one"),
        pytest.param(UP | {"quantity_rule": "SET", "rule": "AMOUNT", "amounts": {"EUR": "9.5"},
                           "triggers": [BOUGHT, {"kind": "PRODUCT", "ref": "s"}]},
                     "When an order in GreenHome contains WashPro 7 or Stand, offer WashPro 9 "
                     "instead, at €9.50 off, for the difference. Every unit of WashPro 7 and Stand "
                     "leaves the order, for one of the new.", id="a set"),
        pytest.param(UP | {"offer_by": "NEXT_MODEL", "product_ref": "",
                           "triggers": [{"kind": "CATEGORY", "ref": "dryers"}]},
                     "When an order in GreenHome contains something of the category Dryers, offer "
                     "the next dearer model instead, for the difference. The matching item of the "
                     "highest value leaves the order.", id="the next model"),
    ],
)  # fmt: skip
def test_sentence_says_the_whole_campaign(values, said):
    assert sentence(values, label) == said


@pytest.mark.parametrize(
    ("restriction", "said"),
    [
        ({"groups": ["club"]}, "Only for Club."),
        ({"countries": ["DE"]}, "Only where it is delivered to Germany."),
        ({"payment_methods": ["card"]}, "Only where it was paid by card."),
        ({"exclusions": [{"kind": "PRODUCT", "ref": "w2", "quantity": 2}]},
         "Never with at least 2 × WashPro 9."),
        ({"must_fit": True}, "Only if it fits what was bought."),
        ({"allow_if_present": True}, "Also when the order holds it already."),
        ({"shipping": "FLAT", "shipping_flat": {"EUR": "4.9"}}, "Delivery costs €4.90."),
        ({"shipping": "NONE_NEEDED_ONLY"}, "Only if nothing has to be delivered."),
        ({"stock": "BACKORDER"}, "Also when it has to be ordered in."),
        ({"stock": "IGNORE"}, "Whatever the stock is."),
        ({"documents": "SKIP_IF_INVOICED"}, "Not once an invoice is written."),
        ({"not_bought_days": 1}, "Not to buyers who bought it in the last day."),
        ({"not_bought_days": 30}, "Not to buyers who bought it in the last 30 days."),
        ({"not_seen_days": 7}, "Not to buyers who were shown it in the last 7 days."),
        ({"valid_from": "2026-03-02T10:00:00+00:00"}, "From March 2, 2026, 10 a.m. on."),
        ({"valid_until": "2026-03-02T10:00:00+00:00"}, "Until March 2, 2026, 10 a.m.."),
    ],
)  # fmt: skip
def test_sentence_names_every_restriction(restriction, said):
    plain = sentence(CROSS, label)

    assert sentence(CROSS | restriction, label) == f"{plain} {said}"


def test_offered_is_short_enough_for_a_list():
    assert offered(UP, label) == ("WashPro 9", "instead, for the difference")
    assert offered(CROSS | {"quantity": 2, "rule": "FIXED", "amounts": {"EUR": "9"}}, label) == (
        "2 × Stand", "in addition, for €9.00",
    )  # fmt: skip


def test_differences_are_told_field_by_field():
    before = CROSS | {"percent": "0.00", "copy": {"en": {"headline": "A", "benefits": ["x"]}}}
    after = before | {
        "percent": "0", "rule": "PERCENT", "must_fit": True, "valid_from": None,
        "amounts": {"EUR": "9"}, "product_map": [["w1", "w2"]], "groups": ["club"],
        "copy": {"en": {"headline": "B", "benefits": ["x"]}, "de": {"headline": "C"}},
    }  # fmt: skip

    rows = [(row.name, row.before, row.after) for row in differences(before, after, label)]

    assert rows == [
        ("Price", "selling price", "percent off"),
        ("Must fit what was bought", "–", "yes"),
        ("Amounts", "–", "€9.00"),
        ("Table of products", "–", "WashPro 7 → WashPro 9"),
        ("Customer groups", "–", "Club"),
        ("Headline (en)", "A", "B"),
        ("Headline (de)", "–", "C"),
    ]
