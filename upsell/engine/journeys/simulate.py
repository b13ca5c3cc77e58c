"""A passage from its beginning to its end, in a world that is told beforehand. No clock, no row.

For the preview that staff see before they publish, and for tests.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

from upsell.engine.conditions import Asked, Value, evaluate, facts_needed
from upsell.engine.journeys.advance import Hop, Position, advance
from upsell.engine.journeys.definition import Criterion, Definition, Kind, Step

MOST_LOOKS = 1_000
"""No journey of a hundred steps has more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that will happen, and what is known from then on."""

    at: datetime
    event: str
    facts: Mapping[Asked, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What came of it."""

    hops: tuple[Hop, ...]
    ended: str
    """Why it was over."""
    at: datetime
    """When."""
    done: tuple[tuple[str, datetime], ...] = ()
    """Steps that wanted something done, and when."""


class _World:
    """What the script says, as of one time."""

    def __init__(
        self,
        facts: Mapping[Asked, Value],
        media: Collection[str],
        outcomes: Mapping[str, str],
    ) -> None:
        self.known = dict(facts)
        self.media = media
        self.outcomes = outcomes
        self.now: datetime | None = None
        self.done: list[tuple[str, datetime]] = []

    def facts(self, asked: Collection[Asked]) -> Mapping[Asked, Value]:
        return {one: self.known[one] for one in asked if one in self.known}

    def reachable(self, media: Collection[str]) -> Collection[str]:
        return [one for one in media if one in self.media]

    def best(self, media: Collection[str]) -> str:
        return next(iter(self.reachable(media)), "")

    def do(self, step: Step) -> str:
        if self.now is not None:
            self.done.append((step.id, self.now))
        return self.outcomes.get(step.id, _AS_HOPED.get(step.kind, "next"))


_AS_HOPED: Mapping[Kind, str] = {Kind.SEND: "sent", Kind.OFFER: "offer", Kind.WEBHOOK: "ok"}


def simulate(
    plan: Definition,
    *,
    begun: datetime,
    unit: str,
    zone: tzinfo,
    facts: Mapping[Asked, Value] | None = None,
    media: Collection[str] = ("email",),
    outcomes: Mapping[str, str] | None = None,
    happenings: Sequence[Happening] = (),
    deadline: datetime | None = None,
) -> Story:
    """Walk a journey as it would go.

    Args:
        plan: The journey.
        begun: When the event came that it begins with.
        unit: The buyer's key.
        zone: The buyer's.
        facts: What is known from the beginning.
        media: By which the buyer may be written to.
        outcomes: Step to what comes of it, where it does not go as hoped.
        happenings: In any order; those at the same time as a wait ends come first.
        deadline: As for ``advance``.
    """
    world = _World(facts or {}, media, outcomes or {})
    to_come = sorted(happenings, key=lambda one: one.at)
    position, now = Position(step=plan.first, since=begun), begun
    hops: list[Hop] = []
    for _look in range(MOST_LOOKS):
        world.now = now
        passage = advance(plan, position, world, now=now, unit=unit, zone=zone, deadline=deadline)
        if passage.failed is not None:
            raise passage.failed
        hops += passage.hops
        position = passage.position
        if passage.ended:
            return Story(hops=tuple(hops), ended=passage.ended, at=now, done=tuple(world.done))
        # What a script does is settled at once, so whatever rests has a time.
        due = passage.due_at or now + timedelta(days=366)
        while to_come and to_come[0].at <= due:
            happening = to_come.pop(0)
            if happening.at < begun:
                continue
            now = happening.at
            world.known.update(happening.facts)
            left = _met(plan.exits, happening, world)
            if left is not None:
                reason = f"exit:{left.id}"
                return Story(hops=tuple(hops), ended=reason, at=now, done=tuple(world.done))
            if passage.event == happening.event and _fits(plan, position, world):
                position = Position(step=position.step, since=position.since, settled="matched")
                break
        else:
            now = due
    raise RuntimeError(f"a journey that never ends: {position.step}")


def _met(criteria: Collection[Criterion], happening: Happening, world: _World) -> Criterion | None:
    for one in criteria:
        if one.event != happening.event:
            continue
        if one.where is None:
            return one
        if evaluate(one.where, world.facts(facts_needed(one.where))).matches:
            return one
    return None


def _fits(plan: Definition, position: Position, world: _World) -> bool:
    where = plan.steps[position.step].told.get("where")
    if where is None:
        return True
    return evaluate(where, world.facts(facts_needed(where))).matches  # type: ignore[arg-type]
