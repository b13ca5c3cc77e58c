"""The shop's goods and vouchers, and the models that Salesman lets a shop extend."""

from __future__ import annotations

from decimal import Decimal

from django.db import models, transaction
from salesman.basket.models import BaseBasket, BaseBasketItem
from salesman.orders.models import BaseOrder, BaseOrderItem, BaseOrderNote, BaseOrderPayment

from upsell.ports import allocate


class Goods(models.Model):
    """What Salesman asks of a product: a name, a code, and a price for a request."""

    name = models.CharField(max_length=80)
    code = models.SlugField(unique=True)
    price = models.DecimalField(max_digits=12, decimal_places=2)
    active = models.BooleanField(default=True)
    stock = None

    class Meta:
        abstract = True

    def get_price(self, request):
        return self.price


class Tea(Goods):
    """Goods on a shelf; cheaper for who has an account."""

    members_price = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    stock = models.PositiveIntegerField(default=0)

    def get_price(self, request):
        member = request.user.is_authenticated and self.members_price is not None
        return self.members_price if member else self.price


class Course(Goods):
    """A film to watch: nothing is sent, and it never sells out."""


class VoucherCode(models.Model):
    code = models.SlugField(unique=True)
    amount = models.DecimalField(max_digits=12, decimal_places=2)


class Basket(BaseBasket):
    pass


class BasketItem(BaseBasketItem):
    pass


class Order(BaseOrder):
    """An order that also knows its delivery as a number, and how it is paid."""

    PACKED = ("PACKED", "COMPLETED")
    CLOSED = ("CANCELLED", "REFUNDED")
    MONEY = ("subtotal", "shipping", "total", "_extra")

    shipping = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    payment_method = models.CharField(max_length=40, blank=True)

    @transaction.atomic
    def populate_from_basket(self, basket, request, **kwargs):
        """Keep what Salesman's rows say for people only: delivery, and each line's discount."""
        super().populate_from_basket(basket, request, **kwargs)
        rows = {name: row.instance["amount"] for name, row in basket.extra_rows.items()}
        self.shipping = rows.get("shipping", Decimal(0))
        self.save(update_fields=self.MONEY)
        items = list(self.items.order_by("pk"))
        shares = allocate(-rows.get("voucher", Decimal(0)), [row.total for row in items], "EUR")
        for item, share in zip(items, shares, strict=True):
            item.order_discount = share
            item.save(update_fields=["order_discount"])

    def save(self, *args, **kwargs):
        """Leave amounts alone unless they are named: staff save an order as they opened it."""
        if not self._state.adding and kwargs.get("update_fields") is None:
            names = {field.name for field in self._meta.concrete_fields if not field.primary_key}
            kwargs["update_fields"] = sorted(names - set(self.MONEY))
        super().save(*args, **kwargs)


class OrderItem(BaseOrderItem):
    order_discount = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    change_id = models.CharField(max_length=40, blank=True)

    class Meta(BaseOrderItem.Meta):
        ordering = ["pk"]  # Salesman's own are in no order: a line that comes back would be last


class OrderPayment(BaseOrderPayment):
    pass


class OrderNote(BaseOrderNote):
    pass


class OrderChange(models.Model):
    """What the adapter remembers of an offer: units held, and what it did to the order."""

    change_id = models.CharField(max_length=40, unique=True)
    order = models.ForeignKey(Order, models.PROTECT, related_name="changes")
    tea_id = models.BigIntegerField(null=True)
    taken = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=10, default="released")
    answer = models.JSONField(default=dict)
