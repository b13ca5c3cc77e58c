"""Rows whose every edit bumps the campaign set's version, bulk edits included.

The one place where ``save`` is overridden: an index in another process learns of an edit
from the version alone, so no path that writes may go past it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connections, models, router, transaction
from django.db.models import F

SET_ID = 1


class CampaignSet(models.Model):
    """One row: the version of all campaigns and channel settings together."""

    version = models.BigIntegerField("version", default=1)

    class Meta:
        verbose_name = "campaign set"
        verbose_name_plural = "campaign set"

    def __str__(self) -> str:
        return f"version {self.version}"


def bump(using: str | None = None) -> None:
    """Raise the version, in the transaction that is open."""
    rows = CampaignSet.objects.using(using or router.db_for_write(CampaignSet))
    if not rows.filter(pk=SET_ID).update(version=F("version") + 1):
        rows.bulk_create([CampaignSet(pk=SET_ID, version=2)], ignore_conflicts=True)


class VersionedQuerySet(models.QuerySet[Any]):
    """Bulk edits bump the version too."""

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            bump(self.db)
            return super().update(**kwargs)

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        with transaction.atomic(using=self.db):
            bump(self.db)
            return super().bulk_create(objs, *args, **kwargs)

    def bulk_update(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            bump(self.db)
            return super().bulk_update(objs, *args, **kwargs)

    def delete(self) -> tuple[int, dict[str, int]]:
        with transaction.atomic(using=self.db):
            bump(self.db)
            return super().delete()


class Versioned(models.Model):
    """A row that a campaign index is made of."""

    objects = VersionedQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            bump(using)
            super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            bump(using)
            return super().delete(*args, **kwargs)


def in_transaction(using: str = "default") -> bool:
    """Whether a transaction is open: ours must then be savepoints."""
    return connections[using].in_atomic_block
