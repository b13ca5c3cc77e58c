"""From the rows of a draft to a version that never changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from upsell import clock, conf, snapshots
from upsell.engine.conditions import ConditionError
from upsell.engine.journeys.definition import Definition, Fault, Kind
from upsell.engine.journeys.draft import StepDraft, definition_of
from upsell.engine.journeys.graph import answered_before
from upsell.engine.journeys.reading import read
from upsell.exceptions import UpsellError
from upsell.models import Journey, JourneyStep, JourneyVersion, MessageTemplate
from upsell.services import facts, segments
from upsell.services.templates import unresolved


class JourneyFaults(UpsellError):
    """A draft cannot be published; ``faults`` say where and why, all of them."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{one.path}: {one.message}" for one in self.faults))


def document_of(
    journey: Journey, steps: Iterable[JourneyStep | StepDraft] | None = None
) -> dict[str, Any]:
    """Return a draft as the document that is published and exported.

    Args:
        journey: Its row; it need not be saved where ``steps`` are given.
        steps: Instead of the stored ones, in their order.
    """
    rows = journey.steps.order_by("position", "pk") if steps is None else steps
    return definition_of(
        event=journey.event,
        where=journey.where or None,
        policy=journey.policy,
        after=None if journey.again_after is None else iso_of(journey.again_after),
        counted_from=journey.after,
        concurrency=journey.concurrency,
        if_active=journey.if_active,
        category=journey.category,
        exits=journey.exits,
        goals=journey.goals,
        first=journey.first,
        steps=[StepDraft(name=row.name, kind=row.kind, told=row.told, to=row.to) for row in rows],
    )


def checked(
    document: Mapping[str, Any], *, journey: Journey
) -> tuple[Definition | None, list[Fault], list[Fault]]:
    """Read a draft; return it, what forbids publishing, and what is merely unwise.

    Beside what ``engine.journeys.reading`` finds: templates that are not there or not published,
    media that are not set up, journeys that are not there.
    """
    plan, faults, warnings = read(document, facts.specs())
    if plan is None:
        return None, faults, []
    faults = list(_missing(plan, journey))
    if not faults:
        warnings += _without_address(plan, journey)
    return (None if faults else plan), faults, warnings


def publish(journey: Journey, *, user: Any = None, now: datetime | None = None) -> JourneyVersion:
    """Compile the draft into the next version, and let new entries take it. Runs stay on theirs.

    The same draft again is the same version. The journey's state is not changed.

    Raises:
        JourneyFaults: It cannot be published.
    """
    told = now or clock.database_now()
    with transaction.atomic():
        journey = Journey.objects.select_for_update().get(pk=journey.pk)
        document = document_of(journey)
        _plan, faults, _warnings = checked(document, journey=journey)
        if not faults:
            document, faults = without_segments(document)
        if faults:
            raise JourneyFaults(faults)
        digest = JourneyVersion.digest(document)
        newest = journey.versions.order_by("-number").first()
        if newest is not None and newest.sha256 == digest and journey.version_id == newest.pk:
            return newest  # type: ignore[no-any-return]
        version = JourneyVersion.objects.create(
            journey=journey,
            number=newest.number + 1 if newest else 1,
            definition=document,
            schema=JourneyVersion.SCHEMA,
            sha256=digest,
            published_at=told,
            published_by=user,
        )
        Journey.objects.filter(pk=journey.pk).update(version=version)
    return version


def without_segments(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """Put segments' own conditions in their place, as they are now: a version never changes."""
    faults: list[Fault] = []

    def tree(told: Any, path: str) -> Any:
        if told is None:
            return None
        try:
            return segments.compiled(told)
        except ConditionError as error:
            faults.append(Fault(path=path, message=error.message))
            return told

    def row(told: Mapping[str, Any], path: str) -> dict[str, Any]:
        made = dict(told)
        for name in ("where", "when"):
            if name in made:
                made[name] = tree(made[name], f"{path}.{name}")
        if "branches" in made:
            made["branches"] = [
                row(one, f"{path}.branches.{place}") for place, one in enumerate(made["branches"])
            ]
        return made

    made = {**document, "start": row(document["start"], "start")}
    for name in ("exit", "goals"):
        made[name] = [row(one, f"{name}.{place}") for place, one in enumerate(document[name])]
    made["steps"] = {name: row(one, f"steps.{name}") for name, one in document["steps"].items()}
    return made, faults


def _without_address(plan: Definition, journey: Journey) -> list[Fault]:
    """Warn, at the first marketing mail, of sales channels without an address for its footer."""
    mails = [
        step
        for step in plan.steps.values()
        if step.kind is Kind.SEND
        and step.told.get("medium") == "email"
        and step.told.get("category", journey.category) == "marketing"
    ]
    if not mails:
        return []
    bare = [one for one in journey.channels or [""] if not snapshots.policy(one).postal_address]
    if not bare:
        return []
    where = f" of {', '.join(bare)}" if any(bare) else ""
    told = (
        f"its marketing mails{where} have no postal address in their footer, for which the law of "
        "many countries asks: set UPSELL_POSTAL_ADDRESS, or write it into the channel settings"
    )
    return [Fault(path=f"steps.{mails[0].id}", message=told)]


def _missing(plan: Definition, journey: Journey) -> Iterable[Fault]:
    sends = [step for step in plan.steps.values() if step.kind is Kind.SEND]
    slugs = {str(step.told.get("template")) for step in sends}
    rows = MessageTemplate.objects.filter(slug__in=slugs).select_related("version")
    templates = {row.slug: row for row in rows}
    kinds = {step.id: step.kind for step in plan.steps.values()}
    for step in sends:
        slug, medium = str(step.told.get("template")), str(step.told.get("medium"))
        row = templates.get(slug)
        path = f"steps.{step.id}.template"
        if row is None:
            yield Fault(path=path, message=f"there is no message template “{slug}”")
        elif row.version is None:
            yield Fault(path=path, message=f"the message template “{slug}” is not published yet")
        elif row.medium != medium:
            yield Fault(path=path, message=f"“{slug}” is for {row.medium}, not for {medium}")
        else:
            never = unresolved(
                row.version,
                event=plan.event,
                offer=Kind.OFFER in kinds.values(),
                webhooks=answered_before(plan, step.id),
            )
            for name in sorted(never):
                yield Fault(path=path, message=_nobody_has(name, slug, kinds))
        needed = _NEEDED.get(medium)
        if needed and not conf.get(needed):
            yield Fault(path=f"steps.{step.id}.medium", message=f"set {needed} first: it is empty")
        category = step.told.get("category", journey.category)
        if category == "marketing" and medium in _LINKED and not conf.get("UPSELL_BASE_URL"):
            yield Fault(
                path=f"steps.{step.id}",
                message="set UPSELL_BASE_URL first: a marketing message has a link to leave by",
            )
        if category == "transactional" and journey.category == "marketing":
            yield Fault(
                path=f"steps.{step.id}.category",
                message="a marketing journey sends no transactional message",
            )
    for step in plan.steps.values():
        if step.kind is Kind.GOTO_JOURNEY:
            slug = str(step.told["journey"])
            if slug == journey.slug or not Journey.objects.filter(slug=slug).exists():
                yield Fault(
                    path=f"steps.{step.id}.journey", message=f"there is no other journey “{slug}”"
                )


def _nobody_has(name: str, slug: str, kinds: Mapping[str, Kind]) -> str:
    step = name.split(".")[1]
    if name.startswith("webhook.") and kinds.get(step) is Kind.WEBHOOK:
        return (
            f"“{slug}” needs {{{name}}}, which who comes here without an answer of “{step}” does "
            "not have: give it a fallback, or lead every way here through its “ok”"
        )
    return f"“{slug}” needs {{{name}}}, which nobody in this journey can have"


_NEEDED: Mapping[str, str] = {"sms": "UPSELL_SMS", "push": "UPSELL_PUSH"}
"""Medium to the setting without which nothing can be sent by it."""
_LINKED = frozenset({"email", "onsite"})
"""Media whose marketing carries a link to leave by."""


def iso_of(length: timedelta) -> str:
    """Return a duration as ISO 8601 writes it, to the minute: ``P1DT3H``."""
    hours, minutes = divmod(length.seconds // 60, 60)
    clock_time = f"{hours}H" * bool(hours) + f"{minutes}M" * bool(minutes)
    days = f"{length.days}D" * bool(length.days)
    return f"P{days}{clock_time and 'T' + clock_time}" if days or clock_time else "PT0M"
