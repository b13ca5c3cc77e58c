"""A journey as data: what is published, and what a run walks along.

The shape, names only::

    {"start": {"event", "where"},
     "entry": {"policy", "after", "from", "concurrency", "if_active"},
     "exit": [{"id", "event", "where"}], "goals": [{"id", "event", "where", "within"}],
     "first": step, "steps": {step: {"type", ..., "to": {outcome: step}}}}

A step names where each of its outcomes leads. The graph has no way back, every way ends in an
``exit`` or a ``goto_journey``, and nothing stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from upsell.engine.conditions import Tree
from upsell.engine.journeys.waits import Span

_ZERO = timedelta(0)


class Kind(StrEnum):
    """What a step does."""

    WAIT = "wait"
    WAIT_FOR_EVENT = "wait_for_event"
    CHECK = "check"
    REACHABLE = "reachable"
    BEST_MEDIUM = "best_medium"
    SEND = "send"
    SPLIT = "split"
    OFFER = "offer"
    WEBHOOK = "webhook"
    TAG = "tag"
    EXIT = "exit"
    GOTO_JOURNEY = "goto_journey"


WAITS = frozenset({Kind.WAIT, Kind.WAIT_FOR_EVENT})
MEDIA = ("email", "sms", "onsite", "push")


class Policy(StrEnum):
    """How often one buyer may enter."""

    PER_KEY = "per_key"
    ONCE = "once"
    AFTER = "after"
    ALWAYS = "always"


class IfActive(StrEnum):
    """What an event does where the run that it would begin is under way already."""

    IGNORE = "ignore"
    RESTART = "restart"
    MERGE = "merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that forbids publishing, or a warning that does not."""

    path: str
    """``steps.mail_1.to.sent``."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One stage of a journey."""

    id: str
    kind: Kind
    to: Mapping[str, str] = field(default_factory=dict)
    """Outcome to the step it leads to, in the order of the outcomes."""
    told: Mapping[str, object] = field(default_factory=dict)
    """What the kind needs, read: durations, conditions, names."""

    @property
    def shortest(self) -> timedelta:
        """The least time that is spent here."""
        span = self.told.get("for")
        return span.about if isinstance(span, Span) else _ZERO

    @property
    def longest(self) -> timedelta:
        """The most time that is spent here, but for an hour of the day that is waited for."""
        timeout = self.told.get("timeout")
        return timeout if isinstance(timeout, timedelta) else self.shortest


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """An event that ends a run, or that it is for."""

    id: str
    event: str
    where: Tree | None = None
    within: timedelta | None = None
    """Of goals: how long after the last message it still counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Who may enter, and how often."""

    policy: Policy = Policy.PER_KEY
    after: timedelta | None = None
    from_exit: bool = True
    """``after`` counts from the end of the last run, not from its beginning."""
    one_at_a_time: bool = False
    """One active run a buyer; else one for each key."""
    if_active: IfActive = IfActive.IGNORE
    """Of a run in the way of another: it goes on, begins anew, or goes on with the event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A journey that may be published."""

    event: str
    where: Tree | None
    entry: Entry
    exits: tuple[Criterion, ...]
    goals: tuple[Criterion, ...]
    first: str
    steps: Mapping[str, Step]

    def lasts(self) -> tuple[timedelta, timedelta]:
        """Return the time of the shortest and of the longest way through."""
        found: dict[str, tuple[timedelta, timedelta]] = {}

        def of(name: str) -> tuple[timedelta, timedelta]:
            if name not in found:
                step = self.steps[name]
                after = [of(target) for target in set(step.to.values())] or [(_ZERO, _ZERO)]
                found[name] = (
                    step.shortest + min(least for least, _most in after),
                    step.longest + max(most for _least, most in after),
                )
            return found[name]

        return of(self.first)

    def layers(self) -> list[list[str]]:
        """Return steps by the longest way to them, for a picture: arrows only point down."""
        depth = {self.first: 0}
        for name in in_order(self.first, self.steps):
            for target in self.steps[name].to.values():
                depth[target] = max(depth.get(target, 0), depth[name] + 1)
        rows: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
        for name in self.steps:
            rows[depth[name]].append(name)
        return rows


def in_order(first: str, steps: Mapping[str, Step]) -> list[str]:
    """Return the steps that can be reached, each step after all that lead to it."""
    done: dict[str, None] = {}

    def visit(name: str) -> None:
        for target in steps[name].to.values():
            if target not in done:
                visit(target)
        done[name] = None

    visit(first)
    return list(reversed(done))
