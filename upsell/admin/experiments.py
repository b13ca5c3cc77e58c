"""Experiments: draft one, start it, let more buyers in, begin a new phase, stop it, read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell import clock
from upsell.admin.access import allowed_channels, may_touch
from upsell.admin.badges import badge
from upsell.admin.experiment_forms import (
    FIRST_ARMS,
    ArmFormSet,
    DraftForm,
    TrafficForm,
    arms_from,
    initial_arms,
    initial_of,
)
from upsell.admin.widgets import labels
from upsell.models import Arm, Campaign, Experiment, Phase
from upsell.presenting import experiments as words
from upsell.presenting.results import number
from upsell.services import experiment_checks, experiment_results, experiment_sizes, experiments

_BADGES = {"DRAFT": "off", "RUNNING": "live", "ENDED": "ended"}
Act = Callable[[HttpRequest, Experiment], Any]


class StandingFilter(admin.SimpleListFilter):
    """Drafts, running and ended ones; those that are archived only where they are asked for."""

    title = gettext_lazy("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*Experiment.State.choices, ("archived", gettext_lazy("archived"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = self.value()
        if wanted == "archived":
            return queryset.filter(archived=True)
        rows = queryset.filter(archived=False)
        return rows.filter(state=wanted) if wanted else rows


class ExperimentList(ChangeList):
    """Rows with their present phase and how many buyers were exposed in it: two statements."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        keys = [row.pk for row in rows]
        counts = experiment_results.exposed_so_far(keys)
        arms: dict[int, int] = {}
        phases: dict[int, Phase] = {}
        for arm in Arm.objects.filter(phase__experiment__in=keys).select_related("phase"):
            latest = phases.get(arm.phase.experiment_id)
            if latest is None or latest.number < arm.phase.number:
                phases[arm.phase.experiment_id] = arm.phase
                arms[arm.phase.experiment_id] = 0
            if phases[arm.phase.experiment_id].pk == arm.phase_id:
                arms[arm.phase.experiment_id] += 1
        for row in rows:
            row._upsell_exposed = counts.get(row.pk, 0)
            row._upsell_phase = phases.get(row.pk)
            row._upsell_arms = arms.get(row.pk, 0)
        self.result_list = rows


@admin.register(Experiment)
class ExperimentAdmin(admin.ModelAdmin):
    list_display = ("called", "standing", "present_phase", "exposed")
    list_filter = (StandingFilter,)
    search_fields = ("name", "slug", "question")
    search_help_text = gettext_lazy("Name, slug or question")
    list_per_page = 50
    actions = None
    show_full_result_count = False

    class Media:
        css = {"all": ["upsell/admin/admin.css"]}

    # ------------------------------------------------------------------ who may

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) or self.has_run_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Drafts go on a page of their own; everything else has a history."""
        return False

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("upsell.run_experiment")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Experiments all of whose campaigns run in their sales channels alone."""
        rows = super().get_queryset(request)
        if allowed_channels(request) is None:
            return rows
        # Compared here, not in SQL: not every database can look into a JSON list.
        arms = Arm.objects.filter(campaign__isnull=False).select_related("campaign", "phase")
        foreign = {
            arm.phase.experiment_id
            for arm in arms
            if arm.campaign is not None and not may_touch(request, arm.campaign)
        }
        return rows.exclude(pk__in=foreign)

    # ------------------------------------------------------------------ list

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-created_at", "-pk")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return ExperimentList

    @admin.display(description=gettext_lazy("experiment"), ordering="name")
    def called(self, row: Experiment) -> str:
        if not row.question:
            return row.name
        return format_html('{}<span class="upsell-more">{}</span>', row.name, row.question)

    @admin.display(description=gettext_lazy("phase"))
    def present_phase(self, row: Any) -> str:
        phase = row._upsell_phase
        return str(phase.number) if phase is not None and phase.started_at else "–"

    @admin.display(description=gettext_lazy("buyers so far"))
    def exposed(self, row: Any) -> str:
        return number(row._upsell_exposed)

    @admin.display(description=gettext_lazy("standing"), ordering="state")
    def standing(self, row: Any) -> str:
        told = _so_far(row)
        if not told:
            return _badge(row)
        return format_html('{}<span class="upsell-more">{}</span>', _badge(row), told)

    # ------------------------------------------------------------------ pages

    def get_urls(self) -> list[Any]:
        def page(name: str, view: Any, at: str) -> Any:
            return path(at, self.admin_site.admin_view(view), name=f"upsell_experiment_{name}")

        return [
            page("changelist", self.changelist_view, ""),
            page("add", self.add, "add/"),
            page("change", self.look, "<int:pk>/change/"),
            page("edit", self.edit, "<int:pk>/edit/"),
            page("start", self.start, "<int:pk>/start/"),
            page("grow", self.grow, "<int:pk>/grow/"),
            page("phase", self.phase, "<int:pk>/phase/"),
            page("stop", self.stop, "<int:pk>/stop/"),
            page("archive", self.archive, "<int:pk>/archive/"),
            page("delete", self.delete, "<int:pk>/delete/"),
            page("csv", self.csv, "<int:pk>/csv/"),
        ]

    def look(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show a draft with what it takes, or what may be read of one that was started."""
        row = self._row(request, pk, self.has_view_permission(request))
        label = labels()
        told = words.Words(row)
        context: dict[str, Any] = {
            "row": row,
            "state_badge": _badge(row),
            "may_edit": self.has_change_permission(request),
            "may_add": self.has_add_permission(request),
            "may_run": self.has_run_permission(request),
        }
        if row.state == Experiment.State.DRAFT:
            context |= _before(row, label, told)
        else:
            fresh = request.GET.get("fresh") == "1"
            results = experiment_results.results_of(
                experiment_id=row.pk, now=clock.now(), fresh=fresh
            )
            context |= {
                "plan": told.plan(row.needed),
                "results": results,
                "counted": number(results.counted),
                "needed": number(row.needed or 0),
                "enough": row.needed is not None and results.counted >= row.needed,
                "phases": [_phase(one, row, label, told) for one in results.phases],
                "found": any(
                    answer.found for one in results.phases[:1] for answer in one.reading.answers
                ),
                "younger": any(
                    one.reading.is_open and one.reading.younger for one in results.phases
                ),
            }
        return self._page(request, "read.html", row.name, row, **context)

    def csv(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Answer with the numbers as a file; of a draft, with an empty table."""
        row = self._row(request, pk, self.has_view_permission(request))
        found = experiment_results.results_of(
            experiment_id=row.pk, now=clock.now(), fresh=request.GET.get("fresh") == "1"
        )
        text = words.results_as_csv([(one.number, one.reading) for one in found.phases])
        response = HttpResponse(text, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="experiment-{row.slug}.csv"'
        return response

    def add(self, request: HttpRequest) -> HttpResponse:
        """Draft one, or another one like one that there is."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        typed = request.GET.get("copy", "")
        like = None
        if typed.isascii() and typed.isdecimal() and len(typed) < 19:
            like = self.get_queryset(request).filter(pk=int(typed)).first()
        return self._draft(request, None, like)

    def edit(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Change a draft; of a started one, say that a new phase is the way."""
        row = self._row(request, pk, self.has_change_permission(request))
        if row.state != Experiment.State.DRAFT:
            return self._page(request, "fixed.html", _("Nothing of it changes any more"), row,
                              row=row, may_run=self.has_run_permission(request),
                              may_add=self.has_add_permission(request))  # fmt: skip
        return self._draft(request, row, row)

    def phase(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Begin a new phase with other arms or weights."""
        row = self._row(request, pk, self.has_run_permission(request))
        before = row.phases.order_by("-number").first()
        stored = experiments.arms_of(before) if before is not None else []
        campaigns = self._campaigns(request, stored)
        sent = request.POST if request.method == "POST" else None
        initial = {"traffic": words.decimals((before.traffic if before else 0) / 100, 2)}
        form = TrafficForm(sent, initial=initial)
        arms = ArmFormSet(sent, initial=initial_arms(stored, campaigns), prefix="arms",
                          form_kwargs={"campaigns": campaigns})  # fmt: skip
        if sent is not None and form.is_valid() and arms.is_valid():
            try:
                experiments.new_phase(
                    experiment_id=row.pk,
                    arms=arms_from(arms, stored),
                    traffic=form.buckets(),
                )
            except ValidationError as error:
                _refuse(form, error)
            else:
                messages.success(request, _("The new phase has begun."))
                return redirect("admin:upsell_experiment_change", row.pk)
        runs = row.state == Experiment.State.RUNNING
        return self._page(request, "form.html", _("Begin a new phase"), row, form=form, arms=arms,
                          media=self.media + form.media + arms.media, new_phase=True,
                          runs=runs)  # fmt: skip

    def start(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask whether to begin, with all that is wrong or unwise; then begin."""

        def done(request: HttpRequest, row: Experiment) -> str:
            experiments.start(experiment_id=row.pk)
            return _("It runs: from now on buyers are in its arms.")

        return self._act(
            request, pk, done,
            title=_("Start the experiment"),
            about=[_("From then on each buyer is in one arm, and stays there. Arms, weights and "
                     "how it is read cannot be changed; more buyers may take part, and a new "
                     "phase may begin.")],
            button=_("Start it"),
            fits=Experiment.State.DRAFT,
            before=True,
        )  # fmt: skip

    def grow(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Let more buyers take part."""
        form = TrafficForm(request.POST if request.POST.get("confirmed") else None)

        def done(request: HttpRequest, row: Experiment) -> str:
            if not form.is_valid():
                raise ValidationError([text for texts in form.errors.values() for text in texts])
            experiments.grow(experiment_id=row.pk, traffic=form.buckets())
            return _("More buyers take part.")

        return self._act(
            request, pk, done,
            title=_("Let more buyers take part"),
            about=[_("Who is in stays in, in the same arm.")],
            button=_("Let them in"),
            fits=Experiment.State.RUNNING,
            form=form,
        )  # fmt: skip

    def stop(self, request: HttpRequest, pk: int) -> HttpResponse:
        """End it."""

        def done(request: HttpRequest, row: Experiment) -> str:
            experiments.stop(experiment_id=row.pk)
            return _("It has ended. What was measured stays.")

        return self._act(
            request, pk, done,
            title=_("Stop the experiment"),
            about=[_("From then on every buyer is offered the campaigns as they stand. It cannot "
                     "be started again; what was measured stays, and money is still counted for "
                     "30 days."),
                   _("To keep what the better arm offers, change the campaign afterwards.")],
            button=_("Stop it"),
            fits=Experiment.State.RUNNING,
        )  # fmt: skip

    def archive(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take it off the list, or put it back."""

        def done(request: HttpRequest, row: Experiment) -> str:
            experiments.archive(experiment_id=row.pk, archived=not row.archived)
            return _("It is back on the list.") if row.archived else _("It is archived.")

        return self._act(
            request, pk, done,
            title=_("Archive the experiment, or put it back"),
            about=[_("An archived experiment leaves the list. Its results stay, and the filter "
                     "“archived” shows it; the same button puts it back.")],
            button=_("Do it"),
            fits=Experiment.State.ENDED,
        )  # fmt: skip

    def delete(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Remove a draft."""

        def done(request: HttpRequest, row: Experiment) -> str:
            experiments.delete(experiment_id=row.pk)
            return _("The draft is gone.")

        return self._act(
            request, pk, done,
            title=_("Delete the draft"),
            about=[_("Nobody was in it, so nothing is lost but what you typed.")],
            button=_("Delete it"),
            fits=Experiment.State.DRAFT,
            back="changelist",
        )  # fmt: skip

    # ------------------------------------------------------------------ shared

    def _row(self, request: HttpRequest, pk: int, allowed: bool) -> Experiment:
        # The right is asked for before the row: who may see nothing is told the same of every key.
        if not allowed:
            raise PermissionDenied
        row: Experiment = get_object_or_404(self.get_queryset(request), pk=pk)
        return row

    def _act(
        self,
        request: HttpRequest,
        pk: int,
        done: Act,
        *,
        title: str,
        about: list[str],
        button: str,
        fits: str,
        form: TrafficForm | None = None,
        before: bool = False,
        back: str = "change",
    ) -> HttpResponse:
        """Ask first, with what it will do; then do it once it is confirmed."""
        row = self._row(request, pk, self.has_run_permission(request))
        problems: list[str] = []
        if request.method == "POST" and request.POST.get("confirmed") == "yes":
            try:
                told = done(request, row)
            except ValidationError as error:
                problems = error.messages
            else:
                messages.success(request, told)
                name = f"admin:upsell_experiment_{back}"
                return redirect(name, *([row.pk] if back == "change" else []))
        context: dict[str, Any] = {}
        if before and row.state == Experiment.State.DRAFT:
            context = _before(row, labels(), words.Words(row))
        if row.state != fits and not problems:
            problems = [_not_now(row)]
        return self._page(
            request, "act.html", title, row,
            row=row, about=about, button=button, form=form, problems=problems,
            fits=row.state == fits and not context.get("errors"), **context,
        )  # fmt: skip

    def _draft(
        self, request: HttpRequest, row: Experiment | None, like: Experiment | None
    ) -> HttpResponse:
        phase = like.phases.order_by("-number").first() if like is not None else None
        stored = experiments.arms_of(phase) if phase is not None else []
        campaigns = self._campaigns(request, stored)
        sent = request.POST if request.method == "POST" else None
        initial: dict[str, Any] = {"traffic": 100}
        if like is not None and phase is not None:
            initial = initial_of(like, phase.traffic)
        form = DraftForm(sent, row=row, initial=initial)
        first = initial_arms(stored, campaigns) if stored else list(FIRST_ARMS)
        arms = ArmFormSet(sent, initial=first, prefix="arms", form_kwargs={"campaigns": campaigns})
        if sent is not None and form.is_valid() and arms.is_valid():
            try:
                made = experiments.save_draft(
                    user=request.user, arms=arms_from(arms, stored), **form.values()
                )
            except ValidationError as error:
                form.refuse(error)
            else:
                messages.success(request, _("The draft is saved."))
                return redirect("admin:upsell_experiment_change", made.pk)
        title = _("Draft an experiment") if row is None else _("Change the draft")
        return self._page(request, "form.html", title, row, form=form, arms=arms, runs=True,
                          media=self.media + form.media + arms.media)  # fmt: skip

    def _campaigns(self, request: HttpRequest, stored: list[dict[str, Any]]) -> list[Campaign]:
        """Return the campaigns that an arm may offer: theirs, and those it offers already."""
        known = {arm["campaign"] for arm in stored}
        rows = Campaign.objects.filter(Q(archived=False) | Q(pk__in=known - {None}))
        rows = rows.only("name", "channels", "default_language").order_by("name", "pk")
        return [row for row in rows if may_touch(request, row)]

    def _page(
        self,
        request: HttpRequest,
        name: str,
        title: str,
        original: Experiment | None,
        **context: Any,
    ) -> HttpResponse:
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": title,
            "original": original,
        }
        return TemplateResponse(request, f"admin/upsell/experiment/{name}", shared | context)


def _badge(row: Experiment) -> SafeString:
    if row.archived:
        return badge("archived", _("archived"))
    return badge(_BADGES[row.state], row.get_state_display())


def _so_far(row: Any) -> str:
    """Return how many of the buyers it needs were exposed, in words; empty for a draft."""
    wanted = (row.needed or 0) * row._upsell_arms
    if row.state == Experiment.State.DRAFT or not wanted:
        return ""
    share = row._upsell_exposed / wanted
    if share >= 1:
        return _("enough buyers")
    return _("%s of the buyers it needs") % words.percents(share)


def _before(row: Experiment, label: Any, told: words.Words) -> dict[str, Any]:
    """Return what a draft takes, and what is wrong or unwise about it."""
    phase = row.phases.get(number=1)
    arms = list(phase.arms.select_related("campaign").order_by("pk"))
    errors, warnings = experiment_checks.findings(row, phase, arms)
    needed = None if errors else experiment_sizes.needed_per_arm(row, arms)
    today = timezone.localdate(clock.now())
    return {
        "plan": told.plan(needed) if not errors else [],
        "expected_on": experiment_sizes.expected_on(phase, arms, needed=needed, today=today),
        "errors": [finding.message for finding in errors],
        "warnings": [finding.message for finding in warnings],
        "traffic": words.share_of(phase.traffic),
        "offers": _offers(arms, label),
    }


def _offers(arms: list[Arm], label: Any) -> list[dict[str, str]]:
    return [
        {
            "arm": arm.slug,
            "weight": words.share_of(arm.weight),
            "offers": words.arm_in_words(arm, label),
        }
        for arm in arms
    ]


def _phase(one: Any, row: Experiment, label: Any, told: words.Words) -> dict[str, Any]:
    reading = one.reading
    arms = Arm.objects.filter(phase__experiment=row, phase__number=one.number)
    return {
        "number": one.number,
        "started_at": one.started_at,
        "ended_at": one.ended_at,
        "traffic": words.share_of(one.traffic),
        "reading": reading,
        "offers": _offers(list(arms.select_related("campaign").order_by("pk")), label),
        "arms": told.arms(reading),
        "verdicts": [told.verdict(answer) for answer in reading.answers],
        "steps": told.steps(reading),
        "chart": told.chart(reading),
        "others": told.figures(reading.others),
        "brought": told.brought(reading),
        "checks": told.figures(reading.checks),
        "guards": told.guards(reading),
        "excluded": reading.excluded,
        "younger": reading.younger,
        "confidence": words.percents(reading.confidence),
        "several": len(reading.arms) > 2,
    }


def _not_now(row: Experiment) -> str:
    return {
        Experiment.State.DRAFT: _("It has not been started."),
        Experiment.State.RUNNING: _("It is running."),
        Experiment.State.ENDED: _("It has ended."),
    }[Experiment.State(row.state)]


def _refuse(form: TrafficForm, error: ValidationError) -> None:
    by_field = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
    for name, texts in by_field.items():
        for text in texts:
            form.add_error(name if name in form.fields else None, text)
