"""Is an event about the same thing as the one a run began with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

ALL: Literal["all"] = "all"


def matches(
    starter: Mapping[str, Any], event: Mapping[str, Any], names: Collection[str] | Literal["all"], /
) -> bool:
    """Say whether an event has the parameters that the frozen one had.

    A list matches if any of its values does; what either of them lacks never matches. References
    are found by each of their names: ``order_id`` is ``order_ref``, ``product_ref`` is one of
    ``product_refs``.

    Args:
        starter: Parameters of the event that a run began with.
        event: Parameters of the one that came.
        names: What has to be equal; ``all`` = everything that both have, one thing at least.
    """
    first, second = _canonical(starter), _canonical(event)
    both = first.keys() & second.keys()
    wanted = both if names == ALL else {canonical(name) for name in names}
    return bool(wanted) and all(
        not first.get(name, _NOTHING).isdisjoint(second.get(name, _NOTHING)) for name in wanted
    )


def names_of(told: str, /) -> tuple[str, ...] | Literal["all"]:
    """Read what a condition is asked by: names apart by commas, or ``all``.

    >>> names_of("order_id, product_id")
    ('order_id', 'product_id')
    """
    if told.strip() == ALL:
        return ALL
    return tuple(name.strip() for name in told.split(",") if name.strip())


def canonical(name: str, /) -> str:
    """Return the one name of a parameter that has several.

    >>> [canonical(name) for name in ("order_id", "product_refs", "plan")]
    ['order_ref', 'product_ref', 'plan']
    """
    if name.endswith("_refs"):
        return name[:-1]
    return f"{name[:-3]}_ref" if name.endswith("_id") else name


_NOTHING: frozenset[str] = frozenset()


def _canonical(parameters: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name, value in parameters.items():
        rows = value if isinstance(value, list | tuple | set | frozenset) else [value]
        # As text: what is a number in a signal may have been a string in a beacon.
        texts = frozenset(str(row) for row in rows if row is not None and row != "")
        if texts:
            found[canonical(name)] = found.get(canonical(name), _NOTHING) | texts
    return found
