"""Segments: put into the conditions that name them, asked of one buyer, and counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from upsell import clock
from upsell.engine.conditions import (
    Answer,
    Asked,
    ConditionError,
    Tree,
    Value,
    below,
    evaluate,
    facts_needed,
    parse,
)
from upsell.engine.facts import SEGMENT
from upsell.engine.history import PURCHASES, Around, Bought, of_purchases
from upsell.exceptions import UpsellError
from upsell.models import Journey, JourneyVersion, KeyLink, OrderFact, Segment
from upsell.models.journey import ACTIVE
from upsell.ports import Who
from upsell.services import facts, purchases, shop_numbers

EVERY = timedelta(hours=24)
BATCH = 1_000
MOST_BUYERS = 200_000
"""More are not counted: due work has other things to do."""

_ORDERS = frozenset({"customer.orders_count", "customer.new", shop_numbers.GAPS})
# The mirror has one category of each line, and tags of none.
_COUNTABLE_ARGS = frozenset({"product", "channel", "within", "since", "currency"})


class SegmentInUse(UpsellError):
    """A segment that something names is not deleted."""


def compiled(tree: object) -> object:
    """Return a tree, as JSON has it, with each segment replaced by its own conditions.

    Cost: one statement where a segment is named.

    Raises:
        ConditionError: It names a segment that is not there, or asks for it in another way than
            whether the buyer is in it.
    """
    slugs = {slug for slug in named_in(tree) if slug}
    rows = Segment.objects.filter(slug__in=slugs) if slugs else ()
    known = {row.slug: row.conditions for row in rows}
    return _compiled(tree, known, "")


def named_in(tree: object) -> Iterator[str]:
    """Yield the segments that any part of some JSON names: a tree, steps, a whole definition."""
    if isinstance(tree, Mapping):
        if tree.get("fact") == SEGMENT:
            yield _slug(tree)
        for value in tree.values():
            yield from named_in(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from named_in(value)


def is_in(segment: Segment, who: Who, now: datetime) -> Answer:
    """Say whether a buyer is in a segment at an instant, and if not, why.

    Raises:
        ConditionError: Its conditions name a fact that is not there any more.
    """
    tree = parse(segment.conditions, facts.specs())
    told = facts.gather(facts_needed(tree), who=who, starter={}, entered_at=None, now=now)
    return evaluate(tree, told)


def used_by(slug: str) -> list[str]:
    """Return the names of the journeys that name a segment: drafts, versions, running ones."""
    found: dict[str, None] = {}
    versions = JourneyVersion.objects.filter(
        Q(pk=F("journey__version")) | Q(runs__state__in=ACTIVE)
    ).distinct()
    for name, definition in versions.values_list("journey__name", "definition"):
        if slug in named_in(definition):
            found[name] = None
    for journey in Journey.objects.prefetch_related("steps").order_by("name", "pk"):
        told = [step.told for step in journey.steps.all()]
        if slug in named_in([journey.where, journey.exits, journey.goals, told]):
            found[journey.name] = None
    return list(found)


def delete(segment: Segment) -> None:
    """Delete a segment that nothing names.

    Raises:
        SegmentInUse: A journey does; its message names them.
    """
    with transaction.atomic():
        users = used_by(segment.slug)
        if users:
            raise SegmentInUse(", ".join(users))
        segment.delete()


def _compiled(tree: object, known: Mapping[str, Any], path: str) -> object:
    if not isinstance(tree, Mapping):
        return tree
    for name in ("all", "any"):
        rows = tree.get(name)
        if isinstance(rows, list | tuple):
            return {
                name: [
                    _compiled(row, known, below(path, f"{name}.{place}"))
                    for place, row in enumerate(rows)
                ]
            }
    if "not" in tree:
        return {"not": _compiled(tree["not"], known, below(path, "not"))}
    if tree.get("fact") != SEGMENT:
        return tree
    slug = _slug(tree)
    if slug not in known:
        raise ConditionError(path, f"there is no segment called “{slug}”")
    if tree.get("op") not in {"is", "is_not"} or not isinstance(tree.get("value"), bool):
        raise ConditionError(path, "of a segment is asked whether it is, or is not, true")
    if SEGMENT in {str(one) for one in _facts_of(known[slug])}:
        raise ConditionError(path, f"the segment “{slug}” names another one")
    wanted = tree["value"] is (tree["op"] == "is")
    return known[slug] if wanted else {"not": known[slug]}


def _facts_of(tree: object) -> Iterator[object]:
    if isinstance(tree, Mapping):
        if "fact" in tree:
            yield tree["fact"]
        for value in tree.values():
            yield from _facts_of(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _facts_of(value)


def _slug(leaf: Mapping[str, Any]) -> str:
    args = leaf.get("args")
    return str(args.get("slug", "")) if isinstance(args, Mapping) else ""


# ------------------------------------------------------------------ counting


def is_countable(tree: Tree) -> bool:
    """Say whether the mirrored orders alone answer a tree."""
    return all(
        asked.fact in _ORDERS
        or (
            asked.fact in PURCHASES
            and dict(asked.args).keys() <= _COUNTABLE_ARGS
            and dict(asked.args).get("since") != "entry"
        )
        for asked in facts_needed(tree)
    )


def count_due() -> int:
    """Count the buyers of segments that were not counted for a day, or changed since.

    Return how many segments. One that cannot be counted has no number. Cost: nothing but one
    statement where none is due; else one pass over the mirrored orders for all that are.
    """
    now = clock.now()
    due = Segment.objects.filter(
        Q(counted_at=None) | Q(counted_at__lte=now - EVERY) | Q(counted_at__lt=F("changed_at"))
    )
    rows = list(due.order_by("pk"))
    trees: dict[int, Tree] = {}
    for row in rows:
        try:
            tree = parse(row.conditions, facts.specs())
        except ConditionError:
            continue  # a fact of the shop's is gone; the admin says so
        if is_countable(tree):
            trees[row.pk] = tree
    counts = _counted(trees, now=now) if trees else {}
    for row in rows:
        # An update: what staff changed meanwhile stays, and so does when they did.
        Segment.objects.filter(pk=row.pk).update(
            counted=counts.get(row.pk), counted_at=max(now, row.changed_at)
        )
    return len(rows)


@dataclass(frozen=True, slots=True)
class _Batch:
    bought: Mapping[str, list[Bought]]
    """By the oldest key of each buyer, of those that begin in this batch."""
    last: str


def _counted(trees: Mapping[int, Tree], *, now: datetime) -> dict[int, int]:
    """Return how many buyers each tree matches; nothing where there are too many to look at."""
    around = Around(starter={}, entered_at=None, now=now)
    counts = dict.fromkeys(trees, 0)
    needed = {pk: facts_needed(tree) for pk, tree in trees.items()}
    asked = frozenset[Asked]().union(*needed.values())
    numbers = shop_numbers.read()
    after, seen = "", 0
    while batch := _next(after):
        seen += len(batch.bought)
        if seen > MOST_BUYERS:
            return {}
        for rows in batch.bought.values():
            told = {one: _told(one, rows, around, numbers) for one in asked}
            for pk, tree in trees.items():
                counts[pk] += evaluate(tree, told).matches
        after = batch.last
    return counts


def _told(
    asked: Asked, rows: list[Bought], around: Around, numbers: shop_numbers.Numbers
) -> Value | None:
    if asked.fact in PURCHASES:
        return of_purchases(asked, rows, around)
    if asked.fact == shop_numbers.GAPS:
        last = max((row.at for row in rows), default=None)
        return None if last is None else numbers.gaps(around.now - last)
    orders = len({row.order_ref for row in rows})
    return orders if asked.fact == "customer.orders_count" else orders <= 1


def _next(after: str) -> _Batch | None:
    """Return the next buyers by key; linked keys are one buyer, at the least of them."""
    found = OrderFact.objects.filter(customer_key__gt=after).order_by("customer_key")
    keys = list(found.values_list("customer_key", flat=True).distinct()[:BATCH])
    if not keys:
        return None
    root_of = dict(KeyLink.objects.filter(new__in=keys).values_list("new", "old"))
    roots = {*keys, *root_of.values()}
    root_of |= dict(KeyLink.objects.filter(old__in=roots).values_list("new", "old"))
    everybody = {*roots, *root_of}
    whole: dict[str, list[Bought]] = {}
    least: dict[str, str] = {}
    for key in OrderFact.objects.filter(customer_key__in=everybody).values_list(
        "customer_key", flat=True
    ).distinct():  # fmt: skip
        root = root_of.get(key, key)
        least[root] = min(key, least.get(root, key))
    for key, row in purchases.of(everybody):
        whole.setdefault(root_of.get(key, key), []).append(row)
    mine = set(keys)
    return _Batch(
        {root: whole.get(root, []) for root, key in least.items() if key in mine}, keys[-1]
    )


# ------------------------------------------------------------------ ready-made


def _leaf(fact: str, op: str, value: object, **args: str) -> dict[str, object]:
    leaf: dict[str, object] = {"fact": fact, "op": op, "value": value}
    return leaf | {"args": args} if args else leaf


def _all(*leaves: dict[str, object]) -> dict[str, object]:
    return {"all": [{"any": [leaf]} for leaf in leaves]}


READY: Mapping[str, tuple[str, dict[str, object]]] = {
    "new-visitor": (
        "New visitor",
        _all(
            _leaf("purchased", "is", False),
            _leaf("event.count", "le", 1, name="page.viewed"),
        ),
    ),
    "returning-visitor": (
        "Returning visitor",
        _all(
            _leaf("purchased", "is", False),
            _leaf("event.count", "ge", 2, name="page.viewed"),
        ),
    ),
    "first-time-buyer": ("First-time buyer", _all(_leaf("purchases.count", "is", 1))),
    "repeat-buyer": ("Repeat buyer", _all(_leaf("purchases.count", "ge", 2))),
    "large-cart": ("Large order", _all(_leaf("order.to_median", "ge", "1.5"))),
    "small-cart": ("Small order", _all(_leaf("order.to_median", "le", "0.5"))),
    "low-usage": ("Low usage", _all(_leaf("usage.ratio", "lt", "0.2", metric="seats"))),
    "high-usage": ("High usage", _all(_leaf("usage.ratio", "ge", "0.8", metric="seats"))),
    "trial": (
        "In trial",
        _all(
            _leaf("event.count", "ge", 1, name="trial.started", within="P30D"),
            _leaf("purchased", "is", False),
        ),
    ),
    "paid": ("Paid", _all(_leaf("purchased", "is", True))),
    "active": ("Active", _all(_leaf("customer.gaps_since_last", "le", "2"))),
    "at-risk": ("At risk", _all(_leaf("customer.gaps_since_last", "between", ["2", "4"]))),
    "lapsed": ("Lapsed", _all(_leaf("customer.gaps_since_last", "gt", "4"))),
    "no-ancillary": (
        "Bought the main product and no ancillary",
        _all(
            _leaf("purchased", "is", True, ancillary="false"),
            _leaf("purchased", "is", False, ancillary="true"),
        ),
    ),
}
"""To start from, by slug: English name and conditions. Copied, then changed."""


def copy_ready(slug: str) -> Segment:
    """Make a segment of a ready-made one, under a slug that is free.

    Raises:
        KeyError: There is none of that name.
    """
    name, conditions = READY[slug]
    taken = set(Segment.objects.filter(slug__startswith=slug).values_list("slug", flat=True))
    free = next(
        one for number in range(len(taken) + 1)
        if (one := slug if not number else f"{slug}-{number + 1}") not in taken
    )  # fmt: skip
    return Segment.objects.create(slug=free, name=name, conditions=conditions)
