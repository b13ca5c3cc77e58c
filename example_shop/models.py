"""A small real shop: what it sells, and what was ordered."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


def amount(**options):
    return models.DecimalField(max_digits=19, decimal_places=4, **options)


class Channel(models.Model):
    code = models.SlugField(unique=True)
    name = models.CharField(max_length=60)
    claim = models.CharField(max_length=120, blank=True)
    accent = models.SlugField(default="green")
    currency = models.CharField(max_length=3, default="EUR")

    def __str__(self):
        return self.name


class Category(models.Model):
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=60)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True)

    def __str__(self):
        return self.name


class Product(models.Model):
    """A product, or a variant of one where ``parent`` is set."""

    channel = models.ForeignKey(Channel, models.PROTECT, related_name="products")
    sku = models.CharField(max_length=40, unique=True)
    title = models.CharField(max_length=120)
    text = models.TextField(blank=True)
    facts = models.JSONField(default=dict, blank=True)
    category = models.ForeignKey(Category, models.PROTECT, null=True, blank=True)
    brand = models.CharField(max_length=60, blank=True)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="variants"
    )
    price = amount()
    tax_rate = models.DecimalField(max_digits=5, decimal_places=4, default="0.2000")
    stock = models.IntegerField(null=True, blank=True)
    requires_shipping = models.BooleanField(default=True)
    sellable = models.BooleanField(default=True)
    icon = models.CharField(max_length=40, default="package")
    family = models.CharField(max_length=40, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(stock__isnull=True) | models.Q(stock__gte=0),
                name="shop_stock_not_negative",
            )
        ]

    def __str__(self):
        return self.title


class Coupon(models.Model):
    """Takes a percentage off all goods of a basket."""

    code = models.CharField(max_length=20, unique=True)
    percent = models.PositiveIntegerField()

    def __str__(self):
        return self.code


class Order(models.Model):
    number = models.CharField(max_length=20, unique=True)
    channel = models.ForeignKey(Channel, models.PROTECT)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    email = models.EmailField()
    name = models.CharField(max_length=120, blank=True)
    street = models.CharField(max_length=200, blank=True)
    country = models.CharField(max_length=2, default="DE")
    currency = models.CharField(max_length=3)
    payment_method = models.CharField(max_length=20, default="card")
    coupon = models.CharField(max_length=20, blank=True)
    card = models.CharField(max_length=40, blank=True)
    paid = models.BooleanField(default=False)
    released = models.BooleanField(default=False)
    cancelled = models.BooleanField(default=False)
    total_net = amount(default=0)
    total_gross = amount(default=0)
    placed_at = models.DateTimeField(default=timezone.now)

    def __str__(self):
        return self.number


class OrderLine(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT)
    position = models.PositiveIntegerField(default=1)
    title = models.CharField(max_length=120)
    quantity = models.PositiveIntegerField(default=1)
    unit_net = amount()
    unit_gross = amount()
    total_net = amount()
    total_gross = amount()
    before_net = amount()
    before_gross = amount()
    returned = models.PositiveIntegerField(default=0)
    locked_reason = models.CharField(max_length=40, blank=True)
    change_id = models.CharField(max_length=40, null=True, blank=True, unique=True)

    def __str__(self):
        return f"{self.quantity} x {self.title}"


class Change(models.Model):
    """A change of an order by an offer: stock held, applied, reverted. Once per id."""

    change_id = models.CharField(max_length=40, unique=True)
    product = models.ForeignKey(Product, models.PROTECT)
    quantity = models.PositiveIntegerField()
    state = models.CharField(max_length=12, default="held")
    answer = models.JSONField(default=dict)

    def __str__(self):
        return f"{self.change_id} {self.state}"


class Payment(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="payments")
    kind = models.CharField(max_length=10)
    amount = amount()
    currency = models.CharField(max_length=3)
    reference = models.CharField(max_length=120)
    gateway = models.CharField(max_length=40)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "reference"], name="shop_payment_once")
        ]

    def __str__(self):
        return f"{self.kind} {self.amount} {self.currency}"
