"""Figures made from sums: profit, what it was bought with, and none where nothing is known."""

from __future__ import annotations

from decimal import Decimal

import pytest

from upsell.engine.metrics import Tally

SOLD = {"sold": 4, "revenue_net": Decimal(80), "discount_net": Decimal(8), "discounted": 3}
COSTED = {"costed": 3, "costed_net": Decimal(60), "cost_net": Decimal(45)}


@pytest.mark.parametrize(
    ("sums", "profit", "roi", "rate"),
    [
        pytest.param({}, None, None, None, id="nothing sold"),
        pytest.param(SOLD, None, None, "0.1", id="no cost known"),
        pytest.param(SOLD | COSTED, "15", None, "0.1", id="without a discount on them"),
        pytest.param(SOLD | COSTED | {"costed_discount_net": Decimal(6)}, "15", "2.5", "0.1",
                     id="15 for 6"),
        pytest.param(SOLD | COSTED | {"cost_net": Decimal(66), "costed_discount_net": Decimal(6)},
                     "-6", "-1", "0.1", id="a loss"),
        pytest.param({"sold": 1, "costed": 1}, "0", None, None, id="0 is an amount"),
        pytest.param({"sold": 1, "revenue_net": Decimal(-3), "discount_net": Decimal(1)},
                     None, None, None, id="no revenue to take a share of"),
    ],
)  # fmt: skip
def test_money_of_the_sold(sums, profit, roi, rate):
    tally = Tally(**sums)

    told = (tally.profit, tally.return_on_investment, tally.discount_rate)

    assert told == tuple(None if value is None else Decimal(value) for value in (profit, roi, rate))


def test_the_discount_share_has_its_interval():
    share = Tally(**SOLD).discount_share

    assert share.value == 0.75
    assert (round(share.low, 4), round(share.high, 4)) == (0.3006, 0.9544)
    assert Tally().discount_share is None
