"""SIGKILL of the server at every step of hearing a report; the provider repeats it, and all agree.

As in ``test_kills`` the steps are listed, and compared with what a server takes that nobody kills.
"""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from example_shop.adapter import CardGateway
from example_shop.models import Payment
from tests.flow import clock, faults
from tests.flow.processes import server
from tests.flow.reporting import paid, refunded, reported
from tests.flow.sales import Sale, accepts, agrees, audit, killed, offered, reconcile, sold
from tests.flow.test_kills import ACCEPT, is_whole, number, steps
from tests.tables import unchanged
from upsell.models import Attempt, GatewayEvent, Refund
from upsell.ports import ChargeRequest

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.long,
]

NOTED, DONE = ("commit", "the report is noted"), ("write", "the report is done with")
PAID = [NOTED, ("commit", "the order changes"), DONE]
MIRRORED = [NOTED, ("commit", "the refund is mirrored"), DONE]
LATE = [
    NOTED,
    ("commit", "the refund is due"),
    ("refund", "the money goes back"),
    ("commit", "that is noted"),
    DONE,
]


def unanswered() -> tuple[Sale, dict[str, Any]]:
    """Charged, and the server died before it could hear."""
    sale = sold(offered("CROSS_SELL"))
    killed(accepts, sale, number(ACCEPT, "after charge"))
    return sale, paid(Attempt.objects.get(), charge_of(sale)["reference"])


def given_back() -> tuple[Sale, dict[str, Any]]:
    """Accepted, and given back in the provider's dashboard."""
    sale = sold(offered("CROSS_SELL"))
    with server() as shop:
        accepts(sale, shop)
    attempt = Attempt.objects.get()
    CardGateway().refund(str(attempt.reference), attempt.amount, "EUR", "in the dashboard")
    return sale, refunded(attempt)


def too_late() -> tuple[Sale, dict[str, Any]]:
    """Nothing was charged and the offer is open again; and then it was charged after all."""
    sale = sold(offered("CROSS_SELL"))
    killed(accepts, sale, number(ACCEPT, "before charge"))
    reconcile(minutes=5)
    attempt = Attempt.objects.get()
    assert (sale.offer.state, attempt.state) == ("SHOWN", "RELEASED")
    CardGateway().charge(
        ChargeRequest(
            key=attempt.key,
            order_ref=str(sale.placed.pk),
            order_number=sale.placed.number,
            amount=attempt.amount,
            currency="EUR",
            minor_units=2400,
            credential="card_ok",
        )
    )
    return sale, paid(attempt, charge_of(sale)["reference"])


def charge_of(sale: Sale):
    (charge,) = CardGateway().charges(str(sale.placed.pk))
    return charge


def is_accepted(sale: Sale) -> None:
    is_whole(sale, live=True)


def is_mirrored(sale: Sale) -> None:
    assert sale.offer.state == "REVERSED"
    refund = Refund.objects.get()
    assert (refund.amount, refund.reason, refund.state) == (24, "dashboard", "DONE")
    assert Payment.objects.filter(kind="refund").count() == 1
    nothing_is_broken()


def went_back(sale: Sale) -> None:
    assert sale.offer.state == "SHOWN"
    refund = Refund.objects.get()
    assert (refund.amount, refund.reason, refund.state) == (24, "late", "DONE")
    agrees(sale, live=False)
    nothing_is_broken()


def nothing_is_broken() -> None:
    call_command("upsell_run", "--once", stdout=StringIO())
    list(clock.half_minutes(minutes=16))
    assert audit() == (0, "1 offers looked at, 0 invariants broken\n")


def names(table) -> list[str]:
    return [f"{when}: {what}" for _, what in table for when in ("before", "after")]


Begun = Callable[[], tuple[Sale, dict[str, Any]]]
STORIES: dict[str, tuple[list[tuple[str, str]], Begun, Callable[[Sale], None]]] = {
    "it was paid": (PAID, unanswered, is_accepted),
    "it was given back": (MIRRORED, given_back, is_mirrored),
    "it was paid too late": (LATE, too_late, went_back),
}


@pytest.mark.parametrize(
    ("story", "step"),
    [
        pytest.param(story, step, id=f"{story}, {name}")
        for story, (table, _, _) in STORIES.items()
        for step, name in enumerate(names(table), start=1)
    ],
)
def test_f43_hearing_killed(story, step, noon):
    _table, begins, is_as_wanted = STORIES[story]
    sale, report = begins()

    with server(deadly=step, fault=faults.hears_reports) as shop:
        assert reported(report, shop) == 0
    assert len(shop.steps) == step

    with server(fault=faults.hears_reports) as shop:
        assert reported(report, shop) == 200, "the provider sends it again"
        reconcile(minutes=2)
        with unchanged("heard once more"):
            assert reported(report, shop) == 200
    assert GatewayEvent.objects.get().state == "DONE"
    is_as_wanted(sale)


@pytest.mark.parametrize("step", [3, 4, 5, 6])
def test_f42_what_was_noted_is_carried_out_without_being_sent_again(step, noon):
    """Noted and parked by a server that died: the sweep does the rest."""
    sale, report = given_back()

    with server(deadly=step, fault=faults.hears_reports) as shop:
        assert reported(report, shop) == 0
    reconcile(minutes=1)

    assert GatewayEvent.objects.get().state == "DONE"
    is_mirrored(sale)


@pytest.mark.parametrize("story", STORIES)
def test_a_server_that_nobody_kills_takes_exactly_these_steps(story, noon):
    table, begins, is_as_wanted = STORIES[story]
    sale, report = begins()

    with server(fault=faults.hears_reports) as shop:
        assert reported(report, shop) == 200

    assert shop.steps == steps(table)
    is_as_wanted(sale)
