"""Orders paid by card with Stripe, against a Stripe server of the tests' own."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from tests.oscar_project import stocking
from tests.oscar_project.stories_buying import bought_by_session, campaign, rows, thanks
from tests.oscar_project.walking import offer_in
from tests.stripe.serving import stripe, stripe_server  # noqa: F401 - fixtures
from upsell import conf
from upsell.contrib.stripe.cards import Card
from upsell.models import Offer

pytest.importorskip("stripe")


def card_of(order):
    """The shop's own function: the source's reference names customer and card."""
    customer, _, method = str(order.facts.get("payment_reference", "")).partition(":")
    return Card(customer=customer, payment_method=method) if method else None


@pytest.fixture
def paid(settings, stripe):  # noqa: F811
    """Place an order that was paid with one of Stripe's test cards."""
    settings.UPSELL_GATEWAYS = {"stripe": "upsell.contrib.stripe.gateway.StripeGateway"}
    settings.UPSELL_STRIPE_SECRET_KEY = stripe.api_key
    settings.UPSELL_STRIPE_API_BASE = stripe.url
    settings.UPSELL_STRIPE_CARD = f"{__name__}.card_of"
    conf.gateways.cache_clear()

    def place(*lines, card="pm_card_visa"):
        saved = stripe.save_card(card)
        reference = f"{saved.customer}:{saved.payment_method}"
        return stocking.place(*lines, paid_by="stripe", card=reference)

    return place


@pytest.mark.parametrize("kind", ["CROSS_SELL", "UPSELL"])
def test_a_card_order_is_charged_changed_and_given_back(goods, stripe, paid, kind):  # noqa: F811
    campaign(goods["POT"], goods["TEA"], kind=kind)
    order = paid(("TEA", 1), ("CUP", 1))
    before, shopper = rows(order), bought_by_session(order)

    done = shopper.press(thanks(shopper), "accept")

    assert offer_in(done) == "accepted"
    due = rows(order)["total"][1] - before["total"][1]
    assert stripe.ledger.net() == int(due * 100)
    assert ("Settled", due) in [row[:2] for row in rows(order)["events"]]
    shopper.press(done, "undo")
    call_command("upsell_run", "--once")
    assert stripe.ledger.net() == 0
    back = rows(order)
    assert ("Refunded", due) in [row[:2] for row in back["events"]]
    assert {**back, "events": []} == {**before, "events": []}
    call_command("upsell_audit")


def test_a_declined_card_leaves_the_order_as_it_was(goods, stripe, paid):  # noqa: F811
    campaign(goods["POT"], goods["TEA"])
    order = paid(("TEA", 1), card="pm_card_chargeCustomerFail")
    before, shopper = rows(order), bought_by_session(order)

    shopper.press(thanks(shopper), "accept")

    assert rows(order) == before
    assert Offer.objects.get().state != "ACCEPTED"
    assert stripe.ledger.net() == 0
