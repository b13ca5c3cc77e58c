"""Refusals in Stripe's own shape."""

from __future__ import annotations

from typing import Any

from tests.stripe.wire import Answer

# What a card's bank says, as Stripe words it: decline code -> (code, message).
DECLINES = {
    "generic_decline": ("card_declined", "Your card was declined."),
    "insufficient_funds": ("card_declined", "Your card has insufficient funds."),
    "lost_card": ("card_declined", "Your card was declined."),
    "stolen_card": ("card_declined", "Your card was declined."),
    "fraudulent": ("card_declined", "Your card was declined."),
    "expired_card": ("expired_card", "Your card has expired."),
    "incorrect_cvc": ("incorrect_cvc", "Your card's security code is incorrect."),
    "processing_error": (
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    "authentication_required": (
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
}


class Refused(Exception):
    """The request is answered with an error.

    ``recorded`` is whether an idempotency key keeps the answer: Stripe keeps it once the
    endpoint has begun to execute, so not for parameters that are wrong in themselves.
    """

    def __init__(
        self, status: int, message: str, *, recorded: bool = True, kind: str = "", **fields: Any
    ) -> None:
        super().__init__(message)
        self.recorded = recorded
        error = {"type": kind or "invalid_request_error", "message": message, **fields}
        self.answer = Answer.of(status, {"error": error})


def wrong_parameter(name: str, message: str, code: str = "parameter_invalid") -> Refused:
    return Refused(400, message, recorded=False, code=code, param=name)


def no_such(what: str, missing_id: str, *, param: str = "id") -> Refused:
    return Refused(404, f"No such {what}: '{missing_id}'", code="resource_missing", param=param)


def unexpected_state(what: str, intent: dict[str, Any]) -> Refused:
    return Refused(
        400,
        f"You cannot {what} this PaymentIntent because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
        payment_intent=intent,
    )


def declined(decline_code: str, intent: dict[str, Any]) -> Refused:
    """A card error, which carries the intent: it exists, and has failed."""
    code, message = DECLINES.get(decline_code, DECLINES["generic_decline"])
    return Refused(
        402,
        message,
        kind="card_error",
        code=code,
        decline_code=decline_code,
        charge=intent["latest_charge"],
        payment_intent=intent,
    )
