"""What is measured: a mirror of the shop's orders, and sums per day. All of it can be made anew."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.utils.translation import gettext_lazy as _

_NOTHING = Decimal(0)


class OrderFact(models.Model):
    """One order of the shop as it stood when it was last looked at."""

    order_ref = models.CharField(_("order"), max_length=190, unique=True)
    customer_key = models.CharField(max_length=200, blank=True)
    channel = models.CharField(_("sales channel"), max_length=190, blank=True)
    placed_at = models.DateTimeField(_("placed"))
    currency = models.CharField(_("currency"), max_length=3)
    # Goods after all discounts, before tax and delivery, returned ones included.
    net = models.DecimalField(_("net"), max_digits=19, decimal_places=4)
    refunded_net = models.DecimalField(
        _("refunded, net"), max_digits=19, decimal_places=4, default=_NOTHING
    )
    lines = models.PositiveIntegerField(_("lines"), default=0)
    cancelled = models.BooleanField(_("cancelled"), default=False)

    class Meta:
        verbose_name = _("order, mirrored")
        verbose_name_plural = _("orders, mirrored")
        default_permissions = ()
        indexes = [
            models.Index(fields=["channel", "placed_at"], name="upsell_fact_placed"),
            models.Index(fields=["customer_key", "placed_at"], name="upsell_fact_buyer"),
            models.Index(fields=["placed_at"], name="upsell_fact_age"),
        ]

    def __str__(self) -> str:
        return self.order_ref


class OrderLineFact(models.Model):
    """One line of a mirrored order: what was bought, not whose."""

    order_fact = models.ForeignKey(OrderFact, models.CASCADE, related_name="products")
    product_ref = models.CharField(_("product"), max_length=190)
    parent_ref = models.CharField(_("parent"), max_length=190, blank=True)
    # One of the product's categories: a shop names all of them, those above included.
    category_ref = models.CharField(_("category"), max_length=190, blank=True)
    quantity = models.PositiveIntegerField(_("units"))
    net = models.DecimalField(_("net"), max_digits=19, decimal_places=4)

    class Meta:
        verbose_name = _("line, mirrored")
        verbose_name_plural = _("lines, mirrored")
        default_permissions = ()
        indexes = [models.Index(fields=["product_ref"], name="upsell_linefact_product")]

    def __str__(self) -> str:
        return f"{self.order_fact_id}: {self.product_ref}"


class OrderNote(models.Model):
    """An event told of this order: the mirror looks at it again, and then the note goes.

    Each event is a note of its own, so that none is lost that comes while we look.
    """

    order_ref = models.CharField(_("order"), max_length=190)
    # What happened, as ``Shop.signals`` names it: placed, changed, cancelled …
    name = models.CharField(_("what"), max_length=16, default="changed")
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("order to mirror")
        verbose_name_plural = _("orders to mirror")
        default_permissions = ()

    def __str__(self) -> str:
        return self.order_ref


class ShopNumber(models.Model):
    """A number of the whole shop that conditions measure a buyer by, made nightly."""

    class Name(models.TextChoices):
        """What it is."""

        MEDIAN_ORDER = "MEDIAN_ORDER", _("median order, net")
        MEDIAN_GAP = "MEDIAN_GAP", _("median gap between a buyer's orders, in seconds")

    name = models.CharField(_("number"), max_length=16, choices=Name)
    channel = models.CharField(_("sales channel"), max_length=190, blank=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    value = models.DecimalField(_("value"), max_digits=19, decimal_places=4)
    # Of how many orders, or gaps, it is the median.
    among = models.PositiveIntegerField(_("among"))
    at = models.DateTimeField(_("made"))

    class Meta:
        verbose_name = _("number of the shop")
        verbose_name_plural = _("numbers of the shop")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["name", "channel", "currency"], name="upsell_shopnumber_once"
            ),
            models.CheckConstraint(condition=models.Q(value__gt=0), name="upsell_shopnumber_some"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.channel} {self.currency}"


class DailyMetric(models.Model):
    """The sums of one day in one sales channel, by moment, campaign, arm and currency.

    What each column counts is defined in ``upsell.engine.metrics``.
    """

    day = models.DateField(_("day"))
    channel = models.CharField(_("sales channel"), max_length=190, blank=True)
    moment = models.CharField(_("moment"), max_length=20)
    campaign = models.ForeignKey(
        "upsell.Campaign", models.PROTECT, verbose_name=_("campaign"), related_name="+"
    )
    arm = models.CharField(_("arm"), max_length=80, blank=True)
    currency = models.CharField(_("currency"), max_length=3)

    eligible = models.PositiveIntegerField(default=0)
    held_out = models.PositiveIntegerField(default=0)
    shown = models.PositiveIntegerField(default=0)
    accepted = models.PositiveIntegerField(default=0)
    declined = models.PositiveIntegerField(default=0)

    sold = models.PositiveIntegerField(default=0)
    undone = models.PositiveIntegerField(default=0)
    refunded = models.PositiveIntegerField(default=0)
    revenue_net = models.DecimalField(max_digits=25, decimal_places=4, default=_NOTHING)
    returned_net = models.DecimalField(max_digits=25, decimal_places=4, default=_NOTHING)
    discount_net = models.DecimalField(max_digits=25, decimal_places=4, default=_NOTHING)
    discounted = models.PositiveIntegerField(default=0)
    costed = models.PositiveIntegerField(default=0)
    costed_net = models.DecimalField(max_digits=25, decimal_places=4, default=_NOTHING)
    costed_discount_net = models.DecimalField(max_digits=25, decimal_places=4, default=_NOTHING)
    cost_net = models.DecimalField(max_digits=25, decimal_places=4, default=_NOTHING)

    accepted_rated = models.PositiveIntegerField(default=0)
    accepted_points = models.PositiveIntegerField(default=0)
    declined_rated = models.PositiveIntegerField(default=0)
    declined_points = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("results")
        verbose_name_plural = _("results")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["day", "channel", "moment", "campaign", "arm", "currency"],
                name="upsell_metric_once",
            ),
        ]
        indexes = [models.Index(fields=["channel", "day"], name="upsell_metric_channel")]

    def __str__(self) -> str:
        return f"{self.day} {self.channel} {self.campaign_id}"


class DecisionCount(models.Model):
    """How often a reason was the answer in one hour, where no decision is kept."""

    # Hash of all that follows but ``n``: unique, also where there is no campaign.
    key = models.CharField(max_length=64, unique=True)
    hour = models.DateTimeField(_("hour"))
    moment = models.CharField(_("moment"), max_length=20)
    channel = models.CharField(_("sales channel"), max_length=190, blank=True)
    campaign = models.ForeignKey(
        "upsell.Campaign", models.CASCADE, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(_("reason"), max_length=120, blank=True)
    n = models.PositiveBigIntegerField(_("how often"), default=0)

    class Meta:
        verbose_name = _("count of decisions")
        verbose_name_plural = _("counts of decisions")
        default_permissions = ()
        indexes = [models.Index(fields=["hour"], name="upsell_count_hour")]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.moment} {self.reason or self.campaign_id}: {self.n}"


class Alarm(models.Model):
    """A figure that was beyond its bound when last looked at. It goes when it is back within."""

    class Kind(models.TextChoices):
        REFUNDS = "refunds", _("more comes back than usual")
        ACCEPTANCE = "acceptance", _("hardly anybody accepts")
        NEVER_SHOWN = "never_shown", _("live and never shown")
        DISCOUNT = "discount", _("mostly sold with a discount")
        CHECKOUT = "checkout", _("offers earn more, and fewer checkouts are completed")

    # Kind and what it is of: one row for as long as it lasts.
    key = models.CharField(max_length=240, unique=True)
    kind = models.CharField(_("guardrail"), max_length=16, choices=Kind.choices)
    campaign = models.ForeignKey(
        "upsell.Campaign", models.CASCADE, verbose_name=_("campaign"), related_name="+"
    )
    channel = models.CharField(_("sales channel"), max_length=190, blank=True)
    hits = models.PositiveIntegerField()
    n = models.PositiveIntegerField()
    # What it is measured against, where that is a rate too.
    base_hits = models.PositiveIntegerField(null=True, blank=True)
    base_n = models.PositiveIntegerField(null=True, blank=True)
    tripped_at = models.DateTimeField(_("since"))
    looked_at = models.DateTimeField(_("last looked at"))

    class Meta:
        verbose_name = _("alarm")
        verbose_name_plural = _("alarms")
        default_permissions = ()

    def __str__(self) -> str:
        return self.key


class Progress(models.Model):
    """How far a walk has come that goes on where it stopped."""

    name = models.CharField(_("name"), max_length=64, unique=True)
    # Where the next round begins. Opaque: the shop's, or ours.
    cursor = models.CharField(max_length=400, blank=True)
    # How far a round came that saw the end, and when: the next ones begin there once it is old
    # enough that nothing before it is still to be committed.
    reached = models.CharField(max_length=400, blank=True)
    reached_at = models.DateTimeField(null=True, blank=True)
    at = models.DateTimeField(_("last round"), null=True, blank=True)

    class Meta:
        verbose_name = _("progress")
        verbose_name_plural = _("progress")
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
