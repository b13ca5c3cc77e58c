"""Do money and lines agree? Every offer as plain values, and each promise it breaks.

The invariants have the numbers of the specification's list. They are read from our own
tables, a fixed number of statements for five hundred offers; with ``outside`` the shop and
the gateways are asked about each answered offer as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from django.db.models import Count, QuerySet

from upsell import clock, conf, snapshots
from upsell.engine import states
from upsell.exceptions import NotFound
from upsell.models import Acceptance, Attempt, Decision, Offer, OfferQuote, Refund
from upsell.ports import ChargeState

BATCH = 500
PATIENCE = timedelta(minutes=15)
"""Work that is not final may be so old while everything is healthy."""
LATE_CANCEL = timedelta(minutes=5)

_PAID = {"CAPTURED", "AUTHORIZED"}
_COLLECTED = _PAID | {"DEFERRED"}
_LIVE = frozenset(
    {
        states.AttemptState.STARTED,
        states.AttemptState.ACTION_REQUIRED,
        states.AttemptState.REFUNDING,
        states.AttemptState.NEEDS_ATTENTION,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One broken promise."""

    invariant: str
    offer_id: int | None
    """None where it is of no single offer."""
    wanted: str
    found: str

    def __str__(self) -> str:
        where = "" if self.offer_id is None else f" offer {self.offer_id}:"
        return f"{self.invariant}{where} wanted {self.wanted}; found {self.found}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """One offer with all its rows, as JSON takes it, and what it breaks."""

    record: dict[str, Any]
    breaches: tuple[Breach, ...]


def audit(
    *,
    now: datetime | None = None,
    order_ref: str = "",
    since: datetime | None = None,
    outside: bool = False,
) -> Iterator[Audited]:
    """Yield every offer, oldest first, each with its breaches.

    Args:
        now: The time that ages are counted to; the database's if none is given.
        order_ref: Only this order's offer.
        since: Only offers made since.
        outside: Ask the shop and the gateways too: one call each per answered offer.
    """
    told = now or clock.database_now()
    offers = Offer.objects.select_related("decision", "acceptance__quote").prefetch_related(
        "quotes", "attempts__quote", "attempts__refunds", "messages", "events"
    )
    if order_ref:
        offers = offers.filter(order_ref=order_ref)
    if since is not None:
        offers = offers.filter(created_at__gte=since)
    version = snapshots.current_version()
    rows = offers.order_by("pk").iterator(chunk_size=BATCH)
    while batch := list(islice(rows, BATCH)):
        for offer in batch:
            facts = _Facts(offer, now=told, version=version)
            found = [*_of_rows(facts), *(_of_outside(facts) if outside else ())]
            yield Audited(record=_record(facts), breaches=tuple(found))


def whole() -> list[Breach]:
    """Return what is broken across offers: two of one order, two of one reference."""
    found: list[Breach] = []
    tables: tuple[tuple[str, QuerySet[Any], str], ...] = (
        ("I1", Offer.objects.exclude(order_ref=None), "order_ref"),
        ("I1", Decision.objects.exclude(order_ref=None), "order_ref"),
        ("I14", Attempt.objects.all(), "key"),
        ("I15", Attempt.objects.exclude(reference=None), "reference"),
    )
    for invariant, rows, column in tables:
        twice = rows.order_by().values(column).annotate(n=Count("pk")).filter(n__gt=1)
        found += (
            Breach(
                invariant=invariant,
                offer_id=None,
                wanted=f"one {rows.model._meta.verbose_name} of one {column}",
                found=f"{row['n']} of {row[column]}",
            )
            for row in twice.order_by(column)
        )
    return found


class _Facts:
    """An offer's rows, looked up once."""

    def __init__(self, offer: Offer, *, now: datetime, version: int) -> None:
        self.offer = offer
        self.terms = snapshots.policy(offer.channel, version)
        self.now = now
        self.acceptance: Acceptance | None = getattr(offer, "acceptance", None)
        self.attempts = sorted(offer.attempts.all(), key=lambda row: row.number)
        self.refunds = [row for attempt in self.attempts for row in attempt.refunds.all()]
        self.messages = list(offer.messages.all())
        self.events = sorted(offer.events.all(), key=lambda row: row.pk or 0)
        self.quotes: Sequence[OfferQuote] = sorted(offer.quotes.all(), key=lambda row: row.number)

    @property
    def quiescent(self) -> bool:
        """Nothing is under way that could still move money or lines."""
        waiting = any(row.state in _LIVE for row in self.attempts)
        return not waiting and not any(row.state == "PENDING" for row in self.refunds)

    @property
    def is_live(self) -> bool:
        """The change stands in the order."""
        return self.acceptance is not None and self.acceptance.reversed_at is None

    def breach(self, invariant: str, wanted: object, found: object) -> Breach:
        return Breach(
            invariant=invariant, offer_id=self.offer.pk, wanted=str(wanted), found=str(found)
        )


# ------------------------------------------------------------------ what our rows say


def _of_rows(facts: _Facts) -> Iterator[Breach]:
    for check in (_i2, _money, _i6, _shape, _log, _i12, _i14, _i19, _i20, _i27):
        yield from check(facts)


def _i2(facts: _Facts) -> Iterator[Breach]:
    applied = [row for row in facts.attempts if row.state == "APPLIED"]
    if len(applied) > 1:
        yield facts.breach("I2", "one attempt applied", [row.key for row in applied])
    if (facts.acceptance is not None) != (facts.offer.state in {"ACCEPTED", "REVERSED"}):
        has = "an acceptance" if facts.acceptance else "no acceptance"
        yield facts.breach("I2", "an acceptance if and only if accepted", (facts.offer.state, has))


def _money(facts: _Facts) -> Iterator[Breach]:
    """I3, I4, I5: what was taken and not given back is what the order grew by."""
    if not facts.quiescent:
        return
    taken = sum(
        (row.taken for row in facts.attempts if row.charge_state in _PAID and _kept(row)),
        Decimal(0),
    )
    back = sum((row.amount for row in facts.refunds if row.state == "DONE"), Decimal(0))
    applied = next((row for row in facts.attempts if row.state == "APPLIED"), None)
    grew = Decimal(0)
    if facts.acceptance is not None and facts.is_live and applied is not None:
        if applied.charge_state in _PAID:
            grew = facts.acceptance.total_after_gross - facts.acceptance.total_before_gross
        elif applied.amount > 0 and applied.charge_state not in _COLLECTED:
            yield facts.breach("I5", "money or an open balance", applied.charge_state or "nothing")
        grew -= sum(
            (row.amount for row in facts.refunds if row.state == "DONE" and row.attempt == applied),
            Decimal(0),
        )
    refused = any(row.state == "REFUSED" for row in facts.refunds)
    if taken - back != grew and not refused:
        yield facts.breach("I3", f"{grew} collected and kept", taken - back)
    for row in facts.attempts:
        given = sum((r.amount for r in row.refunds.all() if r.state != "REFUSED"), Decimal(0))
        if given > row.taken:
            yield facts.breach("I3", f"at most {row.taken} given back", given)
        lost = row.charge_state in _PAID and row.state != "APPLIED" and given < row.taken
        if lost and not refused:
            yield facts.breach("I4", f"{row.key} applied or given back", f"{row.state}, {given}")


def _kept(attempt: Attempt) -> bool:
    """Whether its charge really took money: a declined or given-up one took none."""
    return attempt.state in {"APPLIED", "REFUNDED"} or bool(attempt.refunds.all())


def _i6(facts: _Facts) -> Iterator[Breach]:
    """Shown = frozen = charged = what the order grew by."""
    for row in facts.attempts:
        if row.amount != row.quote.due_gross:
            yield facts.breach("I6", f"{row.quote.due_gross} as shown", row.amount)
        if row.currency != facts.offer.currency:
            yield facts.breach("I6", facts.offer.currency, row.currency)
    if facts.acceptance is None:
        return
    quote = facts.acceptance.quote
    grew = facts.acceptance.total_after_gross - facts.acceptance.total_before_gross
    if grew != quote.due_gross:
        yield facts.breach("I6", f"the order to grow by {quote.due_gross}", grew)
    if quote.line_gross + quote.shipping_gross - quote.credit_gross != quote.due_gross:
        yield facts.breach("I9", "line + delivery - credit = amount due", quote.due_gross)


def _shape(facts: _Facts) -> Iterator[Breach]:
    """I7, I8: an upsell takes lines out, a cross-sell none, and nobody is owed money."""
    replaced = facts.offer.terms.get("replaced", [])
    if (facts.offer.kind == "UPSELL") != bool(replaced):
        wanted = "lines to replace" if facts.offer.kind == "UPSELL" else "no line replaced"
        yield facts.breach("I7" if facts.offer.kind == "UPSELL" else "I8", wanted, len(replaced))
    if facts.acceptance is not None and bool(facts.acceptance.removed) != bool(replaced):
        removed = len(facts.acceptance.removed)
        yield facts.breach("I8" if removed else "I7", f"{len(replaced)} lines removed", removed)
    for row in facts.quotes:
        if row.due_gross < 0:
            yield facts.breach("I7", "an amount due of at least 0", row.due_gross)


def _log(facts: _Facts) -> Iterator[Breach]:
    """I11, I21: the log, replayed by the table of states, ends where the row stands."""
    at = ""
    for event in facts.events:
        if not event.after:
            continue
        if event.before != at:
            yield facts.breach("I21", f"an event that follows {at or 'nothing'}", event.before)
        elif at and not states.may(at, event.after):
            yield facts.breach("I11", f"what may follow {at}", event.after)
        at = event.after
    stands = facts.offer.state
    if at != stands and not {at, stands} <= {"CREATED", "SHOWN"}:
        yield facts.breach("I21", f"a log that ends in {stands}", at or "no event")
    answers = [row for row in facts.events if row.after in {"ACCEPTED", "DECLINED"}]
    if len(answers) > 1:
        yield facts.breach("I23", "one answer", [row.after for row in answers])


def _i12(facts: _Facts) -> Iterator[Breach]:
    for row in facts.attempts:
        if row.started_at >= facts.offer.expires_at:
            wanted = f"to begin before {facts.offer.expires_at:%Y-%m-%d %H:%M:%S}"
            yield facts.breach("I12", wanted, f"{row.started_at:%Y-%m-%d %H:%M:%S}")


def _i14(facts: _Facts) -> Iterator[Breach]:
    keyed: list[Attempt | Refund] = [*facts.attempts, *facts.refunds]
    for row in keyed:
        if row.key != f"ups-{row.uuid}":
            yield facts.breach("I14", f"the key ups-{row.uuid}", row.key)


def _i19(facts: _Facts) -> Iterator[Breach]:
    if facts.acceptance is None:
        return
    if not facts.terms.confirmation_mail:
        return
    told = [row for row in facts.messages if row.kind == "CONFIRMATION"]
    if len(told) != 1:
        yield facts.breach("I19", "one confirmation", len(told))


def _i20(facts: _Facts) -> Iterator[Breach]:
    old = facts.now - PATIENCE
    for row in facts.attempts:
        given_back = any(refund.state == "PENDING" for refund in row.refunds.all())
        waits = row.state in {"STARTED", "ACTION_REQUIRED", "REFUNDING"} and not given_back
        if waits and row.started_at < old:
            yield facts.breach("I20", "attempts settled in 15 min", f"{row.key} {row.state}")
    for refund in facts.refunds:
        if refund.state == "PENDING" and refund.created_at < old:
            yield facts.breach("I20", "refunds answered in 15 min", refund.key)
    for message in facts.messages:
        if message.state in {"PENDING", "SENDING"} and message.not_before < old:
            yield facts.breach("I20", "messages told in 15 min", f"{message.key} {message.state}")
    if facts.offer.state in states.UNANSWERED and facts.offer.expires_at < old:
        yield facts.breach("I20", "expired offers closed in 15 min", facts.offer.state)


def _i27(facts: _Facts) -> Iterator[Breach]:
    if facts.offer.hold_requested_at is None or facts.offer.state in states.OPEN:
        return
    if not any(row.kind == "HOLD_RELEASE" for row in facts.messages):
        yield facts.breach("I27", "fulfilment let go once closed", "no release")


# ------------------------------------------------------------------ what the others say


def _of_outside(facts: _Facts) -> Iterator[Breach]:
    if not facts.attempts:
        return
    yield from _of_gateways(facts)
    yield from _of_shop(facts)


def _of_gateways(facts: _Facts) -> Iterator[Breach]:
    """I4, I5, I6 from the provider's own ledger."""
    for row in facts.attempts:
        gateway = conf.gateway_by_slug(row.gateway)
        if gateway is None or row.quote.collection == "ADD_TO_BALANCE" or row.state in _LIVE:
            continue
        answer = gateway.find(row.key, facts.offer.order_ref or "", row.started_at)
        paid = answer is not None and answer.state in {
            ChargeState.CAPTURED,
            ChargeState.AUTHORIZED,
        }
        if row.state == "APPLIED" and not paid:
            found = "nothing" if answer is None else answer.state
            yield facts.breach("I5", f"a charge under {row.key}", found)
        if paid and row.state not in {"APPLIED", "REFUNDED"} and not row.refunds.all():
            yield facts.breach("I4", f"{row.key} applied or given back", row.state)
        wanted = row.amount if row.state == "APPLIED" else row.taken
        if paid and answer is not None and answer.amount not in (None, wanted):
            yield facts.breach("I6", f"{wanted} charged", answer.amount)


def _of_shop(facts: _Facts) -> Iterator[Breach]:
    """I4, I5, I13 from the shop's own order."""
    try:
        occasion = snapshots.gather(facts.offer.order_ref or "")
    except NotFound:
        yield facts.breach("I4", "an order that is there", "none")
        return
    lines = {line.ref for line in occasion.lines}
    acceptance = facts.acceptance
    if acceptance is None:
        return
    if facts.is_live and acceptance.line_ref not in lines:
        yield facts.breach("I4", f"line {acceptance.line_ref} in the order", "no such line")
    # A line that only its money left is the host's to take out, or to keep in its books.
    undone = any(
        (e.after == "REVERSED" and e.reason == "customer_undo")
        or (e.kind == "withdrawal" and e.figures.get("put_back"))
        for e in facts.events
    )
    gone = snapshots.gone(occasion)
    if undone and acceptance.line_ref in lines and not gone:
        yield facts.breach("I5", "no line of an offer that was undone", acceptance.line_ref)
    if facts.is_live and gone and acceptance.at < facts.now - LATE_CANCEL:
        yield facts.breach("I13", "the offer of a cancelled order reversed", facts.offer.state)


# ------------------------------------------------------------------ the dump


def _record(facts: _Facts) -> dict[str, Any]:
    offer, acceptance = facts.offer, facts.acceptance
    return {
        "offer": offer.pk,
        "uuid": str(offer.uuid),
        "order": offer.order_ref,
        "campaign": offer.campaign_id,
        "kind": offer.kind,
        "state": offer.state,
        "failure_code": offer.failure_code,
        "currency": offer.currency,
        "created_at": offer.created_at.isoformat(),
        "expires_at": offer.expires_at.isoformat(),
        "hold": offer.hold_requested_at is not None,
        "quotes": [{"number": q.number, "due": str(q.due_gross)} for q in facts.quotes],
        "attempts": [
            {
                "key": row.key,
                "state": row.state,
                "charge": row.charge_state,
                "amount": str(row.amount),
                "reference": row.reference,
                "stock_held": bool(row.hold),
            }
            for row in facts.attempts
        ],
        "change": None
        if acceptance is None
        else {
            "line": acceptance.line_ref,
            "before": str(acceptance.total_before_gross),
            "after": str(acceptance.total_after_gross),
            "removed": len(acceptance.removed),
            "live": facts.is_live,
        },
        "refunds": [
            {"key": row.key, "state": row.state, "amount": str(row.amount), "reason": row.reason}
            for row in facts.refunds
        ],
        "messages": [{"kind": row.kind, "state": row.state} for row in facts.messages],
        "events": [{"kind": row.kind, "at": row.at.isoformat()} for row in facts.events],
    }
