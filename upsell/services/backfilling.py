"""Let past events into a journey: looked at first, then so many a minute, by due work."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from upsell import clock, conf, snapshots
from upsell.engine.conditions import evaluate, facts_needed
from upsell.exceptions import NotFound
from upsell.models import Backfill, EventInbox, Journey, OrderFact
from upsell.services import facts, journey_entering, linking, order_events
from upsell.services.journey_entering import Candidate
from upsell.services.journey_hearing import lock_buyer
from upsell.services.journey_states import NotNow
from upsell.services.locking import retried

logger = logging.getLogger("upsell")

MOST_A_MINUTE = 600
LOOKED_AT = 500
"""Events that a preview tries; of more it says so."""
LONGEST = timedelta(days=365)
EVERY = timedelta(minutes=1)
MOST_TRIES = 5
"""For an event about which the shop could not be asked; then it is left out."""
_LATER_EVENTS = 50
_Of = Backfill.Of
_TIMES = {_Of.EVENTS.value: "occurred_at", _Of.ORDERS.value: "placed_at"}
"""When what is walked along happened."""

Row = EventInbox | OrderFact


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would come of it, as things stand."""

    events: int
    """In all."""
    buyers: int
    """Of these events."""
    looked_at: int
    """Events that were tried, the oldest first."""
    entered: int
    """Of those that were tried: who would enter."""
    refused: Mapping[str, int]
    """Of those that were tried: reason to how many would not enter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the shop was asked of one event: its candidate, or why nobody enters."""

    event: EventInbox | None = None
    candidate: Candidate | None = None
    reason: str = ""


def preview(
    journey: Journey, *, since: datetime, until: datetime, now: datetime, of: str = _Of.EVENTS
) -> Preview:
    """Say who of the past would enter, and why the others would not. Nothing is kept of it.

    The shop is asked first, of each event that is tried; then the entries are written as they
    would be, caps and all, and rolled back.

    Raises:
        NotNow: The journey is not live, or the time makes no sense.
        Exception: Whatever the shop's ports raise.
    """
    _ensure(journey, since=since, until=until, of=of, now=now)
    rows = _past(of, journey.event, since, until)
    tried = list(rows[:LOOKED_AT])
    asked = [_asked(journey, row, now=now) for row in tried]
    counts: Counter[str] = Counter()
    with transaction.atomic():
        for one in asked:
            counts[one.reason or _entered(one, now=now)] += 1
        transaction.set_rollback(True)
    return Preview(
        events=rows.count(),
        buyers=rows.order_by().values("customer_key").distinct().count(),
        looked_at=len(tried),
        entered=counts.pop("", 0),
        refused=dict(counts.most_common()),
    )


def start(
    journey: Journey,
    *,
    since: datetime,
    until: datetime,
    per_minute: int,
    of: str = _Of.EVENTS,
    user: Any = None,
    now: datetime | None = None,
) -> Backfill:
    """Begin to let past events in; due work does so, by every rule of entry but how old they are.

    Args:
        since: Of the events, this instant included.
        until: Not included.
        per_minute: Events that are looked at in a minute.
        of: ``EVENTS`` that were told; or, of a journey that begins with ``order.placed``,
            ``ORDERS`` of the mirror, also those of which no event was told.

    Raises:
        NotNow: The journey is not live, the time makes no sense, or one is under way already.
    """
    told = now or clock.database_now()
    if not 1 <= per_minute <= MOST_A_MINUTE:
        raise NotNow(f"1 to {MOST_A_MINUTE} events a minute are let in, and not {per_minute}")
    try:
        with transaction.atomic():
            row = Journey.objects.select_for_update().get(pk=journey.pk)
            _ensure(row, since=since, until=until, of=of, now=told)
            made: Backfill = Backfill.objects.create(
                journey=row,
                event=row.event,
                of=of,
                since=since,
                until=until,
                per_minute=per_minute,
                due_at=told,
                total=_past(of, row.event, since, until).count(),
                created_at=told,
                created_by=user,
            )
    except IntegrityError as error:
        raise NotNow("one is under way already: stop it first") from error
    return made


def stop(backfill_id: int, *, now: datetime | None = None) -> None:
    """Let nobody in any more; who entered stays in the journey.

    Raises:
        NotNow: It is over already.
    """
    if not _end(backfill_id, Backfill.State.STOPPED, now=now or clock.database_now()):
        raise NotNow("it is over already")


def work_due(*, now: datetime | None = None) -> int:
    """Let in what is due of every backfill; return how many events were looked at.

    Safe in parallel, and where a process dies: each event is one transaction, with how far it got.
    Where none runs it costs one statement.
    """
    running = Backfill.objects.filter(state=Backfill.State.RUNNING)
    rows = list(running.order_by("due_at", "pk").values_list("pk", flat=True))
    if not rows:
        return 0
    told = now or clock.database_now()
    return sum(_round(pk, now=told) for pk in rows)


# ------------------------------------------------------------------ one round


def _round(backfill_id: int, *, now: datetime) -> int:
    due = Backfill.objects.filter(pk=backfill_id, state=Backfill.State.RUNNING, due_at__lte=now)
    if not due.update(due_at=now + EVERY):
        return 0
    backfill = Backfill.objects.select_related("journey").get(pk=backfill_id)
    journey = backfill.journey
    if journey.state == Journey.State.PAUSED:
        return 0
    if journey.state != Journey.State.LIVE or journey.event != backfill.event:
        _end(backfill_id, Backfill.State.STOPPED, now=now)
        return 0
    done = 0
    for row in _left(backfill):
        if not _let_in(backfill, row, now=now):
            return done
        done += 1
    if done < backfill.per_minute:
        _end(backfill_id, Backfill.State.DONE, now=now)
    return done


def _left(backfill: Backfill) -> list[Row]:
    rows = _past(backfill.of, backfill.event, backfill.since, backfill.until)
    at, pk = backfill.reached_at, backfill.reached_id
    if at is not None:
        name = _TIMES[backfill.of]
        rows = rows.filter(Q(**{f"{name}__gt": at}) | Q(**{name: at, "pk__gt": pk}))
    return list(rows[: backfill.per_minute])


def _let_in(backfill: Backfill, row: Row, *, now: datetime) -> bool:
    """Look at one event, and note how far it got with it; false = go on at the next round."""
    try:
        asked = _asked(backfill.journey, row, now=now)
    except Exception:
        # The shop's ports are foreign code: it is asked again in a minute.
        logger.exception("event %s could not be backfilled", row.pk)
        if backfill.tries + 1 < MOST_TRIES:
            Backfill.objects.filter(pk=backfill.pk).update(tries=F("tries") + 1)
            return False
        asked = _Asked(reason="error")
    return retried(lambda: _noted(backfill, row, asked, now=now))


def _noted(backfill: Backfill, row: Row, asked: _Asked, *, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        mine = (
            Backfill.objects.select_for_update()
            .filter(
                pk=backfill.pk,
                state=Backfill.State.RUNNING,
                reached_at=backfill.reached_at,
                reached_id=backfill.reached_id,
            )
            .first()
        )
        if mine is None:
            return False  # it was stopped, or another process is ahead
        reason = asked.reason
        if not reason:
            lock_buyer(row.customer_key)
            reason = _entered(asked, now=now)
        if reason:
            mine.refused = {**mine.refused, reason: mine.refused.get(reason, 0) + 1}
        else:
            mine.entered += 1
        mine.looked_at += 1
        mine.reached_at, mine.reached_id, mine.tries = _at(row), row.pk, 0
        mine.save(
            update_fields=[
                "refused", "entered", "looked_at", "reached_at", "reached_id", "tries",
            ]
        )  # fmt: skip
    backfill.reached_at, backfill.reached_id, backfill.tries = _at(row), row.pk, 0
    return True


def _entered(asked: _Asked, *, now: datetime) -> str:
    assert asked.event is not None and asked.candidate is not None  # noqa: S101, PT018 - no reason
    return journey_entering.enter_late(asked.event, asked.candidate, now=now)


def _end(backfill_id: int, state: str, *, now: datetime) -> bool:
    running = Backfill.objects.filter(pk=backfill_id, state=Backfill.State.RUNNING)
    return bool(running.update(state=state, live=None, ended_at=now))


# ------------------------------------------------------------------ what is looked at


def _ensure(journey: Journey, *, since: datetime, until: datetime, of: str, now: datetime) -> None:
    if of not in _Of.values:
        raise ValueError(f"wanted is EVENTS or ORDERS, and there was {of!r}")
    if of == _Of.ORDERS and journey.event != order_events.PLACED:
        raise NotNow(f"orders are placed: it begins with {journey.event}")
    if journey.state != Journey.State.LIVE or journey.version_id is None:
        raise NotNow(f"it is {journey.get_state_display()}: only a live journey lets anybody in")
    if not since < until <= now:
        raise NotNow("the time begins before it ends, and ends in the past")
    if now - since > LONGEST:
        raise NotNow(f"events of {LONGEST.days} days at most are let in")


def _past(of: str, event: str, since: datetime, until: datetime) -> QuerySet[Any]:
    """Return the events, or the mirrored orders, of a time, the oldest first."""
    rows: QuerySet[Any] = (
        OrderFact.objects.all()
        if of == _Of.ORDERS
        else EventInbox.objects.filter(name=event)
    )  # fmt: skip
    name = _TIMES[of]
    rows = rows.filter(**{f"{name}__gte": since, f"{name}__lt": until})
    return rows.exclude(customer_key="").order_by(name, "pk")


def _at(row: Row) -> datetime:
    return row.placed_at if isinstance(row, OrderFact) else row.occurred_at


def _asked(journey: Journey, row: Row, *, now: datetime) -> _Asked:
    """Ask the shop all that has to be known of an event, or of an order."""
    event: EventInbox | None
    if isinstance(row, EventInbox):
        event = row
    else:
        event, reason = _told_of(row, now=now)
        if event is None:
            return _Asked(reason=reason)
    candidate = replace(journey_entering.candidate(journey, event, now=now), may_be_late=True)
    left = _left_since(candidate, event, now=now) if candidate.matches else ""
    return _Asked(event=event, candidate=candidate, reason=left)


def _told_of(fact: OrderFact, *, now: datetime) -> tuple[EventInbox | None, str]:
    """Return the event of an order as it was told, else as it would be now; and why there is none.

    The one that was told comes first: by its id whoever entered with it is known.
    """
    try:
        order = conf.shop().order(fact.order_ref)
    except NotFound:
        return None, "order_gone"
    gone = snapshots.gone(order)
    if gone:
        return None, gone
    told = EventInbox.objects.filter(
        name=order_events.PLACED, order_ref=fact.order_ref, customer_key=fact.customer_key
    )
    return told.order_by("pk").first() or order_events.placed(order, fact, now=now), ""


def _left_since(candidate: Candidate, row: EventInbox, *, now: datetime) -> str:
    """Return ``exit:<name>`` where a run of that event would have left already."""
    exits = candidate.plan.exits
    later = EventInbox.objects.filter(
        customer_key__in=linking.keys_with([row.customer_key]),
        name__in={one.event for one in exits},
        occurred_at__gt=row.occurred_at,
    )
    starter = journey_entering.starter_of(row)
    for event in later.order_by("-occurred_at", "-pk")[:_LATER_EVENTS] if exits else ():
        for one in exits:
            if one.event != event.name:
                continue
            if one.where is None:
                return f"exit:{one.id}"
            known = facts.gather(
                facts_needed(one.where),
                who=journey_entering.who_of(row),
                starter=starter,
                entered_at=row.occurred_at,
                now=now,
                event=journey_entering.starter_of(event),
            )
            if evaluate(one.where, known).matches:
                return f"exit:{one.id}"
    return ""
