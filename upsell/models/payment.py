"""Money: tries to collect it, what was applied for it, and what was given back."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Self

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from upsell.engine import states


class AttemptQuerySet(models.QuerySet["Attempt"]):
    """Attempts by where they stand."""

    def unsettled(self) -> Self:
        """Attempts whose outcome is not known or not carried out yet."""
        return self.filter(live_offer__isnull=False)


class Attempt(models.Model):
    """One try to collect, with one key for ever."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    offer = models.ForeignKey("upsell.Offer", models.PROTECT, related_name="attempts")
    # The offer while this attempt lives, else null: so that one lives at a time.
    live_offer = models.OneToOneField(
        "upsell.Offer", models.PROTECT, null=True, blank=True, related_name="live_attempt"
    )
    number = models.PositiveSmallIntegerField(_("number"))
    key = models.CharField(_("key"), max_length=64, unique=True)
    quote = models.ForeignKey("upsell.OfferQuote", models.PROTECT, related_name="+")
    gateway = models.CharField(_("gateway"), max_length=64, blank=True)
    # Null, not empty, so that it can be unique: one object of the provider, one attempt.
    reference = models.CharField(_("reference"), max_length=190, null=True, blank=True, unique=True)
    state = models.CharField(_("state"), max_length=20, default="STARTED")
    amount = models.DecimalField(_("amount"), max_digits=19, decimal_places=4)
    currency = models.CharField(_("currency"), max_length=3)
    # What the provider took, where that is not what was asked.
    charged = models.DecimalField(
        _("charged"), max_digits=19, decimal_places=4, null=True, blank=True
    )
    charged_currency = models.CharField(max_length=3, blank=True)
    charge_state = models.CharField(_("provider says"), max_length=20, blank=True)
    decline_code = models.CharField(_("declined for"), max_length=64, blank=True)
    hold = models.CharField(_("stock held"), max_length=190, blank=True)
    action_url = models.CharField(max_length=1000, blank=True)
    # Keyed hash of the address it was asked from: how often is limited, who it was is not kept.
    address_key = models.CharField(max_length=70, blank=True)
    started_at = models.DateTimeField(_("started"))
    # Set in the same commit that decides to call the provider: before it, nothing was asked.
    asked_at = models.DateTimeField(_("provider asked"), null=True, blank=True)
    looks = models.PositiveSmallIntegerField(_("looks"), default=0)
    absent_since = models.DateTimeField(_("first found absent"), null=True, blank=True)
    next_look_at = models.DateTimeField(_("next look"), null=True, blank=True)
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)

    objects = AttemptQuerySet.as_manager()

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        indexes = [
            models.Index(fields=["state", "next_look_at"], name="upsell_attempt_look"),
            models.Index(fields=["address_key", "started_at"], name="upsell_attempt_address"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["offer", "number"], name="upsell_attempt_once"),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in states.AttemptState]),
                name="upsell_attempt_state_known",
            ),
            models.CheckConstraint(
                condition=Q(live_offer__isnull=True) | Q(live_offer=F("offer")),
                name="upsell_attempt_lives_for_its_offer",
            ),
            models.CheckConstraint(
                condition=Q(amount__gte=0), name="upsell_attempt_amount_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def taken(self) -> Decimal:
        """What a charge of it took: the amount asked, unless the provider said another."""
        return self.amount if self.charged is None else self.charged

    @property
    def taken_currency(self) -> str:
        return self.charged_currency or self.currency


class Acceptance(models.Model):
    """What was applied to the order, once."""

    offer = models.OneToOneField("upsell.Offer", models.PROTECT, related_name="acceptance")
    quote = models.ForeignKey("upsell.OfferQuote", models.PROTECT, related_name="+")
    attempt = models.ForeignKey("upsell.Attempt", models.PROTECT, related_name="+")
    at = models.DateTimeField(_("at"))
    undo_until = models.DateTimeField(_("undo until"))
    line_ref = models.CharField(_("line"), max_length=190)
    total_before_net = models.DecimalField(max_digits=19, decimal_places=4)
    total_before_gross = models.DecimalField(max_digits=19, decimal_places=4)
    total_after_net = models.DecimalField(max_digits=19, decimal_places=4)
    total_after_gross = models.DecimalField(max_digits=19, decimal_places=4)
    removed = models.JSONField(_("removed lines"), default=list, encoder=DjangoJSONEncoder)
    reversed_at = models.DateTimeField(_("reversed at"), null=True, blank=True)
    # What came back of the line in parts, net; of it, what came within the time that is measured.
    refunded_net = models.DecimalField(max_digits=19, decimal_places=4, default=0)
    returned_net = models.DecimalField(max_digits=19, decimal_places=4, default=0)
    # What the added and the replaced units cost the shop, frozen; null = not known.
    cost_net = models.DecimalField(max_digits=19, decimal_places=4, null=True, blank=True)
    replaced_cost_net = models.DecimalField(max_digits=19, decimal_places=4, null=True, blank=True)

    class Meta:
        verbose_name = _("acceptance")
        verbose_name_plural = _("acceptances")

    def __str__(self) -> str:
        return f"{self.offer_id}"


class Refund(models.Model):
    """Money on its way back, with one key for ever."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    attempt = models.ForeignKey(Attempt, models.PROTECT, related_name="refunds")
    key = models.CharField(_("key"), max_length=64, unique=True)
    amount = models.DecimalField(_("amount"), max_digits=19, decimal_places=4)
    currency = models.CharField(_("currency"), max_length=3)
    reason = models.CharField(_("reason"), max_length=64)
    state = models.CharField(_("state"), max_length=16, default="PENDING")
    reference = models.CharField(_("reference"), max_length=190, blank=True)
    created_at = models.DateTimeField(_("created"))
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_try_at = models.DateTimeField(_("next try"), null=True, blank=True)
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        indexes = [models.Index(fields=["state", "next_try_at"], name="upsell_refund_due")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in states.RefundState]),
                name="upsell_refund_state_known",
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="upsell_refund_amount_positive"),
        ]

    def __str__(self) -> str:
        return self.key
