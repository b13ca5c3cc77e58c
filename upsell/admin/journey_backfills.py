"""Let past events into a journey: staff look at who would enter, start it, and may stop it."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from upsell import clock
from upsell.exceptions import UpsellError
from upsell.models import Backfill, Journey
from upsell.presenting import journey_runs as words
from upsell.services import backfilling
from upsell.services.order_events import PLACED

SHOWN = 10
"""Of those that are over, the newest."""
PLAIN = {"type": "date"}


class BackfillForm(forms.Form):
    """Which events, and how fast."""

    since = forms.DateField(
        label=gettext_lazy("First day"), widget=forms.DateInput(attrs=PLAIN, format="%Y-%m-%d")
    )
    until = forms.DateField(
        label=gettext_lazy("Last day, included"),
        widget=forms.DateInput(attrs=PLAIN, format="%Y-%m-%d"),
    )
    of = forms.ChoiceField(
        label=gettext_lazy("From"),
        choices=Backfill.Of.choices,
        initial=Backfill.Of.EVENTS,
        help_text=gettext_lazy("The shop's orders go back further than what was told of them."),
    )
    per_minute = forms.IntegerField(
        label=gettext_lazy("Events a minute"),
        min_value=1,
        max_value=backfilling.MOST_A_MINUTE,
        initial=20,
        help_text=gettext_lazy("So many are looked at in a minute; who does not enter counts too."),
    )

    def __init__(self, *args: Any, event: str, **options: Any) -> None:
        super().__init__(*args, **options)
        if event != PLACED:
            del self.fields["of"]

    def clean(self) -> dict[str, Any]:
        told: dict[str, Any] = super().clean() or {}
        since, until = told.get("since"), told.get("until")
        if since and until and until < since:
            self.add_error("until", _("It ends before it begins."))
        return told

    @property
    def walks(self) -> str:
        """What is walked along."""
        return str(self.cleaned_data.get("of") or Backfill.Of.EVENTS)

    def times(self, *, now: datetime) -> tuple[datetime, datetime]:
        """Return the instants of its days, in the site's time zone; none lies ahead."""
        zone = timezone.get_current_timezone()

        def begins(day: Any) -> datetime:
            return datetime.combine(day, time(0), tzinfo=zone)

        until = begins(self.cleaned_data["until"] + timedelta(days=1))
        return begins(self.cleaned_data["since"]), min(until, now)


def page(model_admin: Any, request: HttpRequest, row: Journey) -> HttpResponse:
    """Ask which events, say who would enter, and start; beside it, how far those before are."""
    sent = request.POST if request.method == "POST" else None
    if sent is not None and "stop" in sent:
        return _stopped(model_admin, request, row, sent["stop"])
    form = BackfillForm(sent, event=row.event)
    context: dict[str, Any] = {"row": row, "form": form, "problems": []}
    mine = Backfill.objects.filter(journey=row)
    running = mine.filter(state=Backfill.State.RUNNING).first()
    if sent is not None and form.is_valid() and running is None:
        now = clock.database_now()
        try:
            since, until = form.times(now=now)
            if sent.get("confirmed") == "yes":
                return _started(model_admin, request, row, form, since, until, now)
            context["preview"] = _previewed(row, since, until, form.walks, now)
        except UpsellError as error:
            context["problems"] = [str(error)]
    rows = mine.select_related("created_by").order_by("-created_at", "-pk")
    context |= {
        "running": None if running is None else _told(running),
        "over": [_told(one) for one in rows.exclude(state=Backfill.State.RUNNING)[:SHOWN]],
        "live": row.state == Journey.State.LIVE,
    }
    answer: HttpResponse = model_admin.show(
        request, "backfill.html", _("Let past events in"), row, **context
    )
    return answer


def _previewed(
    row: Journey, since: datetime, until: datetime, of: str, now: datetime
) -> dict[str, Any]:
    found = backfilling.preview(row, since=since, until=until, of=of, now=now)
    return {
        "events": found.events,
        "buyers": found.buyers,
        "looked_at": found.looked_at,
        "is_part": found.looked_at < found.events,
        "entered": found.entered,
        "refused": _reasons(found.refused),
    }


def _started(
    model_admin: Any,
    request: HttpRequest,
    row: Journey,
    form: BackfillForm,
    since: datetime,
    until: datetime,
    now: datetime,
) -> HttpResponse:
    made = backfilling.start(
        row,
        since=since,
        until=until,
        per_minute=form.cleaned_data["per_minute"],
        of=form.walks,
        user=request.user,
        now=now,
    )
    text = ngettext(
        "%(count)d past event is let in, %(many)d a minute.",
        "%(count)d past events are let in, %(many)d a minute.",
        made.total,
    ) % {"count": made.total, "many": made.per_minute}  # fmt: skip
    messages.success(request, text)
    model_admin.log_change(request, row, f"{text} {made}")
    return redirect("admin:upsell_journey_backfill", row.pk)


def _stopped(model_admin: Any, request: HttpRequest, row: Journey, typed: str) -> HttpResponse:
    mine = Backfill.objects.filter(journey=row)
    backfill = next((one for one in mine if str(one.pk) == typed), None)
    try:
        if backfill is not None:
            backfilling.stop(backfill.pk, now=clock.database_now())
            text = _("Nobody more is let in. Who entered stays in the journey.")
            messages.success(request, text)
            model_admin.log_change(request, row, f"{text} {backfill}")
    except UpsellError as error:
        messages.error(request, str(error))
    return redirect("admin:upsell_journey_backfill", row.pk)


def _told(one: Backfill) -> dict[str, Any]:
    return {"one": one, "refused": _reasons(one.refused)}


def _reasons(counts: Any) -> list[tuple[str, int]]:
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    return [(words.reason_in_words(reason), count) for reason, count in rows]
