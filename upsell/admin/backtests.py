"""Backtests: start one, watch it, read it, stop it. Whoever may simulate may do all of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell import clock
from upsell.admin import drafts
from upsell.admin.access import allowed_channels
from upsell.admin.badges import badge
from upsell.admin.widgets import labels
from upsell.models import BacktestRun
from upsell.presenting import backtests, timeline
from upsell.services import backtest

_REFRESH = "3"
"""Seconds until the page of a run that lives asks again."""
_SLOW = 120
"""Seconds after which somebody should look why no worker takes it up."""
_BADGES = {"WAITING": "scheduled", "RUNNING": "accepting", "DONE": "live", "CANCELLED": "off",
           "FAILED": "failed"}  # fmt: skip


@admin.register(BacktestRun)
class BacktestAdmin(admin.ModelAdmin):
    list_display = ("period", "tried", "standing", "looked_at", "started_by")
    list_select_related = ("started_by",)
    list_per_page = 50
    actions = None
    show_full_result_count = False
    change_list_template = "admin/upsell/backtestrun/change_list.html"

    class Media:
        css = {"all": ["upsell/admin/admin.css"]}

    # ------------------------------------------------------------------ who may

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("upsell.simulate_campaign")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Runs over their sales channels alone: others tell of orders that are not theirs."""
        rows = super().get_queryset(request)
        allowed = allowed_channels(request)
        if allowed is None:
            return rows
        # Compared here, not in SQL: not every database can look into a JSON list.
        known = rows.values_list("pk", "channels")
        return rows.filter(pk__in=[pk for pk, own in known if own and set(own) <= allowed])

    # ------------------------------------------------------------------ list

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-created_at", "-pk")

    @admin.display(description=gettext_lazy("orders of"), ordering="since")
    def period(self, run: BacktestRun) -> str:
        return f"{timeline.shortly(run.since)} – {timeline.shortly(run.until)}"

    @admin.display(description=gettext_lazy("with the campaign"))
    def tried(self, run: BacktestRun) -> str:
        return run.draft_name or "–"

    @admin.display(description=gettext_lazy("standing"), ordering="state")
    def standing(self, run: BacktestRun) -> str:
        if run.is_dead(clock.now()):
            return badge("failed", _("its process ended"))
        return badge(_BADGES[run.state], run.get_state_display())

    # ------------------------------------------------------------------ pages

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name="upsell_backtestrun_changelist"),
            path("start/", view(self.start), name="upsell_backtestrun_start"),
            path("<int:pk>/cancel/", view(self.cancel), name="upsell_backtestrun_cancel"),
            path("<int:pk>/csv/", view(self.csv), name="upsell_backtestrun_csv"),
            path("<int:pk>/change/", view(self.look), name="upsell_backtestrun_change"),
        ]

    def start(self, request: HttpRequest) -> HttpResponse:
        """Ask for the days and the campaign, and write the run down for a worker."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = request.POST if request.method == "POST" else request.GET
        days, typed = (asked.get(name, "").strip()[:190] for name in ("days", "with"))
        draft = drafts.chosen(request, typed)
        context: dict[str, Any] = {"title": _("Start a backtest")}
        if typed and draft is None:
            context["error"] = drafts.unknown(typed)
        elif request.method == "POST":
            try:
                run = backtest.start(
                    days=_number(days),
                    campaign_id=draft.pk if draft else None,
                    channels=allowed_channels(request) or (),
                    user=request.user,
                )
            except ValidationError as error:
                context["error"] = " ".join(error.messages)
            else:
                return redirect("admin:upsell_backtestrun_change", run.pk)
        return self._page(request, "start.html", {
            **context,
            "days": days or "30",
            "most": backtest.MOST_DAYS,
            "most_orders": number_format(backtest.MOST_ORDERS, force_grouping=True),
            "draft": draft,
            "drafts": drafts.offered(request, draft),
        })  # fmt: skip

    def look(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show how far it is; once it is done, what came of it."""
        run, now = self._run(request, pk), clock.now()
        dead = run.is_dead(now)
        lives = run.live is not None and not dead
        label = labels()
        response = self._page(request, "run.html", {
            "title": _("Backtest"),
            "run": run,
            "badge": self.standing(run),
            "dead": dead,
            "lives": lives,
            "slow": lives and run.began_at is None
                    and (now - run.created_at).total_seconds() > _SLOW,
            "percent": backtests.progress(run),
            "channels": ", ".join(label("channel", ref) for ref in run.channels),
            **(_results(run) if run.state == run.State.DONE else {}),
        })  # fmt: skip
        if lives:
            response["Refresh"] = _REFRESH
        return response

    def cancel(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Stop a run that lives; looking at this address changes nothing."""
        run = self._run(request, pk)
        if request.method == "POST":
            if backtest.cancel(run_id=run.pk):
                messages.success(request, _("It is cancelled."))
            else:
                messages.info(request, _("It had ended already."))
        return redirect("admin:upsell_backtestrun_change", run.pk)

    def csv(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Answer with the results as a file; an empty table where there are none yet."""
        run = self._run(request, pk)
        text = backtests.csv_of(run)
        response = HttpResponse(text, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="backtest-{run.pk}.csv"'
        return response

    def _run(self, request: HttpRequest, pk: int) -> BacktestRun:
        # The right is asked for before the row: who may see nothing is told the same of every key.
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = self.get_queryset(request).select_related("draft", "started_by")
        run: BacktestRun = get_object_or_404(rows, pk=pk)
        return run

    def _page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        return TemplateResponse(
            request,
            f"admin/upsell/backtestrun/{name}",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "media": self.media,
                **context,
            },
        )


def _number(typed: str) -> int:
    """Return what was typed as a number; 0, which is refused, where it is none."""
    return int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 9 else 0


def _results(run: BacktestRun) -> dict[str, Any]:
    results = run.results
    return {
        "summary": backtests.summary(run),
        "rows": backtests.shown_rows(run),
        "taken": backtests.taken_rows(run),
        "nothing": backtests.reason_rows(results["nothing"]),
        "refused": backtests.reason_rows(results["refused"]),
        "unreadable": results["unreadable"],
        "cut": results["cut"],
    }
