"""What time it is: ours for showing, the database's for deciding."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.db import connection
from django.utils import timezone
from django.utils.module_loading import import_string


def now() -> datetime:
    """Return the process's time, aware. Pages show it; nothing is decided by it.

    ``UPSELL_CLOCK`` names another function, for end-to-end tests.
    """
    other = getattr(settings, "UPSELL_CLOCK", None)
    if other:
        told: datetime = import_string(other)()
        return told
    return timezone.now()


def database_now() -> datetime:
    """Return the database's time, aware: the one authority for accept, expiry, undo.

    Read it after the row lock, so that waiting for the lock counts. One cheap
    statement; on SQLite, which has no server, the process's time is the database's.
    """
    if getattr(settings, "UPSELL_CLOCK", None) or connection.vendor == "sqlite":
        return now()
    statement = (
        "SELECT clock_timestamp()"
        if connection.vendor == "postgresql"
        else "SELECT UTC_TIMESTAMP(6)"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
    if row is None:
        raise RuntimeError("the database did not tell its time")
    told = row[0]
    assert isinstance(told, datetime)  # noqa: S101
    return told if told.tzinfo else told.replace(tzinfo=UTC)
