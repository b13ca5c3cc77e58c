"""How often a buyer, or an address, may try to pay."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from example_shop.models import Order
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import offered
from upsell import conf
from upsell.exceptions import ChargeDeclined, OfferNotAcceptable
from upsell.models import Attempt, Offer, OfferEvent
from upsell.models.tokens import offer_token
from upsell.services import accepting, erasing
from upsell.services.limiting import address_key

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


@pytest.fixture(autouse=True)
def _as_shipped(settings):
    for name in ("BUYER", "ADDRESS", "REFUSED"):
        setattr(settings, f"UPSELL_LIMIT_{name}", conf.DEFAULTS[f"UPSELL_LIMIT_{name}"])


def accept(offer: Offer, address: str = "203.0.113.7") -> str:
    try:
        return accepting.accept(
            token=offer_token(offer), quote_number=1, trusted=True, address=address
        ).state
    except (OfferNotAcceptable, ChargeDeclined) as error:
        return error.code


@pytest.fixture
def orders():
    products = catalogue()
    campaign(products["CA"])

    def place(count: int, **options) -> list[Offer]:
        return [
            offered(order(products, **{"email": f"{n}@example.org"} | options))
            for n in range(count)
        ]

    return place


def test_t24_five_refused_cards_lock_a_buyer_out(orders):
    offers = orders(6, email="tester@example.org", card="card_declined")

    outcomes = [accept(offer, f"203.0.113.{n}") for n, offer in enumerate(offers)]

    assert outcomes == ["payment_declined"] * 5 + ["rate_limited"]
    assert Attempt.objects.count() == 5
    event = OfferEvent.objects.get(kind="locked_out", offer=offers[-1])
    assert event.reason == "limit_refused"
    until = datetime.fromisoformat(event.figures["until"])
    assert timedelta(hours=23) < until - timezone.now() <= timedelta(days=1)


def test_a_lock_out_forgets_the_address_with_its_buyer(orders):
    offers = orders(6, email="tester@example.org", card="card_declined")
    for offer in offers:
        accept(offer)
    key = address_key("203.0.113.7")
    event = OfferEvent.objects.get(kind="locked_out")
    assert key.startswith(event.figures["address"])
    assert event.figures["address"]

    erasing.erase(customer_keys=[offers[0].customer_key])

    event.refresh_from_db()
    assert event.figures["address"] == ""
    assert event.figures["until"], "what is nobody's stays"


def test_t24_five_refused_cards_from_one_address_lock_it_out(orders):
    offers = orders(6, card="card_declined")

    assert [accept(row) for row in offers] == ["payment_declined"] * 5 + ["rate_limited"]
    assert accept(offers[-1], "198.51.100.1") == "payment_declined"


def test_one_buyer_may_try_six_times_an_hour(orders, settings):
    offers = orders(7, email="eager@example.org")
    outcomes = [accept(offer, f"203.0.113.{n}") for n, offer in enumerate(offers)]
    assert outcomes == ["ACCEPTED"] * 6 + ["rate_limited"]

    Attempt.objects.update(started_at=timezone.now() - timedelta(minutes=60, seconds=1))

    assert accept(offers[-1]) == "ACCEPTED"


def test_others_are_not_kept_waiting(orders):
    offers = orders(8, card="card_ok")
    outcomes = [accept(offer, f"203.0.113.{n}") for n, offer in enumerate(offers)]

    assert set(outcomes) == {"ACCEPTED"}


def test_an_invoice_is_not_limited(orders):
    offers = orders(8, email="a@example.org", payment_method="invoice", card="", paid=False)

    assert {accept(offer) for offer in offers} == {"ACCEPTED"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("203.0.113.7", "203.0.113.8", False, id="IPv4"),
        pytest.param("2001:db8::1", "2001:db8::ffff:2", True, id="one line has a /64"),
        pytest.param("2001:db8::1", "2001:db8:0:1::1", False, id="another /64"),
        pytest.param("::ffff:203.0.113.7", "203.0.113.7", True, id="mapped"),
    ],
)
def test_addresses_are_told_apart_by_what_one_person_has(one, other, same):
    assert (address_key(one) == address_key(other)) is same
    assert one not in address_key(one)


@pytest.mark.parametrize("address", ["", "unix:", "not an address"])
def test_an_address_that_is_not_known_is_not_limited(address):
    assert address_key(address) == ""


def test_the_page_says_when_to_try_again(client, orders, settings):
    settings.UPSELL_LIMIT_BUYER = (1, timedelta(hours=1))
    first, second = orders(2, email="eager@example.org")
    accept(first)
    session = client.session
    session["order_ref"] = second.order_ref
    session.save()

    answer = client.post(
        reverse("upsell:accept", args=[offer_token(second)]),
        {"quote": "1"},
        headers={"Accept": "application/json"},
    )

    assert (answer.status_code, answer.json()) == (429, {"code": "rate_limited"})
    assert 3590 <= int(answer["Retry-After"]) <= 3600
    assert Order.objects.get(pk=second.order_ref).total_gross == 600
