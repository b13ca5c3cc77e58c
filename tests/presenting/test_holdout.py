"""What may be concluded from a holdout, in one sentence."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from upsell.engine.aggregates import Sums
from upsell.engine.stats import Comparison, Interval
from upsell.presenting.holdout import in_words

TREATED = Sums(n=1_900, total=Decimal(19_000), squares=Decimal(300_000))
HELD = Sums(n=100, total=Decimal(900), squares=Decimal(20_000))


def total(low: float, high: float) -> Comparison:
    middle = (low + high) / 2
    return Comparison(control=0, treated=middle, interval=Interval(low=low, high=high), p_value=0.5)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        pytest.param(None, "Not enough data yet: 100 buyers on the smaller side, of 250.",
                     id="too few"),
        pytest.param(total(-math.inf, math.inf), "Not enough data yet: nothing differs.",
                     id="no spread"),
        pytest.param(total(100, 3_700),
                     "Offers brought €1,900.00 more than nothing would have: surely between "
                     "€100.00 and €3,700.00.", id="more"),
        pytest.param(total(-3_700, -100),
                     "Offers cost €1,900.00: without them buyers would have ordered more. "
                     "Between -€3,700.00 and -€100.00.", id="less"),
        pytest.param(total(-10, 30),
                     "Whether offers bring anything cannot be told yet: somewhere between "
                     "-€10.00 and €30.00.", id="unclear"),
    ],
)  # fmt: skip
def test_the_headline_says_no_more_than_is_known(told, words):
    said = in_words("EUR", TREATED, HELD, told, 250)

    assert said.headline == words
    assert said.rows == (
        ("Buyers", "1,900", "100"),
        ("Net revenue per buyer", "€10.00", "€9.00"),
    )
