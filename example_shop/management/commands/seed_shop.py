"""Fill the shop: products, people, coupons, campaigns and past orders. May run again."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from example_shop.models import (
    Brand,
    Category,
    Channel,
    Coupon,
    GiftCard,
    PriceChange,
    Product,
    Tag,
)
from example_shop.seeding import campaigns, catalogue
from example_shop.seeding.orders import past_orders, todays_offers
from example_shop.seeding.people import people
from upsell import hooks


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--orders", type=int, default=60, help="Past orders to make.")
        parser.add_argument("--seed", type=int, default=7, help="The same seed, the same orders.")
        parser.add_argument("--offers", action="store_true", help="Also answer a few offers.")

    def handle(self, *, orders, seed, offers, **_):
        now = timezone.now()
        with transaction.atomic():
            products = _products(now)
            people()
            written = _campaigns(products, now)
            made = past_orders(orders, seed, now)
            if getattr(settings, "UPSELL_BASE_URL", ""):  # a mail has a link to leave by
                # In a test a day is a minute: who books a flight and ticks the box sees it all.
                hooks.start_journey("flight", channels=["wayfare"], testers=["*"], compressed=True)
        told = f"{len(products)} products, {written} campaigns, {made} past orders"
        self.stdout.write(f"{told}, {todays_offers()} offers." if offers else f"{told}.")


def _products(now):
    shelves = {}
    for slug, name, parent in catalogue.CATEGORIES:
        fields = {"name": name, "parent": shelves.get(parent)}
        shelves[slug], _ = Category.objects.update_or_create(slug=slug, defaults=fields)
    brands = {slug: _named(Brand, slug, name) for slug, name in catalogue.BRANDS.items()}
    tags = {slug: _named(Tag, slug, name) for slug, name in catalogue.TAGS.items()}
    made, channels = {}, {}
    for code, fields in catalogue.CHANNELS.items():
        channels[code], _ = Channel.objects.update_or_create(code=code, defaults=fields)
        for row in catalogue.PRODUCTS[code]:
            row = {**row, "category": shelves[row["category"]], "brand": brands[row["brand"]]}
            made[row["sku"]] = _product(row, channels[code], made, tags, now)
    for code, row in catalogue.COUPONS.items():
        row = {**row, "channel": channels.get(row.get("channel"))}
        Coupon.objects.get_or_create(code=code, defaults=row)
    for code, (currency, balance) in catalogue.GIFT_CARDS.items():
        GiftCard.objects.get_or_create(
            code=code, defaults={"currency": currency, "balance": balance}
        )
    return made


def _named(model, slug, name):
    return model.objects.update_or_create(slug=slug, defaults={"name": name})[0]


def _product(row, channel, made, tags, now):
    tagged = [tags[slug] for slug in row.pop("tags", ())]
    travels = channel.code == "wayfare"
    row = {"tax_rate": "0.1" if travels else "0.2", "requires_shipping": not travels, **row}
    row["parent"] = made.get(row.get("parent"))
    row["channel"] = channel
    for name in ("price", "cost", "sale_price", "tax_rate"):
        row[name] = None if row.get(name) is None else Decimal(row[name])
    product, new = Product.objects.get_or_create(sku=row.pop("sku"), defaults=row)
    product.tags.set(tagged)
    if new:
        PriceChange.objects.create(
            product=product, price=product.price, since=now - timedelta(days=200)
        )
        if product.sale_price is not None:
            PriceChange.objects.create(
                product=product, price=product.sale_price, since=now - timedelta(days=10)
            )
    return product


def _campaigns(products, now):
    ids = {sku: str(product.pk) for sku, product in products.items()}
    for campaign in campaigns.CAMPAIGNS:
        hooks.save_campaign(**campaigns.fields(campaign, ids, now))
    if hooks.save_experiment(**campaigns.EXPERIMENT) == "DRAFT":
        hooks.start_experiment(slug=campaigns.EXPERIMENT["slug"])
    return len(campaigns.CAMPAIGNS)
