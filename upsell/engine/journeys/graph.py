"""The ways through a journey: what is wrong with them, and what is merely unwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from upsell.engine.conditions import Tree, conditions
from upsell.engine.journeys.definition import (
    WAITS,
    Definition,
    Fault,
    IfActive,
    Kind,
    Policy,
    Step,
    in_order,
)


def faults(made: Definition) -> Iterator[Fault]:
    """Yield what forbids publishing: no such step, a way back, a step that nothing leads to."""
    missing = False
    for step in made.steps.values():
        for outcome, target in step.to.items():
            if target not in made.steps:
                missing = True
                yield Fault(
                    path=f"steps.{step.id}.to.{outcome}", message=f"there is no step “{target}”"
                )
    if missing:
        return
    loop = _loop(made.first, made.steps)
    if loop:
        yield Fault(path=f"steps.{loop[0]}", message="it comes back to itself: " + " → ".join(loop))
        return
    reached = set(in_order(made.first, made.steps))
    for name in made.steps:
        if name not in reached:
            yield Fault(path=f"steps.{name}", message="nothing leads here")
    yield from _offers_after_a_no(made, reached)
    yield from _unknown_calls(made)


def answered_before(made: Definition, name: str, /) -> frozenset[str]:
    """Return the steps that call a system and were answered on every way to a step."""
    calls = [step.id for step in made.steps.values() if step.kind is Kind.WEBHOOK]
    return frozenset(call for call in calls if not _leads(made, name, without=call))


def _leads(made: Definition, name: str, *, without: str) -> bool:
    """Say whether a way leads from the beginning here that no answer of that step is on."""
    seen, left = set[str](), [made.first]
    while left:
        here = left.pop()
        if here == name:
            return True
        if here not in seen:
            seen.add(here)
            to = made.steps[here].to.items()
            left += [target for outcome, target in to if (here, outcome) != (without, "ok")]
    return False


def _unknown_calls(made: Definition) -> Iterator[Fault]:
    """Conditions that ask for the answer of a step that calls nobody."""
    for path, tree in _trees(made):
        for one in conditions(tree):
            step = dict(one.asked.args).get("step", "")
            if one.asked.fact.startswith("webhook.") and not _calls(made, step):
                yield Fault(path=path, message=f"there is no step “{step}” that calls a system")


def _calls(made: Definition, name: str) -> bool:
    return name in made.steps and made.steps[name].kind is Kind.WEBHOOK


def _trees(made: Definition) -> Iterator[tuple[str, Tree]]:
    if made.where is not None:
        yield "start.where", made.where
    for where, criteria in (("exit", made.exits), ("goals", made.goals)):
        for place, row in enumerate(criteria):
            if row.where is not None:
                yield f"{where}.{place}.where", row.where
    for step in made.steps.values():
        tree: Any = step.told.get("where")
        if tree is not None:
            yield f"steps.{step.id}.where", tree
        branches: Any = step.told.get("branches", ())
        for place, (_name, when) in enumerate(branches):
            if when is not None:
                yield f"steps.{step.id}.branches.{place}.when", when


def _offers_after_a_no(made: Definition, reached: set[str]) -> Iterator[Fault]:
    """A buyer who declined is not asked again, whatever a journey says."""
    if made.event != "offer.declined":
        return
    for name in made.steps:
        if name in reached and made.steps[name].kind is Kind.OFFER:
            yield Fault(
                path=f"steps.{name}",
                message="it begins with a declined offer: after a no there is no other offer",
            )


def _loop(first: str, steps: Mapping[str, Step]) -> list[str]:
    """Return a way back to a step, if there is one; walked without recursion."""
    done: set[str] = set()
    way: list[str] = [first]
    left = [iter(steps[first].to.values())]
    while left:
        target = next(left[-1], None)
        if target is None:
            done.add(way.pop())
            left.pop()
        elif target in way:
            return [*way[way.index(target) :], target]
        elif target not in done:
            way.append(target)
            left.append(iter(steps[target].to.values()))
    return []


def warnings(made: Definition) -> Iterator[Fault]:
    """Yield what is unwise of a journey without faults, and may be published."""
    yield from _never_in_the_way(made)
    exits = {one.event for one in made.exits}
    for place, goal in enumerate(made.goals):
        if goal.event not in exits:
            yield Fault(
                path=f"goals.{place}",
                message=f"nothing ends a run when {goal.event} comes: who did it is asked again",
            )
    sends = [step for step in made.steps.values() if step.kind is Kind.SEND]
    for step in sends:
        if any(_before(made, step.id, {Kind.SEND}, stop=WAITS)):
            yield Fault(path=f"steps.{step.id}", message="two messages without a wait between them")
        if any(_before(made, step.id, WAITS, stop={Kind.CHECK})):
            yield Fault(
                path=f"steps.{step.id}",
                message="after the last wait nothing checks whether it is still wanted",
            )
        marketing = step.told.get("category", "marketing") == "marketing"
        asks = {Kind.REACHABLE, Kind.BEST_MEDIUM}
        if marketing and _unasked(made, step.id, asks):
            yield Fault(
                path=f"steps.{step.id}",
                message="nothing asks before whether the buyer may be reached",
            )


def _never_in_the_way(made: Definition) -> Iterator[Fault]:
    entry = made.entry
    by_event = entry.policy in {Policy.ALWAYS, Policy.AFTER} and not entry.one_at_a_time
    if by_event and entry.if_active is not IfActive.IGNORE:
        told = "every event has a run of its own here: none is in the way of another"
        yield Fault(path="entry.if_active", message=told)


def _before(
    made: Definition, name: str, wanted: set[Kind] | frozenset[Kind], *, stop: object
) -> Iterator[str]:
    """Yield steps of the wanted kinds from which a way leads here, past no step that stops it."""
    comes_from: dict[str, set[str]] = {}
    for step in made.steps.values():
        for target in step.to.values():
            comes_from.setdefault(target, set()).add(step.id)
    seen, left = set[str](), [*comes_from.get(name, ())]
    while left:
        here = left.pop()
        if here in seen:
            continue
        seen.add(here)
        kind = made.steps[here].kind
        if kind in wanted:
            yield here
        elif kind not in stop:  # type: ignore[operator]
            left += comes_from.get(here, ())


def _unasked(made: Definition, name: str, asks: set[Kind]) -> bool:
    """Say whether a way leads from the beginning here past none of these kinds."""
    seen, left = set[str](), [made.first]
    while left:
        here = left.pop()
        if here == name:
            return True
        if here in seen or made.steps[here].kind in asks:
            continue
        seen.add(here)
        left += made.steps[here].to.values()
    return False
