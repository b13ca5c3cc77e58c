"""After a leap of the clock, or a long downtime, very many messages wait until staff let them go.

A clock that jumps makes everything due at once. What is late is skipped as stale by itself; where
more is left than a shop sends in a round, somebody looks first.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from upsell.models import OutboxMessage, Progress

logger = logging.getLogger("upsell")

NAME = "sends_held"
LEAP = timedelta(hours=1)
"""So long without a round, by the clock, is a leap; and for so long after it rounds are counted."""
MOST = 1_000
"""More messages due at once than this, after a leap, wait for staff."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What waits for staff."""

    since: datetime
    count: int


def note_leap(*, now: datetime) -> None:
    """Note that the clock leapt, or that nothing ran for long. Two statements."""
    Progress.objects.bulk_create([Progress(name=NAME)], ignore_conflicts=True)
    Progress.objects.filter(name=NAME).update(reached_at=now)


def holds(due: QuerySet[OutboxMessage], *, now: datetime) -> bool:
    """Say whether nothing may be sent for now, and begin to hold where it is too much at once.

    One statement where the clock never leapt.
    """
    row = Progress.objects.filter(name=NAME).first()
    if row is None:
        return False
    if row.at is not None:
        return True
    if row.reached_at is None or not row.reached_at <= now < row.reached_at + LEAP:
        return False
    count = due.order_by().count()
    if count <= MOST:
        return False
    if Progress.objects.filter(pk=row.pk, at=None).update(at=now):
        logger.error(
            "%s messages of journeys are due at once after a leap of the clock: they are held "
            "until `upsell_run --send-held`",
            count,
        )
    return True


def release() -> int:
    """Let go what is held; return how many messages wait. Rounds send them, as ever."""
    count = _waiting().count()
    Progress.objects.filter(name=NAME).update(at=None, reached_at=None)
    return count


def held() -> Held | None:
    """Return what waits for staff; none = nothing is held. One statement, two where it is."""
    since = Progress.objects.filter(name=NAME).values_list("at", flat=True).first()
    return None if since is None else Held(since=since, count=_waiting().count())


def _waiting() -> QuerySet[OutboxMessage]:
    return OutboxMessage.objects.filter(
        state="PENDING", kind__in=OutboxMessage.OF_JOURNEYS
    ).exclude(medium="onsite")
