"""When the next message may go: caps, counted under a lock of the buyer's, and quiet hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from django.db import connection

from upsell import conf, snapshots
from upsell.engine import caps
from upsell.models import OutboxMessage, Reachability
from upsell.services import linking

RESERVES = ("PENDING", "SENDING", "SENT", "UNKNOWN")
"""States of a message that takes a place. One that failed before it was handed over does not."""


def free_at(
    *, customer_key: str, medium: str, category: str, now: datetime, besides: int | None = None
) -> datetime:
    """Return ``now`` where one more message breaks no cap, else the first instant that is free.

    Call it inside a transaction, and write the message's ``reserved_at`` in the same one: the row
    is the reservation. The lock is the buyer's, so that of two journeys that are due in the same
    second the other one counts the row of the first. Messages of every key of the buyer count.

    Args:
        customer_key: Whose message it is.
        medium: What it goes by.
        category: ``marketing``; anything transactional may always go.
        now: The database's.
        besides: The id of a message that does not count: the one that is asked for, where it
            has its place already.

    Cost: four statements, two of them small; none where nothing is capped. The first message of a
    buyer by a medium writes the rows that are locked.
    """
    rules = conf.caps()
    if category == caps.TRANSACTIONAL or not rules:
        return now
    keys = linking.family([customer_key])
    lock(keys[0], medium)
    return caps.first_free(_taken(keys, rules, now, besides), rules, medium=medium, now=now)


def free_media(*, customer_key: str, media: Sequence[str], now: datetime) -> list[str]:
    """Return by which of these media marketing may go now, as far as caps say: nothing is locked.

    For choosing among media; what is then sent asks ``free_at``.
    """
    rules = conf.caps()
    times = _taken(linking.family([customer_key]), rules, now)
    return [one for one in media if caps.first_free(times, rules, medium=one, now=now) <= now]


def _taken(
    keys: Sequence[str], rules: Sequence[caps.Cap], now: datetime, besides: int | None = None
) -> list[tuple[str, datetime]]:
    """Return medium and instant of every place that is taken."""
    rows = OutboxMessage.objects.filter(
        customer_key__in=keys,
        category=caps.MARKETING,
        state__in=RESERVES,
        reserved_at__gt=now - caps.longest(rules),
    )
    if besides is not None:
        rows = rows.exclude(pk=besides)
    found = rows.values_list("medium", "reserved_at")
    return [(medium, when) for medium, when in found if when is not None]


def lock(customer_key: str, medium: str) -> None:
    """Lock a buyer's row of all media, then the one of this: the order everywhere.

    ``*`` comes before every name, in the index as in the sort.
    """
    wanted = list(dict.fromkeys([caps.ANY, medium]))
    rows = Reachability.objects.filter(customer_key=customer_key, medium__in=wanted)
    there = rows.select_for_update().order_by("medium").values_list("medium", flat=True)
    missing = [name for name in wanted if name not in set(there)]
    if missing:
        # Written and locked by one statement. One that inserts, and passes where there is a row,
        # would lock it shared on MariaDB: two that wait so can only end in a deadlock.
        unique = ["customer_key", "medium"] if _names_what_conflicts() else None
        Reachability.objects.bulk_create(
            [Reachability(customer_key=customer_key, medium=name) for name in missing],
            update_conflicts=True,
            update_fields=["medium"],
            unique_fields=unique,
        )


def _names_what_conflicts() -> bool:
    return bool(connection.features.supports_update_conflicts_with_target)


def quiet_until(medium: str, zone: tzinfo, now: datetime, *, channel: str) -> datetime:
    """Return ``now``, or the end of the quiet hours that the buyer is in, in UTC.

    Args:
        zone: The buyer's.
        channel: The sales channel that writes: its own hours go before the settings'.

    Cost: one statement.
    """
    own = snapshots.policy(channel).quiet_hours
    return caps.quiet_until(own.get(medium) or conf.quiet_hours().get(medium), zone, now)
