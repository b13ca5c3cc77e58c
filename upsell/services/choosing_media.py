"""The medium that reaches a buyer best, by what was opened of what they got."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from django.core.cache import cache
from django.db.models import Count, QuerySet

from upsell.engine.caps import MARKETING, Told, best_medium
from upsell.engine.experiments import bucket
from upsell.models import OutboxMessage
from upsell.services import capping, linking

WITHIN = timedelta(days=180)
"""Older messages say nothing of today."""
BUCKETS = 10_000

_MEANS = "upsell.media.means"
_MEANS_HOLD = timedelta(hours=1)


def best(*, customer_key: str, media: Sequence[str], unit: str, now: datetime) -> str:
    """Return the medium to write by; empty where there are none.

    Media that a cap forbids just now are left out, unless it forbids all of them.

    Args:
        media: Those by which the buyer can be reached, in the order that staff wrote them in.
        unit: Of the draw that explores: the same run and step choose the same.
        now: The database's.

    Cost: four statements of the buyer's own messages; once in an hour one over all of the last
    180 days, kept in Django's default cache.
    """
    if len(media) < 2:
        return next(iter(media), "")
    free = capping.free_media(customer_key=customer_key, media=media, now=now)
    rows = _sent(now).filter(customer_key__in=linking.family([customer_key]))
    draw = Decimal(bucket("upsell.media", unit)) / BUCKETS
    return best_medium(free or media, _told(rows), means=_means(now), draw=draw)


def _sent(now: datetime) -> QuerySet[OutboxMessage]:
    return OutboxMessage.objects.filter(
        category=MARKETING, state="SENT", sent_at__gt=now - WITHIN, sent_at__lte=now
    )


def _told(rows: QuerySet[OutboxMessage]) -> dict[str, Told]:
    counted = rows.order_by().values_list("medium").annotate(Count("pk"), Count("clicked_at"))
    return {
        medium: Told(deliveries=deliveries, clicks=clicks) for medium, deliveries, clicks in counted
    }


def _means(now: datetime) -> dict[str, Decimal]:
    found: dict[str, Decimal] | None = cache.get(_MEANS)
    if found is None:
        told = _told(_sent(now))
        found = {name: Decimal(row.clicks) / row.deliveries for name, row in told.items()}
        cache.set(_MEANS, found, _MEANS_HOLD.total_seconds())
    return found
