"""SIGKILL at every commit and every call of the provider; then reconcile; money and lines agree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from example_shop.models import Order, Product
from tests.factories import campaign, catalogue, order
from upsell.models import Acceptance, Attempt, Offer, Refund
from upsell.models.tokens import offer_token
from upsell.services import accepting, offering, reconciling

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

ROOT = Path(__file__).resolve().parents[2]
ACCEPT_STEPS, UNDO_STEPS = 6, 6
"""Two commits and one call, before and after each."""


def killed(what: str, step: int) -> int:
    """Answer the offer in a process of its own that dies at a step; return its exit code."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "UPSELL_TEST_NAME": str(connection.settings_dict["NAME"]),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "tests.flow.killed", what, str(step)]
    return subprocess.run(command, env=environment, cwd=ROOT, timeout=60, check=False).returncode


def reconciled(gateway, placed: Order) -> Offer:
    """Let two minutes pass, and look at what must hold afterwards."""
    now = timezone.now()
    for seconds in (31, 95, 301):
        reconciling.reconcile(now=now + timedelta(seconds=seconds))
    offer = Offer.objects.get()
    placed.refresh_from_db()
    charged = gateway.charged(str(placed.pk))
    live = Acceptance.objects.filter(reversed_at=None).count()
    assert placed.total_gross - 600 == charged, "I3: collected is what the order grew by"
    assert (offer.state == "ACCEPTED") == (live == 1) == (charged == 24), "I4, I5"
    assert Product.objects.get(sku="CA").stock == 20 - live, "I10: nothing held for nothing"
    assert not Attempt.objects.unsettled().exists(), "I20: nothing is left half-done"
    assert not Refund.objects.filter(state="PENDING").exists()
    assert len(gateway.charges(str(placed.pk))) <= 1, "I2: one charge at most"
    return offer


def promised() -> tuple[Order, Offer]:
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    page = offering.offer_for(order_ref=str(placed.pk), now=timezone.now(), show=True)
    assert page is not None
    assert page.offer is not None
    return placed, page.offer


@pytest.mark.parametrize("step", range(1, ACCEPT_STEPS + 1))
def test_f14_f15_f31_f35_accept_killed(step, gateway):
    placed, _ = promised()

    assert killed("accept", step) == -signal.SIGKILL

    offer = reconciled(gateway, placed)
    paid = step >= 4
    assert offer.state == ("ACCEPTED" if paid else "SHOWN")


@pytest.mark.parametrize("step", range(1, UNDO_STEPS + 1))
def test_f36_undo_killed(step, gateway):
    placed, offer = promised()
    accepting.accept(token=offer_token(offer), quote_number=1, trusted=True)

    assert killed("undo", step) == -signal.SIGKILL

    offer = reconciled(gateway, placed)
    assert offer.state == ("ACCEPTED" if step == 1 else "REVERSED")
    assert gateway.charged(str(placed.pk)) == (Decimal(24) if step == 1 else 0)


def test_control_without_reconciling_money_is_taken_and_the_line_is_missing(gateway):
    placed, _ = promised()

    killed("accept", 4)

    placed.refresh_from_db()
    assert gateway.charged(str(placed.pk)) == 24
    assert placed.total_gross == 600


def test_a_process_that_is_not_killed_takes_exactly_these_steps(gateway):
    promised()

    assert killed("accept", ACCEPT_STEPS + 1) == 0
    assert killed("undo", UNDO_STEPS + 1) == 0
