"""Walk it through: a journey as it would go for one buyer, without a clock and without a row."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta, tzinfo
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell import clock
from upsell.admin.conditions import value_of
from upsell.engine.conditions import Asked, FactSpec, FactType, Tree, conditions
from upsell.engine.journeys.definition import MEDIA, Definition, Kind
from upsell.engine.journeys.simulate import Story, simulate
from upsell.models import Journey
from upsell.presenting import journey_runs as run_words
from upsell.presenting import journeys as words
from upsell.services import facts, journey_drafts

MOST_FACTS = 20
"""So many facts are asked for; a journey that looks at more is walked with the first."""


class WalkForm(forms.Form):
    """When it begins, what is known, and by what the buyer may be reached."""

    begun = forms.DateTimeField(
        label=gettext_lazy("Begins"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"],
    )
    reached_by = forms.MultipleChoiceField(
        label=gettext_lazy("May be reached by"),
        required=False,
        choices=[(name, words.MEDIUM_WORDS[name]) for name in MEDIA],
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(
        self, *args: Any, asked: Collection[Asked], specs: Mapping[str, FactSpec], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._asked = {f"fact_{place}": one for place, one in enumerate(asked)}
        self._specs = specs
        for name, one in self._asked.items():
            spec = specs[one.fact]
            closer = ", ".join(f"{key} {value}" for key, value in one.args)
            label = spec.label or spec.name
            self.fields[name] = forms.CharField(
                label=f"{label} ({closer})" if closer else label,
                required=False,
                max_length=1000,
                widget=_BOOLS() if spec.type is FactType.BOOL else None,
                help_text=_EXAMPLES.get(spec.type, ""),
            )

    def clean(self) -> dict[str, Any]:
        told: dict[str, Any] = super().clean() or {}
        told["facts"] = {}
        for name, one in self._asked.items():
            typed = (told.get(name) or "").strip()
            if not typed:
                continue
            try:
                told["facts"][one] = value_of(typed, self._specs[one.fact])
            except forms.ValidationError as error:
                self.add_error(name, error)
        return told


class _BOOLS(forms.Select):
    def __init__(self) -> None:
        choices = [("", _("not known")), ("yes", _("yes")), ("no", _("no"))]
        super().__init__(choices=choices)


_EXAMPLES: Mapping[FactType, Any] = {
    FactType.MONEY: gettext_lazy("Such as EUR 120.00. Empty: not known."),
    FactType.REFS: gettext_lazy("With commas between. Empty: not known."),
    FactType.INT: gettext_lazy("A whole number. Empty: not known."),
    FactType.DECIMAL: gettext_lazy("Such as 0.8. Empty: not known."),
    FactType.DURATION: gettext_lazy("Such as 3 days. Empty: not known."),
    FactType.DATETIME: gettext_lazy("Such as 2026-03-02T10:00:00+00:00. Empty: not known."),
    FactType.TEXT: gettext_lazy("Empty: not known."),
}


def page(model_admin: Any, request: HttpRequest, row: Journey) -> HttpResponse:
    """Answer with the walk, as a dated list. Nothing is saved: the form is a GET."""
    found = journey_drafts.look_at(row)
    context: dict[str, Any] = {"row": row, "faults": model_admin.findings(row)["faults"]}
    if found.plan is not None:
        asked = _asked(found.plan)[:MOST_FACTS]
        sent = request.GET if "begun" in request.GET else None
        now = timezone.localtime(clock.now()).replace(second=0, microsecond=0)
        initial = {"begun": now, "reached_by": ["email"]}
        initial |= {
            f"fact_{place}": "no"
            for place, one in enumerate(asked)
            if one.fact in {"purchased", "returned"}
        }
        form = WalkForm(sent, asked=asked, specs=facts.specs(), initial=initial)
        context["form"] = form
        if form.is_valid():
            story = simulate(
                found.plan,
                begun=form.cleaned_data["begun"],
                unit="v:walk",
                zone=_zone(),
                facts=form.cleaned_data["facts"],
                media=form.cleaned_data["reached_by"],
            )
            context |= _told(found, story, form.cleaned_data["begun"])
    answer: HttpResponse = model_admin.show(
        request, "walk.html", _("Walk it through"), row, **context
    )
    return answer


def _zone() -> tzinfo:
    return timezone.get_current_timezone()


def _asked(plan: Definition) -> list[Asked]:
    """Return the facts that checks on the way look at, in the order of the steps."""
    found: dict[Asked, None] = {}
    for step in plan.steps.values():
        if step.kind is Kind.CHECK:
            branches: list[tuple[str, Tree]] = list(step.told["branches"])  # type: ignore[call-overload]
            for _name, tree in branches:
                found |= dict.fromkeys(one.asked for one in conditions(tree))
    return list(found)


def _told(found: journey_drafts.Look, story: Story, begun: Any) -> dict[str, Any]:
    steps = found.document["steps"]
    rows: Mapping[str, Mapping[str, object]] = steps if isinstance(steps, Mapping) else {}
    lines = []
    for hop in story.hops:
        told = rows.get(hop.step, {})
        kind = str(told.get("type", ""))
        lines.append(
            {
                "at": hop.at,
                "kind": kind,
                "what": run_words.hop_in_words(hop.step, kind, told, hop.outcome),
                "why": run_words.reason_in_words(hop.because) if hop.because else "",
                "after": words.length_in_words(hop.at - begun) if hop.at - begun >= _MINUTE else "",
            }
        )
    ended = run_words.reason_in_words(story.ended)
    return {"lines": lines, "over_at": story.at, "ended": ended, "walked": True}


_MINUTE = timedelta(minutes=1)
