"""Carts that were left behind: an hour without a sign, told once for each time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from upsell import clock, snapshots
from upsell.models import EventInbox, KeyLink, Progress
from upsell.services import events

NAME = "carts"
IDLE = timedelta(hours=1)
OLDEST = timedelta(hours=24)
"""A cart that was left longer ago, while nobody looked, is let be."""
PAGE = 500
EVERY = timedelta(minutes=1)

TOUCHED = ("cart.added", "cart.removed", "checkout.started")
DONE = ("checkout.completed", "order.placed")

Cart = tuple[str, str]
"""Whose, and which; a cart without a reference is the buyer's only one."""


def abandon_due() -> int:
    """Tell of carts that have been idle for an hour; return how many.

    Only while a journey may listen, and only of buyers who have an address: an account, an e-mail
    address, or a visitor who turned out to be one of them.

    Cost: nothing without journeys; one statement a minute; for each page of ``PAGE`` events three
    more, and one to write.
    """
    if not snapshots.has_journeys():
        return 0
    now = clock.now()
    Progress.objects.bulk_create([Progress(name=NAME)], ignore_conflicts=True)
    progress = Progress.objects.get(name=NAME)
    if progress.at is not None and now - progress.at < EVERY:
        return 0
    since = progress.reached_at or now - 2 * IDLE
    since = max(since, now - IDLE - OLDEST)
    rows = EventInbox.objects.filter(
        name__in=TOUCHED, occurred_at__gt=since, occurred_at__lte=now - IDLE
    ).exclude(customer_key="")
    page = list(rows.order_by("occurred_at", "pk")[:PAGE])
    told = _abandoned(page, now=now)
    events.tell(told)
    full = len(page) == PAGE
    progress.reached_at = _end_of(page) if full else now - IDLE
    progress.at = None if full else now
    progress.save(update_fields=["reached_at", "at"])
    return len(told)


def _end_of(page: list[EventInbox]) -> datetime:
    """Return where the next page begins: with the last instant, since more may be of it."""
    first, last = page[0].occurred_at, page[-1].occurred_at
    return last if first == last else last - timedelta(microseconds=1)


def _abandoned(page: list[EventInbox], *, now: datetime) -> list[EventInbox]:
    left: dict[Cart, EventInbox] = {cart_of(row): row for row in page}
    if not left:
        return []
    keys = {row.customer_key for row in page}
    later = EventInbox.objects.filter(
        customer_key__in=keys,
        name__in=[*TOUCHED, *DONE],
        occurred_at__gte=page[0].occurred_at,
    )
    columns = ("customer_key", "name", "occurred_at", "parameters")
    for key, name, at, parameters in later.values_list(*columns):
        for cart, row in list(left.items()):
            if cart[0] == key and _ends(name, at, parameters, cart=cart, row=row):
                del left[cart]
    known = _addresses({cart[0] for cart in left if cart[0].startswith("v:")})
    return [
        _event(row, known.get(cart[0], cart[0]), cart[1], now=now)
        for cart, row in left.items()
        if cart[0] in known or not cart[0].startswith("v:")
    ]


def _ends(
    name: str, at: datetime, parameters: Mapping[str, Any], *, cart: Cart, row: EventInbox
) -> bool:
    """Say whether an event shows that a cart was not left where ``row`` left it."""
    which = str(parameters.get("cart_ref") or "")
    if name in DONE:
        return at >= row.occurred_at and which in {"", cart[1]}
    return at > row.occurred_at and which == cart[1]


def cart_of(row: EventInbox) -> Cart:
    """Return which cart an event is of."""
    return (row.customer_key, str(row.parameters.get("cart_ref") or ""))


def _addresses(visitors: set[str]) -> dict[str, str]:
    """Return visitors who turned out to be a buyer with an address, and the buyer's key."""
    if not visitors:
        return {}
    rows = KeyLink.objects.filter(Q(old__in=visitors) | Q(new__in=visitors))
    pairs = [
        pair for old, new in rows.values_list("old", "new") for pair in ((old, new), (new, old))
    ]
    return {one: other for one, other in pairs if one in visitors and not other.startswith("v:")}


def _event(row: EventInbox, key: str, which: str, *, now: datetime) -> EventInbox:
    told = row.parameters
    kept = ("product_ref", "product_refs", "category_refs", "value", "currency", "channel")
    cart = hashlib.sha256(f"{row.customer_key}\n{which}".encode()).hexdigest()[:32]
    return events.row(
        "cart.abandoned",
        customer_key=key,
        source=EventInbox.Source.SHOP,
        event_id=f"cart:{cart}:{row.occurred_at.isoformat()}",
        order_ref="",
        parameters={"cart_ref": which} | {name: told[name] for name in kept if name in told},
        at=row.occurred_at + IDLE,
        now=now,
    )
