"""One click paid with Stripe, and everything that the way there and back can do to it.

Each fault strikes one request, or all of them until the buyer has an answer. Whatever it was, the
server's ledger has one charge or none, the order says the same, and it does within the times of
the specification: two minutes where money was taken, five where it was not.
"""

from __future__ import annotations

import pytest
from django.utils import timezone

from tests.stripe.shopping import PRICE, Sale, posting, reconcile, sold
from tests.stripe.test_gateway import MADE, NOT_MADE
from upsell.exceptions import ChargeDeclined
from upsell.models import Refund

pytestmark = pytest.mark.django_db(transaction=True)

RECORDED = {"500 after the charge"}
"""What Stripe answers again under the same key: asking once more helps nobody."""
REFUNDS = {name: fault for name, fault in (MADE | NOT_MADE).items() if "slow down" not in name}


@pytest.fixture
def sale(stripe, products) -> Sale:
    return sold(stripe, products)


def arm(stripe, fault: str, **which) -> None:
    """Let a fault of the gateway's own tests strike these requests."""

    class Narrowed:
        """Arms for what is asked here, whatever the fault is."""

        def __getattr__(self, name: str):
            return lambda *args, **options: getattr(stripe.faults, name)(*args, **options | which)

    (MADE | NOT_MADE)[fault](Narrowed())


# ------------------------------------------------------------------ the charge


@pytest.mark.parametrize("fault", [*MADE, *NOT_MADE])
def test_f25_a_request_that_fails_once_is_made_once_more_and_charges_once(fault, stripe, sale):
    begun = timezone.now()
    arm(stripe, fault, path="/v1/payment_intents")

    offer = sale.accept()

    assert offer.state == ("ACCEPTING" if fault in RECORDED else "ACCEPTED")
    reconcile(begun, minutes=2)
    assert (sale.offer.state, sale.charges) == ("ACCEPTED", 1)
    sale.agrees(kept=PRICE)


@pytest.mark.parametrize("fault", MADE)
def test_f25_charged_and_never_answered_is_one_charge_in_two_minutes(fault, stripe, sale):
    begun = timezone.now()
    arm(stripe, fault, path="/v1/payment_intents", times=None)

    assert sale.accept().state == "ACCEPTING"
    stripe.faults.clear()

    reconcile(begun, minutes=2)
    assert (sale.offer.state, sale.charges) == ("ACCEPTED", 1)
    sale.agrees(kept=PRICE)


@pytest.mark.parametrize("fault", NOT_MADE)
def test_f26_not_charged_and_never_answered_is_no_charge_in_five_minutes(fault, stripe, sale):
    begun = timezone.now()
    arm(stripe, fault, path="/v1/payment_intents", times=None)

    assert sale.accept().state == "ACCEPTING"
    stripe.faults.clear()

    reconcile(begun, minutes=5)
    assert (sale.offer.state, sale.charges) == ("SHOWN", 0)
    sale.agrees(kept=0)
    assert sale.accept().state == "ACCEPTED", "and it may be tried again"
    sale.agrees(kept=PRICE)


def test_f24_nobody_listens_at_the_providers_address(stripe, sale):
    begun = timezone.now()

    with stripe.refused():
        assert sale.accept().state == "ACCEPTING"
        reconcile(begun, minutes=1)

    reconcile(begun, minutes=5, begun=1.5)
    assert (sale.offer.state, sale.charges) == ("SHOWN", 0)
    sale.agrees(kept=0)


@pytest.mark.parametrize("fault", [*MADE, *NOT_MADE])
def test_f42_a_look_that_fails_too_decides_nothing(fault, stripe, sale):
    """Charged, the answer lost, and the first look broken as well: the second look finds it."""
    begun = timezone.now()
    arm(stripe, "the answer is dropped", path="/v1/payment_intents", times=None)
    sale.accept()
    stripe.faults.clear()
    arm(stripe, fault, method="GET", times=None)
    reconcile(begun, minutes=0.5)
    assert sale.offer.state == "ACCEPTING"
    stripe.faults.clear()

    reconcile(begun, minutes=2, begun=1)

    assert (sale.offer.state, sale.charges) == ("ACCEPTED", 1)
    sale.agrees(kept=PRICE)


def test_f46_a_request_that_takes_effect_after_it_was_given_up_is_given_back(stripe, sale, alarms):
    begun = timezone.now()

    with stripe.faults.hold(path="/v1/payment_intents") as held:
        assert sale.accept().state == "ACCEPTING"
        reconcile(begun, minutes=5)
        assert sale.offer.state == "SHOWN"
        held.release()
        held.done()
    assert sale.charges == 1
    stripe.webhooks.deliver(posting())

    assert alarms == ["late money"]
    assert Refund.objects.get().reason == "late"
    sale.agrees(kept=0)


# ------------------------------------------------------------------ the refund


@pytest.mark.parametrize("fault", REFUNDS)
def test_f36_a_refund_that_is_never_answered_is_given_once(fault, stripe, sale):
    sale.accept()
    begun = timezone.now()
    arm(stripe, fault, path="/v1/refunds", times=None)

    assert sale.undo().state == "REVERSED"
    assert Refund.objects.get().state == "PENDING"
    stripe.faults.clear()

    reconcile(begun, minutes=5)
    assert Refund.objects.get().state == "DONE"
    assert [row.amount for row in stripe.ledger.refunds({"order": sale.ref})] == [PRICE]
    sale.agrees(kept=0)


# ------------------------------------------------------------------ another amount


GONE_BACK = ("FAILED", "amount_mismatch")
WAITS = ("NEEDS_ATTENTION", "refund_refused")


@pytest.mark.parametrize(
    ("changes", "ends", "kept"),
    [
        pytest.param({"currency": "usd"}, GONE_BACK, 0, id="dollars"),
        pytest.param({"currency": "jpy"}, GONE_BACK, 0, id="yen"),
        # What it says that it took goes back; here it took a cent more than it says.
        pytest.param({"amount": 2399, "amount_received": 2399}, GONE_BACK, 1, id="a cent less"),
        # It says more than it took, and refuses to give that back.
        pytest.param(
            {"amount": 240000, "amount_received": 240000}, WAITS, 2400, id="a hundred times as much"
        ),
    ],
)
def test_f30_success_with_another_figure_is_not_believed_and_goes_back(
    changes, ends, kept, stripe, sale, alarms
):
    begun = timezone.now()
    stripe.faults.alter(changes=changes, path="/v1/payment_intents")

    sale.accept()
    reconcile(begun, minutes=5)

    assert alarms[0] == "amount_mismatch"
    sale.placed.refresh_from_db()
    assert sale.placed.total_gross == 600
    assert sale.charges == 1
    assert (sale.offer.state, sale.offer.failure_code) == ends
    assert stripe.ledger.net() == kept


# ------------------------------------------------------------------ cards


@pytest.mark.parametrize(
    "card", ["pm_card_chargeCustomerFail", "pm_card_visa_chargeDeclinedInsufficientFunds"]
)
def test_f28_a_card_that_is_refused_leaves_all_as_it_was(card, stripe, products):
    sale = sold(stripe, products, card)

    for state in ("SHOWN", "FAILED"):
        with pytest.raises(ChargeDeclined):
            sale.accept()
        assert sale.offer.state == state

    assert sale.charges == 0
    sale.agrees(kept=0)
