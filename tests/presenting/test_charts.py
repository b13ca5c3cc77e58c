"""Charts: every shape lies in its drawing, whatever the points, and the labels have room."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upsell.presenting.charts import Point, draw

KINDS = ("bars", "line", "intervals")
FINITE = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False)


def points(count: int) -> list[Point]:
    return [
        Point(label=f"day {number}", value=number % 7 / 10, low=number % 7 / 20, high=0.9)
        for number in range(count)
    ]


def drawn(rows, kind="bars", width=720):
    return draw(rows, kind=kind, label=str, width=width)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [[], [Point(label="a", value=None)] * 3], ids=["none", "gaps"])
def test_a_chart_without_a_value_is_empty(kind, rows):
    assert drawn(rows, kind).empty


@pytest.mark.parametrize("kind", KINDS)
def test_one_point_stands_in_the_middle(kind):
    chart = drawn([Point(label="only", value=Decimal(5))], kind)

    middle = (chart.left + chart.right) / 2
    at = float(chart.lines[0].split(",")[0]) if kind == "line" else chart.marks[0].middle
    assert at == pytest.approx(middle)
    assert [tick.label for tick in chart.columns] == ["only"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [720, 340])
def test_400_points_are_all_there_and_their_labels_have_room(kind, width):
    chart = drawn(points(400), kind, width)

    shapes = len(chart.lines[0].split()) if kind == "line" else len(chart.marks)
    places = [tick.at for tick in chart.columns]
    assert shapes == 400
    assert all(later - earlier >= 80 for earlier, later in pairwise(places))
    assert len({tick.label for tick in chart.rows}) == len(chart.rows)


def test_a_gap_parts_the_line():
    rows = [*points(2), Point(label="gap", value=None), *points(3)]

    assert [len(line.split()) for line in drawn(rows, "line").lines] == [2, 3]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        pytest.param([0, 430], [0, 200, 400, 600], id="hundreds"),
        pytest.param([0.12, 0.31], [0, 0.1, 0.2, 0.3, 0.4], id="shares"),
        pytest.param([-5, 3], [-6, -4, -2, 0, 2, 4], id="below zero"),
        pytest.param([0, 0], [0, 0.5], id="all zero"),
        pytest.param([1], [0, 0.5, 1], id="one"),
    ],
)
def test_the_axis_has_round_values_and_zero(values, labels):
    chart = drawn([Point(label="", value=value) for value in values])

    assert [float(tick.label) for tick in chart.rows] == labels


def test_a_count_has_no_halves():
    chart = draw([Point(label="", value=1)], kind="line", label=str, least=Decimal(1))

    assert [float(tick.label) for tick in chart.rows] == [0, 1]


@given(
    rows=st.lists(st.tuples(FINITE, FINITE, FINITE), min_size=1, max_size=60),
    kind=st.sampled_from(KINDS),
)
def test_every_shape_lies_in_its_drawing(rows, kind):
    told = [Point(label="x", value=sorted(row)[1], low=min(row), high=max(row)) for row in rows]

    chart = drawn(told, kind)

    ys = [mark.y for mark in chart.marks] + [mark.y + mark.height for mark in chart.marks]
    ys += [end for mark in chart.marks for end in (mark.top, mark.bottom)]
    ys += [float(pair.split(",")[1]) for line in chart.lines for pair in line.split()]
    assert all(0 <= y <= chart.height for y in ys)
    assert all(chart.left <= mark.middle <= chart.right for mark in chart.marks)
    assert len(chart.rows) <= 8
    assert all(mark.top <= mark.bottom for mark in chart.marks)
