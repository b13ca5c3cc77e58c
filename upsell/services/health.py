"""Is anything stuck? A few numbers with their limits, read in a few statements; nothing is written.

Each measure has a name that is the same in ``upsell_audit --json``, in the admin and in the page of
alert rules.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Count, F, Max, Min, Q, QuerySet, When

from upsell import clock, conf
from upsell.exceptions import ConfigurationError
from upsell.models import (
    Attempt,
    GatewayEvent,
    GatewayHealth,
    Heartbeat,
    Journey,
    JourneyRun,
    Offer,
    OfferEvent,
    OutboxMessage,
    Refund,
)
from upsell.services import journey_holding, limiting, running

LIMITS: Mapping[str, timedelta | int] = {
    "stuck_attempt": timedelta(minutes=5),
    "outbox": timedelta(minutes=15),
    "refund": timedelta(minutes=15),
    "needs_attention": 0,
    "breaker": 0,
    "parked_report": timedelta(minutes=15),
    "lock_out": 10,
    "due_work": timedelta(minutes=5),
    "webhook": 0,
    "overdue_run": timedelta(minutes=5),
    "stuck_run": 0,
    "overdue_letter": timedelta(minutes=15),
    "unknown_letter": 10,
    "sends_held": 0,
}
"""Measure to what is still fine: so many, or so old."""


FAILS_AFTER = timedelta(minutes=30)
"""A journey that is so late is not merely degraded: nobody moves its runs."""
UNKNOWN_TOLD_FOR = timedelta(days=1)
WEBHOOK_WAITS = timedelta(hours=1)
"""How long a receiver may be down before anybody is told."""
WEBHOOK_TOLD_FOR = timedelta(days=4)
"""How long, after its event, a webhook that was given up is still told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number with its limit."""

    name: str
    count: int | None = None
    """How many there are; none where it is an age alone."""
    age: timedelta | None = None
    """Of the oldest; none where there is none, or where it is a number alone."""
    fine: bool
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Ids, states, codes and times that say which one it is."""

    def as_json(self) -> dict[str, Any]:
        age = None if self.age is None else int(self.age.total_seconds())
        facts = {name: _plain(value) for name, value in self.facts.items()}
        return {"fine": self.fine, "count": self.count, "age_seconds": age, **facts}


def read(
    *, now: datetime | None = None, channels: Collection[str] | None = None
) -> tuple[Measure, ...]:
    """Return every measure, in the order of ``LIMITS``.

    Args:
        now: The time that ages are counted to; the database's if none is given.
        channels: Only offers of these sales channels; none = of all. Providers, their reports
            and the loop belong to no channel.
    """
    told = now or clock.database_now()
    whose = None if channels is None else sorted(channels)
    return (
        _stuck_attempt(told, whose),
        _outbox(told, whose),
        _refund(told, whose),
        _needs_attention(told, whose),
        _breaker(told),
        _parked_report(told),
        _lock_out(told, whose),
        _due_work(told),
        _webhook(told, whose),
        _overdue_run(told, whose),
        _stuck_run(told, whose),
        _overdue_letter(told, whose),
        _unknown_letter(told, whose),
        _sends_held(told),
    )


def as_json(measures: Collection[Measure]) -> dict[str, dict[str, Any]]:
    """Return measures by name, as JSON takes them."""
    return {measure.name: measure.as_json() for measure in measures}


def _stuck_attempt(now: datetime, whose: list[str] | None) -> Measure:
    """Tries to collect that are not settled, and wait for nobody: not for staff, not for a bank."""
    rows = _of(Attempt.objects.unsettled(), "offer__channel", whose)
    rows = rows.exclude(offer__state="NEEDS_ATTENTION").annotate(
        since=Case(
            When(state="ACTION_REQUIRED", then=F("offer__action_expires_at")),
            default=F("started_at"),
        )
    )
    return _aged("stuck_attempt", rows, "since", now, {"attempt": "pk", "offer": "offer_id",
                                                       "state": "state"})  # fmt: skip


def _outbox(now: datetime, whose: list[str] | None) -> Measure:
    rows = OutboxMessage.objects.filter(state="PENDING").exclude(
        kind__in=["WEBHOOK", *OutboxMessage.OF_JOURNEYS]
    )
    rows = _of(rows, "offer__channel", whose)
    return _aged("outbox", rows, "created_at", now, {"message": "pk", "offer": "offer_id",
                                                     "kind": "kind"})  # fmt: skip


def _refund(now: datetime, whose: list[str] | None) -> Measure:
    rows = _of(Refund.objects.filter(state="PENDING"), "attempt__offer__channel", whose)
    return _aged("refund", rows, "created_at", now, {"refund": "pk",
                                                     "offer": "attempt__offer_id"})  # fmt: skip


def _needs_attention(now: datetime, whose: list[str] | None) -> Measure:
    rows = _of(Offer.objects.all().waiting_for_staff(), "channel", whose)
    offers = list(rows.order_by("pk").values_list("pk", flat=True)[:1000])
    since: dict[int, datetime] = {}
    if offers:
        events = OfferEvent.objects.filter(offer__in=offers, kind="needs_attention")
        since = dict(events.values_list("offer").annotate(at=Max("at")))
    oldest = min(since, key=lambda pk: (since[pk], pk), default=None)
    return Measure(
        name="needs_attention",
        count=len(offers),
        age=None if oldest is None else now - since[oldest],
        fine=_within("needs_attention", len(offers)),
        facts={"offer": oldest if oldest is not None else next(iter(offers), None)},
    )


def _breaker(now: datetime) -> Measure:
    known = {row.gateway: row for row in GatewayHealth.objects.order_by("gateway")}
    try:
        named = {gateway.slug for gateway in conf.gateways().values()}
    except ConfigurationError:  # a system check says so
        named = set()
    slugs = sorted({*known, *named})
    gateways = {}
    for slug in slugs:
        row = known.get(slug)
        until = row.open_until if row is not None else None
        is_open = until is not None and until > now
        gateways[slug] = {
            "open": is_open,
            "open_until": until if is_open else None,
            "failures": row.failures if row is not None else 0,
        }
    count = sum(bool(told["open"]) for told in gateways.values())
    return Measure(
        name="breaker", count=count, fine=_within("breaker", count), facts={"gateways": gateways}
    )


def _parked_report(now: datetime) -> Measure:
    """Reports on a key of ours that no attempt has."""
    rows = GatewayEvent.objects.filter(state="PARKED", key__startswith="ups-")
    return _aged("parked_report", rows, "received_at", now, {"report": "pk", "gateway": "gateway"})


def _lock_out(now: datetime, whose: list[str] | None) -> Measure:
    rows = limiting.locked_out(now=now, channels=whose)
    return Measure(
        name="lock_out",
        count=len(rows),
        fine=_within("lock_out", len(rows)),
        facts={
            "offers": [row.offer_id for row in rows],
            "until": max((row.until for row in rows), default=None),
        },
    )


def _due_work(now: datetime) -> Measure:
    """Whether ``upsell_run``, or the task of that name, is running; never seen is not fine."""
    at = Heartbeat.objects.filter(name=running.LOOP).values_list("at", flat=True).first()
    age = None if at is None else max(now - at, timedelta(0))
    return Measure(
        name="due_work",
        age=age,
        fine=age is not None and _within("due_work", age),
        facts={"seen_at": at},
    )


def _webhook(now: datetime, whose: list[str] | None) -> Measure:
    """Webhooks that a receiver has not taken for an hour, or that were given up, lately."""
    waits = Q(state__in=["PENDING", "SENDING"], created_at__lte=now - WEBHOOK_WAITS)
    rows = OutboxMessage.objects.filter(
        waits | Q(state="FAILED"), kind="WEBHOOK", created_at__gt=now - WEBHOOK_TOLD_FOR
    )
    found = _of(rows, "offer__channel", whose).order_by("created_at", "pk")
    listed = list(found.values_list("pk", "offer_id", "created_at", "state")[:1000])
    message, offer, at, state = listed[0] if listed else (None, None, None, None)
    return Measure(
        name="webhook",
        count=len(listed),
        age=None if at is None else max(now - at, timedelta(0)),
        fine=_within("webhook", len(listed)),
        facts={"message": message, "offer": offer, "state": state},
    )


def _overdue_run(now: datetime, whose: list[str] | None) -> Measure:
    """Runs whose time has come and that nobody moves; of a paused journey they may wait."""
    rows = JourneyRun.objects.filter(state__in=["WAITING", "RUNNING"], due_at__lte=now)
    rows = _of(rows.exclude(journey__state=Journey.State.PAUSED), "channel", whose)
    told = _aged("overdue_run", rows, "due_at", now, {"run": "pk", "journey": "journey__slug"})
    late = told.age or timedelta(0)
    standing = "fine" if told.fine else "failing" if late > FAILS_AFTER else "degraded"
    return replace(told, facts={**told.facts, "standing": standing})


def _stuck_run(now: datetime, whose: list[str] | None) -> Measure:
    """Runs that failed too often to be tried again: staff retry, leave the step out, or end it."""
    rows = _of(JourneyRun.objects.filter(state="STUCK"), "channel", whose)
    told = _aged("stuck_run", rows, "since", now, {"run": "pk", "journey": "journey__slug"})
    return replace(told, age=None, fine=_within("stuck_run", told.count or 0))


def _overdue_letter(now: datetime, whose: list[str] | None) -> Measure:
    """Messages and calls of journeys whose time has come and that nobody sends."""
    rows = OutboxMessage.objects.filter(
        state="PENDING", kind__in=OutboxMessage.OF_JOURNEYS, not_before__lte=now
    )
    rows = rows.exclude(medium="onsite").exclude(run__journey__state=Journey.State.PAUSED)
    return _aged("overdue_letter", _of(rows, "run__channel", whose), "not_before", now,
                 {"message": "pk", "run": "run_id", "journey": "run__journey__slug"})  # fmt: skip


def _unknown_letter(now: datetime, whose: list[str] | None) -> Measure:
    """Messages of the last day that perhaps arrived: a process died while it sent them."""
    rows = OutboxMessage.objects.filter(
        state="UNKNOWN",
        kind__in=OutboxMessage.OF_JOURNEYS,
        created_at__gt=now - UNKNOWN_TOLD_FOR,
    )
    rows = _of(rows, "run__channel", whose)
    told = _aged("unknown_letter", rows, "created_at", now, {"message": "pk", "run": "run_id"})
    return replace(told, age=None, fine=_within("unknown_letter", told.count or 0))


def _sends_held(now: datetime) -> Measure:
    """Messages of journeys that wait for staff after a leap of the clock."""
    found = journey_holding.held()
    count = 0 if found is None else max(found.count, 1)  # held is held, also where all expired
    return Measure(
        name="sends_held",
        count=count,
        age=None if found is None else max(now - found.since, timedelta(0)),
        fine=_within("sends_held", count),
    )


def _of(rows: QuerySet[Any], field_name: str, whose: list[str] | None) -> QuerySet[Any]:
    return rows if whose is None else rows.filter(**{f"{field_name}__in": whose})


def _aged(
    name: str, rows: QuerySet[Any], since: str, now: datetime, facts: Mapping[str, str]
) -> Measure:
    """Count rows, and tell the oldest: two statements, one where there is none."""
    told = rows.aggregate(count=Count("pk"), oldest=Min(since))
    if told["oldest"] is None:
        return Measure(name=name, count=told["count"], fine=True, facts=dict.fromkeys(facts))
    oldest = rows.order_by(since, "pk").values_list(*facts.values()).first()
    age = max(now - told["oldest"], timedelta(0))
    return Measure(
        name=name,
        count=told["count"],
        age=age,
        fine=_within(name, age),
        facts=dict(zip(facts, oldest or [None] * len(facts), strict=True)),
    )


def _within(name: str, value: timedelta | int) -> bool:
    limit = LIMITS[name]
    if isinstance(limit, timedelta):
        return isinstance(value, timedelta) and value <= limit
    return isinstance(value, int) and value <= limit


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return value
