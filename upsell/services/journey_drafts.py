"""Drafts of journeys: written as staff leave them, faults included, and read for what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from upsell.engine.journeys.definition import Definition, Fault
from upsell.engine.journeys.draft import StepDraft, leads_to, steps_of
from upsell.engine.journeys.reading import read
from upsell.models import Journey, JourneyRun, JourneyStep, JourneyVersion
from upsell.services import facts
from upsell.services.journey_publishing import checked, document_of, without_segments


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a draft comes to."""

    document: Mapping[str, object]
    plan: Definition | None
    """None where its steps make no way through."""
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]


def look_at(journey: Journey, steps: Sequence[StepDraft] | None = None) -> Look:
    """Read a draft, stored or not yet, and say what forbids publishing it and what is unwise.

    Args:
        journey: Its row; it need not be saved where ``steps`` are given.
        steps: Instead of the stored ones.
    """
    rows = rows_of(journey) if steps is None else steps
    document = document_of(journey, rows)
    # A way through is there as soon as the steps make one, also where a message is missing yet.
    plan, _faults, _warnings = read(document, facts.specs())
    _same, faults, warnings = checked(document, journey=journey)
    if not faults:
        _compiled, faults = without_segments(document)
    return Look(document=document, plan=plan, faults=tuple(faults), warnings=tuple(warnings))


def differs(journey: Journey, look: Look) -> bool:
    """Say whether a draft is another than what is published; segments count as they are now."""
    if journey.version is None:
        return False
    compiled, _faults = without_segments(look.document)
    return journey.version.sha256 != JourneyVersion.digest(compiled)


def rows_of(journey: Journey) -> list[StepDraft]:
    """Return the stored steps of a draft, in their order. One statement."""
    return [
        StepDraft(name=row.name, kind=row.kind, told=row.told, to=row.to)
        for row in journey.steps.order_by("position", "pk")
    ]


def save(
    *, journey: Journey | None, values: Mapping[str, Any], steps: Sequence[StepDraft]
) -> Journey:
    """Write a draft as it is, faults and all.

    Args:
        journey: None = a new one.
        values: Columns of the journey.
        steps: In their order; they replace the stored ones.

    Raises:
        ValidationError: The slug is taken, or the journey was stopped, which is for good.
    """
    slug = values.get("slug")
    with transaction.atomic():
        row = Journey() if journey is None else _locked(journey.pk)
        if row.state == Journey.State.STOPPED:
            raise ValidationError(_("It was stopped, and stays as it is. Copy it instead."))
        if slug and Journey.objects.filter(slug=slug).exclude(pk=row.pk).exists():
            raise ValidationError({"slug": _("There is a journey “%s” already.") % slug})
        for name, value in values.items():
            setattr(row, name, value)
        # Where it begins is the first of the steps as they are arranged.
        row.first = ""
        row.save()
        _write_steps(row, steps)
    return row


def copy(*, document: Mapping[str, object], values: Mapping[str, Any]) -> Journey:
    """Make a draft of a document: a ready-made journey, or another journey's."""
    return save(journey=None, values=values, steps=steps_of(document))


def copy_of(journey: Journey) -> Journey:
    """Make a draft with the same steps; it is for no sales channel until somebody says so."""
    kept = ("category", "priority", "exclusion_group", "exit_others", "event", "where", "policy",
            "again_after", "after", "concurrency", "if_active", "cap_per_day", "late_event",
            "exits", "goals", "lead_time", "control")  # fmt: skip
    values = {name: getattr(journey, name) for name in kept}
    values |= {"name": _("%s (copy)") % journey.name[:110], "slug": free_slug(journey.slug)}
    return save(journey=None, values=values, steps=rows_of(journey))


def delete(*, journey_id: int) -> None:
    """Remove a draft that nobody ever went through.

    Raises:
        ValidationError: It was published, or somebody is in it.
    """
    with transaction.atomic():
        row = _locked(journey_id)
        if row.state != Journey.State.DRAFT or JourneyRun.objects.filter(journey=row).exists():
            raise ValidationError(_("Buyers went through it: it is kept. Stop it instead."))
        row.versions.all().purge()
        row.delete()


def free_slug(wanted: str) -> str:
    """Return a slug that no journey has: as wanted, or with a number. One statement."""
    base = wanted[:70] or "journey"
    taken = set(Journey.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    place = 2
    slug = base
    while slug in taken:
        slug, place = f"{base}-{place}", place + 1
    return slug


def _locked(pk: int) -> Journey:
    row: Journey = Journey.objects.select_for_update().get(pk=pk)
    return row


def _write_steps(journey: Journey, steps: Sequence[StepDraft]) -> None:
    journey.steps.all().delete()
    rows = []
    for place, step in enumerate(steps):
        follows = steps[place + 1].name if place + 1 < len(steps) else ""
        rows.append(
            JourneyStep(
                journey=journey,
                name=step.name,
                position=place,
                kind=step.kind,
                told=dict(step.told),
                to=leads_to(step, follows),
            )
        )
    JourneyStep.objects.bulk_create(rows)
