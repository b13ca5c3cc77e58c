"""A plan to follow up, its published versions, and each buyer's passage through one."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from upsell.engine.journeys.definition import IfActive, Kind, Policy
from upsell.models.event import AppendOnly, WrittenOnce
from upsell.models.versioned import Versioned

ACTIVE = ("WAITING", "RUNNING", "STUCK")
"""States of a run that is not over."""
ENDED = ("COMPLETED", "EXITED", "DROPPED", "CANCELLED")


class Journey(Versioned):
    """A plan: who enters, what ends it, and the draft of its steps."""

    class State(models.TextChoices):
        DRAFT = "DRAFT", _("draft")
        LIVE = "LIVE", _("live")
        PAUSED = "PAUSED", _("paused")
        SUNSET = "SUNSET", _("no new entries")
        STOPPED = "STOPPED", _("stopped")

    class Category(models.TextChoices):
        MARKETING = "marketing", _("marketing")
        TRANSACTIONAL = "transactional", _("transactional")

    class Mode(models.TextChoices):
        REAL = "REAL", _("for real")
        DRY_RUN = "DRY_RUN", _("dry run: nothing is sent")
        TEST = "TEST", _("test: for listed buyers only")

    class Together(models.TextChoices):
        PER_KEY = "per_key", _("one run for each order or event")
        ONE = "one", _("one run a buyer")

    class After(models.TextChoices):
        EXIT = "exit", _("the end of the last run")
        ENTRY = "entry", _("the beginning of the last run")

    slug = models.SlugField(_("slug"), max_length=80, unique=True)
    name = models.CharField(_("name"), max_length=120)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.DRAFT)
    category = models.CharField(
        _("category"), max_length=16, choices=Category.choices, default=Category.MARKETING
    )
    # Codes of sales channels; none = nowhere.
    channels = models.JSONField(_("sales channels"), default=list, blank=True)
    priority = models.IntegerField(
        _("priority"), default=0, help_text=_("The higher one enters where only one may.")
    )
    exclusion_group = models.CharField(
        _("only one of the group"),
        max_length=80,
        blank=True,
        help_text=_("A buyer is in one journey of a group at a time."),
    )
    exit_others = models.BooleanField(
        _("ends the others of the group"),
        default=False,
        help_text=_("Whoever enters this one leaves those of the group with a lower priority."),
    )

    event = models.CharField(_("begins with"), max_length=80, default="order.placed")
    # A tree of conditions, as ``upsell.engine.conditions`` reads it; null = everybody.
    where = models.JSONField(_("if"), null=True, blank=True)
    policy = models.CharField(
        _("how often"),
        max_length=8,
        choices=[
            (Policy.PER_KEY.value, _("once for each order")),
            (Policy.ONCE.value, _("once for each buyer")),
            (Policy.AFTER.value, _("again after a while")),
            (Policy.ALWAYS.value, _("with every event")),
        ],
        default=Policy.PER_KEY.value,
    )
    again_after = models.DurationField(_("again after"), null=True, blank=True)
    after = models.CharField(
        _("counted from"), max_length=8, choices=After.choices, default=After.EXIT
    )
    concurrency = models.CharField(
        _("at a time"), max_length=8, choices=Together.choices, default=Together.PER_KEY
    )
    if_active = models.CharField(
        _("where one is under way"),
        max_length=8,
        choices=[
            (IfActive.IGNORE.value, _("it goes on, the event starts nothing")),
            (IfActive.RESTART.value, _("it ends, and another begins with the event")),
            (IfActive.MERGE.value, _("it goes on with what the event says")),
        ],
        default=IfActive.IGNORE.value,
    )
    cap_per_day = models.PositiveSmallIntegerField(
        _("entries of a buyer a day"), default=1, help_text=_("0 = as many as come.")
    )
    late_event = models.DurationField(
        _("too late after"),
        default=timedelta(hours=24),
        help_text=_("Events older than that start nothing: an import starts no thousand runs."),
    )
    # Rows of ``{"id", "event", "where"}``, goals with ``within``.
    exits = models.JSONField(_("leaves when"), default=list, blank=True)
    goals = models.JSONField(_("goals"), default=list, blank=True)
    lead_time = models.DurationField(
        _("ends before the service"),
        default=timedelta(hours=2),
        help_text=_("No message later than this before departure, check-in or pick-up."),
    )
    first = models.CharField(_("first step"), max_length=32, blank=True)
    control = models.PositiveSmallIntegerField(
        _("control group, percent"),
        default=10,
        help_text=_("Goes through in silence, to measure against. For the first eight weeks."),
    )
    mode = models.CharField(_("mode"), max_length=8, choices=Mode.choices, default=Mode.REAL)
    # Customer keys, or addresses of sales channels' test buyers as their keys.
    testers = models.JSONField(_("for these buyers"), default=list, blank=True)
    compressed = models.BooleanField(
        _("a day is a minute"),
        default=False,
        help_text=_("In a test only: waits are 1,440 times shorter."),
    )

    version = models.ForeignKey(
        "upsell.JourneyVersion",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("version"),
    )
    live_since = models.DateTimeField(_("live since"), null=True, blank=True)
    paused_at = models.DateTimeField(_("paused"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("journey")
        verbose_name_plural = _("journeys")
        ordering = ("name",)
        permissions = [("run_journey", "Can publish, pause and stop journeys")]
        indexes = [models.Index(fields=["event", "state"], name="upsell_journey_event")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["DRAFT", "LIVE", "PAUSED", "SUNSET", "STOPPED"]),
                name="upsell_journey_state_known",
            ),
            models.CheckConstraint(
                condition=Q(control__lte=50), name="upsell_journey_control_share"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class JourneyStep(models.Model):
    """One step of the draft; publishing compiles all of them into a version."""

    journey = models.ForeignKey(Journey, models.CASCADE, related_name="steps")
    name = models.SlugField(_("name"), max_length=32)
    position = models.PositiveIntegerField(_("place"), default=0)
    kind = models.CharField(
        _("what"), max_length=16, choices=[(kind.value, kind.value) for kind in Kind]
    )
    # What the kind needs and where each outcome leads, as ``engine.journeys.reading`` reads it.
    told = models.JSONField(_("settings"), default=dict, blank=True)
    to = models.JSONField(_("leads to"), default=dict, blank=True)

    class Meta:
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        ordering = ("position", "pk")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["journey", "name"], name="upsell_step_once"),
        ]

    def __str__(self) -> str:
        return self.name


class _Immutable(models.QuerySet[Any]):
    """Written once. Only purge may do more, by its own name."""

    def update(self, **kwargs: Any) -> int:
        raise AppendOnly(f"{self.model._meta.verbose_name_plural} are never changed")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise AppendOnly(f"{self.model._meta.verbose_name_plural} are never deleted")

    def purge(self) -> int:
        """Delete for good. For retention and for a journey that never ran."""
        return super().delete()[0]


class JourneyVersion(WrittenOnce):
    """A journey as it was published. Runs are pinned to one; it never changes."""

    SCHEMA: ClassVar[int] = 1

    journey = models.ForeignKey(Journey, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(_("number"))
    definition = models.JSONField(_("definition"))
    schema = models.PositiveSmallIntegerField(default=1)
    sha256 = models.CharField(max_length=64)
    published_at = models.DateTimeField(_("published"))
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("by"),
    )

    objects = _Immutable.as_manager()

    class Meta:
        verbose_name = _("version of a journey")
        verbose_name_plural = _("versions of journeys")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["journey", "number"], name="upsell_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.journey_id} v{self.number}"

    @staticmethod
    def digest(definition: object) -> str:
        """Return the fingerprint of a definition: the same for the same plan."""
        text = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


class JourneyRun(models.Model):
    """One buyer's passage through one version."""

    class State(models.TextChoices):
        WAITING = "WAITING", _("waiting")
        RUNNING = "RUNNING", _("being moved")
        STUCK = "STUCK", _("stuck")
        COMPLETED = "COMPLETED", _("completed")
        EXITED = "EXITED", _("left")
        DROPPED = "DROPPED", _("dropped")
        CANCELLED = "CANCELLED", _("cancelled")

    journey = models.ForeignKey(Journey, models.PROTECT, related_name="runs")
    version = models.ForeignKey(JourneyVersion, models.PROTECT, related_name="runs")
    customer_key = models.CharField(max_length=200)
    dedupe_key = models.CharField(max_length=64)
    # Set while it is active where a buyer may have one run at a time. MariaDB lets nulls repeat.
    active_key = models.CharField(max_length=64, null=True, blank=True, unique=True)
    user_ref = models.CharField(max_length=190, blank=True)
    order_ref = models.CharField(_("order"), max_length=190, blank=True)
    cart_ref = models.CharField(max_length=190, blank=True)
    channel = models.CharField(_("sales channel"), max_length=190, blank=True)
    state = models.CharField(_("state"), max_length=9, choices=State.choices, default=State.WAITING)
    step = models.CharField(_("step"), max_length=32)
    since = models.DateTimeField(_("there since"))
    # The outcome of the step, where somebody else found it: a message was sent, an event came.
    settled = models.CharField(max_length=32, blank=True)
    due_at = models.DateTimeField(_("due"), null=True, blank=True)
    waiting_for = models.CharField(_("waits for"), max_length=80, blank=True)
    deadline = models.DateTimeField(_("makes no sense after"), null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.CharField(max_length=32, blank=True, db_index=True)
    seq = models.PositiveIntegerField(_("steps done"), default=0)
    # The event that it began with, frozen: name, when, parameters.
    starter = models.JSONField(_("began with"), default=dict, encoder=DjangoJSONEncoder)
    # What steps found out and later ones need: the offer, answers of webhooks.
    found = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    is_control = models.BooleanField(_("control group"), default=False)
    mode = models.CharField(_("mode"), max_length=8, default="REAL")
    compressed = models.BooleanField(default=False)
    time_zone = models.CharField(max_length=64, blank=True)
    entered_at = models.DateTimeField(_("entered"))
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    end_reason = models.CharField(_("why it ended"), max_length=80, blank=True)
    tries = models.PositiveSmallIntegerField(_("failed tries"), default=0)
    error = models.CharField(_("what went wrong"), max_length=190, blank=True)

    class Meta:
        verbose_name = _("run of a journey")
        verbose_name_plural = _("runs of journeys")
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["state", "due_at"], name="upsell_run_due"),
            models.Index(fields=["state", "lease_until"], name="upsell_run_lease"),
            models.Index(fields=["customer_key", "entered_at"], name="upsell_run_buyer"),
            models.Index(fields=["journey", "state", "step"], name="upsell_run_where"),
            models.Index(fields=["journey", "customer_key"], name="upsell_run_of"),
            models.Index(fields=["order_ref"], name="upsell_run_order"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["journey", "dedupe_key"], name="upsell_run_once"),
            models.CheckConstraint(
                condition=Q(state__in=[*ACTIVE, *ENDED]),
                name="upsell_run_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state__in=ACTIVE, ended_at__isnull=True)
                | Q(state__in=ENDED, ended_at__isnull=False),
                name="upsell_run_ended_has_a_time",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def is_active(self) -> bool:
        """Whether it is not over."""
        return self.state in ACTIVE


class Listener(models.Model):
    """An event that an active run listens for, or that is still counted for one that ended."""

    class Purpose(models.TextChoices):
        EXIT = "EXIT", _("leaves")
        WAKE = "WAKE", _("goes on")
        GOAL = "GOAL", _("goal")

    run = models.ForeignKey(JourneyRun, models.CASCADE, related_name="listeners")
    customer_key = models.CharField(max_length=200)
    event = models.CharField(_("event"), max_length=80)
    purpose = models.CharField(max_length=4, choices=Purpose.choices)
    # Which exit or goal of the version; empty for a step that waits.
    criterion = models.CharField(max_length=32, blank=True)
    # Goals of a run that ended: until when they count.
    until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("listener")
        verbose_name_plural = _("listeners")
        default_permissions = ()
        indexes = [
            models.Index(fields=["customer_key", "event"], name="upsell_listener_hears"),
            models.Index(fields=["until"], name="upsell_listener_until"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "purpose", "criterion"], name="upsell_listener_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.run_id} {self.event}"


class StepLog(WrittenOnce):
    """One step that a run left behind. Append-only."""

    run = models.ForeignKey(JourneyRun, models.CASCADE, related_name="log")
    seq = models.PositiveIntegerField(_("number"))
    step = models.CharField(_("step"), max_length=32)
    kind = models.CharField(_("what"), max_length=16)
    outcome = models.CharField(_("outcome"), max_length=40)
    reason = models.CharField(_("why"), max_length=190, blank=True)
    at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("step done")
        verbose_name_plural = _("steps done")
        default_permissions = ()
        indexes = [models.Index(fields=["at"], name="upsell_steplog_at")]
        constraints = [
            models.UniqueConstraint(fields=["run", "seq"], name="upsell_steplog_once"),
        ]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.seq} {self.step}"


class GoalHit(models.Model):
    """What a run was for came about."""

    run = models.ForeignKey(JourneyRun, models.CASCADE, related_name="hits")
    goal = models.CharField(_("goal"), max_length=32)
    # Source and id of the event: told twice, it is one hit.
    event_key = models.CharField(max_length=200)
    message = models.ForeignKey(
        "upsell.OutboxMessage", models.SET_NULL, null=True, blank=True, related_name="hits"
    )
    at = models.DateTimeField(_("when"))
    amount = models.DecimalField(
        _("amount"), max_digits=19, decimal_places=4, null=True, blank=True
    )
    currency = models.CharField(_("currency"), max_length=3, blank=True)

    class Meta:
        verbose_name = _("goal reached")
        verbose_name_plural = _("goals reached")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["run", "goal", "event_key"], name="upsell_goal_once"),
        ]

    def __str__(self) -> str:
        return f"{self.run_id} {self.goal}"


class EntryRefused(models.Model):
    """An event that started no run of a journey that listens for it, and why."""

    journey = models.ForeignKey(Journey, models.CASCADE, related_name="refused")
    customer_key = models.CharField(max_length=200, blank=True)
    event_key = models.CharField(max_length=200)
    reason = models.CharField(_("why"), max_length=80)
    at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("entry refused")
        verbose_name_plural = _("entries refused")
        default_permissions = ()
        indexes = [models.Index(fields=["journey", "at"], name="upsell_refused_when")]
        constraints = [
            models.UniqueConstraint(fields=["journey", "event_key"], name="upsell_refused_once"),
        ]

    def __str__(self) -> str:
        return f"{self.journey_id} {self.reason}"
