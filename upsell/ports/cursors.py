"""Where a walk through a shop's orders stands, as text: for ``Shop.orders_since``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

START = datetime(1970, 1, 1, tzinfo=UTC)


def make_cursor(at: datetime, key: object) -> str:
    """Return the place after the row with this time and key, in the order of both.

    >>> make_cursor(datetime(2026, 3, 2, 10, tzinfo=UTC), 17)
    '2026-03-02T10:00:00+00:00 17'
    """
    return f"{at.astimezone(UTC).isoformat()} {key}"


def read_cursor(cursor: str) -> tuple[datetime, str]:
    """Return the time and the key that a cursor stands after; empty = before every row.

    Raises:
        ValueError: It is no cursor of ``make_cursor``.

    >>> read_cursor("2026-03-02T10:00:00+00:00 17")
    (datetime.datetime(2026, 3, 2, 10, 0, tzinfo=datetime.timezone.utc), '17')
    """
    if not cursor:
        return START, ""
    at, _, key = cursor.partition(" ")
    told = datetime.fromisoformat(at)
    if told.tzinfo is None or not key:
        raise ValueError(f"{cursor!r} is no place in the shop's orders")
    return told, key


def page_since(rows: Any, cursor: str, limit: int, *, by: str) -> tuple[list[str], str]:
    """Answer ``orders_since`` from a Django QuerySet of orders. One statement.

    Args:
        rows: The orders; their primary key is their reference.
        cursor: Where the walk stands, of an earlier answer; empty = before every row.
        limit: How many references at most.
        by: The column with the time of the last change, which should have an index.

    Raises:
        ValueError: ``cursor`` is none of ours.
    """
    at, last = read_cursor(cursor)
    later = rows.filter(**{f"{by}__gte": at})
    if last:
        later = later.exclude(**{by: at, "pk__lte": last})
    found = list(later.order_by(by, "pk").values_list(by, "pk")[:limit])
    return [str(pk) for _, pk in found], make_cursor(*found[-1]) if found else cursor
