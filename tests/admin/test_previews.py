"""As the shopper sees it: the shop's own page, on an order, and nothing can be done there."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.utils import timezone

from tests import factories
from tests.admin.screens import url
from upsell.models import Decision, Offer, OfferQuote
from upsell.services import previewing

pytestmark = pytest.mark.django_db
PAST = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def text_of(response) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", response.content.decode()))


def framed(client, campaign, **query):
    return client.get(url("campaign_frame", campaign.pk), query)


def test_a_cross_sell_shows_words_and_amounts_of_today(client, boss, shop):
    factories.order(shop)
    campaign = factories.campaign(shop["DT"], shop["W1"], rule="PERCENT", percent="25")
    campaign.copies.create(
        language="en", headline="Clean clothes", body="Mild.", benefits=["Soft"],
        accept_label="Buy now",
    )  # fmt: skip

    told = text_of(framed(client, campaign))

    for words in ("Clean clothes", "Mild.", "Soft", "Order 1042 is confirmed", "You pay now €9.00",
                  "Buy now · €9.00", "No, thank you"):  # fmt: skip
        assert words in told, words


def test_an_upsell_shows_what_leaves_and_the_difference(client, boss, shop):
    factories.order(shop, ("CA", 1))
    campaign = factories.campaign(shop["W2"], shop["W1"], kind="UPSELL")

    told = text_of(framed(client, campaign))

    assert "W1" in told
    assert "€840.00 − €600.00 you paid = €240.00 now" in told


def test_each_language_is_shown_by_itself(client, boss, shop):
    factories.order(shop)
    campaign = factories.campaign(shop["DT"], shop["W1"])
    campaign.copies.create(language="en", headline="Clean clothes")
    campaign.copies.create(language="de", headline="Saubere Wäsche")

    page = client.get(url("campaign_preview", campaign.pk), {"language": "de"})

    assert [(row["code"], row["is"]) for row in page.context["languages"]] == [
        ("de", True), ("en", False),
    ]  # fmt: skip
    assert "Saubere Wäsche" in text_of(framed(client, campaign, language="de"))
    assert "Clean clothes" in text_of(framed(client, campaign))
    assert "language=de" in page.context["frame_url"]


@pytest.mark.parametrize(
    "options",
    [
        {"status": "OFF"},
        {"status": "STAFF_ONLY"},
        {"valid_until": PAST},
        {"archived": True},
        {"bounds": {"EUR": ["5000", None]}},
        {"groups": ["club"]},
        {"countries": ["FR"]},
    ],
)
def test_it_can_be_seen_before_anybody_else_does(client, boss, shop, options):
    factories.order(shop)
    campaign = factories.campaign(shop["DT"], shop["W1"], **options)

    assert "You pay now €12.00" in text_of(framed(client, campaign))


def test_a_category_is_shown_on_an_order_that_holds_it(client, boss, shop):
    wanted = factories.order(shop, ("W1", 1))
    for _ in range(3):
        factories.order(shop, ("CA", 1))
    campaign = factories.campaign(shop["W2"], shop["W1"], kind="UPSELL")
    campaign.triggers.update(kind="CATEGORY", ref="machines")

    told = previewing.preview(campaign=campaign, now=timezone.now())

    assert told.page is not None
    assert told.occasion.ref == str(wanted.pk)


def test_an_example_is_paid_by_card_whoever_bought_last(client, boss, shop):
    placed = factories.order(shop, payment_method="cash")
    campaign = factories.campaign(shop["DT"], shop["W1"])

    assert "You pay now €12.00 charged to your card" in text_of(framed(client, campaign))
    real = client.get(url("campaign_preview", campaign.pk), {"order": str(placed.pk)})
    assert "payment method cannot collect more" in real.context["reason"]


def test_a_real_order_is_taken_as_if_it_had_just_been_placed(client, boss, shop):
    placed = factories.order(shop, ("W1", 2), released=True)
    campaign = factories.campaign(shop["W2"], shop["W1"], kind="UPSELL")

    page = client.get(url("campaign_preview", campaign.pk), {"order": placed.number})
    told = text_of(framed(client, campaign, order=str(placed.pk)))

    assert f"On order {placed.number}" in page.content.decode()
    assert "You pay now €480.00" in told


def test_an_order_that_would_not_get_it_says_why(client, boss, shop):
    placed = factories.order(shop, ("CA", 1))
    campaign = factories.campaign(shop["DT"], shop["W1"])

    page = client.get(url("campaign_preview", campaign.pk), {"order": str(placed.pk)})
    unknown = client.get(url("campaign_preview", campaign.pk), {"order": "nonsense"})

    assert "does not contain what triggers" in page.context["reason"]
    assert "The shop knows no order “nonsense”" in unknown.context["problem"]


def test_without_an_order_the_words_stand_alone(client, boss, shop):
    campaign = factories.campaign(shop["DT"], shop["W1"])
    campaign.copies.create(language="en", headline="Clean clothes", benefits=["Soft"])

    page = client.get(url("campaign_preview", campaign.pk))
    told = text_of(framed(client, campaign))

    assert "There is no order yet" in page.context["reason"]
    assert "Clean clothes" in told
    assert "Soft" in told


def test_what_cannot_be_offered_says_so_beside_its_words(client, boss, shop):
    factories.order(shop)
    campaign = factories.campaign(shop["DT"], shop["W1"], must_fit=True)

    page = client.get(url("campaign_preview", campaign.pk))

    assert "not said to fit" in page.context["reason"]
    assert "DT" in text_of(framed(client, campaign))


def test_nothing_is_written_and_nothing_can_be_pressed(client, boss, shop):
    factories.order(shop)
    campaign = factories.campaign(shop["DT"], shop["W1"])

    page = client.get(url("campaign_preview", campaign.pk)).content.decode()
    frame = framed(client, campaign)
    accept = re.search(r'action="([^"]+/accept/)"', frame.content.decode())[1]

    for model in (Decision, Offer, OfferQuote):
        assert not model.objects.exists()
    policy = frame["Content-Security-Policy"].split("; ")
    assert policy[:2] == ["sandbox", "default-src 'none'"]
    assert "script" not in frame["Content-Security-Policy"]
    assert "<script" not in frame.content.decode()
    assert frame["X-Frame-Options"] == "SAMEORIGIN"
    assert re.search(r"<iframe[^>]* sandbox ", page)
    assert client.post(accept, {"quote": "1"}).status_code == 404
