"""Journeys to a file and back: one journey as JSON, with the messages that it sends.

The shape, names only::

    {"format": "upsell.journey", "schema": 1,
     "journey": {"slug", "name", ..., "definition": as ``engine.journeys.definition`` has it},
     "templates": {slug: {"name", "medium", "default_language", "content"}}}

What a file does not hold: sales channels, mode and the buyers of a test, which belong to a shop.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from upsell.engine.conditions import duration_of
from upsell.engine.journeys.definition import Fault, Kind
from upsell.engine.journeys.draft import StepDraft, steps_of
from upsell.engine.journeys.reading import read as read_definition
from upsell.models import Journey, MessageTemplate
from upsell.services import facts, journey_drafts, templates
from upsell.services.documents import ensure_storable
from upsell.services.journey_publishing import document_of, iso_of

FORMAT, SCHEMA = "upsell.journey", 1
MOST_TEMPLATES = 100
_SLUG = re.compile(r"[-a-zA-Z0-9_]{1,80}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_LONGEST = timedelta(days=3_650)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateOutcome:
    """What becomes of one message."""

    slug: str
    name: str
    new: bool
    changed: bool
    """Its draft becomes another; what is published stays until somebody publishes the draft."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a file does, or would do; nothing of it where there are faults."""

    faults: tuple[Fault, ...] = ()
    """Why nothing is imported, each with its path in the file."""
    slug: str = ""
    name: str = ""
    new: bool = False
    journey_id: int | None = None
    """Of the draft, once it is written."""
    changes: tuple[str, ...] = ()
    """Of a journey that is there: the settings that become others, by the names of the file."""
    steps: tuple[StepDraft, ...] = ()
    gone: tuple[str, ...] = ()
    """Steps of the draft that the file does not have."""
    added: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    """Steps that are there, and become others."""
    templates: tuple[TemplateOutcome, ...] = ()
    to_do: tuple[Fault, ...] = ()
    """What is left to be done before it can be published."""

    @property
    def does_something(self) -> bool:
        """Whether anything is another afterwards."""
        others = self.new or self.changes or self.gone or self.added or self.changed
        return bool(others or any(one.new or one.changed for one in self.templates))


@dataclass(slots=True)
class _Read:
    """A file as it was read."""

    faults: list[Fault] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    steps: list[StepDraft] = field(default_factory=list)
    templates: dict[str, dict[str, Any]] = field(default_factory=dict)

    def wrong(self, path: str, message: str) -> None:
        self.faults.append(Fault(path=path, message=message))

    def mapping(self, data: object, path: str, known: frozenset[str] | None) -> Mapping[str, Any]:
        if not isinstance(data, Mapping):
            self.wrong(path, f"wanted an object, and there is {_shown(data)}")
            return {}
        for name in sorted(set(data) - known) if known is not None else ():
            here = f"{path}.{name}" if path else name
            self.wrong(here, f"is not known here; known: {', '.join(sorted(known or ()))}")
        return data


# ------------------------------------------------------------------ to a file


def export_(journey: Journey, *, published: bool = False) -> dict[str, Any]:
    """Return a journey's draft, or what is published, with its messages, as plain JSON values.

    A message is its draft beside a draft, and its published version beside what is published.

    Raises:
        ValueError: It was never published.
    """
    if published:
        if journey.version is None:
            raise ValueError(f"journey {journey.pk} was never published")
        definition: dict[str, Any] = dict(journey.version.definition)
    else:
        definition = document_of(journey)
    slugs = sorted(
        {str(step.told.get("template", "")) for step in steps_of(definition)
         if step.kind == Kind.SEND} - {""}
    )  # fmt: skip
    rows = MessageTemplate.objects.filter(slug__in=slugs).select_related("version")
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "journey": _settings_of(journey) | {"definition": definition},
        "templates": {row.slug: _told(row, published=published) for row in rows.order_by("slug")},
    }


def as_json(journey: Journey, *, published: bool = False) -> str:
    """Return a journey as a JSON document."""
    return json.dumps(export_(journey, published=published), indent=2, ensure_ascii=False)


def _settings_of(journey: Journey) -> dict[str, Any]:
    told: dict[str, Any] = {"slug": journey.slug}
    for name in _SETTINGS:
        value = getattr(journey, name)
        told[name] = iso_of(value) if isinstance(value, timedelta) else value
    return told


def _told(row: MessageTemplate, *, published: bool) -> dict[str, Any]:
    words = row.version if published and row.version is not None else row
    return {
        "name": row.name,
        "medium": row.medium,
        "default_language": words.default_language,
        "content": words.content,
    }


# ------------------------------------------------------------------ and back


def read(text: str) -> Mapping[str, Any]:
    """Return the document of a file.

    Raises:
        ValidationError: It is no JSON that can be kept, or no journey that was exported here.
    """
    try:
        found = json.loads(text)
        ensure_storable(found)
    except RecursionError as error:
        raise ValidationError(_("The file cannot be read: it is nested too deeply.")) from error
    except ValueError as error:
        raise ValidationError(_("The file cannot be read: %s") % error) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValidationError(_("The file holds no journey as it is exported here."))
    if found.get("schema") != SCHEMA:
        told = _("The file is of schema %(there)s, and schema %(known)s is read.")
        raise ValidationError(told % {"there": _shown(found.get("schema")), "known": SCHEMA})
    return found


def import_(document: Mapping[str, Any], *, commit: bool = False) -> Outcome:
    """Write the draft of a journey and of its messages, all or nothing; see ``read``.

    A journey is found by its slug: its draft becomes the file's, and what is live goes on as it
    was published. A new one runs in no sales channel. Without ``commit`` it is only said what
    would come of it.
    """
    read_ = _read(document)
    if read_.faults:
        return Outcome(faults=tuple(read_.faults))
    with transaction.atomic():
        outcome = _imported(read_)
        if not commit or outcome.faults:
            transaction.set_rollback(True)
    return outcome


def _imported(told: _Read) -> Outcome:
    slug = told.values["slug"]
    there = Journey.objects.filter(slug=slug).first()
    before = export_(there)["journey"] if there is not None else {}
    made = [_template(slug, values) for slug, values in sorted(told.templates.items())]
    values = told.values if there is None else {k: v for k, v in told.values.items() if k != "slug"}
    try:
        row = journey_drafts.save(journey=there, values=values, steps=told.steps)
    except ValidationError as error:
        return Outcome(faults=tuple(Fault(path="journey", message=text) for text in error.messages))
    row.refresh_from_db()
    after = export_(row)["journey"]
    old, new = (_steps_by_name(one) for one in (before, after))
    look = journey_drafts.look_at(row)
    return Outcome(
        slug=slug,
        name=row.name,
        new=there is None,
        journey_id=row.pk,
        changes=tuple(_differences(before, after)) if there is not None else (),
        steps=tuple(told.steps),
        gone=tuple(name for name in old if name not in new),
        added=frozenset(new.keys() - old.keys()),
        changed=frozenset(name for name in new.keys() & old.keys() if old[name] != new[name]),
        templates=tuple(made),
        to_do=look.faults,
    )


def _template(slug: str, values: Mapping[str, Any]) -> TemplateOutcome:
    row = MessageTemplate.objects.select_for_update().filter(slug=slug).first()
    new = row is None
    row = row or MessageTemplate(slug=slug, medium=values["medium"])
    changed = any(getattr(row, name) != value for name, value in values.items())
    if changed:
        for name, value in values.items():
            setattr(row, name, value)
        row.save()
    return TemplateOutcome(slug=slug, name=row.name, new=new, changed=changed and not new)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    parts = ("start", "entry", "exit", "goals")
    return [
        *(name for name in _SETTINGS if before[name] != after[name]),
        *(
            f"definition.{name}"
            for name in parts
            if before["definition"][name] != after["definition"][name]
        ),
    ]


def _steps_by_name(told: Mapping[str, Any]) -> Mapping[str, Any]:
    steps: Mapping[str, Any] = told["definition"]["steps"] if told else {}
    return steps


# ------------------------------------------------------------------ what a file says


def _read(document: Mapping[str, Any]) -> _Read:
    """Read a whole file, and note every fault on the way."""
    made = _Read()
    told = made.mapping(document, "", frozenset({"format", "schema", "journey", "templates"}))
    known = frozenset({"slug", "definition", *_SETTINGS})
    journey = made.mapping(told.get("journey"), "journey", known)
    for name in ("slug", "name", "definition"):
        if isinstance(told.get("journey"), Mapping) and name not in journey:
            made.wrong(f"journey.{name}", "is missing")
    for name, reader in {"slug": _slug, **_SETTINGS}.items():
        if name in journey:
            try:
                made.values[name] = reader(journey[name])
            except ValueError as error:
                made.wrong(f"journey.{name}", f"{error}, and there is {_shown(journey[name])}")
    if "definition" in journey:
        _definition(made, journey["definition"])
    rows = made.mapping(told.get("templates", {}), "templates", None)
    if len(rows) > MOST_TEMPLATES:
        made.wrong("templates", f"there may be {MOST_TEMPLATES}, and are {len(rows)}")
        return made
    for slug, row in rows.items():
        _message(made, slug, row)
    return made


def _definition(made: _Read, data: object) -> None:
    plan, faults, _warnings = read_definition(data, facts.specs())
    path = "journey.definition"
    for fault in faults:
        made.wrong(f"{path}.{fault.path}" if fault.path else path, fault.message)
    if plan is None or not isinstance(data, Mapping):
        return
    start, entry = data["start"], data.get("entry", {})
    made.values |= {
        "event": start["event"],
        "where": start.get("where"),
        "policy": plan.entry.policy.value,
        "again_after": plan.entry.after,
        "after": "exit" if plan.entry.from_exit else "entry",
        "concurrency": entry.get("concurrency", "per_key"),
        "if_active": plan.entry.if_active.value,
        "exits": list(data.get("exit", [])),
        "goals": list(data.get("goals", [])),
    }
    steps = steps_of(data)
    # A journey begins with the first of its steps as they are arranged.
    made.steps = sorted(steps, key=lambda step: step.name != plan.first)


def _message(made: _Read, slug: str, data: object) -> None:
    path = f"templates.{slug}"
    known = frozenset({"name", "medium", "default_language", "content"})
    told = made.mapping(data, path, known)
    if not isinstance(data, Mapping):
        return
    faults = len(made.faults)
    values: dict[str, Any] = {}
    readers: Mapping[str, Callable[[object], object]] = {
        "name": _text(120),
        "medium": _one_of(*MessageTemplate.Medium.values),
        "default_language": _language,
    }
    for name, reader in readers.items():
        try:
            values[name] = reader(told.get(name))
        except ValueError as error:
            made.wrong(f"{path}.{name}", f"{error}, and there is {_shown(told.get(name))}")
    if not _SLUG.fullmatch(slug):
        made.wrong(path, "a slug is letters, digits, - and _, 80 at most")
    if len(made.faults) > faults:
        return
    medium = values["medium"]
    there = MessageTemplate.objects.filter(slug=slug).first()
    if there is not None and there.medium != medium:
        made.wrong(f"{path}.medium", f"there is a “{slug}” already, and it is for {there.medium}")
    _content, wrong = templates.checked(
        told.get("content"), medium=medium, default_language=values["default_language"]
    )
    for fault in wrong:
        here = f"{path}.content"
        made.wrong(f"{here}.{fault.path}" if fault.path else here, fault.message)
    made.templates[slug] = values | {"content": told.get("content")}


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _slug(value: object) -> str:
    if not isinstance(value, str) or not _SLUG.fullmatch(value):
        raise ValueError("wanted letters, digits, - and _, 80 at most")
    return value


def _language(value: object) -> str:
    if not isinstance(value, str) or len(value) > 16 or not _LANGUAGE.fullmatch(value):
        raise ValueError("wanted a language such as de or pt-BR")
    return value


def _text(longest: int, *, empty: bool = False) -> Callable[[object], str]:
    def read_(value: object) -> str:
        least = 0 if empty else 1
        if not isinstance(value, str) or not least <= len(value.strip()) <= len(value) <= longest:
            raise ValueError(f"wanted a text of {least} to {longest} characters")
        return value

    return read_


def _whole(least: int, most: int) -> Callable[[object], int]:
    def read_(value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"wanted a whole number from {least} to {most}")
        return value

    return read_


def _one_of(*names: str) -> Callable[[object], str]:
    def read_(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"wanted one of {', '.join(names)}")
        return value

    return read_


def _yes(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("wanted true or false")
    return value


def _length(value: object) -> timedelta:
    found = duration_of(value)
    if found is None or found > _LONGEST:
        raise ValueError("wanted a duration of 3650 days at most, such as PT3H or P1D")
    return found


_SETTINGS: Mapping[str, Callable[[object], Any]] = {
    "name": _text(120),
    "category": _one_of(*Journey.Category.values),
    "priority": _whole(-1_000_000, 1_000_000),
    "exclusion_group": _text(80, empty=True),
    "exit_others": _yes,
    "cap_per_day": _whole(0, 1_000),
    "late_event": _length,
    "lead_time": _length,
    "control": _whole(0, 50),
}
"""Columns of a journey that a file has beside the definition, and how each is read."""
