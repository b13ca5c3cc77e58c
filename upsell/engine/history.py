"""What a buyer bought and did, counted as closely as a condition asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from upsell.engine.conditions import Asked, Money, Value, duration_of
from upsell.engine.journeys.matching import matches, names_of

PURCHASES = frozenset(
    {"purchased", "purchases.count", "purchases.value", "purchases.last_at", "purchases.last_ago"}
)
EVENTS = "event.count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """One line of an order that stands; what came back is left out."""

    order_ref: str
    product_ref: str
    parent_ref: str = ""
    category_refs: frozenset[str] = frozenset()
    """With all above."""
    tags: frozenset[str] = frozenset()
    channel: str = ""
    currency: str = ""
    net: Decimal = Decimal(0)
    """For all units that were kept."""
    at: datetime
    added: bool = False
    """It came to the order that a run began with later than that."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What of it may be compared with the event that a run began with."""
        return {
            "order_ref": self.order_ref,
            "product_ref": [self.product_ref, self.parent_ref],
            "category_ref": self.category_refs,
            "tags": self.tags,
            "channel": self.channel,
            "currency": self.currency,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One event of a buyer."""

    name: str
    at: datetime
    parameters: Mapping[str, Any]
    """Its order among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancillary:
    """Which products go along with what was bought: insurance, breakfast, a longer warranty."""

    tags: frozenset[str] = frozenset()
    category_refs: frozenset[str] = frozenset()
    product_refs: frozenset[str] = frozenset()

    def has(
        self,
        product_refs: frozenset[str],
        category_refs: frozenset[str],
        tags: frozenset[str],
    ) -> bool:
        """Say whether a product is one, by its references, categories and tags."""
        return bool(
            self.product_refs & product_refs
            or self.category_refs & category_refs
            or self.tags & tags
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a question about the past is asked in."""

    starter: Mapping[str, Any]
    """Parameters of the event that a run began with, its order among them; empty = none."""
    entered_at: datetime | None
    """When the run began; none = there is no run."""
    now: datetime
    ancillary: Ancillary = Ancillary()
    currency: str = ""
    """In which amounts are told to whom bought in several, or nothing."""


def of_purchases(asked: Asked, rows: Iterable[Bought], around: Around, /) -> Value | None:
    """Return what one of ``PURCHASES`` comes to; none = it cannot be said.

    Amounts are of one currency: the one asked for, else the only one there is, else that of
    ``around``. An order counts once, however many of its lines match.
    """
    args = dict(asked.args)
    since = _since(args, around)
    if since is _NEVER:
        return None
    found = [row for row in rows if _is_meant(row, args, since, around)]
    match asked.fact:
        case "purchased":
            return bool(found)
        case "purchases.count":
            return len({row.order_ref for row in found})
        case "purchases.value":
            return _value(found, args.get("currency", ""), around)
    last = max((row.at for row in found), default=None)
    if last is None or asked.fact == "purchases.last_at":
        return last
    return around.now - last


def of_events(asked: Asked, rows: Iterable[Done], around: Around, /) -> int | None:
    """Return how many events there were; none = it cannot be said: of no run since its entry."""
    args = dict(asked.args)
    since = _since(args, around)
    if since is _NEVER:
        return None
    return sum(
        row.name == args.get("name")
        and (since is None or row.at > since)
        and row.at <= around.now
        and _has(row.parameters, args, around)
        for row in rows
    )


def oldest(asked: Asked, around: Around, /) -> datetime | None:
    """Return since when rows are needed to answer; none = since ever."""
    since = _since(dict(asked.args), around)
    return around.now if since is _NEVER else since


_NEVER = datetime.max.replace(tzinfo=UTC)


def _since(args: Mapping[str, str], around: Around) -> datetime | None:
    """Return after which instant is asked: the latest of all that is told."""
    bounds: list[datetime] = []
    for name in ("within", "since"):
        span = duration_of(args[name]) if name in args else None
        if span is not None:
            bounds.append(_before(around.now, span))
    if args.get("since") == "entry" or args.get("since_entry") == "true":
        bounds.append(_NEVER if around.entered_at is None else around.entered_at)
    return max(bounds, default=None)


def _before(now: datetime, span: timedelta) -> datetime:
    try:
        return now - span
    except OverflowError:
        return datetime.min.replace(tzinfo=now.tzinfo)


def _is_meant(row: Bought, args: Mapping[str, str], since: datetime | None, around: Around) -> bool:
    products = frozenset({row.product_ref, row.parent_ref} - {""})
    if "product" in args and args["product"] not in products:
        return False
    if "category" in args and args["category"] not in row.category_refs:
        return False
    if "tag" in args and args["tag"] not in row.tags:
        return False
    if "channel" in args and args["channel"] != row.channel:
        return False
    if "ancillary" in args:
        is_one = around.ancillary.has(products, row.category_refs, row.tags)
        if is_one is not (args["ancillary"] == "true"):
            return False
    # What was added to the starter's order has that order's time, and still came after.
    late_enough = since is None or row.at > since or (row.added and args.get("since") == "entry")
    if not late_enough or row.at > around.now:
        return False
    return _matches(row.parameters, args, around)


def _has(parameters: Mapping[str, Any], args: Mapping[str, str], around: Around) -> bool:
    for name in ("product", "category"):
        if name in args and not matches({f"{name}_ref": args[name]}, parameters, [f"{name}_ref"]):
            return False
    if "path" in args and not _leads(str(parameters.get("path", "")), args["path"]):
        return False
    return _matches(parameters, args, around)


def _leads(path: str, wanted: str) -> bool:
    """Say whether a path is the wanted one; ``/help/*`` is all that begins with ``/help/``."""
    return path.startswith(wanted[:-1]) if wanted.endswith("*") else path == wanted


def _matches(parameters: Mapping[str, Any], args: Mapping[str, str], around: Around) -> bool:
    names = args.get("match_starter")
    return names is None or matches(around.starter, parameters, names_of(names))


def _value(found: Sequence[Bought], wanted: str, around: Around) -> Money | None:
    currencies = {row.currency for row in found}
    currency = wanted or (next(iter(currencies)) if len(currencies) == 1 else around.currency)
    if not currency:
        return None
    amount = sum((row.net for row in found if row.currency == currency), Decimal(0))
    return Money(amount=amount, currency=currency)
