"""Pictures beside an offer: today's price and a link to the product, and no promise."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q, Sum

from upsell import conf
from upsell.engine.history import Ancillary
from upsell.models import EventInbox, JourneyRun, OrderLineFact
from upsell.ports import Occasion, Product
from upsell.services import ancillaries

LOOKED_BACK = timedelta(days=90)
MOST_ASKED = 40


def suggestions(
    run: JourneyRun,
    occasion: Occasion,
    *,
    count: int,
    without: Collection[str],
    now: datetime,
) -> list[dict[str, Any]]:
    """Return up to ``count`` products, as a message shows them, best first.

    Looked at by the buyer and not bought comes first, then best sellers among the sales channel's
    ancillary products; inside each the dearer first. Never what was bought, declined or sold out.

    Cost: two statements of ours, and two calls of the shop's ports.
    """
    bought = {line.product.ref for line in occasion.lines}
    bought |= {line.product.parent_ref for line in occasion.lines if line.product.parent_ref}
    never = bought | set(without)
    kinds = ancillaries.of(occasion, channel=occasion.channel, now=now)
    looked = [ref for ref in _looked_at(run, now=now) if ref not in never]
    sellers = [ref for ref in _best_sellers(occasion.channel, kinds, now=now) if ref not in never]
    reasons = dict.fromkeys(sellers, "best_seller") | dict.fromkeys(looked, "looked_at")
    refs = list(dict.fromkeys([*looked, *sellers]))[:MOST_ASKED]
    if not refs:
        return []
    shop = conf.shop()
    products = shop.products(refs)
    wanted = [(ref, 1) for ref in refs if ref in products]
    there = shop.availability(wanted, occasion)
    rows: list[dict[str, Any]] = []
    for ref in refs:
        product, stock = products.get(ref), there.get(ref)
        if product is None or stock is None or not _is_to_be_had(product, stock):
            continue
        if stock.unit is None or stock.unit.currency != occasion.currency:
            continue
        if not _is_ancillary(product, kinds):
            continue
        rows.append(
            {
                "ref": ref,
                "name": product.title,
                "url": product.url,
                "image": product.image_url,
                "price": str(stock.unit.gross),
                "currency": stock.unit.currency,
                "reason": reasons[ref],
            }
        )
    order = {"looked_at": 0, "best_seller": 1}
    rows.sort(key=lambda row: (order[row["reason"]], -Decimal(row["price"]), row["ref"]))
    return rows[:count]


def _is_to_be_had(product: Product, stock: Any) -> bool:
    enough = stock.quantity is None or stock.quantity > 0 or stock.backorder
    return product.sellable and stock.sellable and stock.ships and enough


def _looked_at(run: JourneyRun, *, now: datetime) -> list[str]:
    rows = EventInbox.objects.filter(
        customer_key=run.customer_key, name="product.viewed", occurred_at__gt=now - LOOKED_BACK
    ).order_by("-occurred_at")
    told = (row.get("product_ref") for row in rows.values_list("parameters", flat=True)[:200])
    return list(dict.fromkeys(str(ref) for ref in told if ref))


def _is_ancillary(product: Product, kinds: Ancillary) -> bool:
    return (
        product.ref in kinds.product_refs
        or not product.tags.isdisjoint(kinds.tags)
        or not product.category_refs.isdisjoint(kinds.category_refs)
    )


def _best_sellers(channel: str, kinds: Ancillary, *, now: datetime) -> list[str]:
    meant = Q(category_ref__in=kinds.category_refs) | Q(product_ref__in=kinds.product_refs)
    if not kinds.category_refs and not kinds.product_refs:
        return []
    rows = OrderLineFact.objects.filter(
        order_fact__channel=channel,
        order_fact__placed_at__gt=now - LOOKED_BACK,
    ).filter(meant)
    best = rows.values("product_ref").annotate(sold=Sum("quantity")).order_by("-sold")
    return [row["product_ref"] for row in best[:MOST_ASKED]]
