"""One replay of past orders against campaigns: how far it is, and what came of it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class BacktestRun(models.Model):
    """One backtest. It holds counts and sums per campaign, and nothing of any buyer or order."""

    class State(models.TextChoices):
        WAITING = "WAITING", _("waiting")
        RUNNING = "RUNNING", _("running")
        DONE = "DONE", _("done")
        CANCELLED = "CANCELLED", _("cancelled")
        FAILED = "FAILED", _("failed")

    DEAD_AFTER = timedelta(minutes=2)
    """A running one that gave no sign for so long has no process any more."""

    state = models.CharField(
        _("state"), max_length=16, choices=State.choices, default=State.WAITING
    )
    # 1 while it waits or runs, else null: so that one lives at a time.
    live = models.PositiveSmallIntegerField(null=True, blank=True, unique=True, editable=False)
    days = models.PositiveSmallIntegerField(_("days"))
    since = models.DateTimeField(_("orders since"))
    until = models.DateTimeField(_("orders until"))
    # The campaign that is taken as if it were live; null = none was added.
    draft = models.ForeignKey(
        "upsell.Campaign", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    draft_name = models.CharField(_("with the campaign"), max_length=200, blank=True)
    # Orders of these sales channels only; empty = of all.
    channels = models.JSONField(_("sales channels"), default=list, blank=True)
    version = models.BigIntegerField(_("version of the campaigns"), default=0)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(_("asked for"))
    began_at = models.DateTimeField(_("begun"), null=True, blank=True)
    beat_at = models.DateTimeField(_("last sign"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    cancel_asked_at = models.DateTimeField(null=True, blank=True)
    looked_at = models.PositiveIntegerField(_("orders looked at"), default=0)
    total = models.PositiveIntegerField(_("orders in all"), null=True, blank=True)
    # died, error or empty.
    failure = models.CharField(_("failure"), max_length=32, blank=True)
    results = models.JSONField(_("results"), default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        verbose_name = _("backtest")
        verbose_name_plural = _("backtests")
        default_permissions = ()  # whoever may simulate may do this
        indexes = [models.Index(fields=["created_at"], name="upsell_backtest_created")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["WAITING", "RUNNING", "DONE", "CANCELLED", "FAILED"]),
                name="upsell_backtest_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["WAITING", "RUNNING"], live=1)
                | Q(state__in=["DONE", "CANCELLED", "FAILED"], live__isnull=True),
                name="upsell_backtest_lives_while_it_runs",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d} – {self.until:%Y-%m-%d}"

    def is_dead(self, now: datetime) -> bool:
        """Whether it is said to run and no process does."""
        silent = self.beat_at is None or self.beat_at < now - self.DEAD_AFTER
        return self.state == self.State.RUNNING and silent
