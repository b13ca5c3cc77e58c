"""What the page tells a shop's tag manager: what was bought and undone, once, and nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.urls import reverse

from tests.factories import campaign, catalogue, order
from tests.hostile import XSS
from tests.standing import STATES, offer_in
from tests.views.buyers import placing, shop_with_an_offer
from upsell.models import Campaign, Offer
from upsell.models.tokens import offer_token

pytestmark = pytest.mark.django_db


class _Places(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []

    def handle_starttag(self, tag, attrs):
        if "data-upsell-event" in dict(attrs):
            self.found.append({name: value or "" for name, value in attrs})


def told_in(html: str) -> list[dict[str, str]]:
    """Return what each element says to a tag manager, without the prefix."""
    read = _Places()
    read.feed(html)
    return [
        {
            name.removeprefix("data-upsell-"): value
            for name, value in row.items()
            if name != "hidden"
        }
        for row in read.found
    ]


def page_of(offer: Offer) -> str:
    page = placing(offer).get(reverse("upsell:offer", args=[offer_token(offer)]))
    return page.content.decode()


def test_an_accepted_upgrade_is_worth_what_the_order_grew_by() -> None:
    offer = offer_in("ACCEPTED", shop_with_an_offer())

    assert told_in(page_of(offer)) == [
        {
            "event": "purchase",
            "event-id": f"{offer.uuid}-accepted",
            "transaction": str(offer.uuid),
            "currency": "EUR",
            "value": "200.00",
            "quantity": "1",
            "product": offer.product_ref,
            "sku": "W2",
            "title": "W2",
            "campaign": Campaign.objects.get().slug,
            "arm": "",
            "kind": "upsell",
            "order": offer.terms["order_number"],
        }
    ]


def test_undone_it_is_a_refund_of_the_same_transaction() -> None:
    offer = offer_in("REVERSED", shop_with_an_offer())

    (told,) = told_in(page_of(offer))

    assert told["event"] == "refund"
    assert told["event-id"] == f"{offer.uuid}-reversed"
    assert (told["transaction"], told["value"]) == (str(offer.uuid), "200.00")


def test_delivery_and_tax_are_no_part_of_the_value() -> None:
    products = catalogue()
    campaign(products["CA"], shipping="FLAT", shipping_flat={"EUR": "4.90"})

    (told,) = told_in(page_of(offer_in("ACCEPTED", products)))

    assert (told["value"], told["kind"]) == ("20.00", "cross_sell")


def test_the_hosts_page_says_the_same() -> None:
    offer = offer_in("ACCEPTED", shop_with_an_offer())
    buyer = placing(offer)
    request = RequestFactory().get("/thanks/")
    request.session = buyer.session
    request.user = type("Guest", (), {"is_authenticated": False, "is_staff": False})()
    tag = Template("{% load upsell %}{% upsell_offer order=order %}")

    on_the_hosts = tag.render(Context({"request": request, "order": offer.order_ref}))

    assert told_in(on_the_hosts) == told_in(page_of(offer)) != []


@pytest.mark.parametrize(
    "state", [state for state in STATES if state not in {"ACCEPTED", "REVERSED"}]
)
def test_nothing_is_told_that_did_not_happen(state) -> None:
    assert told_in(page_of(offer_in(state, shop_with_an_offer()))) == []


@pytest.mark.parametrize("state", ["ACCEPTED", "REVERSED"])
def test_a_trial_by_staff_is_told_to_nobody(state) -> None:
    offer = offer_in(state, shop_with_an_offer())
    Offer.objects.update(trial=True)

    assert told_in(page_of(offer)) == []


def test_a_preview_is_told_to_nobody(admin_client) -> None:
    products = shop_with_an_offer()
    order(products)
    made = Campaign.objects.get()

    frame = admin_client.get(reverse("admin:upsell_campaign_frame", args=[made.pk]))

    assert 'data-upsell-state="open"' in frame.content.decode()
    assert told_in(frame.content.decode()) == []


def test_what_it_says_stays_in_its_attributes() -> None:
    offer = offer_in("ACCEPTED", shop_with_an_offer())
    for text in XSS:
        offer.terms["product"] |= {"title": text, "sku": text}
        offer.terms |= {"order_number": text, "campaign": text}
        offer.arm = text[:80]
        offer.save(update_fields=["terms", "arm"])

        (told,) = told_in(page_of(offer))

        assert told["title"] == told["sku"] == told["order"] == told["campaign"] == text
        assert told["arm"] == text[:80]
        assert len(told) == 13


def test_it_holds_no_link_and_nobody() -> None:
    offer = offer_in("ACCEPTED", shop_with_an_offer())

    element = re.search(r"<div hidden data-upsell-event=[^>]*>", page_of(offer))

    assert element is not None
    assert offer_token(offer) not in element[0]
    assert "@" not in element[0]
