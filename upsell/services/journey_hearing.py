"""What follows from an event for its buyer: who leaves, who goes on, what counts, who enters.

The shop is asked first, outside any transaction. Then, in the event's own, under the buyer's lock,
all of it is written at once with the event: both are there or neither.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import transaction

from upsell import clock, snapshots
from upsell.engine.caps import ANY
from upsell.engine.conditions import Tree, evaluate, facts_needed
from upsell.engine.journeys.definition import Criterion, Definition
from upsell.engine.journeys.matching import matches
from upsell.models import (
    EventInbox,
    GoalHit,
    JourneyRun,
    Listener,
    MessageEvent,
    OutboxMessage,
)
from upsell.ports import Who
from upsell.services import (
    capping,
    facts,
    journey_entering,
    journey_leaving,
    journey_plans,
    linking,
)
from upsell.services.journey_entering import Candidate

logger = logging.getLogger("upsell")

_ANSWERS = frozenset({"offer.accepted", "offer.declined"})
PATIENCE = timedelta(days=1)
"""So long an event whose buyer could not be asked about is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What was found out for an event before its transaction."""

    candidates: tuple[Candidate, ...] = ()
    listeners: frozenset[int] = frozenset()
    """Whose condition was met."""
    asked: frozenset[int] = frozenset()
    """Whose condition was asked: one that came since is asked again."""

    @property
    def is_nothing(self) -> bool:
        """Whether nobody listens."""
        return not self.candidates and not self.asked


def ask(row: EventInbox, *, now: datetime) -> Answered:
    """Find out what follows from an event. Outside any transaction: the shop may be asked.

    Two statements where nobody listens.
    """
    listeners = _listeners(row)
    met = {one.pk for one in listeners if _is_met(one, row, now=now)}
    return Answered(
        candidates=tuple(journey_entering.candidates(row, now=now)),
        listeners=frozenset(met),
        asked=frozenset(one.pk for one in listeners),
    )


class ListenersChanged(Exception):
    """A run began or moved since the shop was asked: ask again."""


def follow(row: EventInbox, answered: Answered, *, now: datetime) -> None:
    """Write what follows from an event, in its transaction.

    Raises:
        ListenersChanged: Another event of the buyer came between; ask again, and come back.
    """
    if answered.is_nothing and not _listeners(row):
        return
    lock_buyer(row.customer_key)
    listeners = _listeners(row)
    if any(one.pk not in answered.asked for one in listeners):
        raise ListenersChanged
    for one in listeners:
        if one.pk in answered.listeners:
            _carry_out(one, row, now=now)
    journey_entering.enter(row, answered.candidates, now=now)


def lock_buyer(customer_key: str) -> None:
    """Take the lock that all that is counted of a buyer is counted under, whichever key it is."""
    keys = linking.family([customer_key])
    if keys:
        capping.lock(keys[0], ANY)


def work(*, now: datetime | None = None, limit: int = 500) -> int:
    """Work on events that were written and not followed yet; return how many. Safe in parallel."""
    told = now or clock.database_now()
    waiting = EventInbox.objects.filter(processed_at__isnull=True, received_at__gte=told - PATIENCE)
    if not snapshots.has_journeys():
        waiting.update(processed_at=told)  # nobody listens, and that is all that follows
        return 0
    rows = waiting.order_by("received_at", "pk")
    return sum(work_on(pk, now=told) for pk in rows.values_list("pk", flat=True)[:limit])


def work_on(event_id: int, *, now: datetime | None = None) -> bool:
    """Work on one event, once; say whether it was ours to do."""
    told = now or clock.database_now()
    row = EventInbox.objects.filter(pk=event_id, processed_at__isnull=True).first()
    if row is None:
        return False
    try:
        for _try in range(3):
            answered = ask(row, now=told)
            try:
                return _followed(row, answered, now=told)
            except ListenersChanged:
                continue
    except Exception:
        # The shop's ports are foreign code: the other events are no worse for it.
        logger.exception("event %s could not be followed", row.pk)
    return False


def _followed(row: EventInbox, answered: Answered, *, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        locked = (
            EventInbox.objects.select_for_update()
            .filter(pk=row.pk, processed_at__isnull=True)
            .first()
        )
        if locked is None:
            return False
        if locked.name in _ANSWERS and locked.order_ref:
            _note_click(locked, now=now)
        if locked.customer_key:
            follow(locked, answered, now=now)
        EventInbox.objects.filter(pk=row.pk).update(processed_at=now)
    return True


def _note_click(row: EventInbox, *, now: datetime) -> None:
    """Whoever answers an offer has opened the last message about it: that counts as its click."""
    told = OutboxMessage.objects.filter(
        kind=OutboxMessage.Kind.JOURNEY,
        run__order_ref=row.order_ref,
        state__in=["SENT", "UNKNOWN"],
        sent_at__lte=row.occurred_at,
    )
    last = told.order_by("-sent_at", "-pk").values("pk", "key").first()
    if last is None:
        return
    if told.filter(pk=last["pk"], clicked_at=None).update(clicked_at=row.occurred_at):
        report = MessageEvent(
            provider=MessageEvent.OURS,
            event_id=last["key"],
            message_id=last["pk"],
            kind="clicked",
            at=row.occurred_at,
            received_at=now,
        )
        MessageEvent.objects.bulk_create([report], ignore_conflicts=True)


# ------------------------------------------------------------------ who listens


def _listeners(row: EventInbox) -> list[Listener]:
    if not row.customer_key:
        return []
    rows = Listener.objects.filter(event=row.name, customer_key=row.customer_key)
    found = list(rows.select_related("run__journey").order_by("pk"))
    if found:
        return found
    # A guest who has an account since: the run is under the other key.
    keys = linking.keys_with([row.customer_key])
    if len(keys) < 2:
        return []
    rows = Listener.objects.filter(event=row.name, customer_key__in=keys)
    return list(rows.select_related("run__journey").order_by("pk"))


def _is_met(one: Listener, row: EventInbox, *, now: datetime) -> bool:
    run = one.run
    plan = journey_plans.plan_of(run.version_id, compressed=run.compressed)
    if one.purpose == Listener.Purpose.WAKE:
        step = plan.steps.get(run.step)
        if step is None:
            return False
        names: Any = step.told.get("match_starter")
        started = {**run.starter.get("parameters", {})}
        if run.order_ref:
            started["order_ref"] = run.order_ref
        if names and not matches(started, _parameters(row), names):
            return False
        where: Any = step.told.get("where")
        return _holds(where, run, row, now=now)
    criterion = _criterion(plan, one)
    if criterion is None:
        return False
    return _holds(criterion.where, run, row, now=now)


def _parameters(row: EventInbox) -> dict[str, Any]:
    own = {"order_ref": row.order_ref} if row.order_ref else {}
    return {**own, **row.parameters}


def _holds(where: Tree | None, run: JourneyRun, row: EventInbox, *, now: datetime) -> bool:
    if where is None:
        return True
    known = facts.gather(
        facts_needed(where),
        who=who_of(run),
        starter=run.starter,
        entered_at=run.entered_at,
        now=max(now, row.occurred_at),
        event=journey_entering.starter_of(row),
        answers=run.found.get("webhook"),
    )
    return evaluate(where, known).matches


def who_of(run: JourneyRun) -> Who:
    """Return what a run keeps of its buyer."""
    return Who(
        customer_key=run.customer_key,
        user_ref=run.user_ref,
        order_ref=run.order_ref,
        cart_ref=run.cart_ref,
    )


def _criterion(plan: Definition, one: Listener) -> Criterion | None:
    rows: Sequence[Criterion] = plan.goals if one.purpose == "GOAL" else plan.exits
    return next((row for row in rows if row.id == one.criterion), None)


# ------------------------------------------------------------------ what comes of it


def _carry_out(one: Listener, row: EventInbox, *, now: datetime) -> None:
    run = one.run
    if one.purpose == Listener.Purpose.GOAL:
        _count_goal(one, row)
        return
    if row.occurred_at < run.entered_at and row.name == run.starter.get("name"):
        return
    if one.purpose == Listener.Purpose.EXIT:
        journey_leaving.leave([run.pk], state="EXITED", reason=f"exit:{one.criterion}", now=now)
        return
    JourneyRun.objects.filter(pk=run.pk, state="WAITING", step=run.step).update(
        settled="matched", due_at=now
    )
    Listener.objects.filter(pk=one.pk).delete()


def _count_goal(one: Listener, row: EventInbox) -> None:
    run = one.run
    key = f"{row.source}:{row.event_id}"
    if key == run.starter.get("event"):
        return
    plan = journey_plans.plan_of(run.version_id, compressed=run.compressed)
    criterion = _criterion(plan, one)
    if criterion is None:
        return
    window = criterion.within or journey_leaving.GOAL_WINDOW
    credited = _credited(run, row, window)
    if credited is None and not run.is_control:
        return
    if run.is_control and not run.entered_at <= row.occurred_at <= run.entered_at + window:
        return
    GoalHit.objects.bulk_create(
        [
            GoalHit(
                run=run,
                goal=one.criterion,
                event_key=key,
                message=credited,
                at=row.occurred_at,
                amount=_amount(row),
                currency=str(row.parameters.get("currency") or "")[:3],
            )
        ],
        ignore_conflicts=True,
    )


def _credited(run: JourneyRun, row: EventInbox, window: timedelta) -> OutboxMessage | None:
    """The last message before it, from its click where there was one, at most a window ago."""
    rows = OutboxMessage.objects.filter(run=run, state__in=["SENT", "UNKNOWN"])
    best: tuple[datetime, OutboxMessage] | None = None
    for message in rows:
        at = message.clicked_at or message.sent_at
        if at is None or not at <= row.occurred_at <= at + window:
            continue
        if best is None or at > best[0]:
            best = (at, message)
    return None if best is None else best[1]


def _amount(row: EventInbox) -> Decimal | None:
    value = row.parameters.get("amount") or row.parameters.get("total")
    try:
        return None if value is None else Decimal(str(value))
    except InvalidOperation:
        return None
