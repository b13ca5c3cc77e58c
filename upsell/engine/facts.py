"""The facts of ours that conditions may name, and those that an order and an event tell of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from upsell.engine.conditions import Asked, FactSpec, FactType, Money, Value
from upsell.engine.journeys.matching import matches, names_of
from upsell.engine.types import Customer, Line, Occasion

SEGMENT = "segment"
"""Stands for the conditions of a segment, and is replaced by them before a tree is read."""

_BOOL, _INT, _TEXT, _REFS = FactType.BOOL, FactType.INT, FactType.TEXT, FactType.REFS
_MONEY, _DECIMAL, _AT = FactType.MONEY, FactType.DECIMAL, FactType.DATETIME

_BOUGHT = ("product", "category", "tag", "ancillary", "channel", "within", "since", "match_starter")

_SPECS = (
    FactSpec(name="order.net", type=_MONEY, label="Order: goods, net"),
    FactSpec(name="order.total", type=_MONEY, label="Order: total, gross"),
    FactSpec(
        name="order.to_median",
        type=_DECIMAL,
        label="Order: goods, net, to the median order of the sales channel",
    ),
    FactSpec(name="order.currency", type=_TEXT, label="Order: currency"),
    FactSpec(name="order.channel", type=_TEXT, label="Order: sales channel"),
    FactSpec(name="order.country", type=_TEXT, label="Order: delivery country"),
    FactSpec(name="order.lines", type=_INT, label="Order: lines", unit="lines"),
    FactSpec(name="order.units", type=_INT, label="Order: units", unit="units"),
    FactSpec(name="order.product_refs", type=_REFS, label="Order: products"),
    FactSpec(name="order.category_refs", type=_REFS, label="Order: categories"),
    FactSpec(name="order.brand_refs", type=_REFS, label="Order: brands"),
    FactSpec(name="order.tags", type=_REFS, label="Order: tags of products"),
    FactSpec(name="order.coupons", type=_REFS, label="Order: coupons"),
    FactSpec(name="order.service_at", type=_AT, label="Order: departure, check-in or pick-up"),
    FactSpec(name="order.placed_at", type=_AT, label="Order: placed at"),
    FactSpec(name="order.payment_method", type=_TEXT, label="Order: payment method"),
    FactSpec(name="order.shipping_method", type=_TEXT, label="Order: delivery method"),
    FactSpec(name="order.cancelled", type=_BOOL, label="Order: cancelled"),
    FactSpec(name="order.refunded", type=_BOOL, label="Order: fully refunded"),
    FactSpec(name="order.released", type=_BOOL, label="Order: packed or shipped"),
    FactSpec(name="order.is_renewal", type=_BOOL, label="Order: is a renewal"),
    FactSpec(name="starter.name", type=_TEXT, label="Starting event: name"),
    FactSpec(name="starter.at", type=_AT, label="Starting event: when"),
    FactSpec(name="starter.order_ref", type=_TEXT, label="Starting event: order"),
    FactSpec(name="starter.channel", type=_TEXT, label="Starting event: sales channel"),
    FactSpec(name="starter.product_refs", type=_REFS, label="Starting event: products"),
    FactSpec(name="starter.category_refs", type=_REFS, label="Starting event: categories"),
    FactSpec(name="starter.tags", type=_REFS, label="Starting event: tags of products"),
    FactSpec(name="starter.value", type=_MONEY, label="Starting event: amount"),
    FactSpec(name="starter.service_at", type=_AT, label="Starting event: service begins"),
    FactSpec(
        name="starter.param",
        type=_TEXT,
        label="Starting event: parameter, as text",
        args=("name",),
        needs=("name",),
    ),
    FactSpec(
        name="starter.number",
        type=_DECIMAL,
        label="Starting event: parameter, as number",
        args=("name",),
        needs=("name",),
    ),
    FactSpec(
        name="starter.refs",
        type=_REFS,
        label="Starting event: parameter, as references",
        args=("name",),
        needs=("name",),
    ),
    FactSpec(
        name="event.param",
        type=_TEXT,
        label="This event: parameter, as text",
        args=("name",),
        needs=("name",),
    ),
    FactSpec(
        name="event.number",
        type=_DECIMAL,
        label="This event: parameter, as number",
        args=("name",),
        needs=("name",),
    ),
    FactSpec(
        name="event.refs",
        type=_REFS,
        label="This event: parameter, as references",
        args=("name",),
        needs=("name",),
    ),
    FactSpec(
        name="event.matches",
        type=_BOOL,
        label="This event: is about what the run began with",
        args=("match_starter",),
        needs=("match_starter",),
    ),
    FactSpec(
        name="event.count",
        type=_INT,
        label="Events of this buyer",
        unit="events",
        args=("name", "within", "since_entry", "match_starter", "product", "category", "path"),
        needs=("name",),
    ),
    FactSpec(
        name="webhook.param",
        type=_TEXT,
        label="Answer of a call: field, as text",
        args=("step", "name"),
        needs=("step", "name"),
    ),
    FactSpec(
        name="webhook.number",
        type=_DECIMAL,
        label="Answer of a call: field, as number",
        args=("step", "name"),
        needs=("step", "name"),
    ),
    FactSpec(name="customer.orders_count", type=_INT, label="Buyer: orders so far", unit="orders"),
    FactSpec(name="customer.new", type=_BOOL, label="Buyer: first order"),
    FactSpec(
        name="customer.gaps_since_last",
        type=_DECIMAL,
        label="Buyer: time since the last order, in median gaps between orders",
    ),
    FactSpec(name="customer.groups", type=_REFS, label="Buyer: groups"),
    FactSpec(name="customer.guest", type=_BOOL, label="Buyer: without an account"),
    FactSpec(name="customer.locale", type=_TEXT, label="Buyer: locale"),
    FactSpec(name="customer.timezone", type=_TEXT, label="Buyer: time zone"),
    FactSpec(name="purchased", type=_BOOL, label="Bought", args=_BOUGHT),
    FactSpec(
        name="purchases.count", type=_INT, label="Orders with it", unit="orders", args=_BOUGHT
    ),
    FactSpec(
        name="purchases.value",
        type=_MONEY,
        label="Spent on it, net of returns",
        args=(*_BOUGHT, "currency"),
    ),
    FactSpec(name="purchases.last_at", type=_AT, label="Last bought at", args=_BOUGHT),
    FactSpec(
        name="purchases.last_ago",
        type=FactType.DURATION,
        label="Time since last bought",
        args=_BOUGHT,
    ),
    FactSpec(name="returned", type=_BOOL, label="Order: something came back", args=("primary",)),
    FactSpec(
        name="usage.ratio",
        type=_DECIMAL,
        label="Usage: share of the limit",
        args=("metric",),
        needs=("metric",),
    ),
    FactSpec(name=SEGMENT, type=_BOOL, label="Is in the segment", args=("slug",), needs=("slug",)),
)

OURS: Mapping[str, FactSpec] = {spec.name: spec for spec in _SPECS}
"""By name. A shop adds its own; see ``Shop.fact_specs``."""


# ------------------------------------------------------------------ of an order


def of_order(order: Occasion, /) -> dict[str, Value]:
    """Return the ``order.*`` facts that an order tells of, by name. What came back is not in it."""
    lines = [line for line in order.lines if line.live_quantity > 0]
    told: dict[str, Value | None] = {
        "order.net": Money(amount=order.goods.net, currency=order.currency),
        "order.total": Money(amount=order.total.gross, currency=order.currency),
        "order.currency": order.currency,
        "order.channel": order.channel,
        "order.country": order.shipping_country or None,
        "order.lines": len(lines),
        "order.units": sum(line.live_quantity for line in lines),
        "order.product_refs": products_of(lines),
        "order.category_refs": categories_of(lines),
        "order.brand_refs": frozenset(
            line.product.brand_ref for line in lines if line.product.brand_ref
        ),
        "order.tags": tags_of(lines),
        "order.coupons": frozenset(order.coupons),
        "order.service_at": service_at(order),
        "order.placed_at": order.placed_at or order.checkout_completed_at,
        "order.payment_method": order.payment_method or None,
        "order.shipping_method": order.shipping_method or None,
        "order.cancelled": order.cancelled,
        "order.refunded": is_refunded(order),
        "order.released": order.released,
        "order.is_renewal": order.is_renewal,
    }
    return {name: value for name, value in told.items() if value is not None}


def products_of(lines: list[Line] | tuple[Line, ...], /) -> frozenset[str]:
    """Return the products of lines, and the parents of variants."""
    refs = {line.product.ref for line in lines} | {line.product.parent_ref for line in lines}
    return frozenset(refs - {""})


def categories_of(lines: list[Line] | tuple[Line, ...], /) -> frozenset[str]:
    """Return the categories of lines, with all those above."""
    return frozenset().union(*(line.product.category_refs for line in lines))


def tags_of(lines: list[Line] | tuple[Line, ...], /) -> frozenset[str]:
    """Return the tags of the products of lines."""
    return frozenset().union(*(line.product.tags for line in lines))


def service_at(order: Occasion, /) -> datetime | None:
    """Return when the first service of an order begins; none = there is none."""
    return min(
        (line.service_at for line in order.lines if line.service_at and line.live_quantity > 0),
        default=None,
    )


def is_refunded(order: Occasion, /) -> bool:
    """Say whether all of an order's money went back."""
    return order.closed_reason == "refunded"


def came_back(order: Occasion, /, *, primary: frozenset[str] | None = None) -> bool:
    """Say whether something of an order came back.

    Args:
        order: The order as it is now.
        primary: The products that the order was about: all of those have to be back. None =
            anything.
    """
    if is_refunded(order):
        return True
    if primary is None:
        return any(line.returned > 0 for line in order.lines)
    lines = [line for line in order.lines if primary & {line.product.ref, line.product.parent_ref}]
    return bool(lines) and all(line.live_quantity <= 0 for line in lines)


def of_customer(customer: Customer, /, *, bought: int | None) -> dict[str, Value]:
    """Return the ``customer.*`` facts, by name.

    Args:
        customer: As an order tells of them.
        bought: Orders that our mirror of the shop's knows of; none = not looked up.
    """
    counts = [count for count in (customer.orders_count, bought) if count is not None]
    # The shop may tell what it was with that order, and the mirror forgets old ones.
    orders = max(counts, default=None)
    told: dict[str, Value | None] = {
        "customer.orders_count": orders,
        "customer.new": None if orders is None else orders <= 1,
        "customer.groups": customer.group_refs,
        "customer.guest": not customer.ref,
        "customer.locale": customer.locale or None,
        "customer.timezone": customer.timezone or None,
    }
    return {name: value for name, value in told.items() if value is not None}


# ------------------------------------------------------------------ of an event


def of_starter(asked: Asked, starter: Mapping[str, Any], /) -> Value | None:
    """Return a ``starter.*`` fact; none = the event did not tell.

    Args:
        asked: What is asked.
        starter: The frozen event: ``name``, ``at`` (a datetime, or its ISO text), ``order_ref``
            and ``parameters``.
    """
    parameters: Mapping[str, Any] = starter.get("parameters") or {}
    match asked.fact:
        case "starter.name":
            return _text(starter.get("name"))
        case "starter.at":
            return _at(starter.get("at"))
        case "starter.order_ref":
            return _text(starter.get("order_ref") or parameters.get("order_ref"))
        case _:
            return _of_parameters(asked, parameters)


def of_event(asked: Asked, event: Mapping[str, Any], starter: Mapping[str, Any], /) -> Value | None:
    """Return an ``event.*`` fact of the event at hand; none = it does not tell.

    Args:
        asked: What is asked.
        event: The event, as a starter is told.
        starter: The frozen event of the run; empty where there is no run yet.
    """
    parameters = parameters_of(event)
    if asked.fact == "event.matches":
        return matches(
            parameters_of(starter), parameters, names_of(dict(asked.args)["match_starter"])
        )
    return _of_parameters(asked, parameters)


def of_answer(asked: Asked, answers: Mapping[str, Mapping[str, Any]], /) -> Value | None:
    """Return a ``webhook.*`` fact; none = that step was not answered so, or not yet.

    Args:
        asked: What is asked, of which step.
        answers: Step to the fields of its answer. Yes and no are the texts true and false.
    """
    return _of_parameters(asked, answers.get(dict(asked.args).get("step", "")) or {})


def parameters_of(event: Mapping[str, Any], /) -> dict[str, Any]:
    """Return an event's parameters, and the order that it is about among them."""
    found: dict[str, Any] = dict(event.get("parameters") or {})
    if event.get("order_ref"):
        found.setdefault("order_ref", event["order_ref"])
    return found


def _of_parameters(asked: Asked, parameters: Mapping[str, Any]) -> Value | None:
    what = asked.fact.partition(".")[2]
    name = dict(asked.args).get("name", "")
    match what:
        case "param":
            return _text(parameters.get(name))
        case "number":
            return _number(parameters.get(name))
        case "refs":
            return _refs(parameters.get(name))
        case "value":
            return _money(parameters)
        case "service_at":
            return _at(parameters.get("service_at"))
        case "channel":
            return _text(parameters.get("channel"))
        case "product_refs":
            return _refs(parameters.get("product_refs") or parameters.get("product_ref"))
        case "category_refs":
            return _refs(parameters.get("category_refs") or parameters.get("category_ref"))
        case "tags":
            return _refs(parameters.get("tags"))
        case _:
            return None


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | Decimal) and value != "" else None


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _refs(value: object) -> frozenset[str] | None:
    if value is None or value == "":
        return None
    rows = value if isinstance(value, list | tuple | set | frozenset) else [value]
    return frozenset(str(row) for row in rows if row is not None)


def _at(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else None
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None


def _money(parameters: Mapping[str, Any]) -> Money | None:
    """Return the amount of an event: what a cart's, an order's and an offer's events call it."""
    currency = parameters.get("currency")
    for name in ("value", "total", "amount"):
        amount = _number(parameters.get(name))
        if amount is not None and isinstance(currency, str) and currency:
            return Money(amount=amount, currency=currency)
    return None


_SHAPES: Mapping[FactType, Callable[[Any], bool]] = {
    FactType.BOOL: lambda value: isinstance(value, bool),
    FactType.INT: lambda value: isinstance(value, int) and not isinstance(value, bool),
    FactType.DECIMAL: lambda value: (
        isinstance(value, int | Decimal)
        and not isinstance(value, bool)
        and Decimal(value).is_finite()
    ),
    FactType.MONEY: lambda value: isinstance(value, Money),
    FactType.TEXT: lambda value: isinstance(value, str),
    FactType.REFS: lambda value: isinstance(value, frozenset),
    FactType.DATETIME: lambda value: isinstance(value, datetime) and value.tzinfo is not None,
    FactType.DURATION: lambda value: hasattr(value, "total_seconds"),
}


def is_of(kind: FactType, value: object, /) -> bool:
    """Say whether a value that a shop told is one of its fact's type: no other is compared."""
    return _SHAPES[kind](value)
