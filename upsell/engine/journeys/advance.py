"""One buyer's passage, moved as far as it goes now: the only function that moves anyone. Pure.

What a step needs to know or to have done it asks of a ``World``; what must last is in the
``Passage`` that comes back. A step that has to wait is come back to, with the time at which it
was reached, so that it makes no difference how often, or how late, anybody looks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import Protocol

from upsell.engine.conditions import Asked, Tree, Value, conditions, evaluate
from upsell.engine.experiments import ArmSpec, PhaseSpec, arm_of
from upsell.engine.journeys.definition import Definition, Kind, Step
from upsell.engine.journeys.waits import Span, due_at

MOST_HOPS = 50
"""So many steps in one go; the rest is done at the next look."""


class World(Protocol):
    """What is known outside the plan, as of one look."""

    def facts(self, asked: Collection[Asked]) -> Mapping[Asked, Value]:
        """Return what is known of these; what is missing is left out."""

    def reachable(self, media: Collection[str]) -> Collection[str]:
        """Return those of the media by which the buyer may be written to now."""

    def best(self, media: Collection[str]) -> str:
        """Return the best of the media by which the buyer may be written to; empty = none."""

    def do(self, step: Step) -> str:
        """Write down what a step wants done, once; return its outcome, empty = not known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a run stands."""

    step: str
    since: datetime
    """When it was reached: waits count from then."""
    settled: str = ""
    """The outcome, where somebody else found it: an event came, a message was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One step left behind."""

    step: str
    outcome: str
    at: datetime
    because: str = ""
    """Of a check: why the branch before was not taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """How far it went."""

    hops: tuple[Hop, ...]
    position: Position
    """Where it waits, or where it ended."""
    due_at: datetime | None = None
    """When to look again; none = when what it waits for is settled."""
    event: str = ""
    """The event that it waits for, if any."""
    ended: str = ""
    """Why it is over: ``completed``, ``goto:<journey>``, ``service_started``, or an exit's."""
    failed: Exception | None = None
    """What the world raised at the step where it stands; what was left behind before it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rest:
    due_at: datetime | None = None
    event: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    reason: str


def advance(
    plan: Definition,
    position: Position,
    world: World,
    *,
    now: datetime,
    unit: str,
    zone: tzinfo,
    deadline: datetime | None = None,
) -> Passage:
    """Move a run until a step has to wait or it ends, at most 50 steps.

    Args:
        plan: The version that the run is pinned to.
        position: Where it stands.
        world: Asked at most once for each step.
        now: The database's, taken once.
        unit: The buyer's key, by which a split decides.
        zone: The buyer's.
        deadline: After which nothing of it makes sense, since the service has begun: a wait that
            would end later is not started.

    What the world raises is not raised: the passage ends before that step and says so.
    """
    hops: list[Hop] = []
    while len(hops) < MOST_HOPS:
        step = plan.steps[position.step]
        try:
            told = _outcome(step, position, world, now=now, unit=unit, zone=zone)
        except Exception as error:
            return Passage(hops=tuple(hops), position=position, due_at=now, failed=error)
        if isinstance(told, _Rest):
            late = deadline is not None and told.due_at is not None and told.due_at > deadline
            if step.kind is Kind.WAIT and late:
                told = _End(reason="service_started")
            else:
                return Passage(
                    hops=tuple(hops), position=position, due_at=told.due_at, event=told.event
                )
        if isinstance(told, _End):
            return Passage(hops=tuple(hops), position=position, ended=told.reason)
        outcome, because = told
        hops.append(Hop(step=step.id, outcome=outcome, at=now, because=because))
        position = Position(step=step.to[outcome], since=now)
    return Passage(hops=tuple(hops), position=position, due_at=now)


def _outcome(
    step: Step, position: Position, world: World, *, now: datetime, unit: str, zone: tzinfo
) -> tuple[str, str] | _Rest | _End:
    told = step.told
    match step.kind:
        case Kind.EXIT:
            return _End(reason=str(told.get("reason") or "completed"))
        case Kind.GOTO_JOURNEY:
            return _End(reason=f"goto:{told['journey']}")
        case Kind.WAIT:
            due = _wait_ends(step, position.since, zone)
            return ("next", "") if now >= due else _Rest(due_at=due)
        case Kind.WAIT_FOR_EVENT:
            timeout = told["timeout"]
            due = position.since + (timeout if isinstance(timeout, timedelta) else timedelta(0))
            if position.settled:
                return position.settled, ""
            return ("timeout", "") if now >= due else _Rest(due_at=due, event=str(told["event"]))
        case Kind.CHECK:
            return _branch(step, world)
        case Kind.REACHABLE:
            able = world.reachable(_media(step))
            return next((one for one in _media(step) if one in able), "none"), ""
        case Kind.BEST_MEDIUM:
            return world.best(_media(step)) or "none", ""
        case Kind.SPLIT:
            return _arm(step, unit), ""
        case Kind.TAG:
            world.do(step)
            return "next", ""
        case _:
            outcome = position.settled or world.do(step)
            if step.kind is Kind.OFFER and outcome == "none" and told.get("on_none") == "exit":
                return _End(reason="nothing_to_offer")
            return (outcome, "") if outcome else _Rest()


def _wait_ends(step: Step, since: datetime, zone: tzinfo) -> datetime:
    span, until, weekdays = (step.told.get(name) for name in ("for", "until", "weekdays"))
    return due_at(
        since,
        span if isinstance(span, Span) else Span(),
        zone,
        until=until if isinstance(until, time) else None,
        weekdays=weekdays if isinstance(weekdays, tuple) else (),
    )


def _branch(step: Step, world: World) -> tuple[str, str]:
    branches: list[tuple[str, Tree]] = list(step.told["branches"])  # type: ignore[call-overload]
    asked = {one.asked for _name, tree in branches for one in conditions(tree)}
    facts = world.facts(asked)
    because = ""
    for name, tree in branches:
        answer = evaluate(tree, facts)
        if answer.matches:
            return name, because
        because = answer.because
    return "otherwise", because


def _media(step: Step) -> tuple[str, ...]:
    media = step.told["media"]
    return media if isinstance(media, tuple) else ()


def _arm(step: Step, unit: str) -> str:
    arms = step.told["arms"]
    weights = arms if isinstance(arms, Mapping) else {}
    phase = PhaseSpec(
        salt=str(step.told["key"]),
        traffic=10_000,
        arms=tuple(ArmSpec(slug=slug, weight=weight) for slug, weight in weights.items()),
    )
    return arm_of(phase, unit) or phase.arms[0].slug
