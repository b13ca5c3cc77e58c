"""Stripe at the checkout, in its test mode: authorised first, captured once the order is placed.

The card is one of Stripe's test payment methods, chosen on a page of the shop. A live shop lets
Stripe's Payment Element make the payment method in the browser; what follows is the same.
"""

from __future__ import annotations

import logging
from decimal import Decimal

import stripe
from django.conf import settings

from example_shop.paying import NotPaid, Standing
from upsell.ports import exponent, minor_units

logger = logging.getLogger("example_shop")

STATES = {
    "requires_action": "open",
    "requires_capture": "approved",
    "processing": "open",
    "succeeded": "taken",
}
UNREACHABLE = "The card could not be charged just now, and was not. Please try again."


class StripeCards:
    def open(self, asked, *, card):
        """Authorise with a test payment method, kept for the customer with the buyer's consent.

        Raises:
            NotPaid: The card was refused, or Stripe cannot be reached.
        """
        try:
            client = _client()
            customer = client.v1.customers.create(
                {"email": asked.email}, {"idempotency_key": f"{asked.key}-customer"}
            )
            method = client.v1.payment_methods.attach(
                card, {"customer": customer.id}, {"idempotency_key": f"{asked.key}-card"}
            )
            intent = client.v1.payment_intents.create(
                {
                    "amount": minor_units(asked.amount, asked.currency),
                    "currency": asked.currency.lower(),
                    "customer": customer.id,
                    "payment_method": method.id,
                    "payment_method_types": ["card"],
                    "setup_future_usage": "on_session",
                    "capture_method": "manual",
                    "confirm": True,
                    "return_url": asked.back,
                    "metadata": {"key": asked.key},
                },
                {"idempotency_key": asked.key},
            )
        except stripe.CardError as refusal:
            raise NotPaid(f"{refusal.user_message} Nothing was charged.") from refusal
        except stripe.StripeError as error:
            logger.warning("Stripe did not take a checkout: %s", type(error).__name__)
            raise NotPaid(UNREACHABLE) from error
        facts = {
            "stripe_customer": customer.id,
            "stripe_payment_method": method.id,
            "stripe_label": f"{method.card.brand.title()} ending {method.card.last4}",
        }
        address = _standing(intent).address or f"{asked.back}?payment_intent={intent.id}"
        return intent.id, address, facts

    def standing(self, reference):
        return _asked(lambda client: client.v1.payment_intents.retrieve(reference))

    def take(self, reference):
        key = {"idempotency_key": f"{reference}-capture"}
        try:
            return _standing(_client().v1.payment_intents.capture(reference, {}, key))
        except stripe.StripeError:  # captured already, given up, or the answer was lost: look
            return self.standing(reference)

    def close(self, reference):
        try:
            _client().v1.payment_intents.cancel(reference)
        except stripe.StripeError as error:  # an authorisation lapses by itself
            logger.warning("Stripe did not cancel a checkout: %s", type(error).__name__)

    def refund(self, reference, amount, *, key):
        """Give back; whether Stripe did."""
        intent = _client().v1.payment_intents.retrieve(reference)
        wanted = {
            "payment_intent": reference,
            "amount": minor_units(amount, intent.currency.upper()),
            "metadata": {"key": key},
        }
        try:
            _client().v1.refunds.create(wanted, {"idempotency_key": key})
        except stripe.InvalidRequestError:
            return False
        return True


def _client():
    options = {}
    if settings.UPSELL_STRIPE_API_BASE:
        options["base_addresses"] = {"api": settings.UPSELL_STRIPE_API_BASE}
    return stripe.StripeClient(
        settings.UPSELL_STRIPE_SECRET_KEY,
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=10),
        **options,
    )


def _asked(question):
    try:
        return _standing(question(_client()))
    except stripe.InvalidRequestError as error:
        raise NotPaid("Stripe does not know this payment. Nothing was charged.") from error
    except stripe.StripeError as error:
        raise NotPaid("The payment cannot be looked up just now. Reload in a minute.") from error


def _standing(intent):
    asks = intent.next_action and intent.next_action.type == "redirect_to_url"
    currency = intent.currency.upper()
    return Standing(
        state=STATES.get(intent.status, "cancelled"),
        amount=Decimal(intent.amount).scaleb(-exponent(currency)),
        currency=currency,
        address=intent.next_action.redirect_to_url.url if asks else "",
    )
