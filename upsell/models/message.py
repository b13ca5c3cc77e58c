"""What must still be told. No address and no link is stored: both are made when sent."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class OutboxMessage(models.Model):
    """One effect outside our tables, once per key: a mail, a hold asked or released, a notice."""

    class Kind(models.TextChoices):
        CONFIRMATION = "CONFIRMATION", _("confirmation to the buyer")
        REVERSAL = "REVERSAL", _("undo confirmed to the buyer")
        DOCUMENTS = "DOCUMENTS", _("documents outdated")
        HOLD = "HOLD", _("fulfilment hold")
        HOLD_RELEASE = "HOLD_RELEASE", _("fulfilment hold released")

    class State(models.TextChoices):
        PENDING = "PENDING", _("pending")
        SENDING = "SENDING", _("being sent")
        SENT = "SENT", _("sent")
        UNKNOWN = "UNKNOWN", _("perhaps sent")
        FAILED = "FAILED", _("failed")
        CANCELLED = "CANCELLED", _("cancelled")
        SKIPPED = "SKIPPED", _("skipped")

    key = models.CharField(_("key"), max_length=120, unique=True)
    offer = models.ForeignKey(
        "upsell.Offer", models.CASCADE, null=True, blank=True, related_name="messages"
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    state = models.CharField(
        _("state"), max_length=12, choices=State.choices, default=State.PENDING
    )
    variables = models.JSONField(_("variables"), default=dict, encoder=DjangoJSONEncoder)
    not_before = models.DateTimeField(_("not before"))
    created_at = models.DateTimeField(_("created"))
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=190, blank=True)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        indexes = [models.Index(fields=["state", "not_before"], name="upsell_message_due")]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        "PENDING",
                        "SENDING",
                        "SENT",
                        "UNKNOWN",
                        "FAILED",
                        "CANCELLED",
                        "SKIPPED",
                    ]
                ),
                name="upsell_message_state_known",
            ),
        ]

    def __str__(self) -> str:
        return self.key
