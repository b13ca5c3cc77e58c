"""Everything at once for a while, against PostgreSQL: no invariant is broken when it has settled.

``UPSELL_SOAK_SECONDS`` says for how long, ``UPSELL_SOAK_SEED`` repeats a seed that is printed.
``nox -s soak`` takes three minutes, ``nox -s soak -- 600`` ten.
"""

from __future__ import annotations

import os
import time

import pytest
from django.db import connection

from tests.flow import clock
from tests.flow.sales import accepts, killed, offered, sold
from tests.flow.test_kills import ACCEPT, number
from tests.soak.buyers import Sale
from tests.soak.storm import Storm
from tests.soak.wholeness import Wholeness

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases, pytest.mark.soak]

SECONDS = float(os.environ.get("UPSELL_SOAK_SECONDS", "10"))
SEED = int(os.environ.get("UPSELL_SOAK_SEED") or time.time())


def test_i1_to_i20_hold_after_every_storm(noon, request, settings, capsys):
    if connection.vendor != "postgresql":
        pytest.skip("the soak needs PostgreSQL (UPSELL_TEST_DB=postgres)")
    settings.UPSELL_FULFILMENT_HOLD = True
    storm = Storm(request.getfixturevalue("database"), SEED)
    try:
        storm.rage(seconds=SECONDS)
    finally:
        storm.calm()
        with capsys.disabled():
            print(f"\nseed {SEED}, {storm.rounds} rounds")  # noqa: T201
            for name, count in sorted(storm.counts.items()):
                print(f"  {count:6} {name}")  # noqa: T201

    assert storm.counts["offer ACCEPTED"], "it was no storm"


@pytest.mark.parametrize("step", ["before charge", "after charge"])
def test_control_what_nobody_settles_is_seen(step, noon):
    """A server is killed and nothing reconciles: whoever asks then is told."""
    products = offered("CROSS_SELL")
    whole = Wholeness(since=clock.NOON)
    sale = sold(products)
    killed(accepts, sale, number(ACCEPT, step))
    clock.set_to(minutes=16)

    with pytest.raises(AssertionError, match="I20"):
        whole.of([Sale(placed=sale.placed, session_key=sale.buyer.session_key)])
