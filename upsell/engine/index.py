"""Campaigns compiled once into an immutable index; finds candidates without looking at the rest.

How it works, on one page. A campaign's *rank* is its position in the order in which campaigns
win. A campaign can only win where one of its triggers is in the order, so the index keeps, for
each thing a trigger can name, the ranks of the campaigns that name it: two parallel arrays of
(hash of the name, rank), sorted, with buckets by the first bits of the hash, some sixteen bytes
an entry, and a small table in front that turns most names away at once. A hash may point to a
wrong campaign; it costs a look, nothing else, because whatever is found is tested again by the
rules.

With few candidates (nearly every shop, nearly every order) that is all: each is unpacked and
tested, and each that fails leaves its reason. With many, sets of ranks are joined as bitmaps:
triggers, then the small filters (channel, moment, country, group, way to pay, currency), the
window as of now, the band in which the order's value lies, and the exclusions that many
campaigns share. Only what is left is unpacked and tested, best first, as far as the decision
goes. Bitmaps are made when first asked for and kept.

An index belongs to one version of the campaign set, which every edit raises. After an edit
the changed campaigns are compiled into a small index of their own beside the large one, where
they are marked as gone; a decision merges the two by rank.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from heapq import merge
from itertools import accumulate, chain
from types import MappingProxyType
from typing import Any

from upsell.engine.arms import Running
from upsell.engine.bitmaps import Dimension, bitmap, members
from upsell.engine.campaigns import (
    Bounds,
    CampaignId,
    CampaignSpec,
    ChannelPolicy,
    Status,
    TriggerKind,
)
from upsell.engine.packing import micros, pack, unpack
from upsell.engine.rules import Key, View
from upsell.engine.selecting import Selection

_DEFAULT = ChannelPolicy()
_NONE: Mapping[Any, Any] = MappingProxyType({})
_ALWAYS: Key = (TriggerKind.ALWAYS, "")

FEW = 64
"""Up to so many candidates are simply tested one by one."""
BANDS = 64
"""Into so many the values of orders are divided, per currency."""
FRESH = 256
"""So many edited campaigns stand beside an index before all are compiled together."""
UNPACKED = 1024
"""So many campaigns are kept unpacked."""


def rank(spec: CampaignSpec) -> tuple[int, int, int]:
    """Sort key, best first: priority, then the most recently edited, then the highest id."""
    return (-spec.priority, -micros(spec.edited_at), -spec.id)


class CampaignIndex:
    """Every campaign that could win, by what triggers it. Share it between threads freely."""

    __slots__ = (
        "_bands",
        "_dimensions",
        "_exclusions",
        "_fresh",
        "_gone",
        "_long",
        "_mask",
        "_named",
        "_otherwise",
        "_packed",
        "_table",
        "_unpacked",
        "_windows",
        "policies",
        "remembers",
        "running",
        "selections",
        "total",
        "version",
    )

    def __init__(
        self,
        packed: Sequence[bytes],
        *,
        version: int,
        total: int,
        policies: Mapping[str, ChannelPolicy],
        running: Running,
        selections: Mapping[str, Selection],
    ) -> None:
        """Index campaigns, packed and in rank order. ``compile_index`` calls this."""
        size = len(packed)
        self.version = version
        self.total = total
        self.policies = policies
        self.remembers = False
        """Some campaign asks what the buyer was shown before."""
        self.running: Running = running
        """Campaign to the experiment that it is in."""
        self.selections = selections
        """Moment to how equals of the top priority are told apart, where not by rank."""
        self._packed = packed
        self._gone: frozenset[CampaignId] = frozenset()
        self._fresh: CampaignIndex | None = None
        self._unpacked: dict[int, CampaignSpec] = {}
        self._long: dict[int, int] = {}
        self._dimensions = {name: Dimension(size) for name in _DIMENSIONS}
        named: list[tuple[int, int]] = []
        starts: list[tuple[int, int]] = []
        ends: list[tuple[int, int]] = []
        excluded: dict[Key, array[int]] = {}
        bounded: dict[str, list[tuple[int, Bounds]]] = {}
        for position, row in enumerate(packed):
            spec = unpack(row)
            named += {(hash((trigger.kind, trigger.ref)), position) for trigger in spec.triggers}
            for name, dimension in self._dimensions.items():
                dimension.add(position, getattr(spec, name))
            self.remembers |= spec.not_seen_days is not None
            if spec.valid_from is not None:
                starts.append((micros(spec.valid_from), position))
            if spec.valid_until is not None:
                ends.append((micros(spec.valid_until), position))
            for currency, bounds in spec.bounds.items():
                bounded.setdefault(currency, []).append((position, bounds))
            for banned in spec.exclusions:
                if banned.quantity == 1:
                    excluded.setdefault((banned.kind, banned.ref), array("I")).append(position)
        self._named = _Named(named)
        self._mask = max(255, (1 << (8 * len(named)).bit_length()) - 1)
        self._table = bytearray(self._mask + 1)
        for name_hash in self._named.values:
            self._table[name_hash & self._mask] = 1
        self._windows = _Windows(starts, ends, size)
        unbounded = (1 << size) - 1
        for rows in bounded.values():
            unbounded &= ~bitmap((position for position, _ in rows), size)
        self._bands = {
            currency: _Bands(rows, size, unbounded) for currency, rows in bounded.items()
        }
        self._otherwise = _Bands([], size, unbounded)
        shared = max(FEW, size >> 8)
        self._exclusions = {
            key: ~bitmap(ranks, size) for key, ranks in excluded.items() if len(ranks) > shared
        }

    def __len__(self) -> int:
        return self.total

    def policy(self, channel: str) -> ChannelPolicy:
        """Return what holds for a sales channel: its own, else the one for all."""
        return self.policies.get(channel) or self.policies.get("") or _DEFAULT

    def candidates(self, view: View) -> Iterator[CampaignSpec]:
        """Yield the campaigns with a trigger in the occasion, best first.

        Where there are many, those that one of the bitmaps rules out are left out.
        """
        found = self._candidates(view)
        if self._gone:
            found = (spec for spec in found if spec.id not in self._gone)
        if self._fresh is not None:
            found = merge(found, self._fresh.candidates(view), key=rank)
        return found

    def edited(
        self,
        ids: Iterable[CampaignId],
        specs: Iterable[CampaignSpec],
        *,
        version: int,
        total: int,
        policies: Mapping[str, ChannelPolicy],
        running: Running = _NONE,
        selections: Mapping[str, Selection] = _NONE,
    ) -> CampaignIndex:
        """Return this index after some campaigns changed.

        What was compiled is shared; the changed ones are compiled beside it, and all of them
        together once they are many.

        Args:
            ids: Campaigns that changed, came or went.
            specs: Those of them that there still are.
            version: The campaign set's version now.
            total: Campaigns in all, those that are off included.
            policies: What holds for each sales channel now.
            running: The experiments that run now.
            selections: How equals are told apart now.
        """
        changed, specs = frozenset(ids), list(specs)
        gone = self._gone | changed
        fresh = list(specs)
        if self._fresh is not None:
            fresh += (spec for spec in self._fresh.specs() if spec.id not in changed)
        if len(gone) > max(FRESH, len(self._packed) >> 6):
            kept = (spec for spec in self.specs() if spec.id not in changed)
            index = compile_index(
                chain(kept, specs),
                version=version,
                policies=policies,
                running=running,
                selections=selections,
            )
        else:
            index = copy(self)
            index.version = version
            index.policies = dict(policies)
            index.running, index.selections = running, selections
            index._gone = gone
            index._fresh = compile_index(fresh, version=version) if fresh else None
            index.remembers = self.remembers or any(s.not_seen_days is not None for s in fresh)
        index.total = total
        return index

    def specs(self) -> Iterator[CampaignSpec]:
        """Yield every campaign that is not off, best first."""
        found = map(unpack, self._packed)
        kept = (spec for spec in found if spec.id not in self._gone)
        return kept if self._fresh is None else merge(kept, self._fresh.specs(), key=rank)

    def _candidates(self, view: View) -> Iterator[CampaignSpec]:
        table, mask = self._table, self._mask
        names = [name for name in map(hash, (_ALWAYS, *view.units)) if table[name & mask]]
        if not names:
            return iter(())
        spans = [span for name in names if (span := self._named.span(name))]
        if sum(end - start for start, end in spans) > FEW:
            return map(self._spec, members(self._qualifying(spans, view)))
        ranks: set[int] = set()
        for start, end in spans:
            ranks.update(self._named.ranks[start:end])
        return map(self._spec, sorted(ranks))

    def _spec(self, position: int) -> CampaignSpec:
        spec = self._unpacked.get(position)
        if spec is None:
            spec = unpack(self._packed[position])
            if len(self._unpacked) >= UNPACKED:
                self._unpacked.clear()
            self._unpacked[position] = spec
        return spec

    def _qualifying(self, spans: list[tuple[int, int]], view: View) -> int:
        occasion = view.occasion
        bits = 0
        for start, end in spans:
            bits |= self._triggered(start, end)
        for name, values in (
            ("channels", frozenset((occasion.channel,))),
            ("moments", frozenset((str(occasion.moment),))),
            ("currencies", frozenset((occasion.currency,))),
            ("groups", occasion.customer.group_refs),
            ("countries", frozenset((occasion.shipping_country or "",))),
            ("payment_methods", frozenset((occasion.payment_method or "",))),
        ):
            bits &= self._dimensions[name].accepting(values)
            if not bits:
                return 0
        bits &= self._windows.open_at(micros(view.now))
        bands = self._bands.get(occasion.currency) or self._otherwise
        bits &= bands.around(occasion.goods.net)
        for key in view.units:
            without = self._exclusions.get(key)
            if without is not None:
                bits &= without
        return bits

    def _triggered(self, start: int, end: int) -> int:
        if end - start <= FEW:
            return bitmap(self._named.ranks[start:end], len(self._packed))
        bits = self._long.get(start)
        if bits is None:
            bits = self._long[start] = bitmap(self._named.ranks[start:end], len(self._packed))
        return bits


_DIMENSIONS = ("channels", "moments", "currencies", "groups", "countries", "payment_methods")


class _Windows:
    """Which campaigns are in their window: made anew only when one opens or closes."""

    __slots__ = ("_ends", "_held", "_size", "_starts")

    def __init__(
        self, starts: list[tuple[int, int]], ends: list[tuple[int, int]], size: int
    ) -> None:
        """Take (instant, rank) of every opening and closing."""
        self._size = size
        self._starts = _Sorted(starts)
        self._ends = _Sorted(ends)
        self._held: tuple[int, int, int] = (-1, -1, 0)

    def open_at(self, now: int) -> int:
        """Return the campaigns whose window holds this instant, both ends included."""
        started = bisect_right(self._starts.values, now)
        ended = bisect_left(self._ends.values, now)
        held = self._held
        if held[:2] == (started, ended):
            return held[2]
        closed = bitmap(self._starts.ranks[started:], self._size)
        closed |= bitmap(self._ends.ranks[:ended], self._size)
        bits = ((1 << self._size) - 1) & ~closed
        self._held = (started, ended, bits)
        return bits


class _Bands:
    """Which campaigns' bounds may hold an order's value, by bands between common bounds."""

    __slots__ = ("_cuts", "_kept", "_least", "_most", "_ranks", "_size", "_unbounded")

    def __init__(self, rows: list[tuple[int, Bounds]], size: int, unbounded: int) -> None:
        self._size = size
        self._unbounded = unbounded
        self._ranks = array("I", (position for position, _ in rows))
        self._least = array("q", (_scaled(ends.least, ROUND_FLOOR, -_ENDLESS) for _, ends in rows))
        self._most = array("q", (_scaled(ends.most, ROUND_CEILING, _ENDLESS) for _, ends in rows))
        self._kept: dict[int, int] = {}
        edges = sorted(edge for edge in (*self._least, *self._most) if abs(edge) != _ENDLESS)
        self._cuts = sorted(set(edges[:: max(1, len(edges) // BANDS)]))

    def around(self, value: Decimal) -> int:
        """Return every campaign that this value may suit, and few that it does not."""
        band = bisect_right(self._cuts, _scaled(value, ROUND_FLOOR, 0))
        bits = self._kept.get(band)
        if bits is None:
            low = self._cuts[band - 1] if band else -_ENDLESS
            high = self._cuts[band] if band < len(self._cuts) else _ENDLESS
            suits = (
                position
                for position, least, most in zip(self._ranks, self._least, self._most, strict=True)
                if least < high and most >= low
            )
            bits = self._kept[band] = self._unbounded | bitmap(suits, self._size)
        return bits


class _Sorted:
    """Pairs of a number and a rank, by number, in twelve bytes each."""

    __slots__ = ("ranks", "values")

    def __init__(self, pairs: list[tuple[int, int]]) -> None:
        pairs.sort()
        self.values = array("q", (value for value, _ in pairs))
        self.ranks = array("I", (position for _, position in pairs))


class _Named(_Sorted):
    """Ranks by the hash of a name, found through buckets of about one entry each."""

    __slots__ = ("_buckets", "_half", "_shift")

    def __init__(self, pairs: list[tuple[int, int]]) -> None:
        super().__init__(pairs)
        bits = max(1, len(pairs).bit_length())
        self._shift, self._half = 64 - bits, 1 << (bits - 1)
        counts = array("I", bytes(4 * ((1 << bits) + 1)))
        for value in self.values:
            counts[(value >> self._shift) + self._half + 1] += 1
        self._buckets = array("I", accumulate(counts))

    def span(self, value: int) -> tuple[int, int] | None:
        """Return where this number's ranks begin and end; none where it is not there."""
        bucket = (value >> self._shift) + self._half
        first, last = self._buckets[bucket], self._buckets[bucket + 1]
        start = bisect_left(self.values, value, first, last)
        if start == last or self.values[start] != value:
            return None
        return start, bisect_right(self.values, value, start, last)


_ENDLESS = 1 << 62


def _scaled(amount: Decimal | None, rounding: str, otherwise: int) -> int:
    """Return an amount in ten-thousandths, the places that money columns have."""
    if amount is None:
        return otherwise
    return int(amount.scaleb(4).to_integral_value(rounding=rounding))


def compile_index(
    campaigns: Iterable[CampaignSpec],
    *,
    version: int,
    policies: Mapping[str, ChannelPolicy] | None = None,
    running: Running = _NONE,
    selections: Mapping[str, Selection] = _NONE,
) -> CampaignIndex:
    """Compile campaigns into an index.

    Campaigns that are off are left out. Cost: packing and sorting them, and one entry per
    trigger; they are taken one at a time, so an iterator of a hundred thousand never stands
    in memory whole.
    """
    total = 0
    ranked: list[tuple[tuple[int, int, int], bytes]] = []
    for spec in campaigns:
        total += 1
        if spec.status is not Status.OFF:
            ranked.append((rank(spec), pack(spec)))
    ranked.sort()
    return CampaignIndex(
        [packed for _, packed in ranked],
        version=version,
        total=total,
        policies=dict(policies or {}),
        running=running,
        selections=selections,
    )
