"""What the shop, its pages and we ourselves tell of buyers, each event once."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class EventInbox(models.Model):
    """One event that was told; the same id of the same source is the same event."""

    class Source(models.TextChoices):
        HOST = "HOST", _("the shop, by a call")
        SIGNAL = "SIGNAL", _("the shop, by a signal")
        TAG = "TAG", _("a page, by the tag")
        OURS = "OURS", _("an offer")
        SHOP = "SHOP", _("the shop's orders, as we read them")

    source = models.CharField(_("source"), max_length=8, choices=Source.choices)
    event_id = models.CharField(_("event"), max_length=190)
    name = models.CharField(_("name"), max_length=80)
    customer_key = models.CharField(max_length=200, blank=True)
    order_ref = models.CharField(_("order"), max_length=190, blank=True)
    # Scalars and lists of them, as JSON has them; amounts are strings.
    parameters = models.JSONField(_("parameters"), default=dict, encoder=DjangoJSONEncoder)
    occurred_at = models.DateTimeField(_("happened"))
    received_at = models.DateTimeField(_("received"))
    # Whatever follows from it was done.
    processed_at = models.DateTimeField(_("worked on"), null=True, blank=True)

    class Meta:
        verbose_name = _("event told")
        verbose_name_plural = _("events told")
        default_permissions = ()
        indexes = [
            models.Index(fields=["customer_key", "name", "occurred_at"], name="upsell_inbox_buyer"),
            models.Index(fields=["name", "occurred_at"], name="upsell_inbox_named"),
            models.Index(fields=["processed_at", "received_at"], name="upsell_inbox_waiting"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["source", "event_id"], name="upsell_inbox_once"),
            models.CheckConstraint(
                condition=Q(source__in=["HOST", "SIGNAL", "TAG", "OURS", "SHOP"]),
                name="upsell_inbox_source_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.event_id}"
