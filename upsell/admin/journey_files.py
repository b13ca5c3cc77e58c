"""Journeys to a file and back, as JSON: look first, import then."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from upsell.admin.access import may_touch
from upsell.admin.uploads import text_of
from upsell.engine.journeys.definition import Fault
from upsell.models import Journey
from upsell.presenting import journeys as words
from upsell.services import journey_files
from upsell.services.journey_files import Outcome


def export(request: HttpRequest, row: Journey) -> HttpResponse:
    """Answer with a file of the draft, or of what is published where that is asked for."""
    published = request.GET.get("of") == "published" and row.version is not None
    text = journey_files.as_json(row, published=published)
    response = HttpResponse(text, content_type="application/json; charset=utf-8")
    what = f"-v{row.version.number}" if published and row.version is not None else ""
    response["Content-Disposition"] = f'attachment; filename="journey-{row.slug}{what}.json"'
    return response


def page(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Read a file, say what it would do, and do it when told to."""
    if not model_admin.has_import_permission(request):
        raise PermissionDenied
    context: dict[str, Any] = {}
    if request.method == "POST":
        context["text"] = request.POST.get("text", "")
        try:
            context["text"] = text = _text(request)
            document = journey_files.read(text)
            outcome = journey_files.import_(document)
            if not outcome.faults:
                _refuse(model_admin, request, outcome)
                if request.POST.get("commit") == "yes":
                    return _imported(
                        model_admin, request, journey_files.import_(document, commit=True)
                    )
            context |= _told(outcome)
        except ValidationError as error:
            context["error"] = " ".join(error.messages)
    answer: HttpResponse = model_admin.show(
        request, "import.html", _("Import a journey"), None, **context
    )
    return answer


def _text(request: HttpRequest) -> str:
    return text_of(
        request,
        wanted=_("Choose a file first: JSON, as it is exported here."),
        saved_as=_("JSON in UTF-8"),
    )


def _refuse(model_admin: Any, request: HttpRequest, outcome: Outcome) -> None:
    """Refuse what is not theirs to write.

    Raises:
        ValidationError: The journey runs in channels that are not theirs, or they have no right to
            write messages.
    """
    if not outcome.new:
        row = model_admin.get_queryset(request).filter(slug=outcome.slug).first()
        if row is None or not may_touch(request, row):
            told = _("There is a journey “%s” in sales channels that are not yours.")
            raise ValidationError(told % outcome.slug)
    user: Any = request.user
    for right, needed in (("add", any(one.new for one in outcome.templates)),
                          ("change", any(one.changed for one in outcome.templates))):  # fmt: skip
        if needed and not user.has_perm(f"upsell.{right}_messagetemplate"):
            raise ValidationError(_("The file writes messages too, and you may not write those."))


def _imported(model_admin: Any, request: HttpRequest, outcome: Outcome) -> HttpResponseRedirect:
    row = Journey.objects.get(slug=outcome.slug)
    if outcome.new:
        told = _("The draft is there. Say where it runs, then publish it.")
        model_admin.log_addition(request, row, _("Imported from a file."))
    else:
        told = _("The draft is as the file has it; what is live goes on as it was published.")
        model_admin.log_change(request, row, _("Imported from a file."))
    model_admin.message_user(request, told)
    return redirect("admin:upsell_journey_change", row.pk)


def _told(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as the page shows it."""
    steps = [
        {
            "name": step.name,
            "what": words.step_in_words(step.kind, step.told),
            "mark": "new" if step.name in outcome.added else
            "changed" if step.name in outcome.changed else "",
        }
        for step in outcome.steps
    ]  # fmt: skip
    return {
        "outcome": outcome,
        "faults": [_line(fault) for fault in outcome.faults],
        "to_do": [_line(fault) for fault in outcome.to_do],
        "steps": steps,
        "changes": [_setting(name) for name in outcome.changes],
    }


def _line(fault: Fault) -> str:
    return f"{fault.path}: {fault.message}"


_PARTS = {
    "definition.start": "event",
    "definition.entry": "policy",
    "definition.exit": "exits",
    "definition.goals": "goals",
}


def _setting(name: str) -> str:
    """Return what a setting is called on the form."""
    return str(Journey._meta.get_field(_PARTS.get(name, name)).verbose_name)  # type: ignore[union-attr]
