"""What a page says that its visitor did, sealed: only the shop can have written it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core import signing
from django.http import HttpRequest

HOLDS = timedelta(days=1)
"""How long a page may stand in a cache, or open, before what it says is too old."""
MOST_BYTES = 40_000
"""Of a sealed event; 16 KB of parameters fit, whatever their letters."""
LOOKS = frozenset({"page.viewed", "product.viewed", "category.viewed"})
"""Events that say where the visitor is, and what led them there."""

_SALT = "upsell.track"
_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event as a page says it; whose it is, the page does not say."""

    nonce: str
    """Of the page as it was rendered."""
    name: str
    order_ref: str
    parameters: Mapping[str, Any]

    def event_id(self, customer_key: str) -> str:
        """Return the id of this event for one visitor: a cached page is seen by many."""
        whose = hashlib.sha256(customer_key.encode()).hexdigest()
        return f"{self.nonce}-{whose[:32]}"


def sealed(name: str, *, order_ref: str, parameters: Mapping[str, Any]) -> str:
    """Return an event as a page carries it. The visitor can read it, and change nothing."""
    told = [secrets.token_hex(16), name, order_ref, dict(parameters)]
    return signing.dumps(told, salt=_SALT, compress=True)


def unsealed(text: str) -> Told:
    """Return the event that a page carried.

    Raises:
        BadSignature: The shop did not write it, or not within the last day.
    """
    nonce, name, order_ref, parameters = signing.loads(text, salt=_SALT, max_age=HOLDS)
    return Told(nonce=nonce, name=name, order_ref=order_ref, parameters=parameters)


def where(request: HttpRequest) -> dict[str, str]:
    """Return the address of a page, without what follows ``?``, and what led to it."""
    found = {"path": request.path}
    for name in ("source", "medium", "campaign"):
        if value := request.GET.get(f"utm_{name}", ""):
            found[name] = value.replace("\x00", "")[:_LONGEST]
    return found
