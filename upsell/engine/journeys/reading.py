"""A journey read from JSON: every fault is noted with its place, not the first alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import time, timedelta

from upsell.engine.conditions import ConditionError, FactSpec, Tree, below, duration_of, parse
from upsell.engine.journeys import graph
from upsell.engine.journeys.definition import (
    MEDIA,
    Criterion,
    Definition,
    Entry,
    Fault,
    IfActive,
    Kind,
    Policy,
    Step,
)
from upsell.engine.journeys.waits import Span, span_of

MOST_STEPS = 100
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=365)
MOST_SUGGESTIONS = 8
MOST_BRANCHES = 10
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_EVENT = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*")


def read(
    data: object, specs: Mapping[str, FactSpec], /
) -> tuple[Definition | None, list[Fault], list[Fault]]:
    """Read a journey; return it, what forbids publishing it, and what is merely unwise.

    Args:
        data: As JSON gives it.
        specs: The facts that its conditions may name.

    Returns:
        None and all faults found where there is any; each says where.
    """
    reader = _Reader(specs)
    made = reader.definition(data)
    if reader.faults or made is None:
        return None, reader.faults, []
    faults = list(graph.faults(made))
    if faults:
        return None, faults, []
    return made, [], list(graph.warnings(made))


class _Reader:
    """Reads piece by piece, and notes every fault on the way instead of stopping at the first."""

    def __init__(self, specs: Mapping[str, FactSpec]) -> None:
        self.specs = specs
        self.faults: list[Fault] = []

    def wrong(self, path: str, message: str) -> None:
        self.faults.append(Fault(path=path, message=message))

    def mapping(self, data: object, path: str, known: set[str]) -> Mapping[str, object]:
        if not isinstance(data, Mapping):
            self.wrong(path, f"wanted an object, and there is {data!r}")
            return {}
        for name in sorted(set(map(str, data)) - known):
            self.wrong(below(path, name), f"is not known here; known: {', '.join(sorted(known))}")
        return data

    def definition(self, data: object) -> Definition | None:
        told = self.mapping(data, "", {"start", "entry", "exit", "goals", "first", "steps"})
        start = self.mapping(told.get("start", {}), "start", {"event", "where"})
        event = self.event(start.get("event"), "start.event")
        where = self.where(start.get("where"), "start.where")
        entry = self.entry(told.get("entry", {}))
        exits = self.criteria(told.get("exit", []), "exit", goals=False)
        goals = self.criteria(told.get("goals", []), "goals", goals=True)
        rows = told.get("steps")
        if not isinstance(rows, Mapping) or not rows:
            self.wrong("steps", "a journey has one step or more")
            return None
        if len(rows) > MOST_STEPS:
            self.wrong("steps", f"there may be {MOST_STEPS} steps, and are {len(rows)}")
            return None
        steps = {}
        for name, row in rows.items():
            step = self.step(str(name), row)
            if step is not None:
                steps[step.id] = step
        first = str(told.get("first", ""))
        if first not in rows:
            self.wrong("first", f"there is no step “{first}” to begin with")
        return Definition(
            event=event, where=where, entry=entry, exits=exits, goals=goals, first=first,
            steps=steps,
        )  # fmt: skip

    def event(self, data: object, path: str) -> str:
        if isinstance(data, str) and len(data) <= 80 and _EVENT.fullmatch(data):
            return data
        self.wrong(path, f"wanted an event's name, such as order.placed, and there is {data!r}")
        return ""

    def where(self, data: object, path: str) -> Tree | None:
        if data is None:
            return None
        try:
            return parse(data, self.specs)
        except ConditionError as error:
            self.wrong(below(path, error.path) if error.path else path, error.message)
            return None

    def length(self, data: object, path: str) -> timedelta:
        found = duration_of(data)
        if found is None:
            self.wrong(path, f"wanted a duration such as PT3H or P1D, and there is {data!r}")
            return SHORTEST
        if not SHORTEST <= found <= LONGEST:
            self.wrong(path, f"a wait is 1 minute to 365 days, and this is {data}")
        return found

    def entry(self, data: object) -> Entry:
        known = {"policy", "after", "from", "concurrency", "if_active"}
        told = self.mapping(data, "entry", known)
        policy = told.get("policy", Policy.PER_KEY.value)
        if policy not in tuple(Policy):
            self.wrong("entry.policy", f"one of {', '.join(Policy)}, and not {policy!r}")
            return Entry()
        after = told.get("after")
        if policy == Policy.AFTER and after is None:
            self.wrong("entry.after", "after which time a buyer may enter again")
        counted = told.get("from", "exit")
        if counted not in ("entry", "exit"):
            self.wrong("entry.from", f"entry or exit, and not {counted!r}")
        together = told.get("concurrency", "per_key")
        if together not in ("per_key", "one"):
            self.wrong("entry.concurrency", f"per_key or one, and not {together!r}")
        active = told.get("if_active", IfActive.IGNORE.value)
        if active not in tuple(IfActive):
            self.wrong("entry.if_active", f"one of {', '.join(IfActive)}, and not {active!r}")
            active = IfActive.IGNORE.value
        return Entry(
            policy=Policy(str(policy)),
            after=None if after is None else self.length(after, "entry.after"),
            from_exit=counted == "exit",
            one_at_a_time=together == "one",
            if_active=IfActive(str(active)),
        )

    def criteria(self, data: object, path: str, *, goals: bool) -> tuple[Criterion, ...]:
        if not isinstance(data, list | tuple):
            self.wrong(path, f"wanted a list, and there is {data!r}")
            return ()
        found: list[Criterion] = []
        for place, row in enumerate(data):
            here = f"{path}.{place}"
            known = {"id", "event", "where"} | ({"within"} if goals else set())
            told = self.mapping(row, here, known)
            name = str(told.get("id", ""))
            if not _NAME.fullmatch(name) or any(one.id == name for one in found):
                self.wrong(f"{here}.id", f"wanted a name of its own, and there is {name!r}")
            within = told.get("within")
            found.append(
                Criterion(
                    id=name,
                    event=self.event(told.get("event"), f"{here}.event"),
                    where=self.where(told.get("where"), f"{here}.where"),
                    within=None if within is None else self.length(within, f"{here}.within"),
                )
            )
        return tuple(found)

    def step(self, name: str, data: object) -> Step | None:
        path = f"steps.{name}"
        if not _NAME.fullmatch(name):
            self.wrong(path, "a step's name is small letters, digits and _, 32 at most")
        kind = data.get("type") if isinstance(data, Mapping) else None
        if kind not in tuple(Kind):
            self.wrong(below(path, "type"), f"one of {', '.join(Kind)}, and not {kind!r}")
            return None
        kind = Kind(str(kind))
        fields = _FIELDS[kind]
        told = self.mapping(data, path, {"type", "to", *fields})
        values: dict[str, object] = {}
        for field_name, (how, needed) in fields.items():
            if field_name in told:
                values[field_name] = how(self, told[field_name], f"{path}.{field_name}")
            elif needed:
                self.wrong(f"{path}.{field_name}", "is missing")
        return Step(id=name, kind=kind, to=self.targets(kind, values, told, path), told=values)

    def targets(
        self, kind: Kind, values: Mapping[str, object], told: Mapping[str, object], path: str
    ) -> Mapping[str, str]:
        known = outcomes(kind, values)
        given = told.get("to", {})
        if not isinstance(given, Mapping):
            self.wrong(f"{path}.to", f"wanted outcomes and steps, and there is {given!r}")
            return {}
        for name in sorted(set(map(str, given)) - set(known)):
            self.wrong(f"{path}.to.{name}", "is no outcome of this step")
        for name in known:
            if name not in given:
                self.wrong(f"{path}.to.{name}", "leads nowhere")
        return {name: str(given[name]) for name in known if name in given}


def outcomes(kind: Kind, values: Mapping[str, object]) -> list[str]:
    """Return the outcomes of a step, in the order in which they are looked at."""
    if kind is Kind.CHECK:
        branches = values.get("branches", ())
        return [*(name for name, _tree in branches), "otherwise"]  # type: ignore[attr-defined]
    if kind in {Kind.REACHABLE, Kind.BEST_MEDIUM}:
        return [*values.get("media", ()), "none"]  # type: ignore[misc]
    if kind is Kind.SPLIT:
        arms = values.get("arms", {})
        return list(arms) if isinstance(arms, Mapping) else []
    return list(_OUTCOMES.get(kind, ("next",)))


_OUTCOMES: Mapping[Kind, tuple[str, ...]] = {
    Kind.WAIT_FOR_EVENT: ("matched", "timeout"),
    Kind.SEND: ("sent", "skipped", "failed"),
    Kind.OFFER: ("offer", "suggestions", "none"),
    Kind.WEBHOOK: ("ok", "failed"),
    Kind.EXIT: (),
    Kind.GOTO_JOURNEY: (),
}


# ------------------------------------------------------------------ what each kind needs


def _span(reader: _Reader, data: object, path: str) -> Span:
    found = span_of(data)
    if found is None:
        reader.wrong(path, f"wanted a duration such as PT3H or P1D, and there is {data!r}")
        return Span()
    if not SHORTEST <= found.about <= LONGEST:
        reader.wrong(path, f"a wait is 1 minute to 365 days, and this is {data}")
    return found


def _time(reader: _Reader, data: object, path: str) -> time:
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", data) if isinstance(data, str) else None
    if found is None:
        reader.wrong(path, f"wanted a time of the day such as 09:00, and there is {data!r}")
        return time(0)
    return time(int(found[1]), int(found[2]))


def _weekdays(reader: _Reader, data: object, path: str) -> tuple[int, ...]:
    fits = isinstance(data, list | tuple) and data and all(type(one) is int for one in data)
    days = tuple(sorted(set(data))) if fits else ()  # type: ignore[call-overload]
    if not days or days[0] < 1 or days[-1] > 7:
        reader.wrong(path, f"wanted days from 1 (Monday) to 7 (Sunday), and there is {data!r}")
    return days


def _branches(reader: _Reader, data: object, path: str) -> tuple[tuple[str, Tree | None], ...]:
    if not isinstance(data, list | tuple) or not 1 <= len(data) <= MOST_BRANCHES:
        reader.wrong(path, f"wanted 1 to {MOST_BRANCHES} branches, and there is {data!r}")
        return ()
    found: list[tuple[str, Tree | None]] = []
    for place, row in enumerate(data):
        here = f"{path}.{place}"
        told = reader.mapping(row, here, {"id", "when"})
        name = str(told.get("id", ""))
        if not _NAME.fullmatch(name) or name == "otherwise" or name in dict(found):
            reader.wrong(f"{here}.id", f"wanted a name of its own, and there is {name!r}")
        if "when" not in told:
            reader.wrong(f"{here}.when", "is missing")
        found.append((name, reader.where(told.get("when"), f"{here}.when")))
    return tuple(found)


def _media(reader: _Reader, data: object, path: str) -> tuple[str, ...]:
    known = isinstance(data, list | tuple) and data and set(map(str, data)) <= set(MEDIA)
    if not known:
        reader.wrong(path, f"wanted media of {', '.join(MEDIA)}, and there is {data!r}")
        return ()
    return tuple(dict.fromkeys(map(str, data)))  # type: ignore[call-overload]


def _arms(reader: _Reader, data: object, path: str) -> Mapping[str, int]:
    if not isinstance(data, Mapping) or len(data) < 2:
        reader.wrong(path, f"wanted two arms or more with their weights, and there is {data!r}")
        return {}
    for name, weight in data.items():
        if not _NAME.fullmatch(str(name)) or type(weight) is not int or weight < 1:
            reader.wrong(below(path, str(name)), f"wanted a whole weight, and there is {weight!r}")
    if sum(w for w in data.values() if type(w) is int) != 10_000:
        reader.wrong(path, "weights come to 10,000, ten-thousandths of the buyers")
    return {str(name): weight for name, weight in data.items()}


def _suggestions(reader: _Reader, data: object, path: str) -> int:
    if type(data) is not int or not 0 <= data <= MOST_SUGGESTIONS:
        reader.wrong(path, f"wanted 0 to {MOST_SUGGESTIONS}, and there is {data!r}")
        return 0
    return data


def _text(reader: _Reader, data: object, path: str) -> str:
    if not isinstance(data, str) or not 1 <= len(data) <= 190:
        reader.wrong(path, f"wanted a name of 1 to 190 characters, and there is {data!r}")
        return ""
    return data


def _texts(reader: _Reader, data: object, path: str) -> tuple[str, ...] | str:
    if data == "all":
        return "all"
    if not isinstance(data, list | tuple) or not data:
        reader.wrong(path, f"wanted names of parameters or “all”, and there is {data!r}")
        return ()
    return tuple(_text(reader, one, path) for one in data)


def _one_of(*names: str) -> Callable[[_Reader, object, str], str]:
    def how(reader: _Reader, data: object, path: str) -> str:
        if data not in names:
            reader.wrong(path, f"one of {', '.join(names)}, and not {data!r}")
        return str(data)

    return how


How = Callable[[_Reader, object, str], object]
_FIELDS: Mapping[Kind, Mapping[str, tuple[How, bool]]] = {
    # name of a field: how it is read, and whether it must be there
    Kind.WAIT: {
        "for": (_span, True),
        "until": (_time, False),
        "weekdays": (_weekdays, False),
    },
    Kind.WAIT_FOR_EVENT: {
        "event": (_Reader.event, True),
        "where": (_Reader.where, False),
        "match_starter": (_texts, False),
        "timeout": (_Reader.length, True),
    },
    Kind.CHECK: {"branches": (_branches, True)},
    Kind.REACHABLE: {"media": (_media, True)},
    Kind.BEST_MEDIUM: {"media": (_media, True)},
    Kind.SEND: {
        "medium": (_one_of(*MEDIA), True),
        "template": (_text, True),
        "category": (_one_of("marketing", "transactional"), False),
        "max_lateness": (_Reader.length, False),
        "on_capped": (_one_of("skip", "defer", "exit"), False),
    },
    Kind.SPLIT: {"key": (_text, True), "arms": (_arms, True)},
    Kind.OFFER: {
        "campaign": (_text, False),
        "suggestions": (_suggestions, False),
        "on_none": (_one_of("go_on", "skip", "exit"), False),
    },
    Kind.WEBHOOK: {"target": (_text, True)},
    Kind.TAG: {"tag": (_text, True)},
    Kind.EXIT: {"reason": (_text, False)},
    Kind.GOTO_JOURNEY: {"journey": (_text, True)},
}
