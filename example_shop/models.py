"""A small real shop: what it sells, to whom, and what was ordered."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models.functions import Coalesce
from django.utils import timezone

from example_shop.payfriend.models import PayfriendPayment, PayfriendRefund

__all__ = ["PayfriendPayment", "PayfriendRefund"]


def amount(**options):
    """Four places: some currencies have three."""
    return models.DecimalField(max_digits=19, decimal_places=4, **options)


def tax_code(rate):
    """The rate itself, always written alike: 0.2, never 0.2000."""
    return format(Decimal(rate).normalize(), "f")


# ------------------------------------------------------------------ what is sold


class Channel(models.Model):
    """One shop front with a currency of its own."""

    code = models.SlugField(unique=True)
    name = models.CharField(max_length=60)
    claim = models.CharField(max_length=120, blank=True)
    text = models.CharField(max_length=200, blank=True)
    icon = models.CharField(max_length=40, default="store")
    accent = models.SlugField(default="green")
    currency = models.CharField(max_length=3, default="EUR")
    delivery_cost = amount(default=0)
    free_from = amount(default=0, help_text="Value of goods from which delivery is free.")

    def __str__(self):
        return self.name


class Category(models.Model):
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=60)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True)

    class Meta:
        verbose_name_plural = "categories"

    def __str__(self):
        return self.name


def trail(category_id, tree):
    """Return the slugs from a category up to its root; ``tree`` holds all categories by id."""
    slugs = []
    while category_id in tree and tree[category_id].slug not in slugs:
        slugs.append(tree[category_id].slug)
        category_id = tree[category_id].parent_id
    return slugs


class Brand(models.Model):
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=60)

    def __str__(self):
        return self.name


class Tag(models.Model):
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=60)

    def __str__(self):
        return self.name


class ProductQuerySet(models.QuerySet):
    """Products, with what a page or the adapter reads of them."""

    def whole(self):
        """Join category and brand and gather the tags: two statements for any number of rows."""
        return self.select_related("category", "brand").prefetch_related("tags")

    def families(self, names):
        """Return the references of each family, cheapest first."""
        found = {}
        cheapest_first = self.filter(family__in=set(names) - {""}).order_by(
            Coalesce("sale_price", "price"), "pk"
        )
        for pk, family in cheapest_first.values_list("pk", "family"):
            found.setdefault(family, []).append(str(pk))
        return found


class Product(models.Model):
    """A product, or a variant of one where ``parent`` is set."""

    channel = models.ForeignKey(Channel, models.PROTECT, related_name="products")
    sku = models.CharField(max_length=40, unique=True)
    title = models.CharField(max_length=120)
    variant = models.CharField(max_length=40, blank=True, help_text="What sets it apart: 256 GB.")
    text = models.TextField(blank=True)
    facts = models.JSONField(default=dict, blank=True)
    category = models.ForeignKey(Category, models.PROTECT, null=True, blank=True)
    brand = models.ForeignKey(Brand, models.PROTECT, null=True, blank=True)
    tags = models.ManyToManyField(Tag, blank=True)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="variants"
    )
    price = amount()
    sale_price = amount(null=True, blank=True)
    cost = amount(null=True, blank=True, help_text="Of one unit, without tax.")
    tax_rate = models.DecimalField(max_digits=5, decimal_places=4, default="0.2000")
    bulk_percent = models.PositiveSmallIntegerField(
        default=0, help_text="Taken off from three units on."
    )
    stock = models.IntegerField(null=True, blank=True, help_text="Empty: always available.")
    requires_shipping = models.BooleanField(default=True)
    sellable = models.BooleanField(default=True)
    is_gift_card = models.BooleanField(default=False)
    service_after_days = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Travel: departs, or begins, so many days after booking."
    )
    icon = models.CharField(max_length=40, default="package")
    family = models.CharField(max_length=40, blank=True, help_text="Models that replace another.")
    fits = models.CharField(max_length=200, blank=True, help_text="SKUs that it fits.")

    objects = ProductQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(stock__isnull=True) | models.Q(stock__gte=0),
                name="shop_stock_not_negative",
            )
        ]

    def __str__(self):
        return self.title

    @property
    def selling(self):
        """What one unit costs today, tax included."""
        return self.price if self.sale_price is None else self.sale_price

    @property
    def tax_code(self):
        return tax_code(self.tax_rate)


class PriceChangeQuerySet(models.QuerySet):
    def lowest(self, products, *, since):
        """Return each product's lowest price since then, by id; none where nothing is known."""
        lowest = {}
        rows = self.filter(product__in=products).order_by("since", "pk")
        for product_id, price, at in rows.values_list("product_id", "price", "since"):
            # A price holds until the next one: what was set earlier still counts at the start.
            known = lowest.get(product_id)
            lowest[product_id] = price if known is None or at <= since else min(price, known)
        return lowest


class PriceChange(models.Model):
    """From when on a product had a price: what a struck price must be measured by."""

    product = models.ForeignKey(Product, models.CASCADE, related_name="price_history")
    price = amount()
    since = models.DateTimeField(default=timezone.now)

    objects = PriceChangeQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["product", "since"], name="shop_price_since")]

    def __str__(self):
        return f"{self.product_id} {self.price} from {self.since:%Y-%m-%d}"


class Coupon(models.Model):
    """Takes a percentage off all goods of a basket."""

    code = models.CharField(max_length=20, unique=True)
    percent = models.PositiveIntegerField()
    least = amount(default=0, help_text="Value of goods from which it counts.")
    channel = models.ForeignKey(Channel, models.CASCADE, null=True, blank=True)

    def __str__(self):
        return self.code


# ------------------------------------------------------------------ who buys


class CustomerGroupQuerySet(models.QuerySet):
    def of(self, users):
        """Return user to the codes of their groups; no statement for nobody."""
        found = {}
        if users:
            rows = self.filter(customer__user__in=users)
            for user_id, code in rows.values_list("customer__user", "code"):
                found[user_id] = found.get(user_id, frozenset()) | {code}
        return found


class CustomerGroup(models.Model):
    code = models.SlugField(unique=True)
    name = models.CharField(max_length=60)

    objects = CustomerGroupQuerySet.as_manager()

    def __str__(self):
        return self.name


class Customer(models.Model):
    """What the shop knows of an account beyond its log-in."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="customer")
    groups = models.ManyToManyField(CustomerGroup, blank=True)
    street = models.CharField(max_length=200, blank=True)
    country = models.CharField(max_length=2, default="DE")

    def __str__(self):
        return str(self.user)


# ------------------------------------------------------------------ what was ordered


class Order(models.Model):
    number = models.CharField(max_length=20, unique=True)
    channel = models.ForeignKey(Channel, models.PROTECT)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    email = models.EmailField(blank=True)
    name = models.CharField(max_length=120, blank=True)
    street = models.CharField("address", max_length=200, blank=True)
    country = models.CharField(max_length=2, default="DE")
    locale = models.CharField(max_length=15, default="en")
    wants_mail = models.BooleanField("agreed to be written to", default=False)
    currency = models.CharField(max_length=3)
    payment_method = models.CharField(max_length=20, default="card")
    coupon = models.CharField(max_length=20, blank=True)
    card = models.CharField(max_length=40, blank=True)
    # Of a payment that the buyer made elsewhere: null, not empty, so that it can be unique.
    payment_reference = models.CharField(max_length=64, null=True, blank=True, unique=True)
    payment_facts = models.JSONField(default=dict, blank=True)
    paid = models.BooleanField(default=False)
    released = models.BooleanField("packed", default=False)
    shipped = models.BooleanField(default=False)
    shipped_at = models.DateTimeField(null=True, blank=True)
    cancelled = models.BooleanField(default=False)
    refunded = models.BooleanField(default=False)
    hold_until = models.DateTimeField("not to be packed before", null=True, blank=True)
    shipping_net = amount(default=0)
    shipping_gross = amount(default=0)
    total_net = amount(default=0)
    total_gross = amount(default=0)
    placed_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self):
        return self.number

    @property
    def total_tax(self):
        return self.total_gross - self.total_net

    @property
    def status(self):
        """The furthest it has come, in a word."""
        ways = {
            "cancelled": self.cancelled,
            "refunded": self.refunded,
            "shipped": self.shipped,
            "packed": self.released,
            "paid": self.paid,
        }
        waits = "waiting for payment" if self.payment_reference else "open invoice"
        return next((word for word, reached in ways.items() if reached), waits)


class OrderLineQuerySet(models.QuerySet):
    def bought_by(self, users, email):
        """Lines that these accounts or, whatever its case, an address bought and kept."""
        mine = models.Q(order__user__in=users)
        if email:
            mine |= models.Q(order__email__iexact=email)
        kept = self.filter(mine, returned__lt=models.F("quantity"), order__cancelled=False)
        return kept.exclude(order__refunded=True)


class OrderLine(models.Model):
    """``before`` is the list price of all units, ``total`` what was charged for them."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT)
    position = models.PositiveIntegerField(default=1)
    title = models.CharField(max_length=120)
    quantity = models.PositiveIntegerField(default=1)
    tax_rate = models.DecimalField(max_digits=5, decimal_places=4, default="0.2000")
    unit_net = amount()
    unit_gross = amount()
    before_net = amount()
    before_gross = amount()
    discount_gross = amount(default=0, help_text="This line's own discount.")
    coupon_gross = amount(default=0, help_text="Its share of the order's discounts.")
    total_net = amount()
    total_gross = amount()
    returned = models.PositiveIntegerField(default=0)
    service_at = models.DateTimeField(null=True, blank=True)
    locked_reason = models.CharField(max_length=40, blank=True)
    change_id = models.CharField(max_length=40, null=True, blank=True, unique=True)

    objects = OrderLineQuerySet.as_manager()

    def __str__(self):
        return f"{self.quantity} × {self.title}"

    @property
    def tax_code(self):
        return tax_code(self.tax_rate)


class OrderDiscount(models.Model):
    """A discount on the whole order when it was placed; each line holds its own share."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="discounts")
    label = models.CharField(max_length=60)
    code = models.CharField(max_length=20, blank=True)
    gross = amount()

    def __str__(self):
        return self.label


class OrderChange(models.Model):
    """A change of an order by an offer, once per id: stock held, applied, reverted."""

    class State(models.TextChoices):
        HELD = "held"
        RELEASED = "released"
        APPLIED = "applied"
        REVERTED = "reverted"

    change_id = models.CharField(max_length=40, unique=True)
    order = models.ForeignKey(Order, models.CASCADE, related_name="changes")
    product = models.ForeignKey(Product, models.PROTECT)
    quantity = models.PositiveIntegerField()
    taken = models.PositiveIntegerField(default=0, help_text="Units taken out of stock for it.")
    state = models.CharField(max_length=12, choices=State.choices, default=State.HELD)
    answer = models.JSONField(default=dict)

    def __str__(self):
        return f"{self.quantity} × {self.product_id}: {self.state}"

    def totals(self):
        """The order's totals before and after, as they were written."""
        return [
            {name: Decimal(text) for name, text in self.answer[when].items()}
            for when in ("before", "after")
        ]


class GiftCard(models.Model):
    """A balance to pay with. ``bought_with`` is none where the shop gave it away."""

    code = models.CharField(max_length=20, unique=True)
    currency = models.CharField(max_length=3)
    balance = amount()
    bought_with = models.ForeignKey(
        OrderLine, models.SET_NULL, null=True, blank=True, related_name="gift_cards"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(balance__gte=0), name="shop_gift_card_not_overdrawn"
            )
        ]

    def __str__(self):
        return f"{self.code[:4]}…"


class Payment(models.Model):
    """Money that came (``charge``) or went back (``refund``), or that an open invoice does not
    ask for any more (``credit``); once per reference."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="payments")
    kind = models.CharField(max_length=10)
    amount = amount()
    currency = models.CharField(max_length=3)
    reference = models.CharField(max_length=120)
    gateway = models.CharField(max_length=40)
    gift_card = models.ForeignKey(GiftCard, models.PROTECT, null=True, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "reference"], name="shop_payment_once")
        ]

    def __str__(self):
        return f"{self.kind} {Decimal(self.amount):f} {self.currency}"

    @property
    def way(self):
        """How it was paid, for the buyer."""
        if self.gateway == "gift_card":
            return f"Gift card {self.gift_card}"
        ways = {"card": "Card", "stripe": "Card", "payfriend": "Payfriend", "invoice": "Invoice"}
        return ways.get(self.gateway, self.gateway)
