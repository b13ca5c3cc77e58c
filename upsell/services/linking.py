"""Two keys turn out to be one buyer: a guest who signs in, an address that becomes an account's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from upsell import clock, snapshots
from upsell.engine.experiments import arm_of
from upsell.models import Exposure, KeyLink, Phase


def link(*, old: str, new: str, now: datetime | None = None) -> None:
    """Note that two keys are one buyer's; from now on the oldest counts in experiments.

    A buyer who was exposed under both keys counts once: in the same arm since the earlier time;
    in two arms not at all. Twice is the same as once, in any order.

    Args:
        old: The key that was there first.
        new: The key from now on.
        now: When it turned out.
    """
    if not old or not new or old == new:
        return
    told = now or clock.database_now()
    with transaction.atomic():
        root, other = _oldest(old), _oldest(new)
        if other == root:
            return
        if other != new:  # an account that another guest became before: that one is older
            root, other = other, root
        KeyLink.objects.bulk_create([KeyLink(old=root, new=other, at=told)], ignore_conflicts=True)
        KeyLink.objects.filter(old=other).update(old=root)
        _merge(root, other)


def keys_with(customer_keys: list[str]) -> list[str]:
    """Return these keys and every other of the same buyers. One statement."""
    rows = KeyLink.objects.filter(Q(old__in=customer_keys) | Q(new__in=customer_keys))
    pairs = rows.values_list("old", "new")
    return list(dict.fromkeys([*customer_keys, *(key for pair in pairs for key in pair)]))


def family(customer_keys: Sequence[str]) -> list[str]:
    """Return every key of the buyers of these keys, the oldest of the first one's first.

    Unlike ``keys_with`` it finds those that are linked by a third. Two statements.
    """
    keys = [key for key in customer_keys if key]
    if not keys:
        return []
    older = dict(KeyLink.objects.filter(new__in=keys).values_list("new", "old"))
    roots = [older.get(key, key) for key in keys]
    rows = KeyLink.objects.filter(old__in=roots).order_by("pk").values_list("new", flat=True)
    return list(dict.fromkeys([*roots, *keys, *rows]))


def _oldest(key: str) -> str:
    found = KeyLink.objects.filter(new=key).values_list("old", flat=True).first()
    return key if found is None else found


def _merge(root: str, other: str) -> None:
    rows = Exposure.objects.select_for_update().filter(unit__in=[root, other])
    by_phase: dict[int, list[Exposure]] = {}
    for row in rows.select_related("phase__experiment").order_by("at", "pk"):
        by_phase.setdefault(row.phase_id, []).append(row)
    for found in by_phase.values():
        kept, *others = found
        arms = {row.arm for row in found}
        if kept.phase.ended_at is None:
            # What the buyer sees from now on belongs to it: the arm of the oldest key.
            arms.add(_arm_of(kept.phase, root) or kept.arm)
        for row in others:
            row.delete()
        kept.unit = root
        kept.since = min(row.since for row in found)
        kept.excluded = kept.excluded or len(arms) > 1
        kept.save()


def _arm_of(phase: Phase, unit: str) -> str | None:
    return arm_of(snapshots.phase_spec(phase, phase.arms.order_by("pk")), unit)
