"""SIGKILL of the server at every commit and every call outside; then money and lines agree.

A real server answers a real browser over HTTP, and dies at a step. Time passes,
``upsell_reconcile`` runs as a scheduler runs it, the buyer looks again at a new server, and
``upsell_audit`` has to be content. The steps are listed here, and compared with what a server
takes that nobody kills.
"""

from __future__ import annotations

import re
import signal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.flow import clock, faults
from tests.flow.processes import Started, command, server
from tests.flow.sales import (
    STOCK,
    Sale,
    accepts,
    agrees,
    audit,
    killed,
    offered,
    reconcile,
    sold,
    stock,
    undoes,
    withdraws,
)
from upsell import conf
from upsell.models import Attempt, OutboxMessage, Refund

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.long,
]

# What a server does, one after the other; and how it ends for the buyer when the server is
# killed before it, or after it.
ACCEPT = [
    ("commit", "the offer is made", "nothing", "open"),
    ("commit", "the attempt begins", "open", "released"),
    ("write", "asking is noted", "released", "released"),
    ("charge", "the card is charged", "released", "applied"),
    ("commit", "the order changes", "applied", "accepted"),
]
CHALLENGE = [
    *ACCEPT[:3],
    ("charge", "the bank wants to ask", "released", "asked"),
    ("commit", "the question is noted", "asked", "challenge"),
    ("resume", "the buyer is back", "paid", "paid"),
    ("commit", "the order changes", "paid", "accepted"),
]
REFUSED = [
    *ACCEPT[:3],
    ("charge", "the card is charged", "released", "given back"),
    ("commit", "the shop refused", "given back", "given back"),
    ("refund", "the money goes back", "given back", "given back"),
    ("commit", "the offer is closed", "given back", "failed"),
]
UNDO = [
    ("commit", "the order is as it was", "kept", "undone"),
    ("refund", "the money goes back", "undone", "undone"),
    ("commit", "that is noted", "undone", "undone"),
]
OUTCOMES = {
    # the buyer reads at once, the offer is after two minutes, and after five
    "nothing": ("open", "SHOWN", "SHOWN"),
    "open": ("open", "SHOWN", "SHOWN"),
    "released": ("confirming", "", "SHOWN"),
    "applied": ("confirming", "ACCEPTED", "ACCEPTED"),
    "asked": ("confirming", "ACTION_REQUIRED", "ACTION_REQUIRED"),
    "challenge": ("challenge", "ACTION_REQUIRED", "ACTION_REQUIRED"),
    "paid": ("challenge", "ACCEPTED", "ACCEPTED"),
    "accepted": ("accepted", "ACCEPTED", "ACCEPTED"),
    "given back": ("confirming", "", "FAILED"),
    "failed": ("failed", "FAILED", "FAILED"),
    "kept": ("accepted", "ACCEPTED", "ACCEPTED"),
    "undone": ("undone", "REVERSED", "REVERSED"),
}
READS = {
    "SHOWN": "open",
    "ACCEPTED": "accepted",
    "ACTION_REQUIRED": "challenge",
    "FAILED": "failed",
    "REVERSED": "undone",
}

# What the sweepers do.
LOOK = [("write", "the look is claimed"), ("find", "the provider is asked")]
FOUND = [*LOOK, ("commit", "the order changes")]
ABSENT = [*LOOK, ("write", "absence is noted")]
ABSENT_AGAIN = [*LOOK, ("commit", "the stock goes back")]
GIVE_BACK = [
    ("write", "the try is claimed"),
    ("refund", "the money goes back"),
    ("commit", "that is noted"),
]
ASK_TO_WAIT, TELL = 38, 26
"""``upsell_run`` asks the shop to wait with packing; then lets it go, and writes to the buyer.

Each time it then counts the orders; the first time it adds up the day and looks for alarms, too.
"""


def steps(table) -> list[str]:
    """The steps of a table, as a process tells them."""
    return [f"{when} {what}" for what, *_ in table for when in ("before", "after")]


def number(table, step: str) -> int:
    """Which step of a table this is, from 1."""
    return steps(table).index(step) + 1


def deaths(table, *, since: int = 1) -> list:
    """A death at each step of a table: its number and, where the table says so, how it ends."""
    rows = [
        (f"{when}: {what}", [outcome] if outcome else [])
        for _, what, *outcomes in table
        for when, outcome in zip(("before", "after"), outcomes or ("", ""), strict=True)
    ]
    return [
        pytest.param(step, *outcome, id=name)
        for step, (name, outcome) in enumerate(rows, start=1)
        if step >= since
    ]


# ------------------------------------------------------------------ what buyers do


def confirms(sale: Sale, shop: Started) -> None:
    """Accept, and stay at the bank for ten minutes."""
    accepts(sale, shop)
    reconcile(minutes=10)
    confirms_at_the_bank(sale)


def confirms_at_the_bank(sale: Sale) -> None:
    bank = sale.buyer.get(sale.buyer.page.link("/challenge/"))
    sale.buyer.press(bank.path.split("/")[-2], answer="yes")
    sale.buyer.press("return")


def looked_at_again(sale: Sale, outcome: str) -> None:
    """Press again, reload, wait, reload: what the buyer reads is what is; then let them finish."""
    at_once, after_two, after_five = OUTCOMES[outcome]
    with server() as shop:
        sale.buyer.port = shop.port
        if at_once != "open" and sale.buyer.page.address("accept"):
            # The page that was open when the server died: pressed again, it begins nothing.
            assert sale.buyer.press("accept").state == at_once
        page = sale.thanks(shop)
        assert page.state == at_once
        assert bool(page.address("accept")) == (at_once == "open"), "F37: the button is gone"

        reconcile(minutes=2)
        assert after_two in {"", sale.offer.state}
        reconcile(minutes=3)
        assert sale.offer.state == after_five

        page = sale.thanks(shop)
        assert page.state == READS[after_five]
        if page.state == "open":
            page = sale.buyer.press("accept")
        if page.state == "challenge":
            confirms_at_the_bank(sale)
        if outcome == "kept":
            sale.buyer.press("undo")


def is_whole(sale: Sale, *, live: bool) -> None:
    """Let what is due be told, and look at everything when nothing may be under way any more."""
    call_command("upsell_run", "--once", stdout=StringIO())
    agrees(sale, live=live)
    assert not OutboxMessage.objects.filter(state__in=["PENDING", "SENDING"]).exists()
    assert stock() == STOCK[sale.kind if live else ""], "I10: nothing is held for nothing"
    list(clock.half_minutes(minutes=16))
    assert audit() == (0, "1 offers looked at, 0 invariants broken\n")


# ------------------------------------------------------------------ the server dies


@pytest.mark.parametrize(("step", "outcome"), deaths(ACCEPT))
@pytest.mark.parametrize("kind", ["CROSS_SELL", "UPSELL"])
def test_f14_f15_f31_f35_accept_killed(kind, step, outcome, noon):
    sale = sold(offered(kind), kind)

    killed(accepts, sale, step)

    looked_at_again(sale, outcome)
    is_whole(sale, live=True)


@pytest.mark.parametrize(("step", "outcome"), deaths(CHALLENGE))
def test_f29_f42_a_return_from_the_bank_killed(step, outcome, noon):
    sale = sold(offered("CROSS_SELL"), card="card_challenge")

    killed(confirms, sale, step)

    looked_at_again(sale, outcome)
    is_whole(sale, live=True)


@pytest.mark.parametrize(
    ("step", "outcome"), deaths(REFUSED, since=number(REFUSED, "after charge"))
)
def test_f34_f36_giving_back_killed(step, outcome, noon, gateway, monkeypatch):
    sale = sold(offered("UPSELL"), "UPSELL")
    monkeypatch.setattr(type(conf.shop()), "apply", faults.refuse_to_apply)

    killed(accepts, sale, step, fault=faults.shop_refuses)

    looked_at_again(sale, outcome)
    is_whole(sale, live=False)
    assert len(gateway.charges(str(sale.placed.pk))) == 1
    assert Refund.objects.get().state == "DONE"


@pytest.mark.parametrize(("step", "outcome"), deaths(UNDO))
@pytest.mark.parametrize("kind", ["CROSS_SELL", "UPSELL"])
def test_f36_undo_killed(kind, step, outcome, noon):
    sale = sold(offered(kind), kind)
    with server() as shop:
        accepts(sale, shop)

    killed(undoes, sale, step)

    looked_at_again(sale, outcome)
    is_whole(sale, live=False)
    assert Refund.objects.get().state == "DONE"


@pytest.mark.parametrize(("step", "outcome"), deaths(UNDO))
@pytest.mark.parametrize("kind", ["CROSS_SELL", "UPSELL"])
def test_a_withdrawal_killed(kind, step, outcome, noon):
    sale = sold(offered(kind), kind)
    with server() as shop:
        accepts(sale, shop)

    killed(withdraws, sale, step)

    with server() as shop:
        sale.buyer.port = shop.port
        receipt = f"/order/{sale.placed.pk}/withdrawal/"
        page = withdraws(sale, shop) if outcome == "kept" else sale.buyer.get(receipt)
        assert "We have received your withdrawal" in page.text
    reconcile(minutes=2)
    assert sale.offer.state == "REVERSED"
    is_whole(sale, live=False)
    assert OutboxMessage.objects.get(kind="WITHDRAWAL").state == "SENT"


# ------------------------------------------------------------------ the sweepers die as well


def reconciler_killed(step: int) -> None:
    assert command("upsell_reconcile", deadly=step).ended() == -signal.SIGKILL


@pytest.mark.parametrize("step", deaths(FOUND))
@pytest.mark.parametrize("kind", ["CROSS_SELL", "UPSELL"])
def test_f45_a_reconciler_killed_while_it_finds_a_charge(kind, step, noon):
    sale = sold(offered(kind), kind)
    killed(accepts, sale, number(ACCEPT, "after charge"))
    clock.set_to(seconds=30)

    reconciler_killed(step)

    reconcile(minutes=1.5)
    assert sale.offer.state == "ACCEPTED", "within two minutes all the same"
    is_whole(sale, live=True)


@pytest.mark.parametrize("step", deaths(ABSENT))
def test_f45_a_reconciler_killed_while_it_first_finds_nothing(step, noon):
    sale = sold(offered("CROSS_SELL"))
    killed(accepts, sale, number(ACCEPT, "before charge"))
    clock.set_to(seconds=30)

    reconciler_killed(step)

    reconcile(minutes=4.5)
    assert sale.offer.state == "SHOWN", "within five minutes all the same"
    is_whole(sale, live=False)


@pytest.mark.parametrize("step", deaths(ABSENT_AGAIN))
def test_f45_a_reconciler_killed_while_it_finds_nothing_again(step, noon):
    sale = sold(offered("CROSS_SELL"))
    killed(accepts, sale, number(ACCEPT, "before charge"))
    reconcile(minutes=1)
    clock.set_to(seconds=90)

    reconciler_killed(step)

    reconcile(minutes=3.5)
    assert sale.offer.state == "SHOWN", "within five minutes all the same"
    is_whole(sale, live=False)


@pytest.mark.parametrize("step", deaths(GIVE_BACK))
def test_f45_a_reconciler_killed_while_it_gives_back(step, noon):
    sale = sold(offered("CROSS_SELL"))
    with server() as shop:
        accepts(sale, shop)
    killed(undoes, sale, number(UNDO, "before refund"))
    clock.set_to(seconds=30)

    reconciler_killed(step)

    reconcile(minutes=4.5)
    assert Refund.objects.get().state == "DONE", "within five minutes all the same"
    is_whole(sale, live=False)


def run(*, minutes: float) -> None:
    """Let so many minutes pass, and run what is due every half one."""
    for _ in clock.half_minutes(minutes=minutes):
        call_command("upsell_run", "--once", stdout=StringIO())


def letters(folder: Path) -> list[str]:
    """The Message-ID of each mail that left."""
    text = "".join(file.read_text() for file in sorted(folder.glob("*.log")))
    return re.findall(r"^Message-ID: (.+)$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("step", range(1, ASK_TO_WAIT + 1))
def test_f50_asking_the_shop_to_wait_killed(step, noon, settings):
    settings.UPSELL_FULFILMENT_HOLD = True
    sale = sold(offered("CROSS_SELL"))
    with server() as shop:
        sale.thanks(shop)

    assert command("upsell_run", "--once", deadly=step).ended() == -signal.SIGKILL
    run(minutes=2.5)

    sale.placed.refresh_from_db()
    assert sale.placed.hold_until == sale.offer.expires_at


@pytest.mark.parametrize("step", range(1, TELL + 1))
def test_f50_f51_letting_go_and_writing_killed(step, noon, settings):
    settings.UPSELL_FULFILMENT_HOLD = True
    sale = sold(offered("CROSS_SELL"))
    with server() as shop:
        sale.thanks(shop)
        command("upsell_run", "--once")
        sale.buyer.press("accept")
    clock.set_to(minutes=1)

    died = command("upsell_run", "--once", deadly=step)
    assert died.ended() == -signal.SIGKILL
    run(minutes=2.5)

    sale.placed.refresh_from_db()
    assert sale.placed.hold_until is None
    sent = letters(noon)
    posted, _, then = ",".join(died.steps).partition("after mail")
    unsure = posted != ",".join(died.steps) and "after write" not in then
    assert len(sent) == (2 if unsure else 1), "at least once"
    assert len(set(sent)) == 1, "under one name, by which mail servers drop the second"
    is_whole(sale, live=True)


# ------------------------------------------------------------------ controls


@pytest.mark.parametrize(
    ("table", "act", "order", "fault"),
    [
        pytest.param(ACCEPT, accepts, {}, None, id="accept"),
        pytest.param(CHALLENGE, confirms, {"card": "card_challenge"}, None, id="challenge"),
        pytest.param(REFUSED, accepts, {}, faults.shop_refuses, id="refused by the shop"),
        pytest.param(UNDO, undoes, {}, None, id="undo"),
        pytest.param(UNDO, withdraws, {}, None, id="withdraw"),
    ],
)
@pytest.mark.parametrize("kind", ["CROSS_SELL", "UPSELL"])
def test_a_server_that_nobody_kills_takes_exactly_these_steps(kind, table, act, order, fault, noon):
    sale = sold(offered(kind), kind, **order)
    if table is UNDO:
        with server() as shop:
            accepts(sale, shop)

    with server(fault=fault) as shop:
        act(sale, shop)

    assert shop.steps == steps(table)


def test_a_sweeper_that_nobody_kills_takes_exactly_these_steps(noon, settings):
    settings.UPSELL_FULFILMENT_HOLD = True
    sale = sold(offered("CROSS_SELL"))
    with server() as shop:
        sale.thanks(shop)

    assert len(command("upsell_run", "--once").steps) == ASK_TO_WAIT

    killed(accepts, sale, number(ACCEPT[1:], "before charge"))
    for seconds, table in ((30, ABSENT), (90, ABSENT_AGAIN)):
        clock.set_to(seconds=seconds)
        assert command("upsell_reconcile").steps == steps(table)

    killed(accepts, sale, number(ACCEPT[1:], "after charge"))
    clock.set_to(minutes=2)
    assert command("upsell_reconcile").steps == steps(FOUND)
    assert len(command("upsell_run", "--once").steps) == TELL

    killed(undoes, sale, number(UNDO, "before refund"))
    assert command("upsell_reconcile").steps == steps(GIVE_BACK)


def test_control_without_reconciling_money_is_taken_and_the_line_is_missing(noon, gateway):
    sale = sold(offered("CROSS_SELL"))

    killed(accepts, sale, number(ACCEPT, "after charge"))

    assert gateway.charged(str(sale.placed.pk)) == 24
    with pytest.raises(AssertionError, match="I7, I8"):
        agrees(sale, live=True)
    clock.set_to(minutes=15)
    assert audit()[0] == 0, "it may still be under way"
    clock.set_to(minutes=15, seconds=1)
    assert command("upsell_audit", "--outside").ended() == 1
    code, said = audit()
    assert code == 1
    assert "I20" in said
    assert Attempt.objects.get().key in said
