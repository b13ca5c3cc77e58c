"""SIGKILL of the server while staff give the money back: the reconciler finishes it, once."""

from __future__ import annotations

from contextlib import suppress
from http.client import HTTPException
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from example_shop.payments import CardGateway
from tests.flow import clock, faults
from tests.flow.browsing import Browser
from tests.flow.processes import Started, server
from tests.flow.sales import STOCK, Sale, accepts, agrees, audit, offered, reconcile, sold, stock
from tests.flow.test_kills import deaths, steps
from upsell.models import Attempt, GatewayHealth, OfferEvent, Refund
from upsell.ports import ChargeResult, ChargeState

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.long,
]

# What a server does, one after the other; and what the offer is two and a half minutes after a
# death before it, or after it.
GIVES_BACK = [
    ("commit", "staff's word is noted", "NEEDS_ATTENTION", "FAILED"),
    ("write", "the look is claimed", "FAILED", "FAILED"),
    ("find", "the provider is asked", "FAILED", "FAILED"),
    ("write", "what it took is noted", "FAILED", "FAILED"),
    ("commit", "the refund is due", "FAILED", "FAILED"),
    ("refund", "the money goes back", "FAILED", "FAILED"),
    ("commit", "the offer is closed", "FAILED", "FAILED"),
    ("commit", "what came of it is noted", "FAILED", "FAILED"),
]
ASKS = [
    ("commit", "staff's word is noted", "NEEDS_ATTENTION", "ACCEPTED"),
    ("write", "the look is claimed", "ACCEPTED", "ACCEPTED"),
    ("find", "the provider is asked", "ACCEPTED", "ACCEPTED"),
    ("write", "what it took is noted", "ACCEPTED", "ACCEPTED"),
    ("commit", "the order changes", "ACCEPTED", "ACCEPTED"),
    ("commit", "what came of it is noted", "ACCEPTED", "ACCEPTED"),
]
MINUTES = 2.5


@pytest.fixture
def waiting(noon) -> Sale:
    """24 were asked, and the provider took 25."""
    sale = sold(offered("CROSS_SELL"), card="card_wrong_amount_kept")
    with server() as shop:
        accepts(sale, shop)
    assert sale.offer.state == "NEEDS_ATTENTION"
    return sale


@pytest.fixture
def unknown(noon, monkeypatch) -> Sale:
    """The provider charged, and was silent for more than a day: all planned looks are over."""
    sale = sold(offered("CROSS_SELL"))
    with server(fault=faults.silent) as shop:
        accepts(sale, shop)
    with monkeypatch.context() as patch:
        patch.setattr(CardGateway, "find", lambda *_args: ChargeResult(state=ChargeState.UNKNOWN))
        for hours in (1.5, 7, 25):
            GatewayHealth.objects.update(open_until=None)
            clock.set_to(minutes=60 * hours)
            for _ in range(5):
                reconcile(minutes=0.5)
    GatewayHealth.objects.update(open_until=None)
    assert sale.offer.state == "NEEDS_ATTENTION"
    assert Attempt.objects.get().next_look_at is None
    return sale


@pytest.fixture
def staff(transactional_db) -> Browser:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return Browser(client.cookies["sessionid"].value)


def asks_again(sale: Sale, staff: Browser, shop: Started) -> None:
    staff.port = shop.port
    staff.get(reverse("admin:upsell_offer_ask", args=[sale.offer.pk]))
    staff.press("ask")


def gives_back(sale: Sale, staff: Browser, shop: Started) -> None:
    staff.port = shop.port
    staff.get(reverse("admin:upsell_offer_refund", args=[sale.offer.pk]))
    staff.press("refund")


@pytest.mark.parametrize(("step", "state"), deaths(GIVES_BACK))
def test_f36_giving_back_by_staff_killed(step, state, waiting, staff):
    with server(deadly=step) as shop, suppress(OSError, HTTPException):
        gives_back(waiting, staff, shop)
    assert len(shop.steps) == step, "it lived on: there is no such step"

    reconcile(minutes=MINUTES)

    assert waiting.offer.state == state
    if state == "NEEDS_ATTENTION":  # nobody's word was noted: the button is pressed again
        with server() as shop:
            gives_back(waiting, staff, shop)
    assert waiting.offer.state == "FAILED"
    assert [(row.amount, row.state) for row in Refund.objects.all()] == [(25, "DONE")]
    closed = OfferEvent.objects.get(after="FAILED")
    assert closed.actor == f"staff:{User.objects.get().pk}", "whoever finished it"
    agrees(waiting, live=False)
    assert stock() == STOCK[""]
    assert audit() == (0, "1 offers looked at, 0 invariants broken\n")


@pytest.mark.parametrize(("step", "state"), deaths(ASKS))
def test_f45_asking_again_by_staff_killed(step, state, unknown, staff):
    with server(deadly=step) as shop, suppress(OSError, HTTPException):
        asks_again(unknown, staff, shop)
    assert len(shop.steps) == step, "it lived on: there is no such step"

    reconcile(minutes=MINUTES)

    assert unknown.offer.state == state
    if state == "NEEDS_ATTENTION":
        with server() as shop:
            asks_again(unknown, staff, shop)
    agrees(unknown, live=True)
    assert stock() == STOCK["CROSS_SELL"]
    call_command("upsell_run", "--once", stdout=StringIO())
    assert audit() == (0, "1 offers looked at, 0 invariants broken\n")


def test_a_server_that_is_asked_again_and_not_killed_takes_exactly_these_steps(unknown, staff):
    with server() as shop:
        asks_again(unknown, staff, shop)

    assert shop.steps == steps(ASKS)


def test_a_server_that_nobody_kills_takes_exactly_these_steps(waiting, staff):
    with server() as shop:
        gives_back(waiting, staff, shop)

    assert shop.steps == steps(GIVES_BACK)
