"""What came of an experiment: SQL counts and adds up, the engine compares.

Buyers who were left out count nowhere but in their own number. Money counts for buyers whose
outcome window is over, so that every one of them had the same time; acceptance counts for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat

from upsell import conf
from upsell.engine import readings
from upsell.engine.aggregates import Pairs, Sums
from upsell.engine.metrics import OUTCOME
from upsell.engine.readings import ArmCounts, Money, PhaseReading, Plan, StoredLook
from upsell.engine.stats import Look as Standing
from upsell.exceptions import MissingExtra
from upsell.models import Experiment, Exposure, KeyLink, Look, Offer, OrderFact, Phase
from upsell.queries import Buyers, Spending, spending_of
from upsell.services import experiment_sizes
from upsell.services.metrics import TAKEN

if TYPE_CHECKING:
    from upsell.engine.inference import Inference

EARLIER = timedelta(days=90)
"""Before a buyer counts: what was spent then explains part of what is spent later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseResults:
    """One phase, read by itself."""

    number: int
    started_at: datetime | None
    ended_at: datetime | None
    traffic: int
    """Ten-thousandths of the buyers."""
    reading: PhaseReading


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentResults:
    """Everything that may be read of an experiment now."""

    phases: tuple[PhaseResults, ...]
    """The latest first; none before the start."""
    enough_on: date | None = None
    """The day on which there will be enough buyers; none = it cannot be told."""
    counted: int = 0
    """Buyers whom the primary metric counts now, in the arm that has fewest."""
    missing: str = ""
    """What has to be installed for the rest; empty = nothing."""
    mirrored: bool = True
    """Whether there are orders to count money from."""
    fresh: bool = False
    """Whether buyers count whose outcome window is not over."""


def results_of(*, experiment_id: int, now: datetime, fresh: bool = False) -> ExperimentResults:
    """Return what may be read of an experiment, phase by phase.

    Args:
        experiment_id: Which.
        now: The time it is read at.
        fresh: Count money of buyers, too, whose outcome window is not over. What they will have
            spent by its end is not known yet; the primary metric and its looks never count them.

    Cost: some six statements a phase, however many buyers there are.
    """
    row = Experiment.objects.get(pk=experiment_id)
    inference, missing = _inference()
    mirrored = OrderFact.objects.exists()
    phases = row.phases.filter(started_at__isnull=False).order_by("-number")
    found = [
        _phase(row, phase, inference, now=now, fresh=fresh, mirrored=mirrored) for phase in phases
    ]
    counted = 0
    enough = None
    if found:
        counted = readings.counted(plan_of(row, phases[0]), found[0].reading.arms)
        fewest = min(arm.exposed for arm in found[0].reading.arms)
        enough = experiment_sizes.enough_on(row, smallest_arm=fewest, today=now.date())
        if enough is not None and row.metric == Experiment.Metric.REVENUE:
            enough += OUTCOME
    return ExperimentResults(
        phases=tuple(found),
        enough_on=enough,
        counted=counted,
        missing=missing,
        mirrored=mirrored,
        fresh=fresh,
    )


def plan_of(row: Experiment, phase: Phase) -> Plan:
    """Return what was fixed before a phase. One statement."""
    control = phase.arms.filter(slug=readings.CONTROL).first()
    return Plan(
        metric=row.metric,
        reading=row.reading,
        smallest=float(row.smallest),
        needed=row.needed,
        control_offers=control is not None and control.campaign_id is not None,
        ended=phase.ended_at is not None,
    )


def counts_of(
    row: Experiment, phase: Phase, *, now: datetime, until: datetime | None = None
) -> list[ArmCounts]:
    """Return the counts and sums of a phase's arms, in no order. Four statements.

    Args:
        row: The experiment.
        phase: One of its phases.
        now: Whoever was exposed less than the outcome window ago is younger.
        until: Money counts for who was exposed by then. None = whose outcome window is over.
    """
    weights = dict(phase.arms.values_list("slug", "weight"))
    mature = now - OUTCOME
    last = mature if until is None else until
    told = {str(one["arm"]): one for one in _exposed(row, phase, mature=mature, last=last)}
    units = sum(one["counted"] for one in told.values())
    money = _money(row, phase, last=last, units=units)
    return [
        ArmCounts(
            arm=slug,
            weight=weight,
            exposed=told[slug]["exposed"] if slug in told else 0,
            accepted=told[slug]["accepted"] if slug in told else 0,
            younger=told[slug]["younger"] if slug in told else 0,
            excluded=told[slug]["excluded_"] if slug in told else 0,
            money=money.get(slug),
        )
        for slug, weight in weights.items()
    ]


def exposed_so_far(experiment_ids: Sequence[int]) -> Mapping[int, int]:
    """Return how many buyers count in the present phase of each experiment. One statement."""
    rows = Exposure.objects.filter(
        experiment__in=experiment_ids, excluded=False, phase__started_at__isnull=False
    ).filter(Q(phase__ended_at__isnull=True) | Q(phase__ended_at=F("experiment__ended_at")))
    return dict(rows.order_by().values_list("experiment").annotate(n=Count("pk")))


def _inference() -> tuple[Inference | None, str]:
    try:
        return conf.inference(), ""
    except MissingExtra as error:
        return None, str(error)


def _phase(
    row: Experiment,
    phase: Phase,
    inference: Inference | None,
    *,
    now: datetime,
    fresh: bool,
    mirrored: bool,
) -> PhaseResults:
    plan = plan_of(row, phase)
    arms = counts_of(row, phase, now=now)
    if not mirrored:
        arms = [replace(arm, money=None) for arm in arms]
    reading = readings.read(plan, arms, _looks(phase), inference)
    if fresh and mirrored and not (reading.locked or reading.is_broken):
        younger = readings.read(
            plan, counts_of(row, phase, now=now, until=now), _looks(phase), inference
        )
        # The answers stay: whoever looks twice must not choose between two of them.
        reading = replace(younger, answers=reading.answers, steps=reading.steps)
    return PhaseResults(
        number=phase.number,
        started_at=phase.started_at,
        ended_at=phase.ended_at,
        traffic=phase.traffic,
        reading=reading,
    )


def _looks(phase: Phase) -> list[StoredLook]:
    return [
        StoredLook(
            arm=row.arm,
            key=row.key,
            at=row.at,
            look=Standing(difference=row.difference, variance=row.variance),
        )
        for row in Look.objects.filter(phase=phase).order_by("at", "pk")
    ]


def _exposed(
    row: Experiment, phase: Phase, *, mature: datetime, last: datetime
) -> QuerySet[Any, Any]:
    kept = Q(excluded=False)
    rows = Exposure.objects.filter(phase=phase).annotate(took=_accepted(row, phase)).order_by()
    return rows.values("arm").annotate(
        exposed=Count("pk", filter=kept),
        accepted=Count("pk", filter=kept & Q(took=True)),
        younger=Count("pk", filter=kept & Q(at__gt=mature)),
        counted=Count("pk", filter=kept & Q(at__lte=last)),
        excluded_=Count("pk", filter=Q(excluded=True)),
    )


def _accepted(row: Experiment, phase: Phase) -> Any:
    """Whether a buyer accepted an offer of their arm, under any of their keys."""
    within = {"created_at__gte": phase.started_at}
    if phase.ended_at is not None:
        within["created_at__lt"] = phase.ended_at
    offers = Offer.objects.filter(state__in=TAKEN, trial=False, **within)
    label = Value(f"{row.slug}/")
    own = offers.filter(
        customer_key=OuterRef("unit"),
        arm=Concat(label, OuterRef("arm")),
        responded_at__gte=OuterRef("at"),
    )
    # From the keys to the offers: most buyers have one key, and are done after one look.
    linked = offers.filter(
        customer_key=OuterRef("new"),
        arm=Concat(label, OuterRef(OuterRef("arm"))),
        responded_at__gte=OuterRef(OuterRef("at")),
    )
    keys = KeyLink.objects.filter(Exists(linked), old=OuterRef("unit"))
    return Exists(own) | Exists(keys)


def _money(row: Experiment, phase: Phase, *, last: datetime, units: int) -> Mapping[str, Money]:
    if not row.currency or not units:
        return {}
    buyers = Buyers(
        phase_id=phase.pk,
        currency=row.currency,
        until=last,
        outcome_days=OUTCOME.days,
        earlier_days=EARLIER.days,
    )
    # The 99.9th percentile by nearest rank: so many buyers spent more.
    return {one.arm: _of(one) for one in spending_of(buyers, leave=units // 1000)}


def _of(one: Spending) -> Money:
    return Money(
        spent_and_orders=Pairs(
            n=one.n,
            first=one.spent,
            first_squares=one.spent_squares,
            second=one.orders,
            second_squares=one.orders_squares,
            cross=one.spent_orders,
        ),
        spent_and_earlier=Pairs(
            n=one.n,
            first=one.spent,
            first_squares=one.spent_squares,
            second=one.earlier,
            second_squares=one.earlier_squares,
            cross=one.spent_earlier,
        ),
        capped=Sums(n=one.n, total=one.capped, squares=one.capped_squares),
        refunded=one.refunded,
    )


def by_arm(arms: Iterable[ArmCounts]) -> Mapping[str, ArmCounts]:
    """Return arms by their slugs."""
    return {arm.arm: arm for arm in arms}
