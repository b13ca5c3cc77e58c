"""Rates, sizes and looks, by published numbers and by hand; see ``test_oracles`` for the rest."""

from __future__ import annotations

import math
import statistics
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import HILLSTROM, MENS, NOBODY, hillstrom_rows, pairs_of, sums_of
from upsell.engine.aggregates import Pairs, Rate, Sums
from upsell.engine.stats import (
    OBRIEN_FLEMING,
    Look,
    Needed,
    always_valid,
    compare_rates,
    enough_on,
    holm,
    look_at_means,
    look_at_rates,
    needed,
    newcombe,
    passes_look,
    pooled_z,
    power_of,
    relative_change,
    together,
    two_sided,
    wilson,
)


def six(value: float) -> str:
    return f"{value:.6f}"


@pytest.mark.parametrize(
    ("rate", "control", "treated", "difference", "low", "high", "p_value"),
    [
        ("visit", "0.106167", "0.182757", "0.076590", "0.069953", "0.083227", "5.69e-112"),
        ("conversion", "0.005726", "0.012531", "0.006805", "0.005014", "0.008641", "1.52e-13"),
    ],
)
def test_rates_of_the_hillstrom_table(rate, control, treated, difference, low, high, p_value):
    compared = compare_rates(getattr(NOBODY, rate), getattr(MENS, rate))

    assert six(compared.control) == control
    assert six(compared.treated) == treated
    assert six(compared.difference) == difference
    assert (six(compared.interval.low), six(compared.interval.high)) == (low, high)
    assert f"{compared.p_value:.2e}" == p_value


def test_the_hillstrom_sums_are_those_of_its_rows():
    rows = hillstrom_rows()

    for name, arm in HILLSTROM.items():
        mailed = [row for row in rows if row["segment"] == name]
        after, before = (
            [Decimal(row[column]) for row in mailed] for column in ("spend", "history")
        )
        assert arm.visit == Rate(hits=sum(row["visit"] == "1" for row in mailed), n=len(mailed))
        assert arm.conversion.hits == sum(row["conversion"] == "1" for row in mailed)
        assert arm.spend == pairs_of(after, before)


def test_x81_days_are_added_up_and_not_averaged():
    days = [Rate(hits=3, n=10), Rate(hits=1, n=9), Rate(hits=5, n=15)]

    assert f"{together(days).value:.1%}" == "26.5%"
    assert f"{sum(day.value for day in days) / 3:.1%}" == "24.8%"


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        pytest.param(81, 263, "0.2553", "0.3662", id="Newcombe 1998, table I"),
        pytest.param(15, 148, "0.0624", "0.1605", id="Newcombe 1998, table I"),
        pytest.param(0, 20, "0.0000", "0.1611", id="Newcombe 1998, table I: none"),
        pytest.param(1, 29, "0.0061", "0.1718", id="Newcombe 1998, table I: one"),
        pytest.param(20, 20, "0.8389", "1.0000", id="all"),
        pytest.param(0, 1, "0.0000", "0.7935", id="the first one"),
    ],
)
def test_wilson(hits, n, low, high):
    interval = wilson(Rate(hits=hits, n=n))

    assert (f"{interval.low:.4f}", f"{interval.high:.4f}") == (low, high)
    assert interval.low <= hits / n <= interval.high


@pytest.mark.parametrize(
    ("treated", "control", "low", "high"),
    [
        pytest.param((56, 70), (48, 80), "0.0524", "0.3339", id="Newcombe 1998, table II a"),
        pytest.param((9, 10), (3, 10), "0.1705", "0.8090", id="Newcombe 1998, table II b"),
        pytest.param((10, 10), (0, 10), "0.6075", "1.0000", id="Newcombe 1998, table II h"),
        pytest.param((0, 10), (0, 10), "-0.2775", "0.2775", id="nobody"),
    ],
)
def test_newcombe(treated, control, low, high):
    interval = newcombe(Rate(hits=control[0], n=control[1]), Rate(hits=treated[0], n=treated[1]))

    assert (f"{interval.low:.4f}", f"{interval.high:.4f}") == (low, high)


@pytest.mark.parametrize("hits", [0, 50])
def test_two_rates_of_nobody_or_everybody_do_not_differ(hits):
    compared = compare_rates(Rate(hits=hits, n=50), Rate(hits=hits, n=50))

    assert (compared.difference, compared.p_value) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("base", "lift", "units"),
    [(0.05, 0.10, 31_218), (0.05, 0.20, 8_143), (0.10, 0.10, 14_745)],
)
def test_needed_per_arm(base, lift, units):
    assert needed(base, lift) == Needed(control=units, treated=units)


def test_needed_with_a_tenth_as_control():
    assert needed(0.05, 0.10, control_share=0.1) == Needed(control=17_344, treated=156_088)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        pytest.param((0.05, 0.0), {}, id="no change"),
        pytest.param((0.0, 0.1), {}, id="nobody accepts"),
        pytest.param((0.6, 0.9), {}, id="more than everybody"),
        pytest.param((0.05, 0.1), {"power": 1.0}, id="certainty"),
        pytest.param((0.05, 0.1), {"control_share": 0.0}, id="no control"),
        pytest.param((0.05, 0.1), {"confidence": 1.0}, id="no error ever"),
    ],
)
def test_needed_refuses(arguments, options):
    with pytest.raises(ValueError, match=r"between 0 and 1|finds a change"):
        needed(*arguments, **options)


def test_what_is_needed_has_the_power_asked_for():
    enough = needed(0.05, 0.10)

    assert power_of(0.05, 0.10, enough) == pytest.approx(0.8, abs=1e-4)
    assert power_of(0.05, 0.10, Needed(control=500, treated=500)) < 0.1


def test_power_of_nobody_is_refused():
    with pytest.raises(ValueError, match="both sides need a unit"):
        power_of(0.05, 0.1, Needed(control=0, treated=10))


@pytest.mark.parametrize(
    ("so_far", "per_day", "day"),
    [
        pytest.param(0, 100, date(2026, 3, 11), id="ten days"),
        pytest.param(1, 100, date(2026, 3, 11), id="a part of a day counts whole"),
        pytest.param(999, 0.5, date(2026, 3, 3), id="slow"),
        pytest.param(1000, 0, date(2026, 3, 1), id="there already"),
        pytest.param(0, 0, None, id="nobody comes"),
        pytest.param(0, 1e-6, None, id="not in this calendar"),
    ],
)
def test_enough_on(so_far, per_day, day):
    today = date(2026, 3, 1)

    assert enough_on(needed=1000, so_far=so_far, per_day=per_day, today=today) == day


BY_HAND = [
    Look(difference=0.010, variance=1.0e-4),
    Look(difference=0.012, variance=2.5e-5),
    Look(difference=0.011, variance=1.25e-5),
]


@pytest.mark.parametrize(
    ("looks", "p_value", "half"),
    [
        # With t = 0.0075^2: 1/L = sqrt((V + t) / V) / exp(d^2 t / (2 V (V + t))), and half the
        # interval = sqrt(V (V + t) / t * (2 ln 20 + ln((V + t) / V))).
        # 1.25 / e^0.18 = 1.0441, which is no probability; sqrt(2.7778e-4 * 6.43775)
        (1, "1.000000", "0.042288"),
        # sqrt(3.25) / e^1.993846 = 1.802776 / 7.343723; sqrt(3.6111e-5 * 7.17012)
        (2, "0.245485", "0.016091"),
        # sqrt(5.5) / e^3.96 = 2.345208 / 52.457326; sqrt(1.5278e-5 * 7.69621)
        (3, "0.044707", "0.010843"),
    ],
)
def test_always_valid_by_hand(looks, p_value, half):
    read = always_valid(BY_HAND[:looks], smallest=0.0075)

    assert six(read.p_value) == p_value
    assert six((read.interval.high - read.interval.low) / 2) == half
    assert (read.interval.low + read.interval.high) / 2 == pytest.approx(
        BY_HAND[looks - 1].difference
    )


def test_a_find_once_made_is_not_lost_by_looking_on():
    later = [*BY_HAND, Look(difference=0.0, variance=1.0e-5)]

    assert (
        always_valid(later, smallest=0.0075).p_value
        == always_valid(BY_HAND, smallest=0.0075).p_value
    )


def test_the_interval_leaves_out_nothing_exactly_when_p_is_below():
    for thousandths in range(60):
        look = Look(difference=thousandths / 1000, variance=1e-4)
        read = always_valid([look], smallest=0.01)
        assert (read.interval.low > 0) is (read.p_value < 0.05)


def test_nothing_is_known_before_anybody_accepted():
    look = look_at_rates(Rate(hits=0, n=90), Rate(hits=0, n=80))
    read = always_valid([look], smallest=0.01)

    assert (read.p_value, read.interval.low, read.interval.high) == (1.0, -math.inf, math.inf)


def test_a_huge_difference_does_not_overflow():
    assert always_valid([Look(difference=1e6, variance=1e-9)], smallest=1.0).p_value == 0.0


@pytest.mark.parametrize(
    ("looks", "smallest"),
    [
        pytest.param([], 0.01, id="no look"),
        pytest.param(BY_HAND, 0.0, id="no smallest effect"),
        pytest.param([Look(difference=0.1, variance=-1e-9)], 0.01, id="variance below 0"),
    ],
)
def test_always_valid_refuses(looks, smallest):
    with pytest.raises(ValueError, match="looks have a variance"):
        always_valid(looks, smallest=smallest)


def test_looks_at_means_have_the_variance_of_both():
    control, treated = sums_of([Decimal(2), Decimal(4)]), sums_of([Decimal(5), Decimal(9)])

    assert look_at_means(control, treated) == Look(difference=4.0, variance=2 / 2 + 8 / 2)
    assert look_at_means(control, sums_of([Decimal(5)])).variance == 0.0


@pytest.mark.parametrize(
    ("look", "z", "passes"),
    [(1, 4.04, False), (1, -4.05, True), (2, 2.87, True), (3, 2.33, False), (4, 2.0244, True)],
)
def test_obrien_fleming(look, z, passes):
    assert passes_look(z, look=look) is passes


def test_obrien_fleming_has_four_looks():
    for place, bound in enumerate(OBRIEN_FLEMING, start=1):
        assert bound == pytest.approx(OBRIEN_FLEMING[-1] * math.sqrt(4 / place), abs=1e-4)
    for look in (0, 5):
        with pytest.raises(ValueError, match="there are 4 looks"):
            passes_look(9.0, look=look)


def test_holm_keeps_the_order_of_names():
    raised = holm({"returns": 0.04, "revenue": 0.01, "items": 0.03, "visits": 0.9})

    assert list(raised) == ["returns", "revenue", "items", "visits"]
    assert raised == pytest.approx({"returns": 0.09, "revenue": 0.04, "items": 0.09, "visits": 0.9})
    assert holm({}) == {}
    with pytest.raises(ValueError, match="within 0 and 1"):
        holm({"revenue": 1.2})


@pytest.mark.parametrize(
    ("control", "treated", "alarms"),
    [
        pytest.param((1000, 2000), (800, 2000), True, id="surely lower"),
        pytest.param((10_000, 20_000), (9_830, 20_000), True, id="1.7 % lower, likely"),
        pytest.param((10_000, 20_000), (9_910, 20_000), False, id="0.9 % lower"),
        pytest.param((100, 200), (97, 200), False, id="3 % lower, of few"),
        pytest.param((1000, 2000), (1100, 2000), False, id="higher"),
    ],
)
def test_a_guardrail(control, treated, alarms):
    change = relative_change(
        Rate(hits=control[0], n=control[1]), Rate(hits=treated[0], n=treated[1])
    )

    assert change.is_alarming is alarms


@pytest.mark.parametrize(
    ("control", "treated"), [((0, 10), (3, 10)), ((3, 10), (0, 10))], ids=["control", "treated"]
)
def test_no_change_relative_to_nothing(control, treated):
    rates = [Rate(hits=hits, n=n) for hits, n in (control, treated)]

    assert relative_change(*rates) is None


def test_no_change_where_everybody_does():
    change = relative_change(Rate(hits=5, n=5), Rate(hits=7, n=7))

    assert (change.value, change.p_worse, change.is_alarming) == (0.0, 0.5, False)


def test_p_is_right_far_out():
    assert two_sided(0.0) == 1.0
    assert two_sided(-1.959963984540054) == pytest.approx(0.05, rel=1e-12)
    assert two_sided(30.0) == pytest.approx(9.8134e-198, rel=1e-4)
    assert pooled_z(Rate(hits=5, n=10), Rate(hits=5, n=10)) == 0.0


def test_money_stays_exact_until_the_variance():
    # As floats the squares of these differ by nothing, and the variance would be 0.0.
    sums = sums_of([Decimal("1000000000.01"), Decimal("1000000000.02"), Decimal("1000000000.03")])

    assert sums.variance == 0.0001
    assert sums.mean == 1000000000.02


@given(st.lists(st.decimals(-(10**6), 10**6, places=2), min_size=2, max_size=30))
def test_sums_know_of_rows_what_their_mean_and_variance_are(values):
    sums = sums_of(values)

    assert sums.mean == float(statistics.mean(map(Fraction, values)))
    assert sums.variance == float(statistics.variance(map(Fraction, values)))


@pytest.mark.parametrize(
    ("n", "total", "squares"),
    [
        pytest.param(0, 0, 0, id="nobody"),
        pytest.param(2, Decimal(10), Decimal(49), id="squares too small"),
        pytest.param(2, Decimal(0), Decimal(-1), id="squares below 0"),
    ],
)
def test_sums_that_no_figures_have(n, total, squares):
    with pytest.raises(ValueError, match=r"one unit or more|no 2 figures"):
        Sums(n=n, total=total, squares=squares)


def test_sums_of_floats_are_refused():
    with pytest.raises(TypeError, match="lost cents"):
        Sums(n=2, total=0.1, squares=0.01)
    with pytest.raises(TypeError, match="lost cents"):
        Pairs(n=2, first=1, first_squares=1, second=1, second_squares=1, cross=0.5)


def test_squares_that_sqlite_added_up_may_be_a_hair_short():
    short = Decimal("1198.8003") - Decimal("1e-9")

    assert Sums(n=3, total=Decimal("59.97"), squares=short).variance == 0.0


def test_products_that_no_figures_have():
    with pytest.raises(ValueError, match="sum of products"):
        Pairs(n=2, first=2, first_squares=4, second=2, second_squares=4, cross=5)


def test_days_can_be_added_up():
    first, second = [Decimal(1), Decimal(5)], [Decimal(2), Decimal(7)]

    assert sums_of(first) + sums_of(second) == sums_of(first + second)
    assert pairs_of(first, second) + pairs_of(second, first) == pairs_of(
        first + second, second + first
    )
    assert pairs_of(first[:1], second[:1]).covariance == 0.0


@pytest.mark.parametrize(("hits", "n"), [(1, 0), (0, 0), (-1, 5), (6, 5)])
def test_rates_that_cannot_be(hits, n):
    with pytest.raises(ValueError, match="a rate is 0 to n"):
        Rate(hits=hits, n=n)
