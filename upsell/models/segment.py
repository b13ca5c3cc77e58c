"""Named conditions, to be used again: who is meant by "first-time buyer"."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Segment(models.Model):
    """A condition with a name. Asked anew each time, never a stored list."""

    slug = models.SlugField(_("slug"), max_length=80, unique=True)
    name = models.CharField(_("name"), max_length=120)
    # A tree, as ``engine.conditions`` reads it.
    conditions = models.JSONField(_("conditions"))
    # Counted over the mirrored orders' buyers; null = cannot be counted, or not yet.
    counted = models.PositiveIntegerField(_("buyers"), null=True, blank=True)
    counted_at = models.DateTimeField(_("counted"), null=True, blank=True)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("segment")
        verbose_name_plural = _("segments")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
