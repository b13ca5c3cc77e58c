"""What the shop tells."""

from __future__ import annotations

from django.dispatch import Signal

order_placed = Signal()
order_cancelled = Signal()
