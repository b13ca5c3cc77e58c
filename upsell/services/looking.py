"""Looks at running experiments, written as they are due: what was seen cannot be unseen."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from upsell import clock
from upsell.engine import readings
from upsell.engine.stats import OBRIEN_FLEMING
from upsell.models import Experiment, Look, Phase
from upsell.services import experiment_results, pacing

logger = logging.getLogger("upsell")

NAME = "looks"
EVERY = timedelta(hours=1)
_DUE = [Experiment.Reading.ANY_DAY, Experiment.Reading.FOUR_LOOKS]


def look_due() -> int:
    """Write the looks that are due; return how many. Once an hour at most.

    One statement where no experiment is read while it runs. Twice is the same as once, and two
    at a time write each look once.
    """
    phases = Phase.objects.filter(
        experiment__state=Experiment.State.RUNNING,
        experiment__reading__in=_DUE,
        started_at__isnull=False,
        ended_at__isnull=True,
    )
    running = list(phases.select_related("experiment").order_by("pk"))
    if not running:
        return 0
    now, done = clock.database_now(), 0
    if not pacing.claimed(NAME, every=EVERY, now=now):
        return 0
    for phase in running:
        try:
            with transaction.atomic():
                done += look(phase, now=now)
        except Exception:
            # The other experiments, and what waits behind us, are no worse for it.
            logger.exception("experiment %s could not be looked at", phase.experiment_id)
    return done


def look(phase: Phase, *, now: datetime) -> int:
    """Write how each arm of a phase stands, where a look is due that was not made.

    Any day: one a day, a day being one of ``TIME_ZONE``. Four looks: the latest quarter that
    every arm has passed; one that was passed over is not made up for.
    """
    row = phase.experiment
    key = ""
    if row.reading == Experiment.Reading.ANY_DAY:
        key = timezone.localtime(now, timezone.get_default_timezone()).date().isoformat()
        if Look.objects.filter(phase=phase, key=key).exists():
            return 0
    elif not row.needed:
        return 0
    plan = experiment_results.plan_of(row, phase)
    arms = experiment_results.counts_of(row, phase, now=now)
    if not key and row.needed:
        steps = len(OBRIEN_FLEMING)
        quarter = min(steps * readings.counted(plan, arms) // row.needed, steps)
        made = Look.objects.filter(phase=phase).order_by("-key").values_list("key", flat=True)
        if quarter <= int(made.first() or 0):
            return 0
        key = str(quarter)
    by_arm = experiment_results.by_arm(arms)
    control = by_arm[readings.CONTROL]
    found = {
        slug: readings.look_at(plan, control, arm)
        for slug, arm in by_arm.items()
        if slug != readings.CONTROL
    }
    rows = [
        Look(
            phase=phase,
            arm=slug,
            key=key,
            at=now,
            difference=seen.difference,
            variance=seen.variance,
        )
        for slug, seen in found.items()
        if seen is not None
    ]
    Look.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)
