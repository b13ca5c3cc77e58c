"""What became of those who came to each step, and who reached the goals, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from upsell.presenting.experiments import percents
from upsell.presenting.journeys import outcome_in_words, step_in_words
from upsell.queries.journeys import GoalNumbers, StepNumbers

FEWEST = 100
"""With fewer in one of two groups, no share is shown: it would be read as more than it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One step of the funnel."""

    name: str
    what: str
    entered: int
    share: int
    """Of the first step's, in percent, 0 to 100: as wide is its bar."""
    went_on: tuple[tuple[str, int], ...]
    there: int
    ended: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalRow:
    """One goal; shares are empty where too few are counted."""

    goal: str
    reached: int
    of: int
    share: str
    control_reached: int
    control_of: int
    control_share: str


def steps(
    numbers: Mapping[str, StepNumbers], rows: Mapping[str, Mapping[str, object]]
) -> list[StepRow]:
    """Return a row for each step of the document, in its order; then those of older versions."""
    most = max((one.entered for one in numbers.values()), default=0)
    names = [*rows, *(name for name in sorted(numbers) if name not in rows)]
    found = []
    for name in names if most else []:
        one, told = numbers.get(name, StepNumbers()), rows.get(name, {})
        outcomes = sorted(one.went_on.items(), key=lambda row: (-row[1], row[0]))
        found.append(
            StepRow(
                name=name,
                what=step_in_words(str(told.get("type", "")), told),
                entered=one.entered,
                share=round(100 * one.entered / most),
                went_on=tuple((outcome_in_words(name), count) for name, count in outcomes),
                there=one.there,
                ended=one.ended,
            )
        )
    return found


def goals(numbers: Sequence[GoalNumbers]) -> list[GoalRow]:
    """Return a row for each goal, the control group's beside it."""
    return [
        GoalRow(
            goal=one.goal,
            reached=one.reached,
            of=one.of,
            share=_share(one.reached, one.of),
            control_reached=one.control_reached,
            control_of=one.control_of,
            control_share=_share(one.control_reached, one.control_of),
        )
        for one in numbers
    ]


def goal_names(document: Mapping[str, object]) -> list[str]:
    """Return the names of the goals of a document, in their order."""
    rows = document.get("goals")
    return [str(row["id"]) for row in rows if "id" in row] if isinstance(rows, list) else []


def _share(reached: int, of: int) -> str:
    return percents(reached / of) if of >= FEWEST else ""
