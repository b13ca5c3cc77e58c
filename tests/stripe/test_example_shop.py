"""The example shop's checkout with Stripe, and an offer on it: bought, accepted, undone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from decimal import Decimal

import pytest
from django.test import Client

from example_shop import orders
from example_shop.models import Order, Product
from tests.docs.pages import ROOT
from tests.example_shop.shop import BUYER, put
from tests.factories import campaign, catalogue
from upsell import conf
from upsell.models import Offer
from upsell.models.tokens import offer_token
from upsell.services import auditing

pytestmark = pytest.mark.django_db(transaction=True)

BOUGHT, ADDED = 60000, 2400
"""Minor units of the washer, and of the case that is offered to every order."""


@pytest.fixture
def buyer() -> Client:
    """A buyer's browser; ``client`` is Stripe's in this folder."""
    return Client(HTTP_USER_AGENT="Mozilla/5.0")


@pytest.fixture
def shop(stripe, settings) -> dict[str, Product]:
    settings.UPSELL_GATEWAYS = settings.UPSELL_GATEWAYS | {
        "stripe": "upsell.contrib.stripe.gateway.StripeGateway"
    }
    settings.UPSELL_STRIPE_SECRET_KEY = stripe.api_key
    settings.UPSELL_STRIPE_API_BASE = stripe.url
    conf.gateways.cache_clear()
    products = catalogue()
    campaign(products["CA"])
    return products


def chooses(buyer, shop, card: str):
    """Check out with Stripe and choose a test card; return what is answered."""
    put(buyer, shop["W1"])
    answer = buyer.post("/checkout/", BUYER | {"payment_method": "stripe"})
    assert answer.headers["Location"] == "/checkout/card/"
    page = buyer.get("/checkout/card/").content.decode()
    assert "Order and pay €600.00" in page
    return buyer.post("/checkout/card/", {"card": card})


def bought(buyer, shop, card: str = "pm_card_visa") -> Order:
    answer = chooses(buyer, shop, card)
    page = buyer.get(answer.headers["Location"].removeprefix("http://testserver"))
    order = Order.objects.get()
    assert page.headers["Location"] == f"/order/{order.pk}/thanks/"
    return order


def token() -> str:
    return offer_token(Offer.objects.get())


def accepts(buyer, order: Order):
    page = buyer.get(f"/order/{order.pk}/thanks/").content.decode()
    assert "charged to Visa ending" in page
    return buyer.post(f"/upsell/offers/{token()}/accept/", {"quote": "1", "answer": "accept"})


def agrees(order: Order, stripe, taken: int) -> None:
    """Fail unless Stripe's ledger, the shop's books and ours tell one story."""
    order.refresh_from_db()
    assert stripe.ledger.net() == taken
    assert order.total_gross == Decimal(taken) / 100
    breaches = [breach for row in auditing.audit(outside=True) for breach in row.breaches]
    assert breaches == []


def test_stripe_is_offered_at_the_checkout_only_where_it_is_set_up(buyer, db):
    put(buyer, catalogue()["W1"])

    page = buyer.get("/checkout/").content.decode()

    assert "Payfriend" in page
    assert "Card (Stripe)" not in page
    assert buyer.get("/checkout/card/").headers["Location"] == "/checkout/"
    assert buyer.post("/checkout/", BUYER | {"payment_method": "stripe"}).status_code == 200


def test_a_card_is_bought_with_charged_again_for_the_offer_and_given_back(buyer, shop, stripe):
    order = bought(buyer, shop)
    assert (order.paid, order.payments.get().gateway) == (True, "stripe")
    assert re.match(r"cus_\w+$", order.payment_facts["stripe_customer"])
    agrees(order, stripe, BOUGHT)

    accepts(buyer, order)

    assert Offer.objects.get().state == "ACCEPTED"
    agrees(order, stripe, BOUGHT + ADDED)
    buyer.post(f"/upsell/offers/{token()}/undo/")
    assert Offer.objects.get().state == "REVERSED"
    agrees(order, stripe, BOUGHT)


def test_a_bank_that_asks_is_answered_for_the_order_and_again_for_the_offer(buyer, shop, stripe):
    answer = chooses(buyer, shop, "pm_card_authenticationRequired")
    page = answer.content.decode()
    intent = re.search(rf'href="{re.escape(stripe.url)}/redirect/(pi_\w+)"', page)[1]
    assert (Order.objects.count(), stripe.ledger.net()) == (0, 0)

    back = buyer.get(stripe.approve(intent).removeprefix("http://testserver"))

    order = Order.objects.get()
    assert back.headers["Location"] == f"/order/{order.pk}/thanks/"
    agrees(order, stripe, BOUGHT)
    accepts(buyer, order)
    offer = Offer.objects.get()
    assert offer.state == "ACTION_REQUIRED"
    stripe.approve(offer.attempts.get().reference)
    buyer.post(f"/upsell/offers/{token()}/return/")
    assert Offer.objects.get().state == "ACCEPTED"
    agrees(order, stripe, BOUGHT + ADDED)


def test_a_bank_that_is_answered_with_no_leaves_no_order(buyer, shop, stripe):
    answer = chooses(buyer, shop, "pm_card_authenticationRequired")
    intent = re.search(r"/redirect/(pi_\w+)", answer.content.decode())[1]

    back = buyer.get(stripe.fail(intent).removeprefix("http://testserver"))

    assert back.status_code == 402
    assert (Order.objects.count(), stripe.ledger.net()) == (0, 0)


def test_a_refused_card_is_told_at_its_field_and_buys_nothing(buyer, shop, stripe):
    page = chooses(buyer, shop, "pm_card_chargeCustomerFail").content.decode()

    assert "Nothing was charged." in page
    assert 'id="id_card_error"' in page
    assert (Order.objects.count(), stripe.ledger.net()) == (0, 0)


def test_a_lost_answer_of_the_checkout_orders_nothing(buyer, shop, stripe):
    stripe.faults.server_error(executed=False)

    page = chooses(buyer, shop, "pm_card_visa").content.decode()

    assert "could not be charged just now" in page
    assert (Order.objects.count(), stripe.ledger.net()) == (0, 0)


def test_a_lost_answer_of_the_capture_is_looked_up(buyer, shop, stripe):
    answer = chooses(buyer, shop, "pm_card_visa")
    stripe.faults.drop_response(path=r"/v1/payment_intents/pi_\w+/capture")

    buyer.get(answer.headers["Location"].removeprefix("http://testserver"))

    order = Order.objects.get()
    assert order.paid
    agrees(order, stripe, BOUGHT)


def test_another_payment_of_the_account_buys_nothing(buyer, shop, stripe, client_of):
    chooses(buyer, shop, "pm_card_visa")
    card = stripe.save_card()
    cheaper = client_of().v1.payment_intents.create(
        {
            "amount": 50,
            "currency": "eur",
            "customer": card.customer,
            "payment_method": card.payment_method,
            "payment_method_types": ["card"],
            "capture_method": "manual",
            "confirm": True,
        }
    )

    page = buyer.get("/checkout/paid/", {"payment_intent": cheaper.id})

    assert page.status_code == 402
    assert "not the payment of your basket" in page.content.decode()
    assert (Order.objects.count(), stripe.ledger.net()) == (0, 0)


@pytest.mark.parametrize("move", [orders.cancel, orders.refund])
def test_a_cancelled_order_is_given_back_at_stripe(buyer, shop, stripe, move):
    order = bought(buyer, shop)

    move(order.pk)

    assert stripe.ledger.net() == 0


ASKS = """
import django, stripe
from django.conf import settings
django.setup()
from upsell import conf
client = stripe.StripeClient(
    settings.UPSELL_STRIPE_SECRET_KEY, base_addresses={"api": settings.UPSELL_STRIPE_API_BASE}
)
made = client.v1.customers.create({"email": "ada@example.org"})
print(sorted(conf.gateways()), made.email)
"""


def asked(**environment: str) -> str:
    """Let the demonstration's own settings say how orders are paid, and meet the server."""
    here = {"DJANGO_SETTINGS_MODULE": "example_shop.settings", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", ASKS],
        env=os.environ | here | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_the_demonstration_takes_cards_from_the_server_that_the_page_starts(stripe_server):
    """``stripe_server`` skips this where localstripe is not installed."""
    command = [sys.executable, "-m", "tests.stripe", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as served:
        told = dict(served.stdout.readline().strip().split("=") for _ in range(2))
        with_keys, without = asked(**told), asked(STRIPE_SECRET_KEY="")
        live = asked(STRIPE_SECRET_KEY="sk_live_of_somebody")
        served.terminate()

    assert with_keys == "['card', 'invoice', 'payfriend', 'stripe'] ada@example.org"
    for refused in (without, live):
        assert "UPSELL_STRIPE_SECRET_KEY" in refused, "there is no such setting"
