"""Who begins a journey when an event comes, and why the others do not."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils import timezone

from upsell import conf, snapshots
from upsell.engine.conditions import evaluate, facts_needed
from upsell.engine.experiments import HOLDOUT_SALT, bucket
from upsell.engine.journeys.advance import Position, advance
from upsell.engine.journeys.definition import Definition, IfActive, Kind, Policy, Step
from upsell.models import EntryRefused, EventInbox, Journey, JourneyRun, Listener
from upsell.models.journey import ACTIVE
from upsell.ports import Who
from upsell.services import facts, journey_leaving, journey_plans, linking

logger = logging.getLogger("upsell")

CONTROL_WEEKS = timedelta(weeks=8)
EVERYBODY = "*"
"""Among the buyers of a test: all of them, as in a demonstration."""
_STATES = (Journey.State.LIVE, Journey.State.PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A journey that an event may begin, with what was asked of the shop for it."""

    journey: Journey
    plan: Definition
    matches: bool
    because: str
    time_zone: str
    may_be_late: bool = False
    """However old the event is: staff said so."""


def starter_of(row: EventInbox) -> dict[str, Any]:
    """Return an event as a run keeps it."""
    return {
        "name": row.name,
        "at": row.occurred_at.isoformat(),
        "order_ref": row.order_ref,
        "event": f"{row.source}:{row.event_id}",
        "parameters": dict(row.parameters),
    }


def who_of(row: EventInbox) -> Who:
    """Return what an event says of whose it is."""
    key = row.customer_key
    return Who(
        customer_key=key,
        user_ref=key[2:] if key.startswith("u:") else "",
        order_ref=row.order_ref or str(row.parameters.get("order_ref") or ""),
        cart_ref=str(row.parameters.get("cart_ref") or ""),
    )


def candidates(row: EventInbox, *, now: datetime) -> list[Candidate]:
    """Ask of each journey whether this event is meant. Outside any transaction: the shop is asked.

    One statement where no journey listens for it.
    """
    found: list[Candidate] = []
    rows = Journey.objects.filter(event=row.name, state__in=_STATES, version__isnull=False)
    for journey in rows.order_by("-priority", "pk"):
        if not _out_of_test(row, journey):
            found.append(candidate(journey, row, now=now))
    return found


def candidate(journey: Journey, row: EventInbox, *, now: datetime) -> Candidate:
    """Ask of one published journey whether an event is meant. Outside any transaction."""
    who, starter = who_of(row), starter_of(row)
    plan = journey_plans.plan_of(journey.version_id or 0, compressed=_is_compressed(journey))
    matches, because = True, ""
    if plan.where is not None:
        known = facts.gather(
            facts_needed(plan.where),
            who=who,
            starter=starter,
            entered_at=now,
            now=now,
            event=starter,
        )
        answer = evaluate(plan.where, known)
        matches, because = answer.matches, answer.because
    zone = _zone_of(who, str(row.parameters.get("channel") or "")) if matches else ""
    return Candidate(journey=journey, plan=plan, matches=matches, because=because, time_zone=zone)


def enter(row: EventInbox, found: Sequence[Candidate], *, now: datetime) -> list[JourneyRun]:
    """Begin runs, in the event's transaction, under the buyer's lock; note who was refused why."""
    begun: list[JourneyRun] = []
    refused: list[EntryRefused] = []
    keys = linking.family([row.customer_key]) if found else []
    for one in found:
        reason, active = _refusal(row, one, keys, now=now)
        if reason:
            refused.append(_refused(row, one, reason, now=now))
        else:
            _make_way(row, one, active, now=now)
            begun.append(_begin(row, one, now=now))
    EntryRefused.objects.bulk_create(refused, ignore_conflicts=True)
    return begun


def enter_late(row: EventInbox, one: Candidate, *, now: datetime) -> str:
    """Begin the run of a past event as ``enter`` does; return why it did not, empty = it did."""
    reason = _out_of_test(row, one.journey)
    active: list[JourneyRun] = []
    if not reason:
        reason, active = _refusal(row, one, linking.family([row.customer_key]), now=now)
    if reason:
        refused = [_refused(row, one, reason, now=now)]
        EntryRefused.objects.bulk_create(refused, ignore_conflicts=True)
    else:
        _make_way(row, one, active, now=now)
        _begin(row, one, now=now)
    return reason


def _refused(row: EventInbox, one: Candidate, reason: str, *, now: datetime) -> EntryRefused:
    return EntryRefused(
        journey=one.journey,
        customer_key=row.customer_key,
        event_key=f"{row.source}:{row.event_id}",
        reason=reason[:80],
        at=now,
    )


def _out_of_test(row: EventInbox, journey: Journey) -> str:
    listed = EVERYBODY in journey.testers or row.customer_key in journey.testers
    return "test" if journey.mode == Journey.Mode.TEST and not listed else ""


def _refusal(
    row: EventInbox, one: Candidate, keys: Sequence[str], *, now: datetime
) -> tuple[str, list[JourneyRun]]:
    """Return why this buyer, known by these keys, does not enter; empty = they do.

    Beside it the runs that are under way and have to end for it.
    """
    reason = _kept_out(row, one, now=now)
    if reason:
        return reason, []
    journey, how = one.journey, one.plan.entry.if_active
    mine = JourneyRun.objects.filter(customer_key__in=keys)
    active = [] if how is IfActive.IGNORE else _in_the_way(row, journey, mine)
    if active and how is IfActive.MERGE:
        _merge(active[-1], row, journey)
        return "merged", []
    # What is under way ends for the one that begins: it forbids nothing.
    before = mine.filter(journey=journey).exclude(pk__in=[run.pk for run in active])
    # The group comes last: it ends other runs for the one that begins.
    reason = (
        _policy(row, journey, before, now=now)
        or _cap(journey, mine, now=now)
        or _group(journey, mine, now=now)
    )
    return reason, active


def _kept_out(row: EventInbox, one: Candidate, *, now: datetime) -> str:
    journey = one.journey
    channel = str(row.parameters.get("channel") or "")
    if not journey.channels or (channel and channel not in journey.channels):
        return "channel"
    if not one.matches:
        return one.because or "condition"
    if journey.state == Journey.State.PAUSED:
        return "paused"
    late = now - row.occurred_at > journey.late_event and not one.may_be_late
    return "late" if late else ""


# ------------------------------------------------------------------ where one is under way


def _in_the_way(row: EventInbox, journey: Journey, mine: QuerySet[JourneyRun]) -> list[JourneyRun]:
    """Return the active runs that keep another from beginning, oldest first; their rows are locked.

    Of one at a time, and of once for each buyer, all of theirs; else the one of the same key.
    """
    rows = mine.filter(journey=journey, state__in=ACTIVE)
    if journey.concurrency != Journey.Together.ONE and journey.policy != Policy.ONCE:
        rows = rows.filter(dedupe_key=_dedupe_key(row, journey))
    return list(rows.select_for_update().order_by("entered_at", "pk"))


def _merge(run: JourneyRun, row: EventInbox, journey: Journey) -> None:
    """Let a run go on with what an event says: its waits and its place stay.

    Of the same order, or where one of them tells of none, what the event does not name stays as it
    was told first. Of another order all that was frozen is the event's, and what was offered for
    the one before is no more.
    """
    told, who = starter_of(row), who_of(row)
    another = bool(run.order_ref and who.order_ref and run.order_ref != who.order_ref)
    deadline = _deadline(row, journey)
    if another:
        run.found = {
            name: value for name, value in run.found.items()
            if name not in {"offer", "suggestions", "skip_next"}
        }  # fmt: skip
    else:
        told["parameters"] = {**(run.starter.get("parameters") or {}), **told["parameters"]}
        told["order_ref"] = told["order_ref"] or str(run.starter.get("order_ref") or "")
        deadline = deadline or run.deadline
    run.starter, run.deadline = told, deadline
    run.order_ref = who.order_ref or run.order_ref
    run.cart_ref = who.cart_ref or run.cart_ref
    run.channel = str(row.parameters.get("channel") or "") or run.channel
    run.save(update_fields=["starter", "deadline", "order_ref", "cart_ref", "channel", "found"])


def _make_way(
    row: EventInbox, one: Candidate, active: Sequence[JourneyRun], *, now: datetime
) -> None:
    """End what is under way; the key of the one that begins is free afterwards."""
    if not active:
        return
    key = _dedupe_key(row, one.journey)
    for run in active:
        if run.dedupe_key == key:
            freed = _digest(run.dedupe_key, run.pk)
            JourneyRun.objects.filter(pk=run.pk).update(dedupe_key=freed)
    ids = [run.pk for run in active]
    journey_leaving.leave(ids, state="EXITED", reason="superseded", now=now)


# ------------------------------------------------------------------ how often


def _policy(row: EventInbox, journey: Journey, mine: QuerySet[JourneyRun], *, now: datetime) -> str:
    if journey.policy == Policy.ONCE and mine.exists():
        return "already_done"
    if mine.filter(dedupe_key=_dedupe_key(row, journey)).exists():
        return "already_entered"
    if journey.concurrency == Journey.Together.ONE and mine.filter(state__in=ACTIVE).exists():
        return "active"
    if journey.policy == Policy.AFTER and journey.again_after is not None:
        last = mine.order_by("-entered_at").first()
        if last is not None:
            counted = last.entered_at if journey.after == Journey.After.ENTRY else last.ended_at
            if counted is None or now < counted + journey.again_after:
                return "too_soon"
    return ""


def _group(journey: Journey, mine: QuerySet[JourneyRun], *, now: datetime) -> str:
    if not journey.exclusion_group:
        return ""
    others = mine.filter(
        state__in=ACTIVE, journey__exclusion_group=journey.exclusion_group
    ).exclude(journey=journey)
    weaker = others.filter(journey__priority__lt=journey.priority)
    stronger = others.exclude(journey__priority__lt=journey.priority)
    if stronger.exists() or (not journey.exit_others and weaker.exists()):
        return "group"
    # By their ids: a lock on a join would lock the journeys too.
    ids = list(weaker.values_list("pk", flat=True))
    journey_leaving.leave(ids, state="EXITED", reason="superseded", now=now)
    return ""


def _cap(journey: Journey, mine: QuerySet[JourneyRun], *, now: datetime) -> str:
    """Entries are counted, whatever became of them; transactional journeys and tests are not."""
    if journey.category == Journey.Category.TRANSACTIONAL or journey.mode != Journey.Mode.REAL:
        return ""
    mine = mine.filter(mode=Journey.Mode.REAL)
    if journey.cap_per_day:
        today = mine.filter(journey=journey, entered_at__gt=now - timedelta(days=1)).count()
        if today >= journey.cap_per_day:
            return "cap:journey"
    most, window = conf.get("UPSELL_JOURNEY_ENTRIES")
    entries = mine.filter(
        journey__category=Journey.Category.MARKETING, entered_at__gt=now - window
    ).count()
    return "cap:all" if entries >= most else ""


def _begin(row: EventInbox, one: Candidate, *, now: datetime) -> JourneyRun:
    journey, who = one.journey, who_of(row)
    starter = starter_of(row)
    compressed = _is_compressed(journey)
    run = JourneyRun(
        journey=journey,
        version_id=journey.version_id or 0,
        customer_key=row.customer_key,
        dedupe_key=_dedupe_key(row, journey),
        active_key=_active_key(row, journey),
        user_ref=who.user_ref,
        order_ref=who.order_ref,
        cart_ref=who.cart_ref,
        channel=str(row.parameters.get("channel") or ""),
        state=JourneyRun.State.WAITING,
        step=one.plan.first,
        since=now,
        due_at=now,
        deadline=_deadline(row, journey),
        starter=starter,
        is_control=_is_control(row, journey, now=now),
        mode=journey.mode,
        compressed=compressed,
        time_zone=one.time_zone,
        entered_at=now,
    )
    first = one.plan.steps[run.step]
    if first.kind is Kind.WAIT:
        # The wait is known at once; a later look would find the same.
        passage = advance(
            one.plan, Position(step=run.step, since=now), _NOBODY, now=now,
            unit=row.customer_key, zone=zone_named(run.time_zone), deadline=run.deadline,
        )  # fmt: skip
        if not passage.ended:
            run.due_at = passage.due_at
    run.save(force_insert=True)
    Listener.objects.bulk_create(listeners_of(run, one.plan))
    return run


def listeners_of(run: JourneyRun, plan: Definition) -> list[Listener]:
    """Return what a run listens for by its plan, not yet written: to leave, and for its goals."""
    return [
        Listener(
            run=run,
            customer_key=run.customer_key,
            event=criterion.event,
            purpose=purpose,
            criterion=criterion.id,
        )
        for purpose, criteria in (("EXIT", plan.exits), ("GOAL", plan.goals))
        for criterion in criteria
    ]


class _Nobody:
    """A wait asks nobody."""

    def facts(self, asked: Collection[Any]) -> Mapping[Any, Any]:
        return {}

    def reachable(self, media: Collection[str]) -> Collection[str]:
        return ()

    def best(self, media: Collection[str]) -> str:
        return ""

    def do(self, step: Step) -> str:
        return ""


_NOBODY = _Nobody()


def _is_compressed(journey: Journey) -> bool:
    return journey.compressed and journey.mode == Journey.Mode.TEST


def _is_control(row: EventInbox, journey: Journey, *, now: datetime) -> bool:
    """The sales channel's holdout first, then the journey's own, in its first weeks."""
    if journey.mode != Journey.Mode.REAL or journey.category == Journey.Category.TRANSACTIONAL:
        return False
    channel = snapshots.policy(str(row.parameters.get("channel") or ""))
    salt = channel.holdout_salt or HOLDOUT_SALT
    if channel.holdout and bucket(salt, row.customer_key) < channel.holdout:
        return True
    fresh = journey.live_since is not None and now < journey.live_since + CONTROL_WEEKS
    share = journey.control * 100
    return fresh and bool(share) and bucket(f"journey:{journey.slug}", row.customer_key) < share


def _dedupe_key(row: EventInbox, journey: Journey) -> str:
    by_event = f"{row.source}:{row.event_id}"
    match journey.policy:
        case Policy.ONCE:
            key = ""
        case Policy.PER_KEY:
            key = who_of(row).order_ref or by_event
        case _:
            key = by_event
    return _digest(journey.pk, row.customer_key, key)


def _active_key(row: EventInbox, journey: Journey) -> str | None:
    if journey.concurrency != Journey.Together.ONE:
        return None
    return _digest(journey.pk, row.customer_key)


def _digest(*parts: object) -> str:
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()


def _deadline(row: EventInbox, journey: Journey) -> datetime | None:
    """The earliest departure, check-in or pick-up of the order, less the lead time."""
    told = row.parameters.get("service_at")
    times = list(_times(told if isinstance(told, list) else [told]))
    return min(times) - journey.lead_time if times else None


def _times(values: Iterable[object]) -> Iterable[datetime]:
    for value in values:
        if not isinstance(value, str):
            continue
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            continue
        if at.tzinfo is not None:
            yield at


def _zone_of(who: Who, channel: str) -> str:
    """The buyer's, else the sales channel's, else the shop's. One call of the shop's port."""
    try:
        contact = conf.shop().contact(who, "email")
    except Exception:
        logger.exception("the shop did not tell how to reach a buyer")
        contact = None
    for name in (contact.timezone if contact else "", snapshots.policy(channel).time_zone):
        if name and _is_zone(name):
            return name
    return timezone.get_default_timezone_name()


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        logger.warning("there is no time zone %.64r: the shop's is taken", name)
        return False
    return True


def zone_named(name: str) -> tzinfo:
    """Return a run's zone."""
    try:
        return ZoneInfo(name) if name else timezone.get_default_timezone()
    except (KeyError, ValueError, OSError):
        return UTC
