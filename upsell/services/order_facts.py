"""The mirror of the shop's orders, from its events and by a walk that finds what was missed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from django.db import transaction

from upsell import clock, conf, snapshots
from upsell.exceptions import NotFound
from upsell.models import OrderFact, OrderLineFact, OrderNote, Progress
from upsell.ports import Line, Occasion, Ref
from upsell.services import events, order_events
from upsell.services.locking import retried
from upsell.services.order_events import Before

logger = logging.getLogger("upsell")

NAME = "orders"
PAGE = 200
PAGES_A_ROUND = 5
EVERY = timedelta(minutes=1)
OVERLAP = timedelta(minutes=2)
"""How old a place in the shop's orders must be before the walk forgets what is behind it: an order
may be committed after one with a later time."""

_PLACES = Decimal("0.0001")
_FIELDS = ("channel", "placed_at", "currency", "net", "refunded_net", "lines", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """One page of the walk."""

    orders: int
    """How many are mirrored of this page."""
    latest: datetime | None
    """When the latest of them was placed."""


def note(*, order_ref: Ref, name: str) -> None:
    """Note that something happened to an order: one statement, in the host's request.

    Reading the order, writing its mirror and telling of it is left to due work.

    Args:
        order_ref: Which.
        name: What, as ``Shop.signals`` names it.
    """
    OrderNote.objects.create(order_ref=order_ref, name=name, at=clock.now())


def take_noted() -> int:
    """Mirror the orders that events told of, some pages at most; return how many there are.

    A note goes after its order was read: one that comes meanwhile stays for the next round.
    """
    done = 0
    for _page in range(PAGES_A_ROUND):
        notes = list(OrderNote.objects.order_by("pk")[:PAGE])
        if not notes:
            break
        noted: dict[Ref, dict[str, datetime]] = {}
        for row in notes:
            noted.setdefault(row.order_ref, {})[row.name] = row.at
        done += len(_taken(list(noted), noted))
        OrderNote.objects.filter(pk__in=[row.pk for row in notes]).delete()
    return done


def take(*, order_refs: Sequence[Ref]) -> int:
    """Mirror these orders as the shop tells them now; return how many there are.

    An order that is not there, is a draft or a test, or is older than is kept, is not mirrored
    either. What is as it was is not written. A buyer who was erased stays erased.
    """
    return len(_taken(list(dict.fromkeys(order_refs))))


def sweep_due() -> int:
    """Mirror what events told of, and go on with the walk if its last round is a minute ago."""
    try:
        done = take_noted()
        row = Progress.objects.filter(name=NAME).first()
        if row is None or row.at is None or clock.now() - row.at >= EVERY:
            done += sum(page.orders for page in walk(pages=PAGES_A_ROUND))
    except Exception:
        # The shop's ports are foreign code, and money waits behind us: the next round tries again.
        logger.exception("the shop's orders could not be mirrored")
        return 0
    return done


def walk(*, pages: int | None = None, anew: bool = False) -> Iterator[Walked]:
    """Mirror the orders that the shop tells of since the last walk, page by page.

    Each page is committed, with the place where the next one begins: a walk that was interrupted
    goes on there. Orders of the last minutes are told again; see ``OVERLAP``.

    Args:
        pages: How many at most; none = to the end.
        anew: From the first order.
    """
    Progress.objects.bulk_create([Progress(name=NAME)], ignore_conflicts=True)
    row = Progress.objects.get(name=NAME)
    cursor = "" if anew else row.cursor
    for _page in count() if pages is None else range(pages):
        now = clock.now()
        refs, following = conf.shop().orders_since(cursor, PAGE)
        if following == cursor:
            _note_the_end(row, cursor, now=now)
            return
        found = _taken(list(dict.fromkeys(refs)))
        cursor = following
        if len(refs) >= PAGE:
            row.cursor, row.reached, row.reached_at = cursor, "", None
            row.save(update_fields=["cursor", "reached", "reached_at"])
        latest = max((fact.placed_at for fact in found), default=None)
        yield Walked(orders=len(found), latest=latest)


def _note_the_end(row: Progress, cursor: str, *, now: datetime) -> None:
    if row.reached_at is None or row.reached_at <= now - OVERLAP:
        row.cursor = row.reached or row.cursor
        row.reached, row.reached_at = cursor, now
    row.at = now
    row.save(update_fields=["cursor", "reached", "reached_at", "at"])


def _taken(
    refs: list[Ref], noted: Mapping[Ref, Mapping[str, datetime]] | None = None
) -> list[OrderFact]:
    """Mirror these orders, and tell of what happened to them where a journey may listen."""
    if not refs:
        return []
    oldest = clock.now() - conf.duration("UPSELL_MEASURE_RETENTION")
    orders = {ref: order for ref, order in _read(refs).items() if _counts(order, oldest=oldest)}
    return retried(lambda: _mirrored(refs, orders, noted or {}))


def _mirrored(
    refs: list[Ref], orders: Mapping[Ref, Occasion], noted: Mapping[Ref, Mapping[str, datetime]]
) -> list[OrderFact]:
    with transaction.atomic():
        if gone := set(refs) - orders.keys():
            OrderFact.objects.filter(order_ref__in=gone).delete()
        known = OrderFact.objects.filter(order_ref__in=orders).values_list("order_ref", flat=True)
        # In one order, so that two walks at once wait for each other, and do not lock each other.
        new = [_fact(orders[ref]) for ref in sorted(orders.keys() - set(known))]
        OrderFact.objects.bulk_create(new, ignore_conflicts=True)
        rows = OrderFact.objects.select_for_update().filter(order_ref__in=orders)
        facts = list(rows.order_by("pk"))
        fresh = {row.order_ref for row in new}
        before = {
            row.order_ref: Before(cancelled=row.cancelled, refunded_net=row.refunded_net)
            for row in facts
            if row.order_ref not in fresh
        }
        _write(facts, orders)
        if snapshots.has_journeys():
            now = clock.now()
            events.tell(
                told
                for row in facts
                for told in order_events.rows_of(
                    orders[row.order_ref],
                    row,
                    before=before.get(row.order_ref),
                    noted=noted.get(row.order_ref, {}),
                    now=now,
                )
            )
    return facts


def _read(refs: list[Ref]) -> Mapping[Ref, Occasion]:
    """Ask for all at once, and one by one where that fails: one broken order holds up no other."""
    shop = conf.shop()
    try:
        return shop.orders(refs)
    except Exception:
        logger.exception("%s orders could not be read in one go", len(refs))
    found: dict[Ref, Occasion] = {}
    for ref in refs:
        try:
            found[ref] = shop.order(ref)
        except NotFound:
            continue
        except Exception:
            logger.exception("order %s could not be read, and is not mirrored", ref)
    return found


def _counts(order: Occasion, *, oldest: datetime) -> bool:
    placed_at = order.placed_at or order.checkout_completed_at
    if placed_at is None or order.is_draft or order.is_test:
        return False
    return placed_at >= oldest


def _write(facts: Iterable[OrderFact], orders: Mapping[Ref, Occasion]) -> None:
    """Bring rows that are locked to what the shop says; touch none that says so already."""
    rows = list(facts)
    held: dict[int, list[tuple[Any, ...]]] = {row.pk: [] for row in rows}
    lines = OrderLineFact.objects.filter(order_fact__in=held).order_by("pk")
    for line in lines.values_list("order_fact", *_LINE):
        held[line[0]].append(line[1:])
    moved, stale, fresh = [], [], []
    for row in rows:
        order = orders[row.order_ref]
        told = _fact(order)
        if any(getattr(row, name) != getattr(told, name) for name in _FIELDS):
            for name in _FIELDS:
                setattr(row, name, getattr(told, name))
            moved.append(row)
        wanted = [_line(line) for line in order.lines]
        if held[row.pk] != wanted:
            stale.append(row.pk)
            fresh += [
                OrderLineFact(order_fact=row, **dict(zip(_LINE, values, strict=True)))
                for values in wanted
            ]
    if moved:
        OrderFact.objects.bulk_update(moved, _FIELDS)
    if stale:
        OrderLineFact.objects.filter(order_fact__in=stale).delete()
        OrderLineFact.objects.bulk_create(fresh)


_LINE = ("product_ref", "parent_ref", "category_ref", "quantity", "net")


def _line(line: Line) -> tuple[Any, ...]:
    category = min(line.product.category_refs, default="")
    values = (line.product.ref, line.product.parent_ref, category, line.quantity)
    return (*values, line.total.net.quantize(_PLACES))


def _fact(order: Occasion) -> OrderFact:
    placed_at = order.placed_at or order.checkout_completed_at
    assert placed_at is not None  # noqa: S101 - see _counts
    return OrderFact(
        order_ref=order.ref,
        customer_key=snapshots.customer_key(order.customer),
        channel=order.channel,
        placed_at=placed_at,
        currency=order.currency,
        net=order.goods.net.quantize(_PLACES),
        refunded_net=_refunded(order).quantize(_PLACES),
        lines=len(order.lines),
        cancelled=order.cancelled,
    )


def _refunded(order: Occasion) -> Decimal:
    """Return what of the goods came back: all of a refunded order, else the returned units."""
    if order.closed_reason == "refunded":
        return order.goods.net
    shares = (
        line.total.net * line.returned / line.quantity for line in order.lines if line.quantity
    )
    return sum(shares, Decimal(0))
