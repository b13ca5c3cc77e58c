"""Charts as plain shapes: points in, coordinates out; ``admin/upsell/chart.html`` draws them.

Coordinates are floats of a drawing with a width and a height in its own units; amounts are turned
into them here and never back. A chart without a single value is empty, and says so in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 10.0, 12.0, 28.0
_TICKS, _LABEL_WIDTH = 4, 84


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One place along the bottom; without a value there is a gap."""

    label: str
    value: Decimal | float | None
    low: float | None = None
    """The interval's ends, where it has one."""
    high: float | None = None
    told: str = ""
    """What it says when it is pointed at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A bar from ``y`` down by ``height``, or a dot at ``middle``, ``y`` with its interval."""

    x: float
    y: float
    width: float
    height: float = 0.0
    middle: float = 0.0
    top: float | None = None
    """The ends of the interval, as places; none without one."""
    bottom: float | None = None
    told: str = ""
    below: bool = False
    """Whether a bar hangs below zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A label at its place along an axis."""

    at: float
    label: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Everything a template needs to draw one, and nothing it has to work out."""

    kind: str
    """bars, line or intervals."""
    width: int
    height: int
    marks: tuple[Mark, ...] = ()
    lines: tuple[str, ...] = ()
    """Stretches without a gap, as an SVG's points."""
    rows: tuple[Tick, ...] = ()
    """Labels on the left, each with its line across."""
    columns: tuple[Tick, ...] = field(default=())
    """Labels along the bottom."""
    left: float = _LEFT
    right: float = 0.0
    zero: float = 0.0
    """Where the bottom line is."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.marks and not self.lines


def draw(
    points: Sequence[Point],
    *,
    kind: str,
    label: Callable[[Decimal], str],
    width: int = 720,
    height: int = 220,
    least: Decimal | None = None,
) -> Chart:
    """Return a chart of these points, from left to right.

    Args:
        points: 0 to some hundreds.
        kind: ``bars`` from zero, a ``line``, or ``intervals``: a dot with its ends.
        label: Says a value on the left in the reader's words.
        width: Of the drawing; its text is 12 units high.
        least: Smallest step of the labels on the left: 1 where halves make no sense.
    """
    values = [float(row.value) for row in points if row.value is not None]
    if not values:
        return Chart(kind=kind, width=width, height=height)
    ends = [end for row in points for end in (row.low, row.high) if end is not None]
    steps = _ticks(min([0.0, *values, *ends]), max([0.0, *values, *ends]), least)
    bottom, top = float(steps[0]), float(steps[-1])
    room = height - _TOP - _BOTTOM
    share = (width - _LEFT - _RIGHT) / len(points)

    def place(value: float) -> float:
        return round(_TOP + (top - value) / (top - bottom) * room, 2)

    def middle(number: int) -> float:
        return round(_LEFT + (number + 0.5) * share, 2)

    return Chart(
        kind=kind,
        width=width,
        height=height,
        marks=() if kind == "line" else tuple(_marks(points, kind, place, middle, share)),
        lines=tuple(_lines(points, place, middle)) if kind == "line" else (),
        rows=tuple(Tick(at=place(float(step)), label=label(step)) for step in steps),
        columns=tuple(_columns(points, middle, width)),
        right=width - _RIGHT,
        zero=place(0.0),
    )


Place = Callable[[float], float]
Middle = Callable[[int], float]


def _marks(
    points: Sequence[Point], kind: str, place: Place, middle: Middle, share: float
) -> list[Mark]:
    wide = round(min(max(share * 0.7, 0.5), 48.0), 2)
    found = []
    for number, row in enumerate(points):
        if row.value is None:
            continue
        at, centre, zero = place(float(row.value)), middle(number), place(0.0)
        bar = kind == "bars"
        found.append(
            Mark(
                x=round(centre - wide / 2, 2),
                y=min(at, zero) if bar else at,
                width=wide,
                height=round(abs(zero - at), 2) if bar else 0.0,
                middle=centre,
                top=None if row.high is None else place(row.high),
                bottom=None if row.low is None else place(row.low),
                told=row.told,
                below=bar and at > zero,
            )
        )
    return found


def _lines(points: Sequence[Point], place: Place, middle: Middle) -> list[str]:
    stretches: list[list[str]] = [[]]
    for number, row in enumerate(points):
        if row.value is None:
            stretches.append([])
        else:
            stretches[-1].append(f"{middle(number)},{place(float(row.value))}")
    return [" ".join(stretch) for stretch in stretches if stretch]


def _columns(points: Sequence[Point], middle: Middle, width: int) -> list[Tick]:
    """Label some of the points, the first among them, with room for each label."""
    every = math.ceil(len(points) / max(1, int((width - _LEFT) / _LABEL_WIDTH)))
    return [Tick(at=middle(at), label=points[at].label) for at in range(0, len(points), every)]


def _ticks(low: float, high: float, least: Decimal | None = None) -> list[Decimal]:
    """Return round values that span a range, zero among them; never fewer than two.

    >>> [str(step) for step in _ticks(0.0, 430.0)]
    ['0', '200', '400', '600']
    """
    span = (high - low) or 1.0
    rough = span / _TICKS
    power = Decimal(10) ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if float(power * times) >= rough)
    step = max(step, least or step)
    first, last = math.floor(low / float(step)), math.ceil(high / float(step))
    return [step * number for number in range(first, max(last, first + 1) + 1)]
