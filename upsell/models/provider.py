"""What payment providers report, whether they answer at all, and whether we ask them."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class GatewayEvent(models.Model):
    """One report of a provider, once however often it is sent. It holds ids and amounts only."""

    class State(models.TextChoices):
        PARKED = "PARKED", _("parked: about nothing we know yet")
        DONE = "DONE", _("carried out")
        GIVEN_UP = "GIVEN_UP", _("given up: about nothing of ours")

    gateway = models.CharField(_("gateway"), max_length=64)
    event_id = models.CharField(_("event"), max_length=190)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.PARKED)
    key = models.CharField(_("key"), max_length=64, blank=True)
    reference = models.CharField(_("reference"), max_length=190, blank=True)
    # What the report says, as the port's result: state, amount, refunded, dispute.
    result = models.JSONField(_("result"), default=dict, encoder=DjangoJSONEncoder)
    received_at = models.DateTimeField(_("received"))
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)

    class Meta:
        verbose_name = _("provider's report")
        verbose_name_plural = _("providers' reports")
        indexes = [models.Index(fields=["state", "received_at"], name="upsell_report_parked")]
        constraints = [
            models.UniqueConstraint(fields=["gateway", "event_id"], name="upsell_report_once"),
            models.CheckConstraint(
                condition=Q(state__in=["PARKED", "DONE", "GIVEN_UP"]),
                name="upsell_report_state_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.event_id}"


class GatewayHealth(models.Model):
    """How a provider answered lately, seen by every process: the breaker's one row."""

    gateway = models.CharField(_("gateway"), max_length=64, unique=True)
    failures = models.PositiveIntegerField(_("unanswered in a row"), default=0)
    # Nobody asks before this time; then one asks, and the others wait for what it learns.
    open_until = models.DateTimeField(_("not asked until"), null=True, blank=True)
    failed_at = models.DateTimeField(_("last unanswered"), null=True, blank=True)

    class Meta:
        verbose_name = _("health")
        verbose_name_plural = _("health")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.gateway


class Heartbeat(models.Model):
    """When due work was last begun, so that staff see whether anything does it at all."""

    name = models.CharField(_("name"), max_length=64, unique=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
