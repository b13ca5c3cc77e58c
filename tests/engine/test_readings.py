"""How a phase is read, case by case; the comparisons themselves are tested beside them."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.oracles import oracle
from upsell.engine.aggregates import Pairs, Sums
from upsell.engine.readings import (
    ArmCounts,
    Money,
    Plan,
    StoredLook,
    counted,
    look_at,
    read,
)
from upsell.engine.stats import OBRIEN_FLEMING, Look

oracle("scipy.stats")
Inference = oracle("upsell.engine.inference").Inference
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PLAN = Plan(metric="ACCEPTANCE", reading="ANY_DAY", smallest=0.02, needed=400,
            control_offers=True, ended=False)  # fmt: skip
REVENUE = replace(PLAN, metric="REVENUE", smallest=2.0)


def money(n: int, net: int, *, orders: int = 1, refunded: int = 0, spread: int = 3) -> Money:
    """Buyers of whom half spent ``spread`` more than ``net``, and half as much less."""
    total, squares = net * n, (net**2 + spread**2) * n
    return Money(
        spent_and_orders=Pairs(
            n=n, first=Decimal(total), first_squares=Decimal(squares), second=orders * n,
            second_squares=orders**2 * n, cross=Decimal(total * orders),
        ),
        spent_and_earlier=Pairs(
            n=n, first=Decimal(total), first_squares=Decimal(squares), second=Decimal(0),
            second_squares=Decimal(0), cross=Decimal(0),
        ),
        capped=Sums(n=n, total=Decimal(total), squares=Decimal(squares)),
        refunded=refunded,
    )  # fmt: skip


def arm(slug: str, exposed: int = 400, accepted: int = 40, **options) -> ArmCounts:
    return ArmCounts(arm=slug, weight=5_000, exposed=exposed, accepted=accepted, **options)


def both(treated: ArmCounts, control: ArmCounts | None = None) -> list[ArmCounts]:
    return [treated, control or arm("control")]


def looks(*differences: float, variance: float = 0.0004) -> list[StoredLook]:
    return [
        StoredLook(arm="b", key=str(number), at=NOON,
                   look=Look(difference=difference, variance=variance))
        for number, difference in enumerate(differences, start=1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("plan", "arms", "told"),
    [
        pytest.param(PLAN, both(arm("b", 0, 0)), None, id="nobody was exposed"),
        pytest.param(
            PLAN, both(arm("b", accepted=0), arm("control", accepted=0)), None, id="none accepted"
        ),
        pytest.param(REVENUE, both(arm("b")), None, id="no money is counted"),
        pytest.param(PLAN, both(arm("b", accepted=60)), 0.05, id="rates"),
        pytest.param(
            REVENUE,
            both(arm("b", money=money(50, 12)), arm("control", money=money(50, 10))),
            2.0,
            id="means",
        ),
    ],
)
def test_how_an_arm_stands(plan, arms, told):
    found = look_at(plan, arms[1], arms[0])

    assert (found and found.difference) == (told and pytest.approx(told))


@pytest.mark.parametrize(
    ("plan", "fewest"),
    [pytest.param(PLAN, 300, id="exposed"), pytest.param(REVENUE, 0, id="with money")],
)
def test_who_is_counted_by_the_primary_metric(plan, fewest):
    assert counted(plan, both(arm("b", 300, money=money(9, 9)))) == fewest
    assert counted(plan, []) == 0


@pytest.mark.parametrize(
    ("changes", "stored", "locked", "answers", "steps"),
    [
        pytest.param({}, [], False, 1, 0, id="any day"),
        pytest.param({"reading": "AT_THE_END", "needed": 401}, [], True, 0, 0, id="one short"),
        pytest.param({"reading": "AT_THE_END"}, [], False, 1, 0, id="enough"),
        pytest.param({"reading": "AT_THE_END", "needed": None}, [], True, 0, 0,
                     id="nobody knows how many"),
        pytest.param({"reading": "AT_THE_END", "needed": None, "ended": True}, [], False, 1, 0,
                     id="nobody knew, and it is over"),
        pytest.param({"reading": "FOUR_LOOKS"}, [], True, 0, 0, id="before the first look"),
        pytest.param({"reading": "FOUR_LOOKS"}, [0.01], False, 0, 1, id="one look"),
        pytest.param({"reading": "FOUR_LOOKS", "ended": True}, [], False, 1, 0,
                     id="over before any look"),
        pytest.param({"reading": "FOUR_LOOKS", "ended": True}, [0.01], False, 0, 1,
                     id="over after one"),
    ],
)  # fmt: skip
def test_what_may_be_seen(changes, stored, locked, answers, steps):
    told = read(replace(PLAN, **changes), both(arm("b")), looks(*stored), Inference())

    assert (told.locked, len(told.answers), len(told.steps)) == (locked, answers, steps)


@pytest.mark.parametrize(
    ("differences", "is_open"),
    [
        pytest.param([0.08], False, id="z of 4 at the first look"),
        pytest.param([0.082], True, id="z of 4.1 at the first"),
        pytest.param([0, 0, 0, 0], True, id="the last look"),
        pytest.param([0, 0, 0.02], False, id="between two looks"),
    ],
)
def test_between_looks_nothing_else_is_shown(differences, is_open):
    pair = both(arm("b", money=money(50, 12)), arm("control", money=money(50, 10)))

    told = read(replace(PLAN, reading="FOUR_LOOKS"), pair, looks(*differences), Inference())

    assert told.is_open is is_open
    assert bool(told.others) is is_open
    first = told.steps[0]
    assert first.interval.high - first.difference == pytest.approx(OBRIEN_FLEMING[0] * 0.02)


def test_a_look_with_nothing_to_tell_by_has_no_ends():
    [step] = read(
        replace(PLAN, reading="FOUR_LOOKS"), both(arm("b")), looks(0.5, variance=0.0), None
    ).steps

    assert (step.passes, step.interval.high) == (False, math.inf)


@pytest.mark.parametrize(
    ("plan", "treated", "found"),
    [
        pytest.param(replace(PLAN, reading="AT_THE_END"), arm("b", accepted=80), True, id="more"),
        pytest.param(replace(PLAN, reading="AT_THE_END"), arm("b", accepted=9), True, id="less"),
        pytest.param(replace(PLAN, reading="AT_THE_END"), arm("b", accepted=45), False, id="same"),
        pytest.param(PLAN, arm("b", accepted=100), True, id="any day, much more"),
        pytest.param(PLAN, arm("b", accepted=55), False, id="any day, perhaps more"),
    ],
)
def test_whether_a_difference_was_found(plan, treated, found):
    [answer] = read(plan, both(treated), [], Inference()).answers

    assert answer.found is found
    assert answer.difference == pytest.approx(answer.treated - 0.1)
    assert not (answer.interval.low <= 0 <= answer.interval.high) or not found


def test_nobody_ordered_so_there_is_no_order_to_divide_by():
    pair = both(arm("b", money=money(9, 0, orders=0)), arm("control", money=money(9, 0, orders=0)))

    told = read(PLAN, pair, [], Inference())

    assert {line.figure for line in told.others} == {"revenue", "orders"}


def test_revenue_on_any_day_needs_no_scipy():
    pair = both(arm("b", money=money(400, 14)), arm("control", money=money(400, 10)))

    told = read(replace(REVENUE, control_offers=False), pair, [], None)

    [answer] = told.answers
    assert (answer.control, answer.treated, answer.plain, answer.found) == (10, 14, None, True)
    assert told.others + told.checks + told.incremental == ()
    assert told.split is None
    assert not told.is_broken
    assert read(replace(REVENUE, reading="AT_THE_END"), pair, [], None).answers == ()


def test_money_that_one_arm_alone_has_compares_nothing():
    told = read(REVENUE, both(arm("b", money=money(9, 9))), [], Inference())

    assert told.answers + told.guards + told.checks == ()
    assert {line.figure for line in told.others} == {"acceptance"}


def test_counts_add_up_over_arms():
    told = read(PLAN, both(arm("b", younger=3, excluded=2), arm("control", younger=4)), [], None)

    assert [one.arm for one in told.arms] == ["control", "b"]
    assert (told.exposed, told.younger, told.excluded) == (800, 7, 2)
