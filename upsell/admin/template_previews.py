"""A message as a buyer gets it: a page with choices, a frame that can do nothing, and a test."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin

from upsell import clock
from upsell.admin import finding
from upsell.admin.access import may_see_channel
from upsell.exceptions import UpsellError
from upsell.models import MessageTemplate
from upsell.services import template_previews, templates
from upsell.services.template_previews import Preview

# Mail programs read styles in the elements alone, so they are allowed here, and nothing else is.
FRAME_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_DARK = "@media (prefers-color-scheme: dark)"


def page(model_admin: Any, request: HttpRequest, row: MessageTemplate) -> HttpResponse:
    """Show the frame, and let staff choose order, language, width, light or dark, or the text."""
    asked = request.GET.get("order", "").strip()[:190]
    problem, order_ref = "", ""
    if asked:
        found = finding.order(request, asked) if _may_ask(request) else None
        order_ref = found.ref if found else ""
        problem = "" if found else finding.unknown(asked)
    language = _language(request, row)
    told = _preview(request, row, language, order_ref)
    shown = {
        "language": language,
        "order": asked,
        "width": "phone" if request.GET.get("width") == "phone" else "",
        "theme": "dark" if request.GET.get("theme") == "dark" else "",
        "part": "text" if request.GET.get("part") == "text" else "",
    }

    def choice(name: str, *options: tuple[str, Any]) -> list[dict[str, Any]]:
        return [
            {"name": words, "url": _query(shown | {name: value}), "is": shown[name] == value}
            for value, words in options
        ]

    frame_url = reverse("admin:upsell_messagetemplate_frame", args=[row.pk])
    framed = {"language": language, "order": order_ref, "theme": shown["theme"]}
    return TemplateResponse(
        request,
        "admin/upsell/messagetemplate/preview.html",
        {
            **model_admin.admin_site.each_context(request),
            "title": _("As the buyer gets it"),
            "opts": model_admin.opts,
            "media": model_admin.media,
            "original": row,
            "row": row,
            "asked": asked,
            "problem": problem,
            "told": told,
            "choices": [
                (
                    _("Language"),
                    choice("language", *((code, code) for code in sorted(row.content))),
                ),
                (_("Part"), choice("part", ("", _("mail")), ("text", _("plain text")))),
                (_("Width"), choice("width", ("", _("desk")), ("phone", _("phone")))),
                (_("Colours"), choice("theme", ("", _("light")), ("dark", _("dark")))),
            ],
            "shown": shown,
            "frame_url": frame_url + _query(framed),
            "may_ask": _may_ask(request),
            "recent": finding.recent(request) if _may_ask(request) else [],
            "may_change": model_admin.has_change_permission(request, row),
            "address": str(getattr(request.user, "email", "") or ""),
        },
    )


@xframe_options_sameorigin
def frame(request: HttpRequest, row: MessageTemplate) -> HttpResponse:
    """Show the mail by itself. Whatever stands in it, it cannot run, open or send anything."""
    order_ref = request.GET.get("order", "")
    told = _preview(request, row, _language(request, row), order_ref)
    html = told.rendered.html if told.rendered is not None else ""
    dark = request.GET.get("theme") == "dark"
    html = html.replace(_DARK, "@media all" if dark else "@media not all")
    html = html.replace("light dark", "dark" if dark else "light")
    # A link of a frame that may not open windows does nothing.
    html = html.replace("<head>", '<head><base target="_blank">', 1)
    response = HttpResponse(html)
    response["Content-Security-Policy"] = FRAME_POLICY
    response["Cache-Control"] = "private, no-store"
    return response


def test(request: HttpRequest, row: MessageTemplate) -> HttpResponse:
    """Mail it to the member of staff who asks, and to nobody else."""
    back = redirect("admin:upsell_messagetemplate_preview", row.pk)
    if request.method != "POST":
        return back
    language = request.POST.get("language", "")
    asked = request.POST.get("order", "").strip()[:190]
    found = finding.order(request, asked) if asked and _may_ask(request) else None
    language = language if language in row.content else row.default_language
    back["Location"] += _query({"language": language, "order": asked})
    told = _preview(request, row, language, found.ref if found else "")
    address = str(getattr(request.user, "email", "") or "")
    if told.rendered is None:
        messages.error(request, _("It cannot be shown yet, so it cannot be sent either."))
    elif not address:
        messages.error(request, _("Your own account has no mail address."))
    else:
        channel = told.occasion.channel if told.occasion is not None else ""
        try:
            templates.send_test(told.rendered, to=address, channel=channel)
        except OSError:
            messages.error(request, _("The mail server did not take it."))
        else:
            messages.success(request, _("It is on its way to %s.") % address)
    return back


def _may_ask(request: HttpRequest) -> bool:
    return request.user.has_perm("upsell.simulate_campaign")


def _preview(request: HttpRequest, row: MessageTemplate, language: str, order_ref: str) -> Preview:
    """Return the preview; a real order only for those who may simulate, in their channels."""
    if order_ref and not _may_ask(request):
        raise PermissionDenied
    if "\x00" in order_ref:
        order_ref = ""
    try:
        told = template_previews.preview(
            row, language=language, order_ref=order_ref, now=clock.now()
        )
    except (UpsellError, LookupError, ValueError):
        return Preview()
    if told.occasion is not None and not may_see_channel(request, told.occasion.channel):
        raise PermissionDenied
    return told


def _language(request: HttpRequest, row: MessageTemplate) -> str:
    asked = request.GET.get("language", "")
    return asked if asked in row.content else row.default_language


def _query(values: dict[str, str]) -> str:
    return "?" + urlencode({name: value for name, value in values.items() if value})
