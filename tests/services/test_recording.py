"""Each change of state is one line of text: ids and states, in the order of the log, no person."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from tests.factories import campaign, catalogue
from tests.standing import STATES, offer_in
from upsell.models import Attempt, Offer, OfferEvent, Refund
from upsell.models.tokens import offer_token, undo_token
from upsell.ports import ChargeResult, ChargeState
from upsell.services import hearing, reconciling, recording, revoking

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

LINE = re.compile(
    r"(?P<of>offer|attempt|refund)=(?P<id>\d+) offer=(?P<offer>\d+)"
    r" before=(?P<before>[A-Z_]*) after=(?P<after>[A-Z_]+)"
)
Moves = dict[tuple[str, int], list[tuple[str, str]]]


@pytest.fixture
def lines(caplog) -> Iterator[list[str]]:
    """What the logger of states wrote so far."""
    caplog.set_level(logging.DEBUG)
    written: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert record.levelno == logging.INFO
            written.append(record.getMessage())

    handler, logger = Kept(), logging.getLogger("upsell.state")
    logger.addHandler(handler)
    yield written
    logger.removeHandler(handler)


@pytest.fixture
def products():
    made = catalogue()
    campaign(made["W2"], made["W1"], kind="UPSELL")
    return made


def told(lines: list[str]) -> Moves:
    """Return row to its moves, in the order in which they were written."""
    moves: Moves = defaultdict(list)
    for line in lines:
        found = LINE.fullmatch(line)
        assert found, line
        moves[found["of"], int(found["id"])].append((found["before"], found["after"]))
    return dict(moves)


def happened() -> Moves:
    """The same from the log of events, for offers."""
    moves: Moves = defaultdict(list)
    for row in OfferEvent.objects.exclude(after="").order_by("pk"):
        moves["offer", row.offer_id].append((row.before, row.after))
    return dict(moves)


def of(moves: Moves, what: str) -> Moves:
    return {key: rows for key, rows in moves.items() if key[0] == what}


def is_told_whole(lines: list[str]) -> None:
    """Offers as their events say; attempts and refunds from the first state to where they stand."""
    moves = told(lines)
    assert of(moves, "offer") == happened()
    stands = {("attempt", row.pk): row.state for row in Attempt.objects.all()}
    stands |= {("refund", row.pk): row.state for row in Refund.objects.all()}
    assert {key: rows[-1][1] for key, rows in moves.items() if key[0] != "offer"} == stands
    for rows in moves.values():
        assert [before for before, _ in rows] == ["", *[after for _, after in rows[:-1]]]


@pytest.mark.parametrize("state", [state for state in STATES if state != "SUPPRESSED"])
def test_an_offer_that_comes_to_be(state, products, lines):
    offer = offer_in(state, products)

    is_told_whole(lines)
    assert told(lines)["offer", offer.pk][-1][1] == state


def given_up_at_the_bank(products) -> None:
    offer_in("ACTION_REQUIRED", products)
    reconciling.reconcile(now=timezone.now() + timedelta(minutes=16))


def never_charged(products) -> None:
    offer_in("ACCEPTING", products)
    for minutes in (1, 3):
        reconciling.reconcile(now=timezone.now() + timedelta(minutes=minutes))


def withdrawn_while_paying(products) -> None:
    offer = offer_in("ACTION_REQUIRED", products)
    revoking.revoke(offer_id=offer.pk, reason="withdrawn", actor="staff:1")
    report(Attempt.objects.get(), paid=True)


def refunded_in_the_dashboard(products) -> None:
    offer_in("ACCEPTED", products)
    report(Attempt.objects.get(), paid=True, refunded=True)


def report(attempt: Attempt, *, paid: bool, refunded: bool = False) -> None:
    answer = ChargeResult(
        state=ChargeState.CAPTURED if paid else ChargeState.DECLINED,
        reference=attempt.reference or "ch_1",
        amount=attempt.amount,
        currency=attempt.currency,
        refunded=attempt.amount if refunded else None,
        event_id="evt",
    )
    hearing.hear(gateway_slug="card", results=[(attempt.key, answer)])


@pytest.mark.parametrize(
    "life",
    [given_up_at_the_bank, never_charged, withdrawn_while_paying, refunded_in_the_dashboard],
)
def test_a_life_on_side_roads(life, products, lines):
    life(products)

    is_told_whole(lines)


def test_what_was_rolled_back_is_not_told(products, lines):
    offer = offer_in("SHOWN", products)
    before = list(lines)

    with transaction.atomic():
        recording.move(offer, "DECLINED", at=timezone.now())
        transaction.set_rollback(True)

    assert lines == before


def test_i24_no_line_says_who_or_opens_anything(products, lines, caplog):
    offer = offer_in("REVERSED", products, email="canary.bird@example.org", street="Zitronengasse")
    attempt = Attempt.objects.get()

    assert lines
    for secret in ("canary", "example.org", "Zitrone", offer_token(offer), undo_token(offer),
                   offer.customer_key, attempt.reference, "card_ok"):  # fmt: skip
        assert secret not in "\n".join(lines), secret
    records = [row for row in caplog.records if row.name == "upsell.state"]
    assert {row.upsell_offer for row in records} == {Offer.objects.get().pk}
