"""How many went where in journeys. Counted from rows; ``channels`` limits to a staff's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.models import Count, QuerySet

from upsell import clock
from upsell.models import GoalHit, JourneyRun, StepLog
from upsell.models.journey import ACTIVE

Channels = frozenset[str] | None
"""Codes of sales channels; None = all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Runs of one journey."""

    active: int = 0
    ended: int = 0

    @property
    def entered(self) -> int:
        """All there ever were."""
        return self.active + self.ended


@dataclass(slots=True, kw_only=True)
class StepNumbers:
    """Runs that came to one step."""

    went_on: dict[str, int] = field(default_factory=dict)
    """By outcome."""
    there: int = 0
    """Active runs that stand there now."""
    ended: int = 0
    """Runs that ended there."""

    @property
    def entered(self) -> int:
        """All that came there."""
        return sum(self.went_on.values()) + self.there + self.ended


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalNumbers:
    """Runs that reached a goal, and of how many; the control group apart."""

    goal: str
    reached: int
    of: int
    control_reached: int
    control_of: int


def numbers_of(journeys: Collection[int], channels: Channels = None) -> Mapping[int, Numbers]:
    """Return journey to its runs, the control group included. One statement."""
    rows = _runs(channels).filter(journey__in=journeys).order_by()
    found: dict[int, Numbers] = {}
    counted: dict[int, dict[str, int]] = {}
    for journey, state, count in rows.values_list("journey", "state").annotate(Count("pk")):
        counted.setdefault(journey, {})[state] = count
    for journey, by_state in counted.items():
        active = sum(count for state, count in by_state.items() if state in ACTIVE)
        found[journey] = Numbers(active=active, ended=sum(by_state.values()) - active)
    return found


def there_now(journey: int, channels: Channels = None) -> Mapping[str, int]:
    """Return step to the active runs that stand there. One statement."""
    rows = _runs(channels).filter(journey=journey, state__in=ACTIVE).order_by()
    return dict(rows.values_list("step").annotate(Count("pk")))


def waiting_elsewhere(journey: int, version: int) -> Mapping[str, int]:
    """Return step to the waiting runs of other versions that stand there. One statement."""
    rows = JourneyRun.objects.filter(journey=journey, state="WAITING").exclude(version=version)
    counted = rows.order_by("step").values_list("step").annotate(Count("pk"))
    return dict(counted)


def steps_of(
    journey: int, channels: Channels = None, *, control: bool = False
) -> Mapping[str, StepNumbers]:
    """Return step to what became of those who came there. Two statements.

    Args:
        journey: Its key.
        channels: Of the runs.
        control: Of the control group instead of those who are written to.
    """
    found: dict[str, StepNumbers] = {}
    runs = _runs(channels).filter(journey=journey, is_control=control)
    log = StepLog.objects.filter(run__in=runs.values("pk")).order_by()
    for step, outcome, count in log.values_list("step", "outcome").annotate(Count("pk")):
        found.setdefault(step, StepNumbers()).went_on[outcome] = count
    for step, state, count in runs.order_by().values_list("step", "state").annotate(Count("pk")):
        numbers = found.setdefault(step, StepNumbers())
        if state in ACTIVE:
            numbers.there += count
        else:
            numbers.ended += count
    return found


def goals_of(journey: int, goals: Collection[str], channels: Channels = None) -> list[GoalNumbers]:
    """Return the goals of a journey with how many reached them, in their order. Two statements.

    A run that reaches a goal twice is counted once.
    """
    runs = _runs(channels).filter(journey=journey)
    of = dict(runs.order_by().values_list("is_control").annotate(Count("pk")))
    hits = GoalHit.objects.filter(run__in=runs.values("pk")).order_by()
    reached = {
        (goal, control): count
        for goal, control, count in hits.values_list("goal", "run__is_control").annotate(
            Count("run", distinct=True)
        )
    }
    return [
        GoalNumbers(
            goal=goal,
            reached=reached.get((goal, False), 0),
            of=of.get(False, 0),
            control_reached=reached.get((goal, True), 0),
            control_of=of.get(True, 0),
        )
        for goal in goals
    ]


def _runs(channels: Channels) -> QuerySet[JourneyRun]:
    rows = JourneyRun.objects.all()
    return rows if channels is None else rows.filter(channel__in=sorted(channels))


_DUE = """
SELECT EXISTS (SELECT 1 FROM upsell_journeyrun WHERE state = 'WAITING' AND due_at <= {now})
    OR EXISTS (SELECT 1 FROM upsell_journeyrun WHERE state = 'RUNNING' AND lease_until <= {now})
"""
_TIMES = {"postgresql": "statement_timestamp()", "mysql": "UTC_TIMESTAMP(6)"}
"""The time of the database as an index takes it: one for the whole statement."""


def any_due(now: datetime | None = None) -> bool:
    """Return whether a run is due, or was left behind by a process that died.

    One statement by two indexes, however many wait, with the database's own time where none is
    given. It is written out since every idle worker asks it every few seconds: putting it together
    costs ten times what running it does.
    """
    time = None if now else _TIMES.get(connection.vendor)
    if time and not getattr(settings, "UPSELL_CLOCK", None):
        statement, values = _DUE.format(now=time), []
    else:
        told = connection.ops.adapt_datetimefield_value(now or clock.database_now())
        statement, values = _DUE.format(now="%s"), [told, told]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
    return bool(row and row[0])
