"""Test cases that every adapter passes. Subclass them in your tests; they need pytest."""

from __future__ import annotations

from upsell.testing.conformance.gateways import GatewayConformance
from upsell.testing.conformance.shops import ShopConformance

__all__ = ["GatewayConformance", "ShopConformance"]
