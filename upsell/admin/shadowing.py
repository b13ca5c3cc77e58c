"""All campaigns together: which can never win, which share a priority, what nobody buys."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from upsell import clock
from upsell.admin.access import allowed_channels
from upsell.admin.widgets import labels
from upsell.engine.campaigns import Match
from upsell.models import CampaignTrigger
from upsell.presenting.campaigns import Label, value_in_words
from upsell.services import shadowing

_LISTED = 8
"""So many equals are named; the others are counted."""


def page(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Show the report."""
    if not model_admin.has_simulate_permission(request):
        raise PermissionDenied
    told = shadowing.report(now=clock.now(), channels=allowed_channels(request))
    label = labels()
    return TemplateResponse(
        request,
        "admin/upsell/campaign/shadowing.html",
        {
            **model_admin.admin_site.each_context(request),
            "title": _("Campaigns that are in each other's way"),
            "opts": model_admin.opts,
            "media": model_admin.media,
            "told": told,
            "days": shadowing.PERIOD.days,
            "most": number_format(shadowing.MOST, force_grouping=True),
            "hopeless": [
                {"campaign": row.campaign, "by": row.by, "why": _why(row.why)}
                for row in told.hopeless
            ],
            "equals": [
                {
                    "priority": row.priority,
                    "channel": label("channel", row.channel),
                    "campaigns": row.campaigns[:_LISTED],
                    "more": max(len(row.campaigns) - _LISTED, 0),
                }
                for row in told.equals
            ],
            "unbought": _by_campaign(told.unbought.triggers, label),
        },
    )


def _why(code: str) -> str:
    return {
        "shadowed": _("It comes first and can be offered wherever this one can."),
        "nowhere": _("No sales channel is chosen, so it runs nowhere."),
        "no_trigger": _("Nothing triggers it, so it never appears."),
    }[code]


def _by_campaign(triggers: tuple[CampaignTrigger, ...], label: Label) -> list[dict[str, Any]]:
    found: dict[Any, list[dict[str, Any]]] = {}
    for row in triggers:
        plain = {"kind": row.kind, "ref": row.ref, "exact": row.exact, "quantity": row.quantity}
        found.setdefault(row.campaign, []).append(plain)
    return [
        {
            "campaign": campaign,
            "triggers": value_in_words("triggers", rows, label),
            "all": campaign.match == Match.ALL or len(rows) == len(campaign.triggers.all()),
        }
        for campaign, rows in found.items()
    ]
