"""Experiments: their phases and arms, who was exposed to which, and how each look came out."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from upsell.engine.experiments import BUCKETS, HASH_VERSION
from upsell.models.versioned import Versioned


class Experiment(Versioned):
    """A question with its arms; what it changes is in force from the edit that starts it."""

    class State(models.TextChoices):
        DRAFT = "DRAFT", _("draft")
        RUNNING = "RUNNING", _("running")
        ENDED = "ENDED", _("ended")

    class Metric(models.TextChoices):
        ACCEPTANCE = "ACCEPTANCE", _("acceptance: buyers who accept, of those exposed")
        REVENUE = "REVENUE", _("revenue: net of all orders, per buyer exposed")

    class Reading(models.TextChoices):
        ANY_DAY = "ANY_DAY", _("any day, with always-valid intervals")
        AT_THE_END = "AT_THE_END", _("once, when enough buyers were exposed")
        FOUR_LOOKS = "FOUR_LOOKS", _("four times, by O'Brien and Fleming")

    name = models.CharField(_("name"), max_length=120)
    slug = models.SlugField(_("slug"), max_length=40, unique=True)
    question = models.CharField(_("question"), max_length=300, blank=True)
    moment = models.CharField(_("moment"), max_length=20, default="post_purchase")
    # Never changes: who is in which arm follows from it.
    salt = models.CharField(_("salt"), max_length=64, unique=True, editable=False)
    hash_version = models.PositiveSmallIntegerField(default=HASH_VERSION, editable=False)
    state = models.CharField(
        _("state"), max_length=8, choices=State.choices, default=State.DRAFT, editable=False
    )
    metric = models.CharField(
        _("primary metric"), max_length=12, choices=Metric.choices, default=Metric.ACCEPTANCE
    )
    reading = models.CharField(
        _("reading"), max_length=12, choices=Reading.choices, default=Reading.ANY_DAY
    )
    # A share for acceptance, an amount of ``currency`` for revenue.
    base = models.DecimalField(_("expected in the control"), max_digits=19, decimal_places=4)
    smallest = models.DecimalField(
        _("smallest difference worth finding"), max_digits=19, decimal_places=4
    )
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    # Buyers per arm that find such a difference in four of five experiments; set at the start.
    needed = models.PositiveIntegerField(_("buyers needed per arm"), null=True, editable=False)
    archived = models.BooleanField(_("archived"), default=False, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", editable=False
    )
    started_at = models.DateTimeField(_("started"), null=True, editable=False)
    ended_at = models.DateTimeField(_("ended"), null=True, editable=False)

    class Meta:
        verbose_name = _("experiment")
        verbose_name_plural = _("experiments")
        permissions = [("run_experiment", "Can start and stop experiments")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["DRAFT", "RUNNING", "ENDED"]),
                name="upsell_experiment_state_known",
            ),
            models.CheckConstraint(
                condition=Q(smallest__gt=0, base__gte=0), name="upsell_experiment_sizes"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Phase(Versioned):
    """A stretch of an experiment in which no arm and no weight changes; read by itself."""

    experiment = models.ForeignKey(Experiment, models.CASCADE, related_name="phases")
    number = models.PositiveSmallIntegerField(_("phase"), default=1)
    traffic = models.PositiveSmallIntegerField(_("traffic, ten-thousandths"), default=BUCKETS)
    started_at = models.DateTimeField(_("started"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("phase")
        verbose_name_plural = _("phases")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["experiment", "number"], name="upsell_phase_once"),
            models.CheckConstraint(condition=Q(traffic__lte=BUCKETS), name="upsell_phase_traffic"),
        ]

    def __str__(self) -> str:
        return f"{self.experiment_id}/{self.number}"


class Arm(Versioned):
    """What some of the buyers are offered; without a campaign, nothing of this experiment."""

    phase = models.ForeignKey(Phase, models.CASCADE, related_name="arms")
    slug = models.SlugField(_("slug"), max_length=32)
    weight = models.PositiveSmallIntegerField(_("weight, ten-thousandths"))
    campaign = models.ForeignKey(
        "upsell.Campaign",
        models.PROTECT,
        null=True,
        blank=True,
        verbose_name=_("campaign"),
        related_name="+",
    )
    # Of the campaign: ``product_ref``, ``rule`` with ``percent`` or ``amounts``, and ``copy``.
    overrides = models.JSONField(_("changes"), default=dict, blank=True, encoder=DjangoJSONEncoder)

    class Meta:
        verbose_name = _("arm")
        verbose_name_plural = _("arms")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["phase", "slug"], name="upsell_arm_once"),
            models.CheckConstraint(
                condition=Q(weight__gte=1, weight__lte=BUCKETS), name="upsell_arm_weight"
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class Exposure(models.Model):
    """A buyer for whom the experiment mattered, written once, with the decision."""

    experiment = models.ForeignKey(Experiment, models.CASCADE, related_name="exposures")
    phase = models.ForeignKey(Phase, models.CASCADE, related_name="exposures")
    # The oldest key that the buyer is known by.
    unit = models.CharField(max_length=200)
    arm = models.CharField(_("arm"), max_length=32)
    at = models.DateTimeField(_("at"))
    # Orders placed from then on count; the one that exposed the buyer is the first of them.
    since = models.DateTimeField(_("orders from"))
    # The buyer had two keys, and they were in two arms.
    excluded = models.BooleanField(_("left out"), default=False)

    class Meta:
        verbose_name = _("exposure")
        verbose_name_plural = _("exposures")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["experiment", "phase", "unit"], name="upsell_exposure_once"
            ),
        ]
        indexes = [
            models.Index(fields=["phase", "arm", "at"], name="upsell_exposure_arm"),
            models.Index(fields=["unit"], name="upsell_exposure_unit"),
        ]

    def __str__(self) -> str:
        return f"{self.phase_id}: {self.arm}"


class Look(models.Model):
    """How one arm stood against the control at one time. Append-only: looks cannot be undone."""

    phase = models.ForeignKey(Phase, models.CASCADE, related_name="looks")
    arm = models.CharField(_("arm"), max_length=32)
    # The day, or which of the four looks.
    key = models.CharField(max_length=16)
    at = models.DateTimeField(_("at"))
    # Of the primary metric, and its variance, as they were then.
    difference = models.FloatField(_("difference"))
    variance = models.FloatField(_("variance"))

    class Meta:
        verbose_name = _("look")
        verbose_name_plural = _("looks")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["phase", "arm", "key"], name="upsell_look_once"),
        ]

    def __str__(self) -> str:
        return f"{self.phase_id} {self.arm} {self.key}"


class KeyLink(models.Model):
    """Two keys of one buyer: a guest's that became an account's, say."""

    # The oldest key of all that are known: one step leads to it from any other.
    old = models.CharField(max_length=200, db_column="old_key")
    new = models.CharField(max_length=200, unique=True, db_column="new_key")
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("linked key")
        verbose_name_plural = _("linked keys")
        default_permissions = ()
        indexes = [models.Index(fields=["old"], name="upsell_keylink_old")]

    def __str__(self) -> str:
        return f"#{self.pk}"


class Belief(models.Model):
    """What is believed of a campaign's acceptance at one moment; a version is never changed."""

    moment = models.CharField(_("moment"), max_length=20)
    # Of all rows made together; decisions name it.
    version = models.CharField(_("version"), max_length=32)
    campaign = models.ForeignKey("upsell.Campaign", models.CASCADE, related_name="beliefs")
    made_at = models.DateTimeField(_("made"))
    views = models.FloatField(_("views, older ones counting less"))
    accepts = models.FloatField(_("accepted, older ones counting less"))
    alpha = models.FloatField()
    beta = models.FloatField()
    # Net margin of one acceptance after refunds; 1 where costs are not known.
    worth = models.DecimalField(_("worth"), max_digits=19, decimal_places=4, default=Decimal(1))
    paused = models.BooleanField(_("paused by a guardrail"), default=False)

    class Meta:
        verbose_name = _("belief")
        verbose_name_plural = _("beliefs")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["moment", "version", "campaign"], name="upsell_belief_once"
            ),
        ]
        indexes = [models.Index(fields=["moment", "made_at"], name="upsell_belief_newest")]

    def __str__(self) -> str:
        return f"{self.moment} {self.version}: {self.campaign_id}"
