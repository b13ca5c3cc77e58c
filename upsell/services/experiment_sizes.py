"""How many buyers an experiment needs, and until when it will take."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from django.db.models import Avg, Count, F, FloatField, Sum
from django.db.models.functions import Cast

from upsell import clock
from upsell.engine import stats
from upsell.engine.experiments import BUCKETS
from upsell.models import Arm, DailyMetric, Experiment, Exposure, OrderFact, Phase

PERIOD = timedelta(days=90)


def needed_per_arm(row: Experiment, arms: Sequence[Arm]) -> int | None:
    """Return buyers per arm that find the smallest difference in four of five experiments.

    For unequal weights that of the smaller arm's comparison with the control. None where nothing
    is known of how revenue varies: there are no orders in the mirror.
    """
    control = next((arm.weight for arm in arms if arm.slug == "control"), 0)
    treated = min((arm.weight for arm in arms if arm.slug != "control"), default=0)
    if not control or not treated:
        return None
    share = control / (control + treated)
    if row.metric == Experiment.Metric.ACCEPTANCE:
        if not 0 < row.base < 1:
            return None
        lift = float(row.smallest / row.base)
        size = stats.needed(float(row.base), lift, control_share=share)
    else:
        variance = revenue_variance(row.currency)
        if not variance:
            return None
        size = stats.needed_for_means(variance, float(row.smallest), control_share=share)
    return max(size.control, size.treated)


def revenue_variance(currency: str) -> float | None:
    """Return the variance of what one buyer spends in 90 days, from the mirror. One statement."""
    since = clock.now() - PERIOD
    buyers = (
        OrderFact.objects.filter(placed_at__gte=since, currency=currency, cancelled=False)
        .exclude(customer_key="")
        .order_by()
        .values("customer_key")
        .annotate(spent=Cast(Sum(F("net") - F("refunded_net")), FloatField()))
    )
    told = buyers.aggregate(
        n=Count("customer_key"), mean=Avg("spent"), squares=Avg(F("spent") * F("spent"))
    )
    if told["n"] < 2:
        return None
    spread = float(told["squares"]) - float(told["mean"]) ** 2
    return max(spread, 0.0) * int(told["n"]) / (int(told["n"]) - 1)


def expected_on(
    phase: Phase, arms: Sequence[Arm], *, needed: int | None, today: date
) -> date | None:
    """Return the day on which an experiment begun today would have enough buyers.

    As many come as its campaigns made offers in the last 14 days; where they made none, or a size
    is not known, there is no answer. One statement.
    """
    named = {arm.campaign_id for arm in arms if arm.campaign_id is not None}
    if needed is None or not named:
        return None
    rows = DailyMetric.objects.filter(campaign__in=named, day__gte=today - timedelta(days=14))
    made = rows.aggregate(n=Sum("eligible"))["n"] or 0
    smallest = min(arm.weight for arm in arms) / BUCKETS
    per_day = made / 14 * phase.traffic / BUCKETS * smallest
    return stats.enough_on(needed=needed, so_far=0, per_day=per_day, today=today)


def enough_on(row: Experiment, *, smallest_arm: int, today: date) -> date | None:
    """Return the day on which every arm will have enough buyers; none = it cannot be told yet.

    Args:
        row: A started experiment.
        smallest_arm: Buyers exposed so far in the arm that has fewest.
        today: From which to count.

    Cost: one statement: how many were exposed in the last 14 days.
    """
    if row.needed is None or row.started_at is None:
        return None
    days = min(max((today - row.started_at.date()).days, 1), 14)
    since = clock.now() - timedelta(days=days)
    phases = row.phases.filter(ended_at__isnull=True)
    rows = Exposure.objects.filter(phase__in=phases, at__gte=since, excluded=False)
    arms = max(Arm.objects.filter(phase__in=phases).count(), 1)
    return stats.enough_on(
        needed=row.needed,
        so_far=smallest_arm,
        per_day=rows.count() / arms / days,
        today=today,
    )
