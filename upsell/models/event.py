"""The append-only log of what happened to offers."""

from __future__ import annotations

from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils.translation import gettext_lazy as _


class AppendOnly(TypeError):
    """Somebody tried to change history."""


class WrittenOnce(models.Model):
    """A row that is never saved a second time."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly(f"{self._meta.verbose_name_plural} are only ever appended")
        super().save(*args, **kwargs)


class OfferEventQuerySet(models.QuerySet["OfferEvent"]):
    """Read and append; only purge and erase may do more, by their own names."""

    def update(self, **kwargs: Any) -> int:
        raise AppendOnly("events are only ever appended")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise AppendOnly("events are only ever appended")

    def anonymise(self, **kwargs: Any) -> int:
        """Blank what is of a person. For erasure alone, which logs it."""
        return super().update(**kwargs)

    def purge(self) -> int:
        """Delete for good. For retention and erasure alone, which log it."""
        return super().delete()[0]


class OfferEvent(WrittenOnce):
    """One change of one offer: who, when, from what to what, and why."""

    offer = models.ForeignKey("upsell.Offer", models.PROTECT, related_name="events")
    kind = models.CharField(_("what"), max_length=32)
    at = models.DateTimeField(_("when"))
    before = models.CharField(_("from"), max_length=16, blank=True)
    after = models.CharField(_("to"), max_length=16, blank=True)
    actor = models.CharField(_("who"), max_length=64, blank=True)
    reason = models.CharField(_("why"), max_length=120, blank=True)
    figures = models.JSONField(_("figures"), default=dict, encoder=DjangoJSONEncoder)

    objects = OfferEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [
            models.Index(fields=["offer", "at"], name="upsell_event_timeline"),
            models.Index(fields=["kind", "at"], name="upsell_event_kind"),
            models.Index(fields=["at"], name="upsell_event_at"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%Y-%m-%d %H:%M:%S}"

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise AppendOnly("events are only ever appended")
