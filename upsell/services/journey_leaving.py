"""A run is over: said once, whoever says it, with all that hangs on it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from upsell.models import JourneyRun, Listener, OutboxMessage
from upsell.models.journey import ACTIVE
from upsell.services import journey_plans

GOAL_WINDOW = timedelta(days=5)
"""After the last message, where a goal does not say."""


def leave(
    runs: QuerySet[JourneyRun] | Iterable[int],
    *,
    state: str,
    reason: str,
    now: datetime,
) -> int:
    """End active runs in the caller's transaction; return how many were still active.

    What they listened for to leave or go on is forgotten, goals count on for their windows, and
    messages that are not being sent are cancelled.

    Args:
        runs: Rows, or their ids.
        state: COMPLETED, EXITED, DROPPED or CANCELLED.
        reason: One of the documented end reasons, such as ``exit:order_cancelled``.
    """
    rows = runs if isinstance(runs, QuerySet) else JourneyRun.objects.filter(pk__in=list(runs))
    found = list(rows.filter(state__in=ACTIVE).select_for_update().order_by("pk"))
    if not found:
        return 0
    ids = [run.pk for run in found]
    JourneyRun.objects.filter(pk__in=ids).update(
        state=state,
        end_reason=reason[:80],
        ended_at=now,
        active_key=None,
        due_at=None,
        waiting_for="",
        lease_until=None,
        lease_token="",
    )
    after_end(found, reason=reason, now=now)
    return len(ids)


def after_end(runs: Iterable[JourneyRun], *, reason: str, now: datetime) -> None:
    """Do what follows from runs that were just ended, however that was written."""
    runs = list(runs)
    ids = [run.pk for run in runs]
    Listener.objects.filter(run__in=ids).filter(~Q(purpose="GOAL")).delete()
    for version in {run.version_id for run in runs}:
        until = now + _longest_window(version)
        Listener.objects.filter(
            run__in=[run.pk for run in runs if run.version_id == version]
        ).update(until=until)
    OutboxMessage.objects.filter(run__in=ids, state="PENDING").update(
        state="CANCELLED", reason=reason[:190], lease_until=None, reserved_at=None
    )


def _longest_window(version_id: int) -> timedelta:
    try:
        goals = journey_plans.plan_of(version_id).goals
    except LookupError:
        return GOAL_WINDOW
    return max((goal.within or GOAL_WINDOW for goal in goals), default=GOAL_WINDOW)
