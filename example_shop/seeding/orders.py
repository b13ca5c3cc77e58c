"""Past orders with a habit in them, and a few of today with offers answered by real requests."""

from __future__ import annotations

import random
import re
from datetime import timedelta
from decimal import Decimal

from django.contrib.auth import get_user_model
from django.test import Client

from example_shop.models import Channel, Order, OrderLine, Payment, Product
from upsell.ports import gross_price

FIRST_NUMBER = 500000
# Bought first, what some then also buy, how many of ten do. Affinities are found again in these.
HABITS = {
    "greenhome": [("wash7", "deter", 6), ("wash9", "dry8", 3), ("deter", "soft", 5),
                  ("clean", "moist", 6), ("moist", "night", 3), ("dry8", "balls", 4)],
    "techgadgets": [("aria5", "case", 6), ("aria5-256", "care", 4), ("ariapro", "casepro", 5),
                    ("cam", "sd", 8), ("ears", "plug", 3)],
    "wayfare": [("ber", "bag", 6), ("room", "food", 5), ("suite", "late", 3), ("car", "full", 5),
                ("ber", "insur", 3)],
    "kissa": [("sencha", "caddy", 4), ("matcha", "whisk", 7), ("gyokuro", "kyusu", 3)],
}  # fmt: skip
SHARES = (45, 30, 15, 10)


def past_orders(count, seed, now):
    """Write so many orders of the last months; the same seed gives the same ones, once.

    They are history: no stock is taken, and nobody is told.
    """
    have = Order.objects.filter(number__gte=str(FIRST_NUMBER), number__startswith="5")
    have = have.filter(number__contains="0").count()
    if have >= count:
        return 0
    chance = random.Random(seed)  # noqa: S311 - a story, not a secret
    products = {product.sku: product for product in Product.objects.all()}
    channels = {channel.code: channel for channel in Channel.objects.all()}
    users = list(get_user_model().objects.filter(username__in=["mara", "jonas"]).order_by("pk"))
    orders, lines = [], []
    for number in range(count):
        code = chance.choices(list(channels), weights=SHARES)[0]
        first, second, often = chance.choice(HABITS[code])
        skus = [first] + ([second] if chance.random() * 10 < often else [])
        if chance.random() < 0.2:
            skus.append(
                chance.choice([sku for sku in products if _of(products[sku], channels[code])])
            )
        age = timedelta(minutes=chance.randrange(2 * 1440, 150 * 1440))
        # Accounts bought tea only, so that every offer of the other shops is still theirs to see.
        user = chance.choice([*users, None]) if code == "kissa" else None
        order, rows = _order(number, channels[code], user, now - age, age)
        for position, sku in enumerate(dict.fromkeys(skus), start=1):
            rows.append(_line(order, position, products[sku], chance.choice([1, 1, 1, 2])))
        _sum_up(order, rows, chance)
        orders.append(order)
        lines += rows
    Order.objects.bulk_create(orders[have:], batch_size=500)
    kept = {order.number for order in orders[have:]}
    OrderLine.objects.bulk_create(
        [line for line in lines if line.order.number in kept], batch_size=500
    )
    Payment.objects.bulk_create([_payment(order) for order in orders[have:] if order.paid])
    return len(kept)


def _of(product, channel):
    return product.channel_id == channel.pk and not product.is_gift_card


def _order(number, channel, user, placed_at, age):
    order = Order(
        number=str(FIRST_NUMBER + number),
        channel=channel,
        user=user,
        email=user.email if user else f"guest{number % 23}@example.org",
        name=user.get_full_name() if user else f"Guest {number % 23}",
        street="Beispielweg 1, 10115 Berlin",
        currency=channel.currency,
        placed_at=placed_at,
        changed_at=placed_at,
        released=age > timedelta(days=3),
        shipped=age > timedelta(days=4),
    )
    return order, []


def _line(order, position, product, quantity):
    currency = order.currency
    unit = gross_price(product.price, rate=product.tax_rate, currency=currency)
    total = gross_price(product.price * quantity, rate=product.tax_rate, currency=currency)
    return OrderLine(
        order=order,
        product=product,
        position=position,
        title=product.title,
        quantity=quantity,
        tax_rate=product.tax_rate,
        unit_net=unit.net,
        unit_gross=unit.gross,
        before_net=total.net,
        before_gross=total.gross,
        total_net=total.net,
        total_gross=total.gross,
    )


def _sum_up(order, lines, chance):
    order.payment_method = chance.choice(["card", "card", "invoice"])
    order.card = "card_ok" if order.payment_method == "card" else ""
    order.paid = order.payment_method == "card" or order.shipped
    order.cancelled = chance.random() < 0.05 and not order.released
    order.total_net = sum((line.total_net for line in lines), Decimal(0))
    order.total_gross = sum((line.total_gross for line in lines), Decimal(0))


def _payment(order):
    return Payment(
        order=order,
        kind="charge",
        amount=order.total_gross,
        currency=order.currency,
        reference=f"order-{order.number}",
        gateway=order.payment_method,
        at=order.placed_at,
    )


# Who, what they buy, and their answer to the offer on the thank-you page.
TODAY = [
    ("mara", ["wash9"], "accept"),
    ("", ["wash7"], "accept"),
    ("jonas", ["aria5"], "accept"),
    ("", ["clean"], "decline"),
    ("", ["room"], "accept"),
    ("", ["car"], "decline"),
    ("", ["matcha"], "accept"),
    ("", ["cam"], ""),
    ("", ["ber"], "accept"),
]


def todays_offers():
    """Buy as a browser would, and answer what is offered. What is left open expires by itself."""
    products = dict(Product.objects.values_list("sku", "pk"))
    made = 0
    for number, (name, skus, answer) in enumerate(TODAY):
        browser = Client(HTTP_USER_AGENT="Mozilla/5.0 (demonstration)", HTTP_HOST="127.0.0.1")
        if name:
            browser.force_login(get_user_model().objects.get(username=name))
        for sku in skus:
            browser.post("/basket/change/", {"product": products[sku], "quantity": 1})
        bought = browser.post(
            "/checkout/",
            {
                "email": f"{name or f'guest{number}'}@example.org",
                "name": name.title() or "A Guest",
                "street": "Beispielweg 1, 10115 Berlin",
                "country": "DE",
                "payment_method": "card",
                "card": "card_ok",
                "do": "buy",
            },
        )
        page = browser.get(bought.headers["Location"]).content.decode()
        form = re.search(r'action="([^"]+/accept/)".*?name="quote" value="(\d+)"', page, re.S)
        if form and answer:
            url = form[1] if answer == "accept" else form[1].replace("/accept/", "/decline/")
            browser.post(url, {"quote": form[2], "answer": answer})
        made += form is not None
    return made
