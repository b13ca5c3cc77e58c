"""How often each reason refused one campaign lately, in words, with what to do about it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from upsell import clock
from upsell.admin.access import allowed_channels
from upsell.models import Campaign
from upsell.presenting.reasons import in_words, remedy
from upsell.services.refusals import MOST, PERIOD, Refusals, refusals_of


def page(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Show what became of the campaign in the decisions of the last 30 days."""
    # The right is asked for before the row: who may see nothing is told the same of every key.
    if not model_admin.has_simulate_permission(request):
        raise PermissionDenied
    campaign: Campaign = get_object_or_404(model_admin.get_queryset(request), pk=pk)
    told = refusals_of(campaign_id=campaign.pk, now=clock.now(), channels=allowed_channels(request))
    form = reverse("admin:upsell_campaign_change", args=[campaign.pk])
    return TemplateResponse(
        request,
        "admin/upsell/campaign/refusals.html",
        {
            **model_admin.admin_site.each_context(request),
            "title": _("Why it was not shown"),
            "opts": model_admin.opts,
            "media": model_admin.media,
            "original": campaign,
            "days": PERIOD.days,
            "told": told,
            "most": number_format(MOST, force_grouping=True),
            "looked_at": told.decisions - told.absent,
            "rows": [_row(code, count, told, form) for code, count in told.reasons],
            "may_edit": model_admin.has_change_permission(request, campaign),
        },
    )


def _row(code: str, count: int, told: Refusals, form: str) -> dict[str, Any]:
    words, place = remedy(code)
    looked_at = told.decisions - told.absent
    return {
        "reason": in_words(code),
        "code": code,
        "count": count,
        "percent": round(100 * count / looked_at),
        "to_do": words,
        "url": f"{form}#{place}" if place else "",
    }
