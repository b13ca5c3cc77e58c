"""Reports of the provider as Stripe sends them: signed, over HTTP, as often as it likes."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import Any

from tests.flow.browsing import PATIENCE
from tests.flow.faults import REPORTS_SECRET
from tests.flow.processes import Started
from upsell.models import Attempt


def paid(attempt: Attempt, reference: str) -> dict[str, Any]:
    """The payment of an attempt went through."""
    cents = int(attempt.amount * 100)
    thing = {
        "id": reference,
        "status": "succeeded",
        "currency": "eur",
        "amount": cents,
        "amount_received": cents,
        "metadata": {"key": attempt.key},
    }
    return _event("payment_intent.succeeded", thing)


def refunded(attempt: Attempt) -> dict[str, Any]:
    """All of it was given back in the provider's dashboard."""
    cents = int(attempt.amount * 100)
    thing = {
        "payment_intent": attempt.reference,
        "captured": True,
        "paid": True,
        "currency": "eur",
        "amount": cents,
        "amount_captured": cents,
        "amount_refunded": cents,
        "metadata": {"key": attempt.key},
    }
    return _event("charge.refunded", thing)


def reported(event: dict[str, Any], shop: Started) -> int:
    """Deliver to a process of the shop; return the status, 0 where it died on the way."""
    body = json.dumps(event).encode()
    at = int(time.time())
    digest = hmac.new(REPORTS_SECRET.encode(), b"%d.%s" % (at, body), hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "Stripe-Signature": f"t={at},v1={digest}"}
    link = HTTPConnection("127.0.0.1", shop.port, timeout=PATIENCE)
    try:
        with suppress(OSError, HTTPException):
            link.request("POST", "/upsell/webhooks/card/", body, headers)
            return link.getresponse().status
    finally:
        link.close()
    return 0


def _event(kind: str, thing: dict[str, Any]) -> dict[str, Any]:
    key = thing["metadata"]["key"]
    return {"id": f"evt_{kind}_{key}", "type": kind, "data": {"object": thing}}
