"""A journey as a picture: steps as boxes in layers, arrows that only point down.

Coordinates are whole numbers of a drawing in its own units; ``admin/upsell/journey/picture.html``
draws them. Inside a layer steps stand by the middle of those that they are joined to, so that few
arrows cross; what passes a layer has a place of its own in it, so that no arrow runs through a box.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from upsell.engine.journeys.definition import Definition
from upsell.presenting.journeys import KINDS, outcome_in_words, step_in_words

WIDTH, HEIGHT = 220, 62
GAP, RISE, MARGIN, THIN = 28, 58, 16, 20
ROUNDS = 6
LINE = 13
"""So high is a label of an arrow."""
LETTERS = 22
"""So many of a label fit into a line of a box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One step, its upper left corner, and what it says."""

    name: str
    kind: str
    x: int
    y: int
    lines: tuple[str, ...]
    about: str
    """The whole of what it says."""
    count: int = 0
    """Buyers who are there now."""
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def middle(self) -> int:
        """Where arrows come and go."""
        return self.x + self.width // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """From the bottom of a box to the top of another, with the outcomes it stands for."""

    path: str
    """As an SVG writes it."""
    label: str
    x: int
    y: int
    """The middle of its label."""
    width: int
    """Of the ground behind the label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A step in the table that says the same as the picture."""

    name: str
    what: str
    kind: str
    leads: tuple[tuple[str, str], ...]
    """Outcome in words, and step."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All of it."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    rows: tuple[Row, ...]


def draw(
    plan: Definition,
    *,
    told: Mapping[str, Mapping[str, object]],
    counts: Mapping[str, int] | None = None,
) -> Picture:
    """Return a journey's picture.

    Args:
        plan: A journey without faults.
        told: Step to its row of the document, for its words.
        counts: Step to the buyers who are there.

    Cost: the square of the steps at most; a hundred are drawn in some ten milliseconds.
    """
    numbers = counts or {}
    layers, chains = _with_passages(plan)
    _arrange(layers, chains)
    places = _place(layers, plan)
    width = max(x + wide for x, _y, wide in places.values()) + MARGIN
    boxes = tuple(
        _box(name, plan, told.get(name, {}), places[name], numbers.get(name, 0))
        for layer in layers
        for name in layer
        if name in plan.steps
    )
    arrows = _apart([_arrow(chain, labels, places) for chain, labels in chains])
    rows = tuple(
        Row(
            name=name,
            what=_said(plan, name, told.get(name, {})),
            kind=str(KINDS[plan.steps[name].kind]),
            leads=tuple((outcome_in_words(o), t) for o, t in plan.steps[name].to.items()),
            count=numbers.get(name, 0),
        )
        for layer in plan.layers()
        for name in layer
    )
    height = MARGIN * 2 + len(layers) * HEIGHT + (len(layers) - 1) * RISE
    return Picture(width=width, height=height, boxes=boxes, arrows=arrows, rows=rows)


Chain = tuple[list[str], list[str]]
"""Boxes and passages from a step to another, and the outcomes that lead along."""


def _with_passages(plan: Definition) -> tuple[list[list[str]], list[Chain]]:
    """Return layers in which an arrow over several has a passage in each, and the arrows."""
    layers = plan.layers()
    depth = {name: place for place, layer in enumerate(layers) for name in layer}
    chains: list[Chain] = []
    for name, step in plan.steps.items():
        outcomes: dict[str, list[str]] = {}
        for outcome, target in step.to.items():
            outcomes.setdefault(target, []).append(outcome)
        for target, labels in outcomes.items():
            chain = [name]
            for place in range(depth[name] + 1, depth[target]):
                # Arrows to the same step run together. A colon is in no step's name.
                passage = f"{target}:{place}"
                if passage not in layers[place]:
                    layers[place].append(passage)
                chain.append(passage)
            chains.append(([*chain, target], labels))
    return layers, chains


def _arrange(layers: list[list[str]], chains: Sequence[Chain]) -> None:
    """Order each layer by the middle of what it is joined to, down and up in turn."""
    above: dict[str, list[str]] = {}
    beneath: dict[str, list[str]] = {}
    for chain, _labels in chains:
        for upper, lower in itertools.pairwise(chain):
            above.setdefault(lower, []).append(upper)
            beneath.setdefault(upper, []).append(lower)
    best, fewest = [list(layer) for layer in layers], _crossings(layers, beneath)
    for turn in range(ROUNDS):
        if turn % 2 == 0:
            walk = list(itertools.pairwise(layers))
        else:
            walk = list(zip(reversed(layers), list(reversed(layers))[1:], strict=False))
        for fixed, moved in walk:
            at = {name: place for place, name in enumerate(fixed)}
            joined = above if turn % 2 == 0 else beneath
            known = {name: place for place, name in enumerate(moved)}

            def middle(name: str) -> tuple[float, int]:
                ends = [at[one] for one in joined.get(name, ()) if one in at]  # noqa: B023
                there = known[name]  # noqa: B023
                return (sum(ends) / len(ends) if ends else there, there)

            moved.sort(key=middle)
        found = _crossings(layers, beneath)
        if found < fewest:
            best, fewest = [list(layer) for layer in layers], found
    for layer, kept in zip(layers, best, strict=True):
        layer[:] = kept


def _crossings(layers: Sequence[Sequence[str]], beneath: Mapping[str, Sequence[str]]) -> int:
    count = 0
    for upper, lower in itertools.pairwise(layers):
        at = {name: place for place, name in enumerate(lower)}
        ends = [
            at[one] for name in upper for one in sorted(beneath.get(name, ()), key=at.__getitem__)
        ]
        count += sum(
            1 for place, left in enumerate(ends) for right in ends[place + 1 :] if right < left
        )
    return count


Places = dict[str, tuple[int, int, int]]
"""Left, top and width."""


def _place(layers: Sequence[Sequence[str]], plan: Definition) -> Places:
    """Return where everything stands: layers are centred."""
    wides = [
        sum((WIDTH if name in plan.steps else THIN) + GAP for name in layer) - GAP
        for layer in layers
    ]
    widest = max(wides)
    places: Places = {}
    for depth, (layer, wide) in enumerate(zip(layers, wides, strict=True)):
        x = MARGIN + (widest - wide) // 2
        y = MARGIN + depth * (HEIGHT + RISE)
        for name in layer:
            own = WIDTH if name in plan.steps else THIN
            places[name] = (x, y, own)
            x += own + GAP
    return places


def _box(
    name: str,
    plan: Definition,
    told: Mapping[str, object],
    place: tuple[int, int, int],
    count: int,
) -> Box:
    said = _said(plan, name, told)
    return Box(
        name=name,
        kind=plan.steps[name].kind.value,
        x=place[0],
        y=place[1],
        lines=_lines(said),
        about=said,
        count=count,
    )


def _said(plan: Definition, name: str, told: Mapping[str, object]) -> str:
    return step_in_words(plan.steps[name].kind.value, told)


def _lines(text: str) -> tuple[str, ...]:
    """Return a label in two lines at most, shortened where it is longer."""
    lines = [""]
    for word in text.split():
        fits = len(lines[-1]) + len(word) < LETTERS or not lines[-1]
        if fits:
            lines[-1] = f"{lines[-1]} {word}".strip()
        elif len(lines) == 1:
            lines.append(word)
        else:
            lines[-1] += " …"
            break
    return tuple(line if len(line) <= LETTERS + 1 else line[:LETTERS] + "…" for line in lines)


def _apart(arrows: Sequence[Arrow]) -> tuple[Arrow, ...]:
    """Return the arrows with labels that would lie on each other one below the other."""
    placed: list[Arrow] = []
    for arrow in arrows:
        while arrow.label and any(
            one.label
            and abs(one.y - arrow.y) < LINE
            and abs(one.x - arrow.x) * 2 < one.width + arrow.width
            for one in placed
        ):
            arrow = replace(arrow, y=arrow.y + LINE)
        placed.append(arrow)
    return tuple(placed)


def _arrow(chain: Sequence[str], labels: Sequence[str], places: Places) -> Arrow:
    """Return a curve from the first box down through the passages to the last."""
    left, top, wide = places[chain[0]]
    x, y = left + wide // 2, top + HEIGHT
    parts = [f"M{x} {y}"]
    first = None
    for name in chain[1:]:
        left, top, wide = places[name]
        to_x, to_y = left + wide // 2, top
        half = (y + to_y) // 2
        parts.append(f"C{x} {half} {to_x} {half} {to_x} {to_y}")
        if first is None:
            first = ((x + to_x) // 2, half)
        if name is not chain[-1]:
            to_y += HEIGHT
            parts.append(f"V{to_y}")
        x, y = to_x, to_y
    said = " · ".join(outcome_in_words(label) for label in labels if label != "next")
    at_x, at_y = first or (x, y)
    return Arrow(path="".join(parts), label=said, x=at_x, y=at_y, width=len(said) * 6 + 8)
