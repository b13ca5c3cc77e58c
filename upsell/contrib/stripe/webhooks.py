"""Stripe's reports: verified on the raw body, then read as results by key.

A report that is not about a payment of ours gives nothing. One that cannot be trusted is refused,
always in the same words: a stranger learns nothing from the answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import stripe

from upsell.contrib.stripe import conf
from upsell.contrib.stripe.amounts import amount
from upsell.contrib.stripe.answers import charge_of
from upsell.ports import ChargeResult, ChargeState

if TYPE_CHECKING:
    from django.http import HttpRequest

LONGEST = 256 * 1024
"""No report of Stripe's is longer; more is not even read."""
SETTLING = frozenset(
    f"payment_intent.{name}"
    for name in (
        "succeeded",
        "amount_capturable_updated",
        "processing",
        "requires_action",
        "payment_failed",
        "canceled",
    )
)
"""What says what became of a payment. ``created`` shows one that nobody has confirmed yet, in the
words of one whose card was refused, and may come after it was paid."""
REFUSED = "this report cannot be trusted"


def parsed(request: HttpRequest) -> Sequence[tuple[str, ChargeResult]]:
    """Return the results that a report brings.

    Raises:
        ValueError: Too long, unsigned, wrongly signed, too old or too early, of another account,
            or no JSON.
    """
    event = _verified(request)
    account = str(conf.get("UPSELL_STRIPE_ACCOUNT"))
    if str(event.get("account") or "") != account:
        raise ValueError(REFUSED)
    thing = (event.get("data") or {}).get("object")
    kind, event_id = str(event.get("type") or ""), str(event.get("id") or "")
    if not isinstance(thing, dict) or not event_id:
        return []
    if kind in SETTLING:
        return _of(thing, charge_of(thing, event_id=event_id))
    if kind.startswith("charge.dispute."):
        return _of(thing, _dispute(thing, event_id))
    if kind.startswith("charge."):
        return _of(thing, _charge(thing, event_id))
    return []


def _of(thing: Mapping[str, Any], result: ChargeResult) -> Sequence[tuple[str, ChargeResult]]:
    """One result under its key; a dispute has only the reference of what it disputes."""
    key = str((thing.get("metadata") or {}).get("key") or "")
    about_us = key.startswith("ups-") or (not key and result.dispute and result.reference)
    return [(key, result)] if about_us else []


def _charge(charge: Mapping[str, Any], event_id: str) -> ChargeResult:
    """A charge tells what was given back of it; what became of it its PaymentIntent tells."""
    currency = str(charge.get("currency") or "").upper()
    captured = bool(charge.get("captured")) and bool(charge.get("paid"))
    back = int(charge.get("amount_refunded") or 0)
    return ChargeResult(
        state=ChargeState.CAPTURED if captured and back else ChargeState.UNKNOWN,
        reference=str(charge.get("payment_intent") or ""),
        amount=amount(int(charge.get("amount_captured") or charge.get("amount") or 0), currency),
        currency=currency,
        refunded=amount(back, currency),
        event_id=event_id,
    )


def _dispute(dispute: Mapping[str, Any], event_id: str) -> ChargeResult:
    currency = str(dispute.get("currency") or "").upper()
    status = str(dispute.get("status") or "")
    return ChargeResult(
        state=ChargeState.UNKNOWN,
        reference=str(dispute.get("payment_intent") or ""),
        amount=amount(int(dispute.get("amount") or 0), currency),
        currency=currency,
        dispute=status if status in {"won", "lost"} else "open",
        event_id=event_id,
    )


def _verified(request: HttpRequest) -> Mapping[str, Any]:
    length = request.headers.get("Content-Length") or "0"
    if not (length.isascii() and length.isdigit() and int(length) <= LONGEST):
        raise ValueError(REFUSED)
    body, header = request.body, request.headers.get("Stripe-Signature") or ""
    if len(body) > LONGEST:
        raise ValueError(REFUSED)
    tolerance = int(conf.get("UPSELL_STRIPE_WEBHOOK_TOLERANCE").total_seconds())
    if not any(_signed(body, header, secret, tolerance) for secret in conf.webhook_secrets()):
        raise ValueError(REFUSED)
    try:
        event = json.loads(body)
    except ValueError:
        raise ValueError(REFUSED) from None
    if not isinstance(event, dict):
        raise ValueError(REFUSED)
    return event


def _signed(body: bytes, header: str, secret: str, tolerance: int) -> bool:
    try:
        text = body.decode("utf-8")
        stripe.WebhookSignature.verify_header(text, header, secret, tolerance)
        stamp = next(part for part in header.split(",") if part.strip().startswith("t="))
        # The library lets a time in the future pass.
        return int(stamp.strip()[2:]) <= time.time() + tolerance
    except (stripe.SignatureVerificationError, UnicodeDecodeError, ValueError, StopIteration):
        return False
