"""What the proxy remembers beside localstripe's objects, and the objects as Stripe shows them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from tests.stripe.errors import DECLINES
from tests.stripe.parameters import SHOWN


@dataclass(kw_only=True)
class Card:
    """One of Stripe's test cards: what localstripe makes of its number, and the bank's words."""

    number: str
    decline_code: str = ""


DECLINING = "4000000000000341"  # can be saved; every charge is declined
# Stripe's names of test payment methods. localstripe knows three of them, and charges the one
# that is called chargeDeclined.
TEST_CARDS = {
    "pm_card_visa": Card(number="4242424242424242"),
    "pm_card_mastercard": Card(number="5555555555554444"),
    "pm_card_authenticationRequired": Card(number="4000002760003184"),
    "pm_card_threeDSecure2Required": Card(number="4000000000003220"),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": Card(
        number="4000008260003178", decline_code="insufficient_funds"
    ),
    "pm_card_chargeCustomerFail": Card(number=DECLINING, decline_code="generic_decline"),
    "pm_card_visa_chargeDeclined": Card(number=DECLINING, decline_code="generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": Card(
        number=DECLINING, decline_code="insufficient_funds"
    ),
    "pm_card_visa_chargeDeclinedLostCard": Card(number=DECLINING, decline_code="lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": Card(number=DECLINING, decline_code="stolen_card"),
    "pm_card_chargeDeclinedExpiredCard": Card(number=DECLINING, decline_code="expired_card"),
    "pm_card_chargeDeclinedFraudulent": Card(number=DECLINING, decline_code="fraudulent"),
    "pm_card_chargeDeclinedIncorrectCvc": Card(number=DECLINING, decline_code="incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": Card(
        number=DECLINING, decline_code="processing_error"
    ),
}


@dataclass(kw_only=True)
class Intent:
    """What is known of a PaymentIntent that localstripe does not keep."""

    id: str
    number: int
    """Its place among all: two of the same second have an order."""
    keys: list[str] = field(default_factory=list)
    """The idempotency keys of the requests that created and confirmed it."""
    kept: dict[str, Any] = field(default_factory=dict)
    decline_code: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    canceled_at: int | None = None
    captured: int | None = None
    """How much of an authorised amount was captured; none where all of it was at once."""

    def cancel(self, reason: str | None) -> None:
        self.canceled_at = int(time.time())
        self.kept["cancellation_reason"] = reason


@dataclass(kw_only=True)
class Refund:
    """What is known of a Refund that localstripe does not keep."""

    id: str
    payment_intent: str
    key: str
    reason: str | None
    status: str
    amount: int
    outside: bool
    """Made on the dashboard, by no request of ours."""


def intent(raw: dict[str, Any], known: Intent, *, redirect_url: str) -> dict[str, Any]:
    """Return localstripe's PaymentIntent as Stripe shows it."""
    charge = raw["latest_charge"] or {}
    paid = raw["status"] == "succeeded"
    shown = {name: value for name, value in raw.items() if name not in ("charges", "invoice")}
    shown |= dict.fromkeys(SHOWN) | {
        name: value for name, value in known.kept.items() if name in SHOWN
    }
    return shown | {
        "amount_capturable": raw["amount"] if raw["status"] == "requires_capture" else 0,
        "amount_received": (known.captured or raw["amount"]) if paid else 0,
        "canceled_at": known.canceled_at,
        "cancellation_reason": known.kept.get("cancellation_reason"),
        "confirmation_method": known.kept.get("confirmation_method", "automatic"),
        "last_payment_error": _last_error(raw, known),
        "latest_charge": charge.get("id"),
        "livemode": False,
        "next_action": _next_action(raw, known, redirect_url),
        "payment_method": None
        if raw["status"] == "requires_payment_method"
        else raw["payment_method"],
        "payment_method_types": known.kept.get("payment_method_types", ["card"]),
    }


def _next_action(raw: dict[str, Any], known: Intent, redirect_url: str) -> dict[str, Any] | None:
    return_url = known.kept.get("return_url")
    if raw["next_action"] is None or not return_url or known.kept.get("use_stripe_sdk"):
        return raw["next_action"]
    return {
        "type": "redirect_to_url",
        "redirect_to_url": {"url": redirect_url, "return_url": return_url},
    }


def _last_error(raw: dict[str, Any], known: Intent) -> dict[str, Any] | None:
    error = raw["last_payment_error"]
    if error is None:
        return None
    shown = {**error, "type": "card_error"}
    if known.decline_code:
        code, message = DECLINES[known.decline_code]
        shown |= {"code": code, "decline_code": known.decline_code, "message": message}
    return shown


def charge(
    raw: dict[str, Any], known: Intent | None, *, captured: int, refunded: int, disputed: bool
) -> dict[str, Any]:
    """Return localstripe's Charge as Stripe shows it: with the metadata of its intent."""
    shown = {name: value for name, value in raw.items() if name not in ("refunds", "invoice")}
    return shown | {
        "amount_captured": captured,
        "amount_refunded": refunded,
        "description": known.kept.get("description") if known else raw["description"],
        "disputed": disputed,
        "livemode": False,
        "metadata": known.metadata if known else raw["metadata"],
        "refunded": refunded >= raw["amount"],
    }


def refund(raw: dict[str, Any], known: Refund) -> dict[str, Any]:
    """Return localstripe's Refund as Stripe shows it."""
    shown = {name: value for name, value in raw.items() if name not in ("date", "livemode")}
    return shown | {
        "payment_intent": known.payment_intent,
        "reason": known.reason,
        "status": known.status,
    }
