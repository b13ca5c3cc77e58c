"""Salesman's list of states is the shop's to write: this shop also packs."""

from __future__ import annotations

from salesman.orders.status import BaseOrderStatus


class Status(BaseOrderStatus):
    NEW = "NEW", "New"
    CREATED = "CREATED", "Created"
    FAILED = "FAILED", "Payment failed"
    PROCESSING = "PROCESSING", "Paid"
    PACKED = "PACKED", "Packed"
    COMPLETED = "COMPLETED", "Sent"
    CANCELLED = "CANCELLED", "Cancelled"
    REFUNDED = "REFUNDED", "Refunded"
