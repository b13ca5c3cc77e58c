"""Who changed what of a campaign, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.template.loader import render_to_string

from upsell.admin.widgets import labels
from upsell.models import Campaign, CampaignRevision
from upsell.presenting.campaigns import Label, Told, Values, differences
from upsell.services import campaigns

MOST = 100


def edits(campaign: Campaign) -> list[dict[str, Any]]:
    """Return the latest edits, newest first, each with what it changed.

    The first one is told by what differs from an empty form.
    """
    rows = CampaignRevision.objects.filter(campaign=campaign).select_related("by")
    label = labels()
    return [
        {
            "revision": row,
            "first": not row.before,
            "rows": differences(row.before or campaigns.defaults(), row.after, label),
        }
        for row in rows.order_by("-number", "pk")[:MOST]
    ]


def table_of(before: Values, after: Values, label: Label) -> str:
    """Return a table of what differs, for a page that only shows."""
    rows: Sequence[Told] = differences(before, after, label)
    return render_to_string("admin/upsell/campaign/values.html", {"rows": rows})
