"""Health: is anything stuck, and what to do about it. One page that only reads."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy

from upsell import clock
from upsell.admin.access import allowed_channels
from upsell.admin.pages import PageAdmin
from upsell.models import GatewayHealth, Offer
from upsell.presenting import health as words
from upsell.presenting import timeline
from upsell.services import health, limiting

_LOCK_OUTS_LISTED = 20


@admin.register(GatewayHealth)
class HealthAdmin(PageAdmin):
    """Whether anything is stuck."""

    page_title = gettext_lazy("Health")
    page_template = "admin/upsell/health.html"

    def answer(self, request: HttpRequest) -> HttpResponse:
        return self.page(request, **_context(request))


def _context(request: HttpRequest) -> dict[str, Any]:
    now, channels = clock.database_now(), allowed_channels(request)
    measures = health.read(now=now, channels=channels)
    may_see = request.user.has_perm("upsell.view_offer")
    may_see_runs = request.user.has_perm("upsell.view_journeyrun")
    rows = [_row(measure, may_see=may_see, may_see_runs=may_see_runs) for measure in measures]
    locked = limiting.locked_out(now=now, channels=channels) if may_see else []
    return {
        "at": timeline.exactly(now),
        "rows": rows,
        "wrong": [row for row in rows if not row["fine"]],
        "unused": not Offer.objects.exists(),
        "gateways": _gateways(measures),
        "lock_outs": [_locked(row) for row in locked[:_LOCK_OUTS_LISTED]],
    }


def _row(measure: health.Measure, *, may_see: bool, may_see_runs: bool) -> dict[str, Any]:
    offer = measure.facts.get("offer")
    address = reverse("admin:upsell_offer_change", args=[offer]) if offer else ""
    if measure.name == "needs_attention" and offer:
        address = reverse("admin:upsell_offer_changelist") + "?attention=yes"
    if may_see_runs and measure.facts.get("run"):
        may_see = True
        address = reverse("admin:upsell_journeyrun_change", args=[measure.facts["run"]])
    return {
        "name": measure.name,
        "words": words.WORDS[measure.name],
        "value": words.number_in_words(measure.name, measure.count, measure.age),
        "fine": measure.fine,
        "failing": measure.facts.get("standing") == "failing",
        "address": address if may_see else "",
    }


def _gateways(measures: tuple[health.Measure, ...]) -> list[dict[str, Any]]:
    told = next(row for row in measures if row.name == "breaker").facts["gateways"]
    return [
        {
            "name": slug,
            "open": row["open"],
            "until": timeline.exactly(row["open_until"]),
            "failures": row["failures"],
        }
        for slug, row in told.items()
    ]


def _locked(row: limiting.LockOut) -> dict[str, Any]:
    return {
        "offer": row.offer_id,
        "address": reverse("admin:upsell_offer_change", args=[row.offer_id]),
        "why": timeline.reason_in_words(row.limit),
        "until": timeline.shortly(row.until),
        "buyer": row.buyer[:14] or "–",
        "network": row.address or "–",
    }
