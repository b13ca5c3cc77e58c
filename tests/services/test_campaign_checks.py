"""What is refused and what is warned of, on both sides of every edge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from example_shop.models import Channel, Product, Tag
from tests import factories
from upsell.services import campaigns

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop():
    return factories.catalogue()


def plain(shop, **changes):
    """A campaign in order: detergent with a washing machine, at its selling price."""
    values = campaigns.defaults() | {
        "name": "Detergent", "slug": "detergent", "status": "LIVE", "kind": "CROSS_SELL",
        "product_ref": str(shop["DT"].pk), "channels": ["web"], "not_bought_days": None,
        "triggers": [product(shop, "W1")], "copy": {"en": {"headline": "Clean"}},
    }  # fmt: skip
    return values | changes


def product(shop, sku, quantity=1, **more):
    return {"kind": "PRODUCT", "ref": str(shop[sku].pk), "quantity": quantity, **more}


def found(values):
    errors, warnings = campaigns.validate(values)
    return {row.code for row in errors}, {row.code for row in warnings}


def test_a_plain_campaign_is_neither_refused_nor_warned_of(shop):
    factories.order(shop)
    stranger = {"product_ref": str(shop["CA"].pk)}

    assert found(plain(shop)) == (set(), set())
    assert found(plain(shop, **stranger)) == (set(), {"nothing_links"})
    shop["CA"].fits = str(shop["W1"].pk)
    shop["CA"].save()
    assert found(plain(shop, **stranger)) == (set(), set())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"percent": "100"}, id="hundred percent"),
        pytest.param({"percent": "0.00"}, id="no percent"),
        pytest.param({"bounds": {"EUR": ["10.00", "10.00"]}}, id="one value only"),
        pytest.param({"valid_from": "2026-03-02T10:00:00Z",
                      "valid_until": "2026-03-02T10:00:00Z"}, id="one moment only"),
        pytest.param({"copy": {"en": {"headline": "x" * 80, "body": "x" * 300,
                                      "benefits": ["x" * 60] * 5, "accept_label": "Buy" + "x" * 27,
                                      "decline_label": "x" * 30}}}, id="words of full length"),
        pytest.param({"copy": {"en": {"accept_label": "Pay now"}}}, id="a label on the safe list"),
        pytest.param({"copy": {"en": {"accept_label": "Continue"}}, "rule": "PERCENT",
                      "percent": "100"}, id="any label when it is free"),
    ],
)  # fmt: skip
def test_validate_lets_the_last_allowed_value_pass(shop, changes):
    errors, _warnings = found(plain(shop, **changes))

    assert errors == set()


@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        pytest.param({"percent": "101"}, "percent", "“101”", id="percent"),
        pytest.param({"quantity": 0}, "quantity", "“0”", id="no unit"),
        pytest.param({"priority": "ten"}, "priority", "“ten”", id="priority in words"),
        pytest.param({"priority": -1}, "priority", "“-1”", id="priority below nothing"),
        pytest.param({"not_bought_days": 1.5}, "not_bought_days", "“1.5”", id="half a day"),
        pytest.param({"must_fit": "TRUE"}, "must_fit", "“TRUE”", id="yes in words"),
        pytest.param({"valid_from": "soon"}, "valid_from", "“soon”", id="time in words"),
        pytest.param({"name": "x" * 121}, "name", "120", id="name too long"),
        pytest.param({"rule": "CHEAP"}, "rule", "“CHEAP”", id="no such rule"),
        pytest.param({"motivation": "FUN"}, "motivation", "“FUN”", id="no such motivation"),
        pytest.param({"currencies": ["euro"]}, "currencies", "“euro”", id="currency"),
        pytest.param({"countries": ["Germany"]}, "countries", "“Germany”", id="country"),
        pytest.param({"amounts": {"EUR": "-1"}}, "amounts", "“-1”", id="a negative amount"),
        pytest.param({"product_map": [["1"]]}, "product_map", "a bought", id="half a pair"),
        pytest.param({"triggers": ["W1"]}, "triggers", "rows", id="a trigger without a kind"),
        pytest.param({"copy": {"en": {"benefits": "soft"}}}, "copy", "lines", id="one benefit"),
        pytest.param({"copy": {"en": {"body": "x" * 301}}}, "copy", "300", id="body"),
        pytest.param({"copy": {"en": {"image_url": "//x y"}}}, "copy", "“//x y”", id="image"),
    ],
)  # fmt: skip
def test_validate_says_what_was_wanted_and_what_was_there(shop, changes, field, told):
    errors, _warnings = campaigns.validate(plain(shop, **changes))

    assert [row.field for row in errors] == [field]
    assert told in errors[0].message


# ------------------------------------------------------------------ products and prices


@pytest.mark.parametrize(
    ("excluded", "refused"),
    [
        pytest.param({"kind": "PRODUCT", "ref": "W1", "quantity": 1}, True, id="itself"),
        pytest.param({"kind": "PRODUCT", "ref": "W1", "quantity": 2}, False, id="two of it"),
        pytest.param({"kind": "CATEGORY", "ref": "machines", "quantity": 1}, True, id="category"),
        pytest.param({"kind": "CATEGORY", "ref": "laundry", "quantity": 1}, True, id="above it"),
        pytest.param({"kind": "CATEGORY", "ref": "supplies", "quantity": 1}, False, id="another"),
        pytest.param({"kind": "TAG", "ref": "eco", "quantity": 1}, True, id="its tag"),
    ],
)
def test_a_trigger_that_is_excluded_can_never_qualify(shop, excluded, refused):
    shop["W1"].tags.add(Tag.objects.create(slug="eco", name="Eco"))
    ref = excluded["ref"]
    row = excluded | {"ref": str(shop[ref].pk) if ref in shop else ref}

    errors, _warnings = found(plain(shop, exclusions=[row]))
    either, _warnings = found(
        plain(shop, exclusions=[row], triggers=[product(shop, "W1"), product(shop, "CA")])
    )

    assert ("excludes_trigger" in errors) is refused
    assert either == set()


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        pytest.param({"product_ref": "W1"}, True, id="the very product"),
        pytest.param({"product_ref": "W1b"}, True, id="another variant, in addition"),
        pytest.param({"product_ref": "W1b", "allow_if_present": True}, False, id="allowed"),
        pytest.param({"product_ref": "W1b", "kind": "UPSELL", "quantity_rule": "MATCH"}, False,
                     id="another variant, instead"),
        pytest.param({"offer_by": "MAP", "product_ref": "", "product_map": [["W1", "DT"]]}, False,
                     id="a table"),
        pytest.param({"offer_by": "MAP", "product_ref": "",
                      "product_map": [["W1", "DT"], ["CA", "CA"]]}, True, id="a row to itself"),
    ],
)  # fmt: skip
def test_what_is_offered_is_not_what_was_bought(shop, changes, refused):
    variant = Product.objects.get(pk=shop["W1"].pk)
    variant.pk, variant.sku, variant.parent = None, "W1b", shop["W1"]
    variant.save()
    refs = {sku: str(row.pk) for sku, row in shop.items()} | {"W1b": str(variant.pk), "": ""}
    changes = changes | {"product_ref": refs[changes.get("product_ref", "DT")]}
    if "product_map" in changes:
        changes["product_map"] = [[refs[a], refs[b]] for a, b in changes["product_map"]]

    errors, _warnings = found(plain(shop, **changes))

    assert ("offers_trigger" in errors) is refused


@pytest.mark.parametrize(
    ("kind", "price", "trigger", "code"),
    [
        pytest.param("CROSS_SELL", "360.00", "W1", None, id="60 percent of it"),
        pytest.param("CROSS_SELL", "360.01", "W1", "dear_cross_sell", id="a cent more"),
        pytest.param("UPSELL", "1500.00", "W1", None, id="2.5 times"),
        pytest.param("UPSELL", "1500.01", "W1", "dear_upsell", id="a cent beyond"),
    ],
)
def test_too_dear_beside_what_triggers_it(shop, kind, price, trigger, code):
    factories.order(shop)
    Product.objects.filter(pk=shop["DT"].pk).update(price=Decimal(price))
    rule = "MATCH" if kind == "UPSELL" else "FIXED"

    errors, warnings = found(
        plain(shop, kind=kind, quantity_rule=rule, triggers=[product(shop, trigger)])
    )

    assert errors == set()
    assert {row for row in warnings if row.startswith("dear")} == ({code} if code else set())


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        # Detergent: 12.00 with 20 % tax, 10.00 before tax, costs 8.00.
        pytest.param({}, False, id="above"),
        pytest.param({"rule": "PERCENT", "percent": "20"}, False, id="exactly"),
        pytest.param({"rule": "PERCENT", "percent": "20.10"}, True, id="a cent below"),
        pytest.param({"rule": "AMOUNT", "amounts": {"EUR": "2.41"}}, True, id="an amount off"),
        pytest.param({"rule": "FIXED", "amounts": {"EUR": "9.60"}}, False, id="fixed"),
        pytest.param({"rule": "FIXED", "amounts": {"EUR": "9.00"}}, True, id="fixed too low"),
        pytest.param({"rule": "FIXED", "amounts": {"EUR": "9.00"}, "allow_below_cost": True}, False,
                     id="meant"),
        pytest.param({"rule": "FIXED", "amounts": {"GBP": "1.00"}}, False, id="another currency"),
    ],
)  # fmt: skip
def test_a_price_below_cost_is_refused_unless_meant(shop, changes, refused):
    factories.order(shop)
    Product.objects.filter(pk=shop["DT"].pk).update(cost=Decimal("8.00"))

    errors, _warnings = found(plain(shop, **changes))

    assert ("below_cost" in errors) is refused


def test_a_discount_from_the_regular_price_is_not_taken_for_a_lower_one(shop):
    """On sale at 12 from 20, half off the regular price is 10, and 8.33 before tax."""
    factories.order(shop)
    Product.objects.filter(pk=shop["DT"].pk).update(
        price=Decimal(20), sale_price=Decimal(12), cost=Decimal(8)
    )
    half = {"rule": "PERCENT", "percent": "50"}

    assert found(plain(shop, **half, from_regular=True))[0] == set()
    assert found(plain(shop, **half))[0] == {"below_cost"}


def test_prices_are_asked_in_the_campaigns_own_sales_channel(shop):
    """The newest order is another shop's, in another currency; nothing is cheaper for that."""
    Product.objects.filter(pk=shop["DT"].pk).update(cost=Decimal("11.00"))
    factories.order(shop)
    elsewhere = Channel.objects.create(code="tea", name="Tea", currency="JPY")
    later = factories.order(shop)
    later.channel, later.currency = elsewhere, "JPY"
    later.save()

    assert found(plain(shop))[0] == {"below_cost"}
    assert found(plain(shop, channels=["tea"]))[0] == set()


def test_every_row_of_a_table_is_looked_at(shop):
    factories.order(shop)
    Product.objects.filter(pk=shop["CA"].pk).update(cost=Decimal("21.00"))
    rows = [[str(shop["W1"].pk), str(shop["DT"].pk)], [str(shop["W2"].pk), str(shop["CA"].pk)]]

    errors, warnings = campaigns.validate(
        plain(shop, offer_by="MAP", product_ref="", product_map=rows)
    )

    assert [row.code for row in errors] == ["below_cost"]
    assert "“CA” at 20.00 EUR" in errors[0].message
    assert "costs you 21.00" in errors[0].message
    assert "nothing_links" in {row.code for row in warnings}


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        pytest.param({"amounts": {"EUR": "9.00"}}, False, id="the shop's own"),
        pytest.param({"amounts": {"GBP": "9.00"}}, True, id="not the shop's own"),
        pytest.param({"amounts": {"EUR": "9.00"}, "currencies": ["EUR", "GBP"]}, True, id="one"),
        pytest.param({"amounts": {"EUR": "9.00"}, "bounds": {"CHF": ["1", None]}}, True, id="end"),
        pytest.param({"amounts": {"GBP": "9.00"}, "currencies": ["GBP"]}, False, id="only GBP"),
        pytest.param({"rule": "LIST", "shipping": "FLAT", "shipping_flat": {"GBP": "1"}}, True,
                     id="delivery"),
    ],
)  # fmt: skip
def test_a_fixed_price_without_every_currency_is_warned_of(shop, changes, warned):
    factories.order(shop)

    _errors, warnings = found(plain(shop, **({"rule": "FIXED"} | changes)))

    assert ("currency_missing" in warnings) is warned


# ------------------------------------------------------------------ beside other campaigns

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
LATER = timezone.now() + timedelta(days=10)


@pytest.mark.parametrize(
    ("other", "mine", "shadowed"),
    [
        pytest.param({}, {}, True, id="the same"),
        pytest.param({"priority": 10}, {}, False, id="not in front"),
        pytest.param({"status": "OFF"}, {}, False, id="off"),
        pytest.param({"status": "STAFF_ONLY"}, {}, False, id="seen by staff only"),
        pytest.param({}, {"status": "STAFF_ONLY"}, True, id="only mine is for staff"),
        pytest.param({"valid_until": AT}, {}, False, id="over"),
        pytest.param({"valid_from": LATER}, {}, False, id="begins later"),
        pytest.param({"valid_from": LATER}, {"valid_from": LATER.isoformat()}, True, id="both"),
        pytest.param({"channels": ["web", "b"]}, {}, True, id="more channels"),
        pytest.param({"channels": ["b"]}, {}, False, id="other channels"),
        pytest.param({"groups": ["club"]}, {}, False, id="a group"),
        pytest.param({"groups": ["club", "b"]}, {"groups": ["club"]}, True, id="more groups"),
        pytest.param({"bounds": {"EUR": ["10.00", None]}}, {}, False, id="a least value"),
        pytest.param({"must_fit": True}, {}, False, id="must fit"),
        pytest.param({"not_seen_days": 30}, {}, False, id="once a month"),
        pytest.param({"not_bought_days": 365}, {}, False, id="not bought"),
        pytest.param({"not_bought_days": 30}, {"not_bought_days": 365}, True, id="shorter"),
        pytest.param({"not_bought_days": 365}, {"not_bought_days": 30}, False, id="longer"),
        pytest.param({}, {"allow_if_present": True}, False, id="mine also when present"),
        pytest.param({"quantity": 2}, {}, False, id="two units may be sold out"),
        pytest.param({}, {"quantity": 2}, True, id="mine needs more stock"),
        pytest.param({"stock": "IGNORE"}, {}, True, id="stock not looked at"),
        pytest.param({}, {"stock": "BACKORDER"}, False, id="mine also back-ordered"),
        pytest.param({"rule": "FIXED", "amounts": {"GBP": "9"}}, {}, False, id="other currency"),
        pytest.param({}, {"rule": "FIXED", "amounts": {"EUR": "9"}}, True, id="cheaper behind"),
        pytest.param({}, {"allow_free": True}, False, id="mine may be free"),
        pytest.param({"shipping": "NONE_NEEDED_ONLY"}, {}, False, id="only without delivery"),
        pytest.param({"documents": "SKIP_IF_INVOICED"}, {}, False, id="not once invoiced"),
        pytest.param({"kind": "UPSELL"}, {}, False, id="replaces instead"),
    ],
)  # fmt: skip
def test_a_campaign_that_is_never_shown_is_warned_of(shop, other, mine, shadowed):
    factories.campaign(shop["DT"], shop["W1"], **({"priority": 20} | other))

    _errors, warnings = found(plain(shop, priority=10, **mine))

    assert ("shadowed" in warnings) is shadowed


@pytest.mark.parametrize(
    ("theirs", "mine", "shadowed"),
    [
        pytest.param(["W1", "W2"], ["W1"], True, id="any of more"),
        pytest.param(["W1"], ["W1", "W2"], False, id="any of fewer"),
        pytest.param([], ["W1"], True, id="every order"),
        pytest.param(["W1"], [], False, id="mine is every order"),
    ],
)
def test_triggers_tell_whether_a_campaign_is_never_shown(shop, theirs, mine, shadowed):
    factories.campaign(shop["DT"], *[shop[sku] for sku in theirs], priority=20)
    rows = [product(shop, sku) for sku in mine]
    rows = rows or [{"kind": "ALWAYS", "ref": "", "quantity": 1}]

    _errors, warnings = found(plain(shop, priority=10, triggers=rows))

    assert ("shadowed" in warnings) is shadowed


@pytest.mark.parametrize(
    ("other", "mine", "shadowed"),
    [
        pytest.param({"quantity": 2}, {}, False, id="two must be bought"),
        pytest.param({"quantity": 2}, {"quantity": 2}, True, id="two for both"),
        pytest.param({"quantity": 1}, {"quantity": 2}, True, id="one suffices in front"),
        pytest.param({"exact": True}, {}, False, id="this variant in front"),
        pytest.param({"exact": True}, {"exact": True}, True, id="this variant for both"),
    ],
)
def test_how_a_trigger_is_met_tells_too(shop, other, mine, shadowed):
    front = factories.campaign(shop["DT"], shop["W1"], priority=20)
    front.triggers.update(**other)

    _errors, warnings = found(plain(shop, triggers=[product(shop, "W1") | mine]))

    assert ("shadowed" in warnings) is shadowed


@pytest.mark.parametrize(
    ("other", "mine", "shadowed"),
    [
        pytest.param("ALL", "ANY", False, id="all in front, any behind"),
        pytest.param("ALL", "ALL", True, id="all for both"),
        pytest.param("ANY", "ALL", True, id="any in front, all behind"),
    ],
)
def test_all_triggers_or_any_tells_too(shop, other, mine, shadowed):
    factories.campaign(shop["DT"], shop["W1"], shop["W2"], match=other, priority=20)
    rows = [product(shop, "W1"), product(shop, "W2"), product(shop, "CA")]

    _errors, warnings = found(plain(shop, match=mine, triggers=rows[: 3 if mine == "ALL" else 2]))

    assert ("shadowed" in warnings) is shadowed


def test_an_upsell_that_replaces_other_lines_hides_none(shop):
    upsell = {"kind": "UPSELL", "quantity_rule": "MATCH"}
    factories.campaign(shop["W2"], shop["W1"], shop["CA"], priority=20, kind="UPSELL")

    for skus, shadowed in ((["W1"], False), (["W1", "CA"], True)):
        rows = [product(shop, sku) for sku in skus]
        values = plain(shop, **upsell, product_ref=str(shop["W2"].pk), triggers=rows)
        assert ("shadowed" in found(values)[1]) is shadowed


def test_an_exclusion_in_front_leaves_orders_to_the_one_behind(shop):
    front = factories.campaign(shop["DT"], shop["W1"], priority=20)
    front.exclusions.create(kind="PRODUCT", ref=str(shop["CA"].pk), quantity=2)

    assert "shadowed" not in found(plain(shop))[1]
    assert "shadowed" in found(plain(shop, exclusions=[product(shop, "CA", 2)]))[1]
    assert "shadowed" not in found(plain(shop, exclusions=[product(shop, "CA", 3)]))[1]


@pytest.mark.parametrize(
    ("other", "mine", "warned"),
    [
        pytest.param({}, {}, True, id="the same channel"),
        pytest.param({"channels": ["b"]}, {}, False, id="another channel"),
        pytest.param({"priority": 11}, {}, False, id="one more"),
        pytest.param({"status": "OFF"}, {}, False, id="off"),
        pytest.param({}, {"status": "OFF"}, False, id="mine is off"),
        pytest.param({"valid_until": AT}, {}, False, id="over"),
        pytest.param({"valid_from": LATER + timedelta(seconds=1)},
                     {"valid_until": LATER.isoformat()}, False, id="never at once"),
        pytest.param({"valid_from": LATER}, {"valid_until": LATER.isoformat()}, True,
                     id="at one moment"),
    ],
)  # fmt: skip
def test_equal_priority_is_warned_of(shop, other, mine, warned):
    factories.campaign(shop["CA"], shop["W1"], **({"priority": 10} | other))

    _errors, warnings = found(plain(shop, **({"priority": 10} | mine)))

    assert ("equal_priority" in warnings) is warned


@pytest.mark.parametrize(
    ("others", "rule", "warned"),
    [
        pytest.param(["LIST"], "PERCENT", False, id="half of them"),
        pytest.param(["LIST", "AMOUNT"], "PERCENT", True, id="two of three"),
        pytest.param([], "PERCENT", False, id="the only one"),
        pytest.param(["PERCENT", "PERCENT", "LIST"], "LIST", False, id="two of four"),
    ],
)
def test_discounts_everywhere_are_warned_of(shop, others, rule, warned):
    for number, other in enumerate(others):
        factories.campaign(shop["CA"], shop["W1"], rule=other, priority=100 + number)

    _errors, warnings = found(plain(shop, rule=rule, percent="5", amounts={"EUR": "1"}))

    assert ("mostly_discounted" in warnings) is warned


def test_checks_cost_the_same_beside_fifty_campaigns(shop, django_assert_max_num_queries):
    factories.order(shop)
    factories.campaign(shop["CA"], shop["W1"], priority=50)
    with django_assert_max_num_queries(30) as one:
        campaigns.validate(plain(shop))
    for number in range(49):
        factories.campaign(shop["CA"], shop["W1"], priority=51 + number)
    with django_assert_max_num_queries(30) as fifty:
        campaigns.validate(plain(shop))
    assert len(fifty) == len(one)


# ------------------------------------------------------------------ button words


@pytest.mark.parametrize(
    ("label", "countries", "outcome"),
    [
        pytest.param("Yes please", [], "label_refused", id="everywhere"),
        pytest.param("  CONFIRM!", [], "label_refused", id="shouted"),
        pytest.param("Add", ["US", "FR"], "label_refused", id="one EU country"),
        pytest.param("Add", ["US", "CH"], None, id="no EU country"),
        pytest.param("Weiter", ["DE"], "label_refused", id="German"),
        pytest.param("Have it", [], "label_unusual", id="off the safe list"),
        pytest.param("Buy now", [], None, id="on the safe list"),
        pytest.param("Jetzt kaufen", ["DE"], None, id="on the safe list in German"),
        pytest.param("", [], None, id="our own"),
    ],
)
def test_a_button_says_that_it_costs(shop, label, countries, outcome):
    values = plain(shop, countries=countries, copy={"en": {"headline": "A", "accept_label": label}})

    errors, warnings = campaigns.validate(values)

    told = [row for row in [*errors, *warnings] if row.code.startswith("label")]
    assert [row.code for row in told] == ([outcome] if outcome else [])
    assert all((row.language, row.part) == ("en", "accept_label") for row in told)
    assert bool(errors) is (outcome == "label_refused")
