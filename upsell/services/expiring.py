"""Offers whose time is over. Read and accept enforce it by themselves; this tidies up."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from upsell import clock
from upsell.engine import states
from upsell.models import Offer
from upsell.services import recording


def expire_due(*, now: datetime | None = None, limit: int = 500) -> int:
    """Close unanswered offers that are over; return how many. Safe in parallel."""
    told = now or clock.database_now()
    due = Offer.objects.due_to_expire(told).order_by("expires_at", "pk")
    return sum(_expired(pk, now=now) for pk in due.values_list("pk", flat=True)[:limit])


def _expired(offer_id: int, *, now: datetime | None) -> bool:
    with transaction.atomic():
        offer = Offer.objects.select_for_update().get(pk=offer_id)
        told = now or clock.database_now()
        if offer.state not in states.UNANSWERED or offer.expires_at > told:
            return False
        recording.move(offer, "EXPIRED", at=told, actor="system")
        return True
