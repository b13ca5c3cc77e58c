"""Move what is due: claim, look, write. The one place where runs move by themselves."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import connection, transaction

from upsell import clock, signals
from upsell.engine.journeys.advance import Passage, Position, advance
from upsell.models import (
    EventInbox,
    Journey,
    JourneyRun,
    Listener,
    OutboxMessage,
    StepLog,
)
from upsell.queries import journeys as queries
from upsell.services import (
    capping,
    contact_lists,
    journey_going,
    journey_leaving,
    journey_plans,
)
from upsell.services.journey_entering import zone_named
from upsell.services.journey_hearing import lock_buyer
from upsell.services.journey_worlds import OUTCOMES, RunWorld

logger = logging.getLogger("upsell")

LEASE = timedelta(minutes=2)
BATCH = 500
BACKOFF = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=12),
)
"""After each failed look; after the last the run is stuck."""
_MOVED = (
    "state", "step", "since", "settled", "due_at", "waiting_for", "lease_until", "lease_token",
    "seq", "found", "ended_at", "end_reason", "active_key", "tries", "error",
)  # fmt: skip


@dataclass(slots=True)
class _Look:
    """What came of looking at one run."""

    run: JourneyRun
    passage: Passage
    world: RunWorld

    @property
    def is_plain(self) -> bool:
        """Whether it moves or waits without an effect: such looks are written together."""
        world = self.world
        passage = self.passage
        special = passage.ended or passage.event or passage.failed
        return not (world.messages or world.events or special)


def advance_due(*, now: datetime | None = None, limit: int = 5_000) -> int:
    """Move runs that are due; return how many steps they left behind. Safe in parallel.

    Each run is claimed for two minutes. A process that dies leaves it to the next, at the same
    step; what it had written is there, or nothing of it is. Where nothing is due it costs one
    statement.
    """
    if not queries.any_due(now):
        return 0
    done = looked = 0
    while looked < limit:
        # Anew for each batch: a long round claims by the time that it is.
        told = now or clock.database_now()
        reclaim(now=told)
        runs = claim(now=told, limit=min(BATCH, limit - looked))
        if not runs:
            break
        looked += len(runs)
        done += move(runs, now=told)
    return done


def reclaim(*, now: datetime) -> int:
    """Give runs back that a dead process had in its hands; return how many."""
    return JourneyRun.objects.filter(state="RUNNING", lease_until__lte=now).update(
        state="WAITING", lease_until=None, lease_token=""
    )


def claim(*, now: datetime, limit: int = BATCH) -> list[JourneyRun]:
    """Take runs that are due, of journeys that move, for this process alone.

    With SKIP LOCKED where the database has it; else whoever's update comes first. Three statements
    and the read, with its journeys.
    """
    token = uuid.uuid4().hex
    with transaction.atomic():
        rows = JourneyRun.objects.filter(state="WAITING", due_at__lte=now)
        paused = list(
            Journey.objects.filter(state=Journey.State.PAUSED).values_list("pk", flat=True)
        )
        if paused:
            rows = rows.exclude(journey__in=paused)
        if connection.features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True)
        ids = list(rows.order_by("due_at").values_list("pk", flat=True)[:limit])
        if not ids:
            return []
        JourneyRun.objects.filter(pk__in=ids, state="WAITING").update(
            state="RUNNING", lease_token=token, lease_until=now + LEASE
        )
    mine = JourneyRun.objects.filter(pk__in=ids, lease_token=token)
    # One row a journey, not one a run.
    return list(mine.prefetch_related("journey").order_by("due_at", "pk"))


def move(runs: Sequence[JourneyRun], *, now: datetime) -> int:
    """Look at claimed runs, and write what came of it; return how many steps were left behind.

    One that fails is tried again later, and takes none of the others with it.
    """
    plain: list[_Look] = []
    done = 0
    for run in runs:
        try:
            look = _look(run, now=now)
        except Exception as error:
            # A plan may name a fact that is gone.
            logger.exception("run %s could not be moved", run.pk)
            _failed(run, error, now=now)
            continue
        if look.passage.failed is not None:
            logger.error("run %s could not be moved", run.pk, exc_info=look.passage.failed)
            # What that step wanted done before it failed is not done.
            look.world.messages.clear()
            look.world.events.clear()
        if look.is_plain:
            plain.append(look)
        else:
            done += _written_alone(look, now=now)
    return done + _written_together(plain, now=now)


def _look(run: JourneyRun, *, now: datetime) -> _Look:
    plan = journey_plans.plan_of(run.version_id, compressed=run.compressed)
    world = RunWorld(run=run, plan=plan, now=now)
    passage = advance(
        plan,
        Position(step=run.step, since=run.since, settled=run.settled),
        world,
        now=now,
        unit=run.customer_key,
        zone=zone_named(run.time_zone),
        deadline=run.deadline,
    )
    return _Look(run=run, passage=passage, world=world)


# ------------------------------------------------------------------ writing


def _written_together(looks: list[_Look], *, now: datetime) -> int:
    if not looks:
        return 0
    try:
        with transaction.atomic(durable=True):
            mine = _still_ours(looks)
            looks = [look for look in looks if look.run.pk in mine]
            for look in looks:
                _set(look, now=now)
            logs = [row for look in looks for row in _log_of(look)]
            StepLog.objects.bulk_create(logs)
            JourneyRun.objects.bulk_create(
                [look.run for look in looks],
                update_conflicts=True,
                update_fields=list(_MOVED),
                unique_fields=None if connection.vendor == "mysql" else ["id"],
            )
            return len(logs)
    except Exception:
        # One of them spoils the batch: each by itself, so that it is that one alone.
        logger.warning("a batch of %s runs is written one by one", len(looks), exc_info=True)
    return sum(_written_alone(_look_again(look, now=now), now=now) for look in looks)


def _look_again(look: _Look, *, now: datetime) -> _Look:
    run = JourneyRun.objects.select_related("journey").get(pk=look.run.pk)
    return _Look(run=run, passage=look.passage, world=look.world)


def _written_alone(look: _Look, *, now: datetime) -> int:
    run = look.run
    try:
        with transaction.atomic(durable=True):
            if look.world.messages:
                lock_buyer(run.customer_key)
            if run.pk not in _still_ours([look]):
                return 0
            _set(look, now=now)
            logs = list(_log_of(look))
            StepLog.objects.bulk_create(logs)
            run.save(update_fields=_MOVED)
            _take_effect(look, now=now)
            return len(logs)
    except Exception as error:
        logger.exception("run %s could not be moved", run.pk)
        _failed(JourneyRun.objects.get(pk=run.pk), error, now=now)
        return 0


def _still_ours(looks: Iterable[_Look]) -> set[int]:
    """Lock the runs; those that left meanwhile, or that another took up, are not ours.

    What was found out meanwhile is taken over: the answer of a call may have come in between.
    """
    ours = {look.run.pk: look.run for look in looks}
    rows = JourneyRun.objects.select_for_update().filter(pk__in=ours, state="RUNNING")
    mine = set[int]()
    for pk, token, found in rows.order_by("pk").values_list("pk", "lease_token", "found"):
        if token == ours[pk].lease_token:
            mine.add(pk)
            ours[pk].found = found
    return mine


def _log_of(look: _Look) -> Iterable[StepLog]:
    plan, run = look.world.plan, look.run
    first = run.seq - len(look.passage.hops)
    for number, hop in enumerate(look.passage.hops, start=1):
        yield StepLog(
            run_id=run.pk,
            seq=first + number,
            step=hop.step,
            kind=plan.steps[hop.step].kind.value,
            outcome=hop.outcome,
            reason=hop.because[:190],
            at=hop.at,
        )


def _set(look: _Look, *, now: datetime) -> None:
    """Put a run where it got to; its row in the log gets its number from ``seq``."""
    run, passage = look.run, look.passage
    run.seq += len(passage.hops)
    run.step, run.since = passage.position.step, passage.position.since
    run.settled = passage.position.settled
    run.found = {**run.found, **look.world.found}
    run.lease_until, run.lease_token = None, ""
    run.waiting_for = passage.event
    if passage.failed is not None:
        _put_off(run, passage.failed, now=now)
        return
    run.tries, run.error = 0, ""
    if passage.ended:
        run.state, run.end_reason = _ending(passage.ended)
        run.ended_at, run.due_at, run.active_key = now, None, None
        return
    run.state = JourneyRun.State.WAITING
    run.due_at = passage.due_at
    if passage.due_at is None:
        # What it waits for settles it; should that be lost, it looks by itself.
        run.due_at = max(
            (one.expires_at for one in look.world.messages if one.expires_at is not None),
            default=now + timedelta(hours=1),
        )


def _ending(why: str) -> tuple[str, str]:
    if why == "completed" or why.startswith("goto:"):
        return JourneyRun.State.COMPLETED, "completed"
    if why in {"goal", "unreachable", "no_consent", "stale"}:
        return JourneyRun.State.EXITED, why
    return JourneyRun.State.EXITED, f"exit:{why}"[:80]


def _take_effect(look: _Look, *, now: datetime) -> None:
    run, passage, world = look.run, look.passage, look.world
    EventInbox.objects.bulk_create(world.events, ignore_conflicts=True)
    contact_lists.join(world.members)
    for message in world.messages:
        if not _reserved(message, look, now=now):
            continue
        message.run = run
        OutboxMessage.objects.bulk_create([message], ignore_conflicts=True)
    if passage.event and run.is_active:
        Listener.objects.update_or_create(
            run=run,
            purpose=Listener.Purpose.WAKE,
            criterion="",
            defaults={"customer_key": run.customer_key, "event": passage.event},
        )
    else:
        Listener.objects.filter(run=run, purpose=Listener.Purpose.WAKE).delete()
    if passage.ended:
        journey_leaving.after_end([run], reason=run.end_reason, now=now)
        if passage.ended.startswith("goto:"):
            journey_going.go(run, passage.ended.removeprefix("goto:"), now=now)


def _reserved(message: OutboxMessage, look: _Look, *, now: datetime) -> bool:
    """Find a message its place under the caps; false = the run left because there is none."""
    if message.state != "PENDING" or message.reserved_at is None:
        return True
    free = capping.free_at(
        customer_key=message.customer_key,
        medium=message.medium,
        category=message.category,
        now=max(now, message.not_before),
    )
    if free <= max(now, message.not_before):
        message.reserved_at = message.not_before = max(now, message.not_before)
        return True
    run, how = look.run, look.world.on_capped
    if how == "defer" and message.expires_at is not None and free <= message.expires_at:
        message.not_before = message.reserved_at = free
        return True
    message.state, message.reason, message.reserved_at = "SKIPPED", "capped", None
    if how == "exit":
        OutboxMessage.objects.bulk_create([message], ignore_conflicts=True)
        journey_leaving.leave([run.pk], state="EXITED", reason="exit:capped", now=now)
        return False
    JourneyRun.objects.filter(pk=run.pk).update(due_at=now)
    return True


def outcome_of(message: OutboxMessage) -> str:
    """Return the outcome of the step that a message is of; empty = it is not settled."""
    told = OUTCOMES.get(message.state, "")
    if message.kind == OutboxMessage.Kind.CALL and told:
        return "ok" if told == "sent" else "failed"
    return told


def settle(message: OutboxMessage, outcome: str, *, now: datetime) -> None:
    """Let the run that waits for a message go on, in the transaction that settled it."""
    JourneyRun.objects.filter(pk=message.run_id or 0, state="WAITING", step=message.step).update(
        settled=outcome, due_at=now
    )


def _failed(run: JourneyRun, error: Exception, *, now: datetime) -> None:
    token = run.lease_token
    _put_off(run, error, now=now)
    JourneyRun.objects.filter(pk=run.pk, state="RUNNING", lease_token=token).update(
        state=run.state,
        tries=run.tries,
        error=run.error,
        due_at=run.due_at,
        lease_until=None,
        lease_token="",
    )


def _put_off(run: JourneyRun, error: Exception, *, now: datetime) -> None:
    """Have a run tried again after a while, and after five times no more."""
    tries = run.tries
    run.tries, run.error = tries + 1, type(error).__name__[:190]
    run.lease_until, run.lease_token = None, ""
    if tries < len(BACKOFF):
        run.state, run.due_at = JourneyRun.State.WAITING, now + BACKOFF[tries]
        return
    run.state, run.due_at = JourneyRun.State.STUCK, None
    logger.error("run %s is stuck: %s", run.pk, run.error)
    told: dict[str, Any] = {
        "sender": JourneyRun,
        "run_id": run.pk,
        "journey": run.journey.slug,
        "at": now,
    }
    transaction.on_commit(partial(signals.run_stuck.send_robust, **told), robust=True)
