"""The buyer's bank asks: passed, failed, abandoned, too late; and browsers that come back lying."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from tests.stripe.buying import intent_of
from tests.stripe.control import SavedCard
from tests.stripe.shopping import CARDS, PRICE, Sale, apart, posting, reconcile, sold, story
from tests.views.buyers import placing
from upsell.exceptions import ChargeDeclined
from upsell.models import Acceptance
from upsell.models.tokens import offer_token
from upsell.services import fulfilling, reconciling

pytestmark = pytest.mark.django_db(transaction=True)

CANCEL = "/v1/payment_intents/*/cancel"


@pytest.fixture
def asked(stripe, products) -> Sale:
    """Accepted, and the buyer is at the bank."""
    sale = sold(stripe, products, "pm_card_authenticationRequired")
    assert sale.accept().state == "ACTION_REQUIRED"
    return sale


def back(sale: Sale) -> str:
    """Come back from the bank; return the state, or the code of the refusal."""
    try:
        return fulfilling.resume(token=offer_token(sale.offer)).state
    except ChargeDeclined as refused:
        return refused.code


def test_passed(stripe, asked):
    stripe.approve(asked.attempt.reference)

    assert back(asked) == "ACCEPTED"
    asked.agrees(kept=PRICE)


def test_failed_and_then_another_try(stripe, asked):
    stripe.fail(asked.attempt.reference)

    assert back(asked) == "payment_declined"
    assert asked.offer.state == "SHOWN"
    asked.agrees(kept=0)
    assert asked.accept().state == "ACTION_REQUIRED"
    stripe.approve(asked.attempt.reference)
    assert back(asked) == "ACCEPTED"
    asked.agrees(kept=PRICE)


@pytest.mark.parametrize("hears", ["webhook", "reconciler"])
def test_f42_passed_and_the_browser_never_comes_back(hears, stripe, asked):
    begun = timezone.now()
    stripe.approve(asked.attempt.reference)

    if hears == "webhook":
        stripe.webhooks.deliver(posting())
    else:
        reconcile(begun, minutes=2)

    assert asked.offer.state == "ACCEPTED"
    asked.agrees(kept=PRICE)


def test_f29_abandoned_is_cancelled_and_can_not_be_paid_any_more(stripe, asked):
    begun = timezone.now()
    reference = asked.attempt.reference

    reconcile(begun, minutes=16)

    assert asked.offer.state == "EXPIRED"
    assert stripe.intent(reference)["status"] == "canceled"
    stripe.webhooks.deliver(posting())
    assert asked.offer.state == "EXPIRED"
    asked.agrees(kept=0)


def test_passed_after_the_deadline_and_before_anybody_looked_counts(stripe, asked):
    """Giving up asks the provider, and the provider says that it was paid."""
    begun = timezone.now()
    reconcile(begun, minutes=14)
    stripe.approve(asked.attempt.reference)

    reconciling.reconcile(now=begun + timedelta(minutes=20))

    assert (asked.offer.state, asked.charges) == ("ACCEPTED", 1)
    asked.agrees(kept=PRICE)


@pytest.mark.parametrize("executed", [False, True])
def test_passed_while_giving_up_is_not_answered(executed, stripe, asked):
    """The request to give up is lost; what is true is asked again, and not guessed."""
    begun = timezone.now()
    reconcile(begun, minutes=14)
    stripe.faults.reset(executed=executed, path=CANCEL)
    reconciling.reconcile(now=begun + timedelta(minutes=15, seconds=1))
    assert asked.offer.state == "ACTION_REQUIRED"
    if not executed:
        stripe.approve(asked.attempt.reference)

    reconcile(begun, minutes=18, begun=15.5)

    assert asked.offer.state == ("EXPIRED" if executed else "ACCEPTED")
    asked.agrees(kept=0 if executed else PRICE)


def test_f41_a_report_of_giving_up_that_comes_before_the_answer_ends_alike(stripe, products):
    """The same final rows, whoever is first."""
    answer_first, report_first = (
        sold(stripe, products, "pm_card_authenticationRequired") for _ in range(2)
    )
    for sale in (answer_first, report_first):
        sale.accept()
    begun = timezone.now()

    with time_machine.travel(begun + timedelta(minutes=16)):
        stripe.faults.reset(executed=True, path=f"*/{report_first.attempt.reference}/cancel")
        reconciling.reconcile()
        assert answer_first.offer.state == "EXPIRED"
        assert report_first.offer.state == "ACTION_REQUIRED"
        stripe.webhooks.deliver(posting(), times=2, shuffled=1)
        reconciling.reconcile()

    told = [story(sale, reports=False) for sale in (answer_first, report_first)]
    assert apart(*told) == []
    assert told[0]["offer"][0]["state"] == "EXPIRED"


# ------------------------------------------------------------------ a browser that lies


def of_another_order(stripe, asked: Sale, products) -> str:
    """A payment of somebody else's add-on, of the same amount."""
    other = sold(stripe, products)
    other.accept()
    return str(other.attempt.reference)


def an_older_one(stripe, asked: Sale, products) -> str:
    """The payment of this buyer's earlier order."""
    return paid_by(stripe, asked, amount=PRICE, metadata={"order": "7", "key": "ups-of-last-year"})


def a_cheaper_one(stripe, asked: Sale, products) -> str:
    """A cent, paid by the same card, under the key of this very attempt."""
    return paid_by(
        stripe, asked, amount=50, metadata={"order": asked.ref, "key": asked.attempt.key}
    )


def paid_by(stripe, asked: Sale, **options) -> str:
    saved = stripe.save_card(customer=CARDS[asked.ref].customer)
    card = SavedCard(customer=saved.customer, payment_method=saved.payment_method)
    client = stripe_client(stripe)
    made = client.v1.payment_intents.create(
        intent_of(card, **options), {"idempotency_key": f"of-the-test-{options['amount']}"}
    )
    assert made.status == "succeeded"
    return str(made.id)


def stripe_client(stripe):
    sdk = pytest.importorskip("stripe")
    return sdk.StripeClient(stripe.api_key, base_addresses={"api": stripe.url})


@pytest.mark.parametrize("theirs", [of_another_order, an_older_one, a_cheaper_one])
def test_t2_a_browser_that_comes_back_with_another_payment_pays_nothing(
    theirs, stripe, asked, products
):
    other = theirs(stripe, asked, products)
    said = {
        "payment_intent": other,
        "payment_intent_client_secret": f"{other}_secret",
        "redirect_status": "succeeded",
        "reference": other,
    }
    buyer = placing(asked.offer)
    address = reverse("upsell:return", args=[offer_token(asked.offer)])

    seen = buyer.get(f"{address}?{urlencode(said)}")
    buyer.post(f"{address}?{urlencode(said)}", said)

    assert seen.status_code == 200
    assert asked.offer.state == "ACTION_REQUIRED"
    assert not Acceptance.objects.filter(offer=asked.offer_id).exists()
    asked.placed.refresh_from_db()
    assert asked.placed.total_gross == 600


def test_t2_a_cheaper_payment_under_our_key_is_not_taken_from_a_report_either(
    stripe, asked, products, alarms
):
    """Signed by the provider and with our key in it: the amount is not what was asked."""
    other = a_cheaper_one(stripe, asked, products)

    stripe.webhooks.deliver(
        posting(), stripe.webhooks.find("payment_intent.succeeded", payment_intent=other)
    )

    assert (asked.offer.state, asked.offer.failure_code) == ("FAILED", "amount_mismatch")
    assert alarms == ["amount_mismatch"]
    assert stripe.ledger.net() == 0
    asked.placed.refresh_from_db()
    assert asked.placed.total_gross == 600
