"""Past events that are let into a journey, so many a minute: how far it is, what came of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Backfill(models.Model):
    """One walk along past events of a journey. It holds counts, and nothing of any buyer."""

    class State(models.TextChoices):
        RUNNING = "RUNNING", _("running")
        DONE = "DONE", _("done")
        STOPPED = "STOPPED", _("stopped")

    class Of(models.TextChoices):
        EVENTS = "EVENTS", _("events that were told")
        ORDERS = "ORDERS", _("orders as the shop has them")

    journey = models.ForeignKey("upsell.Journey", models.CASCADE, related_name="backfills")
    # The event that the journey begins with, as it was when this was started.
    event = models.CharField(_("event"), max_length=80)
    of = models.CharField(_("from"), max_length=6, choices=Of.choices, default=Of.EVENTS)
    since = models.DateTimeField(_("events since"))
    # Not included.
    until = models.DateTimeField(_("events until"))
    per_minute = models.PositiveSmallIntegerField(_("events a minute"))
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.RUNNING)
    # 1 while it runs, else null: so that a journey has one at a time. MariaDB lets nulls repeat.
    live = models.PositiveSmallIntegerField(null=True, blank=True, default=1, editable=False)
    due_at = models.DateTimeField(_("goes on"))
    # The event, or the order, that was looked at last.
    reached_at = models.DateTimeField(null=True, blank=True)
    reached_id = models.BigIntegerField(default=0)
    total = models.PositiveIntegerField(_("events in all"), default=0)
    looked_at = models.PositiveIntegerField(_("events looked at"), default=0)
    entered = models.PositiveIntegerField(_("entered"), default=0)
    # Reason to how many did not enter for it.
    refused = models.JSONField(_("did not enter"), default=dict, blank=True)
    # Of the event that is next: how often the shop could not be asked.
    tries = models.PositiveSmallIntegerField(_("failed tries"), default=0)
    created_at = models.DateTimeField(_("started"))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("by"),
    )
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)

    class Meta:
        verbose_name = _("backfill of a journey")
        verbose_name_plural = _("backfills of journeys")
        default_permissions = ()  # whoever may run the journey may do this
        indexes = [models.Index(fields=["state", "due_at"], name="upsell_backfill_due")]
        constraints = [
            models.UniqueConstraint(fields=["journey", "live"], name="upsell_backfill_one"),
            models.CheckConstraint(
                condition=Q(state="RUNNING", live=1, ended_at__isnull=True)
                | Q(state__in=["DONE", "STOPPED"], live__isnull=True, ended_at__isnull=False),
                name="upsell_backfill_lives_while_it_runs",
            ),
            models.CheckConstraint(condition=Q(per_minute__gte=1), name="upsell_backfill_goes_on"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.since:%Y-%m-%d} – {self.until:%Y-%m-%d}"
