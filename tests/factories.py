"""Rows with plain defaults: the example shop's order and the campaigns on it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

from example_shop.models import Category, Channel, Order, OrderLine, Product
from upsell.models import Campaign, CampaignTrigger
from upsell.ports import round_money

CATALOGUE: dict[str, tuple[str, str, int | None, str, str]] = {
    # sku: gross price, tax rate, stock, category, family
    "W1": ("600", "0.2", 10, "machines", "washers"),
    "W2": ("840", "0.2", 5, "machines", "washers"),
    "DR": ("480", "0.2", 0, "machines", ""),
    "DT": ("12", "0.2", None, "supplies", ""),
    "CA": ("24", "0.2", 20, "", ""),
    "IN": ("30", "0", None, "", ""),
}


def catalogue(currency: str = "EUR") -> dict[str, Product]:
    """Stock the shop of the cases; products by SKU."""
    channel, _ = Channel.objects.get_or_create(
        code="web", defaults={"name": "Web", "currency": currency}
    )
    laundry, _ = Category.objects.get_or_create(slug="laundry", defaults={"name": "Laundry"})
    made: dict[str, Product] = {}
    for sku, (price, rate, stock, category, family) in CATALOGUE.items():
        row = None
        if category:
            row, _ = Category.objects.get_or_create(
                slug=category, defaults={"name": category.title(), "parent": laundry}
            )
        made[sku] = Product.objects.create(
            channel=channel,
            sku=sku,
            title=sku,
            price=price,
            tax_rate=rate,
            stock=stock,
            category=row,
            family=family,
            requires_shipping=sku != "IN",
        )
    return made


def order(
    products: dict[str, Product],
    *lines: tuple[str, int],
    charged: dict[str, str] | None = None,
    **options: Any,
) -> Order:
    """Place an order; ``charged`` gives a line's gross where a discount lowered it."""
    channel = Channel.objects.get(code="web")
    placed_at: datetime = options.pop("placed_at", timezone.now())
    options = {
        "payment_method": "card",
        "card": "card_ok",
        "paid": True,
        "email": "buyer@example.org",
        "street": "Street 1",
    } | options
    made = Order.objects.create(
        number=f"1{Order.objects.count():03}",
        channel=channel,
        currency=channel.currency,
        placed_at=placed_at,
        **options,
    )
    for position, (sku, quantity) in enumerate(lines or (("W1", 1),), start=1):
        product = products[sku]
        before = Decimal(product.price) * quantity
        gross = Decimal((charged or {}).get(sku, before))
        rate, currency = 1 + Decimal(product.tax_rate), channel.currency
        net = round_money(gross / rate, currency)
        unit = round_money(Decimal(product.price) / rate, currency)
        OrderLine.objects.create(
            order=made,
            product=product,
            position=position,
            title=product.title,
            quantity=quantity,
            unit_net=unit,
            unit_gross=product.price,
            tax_rate=product.tax_rate,
            total_net=net,
            total_gross=gross,
            before_net=unit * quantity,
            before_gross=before,
            coupon_gross=before - gross,
        )
        made.total_net += net
        made.total_gross += gross
    made.save()
    return Order.objects.get(pk=made.pk)


def campaign(offers: Product, *triggers: Product, **options: Any) -> Campaign:
    """Write a live campaign in the shop of the cases; no trigger means every order."""
    count = Campaign.objects.count()
    options = {
        "name": f"Campaign {count}",
        "slug": f"campaign-{count}",
        "status": "LIVE",
        "kind": "CROSS_SELL",
        "channels": ["web"],
        "priority": 10,
        "not_bought_days": None,
    } | options
    if options["kind"] == "UPSELL":
        options.setdefault("quantity_rule", "MATCH")
    made = Campaign.objects.create(product_ref=str(offers.pk), **options)
    for trigger in triggers:
        CampaignTrigger.objects.create(campaign=made, kind="PRODUCT", ref=str(trigger.pk))
    if not triggers:
        CampaignTrigger.objects.create(campaign=made, kind="ALWAYS")
    return made
