"""The payment port for Stripe: PaymentIntents on the card that paid the order."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import stripe

from upsell import hooks, ports
from upsell.contrib.stripe import webhooks
from upsell.contrib.stripe.amounts import LEAST, units
from upsell.contrib.stripe.answers import (
    CONFIGURATION,
    charge_error,
    charge_of,
    is_ours,
    plain,
    refund_of,
)
from upsell.contrib.stripe.cards import Card, card_of
from upsell.contrib.stripe.client import client
from upsell.exceptions import ConfigurationError
from upsell.ports import (
    ChargeRequest,
    ChargeResult,
    ChargeState,
    Collection,
    CollectionWay,
    Occasion,
    Ref,
    RefundResult,
    RefundState,
)

if TYPE_CHECKING:
    from django.http import HttpRequest

logger = logging.getLogger("upsell")

SKEW = timedelta(minutes=5)
"""Their clock and ours may differ by so much when a payment is looked for."""
PAID = {ChargeState.CAPTURED, ChargeState.AUTHORIZED}


class StripeGateway(ports.BaseGateway):
    """Charges the order's own card. The buyer is on our page, so a bank may ask them.

    Every write carries an idempotency key of ours; a request takes ``UPSELL_STRIPE_TIMEOUT`` at
    most, and is never repeated behind our back. Incremental authorisation is not used: an
    add-on is a payment of its own, to be refunded by itself.
    """

    slug = "stripe"

    def card(self, order: Occasion) -> Card | None:
        """Return the card to charge; none = the order was not paid with one that was kept."""
        return card_of(order)

    # ---------------------------------------------------------------- asking what is possible

    def collection(
        self, order: Occasion, amount: Decimal | None, currency: str, *, trusted: bool
    ) -> Collection:
        card = self.card(order)
        if card is None or not trusted or not _can_be_charged(amount, currency):
            return Collection(how=CollectionWay.NONE)
        return Collection(
            how=CollectionWay.CHARGE_SAVED,
            credential=f"{card.customer} {card.payment_method}",
            min_amount=LEAST.get(currency, Decimal(0)),
            label=card.label,
        )

    # ---------------------------------------------------------------- money in

    def charge(self, request: ChargeRequest) -> ChargeResult:
        try:
            stripe_client, asked = client(), _intent(request)
        except (ConfigurationError, ValueError) as error:  # nothing was sent
            logger.error("a payment could not be asked for: %s", error)
            return ChargeResult(state=ChargeState.DECLINED, decline_code=CONFIGURATION)
        try:
            options: Any = {"idempotency_key": request.key}
            return charge_of(plain(stripe_client.v1.payment_intents.create(asked, options)))
        except Exception as error:
            # Whatever comes out of a network client: only what it says for certain counts.
            return charge_error(error)

    def resume(self, reference: str) -> ChargeResult:
        try:
            return charge_of(self._retrieved(reference))
        except Exception as error:
            return _asked_in_vain(error, reference)

    def find(self, key: str, order_ref: Ref, since: datetime) -> ChargeResult | None:
        """Look for the payment that carries a key.

        By listing, which is consistent; Stripe's search lags behind by up to a minute, and
        sending the request again could charge.
        """
        try:
            for intent in self._since(since - SKEW, customer=self._customer_of(order_ref)):
                if (intent.get("metadata") or {}).get("key") == key:
                    return charge_of(self._retrieved(str(intent["id"])))
        except Exception as error:
            return _asked_in_vain(error, "")
        return None

    def cancel(self, reference: str, key: str) -> ChargeResult:
        if not reference:
            return ChargeResult(state=ChargeState.UNKNOWN)
        try:
            options: Any = {"idempotency_key": f"{key}-cancel"}
            return charge_of(plain(client().v1.payment_intents.cancel(reference, {}, options)))
        except Exception as error:
            if not is_ours(error):
                return _asked_in_vain(error, reference)
        return self.resume(reference)  # it may not be cancelled any more: it was paid, or given up

    # ---------------------------------------------------------------- money back

    def refund(self, reference: str, amount: Decimal, currency: str, key: str) -> RefundResult:
        try:
            # Stripe forgets a key after a day. What carries it in its metadata is never made twice.
            made = self._refund_by(key, reference)
            if made is None:
                if self._retrieved(reference).get("status") == "requires_capture":
                    return self._voided(reference, key)
                created = client().v1.refunds.create(
                    {
                        "payment_intent": reference,
                        "amount": units(amount, currency),
                        "metadata": {"key": key},
                    },
                    {"idempotency_key": key},
                )
                made = plain(created)
            return refund_of(made)
        except Exception as error:
            if is_ours(error):
                logger.error("Stripe refused a refund: %s", getattr(error, "code", ""))
                return RefundResult(state=RefundState.REFUSED, message=str(error)[:190])
            logger.warning("Stripe did not answer a refund: %s", type(error).__name__)
            return RefundResult(state=RefundState.UNKNOWN)

    def _voided(self, reference: str, key: str) -> RefundResult:
        gone = self.cancel(reference, key)
        if gone.state is ChargeState.DECLINED:
            return RefundResult(state=RefundState.REFUNDED, reference=reference)
        return RefundResult(state=RefundState.UNKNOWN)

    def _refund_by(self, key: str, reference: str) -> dict[str, Any] | None:
        listed = client().v1.refunds.list({"payment_intent": reference, "limit": 100})
        for refund in map(plain, listed.auto_paging_iter()):
            if (refund.get("metadata") or {}).get("key") == key:
                return refund
        return None

    # ---------------------------------------------------------------- reports

    def parse_webhook(self, request: HttpRequest) -> Sequence[tuple[str, ChargeResult]]:
        return webhooks.parsed(request)

    # ---------------------------------------------------------------- how

    def _retrieved(self, reference: str) -> dict[str, Any]:
        params: Any = {"expand": ["latest_charge"]}
        return plain(client().v1.payment_intents.retrieve(reference, params))

    def _since(self, since: datetime, *, customer: str) -> Iterator[dict[str, Any]]:
        params: Any = {"created": {"gte": int(since.timestamp())}, "limit": 100}
        if customer:
            params["customer"] = customer
        yield from map(plain, client().v1.payment_intents.list(params).auto_paging_iter())

    def _customer_of(self, order_ref: Ref) -> str:
        """Narrow the list where the order is still known; without it the list is only longer."""
        try:
            card = self.card(hooks.shop().order(order_ref))
        except ports.NotFound:
            return ""
        return card.customer if card else ""


def _intent(request: ChargeRequest) -> Any:
    """Return what to create: one payment with the saved card, confirmed while the buyer looks."""
    customer, _space, method = request.credential.partition(" ")
    asked: dict[str, Any] = {
        "amount": units(request.amount, request.currency),
        "currency": request.currency.lower(),
        "customer": customer,
        "payment_method": method,
        "payment_method_types": ["card"],
        "confirm": True,
        "description": request.description,
        "metadata": dict(request.metadata),
    }
    if request.return_url:
        asked["return_url"] = request.return_url
    return asked


def _can_be_charged(amount: Decimal | None, currency: str) -> bool:
    if amount is None:
        return True
    try:
        units(amount, currency)
    except ValueError:
        return False
    return True


def _asked_in_vain(error: Exception, reference: str) -> ChargeResult:
    """A look that failed says nothing of the charge."""
    if isinstance(error, stripe.StripeError) and is_ours(error):
        logger.error("Stripe refused a look: %s", type(error).__name__)
    else:
        logger.warning("Stripe did not answer a look: %s", type(error).__name__)
    return ChargeResult(state=ChargeState.UNKNOWN, reference=reference)
