"""Every table as it stands, so that a test can say what changed and what did not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

Rows = list[dict[str, Any]]


def dump(prefix: str = "") -> dict[str, Rows]:
    """Return the rows of every table whose name begins so, in one order."""
    told: dict[str, Rows] = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            if table.startswith(prefix) and table != "django_migrations":
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
                names = [column[0] for column in cursor.description]
                rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
                told[table] = sorted(rows, key=repr)
    return told


def changes(before: dict[str, Rows], after: dict[str, Rows]) -> dict[str, Rows]:
    """Return what is in one and not in the other, by table."""
    found = {
        table: [row for row in before.get(table, []) if row not in after.get(table, [])]
        + [row for row in after.get(table, []) if row not in before.get(table, [])]
        for table in before.keys() | after.keys()
    }
    return {table: rows for table, rows in found.items() if rows}


@contextmanager
def unchanged(about: object = "") -> Iterator[None]:
    """Fail where a row of any table is not afterwards as it was before."""
    before = dump()
    yield
    moved = changes(before, dump())
    assert not moved, f"{about}: {moved}"
