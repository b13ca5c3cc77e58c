"""A promise: what one buyer may have, at which price, until when."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Self

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from upsell.engine import states
from upsell.engine.traits import LONGEST_GROUP

_ANSWERED = ["ACCEPTED", "DECLINED", "REVERSED"]
REFUSED_REFUND = "refund_refused"
"""Failure code of an offer whose money the provider would not give back."""


class OfferQuerySet(models.QuerySet["Offer"]):
    """Offers by where they stand."""

    def answerable_at(self, now: datetime) -> Self:
        """Offers that a buyer can still accept or decline at ``now``."""
        return self.filter(state__in=["CREATED", "SHOWN"], expires_at__gt=now)

    def due_to_expire(self, now: datetime) -> Self:
        """Unanswered offers whose time is over."""
        return self.filter(state__in=["CREATED", "SHOWN"], expires_at__lte=now)

    def waiting_for_staff(self) -> Self:
        """Offers that a person has to look at.

        Those in NEEDS_ATTENTION, and closed ones with money that nobody gives back by itself.
        Not every database joins an "or" by index, so the closed ones are looked up before.
        """
        closed = set(
            Offer.objects.filter(attempts__state="NEEDS_ATTENTION").values_list("pk", flat=True)
        )
        closed |= set(
            Offer.objects.filter(
                attempts__refunds__state="REFUSED", failure_code=REFUSED_REFUND
            ).values_list("pk", flat=True)
        )
        return self.filter(Q(state="NEEDS_ATTENTION") | Q(pk__in=closed))


class Offer(models.Model):
    """One price, promised to one buyer for one order until ``expires_at``.

    Written once. Editing the campaign later never changes a promise.
    """

    class State(models.TextChoices):
        CREATED = states.OfferState.CREATED.value, _("created")
        SHOWN = states.OfferState.SHOWN.value, _("shown")
        ACCEPTING = states.OfferState.ACCEPTING.value, _("being accepted")
        ACTION_REQUIRED = states.OfferState.ACTION_REQUIRED.value, _("waiting for the buyer's bank")
        ACCEPTED = states.OfferState.ACCEPTED.value, _("accepted")
        DECLINED = states.OfferState.DECLINED.value, _("declined")
        EXPIRED = states.OfferState.EXPIRED.value, _("expired")
        REVOKED = states.OfferState.REVOKED.value, _("revoked")
        FAILED = states.OfferState.FAILED.value, _("failed")
        NEEDS_ATTENTION = states.OfferState.NEEDS_ATTENTION.value, _("needs attention")
        REVERSED = states.OfferState.REVERSED.value, _("reversed")
        SUPPRESSED = states.OfferState.SUPPRESSED.value, _("held out")

    uuid = models.UUIDField(_("uuid"), default=uuid.uuid4, unique=True, editable=False)
    decision = models.OneToOneField(
        "upsell.Decision", models.SET_NULL, null=True, blank=True, related_name="offer"
    )
    moment = models.CharField(_("moment"), max_length=20, default="post_purchase")
    occasion_ref = models.CharField(_("occasion"), max_length=190)
    # Null where there is no order: a cart, an account. Unique, and MariaDB lets nulls repeat.
    order_ref = models.CharField(_("order"), max_length=190, null=True, blank=True, unique=True)
    # Set while an offer without an order is open, so that there is one of each.
    open_key = models.CharField(max_length=400, null=True, blank=True, unique=True)
    campaign = models.ForeignKey(
        "upsell.Campaign",
        verbose_name=_("campaign"),
        on_delete=models.PROTECT,
        related_name="offers",
    )
    revision = models.PositiveIntegerField(_("revision"), default=0)
    arm = models.CharField(_("arm"), max_length=80, blank=True)
    state = models.CharField(
        _("state"), max_length=16, choices=State.choices, default=State.CREATED
    )
    kind = models.CharField(_("kind"), max_length=16)
    product_ref = models.CharField(_("product"), max_length=190)
    quantity = models.PositiveIntegerField(_("quantity"), default=1)
    currency = models.CharField(_("currency"), max_length=3)
    # Four places: some currencies have three, ISO 4217 knows two with four.
    unit_net = models.DecimalField(_("unit price, net"), max_digits=19, decimal_places=4)
    unit_gross = models.DecimalField(_("unit price"), max_digits=19, decimal_places=4)
    # What the whole offer costs less than its selling price, frozen: 0 without a discount.
    discount_net = models.DecimalField(
        _("discount, net"), max_digits=19, decimal_places=4, default=Decimal(0)
    )
    # Frozen: rule, replaced lines with what was paid for them, policies, words in all languages.
    terms = models.JSONField(_("terms"), default=dict, encoder=DjangoJSONEncoder)
    quote_number = models.PositiveIntegerField(_("quote"), default=1)
    generation = models.PositiveIntegerField(_("generation of the link"), default=1)
    token_hash = models.CharField(max_length=64, null=True, blank=True, unique=True)
    undo_hash = models.CharField(max_length=64, null=True, blank=True, unique=True)
    attempts_made = models.PositiveSmallIntegerField(_("attempts"), default=0)
    channel = models.CharField(_("sales channel"), max_length=190, blank=True)
    customer_key = models.CharField(max_length=200, blank=True)
    trial = models.BooleanField(_("trial by staff"), default=False)
    # Who it was made to, frozen, as results are split by it; empty = not known.
    new_or_returning = models.CharField(_("new or returning"), max_length=9, blank=True)
    customer_group = models.CharField(_("customer group"), max_length=LONGEST_GROUP, blank=True)
    country = models.CharField(_("country"), max_length=2, blank=True)
    device = models.CharField(_("device"), max_length=8, blank=True)
    language = models.CharField(_("language"), max_length=3, blank=True)
    segment = models.CharField(
        _("segment"),
        max_length=80,
        blank=True,
        help_text=_("Empty: there are no segments yet."),
    )
    created_at = models.DateTimeField(_("created at"))
    first_shown_at = models.DateTimeField(_("first shown at"), null=True, blank=True)
    responded_at = models.DateTimeField(_("responded at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"))
    action_expires_at = models.DateTimeField(_("challenge until"), null=True, blank=True)
    hold_requested_at = models.DateTimeField(_("hold requested"), null=True, blank=True)
    revoke_requested_at = models.DateTimeField(_("revoke requested"), null=True, blank=True)
    failure_code = models.CharField(_("failure"), max_length=64, blank=True)
    # What the buyer last said of it, 1 to 5; the log has each answer.
    satisfaction = models.PositiveSmallIntegerField(_("satisfaction"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)

    # Of a challenge that just began, for a script on the host's page; never stored.
    client_secret = ""

    objects = OfferQuerySet.as_manager()

    class Meta:
        verbose_name = _("offer")
        verbose_name_plural = _("offers")
        permissions = [
            ("ask_offer", "Can ask the provider again about offers that need attention"),
            ("refund_offer", "Can give money back and close offers that need attention"),
        ]
        indexes = [
            models.Index(fields=["state", "expires_at"], name="upsell_offer_due"),
            models.Index(fields=["customer_key", "first_shown_at"], name="upsell_offer_seen"),
            models.Index(fields=["campaign", "state"], name="upsell_offer_campaign"),
            models.Index(fields=["channel", "created_at"], name="upsell_offer_made"),
            models.Index(fields=["channel", "responded_at"], name="upsell_offer_answered"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in states.OfferState]),
                name="upsell_offer_state_known",
            ),
            models.CheckConstraint(
                condition=Q(unit_gross__gte=0, unit_net__gte=0),
                name="upsell_offer_price_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=1), name="upsell_offer_quantity_positive"
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="upsell_offer_has_a_life"
            ),
            models.CheckConstraint(
                condition=~Q(moment="post_purchase") | Q(order_ref__isnull=False),
                name="upsell_offer_has_its_order",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=_ANSWERED) | Q(responded_at__isnull=False),
                name="upsell_offer_answer_has_a_time",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["CREATED", "SUPPRESSED", "EXPIRED", "REVOKED"])
                | Q(first_shown_at__isnull=False),
                name="upsell_offer_answered_was_shown",
            ),
            models.CheckConstraint(
                condition=~Q(state="ACTION_REQUIRED") | Q(action_expires_at__isnull=False),
                name="upsell_offer_challenge_ends",
            ),
            models.CheckConstraint(
                condition=Q(satisfaction__isnull=True) | Q(satisfaction__range=(1, 5)),
                name="upsell_offer_satisfaction_range",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.order_ref or self.moment}"

    @property
    def is_open(self) -> bool:
        """Whether it can still come to a charge."""
        return self.state in states.OPEN


class OfferLink(models.Model):
    """A link that an offer had before it was issued again: it opens the same page until close."""

    offer = models.ForeignKey(Offer, models.CASCADE, related_name="links")
    generation = models.PositiveIntegerField()
    token_hash = models.CharField(max_length=64, unique=True)

    class Meta:
        verbose_name = _("earlier link")
        verbose_name_plural = _("earlier links")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["offer", "generation"], name="upsell_link_once"),
        ]

    def __str__(self) -> str:
        return f"{self.offer_id}/{self.generation}"


class Desk(Offer):
    """The same offers, for who talks to buyers: a page of its own, and rights of their own."""

    class Meta:
        proxy = True
        verbose_name = _("at the desk")
        verbose_name_plural = _("at the desk")
        default_permissions = ("view",)
        permissions = [("send_desk", "Can have a buyer mailed the link to their offer")]


class OfferQuote(models.Model):
    """The figures a buyer was shown. Append-only; accept names one by its number."""

    offer = models.ForeignKey(Offer, models.CASCADE, related_name="quotes")
    number = models.PositiveIntegerField(_("number"))
    at = models.DateTimeField(_("at"))
    currency = models.CharField(_("currency"), max_length=3)
    line_net = models.DecimalField(max_digits=19, decimal_places=4)
    line_gross = models.DecimalField(max_digits=19, decimal_places=4)
    shipping_net = models.DecimalField(max_digits=19, decimal_places=4, default=Decimal(0))
    shipping_gross = models.DecimalField(max_digits=19, decimal_places=4, default=Decimal(0))
    credit_net = models.DecimalField(max_digits=19, decimal_places=4, default=Decimal(0))
    credit_gross = models.DecimalField(max_digits=19, decimal_places=4, default=Decimal(0))
    due_net = models.DecimalField(max_digits=19, decimal_places=4)
    due_gross = models.DecimalField(_("amount due"), max_digits=19, decimal_places=4)
    tax_lines = models.JSONField(default=list, encoder=DjangoJSONEncoder)
    collection = models.CharField(_("collected by"), max_length=20)
    collection_label = models.CharField(max_length=120, blank=True)
    order_version = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    class Meta:
        verbose_name = _("quote")
        verbose_name_plural = _("quotes")
        constraints = [
            models.UniqueConstraint(fields=["offer", "number"], name="upsell_quote_once"),
            models.CheckConstraint(
                condition=Q(due_gross__gte=0), name="upsell_quote_due_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.offer_id}/{self.number}"
