"""What is done once in a while, whoever comes by."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from upsell.models import Progress


def claimed(name: str, *, every: timedelta, now: datetime) -> bool:
    """Say whether a round is ours to do; of several at a time it is one's. One statement if not.

    A round that lies ahead, since the clock was set back, counts for nothing. In a transaction the
    claim falls with it: a round that dies is done by the next who comes by.
    """
    row = Progress.objects.filter(name=name).first()
    if row is not None and row.at is not None and abs(now - row.at) < every:
        return False
    Progress.objects.bulk_create([Progress(name=name)], ignore_conflicts=True)
    due = Progress.objects.filter(
        Q(at=None) | Q(at__lte=now - every) | Q(at__gte=now + every), name=name
    )
    return bool(due.update(at=now))
