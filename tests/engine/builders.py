"""The shop of the cases as plain values: no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from upsell.engine.campaigns import (
    Answers,
    CampaignSpec,
    History,
    OfferKind,
    QuantityRule,
    Trigger,
    TriggerKind,
)
from upsell.engine.money import round_money
from upsell.engine.types import (
    Availability,
    Collection,
    CollectionWay,
    Customer,
    Line,
    Occasion,
    Price,
    Product,
)

NOON = datetime(2026, 6, 10, 12, 0, tzinfo=UTC)
NOW = NOON + timedelta(minutes=1)

# ref: gross, tax rate, stock, parent, categories, ships, attributes, alternatives
GOODS: dict[str, dict[str, Any]] = {
    "W1": {"gross": "600", "stock": 10, "categories": {"Machines", "Laundry"}, "family": 1},
    "W2": {"gross": "840", "stock": 5, "categories": {"Machines", "Laundry"}, "family": 1},
    "DR": {"gross": "480", "stock": 0, "categories": {"Machines", "Laundry"}, "backorder": True},
    "DT": {"gross": "12", "stock": None, "categories": {"Supplies", "Laundry"}},
    "PH128": {"gross": "360", "stock": 9, "parent": "PH"},
    "PH256": {"gross": "420", "stock": 9, "parent": "PH"},
    "CA": {"gross": "24", "stock": 1, "fits": "PH128"},
    "EB": {"gross": "6", "stock": None, "ships": False},
    "IN": {"gross": "30", "stock": None, "ships": False, "rate": "0"},
}


def price(gross: str | Decimal, rate: str = "0.2", currency: str = "EUR") -> Price:
    amount = Decimal(gross)
    net = round_money(amount / (1 + Decimal(rate)), currency)
    return Price(currency=currency, net=net, gross=amount)


def product(ref: str) -> Product:
    row = GOODS[ref]
    return Product(
        ref=ref,
        title=ref,
        parent_ref=row.get("parent", ""),
        category_refs=frozenset(row.get("categories", ())),
        brand_ref="GreenHome" if row.get("family") else "",
        requires_shipping=row.get("ships", True),
        attributes={"fits": row["fits"]} if "fits" in row else {},
        alternatives=("W1", "W2") if row.get("family") else (),
    )


def line(ref: str, quantity: int = 1, *, paid: str = "", **options: Any) -> Line:
    rate = GOODS[ref].get("rate", "0.2")
    unit = price(GOODS[ref]["gross"], rate)
    return Line(
        ref=f"line-{ref}",
        product=product(ref),
        quantity=quantity,
        unit=unit,
        total=price(paid, rate) if paid else unit.times(quantity),
        total_before_discounts=unit.times(quantity),
        **options,
    )


def order(*lines: str | Line, **options: Any) -> Occasion:
    """The default order of the cases, one W1, with what is named changed."""
    made = tuple(line(row) if isinstance(row, str) else row for row in lines or ("W1",))
    goods = Price.zero("EUR")
    for row in made:
        goods += row.total
    values: dict[str, Any] = {
        "moment": "post_purchase",
        "ref": "1",
        "currency": "EUR",
        "lines": made,
        "goods": goods,
        "shipping": Price.zero("EUR"),
        "total": goods,
        "customer": Customer(ref="7", group_refs=frozenset({"retail"})),
        "channel": "web",
        "placed_at": NOON,
        "checkout_completed_at": NOON,
        "shipping_country": "DE",
        "has_shipping_address": True,
        "payment_method": "invoice",
    }
    return Occasion(**values | options)


def campaign(offers: str = "CA", *triggers: str | Trigger, **options: Any) -> CampaignSpec:
    """The default campaign of the cases, with what is named changed."""
    made = tuple(
        Trigger(kind=TriggerKind.PRODUCT, ref=row) if isinstance(row, str) else row
        for row in triggers
    )
    values: dict[str, Any] = {
        "id": 1,
        "priority": 10,
        "edited_at": NOON,
        "channels": frozenset({"web"}),
        "product_ref": offers,
        "triggers": made or (Trigger(kind=TriggerKind.ALWAYS),),
    }
    if options.get("kind") is OfferKind.UPSELL:
        values["quantity_rule"] = QuantityRule.MATCH
    return CampaignSpec(**values | options)


class Ports:
    """Answers for the engine, counting how often it asks."""

    def __init__(self, *, how: CollectionWay = CollectionWay.ADD_TO_BALANCE, **options: Any):
        self.collection = Collection(how=how, **options.pop("collection", {}))
        self.purchases = options.pop("purchases", ())
        self.asked: list[list[tuple[str, int]]] = []

    def __call__(self, wanted: Any) -> Answers:
        self.asked.append(list(wanted))
        refs = [ref for ref, _ in wanted if ref in GOODS]
        return Answers(
            products={ref: product(ref) for ref in refs},
            availability={
                ref: Availability(
                    ref=ref,
                    quantity=GOODS[ref]["stock"],
                    backorder=GOODS[ref].get("backorder", False),
                    unit=price(GOODS[ref]["gross"], GOODS[ref].get("rate", "0.2")),
                )
                for ref in refs
            },
            purchases=self.purchases,
            collection=self.collection,
        )


STAFF = History(staff=True)
