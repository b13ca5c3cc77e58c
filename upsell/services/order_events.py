"""What happened to an order, told as events: with the mirror's own rows, and each once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from upsell.engine import facts
from upsell.models import EventInbox, OrderFact
from upsell.ports import Occasion
from upsell.services import events

PLACED = "order.placed"
LATE = timedelta(hours=24)
"""Of an order older than that, seen for the first time, nothing is told: a shop's history that is
mirrored starts nothing."""

_TOLD_ONLY = ("shipped", "delivered", "changed", "returned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """How the mirror had an order."""

    cancelled: bool
    refunded_net: Decimal


def rows_of(
    order: Occasion,
    fact: OrderFact,
    *,
    before: Before | None,
    noted: Mapping[str, datetime],
    now: datetime,
) -> Iterator[EventInbox]:
    """Yield the events of an order that was just mirrored.

    The same event has the same id, however often, and by whomever, it is found.

    Args:
        order: As the shop tells it now.
        fact: As it is mirrored now.
        before: As it was mirrored before; none = it was not.
        noted: What the shop told of it since, and when.
        now: When it was read.
    """
    if not fact.customer_key:
        return  # erased, or nobody's
    fresh = before is None and fact.placed_at > now - LATE
    found: dict[str, tuple[str, datetime]] = {}
    if fresh or ("placed" in noted and fact.placed_at > now - LATE):
        found["placed"] = ("", min(fact.placed_at, now))
    if order.cancelled and (_is_new(before, noted, "cancelled") or fresh):
        found["cancelled"] = ("", noted.get("cancelled", now))
    more = before is not None and fact.refunded_net > before.refunded_net
    if more or "refunded" in noted or (fresh and fact.refunded_net):
        which = "" if _is_full(order, fact) else f"{fact.refunded_net.normalize():f}"
        found["refunded"] = (which, noted.get("refunded", now))
    which_of = {
        "returned": str(sum(line.returned for line in order.lines)),
        "changed": order.version,
    }
    for name in _TOLD_ONLY:
        if name in noted:
            found[name] = (which_of.get(name, ""), noted[name])
    for name, (which, at) in found.items():
        extra = {"full": _is_full(order, fact)} if name == "refunded" else {}
        yield events.row(
            f"order.{name}",
            customer_key=fact.customer_key,
            source=EventInbox.Source.SHOP,
            event_id=_id(order.ref, name, which),
            order_ref=order.ref,
            parameters=parameters(order) | extra,
            at=at,
            now=now,
        )


def placed(order: Occasion, fact: OrderFact, *, now: datetime) -> EventInbox:
    """Return the event of a mirrored order that was placed, not yet written, however old it is."""
    return events.row(
        PLACED,
        customer_key=fact.customer_key,
        source=EventInbox.Source.SHOP,
        event_id=_id(order.ref, "placed", ""),
        order_ref=order.ref,
        parameters=parameters(order),
        at=fact.placed_at,
        now=now,
    )


def parameters(order: Occasion) -> dict[str, Any]:
    """Return what an event tells of an order: references and amounts, and nothing of a person."""
    service_at = facts.service_at(order)
    told = {
        "order_ref": order.ref,
        "channel": order.channel,
        "currency": order.currency,
        "total": order.total.gross,
        "line_refs": [line.ref for line in order.lines],
        "product_refs": sorted(facts.products_of(order.lines)),
        "category_refs": sorted(facts.categories_of(order.lines)),
        "tags": sorted(facts.tags_of(order.lines)),
        "coupons": list(order.coupons),
    }
    return told if service_at is None else told | {"service_at": service_at}


def _is_new(before: Before | None, noted: Mapping[str, datetime], name: str) -> bool:
    return name in noted or (before is not None and not before.cancelled)


def _is_full(order: Occasion, fact: OrderFact) -> bool:
    return facts.is_refunded(order) or bool(fact.net and fact.refunded_net >= fact.net)


def _id(ref: str, name: str, which: str) -> str:
    event_id = ":".join(filter(None, (ref, name, which)))
    if len(event_id) <= events.LONGEST_ID:
        return event_id
    return f"{hashlib.sha256(event_id.encode()).hexdigest()}:{name}"
