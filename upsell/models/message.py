"""What must still be told. No address and no link is stored: both are made when sent."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class OutboxMessage(models.Model):
    """One effect outside our tables, once per key: a mail, a hold, a notice, a webhook."""

    class Kind(models.TextChoices):
        CONFIRMATION = "CONFIRMATION", _("confirmation to the buyer")
        REVERSAL = "REVERSAL", _("undo confirmed to the buyer")
        WITHDRAWAL = "WITHDRAWAL", _("receipt of a withdrawal to the buyer")
        DOCUMENTS = "DOCUMENTS", _("documents outdated")
        HOLD = "HOLD", _("fulfilment hold")
        HOLD_RELEASE = "HOLD_RELEASE", _("fulfilment hold released")
        LINK = "LINK", _("link to the offer, to the buyer")
        WEBHOOK = "WEBHOOK", _("webhook")
        JOURNEY = "JOURNEY", _("message of a journey")
        CALL = "CALL", _("call of a journey")

    class State(models.TextChoices):
        PENDING = "PENDING", _("pending")
        SENDING = "SENDING", _("being sent")
        SENT = "SENT", _("sent")
        UNKNOWN = "UNKNOWN", _("perhaps sent")
        FAILED = "FAILED", _("failed")
        EXPIRED = "EXPIRED", _("expired")
        CANCELLED = "CANCELLED", _("cancelled")
        DRY_RUN = "DRY_RUN", _("dry run")
        SKIPPED = "SKIPPED", _("skipped")

    OF_JOURNEYS = (Kind.JOURNEY, Kind.CALL)
    """Sent at most once, by ``services.journey_sending``; the rest at least once."""

    key = models.CharField(_("key"), max_length=120, unique=True)
    offer = models.ForeignKey(
        "upsell.Offer", models.CASCADE, null=True, blank=True, related_name="messages"
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    # Of messages of a journey: the run and its step, to whom, by what, and what it says.
    run = models.ForeignKey(
        "upsell.JourneyRun", models.CASCADE, null=True, blank=True, related_name="messages"
    )
    step = models.CharField(_("step"), max_length=32, blank=True)
    customer_key = models.CharField(max_length=200, blank=True)
    medium = models.CharField(_("medium"), max_length=16, blank=True)
    category = models.CharField(_("category"), max_length=16, blank=True)
    template = models.ForeignKey(
        "upsell.TemplateVersion", models.PROTECT, null=True, blank=True, related_name="messages"
    )
    state = models.CharField(
        _("state"), max_length=12, choices=State.choices, default=State.PENDING
    )
    variables = models.JSONField(_("variables"), default=dict, encoder=DjangoJSONEncoder)
    not_before = models.DateTimeField(_("not before"))
    expires_at = models.DateTimeField(_("makes no sense after"), null=True, blank=True)
    # The row is the reservation of its place under a cap; null = counts for none.
    reserved_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(_("created"))
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=190, blank=True)
    provider = models.CharField(_("provider"), max_length=40, blank=True)
    provider_id = models.CharField(_("provider's id"), max_length=190, blank=True)
    clicked_at = models.DateTimeField(_("clicked"), null=True, blank=True)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        indexes = [
            models.Index(fields=["state", "not_before"], name="upsell_message_due"),
            models.Index(
                fields=["customer_key", "medium", "reserved_at"], name="upsell_message_reserved"
            ),
            models.Index(fields=["provider_id"], name="upsell_message_provider"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        "PENDING",
                        "SENDING",
                        "SENT",
                        "UNKNOWN",
                        "FAILED",
                        "EXPIRED",
                        "CANCELLED",
                        "DRY_RUN",
                        "SKIPPED",
                    ]
                ),
                name="upsell_message_state_known",
            ),
        ]

    def __str__(self) -> str:
        return self.key
