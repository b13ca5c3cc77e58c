"""The parameters of a request: read, checked as Stripe checks them, sorted by who keeps them.

localstripe refuses most of what Stripe takes. PASSED goes on to it; KEPT is held back, remembered
and shown in the object again; a name in neither is refused, as Stripe would.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tests.stripe.errors import Refused, wrong_parameter

PASSED = {
    "intent.create": {"amount", "currency", "customer", "payment_method", "metadata"}
    | {"capture_method"},
    "intent.update": {"amount", "currency", "customer", "payment_method", "metadata"},
    "intent.confirm": set(),
    "intent.cancel": set(),
    "intent.capture": {"amount_to_capture"},
    "refund.create": {"charge", "payment_intent", "amount", "metadata"},
    "refund.update": {"metadata"},
}
_SHOWN = {
    "automatic_payment_methods", "confirmation_method", "description", "payment_method_options",
    "payment_method_types", "receipt_email", "setup_future_usage", "shipping",
    "statement_descriptor", "statement_descriptor_suffix", "transfer_group",
}  # fmt: skip
_CONFIRMING = {
    "error_on_requires_action", "mandate", "mandate_data", "off_session", "radar_options",
    "return_url", "use_stripe_sdk",
}  # fmt: skip
KEPT = {
    "intent.create": _SHOWN | _CONFIRMING | {"confirm"},
    "intent.update": _SHOWN,
    "intent.confirm": _CONFIRMING
    | {"payment_method", "payment_method_options", "payment_method_types"}
    | {"receipt_email", "setup_future_usage", "shipping"},
    "intent.cancel": {"cancellation_reason"},
    "intent.capture": {"metadata", "statement_descriptor", "statement_descriptor_suffix"},
    "refund.create": {"reason", "instructions_email"},
    "refund.update": set(),
}
SHOWN = _SHOWN

# The least that can be charged, in minor units (Stripe's own list, in part).
LEAST = {"usd": 50, "eur": 50, "chf": 50, "gbp": 30, "jpy": 50, "sek": 300, "dkk": 250}
# Amounts that Stripe takes in whole steps only: three places of which the last is 0, and two
# currencies without minor units that it nevertheless writes with two.
STEPS = {"bhd": 10, "jod": 10, "kwd": 10, "omr": 10, "tnd": 10, "isk": 100, "ugx": 100}


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return ``a[b]=1&c[]=2`` as ``{"a": {"b": "1"}, "c": ["2"]}``.

    >>> nested([("amount", "100"), ("metadata[order]", "7"), ("expand[0]", "customer")])
    {'amount': '100', 'metadata': {'order': '7'}, 'expand': ['customer']}
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        path = [name.split("[", 1)[0], *re.findall(r"\[([^\]]*)\]", name)]
        here = found
        for step in path[:-1]:
            here = here.setdefault(step, {})
        here[path[-1] or str(len(here))] = value
    return {name: value if name == "metadata" else _lists(value) for name, value in found.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(name.isdigit() for name in value):
        return [_lists(item) for item in value.values()]
    return {name: _lists(item) for name, item in value.items()}


def sorted_out(endpoint: str, parameters: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check the parameters and return (what is passed on, what is kept back).

    Raises:
        Refused: Stripe would not begin to execute this.
    """
    for name in parameters:
        if name not in PASSED[endpoint] | KEPT[endpoint] | {"expand"}:
            raise wrong_parameter(name, f"Received unknown parameter: {name}", "parameter_unknown")
    checked = {name: _checked(name, value) for name, value in parameters.items()}
    if endpoint == "intent.create":
        _check_money(checked)
        _check_confirming(checked)
    passed = {name: value for name, value in checked.items() if name in PASSED[endpoint]}
    kept = {name: value for name, value in checked.items() if name in KEPT[endpoint]}
    return passed, kept


def _checked(name: str, value: Any) -> Any:
    if name in ("amount", "amount_to_capture"):
        if not isinstance(value, str) or not re.fullmatch(r"-?\d+", value):
            raise wrong_parameter(name, f"Invalid integer: {value}", "parameter_invalid_integer")
        if int(value) < 1:
            raise wrong_parameter(name, "This value must be greater than or equal to 1.")
        return int(value)
    if name in ("confirm", "error_on_requires_action", "off_session", "use_stripe_sdk"):
        if value not in ("true", "false"):
            raise wrong_parameter(name, f"Invalid boolean: {value}")
        return value == "true"
    if name == "currency":
        return str(value).lower()
    if name == "metadata":
        _check_metadata(value)
    return value


def _check_metadata(metadata: Any) -> None:
    if metadata == "":  # Stripe: an empty value takes all of it away
        return
    if not isinstance(metadata, dict) or len(metadata) > 50:
        raise wrong_parameter("metadata", "Metadata has at most 50 keys.")
    for name, value in metadata.items():
        if len(name) > 40 or len(value) > 500:
            raise wrong_parameter(
                f"metadata[{name}]", "Metadata keys have 40 characters, values 500."
            )


def _check_money(parameters: dict[str, Any]) -> None:
    for name in ("amount", "currency"):
        if name not in parameters:
            raise wrong_parameter(name, f"Missing required param: {name}.", "parameter_missing")
    amount, currency = parameters["amount"], parameters["currency"]
    if not re.fullmatch(r"[a-z]{3}", currency):
        raise wrong_parameter("currency", f"Invalid currency: {currency}.")
    if amount < LEAST.get(currency, 1):
        raise wrong_parameter("amount", "Amount must be at least 0.50.", "amount_too_small")
    if amount % STEPS.get(currency, 1):
        raise wrong_parameter(
            "amount", f"Amounts in {currency} are multiples of {STEPS[currency]}."
        )


def _check_confirming(parameters: dict[str, Any]) -> None:
    """Refuse what Stripe refuses of an intent that is created, or created and confirmed."""
    if not parameters.get("confirm"):
        for name in ("off_session", "return_url", "error_on_requires_action", "mandate"):
            if name in parameters:
                raise wrong_parameter(name, f"{name} can only be used with confirm=true.")
        return
    if "payment_method" not in parameters:
        raise wrong_parameter(
            "payment_method",
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            "parameter_missing",
        )
    automatic = parameters.get("automatic_payment_methods") or {}
    if automatic and "payment_method_types" in parameters:
        raise wrong_parameter(
            "automatic_payment_methods", "You may only specify one of the two ways to say how."
        )
    check_redirects(parameters)


def check_redirects(parameters: dict[str, Any]) -> None:
    """Refuse to confirm without a ``return_url`` what may redirect the buyer.

    Without ``payment_method_types`` the methods of the Dashboard are accepted, and some of them
    redirect, whether or not the one that is charged does.
    """
    automatic = parameters.get("automatic_payment_methods") or {}
    if (
        "payment_method_types" not in parameters
        and "return_url" not in parameters
        and automatic.get("allow_redirects") != "never"
    ):
        raise Refused(
            400,
            "A `return_url` must be given: this PaymentIntent accepts the payment methods enabled"
            " in the Dashboard, some of which redirect. Or set allow_redirects to never.",
            recorded=False,
        )
