"""Campaigns that are switched on and cannot win, and triggers that nobody buys any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Q

from upsell import conf
from upsell.engine.campaigns import OfferBy, TriggerKind
from upsell.engine.rules import Key, keys_of
from upsell.models import Campaign, CampaignTrigger, Decision
from upsell.ports import Ref
from upsell.services import campaigns
from upsell.services.campaign_rivals import shadows

PERIOD = timedelta(days=90)
MOST = 20_000
"""So many of the latest decisions are read at most."""
IN_FRONT = 200
"""So many campaigns in front of one, that offer the same product, are compared with it."""
_CHUNK = 500
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hopeless:
    """A campaign that is switched on and can never be shown."""

    campaign: Campaign
    why: str
    """``shadowed``, ``nowhere`` (no sales channel) or ``no_trigger``."""
    by: Campaign | None = None
    """The one in front that can be offered wherever this one can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equals:
    """Campaigns of one priority in one sales channel, with a time that two of them share."""

    priority: int
    channel: str
    campaigns: tuple[Campaign, ...]
    """The one that wins first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbought:
    """Triggers that no order of the period had."""

    decisions: int
    """Orders that were read."""
    cut: bool
    """There are more in the period; the latest ``MOST`` were read."""
    triggers: tuple[CampaignTrigger, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What staff should look at in all their campaigns together."""

    looked_at: int
    hopeless: tuple[Hopeless, ...]
    equals: tuple[Equals, ...]
    unbought: Unbought


def report(*, now: datetime, channels: Collection[str] | None = None) -> Report:
    """Return what cannot win, what is left to chance, and what is not bought.

    Cost: three statements for the campaigns, one streamed for at most 20,000 decisions, and the
    shop's products in batches of 500: those that were bought. About a second for 2,000 campaigns
    and 20,000 decisions.

    Args:
        now: The time; campaigns that are off or over by then are left out.
        channels: Campaigns that run in one of these sales channels or nowhere; none = all.
    """
    over = Q(status=Campaign.Status.OFF) | Q(valid_until__lt=now)
    rows = Campaign.objects.filter(archived=False).exclude(over).ranked()
    found = [
        row
        for row in rows.prefetch_related("triggers", "exclusions", "copies")
        if channels is None or not row.channels or set(row.channels) & set(channels)
    ]
    return Report(
        looked_at=len(found),
        hopeless=tuple(_hopeless(found)),
        equals=tuple(_equals(found, channels)),
        unbought=_unbought(found, now=now, channels=channels),
    )


def _hopeless(rows: Iterable[Campaign]) -> Iterable[Hopeless]:
    in_front: dict[str, list[Campaign]] = {}
    for row in rows:
        if not row.channels:
            yield Hopeless(campaign=row, why="nowhere")
            continue
        if not row.triggers.all():
            yield Hopeless(campaign=row, why="no_trigger")
            continue
        if row.offer_by != OfferBy.PRODUCT:
            continue
        better = in_front.setdefault(row.product_ref, [])
        values = campaigns.dump(row)
        by = next((other for other in better if shadows(other, values)), None)
        if by is not None:
            yield Hopeless(campaign=row, why="shadowed", by=by)
        elif len(better) < IN_FRONT:
            better.append(row)


# ------------------------------------------------------------------ equals


def _equals(rows: Iterable[Campaign], channels: Collection[str] | None) -> Iterable[Equals]:
    groups: dict[tuple[int, str], list[Campaign]] = {}
    for row in rows:
        for channel in row.channels:
            if channels is None or channel in channels:
                groups.setdefault((row.priority, channel), []).append(row)
    for (priority, channel), group in sorted(groups.items(), key=lambda row: (-row[0][0], row[0])):
        together = _together(group)
        if together:
            yield Equals(
                priority=priority,
                channel=channel,
                campaigns=tuple(row for row in group if row.pk in together),
            )


def _together(group: Iterable[Campaign]) -> set[int]:
    """Return those whose window meets that of another of the group."""
    found: set[int] = set()
    latest: Campaign | None = None
    for row in sorted(group, key=lambda row: (row.valid_from or _FIRST, row.pk)):
        if latest is not None and (row.valid_from or _FIRST) <= _end(latest):
            found |= {row.pk, latest.pk}
        if latest is None or _end(row) > _end(latest):
            latest = row
    return found


def _end(row: Campaign) -> datetime:
    return row.valid_until or _LAST


# ------------------------------------------------------------------ triggers


def _unbought(
    rows: Iterable[Campaign], *, now: datetime, channels: Collection[str] | None
) -> Unbought:
    triggers = [
        trigger
        for row in rows
        if row.channels
        for trigger in sorted(row.triggers.all(), key=lambda trigger: trigger.pk)
        if trigger.kind != TriggerKind.ALWAYS
    ]
    decided = Decision.objects.filter(at__gte=now - PERIOD, at__lte=now, trial=False)
    if channels is not None:
        decided = decided.filter(channel__in=sorted(channels))
    read, cut = 0, False
    bought: set[Ref] = set()
    exact: set[Ref] = set()
    for facts in (
        decided.order_by("-at", "-pk")
        .values_list("facts", flat=True)[: MOST + 1]
        .iterator(chunk_size=_CHUNK)
    ):
        if read == MOST:
            cut = True
            break
        read += 1
        for line in _lines(facts):
            exact.add(str(line["product"]))
            bought |= {str(line["product"]), str(line.get("parent") or line["product"])}
    if not read:
        return Unbought(decisions=0, cut=False, triggers=())
    there: set[Key] = {(TriggerKind.PRODUCT, ref) for ref in bought}
    if any(trigger.kind != TriggerKind.PRODUCT for trigger in triggers):
        there |= _kinds(sorted(exact))
    return Unbought(
        decisions=read,
        cut=cut,
        triggers=tuple(row for row in triggers if not _is_there(row, there, exact)),
    )


def _lines(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = facts.get("lines", [])
    return [row for row in rows if isinstance(row, Mapping) and row.get("product")]


def _kinds(refs: list[Ref]) -> set[Key]:
    """Return everything that triggers could name of these products, as the shop has them now."""
    found: set[Key] = set()
    for start in range(0, len(refs), _CHUNK):
        products = conf.shop().products(refs[start : start + _CHUNK])
        for product in products.values():
            found.update(keys_of(product))
    return found


def _is_there(trigger: CampaignTrigger, there: set[Key], exact: set[Ref]) -> bool:
    if trigger.exact and trigger.kind == TriggerKind.PRODUCT:
        return trigger.ref in exact
    return (TriggerKind(trigger.kind), trigger.ref) in there
