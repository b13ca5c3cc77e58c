"""Move buyers who wait in an older version of a journey to another one: looked at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from upsell import clock
from upsell.exceptions import UpsellError
from upsell.models import Journey, JourneyVersion
from upsell.presenting import journeys as words
from upsell.queries import journeys as counted
from upsell.services import journey_plans, journey_states


class VersionForm(forms.Form):
    """The version that they are moved to."""

    version = forms.TypedChoiceField(label=gettext_lazy("To version"), coerce=int)

    def __init__(self, *args: Any, versions: Sequence[JourneyVersion], **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["version"]
        field.choices = [(one.number, str(one.number)) for one in versions]


class StepsForm(forms.Form):
    """Where each step leads whose buyers wait: to the one of the same name, if there is one."""

    def __init__(
        self, *args: Any, standing: Mapping[str, int], steps: Mapping[str, str], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.standing = standing
        choices = [("", _("choose a step")), *steps.items()]
        for name, count in standing.items():
            there = ngettext("%d buyer is there.", "%d buyers are there.", count) % count
            self.fields[f"step-{name}"] = forms.ChoiceField(
                label=name,
                choices=choices,
                required=False,
                initial=name if name in steps else "",
                help_text=there,
            )

    def clean(self) -> dict[str, Any]:
        told: dict[str, Any] = super().clean() or {}
        for name, count in self.standing.items():
            if f"step-{name}" in told and not told[f"step-{name}"]:
                text = ngettext(
                    "%(count)d buyer stands at “%(step)s”: say where they go.",
                    "%(count)d buyers stand at “%(step)s”: say where they go.",
                    count,
                )
                self.add_error(f"step-{name}", text % {"count": count, "step": name})
        return told

    def steps(self) -> dict[str, str]:
        """Return old step to new one."""
        return {name: self.cleaned_data[f"step-{name}"] for name in self.standing}


def page(model_admin: Any, request: HttpRequest, row: Journey) -> HttpResponse:
    """Choose the version and where each step leads; look at it; then move."""
    versions = list(row.versions.order_by("-number"))
    chosen = _chosen(request, row, versions)
    context: dict[str, Any] = {"row": row, "problems": [], "version": chosen}
    if chosen is not None:
        context["versions"] = VersionForm(initial={"version": chosen.number}, versions=versions)
        context |= _steps(model_admin, request, row, chosen)
    if context.get("moved") is not None:
        return redirect("admin:upsell_journey_change", row.pk)
    title = _("Move buyers who wait")
    answer: HttpResponse = model_admin.show(request, "move.html", title, row, **context)
    return answer


def _chosen(
    request: HttpRequest, row: Journey, versions: Sequence[JourneyVersion]
) -> JourneyVersion | None:
    """Return the version that was asked for; else the one that buyers enter."""
    typed = request.POST.get("version") or request.GET.get("version") or ""
    by_number = {str(one.number): one for one in versions}
    current = next((one for one in versions if one.pk == row.version_id), None)
    return by_number.get(typed, current)


def _steps(
    model_admin: Any, request: HttpRequest, row: Journey, version: JourneyVersion
) -> dict[str, Any]:
    standing = counted.waiting_elsewhere(row.pk, version.pk)
    try:
        plan = journey_plans.plan_of(version.pk)
    except LookupError as error:
        return {"problems": [str(error)]}
    rows: Mapping[str, Any] = version.definition.get("steps") or {}
    steps = {
        name: f"{name} · {words.step_in_words(step.kind, rows.get(name, {}))}"
        for name, step in plan.steps.items()
    }
    sent = request.POST if request.method == "POST" and "steps" in request.POST else None
    form = StepsForm(sent, standing=standing, steps=steps)
    context: dict[str, Any] = {"form": form, "count": sum(standing.values())}
    if sent is None or not form.is_valid() or not standing:
        return context
    chosen = form.steps()
    if sent.get("confirmed") == "yes":
        try:
            moved = journey_states.move_runs(
                row, to=version, steps=chosen, now=clock.database_now()
            )
        except UpsellError as error:
            return context | {"problems": [str(error)]}
        _note(model_admin, request, row, version, moved, chosen)
        return context | {"moved": moved}
    told = [
        {"name": name, "to": steps[chosen[name]], "same": chosen[name] == name, "count": count}
        for name, count in standing.items()
    ]
    return context | {"told": told, "hidden": [(f"step-{a}", b) for a, b in chosen.items()]}


def _note(
    model_admin: Any,
    request: HttpRequest,
    row: Journey,
    version: JourneyVersion,
    moved: int,
    chosen: Mapping[str, str],
) -> None:
    """Say what was done, on the page and in the history."""
    others = ", ".join(f"{old} → {new}" for old, new in chosen.items() if old != new)
    text = ngettext(
        "%(count)d buyer was moved to version %(number)d.",
        "%(count)d buyers were moved to version %(number)d.",
        moved,
    ) % {"count": moved, "number": version.number}  # fmt: skip
    messages.success(request, text)
    model_admin.log_change(request, row, f"{text} {others}".strip())
