"""Our gateway against a Stripe server that nobody here wrote, also where it breaks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from tests.engine.builders import order
from upsell.contrib.stripe.cards import Card
from upsell.contrib.stripe.gateway import StripeGateway
from upsell.ports import ChargeRequest, ChargeState, RefundState
from upsell.testing.conformance import GatewayConformance

CARDS = {
    "declined": "pm_card_chargeCustomerFail",
    "challenge": "pm_card_authenticationRequired",
}


@pytest.fixture(autouse=True)
def _our_gateway(stripe, settings):
    settings.UPSELL_STRIPE_SECRET_KEY = stripe.api_key
    settings.UPSELL_STRIPE_API_BASE = stripe.url
    settings.UPSELL_STRIPE_TIMEOUT = timedelta(seconds=1)
    settings.UPSELL_STRIPE_CARD = f"{__name__}.card_of"
    settings.UPSELL_SHOP = "upsell.testing.fakes.FakeShop"
    card_of.paid_with = None


def card_of(occasion):
    """The host's own function: the card that the test saved."""
    return card_of.paid_with


class TestStripeGateway(GatewayConformance):
    @pytest.fixture(autouse=True)
    def _server(self, stripe):
        self.stripe = stripe
        self.save("pm_card_visa")

    def save(self, name: str) -> str:
        saved = self.stripe.save_card(name)
        card_of.paid_with = Card(customer=saved.customer, payment_method=saved.payment_method)
        return f"{saved.customer} {saved.payment_method}"

    def make_gateway(self):
        return StripeGateway()

    def order(self):
        return order(payment_method="card", ref="1042", number="1042")

    def spoil(self, request, how):
        if how == "lost":
            self.stripe.faults.drop_response(path="/v1/payment_intents")
            return request
        return replace(request, credential=self.save(CARDS[how]))

    def taken(self, order_ref):
        return Decimal(self.stripe.ledger.net({"order": order_ref})).scaleb(-2)


@pytest.fixture
def asked(stripe) -> ChargeRequest:
    saved = stripe.save_card()
    return ChargeRequest(
        key="ups-of-the-test",
        order_ref="1042",
        order_number="1042",
        amount=Decimal("24.00"),
        currency="EUR",
        minor_units=2400,
        credential=f"{saved.customer} {saved.payment_method}",
        return_url="https://shop.example/back/",
        description="1042",
        metadata={"key": "ups-of-the-test", "order": "1042"},
    )


def found(request: ChargeRequest):
    since = timezone.now() - timedelta(minutes=1)
    return StripeGateway().find(request.key, request.order_ref, since)


MADE = {
    "the answer is dropped": lambda faults: faults.drop_response(),
    "the body is cut": lambda faults: faults.truncate(),
    "500 after the charge": lambda faults: faults.server_error(executed=True),
    "a page of HTML": lambda faults: faults.html(executed=True),
    "HTML that says 200": lambda faults: faults.html(200, executed=True),
    "a reset after": lambda faults: faults.reset(executed=True),
    "it hangs after": lambda faults: faults.hang(executed=True),
    "slower than we wait": lambda faults: faults.slow(2, executed=True),
}
NOT_MADE = {
    "the request is dropped": lambda faults: faults.drop_request(),
    "500 before": lambda faults: faults.server_error(executed=False),
    "a reset before": lambda faults: faults.reset(executed=False),
    "it hangs before": lambda faults: faults.hang(executed=False),
    "slow down": lambda faults: faults.rate_limit(),
    "a lock": lambda faults: faults.lock_timeout(status=409),
    "HTML before": lambda faults: faults.html(executed=False),
}


@pytest.mark.parametrize("fault", MADE)
def test_a_lost_answer_is_unknown_and_the_charge_is_found_by_its_key(fault, stripe, asked):
    MADE[fault](stripe.faults)

    answer = StripeGateway().charge(asked)

    assert answer.state is ChargeState.UNKNOWN
    there = found(asked)
    assert there is not None
    assert (there.state, there.amount) == (ChargeState.CAPTURED, Decimal("24.00"))
    assert len(stripe.ledger.charges({"order": "1042"})) == 1


@pytest.mark.parametrize("fault", NOT_MADE)
def test_a_request_that_came_to_nothing_is_unknown_and_nothing_is_found(fault, stripe, asked):
    NOT_MADE[fault](stripe.faults)

    answer = StripeGateway().charge(asked)

    assert answer.state is ChargeState.UNKNOWN
    assert found(asked) is None
    assert stripe.ledger.charges({"order": "1042"}) == []


def test_f24_a_closed_port_is_unknown(stripe, asked):
    with stripe.refused():
        assert StripeGateway().charge(asked).state is ChargeState.UNKNOWN


def test_a_look_that_fails_says_nothing_of_the_charge(stripe, asked):
    StripeGateway().charge(asked)
    stripe.faults.server_error(method="GET", executed=False, times=None)

    there = found(asked)

    assert there is not None
    assert there.state is ChargeState.UNKNOWN


def test_our_own_mistake_is_declined_as_configuration(stripe, asked):
    answer = StripeGateway().charge(replace(asked, credential="cus_of_nobody pm_of_nobody"))

    assert (answer.state, answer.decline_code) == (ChargeState.DECLINED, "configuration")


def test_a_wrong_secret_key_is_declined_as_configuration(stripe, asked, settings):
    settings.UPSELL_STRIPE_SECRET_KEY = "sk_test_of_nobody"

    answer = StripeGateway().charge(asked)

    assert (answer.state, answer.decline_code) == (ChargeState.DECLINED, "configuration")


def test_the_request_carries_key_description_and_metadata(stripe, asked):
    StripeGateway().charge(asked)

    [call] = stripe.ledger.writes("/v1/payment_intents")
    [charge] = stripe.ledger.charges({"key": asked.key})
    assert call.key == asked.key
    assert charge.metadata == {"key": asked.key, "order": "1042"}
    assert stripe.intent(charge.payment_intent)["description"] == "1042"


@pytest.mark.parametrize(
    ("passes", "state"),
    [
        pytest.param(True, ChargeState.CAPTURED, id="passed"),
        pytest.param(False, ChargeState.DECLINED, id="failed"),
    ],
)
def test_a_challenge_goes_to_the_bank_and_comes_back(passes, state, stripe, asked):
    saved = stripe.save_card("pm_card_authenticationRequired")
    gateway = StripeGateway()
    credential = f"{saved.customer} {saved.payment_method}"

    begun = gateway.charge(replace(asked, credential=credential))
    assert begun.state is ChargeState.REQUIRES_ACTION
    assert begun.action_url.startswith(stripe.url)
    assert begun.client_secret
    back = (stripe.approve if passes else stripe.fail)(begun.reference)

    assert back.startswith(asked.return_url)
    assert gateway.resume(begun.reference).state is state


def test_a_challenge_that_was_passed_is_not_cancelled(stripe, asked):
    saved = stripe.save_card("pm_card_authenticationRequired")
    gateway = StripeGateway()
    credential = f"{saved.customer} {saved.payment_method}"
    begun = gateway.charge(replace(asked, credential=credential))
    stripe.approve(begun.reference)

    assert gateway.cancel(begun.reference, asked.key).state is ChargeState.CAPTURED


REFUND = "ups-refund-of-the-test"


def test_f36_a_refund_whose_answer_is_lost_is_given_once(stripe, asked):
    gateway = StripeGateway()
    made = gateway.charge(asked)
    stripe.faults.drop_response(path="/v1/refunds")

    lost = gateway.refund(made.reference, Decimal(24), "EUR", REFUND)
    again = gateway.refund(made.reference, Decimal(24), "EUR", REFUND)

    assert (lost.state, again.state) == (RefundState.UNKNOWN, RefundState.REFUNDED)
    assert stripe.ledger.net({"order": "1042"}) == 0
    assert [row.key for row in stripe.ledger.refunds({"order": "1042"})] == [REFUND]


def test_a_refund_is_not_made_twice_after_stripe_forgot_the_key(stripe, asked):
    gateway = StripeGateway()
    made = gateway.charge(asked)
    gateway.refund(made.reference, Decimal(10), "EUR", REFUND)
    stripe.forget_key(REFUND)

    again = gateway.refund(made.reference, Decimal(10), "EUR", REFUND)

    assert again.state is RefundState.REFUNDED
    assert stripe.ledger.net({"order": "1042"}) == 1400


def test_what_was_refunded_in_the_dashboard_is_seen_by_a_look(stripe, asked):
    made = StripeGateway().charge(asked)
    stripe.refund(made.reference, 500)

    there = found(asked)

    assert there is not None
    assert there.refunded == Decimal("5.00")
