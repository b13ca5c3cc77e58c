"""What was done to an order for an offer: the one table of this app."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class ChangeState(models.TextChoices):
    HELD = "HELD", _("held")
    RELEASED = "RELEASED", _("released")
    APPLIED = "APPLIED", _("applied")
    REVERTED = "REVERTED", _("reverted")


class OrderChange(models.Model):
    """One change, by the offer that asked for it. No foreign key: shops fork Oscar's models."""

    change_id = models.CharField(_("offer"), max_length=64, unique=True)
    order_id = models.CharField(_("order"), max_length=190, db_index=True)
    stockrecord_id = models.CharField(_("stock record"), max_length=190)
    line_id = models.CharField(_("line"), max_length=190, blank=True, db_index=True)
    quantity = models.PositiveIntegerField(_("units"))
    state = models.CharField(_("state"), max_length=10, choices=ChangeState.choices)
    answer = models.JSONField(_("what was done"), default=dict)
    """Totals before and after, the removed lines: what ``apply`` answers again."""
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    objects: ClassVar[models.Manager[OrderChange]] = models.Manager()

    class Meta:
        verbose_name = _("order change")
        verbose_name_plural = _("order changes")

    def __str__(self) -> str:
        return f"{self.change_id} {self.state}"
