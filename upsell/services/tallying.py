"""Orders of the past decided again: who would have been shown, instead of whom, at what margin."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from upsell import conf, queries, snapshots
from upsell.engine import decide
from upsell.engine.campaigns import (
    CampaignId,
    CampaignSpec,
    Candidate,
    Decision,
    History,
    Reason,
    ReasonCode,
)
from upsell.engine.index import CampaignIndex
from upsell.engine.rules import View, first_refusal
from upsell.exceptions import UpsellError
from upsell.models import Acceptance
from upsell.models import Decision as DecisionRow
from upsell.ports import Occasion, Product, Ref, round_money
from upsell.services import replaying
from upsell.services.asking import Ports

logger = logging.getLogger("upsell")

Seen = dict[str, dict[CampaignId, datetime]]
"""Key of a buyer to campaign to when it was last shown to them."""
Place = tuple[str, str]
"""Sales channel and currency: amounts of two of them are never added here."""


@dataclass(slots=True)
class Sum:
    """What offers come to if each were accepted once, before tax, in one currency."""

    count: int = 0
    net: Decimal = Decimal(0)
    """For what arrives, less what was paid for what it replaces; no shipping."""
    margin: Decimal = Decimal(0)
    """The same less what the products cost the shop, of those where that is known."""
    costed: int = 0
    """How many of them that is."""

    def add(self, net: Decimal, margin: Decimal | None) -> None:
        self.count += 1
        self.net += net
        if margin is not None:
            self.margin += margin
            self.costed += 1

    def join(self, other: Sum, *, costs: bool) -> None:
        """Add another's; without its margin where the currency of its costs is not known."""
        self.count += other.count
        self.net += other.net
        if costs:
            self.margin += other.margin
            self.costed += other.costed

    def as_json(self, currency: str) -> dict[str, Any]:
        return {
            "count": self.count,
            "net": str(round_money(self.net, currency)),
            "margin": str(round_money(self.margin, currency)),
            "costed": self.costed,
        }


@dataclass(slots=True)
class Tally:
    """Counts over all orders that were looked at. Grows with campaigns, never with orders."""

    orders: int = 0
    outside: int = 0
    """Changed in the period, placed before it; or of a sales channel that was not asked for."""
    unreadable: int = 0
    """The shop knows them no more, or something went wrong."""
    offered: int = 0
    shown: dict[CampaignId, dict[Place, Sum]] = field(default_factory=dict)
    then: Counter[CampaignId] = field(default_factory=Counter)
    """Campaign to how many of these orders were really offered it."""
    nothing: Counter[str] = field(default_factory=Counter)
    """Reason of the order to how many would be offered nothing for it."""
    refused: Counter[str] = field(default_factory=Counter)
    """Reason to how often it refused the draft."""
    taken: dict[CampaignId, dict[Place, Sum]] = field(default_factory=dict)
    """Who would have won where the draft does; 0 = nobody."""
    currencies: dict[str, set[str]] = field(default_factory=dict)
    """Sales channel to the currencies of its orders."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values: amounts as strings, summed per currency.

        Costs are in the shop's own currency: where a sales channel has orders in several, nobody
        says which that is, and its margins are not known.
        """
        return {
            "orders": self.orders,
            "outside": self.outside,
            "unreadable": self.unreadable,
            "offered": self.offered,
            "shown": self._by_currency(self.shown),
            "then": {str(pk): count for pk, count in self.then.items()},
            "nothing": dict(self.nothing),
            "refused": dict(self.refused),
            "taken": self._by_currency(self.taken),
        }

    def _by_currency(self, sums: dict[CampaignId, dict[Place, Sum]]) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for pk, places in sums.items():
            joined: dict[str, Sum] = {}
            for (channel, currency), one in sorted(places.items()):
                costs = len(self.currencies[channel]) == 1
                joined.setdefault(currency, Sum()).join(one, costs=costs)
            told[str(pk)] = {currency: one.as_json(currency) for currency, one in joined.items()}
        return told


class Replay:
    """Decides orders again, in the order in which they are given, and counts."""

    def __init__(
        self,
        *,
        since: datetime,
        until: datetime,
        draft: CampaignSpec | None = None,
        channels: Collection[str] = (),
    ) -> None:
        """Take the campaigns as they are now, and the draft as if it were live.

        Args:
            since: Orders whose checkout was completed before are left out.
            until: So are those from then on.
            draft: The campaign that is tried; taken out of what it is compared with.
            channels: Orders of these sales channels only; none = of all.
        """
        self.tally = Tally()
        self.since, self.until = since, until
        self.channels = frozenset(channels)
        self.draft = draft
        version = snapshots.current_version()
        self.index = self.base = snapshots.index(version)
        if draft is not None:
            self.base = _edited(self.index, draft.id, ())
            self.index = _edited(self.index, draft.id, (draft,))
        self._before: Seen = {}
        self._seen: Seen = {}
        self._base_seen: Seen = {}

    def run(self, refs: Sequence[Ref], each: Callable[[], None] = lambda: None) -> None:
        """Decide these orders again; ``each`` is called after each one.

        Cost: four statements of ours for all of them; of the shop, what one decision costs for
        each, and twice that where the draft wins.
        """
        orders = self._orders(refs)
        changed = replaying.accepted_by(refs)
        then = dict(
            DecisionRow.objects.filter(order_ref__in=refs, trial=False).values_list(
                "order_ref", "campaign_id"
            )
        )
        if self.index.remembers or self.base.remembers:
            keys = {key for order in orders for key in snapshots.customer_keys(order.customer)}
            self._before = queries.seen_before(sorted(keys), self.since)
        for _ in range(len(refs) - len(orders)):
            each()
        for order in orders:
            try:
                self._one(order, changed.get(order.ref, ()), then.get(order.ref))
            except Exception:
                # The host's ports are foreign code: one order more or less is no reason to stop.
                logger.exception("order %s could not be decided again", order.ref)
                self.tally.unreadable += 1
            each()

    def _orders(self, refs: Sequence[Ref]) -> list[Occasion]:
        """Return those of the orders that count, the earliest checkout first."""
        found = []
        for ref in refs:
            try:
                order = conf.shop().order(ref)
            except (UpsellError, LookupError, ValueError):
                self.tally.unreadable += 1
                continue
            at = _at(order)
            if at is None:
                self.tally.unreadable += 1
            elif not self.since <= at < self.until or (
                self.channels and order.channel not in self.channels
            ):
                self.tally.outside += 1
            else:
                found.append(order)
        return sorted(found, key=lambda order: (_at(order), order.ref))

    def _one(self, order: Occasion, changed: Iterable[Acceptance], then: int | None) -> None:
        placed = replaying.as_placed(order, changed)
        answer, ports = self._decided(placed, self.index, self._seen)
        won = self._is_drafts(answer)
        # What was shown before matters to both worlds, so both are gone through.
        base = None
        if self.draft is not None and (won or self.base.remembers):
            base = self._decided(placed, self.base, self._base_seen)
        self._count(placed, answer, ports, then)
        if won and base is not None:
            self._count_taken(placed, *base)

    def _is_drafts(self, answer: Decision) -> bool:
        draft, chosen = self.draft, answer.chosen
        return draft is not None and chosen is not None and chosen.campaign.id == draft.id

    def _decided(self, order: Occasion, index: CampaignIndex, seen: Seen) -> tuple[Decision, Ports]:
        at = _at(order)
        keys = snapshots.customer_keys(order.customer)
        shown: dict[CampaignId, datetime] = {}
        for known in (self._before, seen):
            for key in keys:
                shown |= {pk: when for pk, when in known.get(key, {}).items() if when < at}
        ports = Ports(shop=conf.shop(), occasion=order, now=at, products={}, availability={})
        ask = replaying.ask_as_of(ports, at)
        answer = decide(order, index, now=at, ask=ask, history=History(seen=shown))
        if answer.chosen is not None and keys and index.remembers:
            seen.setdefault(keys[0], {})[answer.chosen.campaign.id] = at
        return answer, ports

    def _count(self, order: Occasion, answer: Decision, ports: Ports, then: int | None) -> None:
        tally, place = self.tally, (order.channel, order.currency)
        tally.orders += 1
        tally.currencies.setdefault(order.channel, set()).add(order.currency)
        if then is not None:
            tally.then[then] += 1
        chosen = answer.chosen
        if chosen is None:
            tally.nothing[str(answer.reason)] += 1
        else:
            tally.offered += 1
            sums = tally.shown.setdefault(chosen.campaign.id, {})
            sums.setdefault(place, Sum()).add(*_worth(chosen, order, ports))
        if self.draft is not None and not self._is_drafts(answer):
            tally.refused[str(self._refusal(self.draft, order, answer))] += 1

    def _refusal(self, draft: CampaignSpec, order: Occasion, answer: Decision) -> ReasonCode:
        """Return why the draft lost, also where the index left it out."""
        if draft.id in answer.passed_over:
            return answer.passed_over[draft.id]
        if answer.reason not in ("", Reason.NO_MATCH):
            return answer.reason
        policy = self.index.policy(order.channel)
        view = View(order, now=_at(order), history=History(), policy=policy)
        return first_refusal(draft, view) or Reason.NOT_REACHED

    def _count_taken(self, order: Occasion, answer: Decision, ports: Ports) -> None:
        chosen, place = answer.chosen, (order.channel, order.currency)
        sums = self.tally.taken.setdefault(chosen.campaign.id if chosen else 0, {})
        worth = _worth(chosen, order, ports) if chosen else (Decimal(0), Decimal(0))
        sums.setdefault(place, Sum()).add(*worth)


def _at(order: Occasion) -> Any:
    return order.checkout_completed_at or order.placed_at


def _edited(
    index: CampaignIndex, draft: CampaignId, specs: Sequence[CampaignSpec]
) -> CampaignIndex:
    """Return the index with the draft as it is given, or without it."""
    return index.edited(
        [draft],
        specs,
        version=index.version,
        total=index.total - 1 + len(specs),
        policies=index.policies,
    )


def _worth(candidate: Candidate, order: Occasion, ports: Ports) -> tuple[Decimal, Decimal | None]:
    """Return the net value of one acceptance, and its margin where all costs are known."""
    net = candidate.unit.net * candidate.quantity - candidate.credit.net
    bought = {line.ref: line.product for line in order.lines}
    moved: list[tuple[Product | None, int]] = [
        (ports.products.get(candidate.product_ref), candidate.quantity),
        *((bought.get(part.line_ref), -part.quantity) for part in candidate.replaces),
    ]
    margin = net
    for product, units in moved:
        if product is None or product.cost is None:
            return net, None
        margin -= product.cost * units
    return net, margin
