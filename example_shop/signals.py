"""What the shop tells. Each is sent after the commit with ``order``."""

from __future__ import annotations

from django.dispatch import Signal

order_placed = Signal()
order_changed = Signal()
order_cancelled = Signal()
order_refunded = Signal()
order_shipped = Signal()
payment_back = Signal()
"""Money of the order itself goes back; ``payment`` is the shop's booking of it."""
