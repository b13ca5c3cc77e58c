"""Who may be written to, by what, and who may not."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Consent(models.Model):
    """What a buyer agreed to or took back, with its proof."""

    class Basis(models.TextChoices):
        EXPLICIT = "explicit", _("agreed")
        SOFT_OPT_IN = "soft_opt_in", _("bought something similar, and did not object")
        CONTRACT = "contract", _("part of the purchase")

    customer_key = models.CharField(max_length=200)
    medium = models.CharField(_("medium"), max_length=16)
    purpose = models.CharField(_("for"), max_length=40, default="marketing")
    basis = models.CharField(_("basis"), max_length=16, choices=Basis.choices)
    at = models.DateTimeField(_("given"))
    source = models.CharField(_("where"), max_length=120, blank=True)
    text_version = models.CharField(_("words agreed to"), max_length=190, blank=True)
    withdrawn_at = models.DateTimeField(_("taken back"), null=True, blank=True)
    withdrawn_by = models.CharField(_("how taken back"), max_length=120, blank=True)

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["customer_key", "medium", "purpose"], name="upsell_consent_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.medium} {self.purpose}"


class Suppression(models.Model):
    """An address that is not written to, whoever it is of: known by its keyed hash alone."""

    medium = models.CharField(_("medium"), max_length=16)
    address_hash = models.CharField(max_length=64)
    # marketing, or all.
    scope = models.CharField(_("what"), max_length=16, default="marketing")
    reason = models.CharField(_("why"), max_length=40)
    at = models.DateTimeField(_("since"))

    class Meta:
        verbose_name = _("suppressed address")
        verbose_name_plural = _("suppressed addresses")
        default_permissions = ("view", "delete")
        constraints = [
            models.UniqueConstraint(
                fields=["medium", "address_hash", "scope"], name="upsell_suppression_once"
            ),
            models.CheckConstraint(
                condition=Q(scope__in=["marketing", "all"]), name="upsell_suppression_scope_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.medium} {self.reason}"


class Reachability(models.Model):
    """What providers said of writing to a buyer; caps lock this row, the medium ``*`` first."""

    customer_key = models.CharField(max_length=200)
    medium = models.CharField(_("medium"), max_length=16)
    soft_bounces = models.PositiveSmallIntegerField(_("soft bounces"), default=0)
    first_soft_at = models.DateTimeField(null=True, blank=True)
    unreachable_until = models.DateTimeField(_("not to be reached until"), null=True, blank=True)
    unreachable_why = models.CharField(_("why"), max_length=40, blank=True)
    hard = models.BooleanField(_("for good"), default=False)
    # The address that does not exist, as a keyed hash; empty = not known, and any is taken for it.
    hard_hash = models.CharField(max_length=64, blank=True)
    changed_at = models.DateTimeField(_("changed"), null=True, blank=True)

    class Meta:
        verbose_name = _("reachability")
        verbose_name_plural = _("reachability")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["customer_key", "medium"], name="upsell_reachability_once"
            ),
        ]

    def __str__(self) -> str:
        return self.medium


class MessageEvent(models.Model):
    """What a provider said of a message, or we saw ourselves, each once."""

    OURS = "upsell"
    """The provider of what we saw: that a person followed a link, under the key of the message."""

    provider = models.CharField(_("provider"), max_length=40)
    event_id = models.CharField(max_length=190)
    message = models.ForeignKey(
        "upsell.OutboxMessage", models.SET_NULL, null=True, blank=True, related_name="told"
    )
    kind = models.CharField(_("what"), max_length=20)
    reason = models.CharField(_("why"), max_length=40, blank=True)
    at = models.DateTimeField(_("when"))
    received_at = models.DateTimeField(_("received"))

    class Meta:
        verbose_name = _("report on a message")
        verbose_name_plural = _("reports on messages")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "event_id"], name="upsell_messageevent_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.kind}"
