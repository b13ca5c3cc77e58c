"""A campaign as the shopper sees it: a page with the choices, and a frame that can do nothing."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import translation
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin

from upsell import clock
from upsell.admin import finding
from upsell.admin.access import may_see_channel
from upsell.admin.widgets import label_of
from upsell.exceptions import UpsellError
from upsell.models import Campaign
from upsell.presenting.offers import shown_offer
from upsell.presenting.reasons import in_words
from upsell.services import previewing
from upsell.services.previewing import Preview

# The words are staff's, the page is the shop's: neither may run, send or open anything here.
FRAME_POLICY = (
    "sandbox; default-src 'none'; style-src 'self' https:; img-src 'self' https: data:; "
    "font-src 'self' https:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_SCRIPT = re.compile(rb"<script\b.*?</script>", re.S | re.I)
"""Left out before the policy would stop it, so that no console is full of what was stopped."""


def page(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Show the frame, and let staff choose order, language and width."""
    campaign = _campaign(model_admin, request, pk)
    asked = request.GET.get("order", "").strip()[:190]
    problem, order_ref = "", ""
    if asked:
        found = finding.order(request, asked)
        order_ref = found.ref if found else ""
        problem = "" if found else finding.unknown(asked)
    told = _preview(request, campaign, order_ref)
    languages = sorted(row.language for row in campaign.copies.all())
    language = request.GET.get("language", "")
    if language not in languages:
        language = next(
            (code for code in languages if code == campaign.default_language),
            languages[0] if languages else "",
        )
    narrow = request.GET.get("width") == "phone"
    query = {"order": asked, "language": language, "width": "phone" if narrow else ""}
    frame_url = reverse("admin:upsell_campaign_frame", args=[campaign.pk])
    return TemplateResponse(
        request,
        "admin/upsell/campaign/preview.html",
        {
            **model_admin.admin_site.each_context(request),
            "title": _("As the shopper sees it"),
            "opts": model_admin.opts,
            "media": model_admin.media,
            "original": campaign,
            "asked": asked,
            "problem": problem,
            "told": told,
            "reason": _reason(told),
            "narrow": narrow,
            "languages": [
                {"code": code, "url": _query(query | {"language": code}), "is": code == language}
                for code in languages
            ],
            "wide_url": _query(query | {"width": ""}),
            "narrow_url": _query(query | {"width": "phone"}),
            "frame_url": f"{frame_url}{_query({'order': order_ref, 'language': language})}",
            "may_ask": model_admin.has_simulate_permission(request),
        },
    )


@xframe_options_sameorigin
def frame(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Show the offer in the shop's own frame, by the very template the shopper gets."""
    campaign = _campaign(model_admin, request, pk)
    told = _preview(request, campaign, request.GET.get("order", ""))
    language = request.GET.get("language") or campaign.default_language
    with translation.override(language):
        shown = shown_offer(told.page, now=clock.now()) if told.page else None
        response = TemplateResponse(
            request,
            "admin/upsell/campaign/frame.html",
            {
                "offer": shown,
                "words": campaign.copies.filter(language=language).first(),
                "product": label_of("product", campaign.product_ref),
            },
        ).render()
    response.content = _SCRIPT.sub(b"", response.content)
    response["Content-Security-Policy"] = FRAME_POLICY
    response["Cache-Control"] = "private, no-store"
    return response


def _campaign(model_admin: Any, request: HttpRequest, pk: int) -> Campaign:
    # The right is asked for before the row: who may see nothing is told the same of every key.
    if not model_admin.has_preview_permission(request):
        raise PermissionDenied
    campaign: Campaign = get_object_or_404(model_admin.get_queryset(request), pk=pk)
    if not model_admin.has_preview_permission(request, campaign):
        raise PermissionDenied
    return campaign


def _preview(request: HttpRequest, campaign: Campaign, order_ref: str) -> Preview:
    """Return the preview; a real order only for those who may simulate, in their channels."""
    if order_ref and not request.user.has_perm("upsell.simulate_campaign"):
        raise PermissionDenied
    if "\x00" in order_ref:
        return Preview(reason="no_order")
    try:
        told = previewing.preview(campaign=campaign, order_ref=order_ref, now=clock.now())
    except (UpsellError, LookupError, ValueError, ValidationError):
        return Preview(reason="no_order")
    if order_ref and told.occasion and not may_see_channel(request, told.occasion.channel):
        raise PermissionDenied
    return told


def _reason(told: Preview) -> str:
    if told.reason == "no_order":
        return _("There is no order yet to work amounts out with, so the words stand alone.")
    return in_words(told.reason) if told.reason else ""


def _query(values: dict[str, str]) -> str:
    return "?" + urlencode({name: value for name, value in values.items() if value})
