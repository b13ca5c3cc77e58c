"""Timing: how long after the main purchase more is bought, and when an offer is taken."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from upsell import clock
from upsell.admin.lists import names_of
from upsell.admin.ranges import Names, ResultsForm
from upsell.models import Campaign
from upsell.presenting import timing as words
from upsell.services import timing
from upsell.services.results import Asked

DOWNLOADS = ("gaps", "minutes", "hours")


class TimingForm(ResultsForm):
    """The range of days; it reads offers, so it is a shorter one."""

    moment = None  # type: ignore[assignment]
    split = None  # type: ignore[assignment]
    longest = timing.LONGEST

    def too_long(self) -> str:
        return _("Timing is read from the offers, of %(days)d days at most: take a shorter range."
                 ) % {"days": self.longest}  # fmt: skip


def page(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Show the page, or one of its downloads."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    names = Names(request)
    form = TimingForm(request, names, timezone.localdate(clock.now()))
    by = request.GET.get("csv", "")
    told: dict[str, Any] = {}
    if form.is_valid():
        if by in DOWNLOADS:
            return _download(form.asked(), by)
        told = _context(form.asked())
    query = {name: form.data[name] for name in form.fields if form.data[name]}
    return TemplateResponse(
        request,
        "admin/upsell/timing.html",
        {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.opts,
            "media": model_admin.media,
            "title": _("Timing"),
            "form": form,
            "query": f"?{urlencode(query)}&",
            "memory": timing.MEMORY.days,
            "least": timing.LEAST,
            **told,
        },
    )


def _context(asked: Asked) -> dict[str, Any]:
    named = names_of("category")
    ends = timing.part(now=clock.now())
    gaps = timing.by_category(now=clock.now(), channels=_channels(asked), ends=ends)
    return {
        "asked": asked,
        "in_part": bool(ends),
        "of_campaign": _of_campaign(asked, ends),
        "gaps": words.gap_chart(gaps, lambda ref: named.get(ref, ref)),
        "minutes": words.taken_chart(
            _minutes(asked), _("Acceptance by time since checkout"), _("Shown after checkout")
        ),
        "hours": words.taken_chart(
            _hours(asked), _("Acceptance by hour of the day"), _("Shown between")
        ),
    }


def _channels(asked: Asked) -> frozenset[str] | None:
    return asked.channels if asked.channel is None else frozenset({asked.channel})


def _of_campaign(asked: Asked, ends: str) -> dict[str, Any] | None:
    """Return what is known of the campaign asked for; none = no campaign is."""
    if asked.campaign is None:
        return None
    row = Campaign.objects.prefetch_related("triggers").get(pk=asked.campaign)
    gap = timing.of_campaign(row, now=clock.now(), channels=_channels(asked), ends=ends)
    told = None
    if gap is not None:
        quarters = (gap.first_quarter, gap.median, gap.third_quarter)
        told = dict(zip(("low", "median", "high"), map(words.length, quarters), strict=True))
    return {
        "campaign": row,
        "gap": gap,
        "told": told,
        "can_be_told": timing.can_be_told(row),
    }


def _minutes(asked: Asked) -> list[words.Stretch]:
    return words.stretches(timing.by_minutes(asked), timing.MINUTES, timing.NOT_MIRRORED)


def _hours(asked: Asked) -> list[words.Stretch]:
    return words.hours(timing.by_hour(asked))


def _download(asked: Asked, by: str) -> HttpResponse:
    if by == "gaps":
        named = names_of("category")
        gaps = timing.by_category(now=clock.now(), channels=_channels(asked))
        text = words.gaps_as_csv(gaps, lambda ref: named.get(ref, ref))
    elif by == "minutes":
        text = words.taken_as_csv("since_checkout", _minutes(asked))
    else:
        text = words.taken_as_csv("hour", _hours(asked))
    name = f"timing-{by}-{asked.first}-{asked.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)
