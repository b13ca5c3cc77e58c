"""From the end of one journey into another, by the other's own rules of entry."""

from __future__ import annotations

from datetime import datetime

from upsell.models import EventInbox, Journey, JourneyRun
from upsell.services import journey_entering, journey_plans
from upsell.services.journey_entering import Candidate


def go(run: JourneyRun, slug: str, *, now: datetime) -> bool:
    """Enter a run's buyer into another journey, with the event that the run began with.

    In the caller's transaction. Its condition is not asked again: the step says who goes.
    """
    journey = Journey.objects.filter(slug=slug, version__isnull=False).first()
    if journey is None or journey.state not in {Journey.State.LIVE, Journey.State.PAUSED}:
        return False
    row = EventInbox(
        source=EventInbox.Source.OURS,
        event_id=f"goto:{run.pk}:{run.step}",
        name=journey.event,
        customer_key=run.customer_key,
        order_ref=run.order_ref,
        parameters=run.starter.get("parameters", {}),
        occurred_at=now,
        received_at=now,
    )
    compressed = journey.compressed and journey.mode == Journey.Mode.TEST
    candidate = Candidate(
        journey=journey,
        plan=journey_plans.plan_of(journey.version_id or 0, compressed=compressed),
        matches=True,
        because="",
        time_zone=run.time_zone,
    )
    return bool(journey_entering.enter(row, [candidate], now=now))
