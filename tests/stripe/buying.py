"""What a shop sends to take a payment with a saved card."""

from __future__ import annotations

from typing import Any

from tests.stripe.control import SavedCard

RETURN_URL = "https://shop.test/return/?order=7"


def intent_of(card: SavedCard, **other: Any) -> dict[str, Any]:
    """Return parameters that create and confirm an intent of 12.99 EUR for order 7."""
    return {
        "amount": 1299,
        "currency": "eur",
        "customer": card.customer,
        "payment_method": card.payment_method,
        "confirm": True,
        "return_url": RETURN_URL,
        "description": "Order 7",
        "metadata": {"key": "ups-1", "order": "7"},
        **other,
    }
