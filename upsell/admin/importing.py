"""Campaigns to a file and back: look first, import then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from upsell.admin.access import allowed_channels, may_touch
from upsell.admin.uploads import MOST_BYTES, text_of
from upsell.admin.widgets import labels
from upsell.models import Campaign
from upsell.presenting.campaigns import differences
from upsell.services import campaign_files
from upsell.services.campaign_files import Outcome, Row


def export(rows: QuerySet[Any], kind: str) -> HttpResponse:
    """Answer with a file of these campaigns."""
    ranked = rows.order_by("-priority", "-edited_at", "-pk")
    text, mime = {
        "json": (campaign_files.as_json, "application/json"),
        "csv": (campaign_files.as_csv, "text/csv"),
    }[kind]
    response = HttpResponse(text(ranked), content_type=f"{mime}; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="campaigns.{kind}"'
    return response


def page(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Read a file, say what it would do, and do it when told to."""
    if not model_admin.has_import_permission(request):
        raise PermissionDenied
    context: dict[str, Any] = {"title": _("Import campaigns")}
    if request.method == "POST":
        try:
            context["text"] = text = _text(request)
            rows = campaign_files.read(text)
            _refuse_foreign(request, rows)
            commit = request.POST.get("commit") == "yes"
            outcomes = campaign_files.import_(rows, commit=commit, user=request.user)
        except ValidationError as error:
            context["error"] = " ".join(error.messages)
        else:
            refused = any(outcome.errors for outcome in outcomes)
            if commit and not refused:
                return _imported(model_admin, request, outcomes)
            context |= {"outcomes": outcomes, "told": _told(outcomes), "refused": refused}
    return TemplateResponse(
        request,
        "admin/upsell/campaign/import.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.opts,
            "media": model_admin.media,
            **context,
        },
    )


def _text(request: HttpRequest) -> str:
    return text_of(
        request,
        wanted=_("Choose a file first: JSON or CSV, as it is exported here."),
        saved_as=_("“CSV UTF-8”, or as JSON"),
        most=MOST_BYTES,
    )


def _refuse_foreign(request: HttpRequest, rows: Sequence[Row]) -> None:
    allowed = allowed_channels(request)
    if allowed is None:
        return
    listed = [row.get("channels") or [] for row in rows]
    named = {str(ref) for refs in listed if isinstance(refs, list) for ref in refs}
    stored = Campaign.objects.filter(slug__in=[str(row["slug"]) for row in rows]).order_by("pk")
    foreign = [row.name for row in stored if not may_touch(request, row)]
    if foreign or not named <= allowed:
        told = _("The file holds campaigns of channels that are not yours: %s.")
        raise ValidationError(told % ", ".join([*foreign, *sorted(named - allowed)]))


def _imported(model_admin: Any, request: HttpRequest, outcomes: Sequence[Outcome]) -> HttpResponse:
    done = [outcome for outcome in outcomes if outcome.new or outcome.changes]
    text = ngettext("%d campaign imported.", "%d campaigns imported.", len(done)) % len(done)
    same = len(outcomes) - len(done)
    if same:
        text += " " + ngettext("%d stayed as it was.", "%d stayed as they were.", same) % same
    messages.success(request, text)
    return redirect(f"{model_admin.admin_site.name}:upsell_campaign_changelist")


def _told(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    label = labels()
    return [{"outcome": row, "rows": differences(row.before, row.after, label)} for row in outcomes]
