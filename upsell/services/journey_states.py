"""What staff do to a journey and its runs: each refuses what makes no sense, and says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from upsell import clock, snapshots
from upsell.engine.journeys.advance import Position
from upsell.engine.journeys.definition import Definition
from upsell.exceptions import UpsellError
from upsell.models import (
    Journey,
    JourneyRun,
    JourneyVersion,
    Listener,
    OutboxMessage,
    StepLog,
)
from upsell.models.versioned import bump
from upsell.services import (
    journey_entering,
    journey_leaving,
    journey_plans,
    journey_publishing,
)


class NotNow(UpsellError):
    """What was asked for cannot be done as the journey or the run stands; says why."""


def go_live(journey: Journey, *, user: Any = None, now: datetime | None = None) -> JourneyVersion:
    """Publish the draft, and let buyers enter from now on.

    Raises:
        journey_publishing.JourneyFaults: The draft has faults.
        NotNow: It is stopped for good, or is for no sales channel.
    """
    told = now or clock.database_now()
    if not journey.channels:
        raise NotNow("choose a sales channel first: a journey for none is nowhere")
    with transaction.atomic():
        row = _locked(journey)
        if row.state == Journey.State.STOPPED:
            raise NotNow("it was stopped for good: copy it, and publish the copy")
        version = journey_publishing.publish(row, user=user, now=told)
        if row.state == Journey.State.DRAFT:
            row.state = Journey.State.LIVE
            row.live_since = row.live_since or told
            row.save(update_fields=["state", "live_since"])
        bump()  # every process learns that there is a journey that listens
    snapshots.look_for_journeys()
    journey.refresh_from_db()
    return version


def pause(journey: Journey, *, now: datetime | None = None) -> None:
    """Let nobody enter and nobody move. Exits still happen."""
    _change(journey, {"LIVE"}, "PAUSED", paused_at=now or clock.database_now())


def resume(journey: Journey, how: str = "run_now", *, now: datetime | None = None) -> int:
    """Go on after a pause; return how many runs were touched.

    Args:
        how: ``run_now``: what became due meanwhile is due now. ``shift``: the pause is added to
            every wait. ``drop_stale``: runs that became due meanwhile end.
    """
    if how not in {"run_now", "shift", "drop_stale"}:
        raise ValueError(f"wanted is run_now, shift or drop_stale, and there was {how!r}")
    told = now or clock.database_now()
    with transaction.atomic():
        row = _locked(journey)
        if row.state != Journey.State.PAUSED or row.paused_at is None:
            raise NotNow(f"it is {row.get_state_display()}, and not paused")
        waiting = JourneyRun.objects.filter(journey=row, state="WAITING", due_at__isnull=False)
        touched = 0
        if how == "shift":
            paused_for = told - row.paused_at
            touched = waiting.update(due_at=F("due_at") + paused_for, since=F("since") + paused_for)
        elif how == "drop_stale":
            touched = journey_leaving.leave(
                waiting.filter(due_at__lte=told), state="DROPPED", reason="stale", now=told
            )
        row.state, row.paused_at = Journey.State.LIVE, None
        row.save(update_fields=["state", "paused_at"])
    journey.refresh_from_db()
    return touched


def sunset(journey: Journey, *, now: datetime | None = None) -> None:
    """Let nobody enter any more; who is in it goes on to the end."""
    _change(journey, {"LIVE"}, "SUNSET")


def stop(journey: Journey, *, now: datetime | None = None) -> int:
    """End every run and cancel what was not sent yet; return how many runs that were. For good."""
    told = now or clock.database_now()
    with transaction.atomic():
        row = _locked(journey)
        if row.state == Journey.State.STOPPED:
            return 0
        row.state = Journey.State.STOPPED
        row.save(update_fields=["state"])
        ended = journey_leaving.leave(
            JourneyRun.objects.filter(journey=row),
            state="CANCELLED",
            reason="journey_stopped",
            now=told,
        )
    journey.refresh_from_db()
    return ended


def move_runs(
    journey: Journey,
    *,
    to: JourneyVersion,
    steps: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> int:
    """Move waiting runs of other versions to one; return how many.

    What a run leaves for, and what it is for, is the new version's from then on. A message of a
    step that is another now, and was not sent yet, is cancelled.

    Args:
        steps: Old step to new one; the same name where nothing is said.

    Raises:
        NotNow: A run stands at a step that the version does not have; says which, and how many.
    """
    told = now or clock.database_now()
    plan = journey_plans.plan_of(to.pk)
    names = dict(steps or {})
    with transaction.atomic():
        rows = list(
            JourneyRun.objects.select_for_update()
            .filter(journey=journey, state="WAITING")
            .exclude(version=to)
            .order_by("pk")
        )
        lost: dict[str, int] = {}
        for run in rows:
            target = names.get(run.step, run.step)
            if target not in plan.steps:
                lost[run.step] = lost.get(run.step, 0) + 1
        if lost:
            where = ", ".join(f"“{name}” ({count})" for name, count in sorted(lost.items()))
            raise NotNow(f"runs stand at steps that the new version does not have: {where}")
        renamed = {run.pk: run.step for run in rows if run.step != names.get(run.step, run.step)}
        for run in rows:
            _move(run, to=to, plan=plan, names=names, now=told)
        _listen_anew(rows, plan)
        for pk, step in renamed.items():
            OutboxMessage.objects.filter(run=pk, step=step, state="PENDING").update(
                state="CANCELLED", reason="moved", lease_until=None, reserved_at=None
            )
    return len(rows)


def _move(
    run: JourneyRun,
    *,
    to: JourneyVersion,
    plan: Definition,
    names: Mapping[str, str],
    now: datetime,
) -> None:
    run.version = to
    run.step = names.get(run.step, run.step)
    if run.settled not in plan.steps[run.step].to:
        run.settled = ""
    answers = run.found.get("webhook")
    if answers:
        told = {names.get(step, step): answer for step, answer in answers.items()}
        run.found = {**run.found, "webhook": told}
    # Looked at again: a wait that is shorter now ends, and none fires before now.
    run.due_at = max(run.since, now) if run.due_at is not None else None
    run.waiting_for = ""
    run.save(update_fields=["version", "step", "settled", "found", "due_at", "waiting_for"])


def _listen_anew(runs: Sequence[JourneyRun], plan: Definition) -> None:
    Listener.objects.filter(run__in=[run.pk for run in runs]).delete()
    Listener.objects.bulk_create(
        one for run in runs for one in journey_entering.listeners_of(run, plan)
    )


# ------------------------------------------------------------------ one run that is stuck


def retry(run: JourneyRun, *, now: datetime | None = None) -> None:
    """Try a stuck run's step again."""
    told = now or clock.database_now()
    done = JourneyRun.objects.filter(pk=run.pk, state="STUCK").update(
        state="WAITING", due_at=told, tries=0, error=""
    )
    if not done:
        raise NotNow("it is not stuck any more")


def skip(run: JourneyRun, *, outcome: str = "", now: datetime | None = None) -> None:
    """Leave a stuck run's step out, and go on by its outcome; the first one where none is given."""
    told = now or clock.database_now()
    with transaction.atomic():
        row = JourneyRun.objects.select_for_update().filter(pk=run.pk, state="STUCK").first()
        if row is None:
            raise NotNow("it is not stuck any more")
        plan = journey_plans.plan_of(row.version_id, compressed=row.compressed)
        step = plan.steps[row.step]
        chosen = outcome or next(iter(step.to), "")
        if chosen not in step.to:
            raise NotNow(f"“{row.step}” is the last step: end the run instead")
        row.seq += 1
        StepLog.objects.create(
            run=row, seq=row.seq, step=step.id, kind=step.kind.value, outcome=chosen,
            reason="left out by staff", at=told,
        )  # fmt: skip
        position = Position(step=step.to[chosen], since=told)
        row.step, row.since, row.settled = position.step, position.since, ""
        row.state, row.due_at, row.tries, row.error = "WAITING", told, 0, ""
        row.save()


def end(run: JourneyRun, *, now: datetime | None = None) -> None:
    """End a run, whatever it waits for."""
    told = now or clock.database_now()
    with transaction.atomic():
        if not journey_leaving.leave([run.pk], state="CANCELLED", reason="staff", now=told):
            raise NotNow("it is over already")


def _locked(journey: Journey) -> Journey:
    row: Journey = Journey.objects.select_for_update().get(pk=journey.pk)
    return row


def _change(journey: Journey, before: set[str], after: str, **values: Any) -> None:
    if not Journey.objects.filter(pk=journey.pk, state__in=before).update(state=after, **values):
        journey.refresh_from_db()
        raise NotNow(f"it is {journey.get_state_display()}: that cannot be done now")
    journey.refresh_from_db()
