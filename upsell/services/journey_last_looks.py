"""Before a message goes out or is shown: is there still a reason to write?"""

from __future__ import annotations

from datetime import datetime

from upsell import conf, snapshots
from upsell.engine.conditions import evaluate, facts_needed
from upsell.exceptions import NotFound
from upsell.models import JourneyRun
from upsell.services import facts, journey_plans
from upsell.services.journey_hearing import who_of

_STAYS_TRUE = frozenset(
    {"purchased", "returned", "order.cancelled", "order.refunded", "order.returned"}
)
"""Facts that an event makes true once and for all: its exit can be asked for without it."""


def why_left(run: JourneyRun, *, now: datetime) -> str:
    """Return why a run is over, as a reason to leave; empty where it goes on.

    What would end it is asked once more: an event may have been lost, or be on its way.

    Cost: one call of the shop where the run is about an order; the facts of its exits.
    """
    if run.deadline is not None and now >= run.deadline:
        return "exit:service_started"
    if run.order_ref:
        try:
            gone = snapshots.gone(conf.shop().order(run.order_ref))
        except NotFound:
            gone = "order_gone"
        if gone:
            return f"exit:{'starter_refunded' if gone == 'order_refunded' else gone}"
    plan = journey_plans.plan_of(run.version_id, compressed=run.compressed)
    for criterion in plan.exits:
        if criterion.where is None:
            continue
        names = {one.fact for one in facts_needed(criterion.where)}
        if not names <= _STAYS_TRUE:
            continue  # what it says may have been true before, without the event
        known = facts.gather(
            facts_needed(criterion.where),
            who=who_of(run),
            starter=run.starter,
            entered_at=run.entered_at,
            now=now,
        )
        if evaluate(criterion.where, known).matches:
            return f"exit:{criterion.id}"
    return ""
