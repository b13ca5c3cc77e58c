"""Runs of journeys: who is where, one buyer's passage, and what is done about stuck ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell import clock
from upsell.admin.access import limited
from upsell.admin.badges import badge
from upsell.exceptions import UpsellError
from upsell.models import Journey, JourneyRun
from upsell.models.journey import ENDED
from upsell.presenting import journey_runs as words
from upsell.services import journey_states

_BADGES = {"WAITING": "scheduled", "RUNNING": "accepting", "STUCK": "needs_attention",
           "COMPLETED": "live", "EXITED": "ended", "DROPPED": "off",
           "CANCELLED": "off"}  # fmt: skip


@admin.register(JourneyRun)
class JourneyRunAdmin(admin.ModelAdmin):
    list_display = ("buyer", "standing", "step", "entered_at", "due_at")
    list_filter = (
        "state",
        ("journey", admin.RelatedOnlyFieldListFilter),
        "is_control",
        "mode",
    )
    list_select_related = ("journey",)
    search_fields = ("order_ref", "=customer_key", "=step")
    search_help_text = gettext_lazy("Order, step, or the buyer's whole key")
    date_hierarchy = None
    list_per_page = 50
    actions = None
    show_full_result_count = False
    change_list_template = "admin/upsell/journeyrun/change_list.html"

    class Media:
        css = {"all": ["upsell/admin/admin.css", "upsell/admin/journeys.css"]}

    # ------------------------------------------------------------------ who may

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) or self.has_run_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("upsell.run_journey")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Runs of buyers of their sales channels."""
        return limited(request, super().get_queryset(request))

    # ------------------------------------------------------------------ list

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-entered_at", "-pk")

    @admin.display(description=gettext_lazy("buyer"), ordering="order_ref")
    def buyer(self, run: JourneyRun) -> str:
        return format_html('{}<span class="upsell-more">{}</span>', who(run), run.journey.name)

    @admin.display(description=gettext_lazy("standing"), ordering="state")
    def standing(self, run: JourneyRun) -> str:
        told = words.reason_in_words(run.end_reason) if run.state in ENDED else run.error
        if run.is_control:
            told = f"{told} {_('control group')}".strip()
        if not told:
            return state_badge(run)
        return format_html('{}<span class="upsell-more">{}</span>', state_badge(run), told)

    # ------------------------------------------------------------------ pages

    def get_urls(self) -> list[Any]:
        def page(name: str, view: Any, at: str) -> Any:
            return path(at, self.admin_site.admin_view(view), name=f"upsell_journeyrun_{name}")

        return [
            page("changelist", self.changelist_view, ""),
            page("change", self.look, "<int:pk>/change/"),
            page("retry", self.retry, "<int:pk>/retry/"),
            page("skip", self.skip, "<int:pk>/skip/"),
            page("end", self.end, "<int:pk>/end/"),
        ]

    def look(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show one buyer's passage, and why it is where it is."""
        run = self._run(request, pk, self.has_view_permission(request))
        told = _rows(run)
        context = {
            "run": run,
            "state_badge": state_badge(run),
            "who": who(run),
            "why": words.why_still_here(
                run,
                paused=run.journey.state == Journey.State.PAUSED,
                told=told.get(run.step, {}),
                now=clock.now(),
            ),
            "entries": words.timeline(
                run,
                log=run.log.order_by("seq"),
                messages=run.messages.order_by("created_at", "pk"),
                hits=run.hits.order_by("at", "pk"),
                told=told,
            ),
            "may_run": self.has_run_permission(request),
            "stuck": run.state == JourneyRun.State.STUCK,
        }
        return self._page(request, "look.html", f"{run.journey}: {who(run)}", run, **context)

    def retry(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Try the step that failed once more."""
        return self._act(
            request, pk, journey_states.retry,
            title=_("Try it again"),
            about=_("The step that failed is tried again at the next look."),
            done=_("It is tried again."), fits=_is_stuck,
        )  # fmt: skip

    def skip(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Leave the step out that failed."""
        return self._act(
            request, pk, journey_states.skip,
            title=_("Leave the step out"),
            about=_("It goes on behind the step that failed, as if it had gone well. What the step"
                    " should have done is not done."),
            done=_("The step is left out."), fits=_is_stuck,
        )  # fmt: skip

    def end(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Let the buyer leave."""
        return self._act(
            request, pk, journey_states.end,
            title=_("End the run"),
            about=_("The buyer leaves the journey, and what was not sent yet is not sent. It cannot"
                    " be taken back."),
            done=_("It is over."), fits=_is_active,
        )  # fmt: skip

    # ------------------------------------------------------------------ shared

    def _act(
        self,
        request: HttpRequest,
        pk: int,
        act: Callable[..., None],
        *,
        title: str,
        about: str,
        done: str,
        fits: Callable[[JourneyRun], bool],
    ) -> HttpResponse:
        run = self._run(request, pk, self.has_run_permission(request))
        may = fits(run)
        problems = (
            [] if may else [_("It is %s: that cannot be done now.") % run.get_state_display()]
        )
        if may and request.method == "POST" and request.POST.get("confirmed") == "yes":
            try:
                act(run, now=clock.database_now())
            except UpsellError as error:
                problems = [str(error)]
            else:
                messages.success(request, done)
                return redirect("admin:upsell_journeyrun_change", run.pk)
        standing = _("It stands at %s.") % run.step
        about_all = [about, f"{standing} {run.error}".strip()] if run.is_active else [about]
        return self._page(
            request, "act.html", title, run,
            about=about_all, button=title, problems=problems, fits=may and not problems,
        )  # fmt: skip

    def _run(self, request: HttpRequest, pk: int, allowed: bool) -> JourneyRun:
        # The right is asked for before the row: who may see nothing is told the same of every key.
        if not allowed:
            raise PermissionDenied
        rows = self.get_queryset(request).select_related("journey", "version")
        run: JourneyRun = get_object_or_404(rows, pk=pk)
        return run

    def _page(
        self, request: HttpRequest, name: str, title: str, original: JourneyRun, **context: Any
    ) -> HttpResponse:
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": title,
            "original": original,
        }
        return TemplateResponse(request, f"admin/upsell/journeyrun/{name}", shared | context)


def who(run: JourneyRun) -> str:
    """Return whose passage it is: the order where there is one, else the beginning of the key."""
    if run.order_ref:
        return _("order %s") % run.order_ref
    key = run.customer_key
    return key if len(key) <= 24 else f"{key[:16]}…"


def state_badge(run: JourneyRun) -> SafeString:
    """Return where a run stands."""
    return badge(_BADGES[run.state], run.get_state_display())


def _is_stuck(run: JourneyRun) -> bool:
    return run.state == JourneyRun.State.STUCK


def _is_active(run: JourneyRun) -> bool:
    return run.is_active


def _rows(run: JourneyRun) -> Mapping[str, Mapping[str, object]]:
    rows = run.version.definition.get("steps")
    return rows if isinstance(rows, dict) else {}
