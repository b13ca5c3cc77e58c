"""The form of one step: its name, what it does, and the fields that this takes.

Only the fields of the chosen kind are there. Where an outcome leads is a choice among the steps
by the names they had when the page was made; empty is the next step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell.admin.conditions import ConditionsField
from upsell.engine.conditions import FactSpec, duration_of
from upsell.engine.journeys.definition import MEDIA, Kind
from upsell.engine.journeys.draft import StepDraft
from upsell.engine.journeys.reading import MOST_BRANCHES, MOST_STEPS, MOST_SUGGESTIONS
from upsell.engine.journeys.waits import span_of
from upsell.models import MessageTemplate
from upsell.presenting.journeys import KINDS, MEDIUM_WORDS, outcome_in_words

_NAME = re.compile(r"[^a-z0-9_]+")
UNITS = (
    ("M", gettext_lazy("minutes")),
    ("H", gettext_lazy("hours")),
    ("D", gettext_lazy("days")),
)
WEEKDAYS = (
    (1, gettext_lazy("Monday")),
    (2, gettext_lazy("Tuesday")),
    (3, gettext_lazy("Wednesday")),
    (4, gettext_lazy("Thursday")),
    (5, gettext_lazy("Friday")),
    (6, gettext_lazy("Saturday")),
    (7, gettext_lazy("Sunday")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What the choices of a form hold. Gathered once for all of its steps."""

    specs: Mapping[str, FactSpec]
    templates: Sequence[tuple[str, str, str]] = ()
    """Slug, name and medium."""
    campaigns: Sequence[tuple[str, str]] = ()
    """Slug and name."""
    journeys: Sequence[tuple[str, str]] = ()
    steps: Sequence[tuple[str, str]] = field(default=())
    """Name and what it does, in order."""


# ------------------------------------------------------------------ small fields


class LengthWidget(forms.MultiWidget):
    """A number and its unit. What is neither is shown as it is written."""

    template_name = "admin/upsell/length.html"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        number = {"inputmode": "numeric", "size": 6, "maxlength": 20}
        # The field's own label points to the group of both.
        count = forms.TextInput(attrs=number | {"aria-label": gettext_lazy("How many")})
        unit = forms.Select(choices=UNITS, attrs={"aria-label": gettext_lazy("Of what")})
        super().__init__([count, unit], attrs)

    def decompress(self, value: Any) -> list[Any]:
        text = str(value or "")
        match = re.fullmatch(r"P(?:(\d+)(D)|T(\d+)([HM]))", text)
        if match is None:
            return [text, "H"]
        return [match[1] or match[3], match[2] or match[4]]


class LengthField(forms.MultiValueField):
    """A duration, as ISO 8601 writes it: ``PT3H``, ``P2D``. Days are days of the calendar."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("required", False)
        fields = (forms.CharField(required=False), forms.CharField(required=False))
        super().__init__(fields=fields, widget=LengthWidget(), require_all_fields=False, **options)

    def compress(self, data_list: Any) -> str:
        number, unit = (*(data_list or ()), "", "")[:2]
        number = (number or "").strip()
        if not number:
            return ""
        if span_of(number) is not None or duration_of(number) is not None:
            return str(number)
        if not re.fullmatch(r"\d{1,6}", number) or unit not in dict(UNITS):
            raise forms.ValidationError(_("“%s” is not a whole number.") % number)
        return f"P{number}D" if unit == "D" else f"PT{number}{unit}"


class TargetField(forms.CharField):
    """Where an outcome leads: a step, or the next one. A name that is gone stays to be seen."""

    def __init__(self, outcome: str, offered: Offered, chosen: str = "", **options: Any) -> None:
        choices = [("", _("the next step")), *offered.steps]
        if chosen and chosen not in dict(choices):
            choices.append((chosen, _("%s (no such step)") % chosen))
        attrs = {"data-upsell-steps": "true", "class": "upsell-target"}
        options.setdefault("label", outcome_in_words(outcome))
        super().__init__(
            required=False,
            max_length=32,
            widget=forms.Select(choices=choices, attrs=attrs),
            **options,
        )


def _text(label: Any, **options: Any) -> forms.CharField:
    return forms.CharField(label=label, required=False, max_length=190, **options)


def _choice(
    label: Any, choices: Iterable[tuple[Any, Any]], stored: Any = "", **options: Any
) -> forms.ChoiceField:
    """A select in which a value that is no longer among the choices stays."""
    known = list(choices)
    if stored and str(stored) not in {str(value) for value, _label in known}:
        known.append((stored, _("%s (not there any more)") % stored))
    return forms.ChoiceField(label=label, required=False, choices=known, **options)


# ------------------------------------------------------------------ what each kind takes


Fields = dict[str, forms.Field]
Lines = list[list[str]]
"""Names of fields, a line each."""


@dataclass(frozen=True, slots=True)
class Makeup:
    """The fields of a kind, in lines."""

    fields: Fields
    lines: Lines


class _Maker:
    """Makes the fields of one step of one kind, with what is stored or typed of it."""

    def __init__(
        self, offered: Offered, typed: Callable[[str], str], before: Mapping[str, Any], sent: bool
    ) -> None:
        self.offered = offered
        self.typed = typed
        self.before = before
        """What is stored: what was chosen once may stay, also where it is not there any more."""
        self.stored: Mapping[str, Any] = {} if sent else before
        self.fields: Fields = {}
        self.lines: Lines = []

    def line(self, **fields: forms.Field) -> None:
        self.fields |= fields
        self.lines.append(list(fields))

    def target(self, name: str, outcome: str, **options: Any) -> TargetField:
        chosen = self.typed(name) or str(self.stored.get(name) or "")
        return TargetField(outcome, self.offered, chosen, **options)

    def targets(self, *outcomes: str) -> None:
        self.line(**{f"to_{name}": self.target(f"to_{name}", name) for name in outcomes})

    def count(self, pattern: str, least: int, most: int) -> int:
        """Return how many numbered rows there are, and one to spare."""
        places = [-1]
        while self.typed(pattern % (places[-1] + 1)) or self.stored.get(pattern % (places[-1] + 1)):
            places.append(places[-1] + 1)
        return min(max(places[-1] + 2, least), most)

    def made(self, kind: str) -> Makeup:
        if kind in tuple(Kind):
            getattr(self, kind)()
        return Makeup(self.fields, self.lines)

    def wait(self) -> None:
        self.line(**{"for": LengthField(label=_("For"))})
        self.line(
            until=_text(
                _("Until"),
                widget=forms.TextInput(attrs={"placeholder": "09:00", "size": 6}),
                help_text=_("A time of the buyer's day. Empty: as soon as the wait is over."),
            ),
            weekdays=forms.TypedMultipleChoiceField(
                label=_("On"),
                coerce=int,
                choices=WEEKDAYS,
                required=False,
                widget=forms.CheckboxSelectMultiple,
                help_text=_("None chosen: any day."),
            ),
        )
        self.targets("next")

    def wait_for_event(self) -> None:
        self.line(
            event=_text(_("For the event"), widget=_events()),
            timeout=LengthField(label=_("At most")),
        )
        self.line(where=ConditionsField(self.offered.specs, label=_("If")))
        self.line(
            match_starter=_text(
                _("Same as at the beginning"),
                help_text=_("Names of parameters that must be equal, such as order_id, or “all”."),
            )
        )
        self.targets("matched", "timeout")

    def check(self) -> None:
        for place in range(self.count("branch_%d_name", 1, MOST_BRANCHES)):
            name = f"branch_{place}_name"
            self.line(
                **{
                    name: _text(_("Branch"), widget=_short()),
                    f"branch_{place}_when": ConditionsField(self.offered.specs, label=_("If")),
                    f"branch_{place}_to": self.target(f"branch_{place}_to", "branch"),
                }
            )
        self.targets("otherwise")

    def _media(self) -> None:
        choices = [("", "–"), *((name, MEDIUM_WORDS[name]) for name in MEDIA)]
        for place in range(min(self.count("media_%d", 1, len(MEDIA)), len(MEDIA))):
            label = _("First") if place == 0 else _("Then")
            stored = self.before.get(f"media_{place}")
            self.line(
                **{
                    f"media_{place}": _choice(label, choices, stored),
                    f"media_{place}_to": self.target(f"media_{place}_to", "reachable"),
                }
            )
        self.targets("none")

    reachable = best_medium = _media

    def send(self) -> None:
        media = [(name, MEDIUM_WORDS[name]) for name in MEDIA]
        words = dict(MessageTemplate.Medium.choices)
        templates = [("", "–")] + [
            (slug, f"{name} ({words.get(medium, medium)})")
            for slug, name, medium in self.offered.templates
        ]
        self.line(
            medium=_choice(_("By"), media, self.before.get("medium")),
            template=_choice(_("Message"), templates, self.before.get("template")),
        )
        self.line(
            category=_choice(
                _("Category"),
                [("", _("as the journey")), ("marketing", _("marketing")),
                 ("transactional", _("transactional"))],
            ),
            max_lateness=LengthField(
                label=_("Not later than"),
                help_text=_("After it should have gone. Empty: a day for marketing, else always."),
            ),
            on_capped=_choice(
                _("If the buyer had enough"),
                [("", _("leave this message out")), ("defer", _("send it later")),
                 ("exit", _("end the journey"))],
            ),
        )  # fmt: skip
        self.targets("sent", "skipped", "failed")

    def split(self) -> None:
        self.line(key=_text(_("Key"), help_text=_("Buyers are split anew for each key; keep it.")))
        for place in range(self.count("arm_%d_name", 2, 10)):
            self.line(
                **{
                    f"arm_{place}_name": _text(_("Arm"), widget=_short()),
                    f"arm_{place}_share": forms.DecimalField(
                        label=_("Share, %"),
                        required=False,
                        min_value=Decimal("0.01"),
                        max_value=Decimal(100),
                        decimal_places=2,
                    ),
                    f"arm_{place}_to": self.target(f"arm_{place}_to", "arm"),
                }
            )  # fmt: skip

    def offer(self) -> None:
        campaigns = [("", _("the best there is")), *self.offered.campaigns]
        self.line(
            campaign=_choice(_("Campaign"), campaigns, self.before.get("campaign")),
            suggestions=forms.IntegerField(
                label=_("Suggestions"),
                required=False,
                min_value=0,
                max_value=MOST_SUGGESTIONS,
                help_text=_("Links to products beside the offer, 0 to 8."),
            ),
            on_none=_choice(
                _("If there is nothing"),
                [("", _("go on")), ("skip", _("leave the message out")),
                 ("exit", _("end the journey"))],
            ),
        )  # fmt: skip
        self.targets("offer", "suggestions", "none")

    def webhook(self) -> None:
        self.line(target=_text(_("Target"), help_text=_("Its key in the settings.")))
        self.targets("ok", "failed")

    def tag(self) -> None:
        self.line(tag=_text(_("Tag")))
        self.targets("next")

    def exit(self) -> None:
        self.line(reason=_text(_("Why"), help_text=_("Shown with its runs. Empty: completed.")))

    def goto_journey(self) -> None:
        journeys = [("", "–"), *self.offered.journeys]
        self.line(journey=_choice(_("Journey"), journeys, self.before.get("journey")))


def _short() -> forms.TextInput:
    return forms.TextInput(attrs={"size": 16})


def _events() -> forms.TextInput:
    return forms.TextInput(attrs={"list": "upsell-events", "autocomplete": "off"})


# ------------------------------------------------------------------ the form


class StepForm(forms.Form):
    """One step. Its fields follow from its kind; what was typed of another kind is let go."""

    def __init__(self, *args: Any, offered: Offered, **options: Any) -> None:
        super().__init__(*args, **options)
        kinds = [("", _("choose what it does")), *((kind.value, KINDS[kind]) for kind in Kind)]
        self.fields["was"] = forms.CharField(
            required=False, max_length=32, widget=forms.HiddenInput
        )
        self.fields["name"] = forms.CharField(
            label=_("Name"),
            required=False,
            max_length=32,
            widget=forms.TextInput(attrs={"size": 18, "class": "upsell-step-name"}),
        )
        self.fields["kind"] = forms.ChoiceField(
            label=_("What"),
            required=False,
            choices=kinds,
            widget=forms.Select(attrs={"class": "upsell-step-kind"}),
        )
        self.fields["place"] = forms.IntegerField(
            label=_("Place"),
            required=False,
            min_value=0,
            max_value=100_000,
            widget=forms.NumberInput(attrs={"class": "upsell-step-place"}),
        )
        self.findings: list[str] = []
        """What is wrong or unwise about it as it is stored."""
        stored = self.initial or {}
        self.does = str(self._typed("kind") if self.is_bound else stored.get("kind") or "")
        made = _Maker(offered, self._typed, stored, self.is_bound).made(self.does)
        self.fields.update(made.fields)
        self._lines = made.lines

    def _typed(self, name: str) -> str:
        return str(self.data.get(self.add_prefix(name), "")).strip() if self.is_bound else ""

    @property
    def lines(self) -> list[list[BoundField]]:
        """The fields of its kind, as they stand in lines."""
        return [[self[name] for name in names] for names in self._lines]

    @property
    def head(self) -> list[BoundField]:
        """What every step has."""
        return [self[name] for name in ("name", "kind", "place")]

    @property
    def shown_name(self) -> str:
        """Return what it is called at the moment, for its heading and its anchor."""
        return str(self["name"].value() or "")

    def has_changed(self) -> bool:
        """Say whether it is a step at all: a row without a kind is left out."""
        return bool(self.does)

    def clean_kind(self) -> str:
        return str(self.cleaned_data["kind"])

    def clean_name(self) -> str:
        name = _NAME.sub("_", str(self.cleaned_data["name"]).lower()).strip("_")
        return name if not name or name[0].isalpha() else f"step_{name}"[:32]

    def draft(self, names: Mapping[str, str]) -> StepDraft:
        """Return the step as it is stored; ``names`` is what steps are called by now."""
        told, to = _told(self.does, self.cleaned_data)
        # A target is chosen by the name that its step had when the page was made.
        targets = {outcome: names.get(name, name) for outcome, name in to.items() if name}
        return StepDraft(name=self.cleaned_data["name"], kind=self.does, told=told, to=targets)


def _told(kind: str, typed: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a kind needs, and where its outcomes lead, of what was typed."""
    to = {name[3:]: value for name, value in typed.items() if name.startswith("to_")}
    told: dict[str, Any] = {}
    match kind:
        case Kind.CHECK:
            told["branches"] = branches = []
            for place, name in _numbered(typed, "branch_%d_name"):
                when = typed.get(f"branch_{place}_when")
                branches.append({"id": name} | ({} if when is None else {"when": when}))
                to[name] = typed.get(f"branch_{place}_to", "")
        case Kind.REACHABLE | Kind.BEST_MEDIUM:
            media = _numbered(typed, "media_%d")
            told["media"] = [name for _place, name in media]
            to |= {name: typed.get(f"media_{place}_to", "") for place, name in media}
        case Kind.SPLIT:
            arms = _numbered(typed, "arm_%d_name")
            told["key"] = typed.get("key", "")
            told["arms"] = {
                name: int((typed.get(f"arm_{place}_share") or 0) * 100) for place, name in arms
            }
            to |= {name: typed.get(f"arm_{place}_to", "") for place, name in arms}
        case Kind.WAIT_FOR_EVENT:
            told = {name: typed.get(name) for name in ("event", "timeout", "where")}
            names = str(typed.get("match_starter", "")).strip()
            parts = [part.strip() for part in names.split(",") if part.strip()]
            told["match_starter"] = names if names == "all" else parts
        case _:
            skip = {"was", "name", "kind", "place", "DELETE"}
            told = {
                name: value
                for name, value in typed.items()
                if name not in skip and not name.startswith("to_")
            }
    return {name: value for name, value in told.items() if value not in (None, "", [])}, to


def _numbered(typed: Mapping[str, Any], pattern: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for place in range(MOST_BRANCHES + 1):
        value = str(typed.get(pattern % place) or "").strip()
        if "branch" in pattern or "arm" in pattern:
            value = _NAME.sub("_", value.lower()).strip("_")[:32]
        if value and value not in {name for _place, name in found}:
            found.append((place, value))
    return found


def initial_of(step: StepDraft, place: int, follows: str) -> dict[str, Any]:
    """Return a stored step as the form shows it; what leads to the next one shows as that."""
    to = {name: "" if target == follows else target for name, target in step.to.items()}
    shown: dict[str, Any] = {"was": step.name, "name": step.name, "kind": step.kind, "place": place}
    told = dict(step.told)
    shown |= {f"to_{name}": target for name, target in to.items()}
    branches, media, arms = (told.pop(name, None) for name in ("branches", "media", "arms"))
    for number, row in enumerate(branches if isinstance(branches, list) else ()):
        name = str(row.get("id", ""))
        shown |= {f"branch_{number}_name": name, f"branch_{number}_when": row.get("when"),
                  f"branch_{number}_to": to.get(name, "")}  # fmt: skip
    for number, name in enumerate(media if isinstance(media, list) else ()):
        shown |= {f"media_{number}": name, f"media_{number}_to": to.get(str(name), "")}
    for number, (name, weight) in enumerate((arms if isinstance(arms, dict) else {}).items()):
        share = Decimal(weight) / 100 if isinstance(weight, int) else None
        shown |= {f"arm_{number}_name": name, f"arm_{number}_share": share,
                  f"arm_{number}_to": to.get(name, "")}  # fmt: skip
    starter = told.get("match_starter")
    if isinstance(starter, list):
        told["match_starter"] = ", ".join(str(one) for one in starter)
    return shown | told


class StepFormSet(
    forms.formset_factory(  # type: ignore[misc]
        StepForm, extra=1, max_num=MOST_STEPS, absolute_max=MOST_STEPS, validate_max=True,
        can_delete=True,
    )
):  # fmt: skip
    """The steps of a journey, in their order."""

    def kept(self) -> list[StepForm]:
        """Return the forms that are steps, in the order of their places."""
        forms_ = [
            (form.cleaned_data.get("place"), place, form)
            for place, form in enumerate(self.forms)
            if form.does and not form.cleaned_data.get("DELETE")
        ]
        last = 10**6
        forms_.sort(key=lambda one: (last if one[0] is None else one[0], one[1]))
        return [form for _at, _place, form in forms_]

    def clean(self) -> None:
        if any(self.errors):
            return
        kept = self.kept()
        taken = {form.cleaned_data["name"] for form in kept if form.cleaned_data["name"]}
        seen: set[str] = set()
        for form in kept:
            name = form.cleaned_data["name"]
            if not name:
                name = next_name(form.does, taken)
                form.cleaned_data["name"] = name
                taken.add(name)
            if name in seen:
                form.add_error("name", _("Another step is called “%s” already.") % name)
            seen.add(name)

    def drafts(self) -> list[StepDraft]:
        """Return the steps of a valid formset as they are stored."""
        kept = self.kept()
        names = {form.cleaned_data["was"]: form.cleaned_data["name"] for form in kept}
        names.pop("", None)
        return [form.draft(names) for form in kept]


def next_name(kind: str, taken: Iterable[str]) -> str:
    """Return a name that no step has: ``wait_1``."""
    known, place = set(taken), 1
    while f"{kind}_{place}" in known:
        place += 1
    return f"{kind}_{place}"
