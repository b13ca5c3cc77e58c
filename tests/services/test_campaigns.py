"""Saving, copying and checking campaigns."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from tests import factories
from upsell.models import Campaign, CampaignRevision
from upsell.services import campaigns

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop():
    return factories.catalogue()


def plain(shop, **changes):
    values = campaigns.defaults() | {
        "name": "Detergent", "slug": "detergent", "status": "LIVE", "kind": "CROSS_SELL",
        "product_ref": str(shop["DT"].pk), "channels": ["web"],
        "triggers": [{"kind": "PRODUCT", "ref": str(shop["W1"].pk), "quantity": 1}],
        "copy": {"en": {"headline": "Clean"}},
    }  # fmt: skip
    return values | changes


ALWAYS = {"kind": "ALWAYS", "ref": "", "quantity": 1}
UPSELL = {"kind": "UPSELL", "quantity_rule": "MATCH"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({**UPSELL, "triggers": [ALWAYS]}, "upsell_always", id="S67 upsell always"),
        pytest.param(
            {"triggers": [ALWAYS, {"kind": "TAG", "ref": "a", "quantity": 1}]},
            "always_alone",
            id="always and more",
        ),
        pytest.param(
            {"valid_from": "2026-03-02T10:00:00Z", "valid_until": "2026-03-02T09:59:59Z"},
            "until_before_from",
            id="a second too early",
        ),
        pytest.param({"bounds": {"EUR": ["10.01", "10.00"]}}, "min_above_max", id="a cent above"),
        pytest.param({"percent": "100.01"}, "percent_range", id="over a hundred"),
        pytest.param({"rule": "FIXED"}, "amount_missing", id="no amount"),
        pytest.param({"amounts": {"EUR": 1.5}}, "invalid", id="a float"),
        pytest.param({"channels": "web"}, "invalid", id="channels not a list"),
        pytest.param({"product_ref": ""}, "product_missing", id="no product"),
        pytest.param({"quantity_rule": "MATCH"}, "quantity_rule", id="cross-sell matching"),
        pytest.param({"rule": "FIXED_DIFFERENCE", "amounts": {"EUR": "1"}},
                     "difference_of_cross_sell", id="difference"),
        pytest.param({"copy": {"en": {"headline": "x" * 81}}}, "too_long", id="headline"),
        pytest.param({"copy": {"en": {"accept_label": "x" * 31}}}, "too_long", id="label"),
        pytest.param({"copy": {"en": {"benefits": ["x"] * 6}}}, "too_many_benefits", id="six"),
        pytest.param({"copy": {"en": {"benefits": ["x" * 61]}}}, "too_long", id="benefit"),
        pytest.param({"copy": {"en": {"accept_label": "Yes, add it!"}}}, "label_refused", id="A47"),
        pytest.param({"copy": {"en": {"image_url": "javascript:1"}}}, "invalid", id="image"),
    ],
)  # fmt: skip
def test_validate_refuses(shop, changes, code):
    errors, _warnings = campaigns.validate(plain(shop, **changes))

    assert code in [finding.code for finding in errors]


def test_validate_refuses_a_trigger_that_is_excluded_or_offered(shop):
    trigger = {"kind": "PRODUCT", "ref": str(shop["W1"].pk), "quantity": 1}
    offered = {"kind": "PRODUCT", "ref": str(shop["DT"].pk), "quantity": 1}

    for changes, code in (
        ({"exclusions": [trigger]}, "excludes_trigger"),
        ({"exclusions": [offered]}, "excludes_offered"),
        ({"triggers": [offered]}, "offers_trigger"),
    ):
        errors, _warnings = campaigns.validate(plain(shop, **changes))
        assert code in [finding.code for finding in errors]


def test_validate_allows_any_label_where_no_eu_country_is(shop):
    words = {"en": {"accept_label": "Yes please"}}

    errors, _warnings = campaigns.validate(plain(shop, countries=["US"], copy=words))

    assert errors == []


def test_validate_warns(shop):
    factories.campaign(shop["DT"], shop["W1"], priority=10)
    higher = {"priority": 20, "not_bought_days": None}
    factories.campaign(shop["DT"], shop["W1"], **higher)
    factories.order(shop)

    def warned(**changes):
        errors, warnings = campaigns.validate(plain(shop, not_bought_days=None, **changes))
        assert errors == []
        return {finding.code for finding in warnings}

    assert "no_channel" in warned(channels=[])
    assert "equal_priority" in warned(priority=20)
    assert "shadowed" in warned(priority=5)
    assert "no_trigger" in warned(triggers=[])
    assert "currency_missing" in warned(
        rule="FIXED", amounts={"EUR": "9.00"}, currencies=["EUR", "GBP"]
    )
    assert "dear_cross_sell" in warned(product_ref=str(shop["DR"].pk))
    assert "nothing_links" in warned(product_ref=str(shop["IN"].pk))
    assert "label_unusual" in warned(copy={"en": {"accept_label": "Have it"}})


def test_save_is_one_edit_and_twice_two(shop):
    values = {
        "name": "A",
        "kind": "UPSELL",
        "product_ref": str(shop["W2"].pk),
        "channels": ["web"],
        "triggers": [{"kind": "PRODUCT", "ref": str(shop["W1"].pk)}],
        "copy": {"en": {"headline": "More"}},
    }

    first = campaigns.save_campaign(slug="a", **values)
    again = campaigns.save_campaign(slug="a", name="B")

    assert first.pk == again.pk
    assert again.revision == 2
    assert again.quantity_rule == "MATCH"
    assert again.edited_at > first.edited_at
    revision = CampaignRevision.objects.get(number=2)
    assert (revision.before["name"], revision.after["name"]) == ("A", "B")
    assert revision.after["triggers"] == revision.before["triggers"]


def test_save_writes_nothing_that_is_refused(shop):
    with pytest.raises(ValidationError) as caught:
        campaigns.save_campaign(slug="a", kind="UPSELL", triggers=[ALWAYS])

    assert "triggers" in caught.value.message_dict
    assert not Campaign.objects.exists()
    with pytest.raises(ValidationError):
        campaigns.save_campaign(slug="a", colour="red")


def test_duplicate_twice_takes_two_slugs(shop):
    campaign = factories.campaign(shop["DT"], shop["W1"], slug="a")

    copies = [campaigns.duplicate(campaign_id=campaign.pk) for _ in range(2)]

    assert [copy.slug for copy in copies] == ["a-copy", "a-copy-2"]
    assert [copy.priority for copy in copies] == [20, 30]
    assert {copy.status for copy in copies} == {"OFF"}
