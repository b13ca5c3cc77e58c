"""The basket of a session, and the order that becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

from django.db import transaction
from django.utils.crypto import get_random_string

from example_shop import orders, signals
from example_shop.models import (
    Channel,
    Coupon,
    GiftCard,
    Order,
    OrderDiscount,
    OrderLine,
    Payment,
    Product,
)
from upsell.ports import Price, allocate, gross_price, round_money

BULK_FROM = 3
DELIVERY_TAX = Decimal("0.2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One product in the basket, and what is taken off its price."""

    product: Product
    quantity: int
    before: Decimal
    bulk: Decimal = Decimal(0)
    """The row's own discount, for many units."""
    coupon: Decimal = Decimal(0)
    """Its share of the coupon."""

    @property
    def total(self):
        return self.before - self.bulk - self.coupon


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    rows: tuple[Row, ...] = ()
    channel: Channel | None = None
    coupon: Coupon | None = None
    gift_card: GiftCard | None = None
    delivery: Price = field(default_factory=lambda: Price.zero("EUR"))

    @property
    def currency(self):
        return self.channel.currency if self.channel else "EUR"

    @property
    def goods(self):
        """What the products cost without a coupon."""
        return sum((row.before - row.bulk for row in self.rows), Decimal(0))

    @property
    def bulk(self):
        return sum((row.bulk for row in self.rows), Decimal(0))

    @property
    def discount(self):
        return sum((row.coupon for row in self.rows), Decimal(0))

    @property
    def total(self):
        return self.goods - self.discount + self.delivery.gross

    @property
    def by_gift_card(self):
        return min(self.gift_card.balance, self.total) if self.gift_card else Decimal(0)

    @property
    def to_pay(self):
        return self.total - self.by_gift_card

    @property
    def count(self):
        return sum(row.quantity for row in self.rows)

    @property
    def ships(self):
        return any(row.product.requires_shipping for row in self.rows)

    @property
    def until_free(self):
        """What is missing for free delivery; nothing where delivery costs nothing already."""
        left = self.channel.free_from - self.goods if self.channel else 0
        return left if self.delivery.gross else 0


def basket_of(session, coupon=None, gift_card=None):
    """Read the basket; a coupon is spread over the rows to the cent, gift cards left out."""
    wanted = session.get("basket", {})
    products = Product.objects.select_related("channel").filter(pk__in=list(wanted), sellable=True)
    products = list(products.order_by("pk")) if wanted else []
    if not products:
        return Basket()
    channel = products[0].channel
    rows = [_row(product, wanted[str(product.pk)], channel.currency) for product in products]
    if coupon is not None:
        rows = _with_coupon(rows, coupon, channel.currency)
    return Basket(
        rows=tuple(rows),
        channel=channel,
        coupon=coupon,
        gift_card=gift_card,
        delivery=_delivery(rows, channel),
    )


def _row(product, quantity, currency):
    before = product.selling * quantity
    percent = product.bulk_percent if quantity >= BULK_FROM else 0
    bulk = round_money(before * percent / 100, currency)
    return Row(product=product, quantity=quantity, before=before, bulk=bulk)


def _with_coupon(rows, coupon, currency):
    weights = [Decimal(0) if row.product.is_gift_card else row.total for row in rows]
    off = round_money(sum(weights) * coupon.percent / 100, currency)
    shares = allocate(off, weights, currency)
    return [
        Row(
            product=row.product,
            quantity=row.quantity,
            before=row.before,
            bulk=row.bulk,
            coupon=share,
        )
        for row, share in zip(rows, shares, strict=True)
    ]


def _delivery(rows, channel):
    worth = sum(row.total for row in rows)
    ships = any(row.product.requires_shipping for row in rows)
    cost = channel.delivery_cost if ships and worth < channel.free_from else Decimal(0)
    return gross_price(cost, rate=DELIVERY_TAX, currency=channel.currency)


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
        NotNow: The gift card was used elsewhere meanwhile; nothing was written.
    """
    with transaction.atomic():
        orders.take({row.product.pk: row.quantity for row in basket.rows})
        if not basket.to_pay:
            fields |= {"payment_method": "gift_card", "card": ""}
        order = Order.objects.create(
            number=_number(),
            channel=basket.channel,
            user=user if user.is_authenticated else None,
            currency=basket.currency,
            coupon=basket.coupon.code if basket.coupon else "",
            paid=fields["payment_method"] in {"card", "gift_card"},
            shipping_net=basket.delivery.net,
            shipping_gross=basket.delivery.gross,
            **fields,
        )
        lines = [_line(order, place, row) for place, row in enumerate(basket.rows, start=1)]
        OrderLine.objects.bulk_create(lines)
        order.total_net = basket.delivery.net + sum(line.total_net for line in lines)
        order.total_gross = basket.total
        order.save(update_fields=["total_net", "total_gross"])
        if basket.discount:
            OrderDiscount.objects.create(
                order=order,
                code=order.coupon,
                label=f"Coupon {order.coupon}",
                gross=basket.discount,
            )
        _pay(order, basket)
        if order.paid:
            orders.issue_gift_cards(order)
        transaction.on_commit(partial(signals.order_placed.send_robust, sender=Order, order=order))
    return order


def _line(order, position, row):
    product, currency, rate = row.product, order.currency, row.product.tax_rate
    unit = gross_price(product.selling, rate=rate, currency=currency)
    before = gross_price(row.before, rate=rate, currency=currency)
    total = gross_price(row.total, rate=rate, currency=currency)
    return OrderLine(
        order=order,
        product=product,
        position=position,
        title=product.title,
        quantity=row.quantity,
        tax_rate=rate,
        unit_net=unit.net,
        unit_gross=unit.gross,
        before_net=before.net,
        before_gross=before.gross,
        discount_gross=row.bulk,
        coupon_gross=row.coupon,
        total_net=total.net,
        total_gross=total.gross,
        service_at=orders.service_of(product, order.placed_at),
        locked_reason="gift card" if product.is_gift_card else "",
    )


def _pay(order, basket):
    common = {"order": order, "kind": "charge", "currency": order.currency}
    if basket.by_gift_card:
        card = GiftCard.objects.select_for_update().get(pk=basket.gift_card.pk)
        if card.balance < basket.by_gift_card:
            raise orders.NotNow("This gift card was used meanwhile. Nothing was ordered.")
        card.balance -= basket.by_gift_card
        card.save(update_fields=["balance"])
        Payment.objects.create(
            **common,
            amount=basket.by_gift_card,
            reference=f"order-{order.number}-gift",
            gateway="gift_card",
            gift_card=card,
        )
    if basket.to_pay and order.paid:
        Payment.objects.create(
            **common, amount=basket.to_pay, reference=f"order-{order.number}", gateway="card"
        )


def _number():
    while True:
        number = get_random_string(6, "123456789")
        if not Order.objects.filter(number=number).exists():
            return number
