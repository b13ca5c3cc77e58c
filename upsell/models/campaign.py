"""The rule that staff wrote, its child rows, and every version it ever had."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from upsell.engine import campaigns as engine
from upsell.models.versioned import CampaignSet, Versioned, VersionedQuerySet

__all__ = ["Campaign", "CampaignCopy", "CampaignExclusion", "CampaignRevision", "CampaignSet"]


def post_purchase_only() -> list[str]:
    """The moments a new campaign appears at."""
    return ["post_purchase"]


class CampaignQuerySet(VersionedQuerySet):
    """Campaigns, in the order in which they win."""

    def ranked(self) -> CampaignQuerySet:
        """Best first: priority, then the most recently edited, then the highest id."""
        return self.order_by("-priority", "-edited_at", "-pk")


class Campaign(Versioned):
    """What may be offered, when, to whom and at what price."""

    campaign_in = "pk"

    class Status(models.TextChoices):
        OFF = engine.Status.OFF.value, _("off")
        STAFF_ONLY = engine.Status.STAFF_ONLY.value, _("staff only")
        LIVE = engine.Status.LIVE.value, _("live")

    class Kind(models.TextChoices):
        CROSS_SELL = engine.OfferKind.CROSS_SELL.value, _("cross-sell: adds a product")
        UPSELL = engine.OfferKind.UPSELL.value, _("upsell: replaces what was bought")

    class Match(models.TextChoices):
        ANY = engine.Match.ANY.value, _("any trigger suffices")
        ALL = engine.Match.ALL.value, _("all triggers must be met")

    class OfferBy(models.TextChoices):
        PRODUCT = engine.OfferBy.PRODUCT.value, _("this product")
        MAP = engine.OfferBy.MAP.value, _("a table from bought to offered product")
        NEXT_MODEL = engine.OfferBy.NEXT_MODEL.value, _("the next dearer model")

    class Rule(models.TextChoices):
        LIST = engine.RuleKind.LIST.value, _("selling price")
        PERCENT = engine.RuleKind.PERCENT.value, _("percent off")
        AMOUNT = engine.RuleKind.AMOUNT.value, _("amount off")
        FIXED = engine.RuleKind.FIXED.value, _("fixed price")
        FIXED_DIFFERENCE = engine.RuleKind.FIXED_DIFFERENCE.value, _("fixed difference to pay")

    class QuantityRule(models.TextChoices):
        FIXED = engine.QuantityRule.FIXED.value, _("a fixed number (cross-sell)")
        MATCH = engine.QuantityRule.MATCH.value, _("as many as leave the order (upsell)")
        ONE = engine.QuantityRule.ONE.value, _("swap one unit (upsell)")
        SET = engine.QuantityRule.SET.value, _("one set for all that leaves (upsell)")

    class Shipping(models.TextChoices):
        FREE = engine.ShippingPolicy.FREE.value, _("free")
        FLAT = engine.ShippingPolicy.FLAT.value, _("a flat amount")
        NONE_NEEDED_ONLY = (
            engine.ShippingPolicy.NONE_NEEDED_ONLY.value,
            _("only products that need no delivery"),
        )

    class Stock(models.TextChoices):
        REQUIRE = engine.StockPolicy.REQUIRE.value, _("only what is in stock")
        BACKORDER = engine.StockPolicy.BACKORDER.value, _("also what may be back-ordered")
        IGNORE = engine.StockPolicy.IGNORE.value, _("do not look at stock")

    class Documents(models.TextChoices):
        ADD_AND_NOTIFY = engine.DocumentPolicy.ADD_AND_NOTIFY.value, _("offer; tell staff")
        SKIP_IF_INVOICED = engine.DocumentPolicy.SKIP_IF_INVOICED.value, _("do not offer")
        ADD_AND_SIGNAL = engine.DocumentPolicy.ADD_AND_SIGNAL.value, _("offer; tell the system")

    class Motivation(models.TextChoices):
        NONE = "", _("none")
        SAVE_MONEY = "SAVE_MONEY", _("save money")
        SAVE_TIME = "SAVE_TIME", _("save time")
        REDUCE_RISK = "REDUCE_RISK", _("reduce risk")
        BETTER_RESULTS = "BETTER_RESULTS", _("better results")
        GREENER = "GREENER", _("greener")
        CHEAPER_TO_RUN = "CHEAPER_TO_RUN", _("cheaper to run")

    name = models.CharField(_("name"), max_length=120)
    slug = models.SlugField(_("slug"), max_length=120, unique=True)
    status = models.CharField(
        _("status"), max_length=16, choices=Status.choices, default=Status.OFF
    )
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    offer_by = models.CharField(
        _("offered by"), max_length=16, choices=OfferBy.choices, default=OfferBy.PRODUCT
    )
    product_ref = models.CharField(_("offered product"), max_length=190, blank=True)
    # Rows of [bought product, offered product], in staff's order.
    product_map = models.JSONField(_("table of products"), default=list, blank=True)
    must_fit = models.BooleanField(_("must fit what was bought"), default=False)
    channels = models.JSONField(_("sales channels"), default=list, blank=True)
    moments = models.JSONField(_("moments"), default=post_purchase_only, blank=True)
    match = models.CharField(_("match"), max_length=8, choices=Match.choices, default=Match.ANY)
    # {currency: ["least or null", "most or null"]}: amounts are strings, never floats.
    bounds = models.JSONField(_("value of the order"), default=dict, blank=True)
    currencies = models.JSONField(_("currencies"), default=list, blank=True)
    groups = models.JSONField(_("customer groups"), default=list, blank=True)
    countries = models.JSONField(_("shipping countries"), default=list, blank=True)
    payment_methods = models.JSONField(_("payment methods"), default=list, blank=True)
    allow_if_present = models.BooleanField(_("also if already in the order"), default=False)
    not_bought_days = models.PositiveIntegerField(
        _("not bought in the last days"), null=True, blank=True, default=365
    )
    not_seen_days = models.PositiveIntegerField(
        _("not shown before in days"), null=True, blank=True
    )
    rule = models.CharField(_("price"), max_length=20, choices=Rule.choices, default=Rule.LIST)
    percent = models.DecimalField(
        _("percent"),
        max_digits=5,
        decimal_places=2,
        default=Decimal(0),
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(100))],
    )
    amounts = models.JSONField(_("amounts"), default=dict, blank=True)
    from_regular = models.BooleanField(_("discount from the regular price"), default=False)
    allow_free = models.BooleanField(_("may be free"), default=False)
    allow_below_cost = models.BooleanField(_("may be below cost"), default=False)
    quantity_rule = models.CharField(
        _("quantity rule"), max_length=8, choices=QuantityRule.choices, default=QuantityRule.FIXED
    )
    quantity = models.PositiveIntegerField(
        _("quantity"), default=1, validators=[MinValueValidator(1)]
    )
    shipping = models.CharField(
        _("delivery"), max_length=20, choices=Shipping.choices, default=Shipping.FREE
    )
    shipping_flat = models.JSONField(_("flat delivery"), default=dict, blank=True)
    stock = models.CharField(
        _("stock"), max_length=16, choices=Stock.choices, default=Stock.REQUIRE
    )
    documents = models.CharField(
        _("if an invoice exists"),
        max_length=20,
        choices=Documents.choices,
        default=Documents.ADD_AND_NOTIFY,
    )
    priority = models.PositiveIntegerField(_("priority"), default=10)
    weight = models.PositiveIntegerField(
        _("weight"),
        default=1,
        validators=[MinValueValidator(1)],
        help_text=_(
            "Among campaigns of the same, highest priority, where the shop lets weights decide."
        ),
    )
    valid_from = models.DateTimeField(_("from"), null=True, blank=True)
    valid_until = models.DateTimeField(_("until, inclusive"), null=True, blank=True)
    motivation = models.CharField(
        _("motivation"), max_length=20, choices=Motivation.choices, blank=True, default=""
    )
    default_language = models.CharField(_("default language"), max_length=15, default="en")
    note = models.TextField(_("note for colleagues"), blank=True)
    archived = models.BooleanField(_("archived"), default=False)
    # Number of the newest revision.
    revision = models.PositiveIntegerField(default=0, editable=False)
    # The set's version in which this row or a child row last changed; an index follows it.
    changed_in = models.BigIntegerField(default=1, db_index=True, editable=False)
    # Moved by edits of staff or API alone, never by counters: it ranks.
    edited_at = models.DateTimeField(_("edited"), default=timezone.now)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = CampaignQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        verbose_name = _("campaign")
        verbose_name_plural = _("campaigns")
        permissions = [
            ("withdraw_campaign", "Can withdraw outstanding offers"),
            ("simulate_campaign", "Can ask why and simulate decisions"),
            ("view_analytics", "Can view what offers earned"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["OFF", "STAFF_ONLY", "LIVE"]),
                name="upsell_campaign_status_known",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["CROSS_SELL", "UPSELL"]), name="upsell_campaign_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(percent__gte=0, percent__lte=100), name="upsell_campaign_percent_range"
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=1), name="upsell_campaign_quantity_positive"
            ),
            models.CheckConstraint(
                condition=Q(valid_from__isnull=True)
                | Q(valid_until__isnull=True)
                | Q(valid_from__lte=models.F("valid_until")),
                name="upsell_campaign_window_forward",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CampaignTrigger(Versioned):
    """A product, category, brand or tag that makes a campaign qualify."""

    campaign_in = "campaign_id"

    class Kind(models.TextChoices):
        ALWAYS = engine.TriggerKind.ALWAYS.value, _("every order")
        PRODUCT = engine.TriggerKind.PRODUCT.value, _("product")
        CATEGORY = engine.TriggerKind.CATEGORY.value, _("category")
        BRAND = engine.TriggerKind.BRAND.value, _("brand")
        TAG = engine.TriggerKind.TAG.value, _("tag")

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="triggers")
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    ref = models.CharField(_("which"), max_length=190, blank=True)
    exact = models.BooleanField(_("this variant only"), default=False)
    quantity = models.PositiveIntegerField(
        _("at least"), default=1, validators=[MinValueValidator(1)]
    )

    class Meta:
        verbose_name = _("trigger")
        verbose_name_plural = _("triggers")
        constraints = [
            models.UniqueConstraint(fields=["campaign", "kind", "ref"], name="upsell_trigger_once"),
            models.CheckConstraint(
                condition=Q(kind__in=["ALWAYS", "PRODUCT", "CATEGORY", "BRAND", "TAG"]),
                name="upsell_trigger_kind_known",
            ),
            models.CheckConstraint(
                condition=Q(kind="ALWAYS", ref="") | (~Q(kind="ALWAYS") & ~Q(ref="")),
                name="upsell_trigger_names_something",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.ref}".strip()


class CampaignExclusion(Versioned):
    """A product, category, brand or tag whose presence rules a campaign out."""

    campaign_in = "campaign_id"

    class Kind(models.TextChoices):
        PRODUCT = engine.TriggerKind.PRODUCT.value, _("product")
        CATEGORY = engine.TriggerKind.CATEGORY.value, _("category")
        BRAND = engine.TriggerKind.BRAND.value, _("brand")
        TAG = engine.TriggerKind.TAG.value, _("tag")

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="exclusions")
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    ref = models.CharField(_("which"), max_length=190)
    quantity = models.PositiveIntegerField(
        _("at least"), default=1, validators=[MinValueValidator(1)]
    )

    class Meta:
        verbose_name = _("exclusion")
        verbose_name_plural = _("exclusions")
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "kind", "ref"], name="upsell_exclusion_once"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["PRODUCT", "CATEGORY", "BRAND", "TAG"]),
                name="upsell_exclusion_kind_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.ref}"


class CampaignCopy(Versioned):
    """What the shopper reads, in one language."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="copies")
    language = models.CharField(_("language"), max_length=15, default="en")
    headline = models.CharField(_("headline"), max_length=80, blank=True)
    body = models.CharField(_("body"), max_length=300, blank=True)
    # Up to five strings of at most 60 characters.
    benefits = models.JSONField(_("benefits"), default=list, blank=True)
    image_url = models.CharField(_("image"), max_length=500, blank=True)
    image_alt = models.CharField(_("text for the image"), max_length=160, blank=True)
    accept_label = models.CharField(_("words on the accept button"), max_length=30, blank=True)
    decline_label = models.CharField(_("words on the decline button"), max_length=30, blank=True)

    class Meta:
        verbose_name = _("copy")
        verbose_name_plural = _("copy")
        constraints = [
            models.UniqueConstraint(fields=["campaign", "language"], name="upsell_copy_once"),
        ]

    def __str__(self) -> str:
        return f"{self.language}: {self.headline}"


class CampaignRevision(models.Model):
    """A campaign as it stood after one edit, compiled. Append-only; decisions point here."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField(_("number"))
    at = models.DateTimeField(_("at"))
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    before = models.JSONField(_("before"), default=dict, encoder=DjangoJSONEncoder)
    after = models.JSONField(_("after"), default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        verbose_name = _("revision")
        verbose_name_plural = _("revisions")
        constraints = [
            models.UniqueConstraint(fields=["campaign", "number"], name="upsell_revision_once"),
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id}/{self.number}"
