"""The shelf. Salesman has none: what is taken, and put back, is the shop's own affair."""

from __future__ import annotations

from tests.salesman_project.teashop.models import Tea


class SoldOut(Exception):
    """Somebody else was faster."""


def locked(ids):
    """Return teas by id under their row locks, always in the same order."""
    rows = Tea.objects.select_for_update().filter(pk__in=list(ids)).order_by("pk")
    return {row.pk: row for row in rows}


def move(units):
    """Change what is on the shelf by so many units of each tea, all or nothing.

    Raises:
        SoldOut: There are fewer than have to be taken.
    """
    rows = locked(units)
    for pk, row in rows.items():
        row.stock += units[pk]
        if row.stock < 0:
            raise SoldOut(f"{row.name} has sold out.")
    Tea.objects.bulk_update(rows.values(), ["stock"])
