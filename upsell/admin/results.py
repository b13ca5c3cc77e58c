"""Results: what offers came to, by day, campaign, channel and moment. One page that only reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell import clock
from upsell.admin.access import may_see_channel, may_touch
from upsell.admin.pages import PageAdmin
from upsell.admin.ranges import Names, ResultsForm
from upsell.admin.timing import page as timing_page
from upsell.engine.metrics import OUTCOME
from upsell.exceptions import MissingExtra
from upsell.models import Alarm, DailyMetric, Progress
from upsell.presenting import guardrails as alarm_words
from upsell.presenting import holdout as holdout_words
from upsell.presenting import results as words
from upsell.presenting.metrics import SPLITS, WORDS
from upsell.services import guardrails, holdout, results, splits
from upsell.services.results import Asked, ByCurrency

USUAL = (7, 30, 90, 365)
STALE = timedelta(minutes=30)
BREAKDOWNS = ("campaign", "channel", "moment", "arm")


@admin.register(DailyMetric)
class ResultsAdmin(PageAdmin):
    """What offers came to, as a page or as a file."""

    page_title = gettext_lazy("Results")
    page_template = "admin/upsell/results.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(partial(timing_page, self))
        return [path("timing/", view, name="upsell_dailymetric_timing"), *super().get_urls()]

    def answer(self, request: HttpRequest) -> HttpResponse:
        names = Names(request)
        form = ResultsForm(request, names, timezone.localdate(clock.now()))
        by = request.GET.get("csv", "")
        split = form.cleaned_data["split"] if form.is_valid() else ""
        if form.is_valid() and by in ("day", *BREAKDOWNS):
            sums = results.sums_by(form.asked(), by)
            return _download(form.asked(), by, words.table_as_csv(by, sums, names.of(by)))
        if split and by == "split":
            sums = splits.sums_by(form.asked(), split)
            return _download(form.asked(), split, words.table_as_csv(split, sums, names.of(split)))
        told = _context(form.asked(), names) if form.is_valid() else {}
        if split:
            told["split"] = _split(form.asked(), split, names)
        about = {"form": form, "query": _query(form), "ranges": _ranges(form)}
        return self.page(request, **about, **_freshness(), **_alarms(request, names), **told)


def _alarms(request: HttpRequest, names: Names) -> dict[str, Any]:
    """Return what is alarming, of what this member of staff may see. Three statements."""
    rows = [
        row
        for row in Alarm.objects.select_related("campaign").order_by("tripped_at", "pk")
        if (may_see_channel(request, row.channel) if row.kind == Alarm.Kind.DISCOUNT
            else may_touch(request, row.campaign))
    ]  # fmt: skip
    looked = Progress.objects.filter(name=guardrails.NAME).values_list("at", flat=True).first()
    return {
        "alarms": alarm_words.told(rows, names.of("channel")),
        "watched_at": looked,
        "unwatched": alarm_words.cannot_be_watched(guardrails.unwatched(now=clock.now())),
    }


def _context(asked: Asked, names: Names) -> dict[str, Any]:
    by_day = results.sums_by(asked, "day")
    now = results.total(by_day)
    before = results.total(results.sums_by(asked.before, "day"))
    days = words.days_of(asked.first, asked.last)
    daily = {day: results.counts(sums) for day, sums in by_day.items()}
    total = words.row("", results.counts(now), now)
    earlier = words.row("", results.counts(before), before)
    return {
        "asked": asked,
        "before": asked.before,
        "first_day": None if now else results.first_day(asked.channels),
        "found": bool(now),
        "young": asked.last > timezone.localdate(clock.now() - OUTCOME),
        "total": total,
        "earlier": earlier,
        "tiles": words.tiles(total, earlier, now, before),
        "figures": words.figures(total, earlier) + words.amounts(now, before),
        "words": WORDS,
        "charts": [
            words.shown_chart(days, daily),
            words.acceptance_chart(days, daily),
            *(words.revenue_chart(days, by_day, currency) for currency in now),
        ],
        "tables": _breakdowns(asked, names),
        "holdout": _holdout(asked),
    }


def _holdout(asked: Asked) -> dict[str, Any]:
    """Return what offers really earned; it is of all campaigns, and so not filtered by one."""
    since = timezone.make_aware(datetime.combine(asked.first, time()))
    until = timezone.make_aware(datetime.combine(asked.last + timedelta(days=1), time()))
    channels = asked.channels if asked.channel is None else frozenset({asked.channel})
    try:
        found = holdout.earned(since=since, until=until, channels=channels)
    except MissingExtra as error:
        return {"missing": str(error)}
    return {
        "found": [
            holdout_words.in_words(currency, one.treated, one.held, one.incremental, holdout.FEWEST)
            for currency, one in found.items()
        ]
    }


def _breakdowns(asked: Asked, names: Names) -> list[dict[str, Any]]:
    """Return a table by each column that has more than one value."""
    titles = {
        "campaign": (_("By campaign"), _("Campaign")),
        "channel": (_("By sales channel"), _("Sales channel")),
        "moment": (_("By moment"), _("Moment")),
        "arm": (_("By arm of an experiment"), _("Arm")),
    }
    found = []
    for name in BREAKDOWNS:
        sums = results.sums_by(asked, name)
        if len(sums) > 1 or name == "campaign":
            title, head = titles[name]
            rows = _table(sums, names.of(name))
            found.append({"name": name, "title": title, "head": head, "rows": rows})
    return found


MOST = 30
"""So many lines of a split are shown; the download has all."""


def _split(asked: Asked, split: str, names: Names) -> dict[str, Any]:
    rows = _table(splits.sums_by(asked, split), names.of(split))
    return {
        "title": _("By who: %s") % str(SPLITS[split]).lower(),
        "head": str(SPLITS[split]),
        "rows": rows[:MOST],
        "more": max(len(rows) - MOST, 0),
    }


def _table(sums: Mapping[Any, ByCurrency], title_of: Callable[[Any], str]) -> list[words.Row]:
    """Return the values of a column, the most accepted first."""
    rows = [words.row(title_of(key), results.counts(by), by) for key, by in sums.items()]
    return sorted(rows, key=lambda row: (-row.tally.accepted, -row.tally.shown, row.title))


def _download(asked: Asked, by: str, text: str) -> HttpResponse:
    name = f"results-by-{by}-{asked.first}-{asked.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)


def _query(form: ResultsForm) -> str:
    """Return what is asked, as the beginning of a download's address."""
    return f"?{urlencode({name: form.data[name] for name in form.fields if form.data[name]})}&"


def _ranges(form: ResultsForm) -> list[dict[str, Any]]:
    """Return links to the usual ranges, up to today, with the filters as they are."""
    today = timezone.localdate(clock.now())
    kept = {
        name: form.data[name]
        for name in ("channel", "campaign", "moment", "split")
        if form.data[name]
    }
    found = []
    for days in USUAL:
        ends = {"first": str(today - timedelta(days=days - 1)), "last": str(today)}
        current = all(form.data[name] == day for name, day in ends.items())
        found.append({"days": days, "query": f"?{urlencode(ends | kept)}", "current": current})
    return found


def _freshness() -> dict[str, Any]:
    until = results.counted_until()
    return {"counted_until": until, "stale": until is None or clock.now() - until > STALE}
