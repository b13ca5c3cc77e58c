"""Signals we receive and send. What we send goes out after commit and carries ids and times."""

from __future__ import annotations

from django.dispatch import Signal

# ---- received; each with ``order_ref``. Sending one is the same as calling its namesake in hooks.
order_placed = Signal()
order_changed = Signal()
order_cancelled = Signal()
order_refunded = Signal()
order_shipped = Signal()
order_delivered = Signal()
order_returned = Signal()

# ---- received; with ``name`` and whatever else ``hooks.track`` takes. Sending it is the same.
event = Signal()

# ---- sent
offer_shown = Signal()
"""offer_id, at"""
offer_accepted = Signal()
"""offer_id, at"""
offer_declined = Signal()
"""offer_id, at"""
offer_expired = Signal()
"""offer_id, at"""
offer_revoked = Signal()
"""offer_id, at"""
offer_reversed = Signal()
"""offer_id, at"""
offer_failed = Signal()
"""offer_id, at, code"""
offer_needs_attention = Signal()
"""offer_id, at, code"""
fulfilment_hold_requested = Signal()
"""offer_id, order_ref, until"""
fulfilment_hold_released = Signal()
"""offer_id, order_ref"""
documents_outdated = Signal()
"""offer_id, order_ref: an invoice exists and the order changed after it"""
message_sent = Signal()
"""message_id, at"""
consent_withdrawn = Signal()
"""customer_key, medium, purpose, at"""
guardrail_tripped = Signal()
"""guardrail, campaign_id, channel, at"""
late_money = Signal()
"""offer_id, attempt_id: money arrived after the offer was closed and is being refunded"""
run_stuck = Signal()
"""run_id, journey, at"""
