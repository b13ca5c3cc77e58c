"""Words with gaps: ``{name}`` and ``{name|fallback}``, from a closed table of names, and no more.

What staff type is never a template of any engine. It is read once, refused where it is not
understood, and filled with plain text; whoever shows it escapes all of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

_GAP = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*")


class PlaceholderError(ValueError):
    """Words that cannot be read: ``place`` is the number of the character, from 1."""

    def __init__(self, place: int, message: str) -> None:
        super().__init__(f"at character {place}: {message}")
        self.place = place
        self.message = message


class Unresolved(ValueError):
    """A gap for which there is neither a value nor a fallback."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is nothing to put in place of {{{name}}}")
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One placeholder."""

    name: str
    fallback: str | None = None
    """What stands there where there is no value; none = it cannot be left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Text and gaps, in their order."""

    parts: tuple[str | Gap, ...]

    @property
    def names(self) -> frozenset[str]:
        """The names in it."""
        return frozenset(part.name for part in self.parts if isinstance(part, Gap))

    def unresolved(self, available: Collection[str]) -> frozenset[str]:
        """Return the names without a fallback that can never have a value."""
        return frozenset(
            part.name
            for part in self.parts
            if isinstance(part, Gap) and part.fallback is None and part.name not in available
        )

    def filled(self, values: Mapping[str, str]) -> str:
        """Return plain text. An empty value counts as none.

        Raises:
            Unresolved: A gap has neither a value nor a fallback.
        """
        return "".join(
            part if isinstance(part, str) else _filled(part, values) for part in self.parts
        )


def parse(text: str, names: Collection[str], /) -> Words:
    """Read words with gaps.

    Args:
        text: As staff typed it.
        names: The closed table.

    Raises:
        PlaceholderError: A brace stands alone, or a name is not in the table.

    >>> parse("Hello {name|there}!", {"name"}).filled({})
    'Hello there!'
    """
    parts: list[str | Gap] = []
    end = 0
    for found in _GAP.finditer(text):
        _refuse_braces(text, end, found.start())
        if found.start() > end:
            parts.append(text[end : found.start()])
        parts.append(_gap(found, names))
        end = found.end()
    _refuse_braces(text, end, len(text))
    if end < len(text):
        parts.append(text[end:])
    return Words(parts=tuple(parts))


def _gap(found: re.Match[str], names: Collection[str]) -> Gap:
    name, bar, fallback = found[1].partition("|")
    name, place = name.strip(), found.start() + 1
    if not _NAME.fullmatch(name):
        raise PlaceholderError(place, f"“{found[0]}” is no placeholder; write one like {{name}}")
    if name not in names:
        close = get_close_matches(name, names, 1)
        hint = f"; did you mean {{{close[0]}}}?" if close else ""
        raise PlaceholderError(place, f"there is no placeholder {{{name}}}{hint}")
    return Gap(name=name, fallback=fallback.strip() if bar else None)


def _refuse_braces(text: str, start: int, end: int) -> None:
    for place in range(start, end):
        if text[place] in "{}":
            raise PlaceholderError(
                place + 1, f"“{text[place]}” stands alone; braces are for placeholders only"
            )


def _filled(gap: Gap, values: Mapping[str, str]) -> str:
    value = values.get(gap.name) or gap.fallback
    if value is None:
        raise Unresolved(gap.name)
    return value
