"""Rows whose every edit bumps the campaign set's version, bulk edits included.

The one place where ``save`` is overridden: an index in another process learns of an edit
from the version alone, so no path that writes may go past it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django.db import models, router, transaction
from django.db.models import F

SET_ID = 1


class CampaignSet(models.Model):
    """One row: the version of all campaigns and channel settings together."""

    version = models.BigIntegerField("version", default=1)
    # An index made before this version is made anew: campaigns were deleted since.
    anew_since = models.BigIntegerField("made anew since", default=1)

    class Meta:
        verbose_name = "campaign set"
        verbose_name_plural = "campaign set"

    def __str__(self) -> str:
        return f"version {self.version}"


def bump(using: str | None = None, *, anew: bool = False) -> int:
    """Raise the version in the transaction that is open, and return it."""
    rows = CampaignSet.objects.using(using or router.db_for_write(CampaignSet))
    # In this order: MariaDB reads a column that was set before as it was set.
    values = {"anew_since": F("version") + 1} if anew else {}
    if not rows.filter(pk=SET_ID).update(**values, version=F("version") + 1):
        rows.bulk_create([CampaignSet(pk=SET_ID, version=2, anew_since=2)], ignore_conflicts=True)
    return rows.values_list("version", flat=True).get(pk=SET_ID)


class VersionedQuerySet(models.QuerySet[Any]):
    """Bulk edits bump the version too, and say which campaigns they changed."""

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            version = bump(self.db, anew="campaign" in kwargs or "campaign_id" in kwargs)
            if self.model.campaign_in == "pk":
                kwargs["changed_in"] = version
            else:
                self._mark(version)
            return super().update(**kwargs)

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        made = list(objs)
        with transaction.atomic(using=self.db):
            version = bump(self.db)
            if self.model.campaign_in == "pk":
                for row in made:
                    row.changed_in = version
            elif self.model.campaign_in:
                mark(self.model, {row.campaign_id for row in made}, version, self.db)
            return super().bulk_create(made, *args, **kwargs)

    def bulk_update(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            bump(self.db)
            return super().bulk_update(objs, *args, **kwargs)

    def delete(self) -> tuple[int, dict[str, int]]:
        with transaction.atomic(using=self.db):
            self._mark(bump(self.db, anew=self.model.campaign_in == "pk"))
            return super().delete()

    def _mark(self, version: int) -> None:
        if self.model.campaign_in == "campaign_id":
            ids = set(self.order_by().values_list("campaign_id", flat=True))
            mark(self.model, ids, version, self.db)


def mark(child: type[models.Model], ids: Iterable[int], version: int, using: str) -> None:
    """Note that these campaigns changed in this version, since a child row of theirs did."""
    campaign: Any = child._meta.get_field("campaign").related_model
    models.QuerySet(campaign, using=using).filter(pk__in=ids).update(changed_in=version)


class Versioned(models.Model):
    """A row that a campaign index is made of."""

    campaign_in: ClassVar[str] = ""
    """Where the row says which campaign of the index it changes: ``pk``, ``campaign_id``,
    or nowhere."""

    objects = VersionedQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            version = bump(using)
            if self.campaign_in == "pk":
                self.changed_in = version
                if kwargs.get("update_fields") is not None:
                    kwargs["update_fields"] = {*kwargs["update_fields"], "changed_in"}
            self._mark(version, using)  # the campaign it leaves
            super().save(*args, **kwargs)
            self._mark(version, using)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            self._mark(bump(using, anew=self.campaign_in == "pk"), using)
            return super().delete(*args, **kwargs)

    def _mark(self, version: int, using: str) -> None:
        if self.campaign_in == "campaign_id" and self.pk is not None:
            rows: models.QuerySet[Any] = models.QuerySet(type(self), using=using)
            mark(
                type(self),
                rows.filter(pk=self.pk).values_list("campaign_id", flat=True),
                version,
                using,
            )
