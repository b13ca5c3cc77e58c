"""The draft of a journey: its rows as the document that is published, and back. Pure.

A row is what staff typed of one step. Where they left open where an outcome leads, it leads to
the step that comes next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from upsell.engine.journeys.definition import Fault, Kind
from upsell.engine.journeys.reading import outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDraft:
    """One step as it is stored before it is published; nothing of it need be right."""

    name: str
    kind: str
    told: Mapping[str, object] = field(default_factory=dict)
    """What the kind needs, as JSON gives it."""
    to: Mapping[str, str] = field(default_factory=dict)
    """Outcome to step; one that is not named leads to the next step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What of a draft a fault speaks of."""

    step: str = ""
    """Empty = of the journey as a whole."""
    field: str = ""
    """``told`` names of the kind, ``to.sent``, ``start.event``; empty = the step as a whole."""


def definition_of(
    *,
    event: str,
    where: object = None,
    policy: str = "per_key",
    after: str | None = None,
    counted_from: str = "exit",
    concurrency: str = "per_key",
    if_active: str = "ignore",
    category: str = "marketing",
    exits: Sequence[object] = (),
    goals: Sequence[object] = (),
    first: str = "",
    steps: Sequence[StepDraft],
) -> dict[str, object]:
    """Return the document that ``reading.read`` takes.

    Args:
        event: What begins it.
        where: A tree of conditions as JSON keeps it; None = everybody.
        policy: How often a buyer may enter.
        after: ISO 8601; read only where ``policy`` is ``after``.
        counted_from: ``exit`` or ``entry``.
        concurrency: ``per_key`` or ``one``.
        if_active: ``ignore``, ``restart`` or ``merge``; the first is not written.
        category: Of messages whose step names none.
        exits: Rows of ``{"id", "event", "where"}``.
        goals: The same, with ``within``.
        first: The step to begin with; empty = the first of ``steps``.
        steps: In their order.
    """
    start: dict[str, object] = {"event": event}
    if where is not None:
        start["where"] = where
    entry: dict[str, object] = {"policy": policy, "concurrency": concurrency}
    if if_active != "ignore":
        entry["if_active"] = if_active
    if policy == "after":
        entry["from"] = counted_from
        if after is not None:
            entry["after"] = after
    rows: dict[str, object] = {}
    for place, step in enumerate(steps):
        follows = steps[place + 1].name if place + 1 < len(steps) else ""
        row: dict[str, object] = {"type": step.kind, **step.told}
        if step.kind == Kind.SEND:
            row.setdefault("category", category)
        row["to"] = leads_to(step, follows)
        rows[step.name] = row
    return {
        "start": start,
        "entry": entry,
        "exit": list(exits),
        "goals": list(goals),
        "first": first or (steps[0].name if steps else ""),
        "steps": rows,
    }


def steps_of(definition: Mapping[str, object]) -> list[StepDraft]:
    """Return the steps of a document as rows, in its order."""
    found = []
    rows = definition.get("steps")
    for name, row in (rows if isinstance(rows, Mapping) else {}).items():
        told = dict(row) if isinstance(row, Mapping) else {}
        kind, to = str(told.pop("type", "")), told.pop("to", {})
        targets = {str(k): str(v) for k, v in to.items()} if isinstance(to, Mapping) else {}
        found.append(StepDraft(name=str(name), kind=kind, told=told, to=targets))
    return found


def outcomes_of(kind: str, told: Mapping[str, object]) -> list[str]:
    """Return what may come of a step, in order, as far as what was typed says it."""
    if kind not in tuple(Kind):
        return []
    values = dict(told)
    branches, media = told.get("branches"), told.get("media")
    rows = branches if isinstance(branches, list | tuple) else ()
    names = [str(row.get("id", "")) for row in rows if isinstance(row, Mapping)]
    values["branches"] = tuple((name, None) for name in names if name)
    values["media"] = media if isinstance(media, list | tuple) else ()
    return list(dict.fromkeys(outcomes(Kind(kind), values)))


def leads_to(step: StepDraft, follows: str) -> dict[str, str]:
    """Return outcome to step, with ``follows`` where a row says nothing; empty leads nowhere."""
    found = {name: step.to.get(name) or follows for name in outcomes_of(step.kind, step.told)}
    return {name: target for name, target in found.items() if target}


def place_of(fault: Fault) -> Place:
    """Return the step and field that a fault belongs to: ``steps.mail_1.to.sent``."""
    head, _dot, rest = fault.path.partition(".")
    if head != "steps" or not rest:
        return Place(field=fault.path)
    step, _dot, name = rest.partition(".")
    return Place(step=step, field=name)
