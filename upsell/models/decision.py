"""The engine's answer for one occasion, kept so that staff can ask why."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils.translation import gettext_lazy as _


class Decision(models.Model):
    """One row per order. It holds the facts that the rules read, and never who the buyer is."""

    moment = models.CharField(_("moment"), max_length=20, default="post_purchase")
    order_ref = models.CharField(_("order"), max_length=190, null=True, unique=True)
    channel = models.CharField(_("sales channel"), max_length=190, blank=True)
    customer_key = models.CharField(max_length=200, blank=True, db_index=True)
    at = models.DateTimeField(_("decided at"))
    version = models.BigIntegerField(_("version of the campaigns"), default=0)
    # Null = nobody won; ``reason`` then says why for the whole order.
    campaign = models.ForeignKey(
        "upsell.Campaign", models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(_("reason"), max_length=120, blank=True)
    # [[campaign id, reason], …] in rank order.
    candidates = models.JSONField(_("candidates"), default=list)
    facts = models.JSONField(_("facts"), default=dict, encoder=DjangoJSONEncoder)
    trial = models.BooleanField(_("trial"), default=False)

    class Meta:
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")
        indexes = [models.Index(fields=["at"], name="upsell_decision_at")]

    def __str__(self) -> str:
        return f"{self.order_ref}: {self.reason or self.campaign_id}"
