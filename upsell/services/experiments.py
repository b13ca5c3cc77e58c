"""Experiments written: drafted, started, grown, led into a new phase, stopped.

While one runs nothing of it changes but its traffic, and that only grows: whoever was in stays in
the same arm. Every other change is a new phase, which is read by itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from upsell import clock
from upsell.engine.experiments import BUCKETS
from upsell.models import Arm, Campaign, Experiment, Phase
from upsell.models.versioned import bump
from upsell.services import experiment_sizes
from upsell.services.campaigns import by_field
from upsell.services.experiment_checks import CONTROL, findings

__all__ = [
    "CONTROL",
    "archive",
    "arms_of",
    "delete",
    "grow",
    "new_phase",
    "save_draft",
    "start",
    "stop",
]

FIELDS = ("name", "question", "moment", "metric", "reading", "base", "smallest", "currency")


def save_draft(
    *,
    user: Any = None,
    slug: str,
    arms: Sequence[Mapping[str, Any]] | None = None,
    traffic: int | None = None,
    **fields: Any,
) -> Experiment:
    """Create the experiment of this slug, or change it while it is a draft.

    Args:
        user: Who did it; none = the system.
        slug: Which experiment.
        arms: Rows of ``slug``, ``weight`` (ten-thousandths), ``campaign`` (its key, or none) and
            ``overrides``; they replace the ones there.
        traffic: Ten-thousandths of the buyers that take part.
        **fields: Of the model; amounts and shares as strings or Decimals.

    Raises:
        ValidationError: By field, ``arms`` and ``traffic`` among them; nothing was written. A
            draft may have arms that are not whole yet: only a start asks for all of it.
    """
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        raise ValidationError(_("An experiment has no %s.") % ", ".join(unknown))
    with transaction.atomic():
        row: Experiment | None = Experiment.objects.select_for_update().filter(slug=slug).first()
        if row is None:
            row = Experiment(slug=slug, salt=_salt(slug), created_at=clock.now())
            row.created_by = user if user is not None and getattr(user, "pk", None) else None
        elif row.state != Experiment.State.DRAFT:
            raise ValidationError(_fixed())
        for name, value in fields.items():
            setattr(row, name, _exact(name, value))
        row.clean_fields()
        row.save()
        phase, _made = Phase.objects.get_or_create(experiment=row, number=1)
        if traffic is not None:
            phase.traffic = _traffic(traffic)
            phase.save()
        if arms is not None:
            _write_arms(phase, arms)
    return row


def start(*, experiment_id: int, now: datetime | None = None) -> Experiment:
    """Begin a draft: from this edit on buyers are in its arms. Twice is the same as once.

    Raises:
        ValidationError: By field: what is missing or wrong, or that a campaign is in another
            running experiment.
    """
    told = now or clock.database_now()
    with transaction.atomic():
        # First of all: whoever starts another one waits here, and then sees this one.
        bump()
        row: Experiment = Experiment.objects.select_for_update().get(pk=experiment_id)
        if row.state == Experiment.State.RUNNING:
            return row
        if row.state != Experiment.State.DRAFT:
            raise ValidationError(_("It has ended. Copy it to ask the same question again."))
        phase = row.phases.get(number=1)
        arms = list(phase.arms.order_by("pk"))
        _refuse(row, phase, arms)
        row.state, row.started_at = Experiment.State.RUNNING, told
        row.needed = experiment_sizes.needed_per_arm(row, arms)
        row.save()
        phase.started_at = told
        phase.save()
    return row


def grow(*, experiment_id: int, traffic: int) -> Phase:
    """Let more buyers take part: all who were in stay in, in the same arm.

    Raises:
        ValidationError: It does not run, or the traffic would shrink.
    """
    with transaction.atomic():
        phase = _running_phase(experiment_id)
        if _traffic(traffic) < phase.traffic:
            raise ValidationError(
                {"traffic": _("Traffic only grows within a phase, and is %s %% now. "
                              "Begin a new phase to let fewer take part.")
                 % format((Decimal(phase.traffic) / 100).normalize(), "f")}
            )  # fmt: skip
        phase.traffic = traffic
        phase.save()
    return phase


def new_phase(
    *,
    experiment_id: int,
    arms: Sequence[Mapping[str, Any]],
    traffic: int,
    now: datetime | None = None,
) -> Phase:
    """End the present phase and begin the next, with other weights or arms; read by itself.

    Raises:
        ValidationError: It does not run, or something about the arms is wrong.
    """
    told = now or clock.database_now()
    with transaction.atomic():
        bump()
        before = _running_phase(experiment_id)
        before.ended_at = told
        before.save()
        phase = Phase.objects.create(
            experiment=before.experiment,
            number=before.number + 1,
            traffic=_traffic(traffic),
            started_at=told,
        )
        _write_arms(phase, arms)
        _refuse(before.experiment, phase, list(phase.arms.order_by("pk")))
    return phase


def stop(*, experiment_id: int, now: datetime | None = None) -> Experiment:
    """End an experiment: from this edit on all buyers are offered campaigns as they stand.

    Twice is the same as once. What was measured stays.

    Raises:
        ValidationError: It was never started.
    """
    told = now or clock.database_now()
    with transaction.atomic():
        row: Experiment = Experiment.objects.select_for_update().get(pk=experiment_id)
        if row.state == Experiment.State.ENDED:
            return row
        if row.state != Experiment.State.RUNNING:
            raise ValidationError(_("It was never started: there is nothing to stop."))
        row.state, row.ended_at = Experiment.State.ENDED, told
        row.save()
        for phase in row.phases.filter(ended_at__isnull=True):
            phase.ended_at = told
            phase.save()
    return row


def archive(*, experiment_id: int, archived: bool = True) -> None:
    """Take an experiment off the list, or put it back; its results stay.

    Raises:
        ValidationError: It runs.
    """
    with transaction.atomic():
        row: Experiment = Experiment.objects.select_for_update().get(pk=experiment_id)
        if row.state == Experiment.State.RUNNING:
            raise ValidationError(_("It is running. Stop it first."))
        row.archived = archived
        row.save()


def delete(*, experiment_id: int) -> None:
    """Remove a draft.

    Raises:
        ValidationError: It was started once: who was in which arm is kept. Archive it instead.
    """
    with transaction.atomic():
        row: Experiment = Experiment.objects.select_for_update().get(pk=experiment_id)
        if row.state != Experiment.State.DRAFT:
            raise ValidationError(
                _("It has a history, which is kept. Archive it instead, and it leaves the list.")
            )
        row.delete()


def arms_of(phase: Phase) -> list[dict[str, Any]]:
    """Return a phase's arms as ``save_draft`` and ``new_phase`` take them."""
    return [
        {
            "slug": arm.slug,
            "weight": arm.weight,
            "campaign": arm.campaign_id,
            "overrides": arm.overrides,
        }
        for arm in phase.arms.order_by("pk")
    ]


def _running_phase(experiment_id: int) -> Phase:
    row: Experiment = Experiment.objects.select_for_update().get(pk=experiment_id)
    phase: Phase | None = row.phases.filter(started_at__isnull=False, ended_at__isnull=True).first()
    if row.state != Experiment.State.RUNNING or phase is None:
        raise ValidationError(_("It is not running."))
    return phase


def _refuse(row: Experiment, phase: Phase, arms: Sequence[Arm]) -> None:
    errors, _warnings = findings(row, phase, arms)
    if errors:
        raise ValidationError(by_field(errors))


def _write_arms(phase: Phase, arms: Sequence[Mapping[str, Any]]) -> None:
    rows = []
    for arm in arms:
        key = arm.get("campaign")
        if key is not None and not Campaign.objects.filter(pk=key).exists():
            raise ValidationError({"arms": _("There is no such campaign.")})
        row = Arm(
            phase=phase,
            slug=str(arm.get("slug", "")),
            weight=_weight(arm.get("weight")),
            campaign_id=key,
            overrides=dict(arm.get("overrides") or {}),
        )
        try:
            row.clean_fields(exclude={"phase"})
        except ValidationError as error:
            raise ValidationError({"arms": error.messages}) from error
        rows.append(row)
    if len({row.slug for row in rows}) != len(rows):
        raise ValidationError({"arms": _("Two arms have the same name.")})
    phase.arms.all().delete()
    Arm.objects.bulk_create(rows)


def _weight(value: Any) -> int:
    if not isinstance(value, int) or not 1 <= value <= BUCKETS:
        raise ValidationError({"arms": _("An arm takes between 0.01 and 100 % of the buyers.")})
    return value


def _traffic(value: int) -> int:
    if not 1 <= value <= BUCKETS:
        raise ValidationError({"traffic": _("Between 0.01 and 100 % of the buyers take part.")})
    return value


def _exact(name: str, value: Any) -> Any:
    if isinstance(value, float):
        raise TypeError(f"{name} is a string or a Decimal, and is {value!r}")
    return Decimal(value) if name in {"base", "smallest"} and isinstance(value, str) else value


def _salt(slug: str) -> str:
    """Return a salt that nobody else has: the same slug twice would give the same split."""
    return f"{slug}-{secrets.token_hex(4)}"


def _fixed() -> str:
    return _(
        "It was started, so nothing of it changes any more: buyers are in its arms. "
        "Begin a new phase, which is read by itself."
    )
