"""A first-class gateway without a provider: its ledger is a SQLite file of its own.

The ledger commits before it answers, so it is alive after a killed process and seen by
every other. What a card does is in its name; see ``CARDS``.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from upsell.ports import (
    BaseGateway,
    ChargeRequest,
    ChargeResult,
    ChargeState,
    Collection,
    CollectionWay,
    Occasion,
    RefundResult,
    RefundState,
)

CARDS: Mapping[str, str] = {
    "card_ok": "is charged",
    "card_declined": "is declined",
    "card_challenge": "needs the buyer's confirmation first",
    "card_hang": "answers nothing in time, and charges nothing",
    "card_lost": "is charged, and the answer is lost",
    "card_wrong_amount": "is charged another amount than asked",
    "card_wrong_amount_kept": "is charged another amount, and refuses the first refund",
    "card_refund_refused": "is charged, and refuses refunds",
}

_TABLES = (
    "create table if not exists charges (key text primary key, body text not null,"
    " order_ref text not null, amount text not null, currency text not null,"
    " credential text not null, state text not null, reference text not null unique)",
    "create table if not exists refunds (key text primary key, reference text not null,"
    " amount text not null, currency text not null)",
    "create table if not exists refusals (reference text primary key)",
    "create table if not exists returns (reference text primary key, url text not null)",
)


class LedgerGateway(BaseGateway):
    """Charges saved cards in its own ledger. Subclass it and say which card paid an order."""

    slug = "ledger"
    ledger_path: str = ""
    """Empty: ``UPSELL_TEST_LEDGER`` of the environment, else a file among the temporary ones."""
    challenge_url = ""
    """Where the buyer confirms; the reference is appended."""
    hang_seconds = 0.0
    min_amount = Decimal("0.50")

    def credential_for(self, order: Occasion) -> str:
        """Return the card that paid this order, one of ``CARDS``; empty = none saved."""
        return ""

    def label_for(self, order: Occasion) -> str:
        """Return how the buyer knows the card."""
        return "your card"

    def collection(
        self, order: Occasion, amount: Decimal | None, currency: str, *, trusted: bool
    ) -> Collection:
        credential = self.credential_for(order)
        if not credential or not trusted:
            return Collection(how=CollectionWay.NONE)
        return Collection(
            how=CollectionWay.CHARGE_SAVED,
            credential=credential,
            min_amount=self.min_amount,
            label=self.label_for(order),
        )

    def charge(self, request: ChargeRequest) -> ChargeResult:
        body = json.dumps([request.order_ref, str(request.amount), request.currency])
        card = request.credential
        if card == "card_hang":
            time.sleep(self.hang_seconds)
            return ChargeResult(state=ChargeState.UNKNOWN)
        with self._ledger() as ledger:
            known = self._by(ledger, "key", request.key)
            if known is not None:
                if known["body"] != body:
                    return ChargeResult(state=ChargeState.DECLINED, decline_code="configuration")
                return self._result(known)
            state = {
                "card_declined": ChargeState.DECLINED,
                "card_challenge": ChargeState.REQUIRES_ACTION,
            }.get(card, ChargeState.CAPTURED)
            wrong = card.startswith("card_wrong_amount")
            amount = request.amount + 1 if wrong else request.amount
            ledger.execute(
                "insert into charges values (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    request.key,
                    body,
                    request.order_ref,
                    str(amount),
                    request.currency,
                    card,
                    state.value,
                    reference := f"ch_{uuid.uuid4().hex}",
                ),
            )
            ledger.execute("insert into returns values (?, ?)", (reference, request.return_url))
            made = self._by(ledger, "key", request.key)
        if made is None or card == "card_lost":
            return ChargeResult(state=ChargeState.UNKNOWN)
        return self._result(made)

    def resume(self, reference: str) -> ChargeResult:
        with self._ledger() as ledger:
            row = self._by(ledger, "reference", reference)
        return self._result(row) if row else ChargeResult(state=ChargeState.UNKNOWN)

    def find(self, key: str, order_ref: str, since: datetime) -> ChargeResult | None:
        with self._ledger() as ledger:
            row = self._by(ledger, "key", key)
        return self._result(row) if row else None

    def cancel(self, reference: str, key: str) -> ChargeResult:
        return self.answer_challenge(reference, paid=False)

    def back_from(self, reference: str) -> str:
        """Return where the bank's page sends the buyer back to; empty = it was not told."""
        with self._ledger() as ledger:
            row = ledger.execute(
                "select url from returns where reference = ?", (reference,)
            ).fetchone()
        return str(row[0]) if row else ""

    def answer_challenge(self, reference: str, *, paid: bool) -> ChargeResult:
        """Let the buyer confirm, or give up; a charge that is settled already stays as it is."""
        state = ChargeState.CAPTURED if paid else ChargeState.DECLINED
        with self._ledger() as ledger:
            ledger.execute(
                "update charges set state = ? where reference = ? and state = 'REQUIRES_ACTION'",
                (state.value, reference),
            )
            row = self._by(ledger, "reference", reference)
        return self._result(row) if row else ChargeResult(state=ChargeState.UNKNOWN)

    def refund(self, reference: str, amount: Decimal, currency: str, key: str) -> RefundResult:
        with self._ledger() as ledger:
            charge = self._by(ledger, "reference", reference)
            known = ledger.execute("select 1 from refunds where key = ?", (key,)).fetchone()
            if known:
                return RefundResult(state=RefundState.REFUNDED, reference=f"re_{key}")
            if charge is None or charge["credential"] == "card_refund_refused":
                return RefundResult(state=RefundState.REFUSED, message="refused")
            if charge["credential"] == "card_wrong_amount_kept" and _is_first(ledger, reference):
                return RefundResult(state=RefundState.REFUSED, message="not yet")
            given = ledger.execute(
                "select amount from refunds where reference = ?", (reference,)
            ).fetchall()
            left = Decimal(charge["amount"]) - sum((Decimal(row[0]) for row in given), Decimal(0))
            if charge["state"] != "CAPTURED" or amount > left:
                return RefundResult(state=RefundState.REFUSED, message="more than was charged")
            ledger.execute(
                "insert into refunds values (?, ?, ?, ?)", (key, reference, str(amount), currency)
            )
        return RefundResult(state=RefundState.REFUNDED, reference=f"re_{key}")

    def charged(self, order_ref: str) -> Decimal:
        """Return what was captured for an order, less what was refunded."""
        with self._ledger() as ledger:
            charges = ledger.execute(
                "select amount, reference from charges where order_ref = ? and state = 'CAPTURED'",
                (order_ref,),
            ).fetchall()
            total = Decimal(0)
            for amount, reference in charges:
                refunds = ledger.execute(
                    "select amount from refunds where reference = ?", (reference,)
                ).fetchall()
                total += Decimal(amount) - sum((Decimal(row[0]) for row in refunds), Decimal(0))
        return total

    def charges(self, order_ref: str) -> Sequence[Mapping[str, str]]:
        """Return the ledger's charges of an order, oldest first."""
        with self._ledger() as ledger:
            rows = ledger.execute(
                "select * from charges where order_ref = ? order by rowid", (order_ref,)
            ).fetchall()
        return [dict(row) for row in rows]

    def _result(self, row: sqlite3.Row) -> ChargeResult:
        state = ChargeState(row["state"])
        asks = state is ChargeState.REQUIRES_ACTION
        return ChargeResult(
            state=state,
            reference=row["reference"],
            action_url=f"{self.challenge_url}{row['reference']}/" if asks else "",
            decline_code="card_declined" if state is ChargeState.DECLINED else "",
            amount=Decimal(row["amount"]),
            currency=row["currency"],
        )

    @staticmethod
    def _by(ledger: sqlite3.Connection, column: str, value: str) -> sqlite3.Row | None:
        statements = {
            "key": "select * from charges where key = ?",
            "reference": "select * from charges where reference = ?",
        }
        row: sqlite3.Row | None = ledger.execute(statements[column], (value,)).fetchone()
        return row

    @contextmanager
    def _ledger(self) -> Iterator[sqlite3.Connection]:
        """Open the ledger in one transaction that nobody else writes in; commit at the end.

        The lock is taken before the first read: of twelve who ask at once under one key, one
        finds nothing and writes, and eleven find what it wrote.
        """
        path = (
            self.ledger_path
            or os.environ.get("UPSELL_TEST_LEDGER")
            or str(Path(tempfile.gettempdir()) / "upsell-ledger.sqlite3")
        )
        ledger = sqlite3.connect(path, timeout=20, isolation_level=None)
        ledger.row_factory = sqlite3.Row
        try:
            ledger.execute("begin immediate")
            for table in _TABLES:
                ledger.execute(table)
            yield ledger
            ledger.execute("commit")
        finally:
            ledger.close()


def _is_first(ledger: sqlite3.Connection, reference: str) -> bool:
    """Whether nobody asked for a refund of this charge before; from now on somebody has."""
    made = ledger.execute("insert or ignore into refusals values (?)", (reference,))
    return made.rowcount == 1


class BalanceGateway(BaseGateway):
    """Adds what is due to an invoice that is still open. Nothing is charged by us."""

    slug = "balance"

    def is_open(self, order: Occasion) -> bool:
        """Whether the order's invoice is still to be paid."""
        return order.status != "paid"

    def collection(
        self, order: Occasion, amount: Decimal | None, currency: str, *, trusted: bool
    ) -> Collection:
        if not trusted or not self.is_open(order):
            return Collection(how=CollectionWay.NONE)
        return Collection(how=CollectionWay.ADD_TO_BALANCE, label="your invoice")

    def charge(self, request: ChargeRequest) -> ChargeResult:
        return ChargeResult(
            state=ChargeState.DEFERRED, amount=request.amount, currency=request.currency
        )

    def find(self, key: str, order_ref: str, since: datetime) -> ChargeResult | None:
        return ChargeResult(state=ChargeState.DEFERRED)
