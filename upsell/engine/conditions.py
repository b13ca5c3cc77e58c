"""One language of conditions, for campaigns, segments and journeys: all, any, not, and facts.

A tree is data: ``{"all": [...]}``, ``{"any": [...]}``, ``{"not": {...}}`` or one condition,
``{"fact": "order.net", "op": "ge", "value": {"EUR": "50.00"}}``. It is read once, against the
facts that are registered, and then only asked.

Three values: a fact that is missing makes its condition unknown, and what is unknown stays so
under ``not``. Only true matches: nobody is offered anything for what is not known of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum

MOST_CONDITIONS = 50
DEEPEST = 6


class FactType(StrEnum):
    """What a fact holds, and so how it may be compared."""

    BOOL = "bool"
    INT = "int"
    DECIMAL = "decimal"
    MONEY = "money"
    TEXT = "text"
    REFS = "refs"
    DATETIME = "datetime"
    DURATION = "duration"


class Op(StrEnum):
    """How a fact is compared. ``between`` includes both ends; ``exists`` asks if it is known."""

    IS = "is"
    IS_NOT = "is_not"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    BETWEEN = "between"
    IN = "in"
    NOT_IN = "not_in"
    HAS_ANY = "has_any"
    HAS_ALL = "has_all"
    EXISTS = "exists"


_ORDER = (Op.LT, Op.LE, Op.GT, Op.GE, Op.BETWEEN)
OPERATORS: Mapping[FactType, tuple[Op, ...]] = {
    FactType.BOOL: (Op.IS, Op.IS_NOT, Op.EXISTS),
    FactType.INT: (Op.IS, Op.IS_NOT, *_ORDER, Op.IN, Op.NOT_IN, Op.EXISTS),
    FactType.DECIMAL: (Op.IS, Op.IS_NOT, *_ORDER, Op.EXISTS),
    FactType.MONEY: (*_ORDER, Op.EXISTS),
    FactType.TEXT: (Op.IS, Op.IS_NOT, Op.IN, Op.NOT_IN, Op.EXISTS),
    FactType.REFS: (Op.HAS_ANY, Op.HAS_ALL, Op.EXISTS),
    FactType.DATETIME: (*_ORDER, Op.EXISTS),
    FactType.DURATION: (*_ORDER, Op.EXISTS),
}
"""Which comparisons make sense for which type."""

_LISTS = {Op.IN, Op.NOT_IN, Op.HAS_ANY, Op.HAS_ALL}


class ConditionError(ValueError):
    """A tree that cannot be read; ``path`` says where: ``all.0.any.2``."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path or 'the condition'}: {message}")
        self.path = path
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount of one currency, in its major unit."""

    amount: Decimal
    currency: str


Value = bool | int | Decimal | str | datetime | timedelta | Money | frozenset[str]
"""What a fact holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSpec:
    """A fact that conditions may name."""

    name: str
    """Such as ``order.net``; unique."""
    type: FactType
    label: str = ""
    """For staff."""
    unit: str = ""
    """What a bare number counts: ``days``, ``orders``."""
    args: tuple[str, ...] = ()
    """Names of what may be asked more closely: ``event.count`` takes ``name`` and ``within``."""
    needs: tuple[str, ...] = ()
    """Those of ``args`` without which it means nothing."""
    moments: frozenset[str] = frozenset()
    """Where it is known; empty = everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One fact, as closely as it is asked. What is gathered is kept under it."""

    fact: str
    args: tuple[tuple[str, str], ...] = ()
    """By name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One comparison of one fact."""

    asked: Asked
    op: Op
    value: object = None
    """Read by the fact's type: lists are tuples, money a mapping of currency to amounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class All:
    """True if every one is; of nothing it is true."""

    of: tuple[Tree, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Any:
    """True if one is; of nothing it is false."""

    of: tuple[Tree, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """True if it is false."""

    of: Tree


Tree = All | Any | Not | Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a tree comes to for some facts."""

    value: bool | None
    """None = unknown, which does not match."""
    because: str = ""
    """Where it is not true: ``condition:<fact>`` that is not met, or ``fact_missing:<fact>``."""

    @property
    def matches(self) -> bool:
        """Say whether it is true."""
        return self.value is True


# ------------------------------------------------------------------ read and write


def parse(data: object, specs: Mapping[str, FactSpec], /) -> Tree:
    """Read a tree.

    Args:
        data: As JSON gives it. Amounts and decimals are strings: a float is refused.
        specs: The facts there are, by name.

    Raises:
        ConditionError: It cannot be read; says where, what was wanted and what was there.
    """
    tree = _parse(data, specs, "", 1)
    count = sum(1 for _ in conditions(tree))
    if count > MOST_CONDITIONS:
        raise ConditionError("", f"there may be {MOST_CONDITIONS} conditions, and are {count}")
    return tree


def dump(tree: Tree, /) -> dict[str, object]:
    """Return a tree as JSON keeps it; ``parse`` reads the same tree back."""
    match tree:
        case All(of=of):
            return {"all": [dump(one) for one in of]}
        case Any(of=of):
            return {"any": [dump(one) for one in of]}
        case Not(of=one):
            return {"not": dump(one)}
        case Condition():
            told: dict[str, object] = {"fact": tree.asked.fact}
            if tree.asked.args:
                told["args"] = dict(tree.asked.args)
            told["op"] = tree.op.value
            if tree.op is not Op.EXISTS:
                told["value"] = _plain(tree.value)
            return told


def conditions(tree: Tree, /) -> Iterator[Condition]:
    """Yield every condition of a tree, in its order."""
    if isinstance(tree, Condition):
        yield tree
    else:
        for one in (tree.of,) if isinstance(tree, Not) else tree.of:
            yield from conditions(one)


def facts_needed(tree: Tree, /) -> frozenset[Asked]:
    """Return what has to be gathered before a tree can be asked."""
    return frozenset(one.asked for one in conditions(tree))


# ------------------------------------------------------------------ ask


def evaluate(tree: Tree, facts: Mapping[Asked, Value | None], /) -> Answer:
    """Ask a tree. A fact that is not among ``facts``, or is None, is missing.

    Where it does not match, the answer names the first condition that was not met, else the
    first whose fact is missing. Cost: one comparison for each condition at most.
    """
    match tree:
        case Condition():
            return _compare(tree, facts.get(tree.asked))
        case Not(of=one):
            answer = evaluate(one, facts)
            if answer.value is None:
                return answer
            because = "" if not answer.value else _not_met(next(conditions(one), None))
            return Answer(value=not answer.value, because=because)
        case All(of=of):
            return _worst([evaluate(one, facts) for one in of])
        case Any(of=of):
            answers = [evaluate(one, facts) for one in of]
            if any(answer.matches for answer in answers):
                return Answer(value=True)
            unknown = next((answer for answer in answers if answer.value is None), None)
            return unknown or next(iter(answers), Answer(value=False))


def _worst(answers: list[Answer]) -> Answer:
    for value in (False, None):
        found = next((answer for answer in answers if answer.value is value), None)
        if found is not None:
            return found
    return Answer(value=True)


def _not_met(condition: Condition | None) -> str:
    return "" if condition is None else f"condition:{condition.asked.fact}"


def _compare(condition: Condition, fact: Value | None) -> Answer:
    if condition.op is Op.EXISTS:
        known = fact is not None
        return Answer(value=known, because="" if known else f"fact_missing:{condition.asked.fact}")
    wanted = condition.value
    if isinstance(fact, Money):
        # No amount in this currency: it cannot be said, so it is not matched.
        amounts = wanted if isinstance(wanted, Mapping) else {}
        wanted, fact = amounts.get(fact.currency), fact.amount
    if fact is None or wanted is None:
        return Answer(value=None, because=f"fact_missing:{condition.asked.fact}")
    if _COMPARISONS[condition.op](fact, wanted):
        return Answer(value=True)
    return Answer(value=False, because=_not_met(condition))


_COMPARISONS: Mapping[Op, Callable[..., bool]] = {
    Op.IS: lambda fact, wanted: fact == wanted,
    Op.IS_NOT: lambda fact, wanted: fact != wanted,
    Op.LT: lambda fact, wanted: fact < wanted,
    Op.LE: lambda fact, wanted: fact <= wanted,
    Op.GT: lambda fact, wanted: fact > wanted,
    Op.GE: lambda fact, wanted: fact >= wanted,
    Op.BETWEEN: lambda fact, wanted: wanted[0] <= fact <= wanted[1],
    Op.IN: lambda fact, wanted: fact in wanted,
    Op.NOT_IN: lambda fact, wanted: fact not in wanted,
    Op.HAS_ANY: lambda fact, wanted: not fact.isdisjoint(wanted),
    Op.HAS_ALL: lambda fact, wanted: fact.issuperset(wanted),
}


# ------------------------------------------------------------------ reading, piece by piece


def _parse(data: object, specs: Mapping[str, FactSpec], path: str, depth: int) -> Tree:
    if depth > DEEPEST:
        raise ConditionError(path, f"groups may stand {DEEPEST - 1} deep in each other, no more")
    if not isinstance(data, Mapping):
        raise ConditionError(path, f"wanted a group or a condition, and there is {data!r}")
    keys = set(data)
    for name, group in (("all", All), ("any", Any)):
        if keys == {name}:
            rows = data[name]
            if not isinstance(rows, list | tuple):
                raise ConditionError(path, f"“{name}” wants a list, and there is {rows!r}")
            return group(
                of=tuple(
                    _parse(row, specs, below(path, f"{name}.{place}"), depth + 1)
                    for place, row in enumerate(rows)
                )
            )
    if keys == {"not"}:
        return Not(of=_parse(data["not"], specs, below(path, "not"), depth + 1))
    return _condition(data, specs, path)


def _condition(data: Mapping[str, object], specs: Mapping[str, FactSpec], path: str) -> Condition:
    unknown = sorted(set(data) - {"fact", "args", "op", "value"})
    if unknown or "fact" not in data:
        raise ConditionError(path, f"wanted all, any, not or fact, and there is {sorted(data)}")
    spec = specs.get(str(data["fact"]))
    if spec is None:
        raise ConditionError(path, f"there is no fact called “{data['fact']}”")
    args = data.get("args", {})
    if not isinstance(args, Mapping) or not set(args) <= set(spec.args):
        wanted = ", ".join(spec.args) or "nothing"
        raise ConditionError(path, f"“{spec.name}” can be asked by {wanted}, not by {args!r}")
    told_args = {str(name): _arg(str(name), value, path) for name, value in args.items()}
    for name in spec.needs:
        if name not in told_args:
            raise ConditionError(path, f"“{spec.name}” has to say its {name}")
    allowed = OPERATORS[spec.type]
    if data.get("op") not in allowed:
        told = ", ".join(allowed)
        raise ConditionError(path, f"“{spec.name}” is compared by {told}, not by {data.get('op')}")
    op = Op(str(data["op"]))
    value = None if op is Op.EXISTS else _value(data.get("value"), spec, op, path)
    asked = Asked(fact=spec.name, args=tuple(sorted(told_args.items())))
    return Condition(asked=asked, op=op, value=value)


def _arg(name: str, data: object, path: str) -> str:
    """Return what a fact is asked by as text: a list is its values, apart by commas."""
    if isinstance(data, bool):
        data = "true" if data else "false"
    if isinstance(data, list | tuple):
        data = ",".join(map(str, data))
    told = str(data).strip() if isinstance(data, str | int) else ""
    if not told or len(told) > 190:
        raise ConditionError(path, f"wanted as {name} 1 to 190 characters, and there is {data!r}")
    readable, wanted = _ARGS.get(name, (_anything, ""))
    if not readable(told):
        raise ConditionError(path, f"wanted as {name} {wanted}, and there is {told!r}")
    return told


def _anything(_told: str) -> bool:
    return True


def _is_duration(told: str) -> bool:
    return duration_of(told) is not None


_ARGS: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "within": (_is_duration, "a duration such as P7D or PT3H30M"),
    "since": (
        lambda told: told == "entry" or _is_duration(told),
        "“entry”, or a duration such as P7D",
    ),
    "since_entry": (lambda told: told in {"true", "false"}, "true or false"),
    "ancillary": (lambda told: told in {"true", "false"}, "true or false"),
    "primary": (lambda told: told in {"true", "false"}, "true or false"),
}
"""What may be asked more closely in one way only, wherever it may be asked."""


def _value(data: object, spec: FactSpec, op: Op, path: str) -> object:
    if spec.type is FactType.MONEY:
        if not isinstance(data, Mapping) or not data:
            raise ConditionError(path, f"wanted amounts by currency, and there is {data!r}")
        return {
            str(code): _one_or_two(amount, FactType.DECIMAL, op, path)
            for code, amount in data.items()
        }
    if op in _LISTS:
        if not isinstance(data, list | tuple) or not data:
            raise ConditionError(path, f"wanted a list of one or more, and there is {data!r}")
        kind = FactType.TEXT if spec.type is FactType.REFS else spec.type
        return tuple(_read(one, kind, path) for one in data)
    return _one_or_two(data, spec.type, op, path)


def _one_or_two(data: object, kind: FactType, op: Op, path: str) -> object:
    if op is not Op.BETWEEN:
        return _read(data, kind, path)
    if not isinstance(data, list | tuple) or len(data) != 2:
        raise ConditionError(path, f"wanted the least and the most, and there is {data!r}")
    least, most = (_read(one, kind, path) for one in data)
    if least > most:  # type: ignore[operator]
        raise ConditionError(path, f"the least is above the most: {data[0]} and {data[1]}")
    return (least, most)


_DURATION = re.compile(
    r"P(?=.)(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,5})H)?(?:(?P<minutes>\d{1,7})M)?(?:(?P<seconds>\d{1,9})S)?)?"
)


def _read(data: object, kind: FactType, path: str) -> Value:
    read = _READERS[kind](data)
    if read is None:
        raise ConditionError(path, f"wanted {_WANTED[kind]}, and there is {data!r}")
    return read


def _bool(data: object) -> bool | None:
    return data if isinstance(data, bool) else None


def _int(data: object) -> int | None:
    return data if isinstance(data, int) and not isinstance(data, bool) else None


def _decimal(data: object) -> Decimal | None:
    if isinstance(data, bool) or not isinstance(data, int | str | Decimal):
        return None
    try:
        number = Decimal(data)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _text(data: object) -> str | None:
    return data if isinstance(data, str) and data and len(data) <= 190 else None


def _datetime(data: object) -> datetime | None:
    if not isinstance(data, str):
        return None
    try:
        at = datetime.fromisoformat(data)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def duration_of(data: object, /) -> timedelta | None:
    """Return an ISO 8601 duration of days and less, such as ``P1DT3H``; None where it is none."""
    found = _DURATION.fullmatch(data) if isinstance(data, str) else None
    if found is None:
        return None
    return timedelta(**{name: int(count or 0) for name, count in found.groupdict().items()})


_READERS: Mapping[FactType, Callable[[object], Value | None]] = {
    FactType.BOOL: _bool,
    FactType.INT: _int,
    FactType.DECIMAL: _decimal,
    FactType.TEXT: _text,
    FactType.DATETIME: _datetime,
    FactType.DURATION: duration_of,
}
_WANTED: Mapping[FactType, str] = {
    FactType.BOOL: "true or false",
    FactType.INT: "a whole number",
    FactType.DECIMAL: "a number as text, such as “12.50”",
    FactType.TEXT: "a text of 1 to 190 characters",
    FactType.DATETIME: "a time with its zone, such as 2026-03-02T10:00:00+00:00",
    FactType.DURATION: "a duration such as P7D or PT3H30M",
}


def _plain(value: object) -> object:
    """Return a value as JSON keeps it."""
    match value:
        case Mapping():
            return {code: _plain(amount) for code, amount in value.items()}
        case tuple():
            return [_plain(one) for one in value]
        case Decimal():
            return str(value)
        case datetime():
            return value.isoformat()
        case timedelta():
            return f"P{value.days}DT{value.seconds}S"
        case _:
            return value


def below(path: str, step: str, /) -> str:
    """Return the place of a part of what stands at a place: ``all.0``."""
    return f"{path}.{step}" if path else step
