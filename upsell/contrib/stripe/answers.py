"""What Stripe says, in the words of our port. Nothing here asks anything."""

from __future__ import annotations

import logging
from typing import Any

import stripe

from upsell.contrib.stripe.amounts import amount
from upsell.ports import ChargeResult, ChargeState, RefundResult, RefundState

logger = logging.getLogger("upsell")

_STATES = {
    "succeeded": ChargeState.CAPTURED,
    "requires_capture": ChargeState.AUTHORIZED,
    "processing": ChargeState.PENDING,
    "requires_action": ChargeState.REQUIRES_ACTION,
    "requires_confirmation": ChargeState.PENDING,
    "requires_payment_method": ChargeState.DECLINED,
    "canceled": ChargeState.DECLINED,
}
_REFUNDS = {
    "succeeded": RefundState.REFUNDED,
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "failed": RefundState.REFUSED,
    "canceled": RefundState.REFUSED,
}
CONFIGURATION = "configuration"


def plain(thing: Any) -> dict[str, Any]:
    """Return one of Stripe's objects as a dictionary; anything else as an empty one."""
    if isinstance(thing, stripe.StripeObject):
        found: dict[str, Any] = thing.to_dict()
        return found
    return thing if isinstance(thing, dict) else {}


def charge_of(intent: dict[str, Any], *, event_id: str = "") -> ChargeResult:
    """Return what a PaymentIntent says."""
    currency = str(intent.get("currency") or "").upper()
    state = _STATES.get(str(intent.get("status")), ChargeState.UNKNOWN)
    redirect = ((intent.get("next_action") or {}).get("redirect_to_url") or {}).get("url") or ""
    error = intent.get("last_payment_error") or {}
    taken = intent.get("amount_received") or 0
    if state in {ChargeState.AUTHORIZED, ChargeState.REQUIRES_ACTION, ChargeState.PENDING}:
        taken = intent.get("amount") or 0
    declined = state is ChargeState.DECLINED
    return ChargeResult(
        state=state,
        reference=str(intent.get("id") or ""),
        action_url=str(redirect) if state is ChargeState.REQUIRES_ACTION else "",
        client_secret=str(intent.get("client_secret") or ""),
        decline_code=_decline_code(error, intent) if declined else "",
        amount=amount(int(taken), currency) if currency and not declined else None,
        currency=currency,
        refunded=_refunded(intent, currency),
        event_id=event_id,
    )


def _decline_code(error: dict[str, Any], intent: dict[str, Any]) -> str:
    told = error.get("decline_code") or error.get("code") or intent.get("cancellation_reason")
    return str(told or intent.get("status") or "declined")


def _refunded(intent: dict[str, Any], currency: str) -> Any:
    """What was given back of its charge, where the charge came along."""
    charge = intent.get("latest_charge")
    if not isinstance(charge, dict) or not currency:
        return None
    return amount(int(charge.get("amount_refunded") or 0), currency)


def refund_of(refund: dict[str, Any]) -> RefundResult:
    """Return what a Refund says."""
    return RefundResult(
        state=_REFUNDS.get(str(refund.get("status")), RefundState.UNKNOWN),
        reference=str(refund.get("id") or ""),
        message=str(refund.get("failure_reason") or ""),
    )


def charge_error(error: Exception) -> ChargeResult:
    """Return what a failed request says of a charge.

    Only what the provider refuses for good is DECLINED. A time-out, a reset, a 5xx, a conflict
    with the same key in flight, an unreadable body, being asked to slow down: it may have been
    charged, or will be.
    """
    if isinstance(error, stripe.CardError):
        intent = plain(getattr(error.error, "payment_intent", None))
        found = charge_of(intent) if intent else None
        if found is not None and found.state is not ChargeState.UNKNOWN:
            return found
        told = getattr(error.error, "decline_code", None) or error.code or "card_declined"
        return ChargeResult(state=ChargeState.DECLINED, decline_code=str(told))
    if is_ours(error):
        logger.error("Stripe refused a request of ours: %s", type(error).__name__)
        return ChargeResult(state=ChargeState.DECLINED, decline_code=CONFIGURATION)
    logger.warning("Stripe did not answer clearly: %s", type(error).__name__)
    return ChargeResult(state=ChargeState.UNKNOWN)


def is_ours(error: Exception) -> bool:
    """Whether the provider says that the request itself is wrong, and did nothing.

    A conflict (409: the key in flight, a lock) says no such thing, nor does a 429.
    """
    wrong = (
        stripe.InvalidRequestError,
        stripe.AuthenticationError,
        stripe.PermissionError,
        stripe.IdempotencyError,
    )
    return isinstance(error, wrong) and error.http_status in {400, 401, 402, 403, 404}
