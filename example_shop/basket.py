"""The basket of a session, and the order that becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction
from django.db.models import F
from django.utils.crypto import get_random_string

from example_shop.models import Order, OrderLine, Payment, Product
from example_shop.signals import order_placed
from upsell.ports import allocate, round_money


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One product in the basket; ``total`` is after its share of the coupon."""

    product: Product
    quantity: int
    before: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    rows: tuple[Row, ...]
    currency: str
    coupon: str = ""

    @property
    def goods(self):
        return sum((row.before for row in self.rows), Decimal(0))

    @property
    def total(self):
        return sum((row.total for row in self.rows), Decimal(0))

    @property
    def discount(self):
        return self.goods - self.total

    @property
    def count(self):
        return sum(row.quantity for row in self.rows)

    @property
    def channel(self):
        return self.rows[0].product.channel if self.rows else None


class SoldOut(Exception):
    """Somebody else was faster."""


def basket_of(session, coupon=None):
    """Read the basket; a coupon's discount is spread over the lines to the cent."""
    wanted = session.get("basket", {})
    products = Product.objects.select_related("channel").filter(pk__in=list(wanted), sellable=True)
    products = list(products.order_by("pk"))
    if not products:
        return Basket(rows=(), currency="EUR")
    currency = products[0].channel.currency
    before = [product.price * wanted[str(product.pk)] for product in products]
    off = Decimal(coupon.percent if coupon else 0) / 100
    shares = allocate(round_money(sum(before) * off, currency), before, currency)
    rows = tuple(
        Row(product=product, quantity=wanted[str(product.pk)], before=full, total=full - share)
        for product, full, share in zip(products, before, shares, strict=True)
    )
    return Basket(rows=rows, currency=currency, coupon=coupon.code if coupon else "")


def put(session, product, quantity):
    """Set how many of a product are wanted. A basket holds products of one channel."""
    wanted = dict(session.get("basket", {}))
    others = Product.objects.filter(pk__in=list(wanted)).exclude(channel=product.channel)
    if others.exists():
        wanted = {}
    wanted[str(product.pk)] = quantity
    session["basket"] = {ref: count for ref, count in wanted.items() if count > 0}


def place(basket, user, **fields):
    """Make the order, take the stock, and say so once everything is written.

    Raises:
        SoldOut: A product has fewer units than wanted; nothing was written.
    """
    with transaction.atomic():
        order = Order.objects.create(
            number=_number(),
            channel=basket.channel,
            user=user if user.is_authenticated else None,
            currency=basket.currency,
            coupon=basket.coupon,
            paid=fields["payment_method"] == "card",
            **fields,
        )
        for position, row in enumerate(basket.rows, start=1):
            _take(row)
            _write(order, position, row)
        order.save(update_fields=["total_net", "total_gross"])
        if order.paid:
            Payment.objects.create(
                order=order,
                kind="charge",
                amount=order.total_gross,
                currency=order.currency,
                reference=f"order-{order.number}",
                gateway="card",
            )
        transaction.on_commit(lambda: order_placed.send(sender=Order, order=order))
    return order


def _take(row):
    rows = Product.objects.filter(pk=row.product.pk, stock__isnull=False)
    if rows.exists() and not rows.filter(stock__gte=row.quantity).update(
        stock=F("stock") - row.quantity
    ):
        raise SoldOut(row.product.title)


def _write(order, position, row):
    currency, rate = order.currency, 1 + row.product.tax_rate
    net = round_money(row.total / rate, currency)
    OrderLine.objects.create(
        order=order,
        product=row.product,
        position=position,
        title=row.product.title,
        quantity=row.quantity,
        unit_net=round_money(row.product.price / rate, currency),
        unit_gross=row.product.price,
        total_net=net,
        total_gross=row.total,
        before_net=round_money(row.before / rate, currency),
        before_gross=row.before,
    )
    order.total_net += net
    order.total_gross += row.total


def _number():
    while True:
        number = get_random_string(6, "123456789")
        if not Order.objects.filter(number=number).exists():
            return number
