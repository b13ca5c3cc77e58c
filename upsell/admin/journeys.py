"""Journeys: draft one as a form, see it as a picture, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell import conf
from upsell.admin import (
    journey_acts,
    journey_backfills,
    journey_files,
    journey_moves,
    journey_walks,
)
from upsell.admin.access import allowed_channels, may_touch
from upsell.admin.badges import badge
from upsell.admin.journey_forms import (
    EVENTS,
    CriterionFormSet,
    JourneyForm,
    criteria_from,
    initial_of,
)
from upsell.admin.journey_steps import Offered, StepForm, StepFormSet
from upsell.admin.journey_steps import initial_of as step_initial
from upsell.admin.lists import channel_names
from upsell.engine.journeys.definition import Definition, Fault, Kind
from upsell.engine.journeys.draft import StepDraft, place_of
from upsell.models import Campaign, EntryRefused, Journey, MessageTemplate
from upsell.presenting import journey_funnels as funnels
from upsell.presenting import journey_pictures
from upsell.presenting import journey_runs as run_words
from upsell.presenting import journeys as words
from upsell.queries import journeys as counted
from upsell.services import facts, journey_drafts, journey_plans, ready_journeys

BADGES = {"DRAFT": "off", "LIVE": "live", "PAUSED": "scheduled", "SUNSET": "ended",
          "STOPPED": "archived"}  # fmt: skip
MOST_REFUSED = 200
_ACTS = {
    "publish": gettext_lazy("Publish it"),
    "pause": gettext_lazy("Pause it"),
    "resume": gettext_lazy("Go on"),
    "sunset": gettext_lazy("Let it run out"),
    "stop": gettext_lazy("Stop it"),
}
_FIRST = (
    StepDraft(name="wait_1", kind="wait", told={"for": "PT3H"}),
    StepDraft(name="end", kind="exit"),
)


class JourneyList(ChangeList):
    """Rows with how many entered, are in it and ended: one statement."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        numbers = counted.numbers_of([row.pk for row in rows], allowed_channels(request))
        names = channel_names()
        for row in rows:
            row._upsell_numbers = numbers.get(row.pk, counted.Numbers())
            row._upsell_channels = [names.get(ref, ref) for ref in row.channels]
        self.result_list = rows


@admin.register(Journey)
class JourneyAdmin(admin.ModelAdmin):
    list_display = ("called", "standing", "entered", "active", "ended")
    list_filter = ("state", "category")
    search_fields = ("name", "slug", "event")
    search_help_text = gettext_lazy("Name, slug or event")
    list_per_page = 50
    actions = None
    show_full_result_count = False
    change_list_template = "admin/upsell/journey/change_list.html"

    class Media:
        css = {"all": ["upsell/admin/admin.css", "upsell/admin/journeys.css"]}

    # ------------------------------------------------------------------ who may

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) or self.has_run_permission(request)

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("upsell.run_journey")

    def has_import_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request) and self.has_change_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Journeys that run in one of their channels, or in none."""
        rows = super().get_queryset(request)
        allowed = allowed_channels(request)
        if allowed is None:
            return rows
        # Compared here, not in SQL: not every database can look into a JSON list.
        known = Journey.objects.values_list("pk", "channels")
        mine = [pk for pk, channels in known if not channels or set(channels) & allowed]
        return rows.filter(pk__in=mine)

    # ------------------------------------------------------------------ list

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("name", "pk")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        told = {"upsell_may_import": self.has_import_permission(request)}
        return super().changelist_view(request, told | (extra_context or {}))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return JourneyList

    @admin.display(description=gettext_lazy("journey"), ordering="name")
    def called(self, row: Any) -> str:
        where = ", ".join(row._upsell_channels) or _("nowhere")
        begins = _("with %(event)s, in %(where)s") % {"event": row.event, "where": where}
        return format_html('{}<span class="upsell-more">{}</span>', row.name, begins)

    @admin.display(description=gettext_lazy("standing"), ordering="state")
    def standing(self, row: Journey) -> str:
        told = row.get_category_display()
        if row.mode != Journey.Mode.REAL:
            told = f"{told}, {row.get_mode_display()}"
        return format_html('{}<span class="upsell-more">{}</span>', state_badge(row), told)

    @admin.display(description=gettext_lazy("entered"))
    def entered(self, row: Any) -> str:
        return _counted(_("entered"), row._upsell_numbers.entered)

    @admin.display(description=gettext_lazy("in it now"))
    def active(self, row: Any) -> str:
        return _counted(_("in it now"), row._upsell_numbers.active)

    @admin.display(description=gettext_lazy("ended"))
    def ended(self, row: Any) -> str:
        return _counted(_("ended"), row._upsell_numbers.ended)

    # ------------------------------------------------------------------ pages

    def get_urls(self) -> list[Any]:
        def page(name: str, view: Any, at: str) -> Any:
            return path(at, self.admin_site.admin_view(view), name=f"upsell_journey_{name}")

        return [
            page("changelist", self.changelist_view, ""),
            page("add", self.add, "add/"),
            page("validate", self.validate, "validate/"),
            page("change", self.look, "<int:pk>/change/"),
            page("edit", self.edit, "<int:pk>/edit/"),
            page("delete", self.delete, "<int:pk>/delete/"),
            page("ready", self.ready, "ready/"),
            page("import", self.import_, "import/"),
            page("export", self.export, "<int:pk>/export/"),
            page("copy", self.copy, "<int:pk>/copy/"),
            page("walk", self.walk, "<int:pk>/walk/"),
            page("refused", self.refused, "<int:pk>/refused/"),
            page("move", self.move, "<int:pk>/move/"),
            page("backfill", self.backfill, "<int:pk>/backfill/"),
            *(page(name, self._act(name), f"<int:pk>/{name}/") for name in journey_acts.ACTS),
        ]

    def look(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show a journey: its picture, what is wrong with its draft, and where buyers are."""
        row = self._row(request, pk, self.has_view_permission(request))
        found = journey_drafts.look_at(row)
        channels = allowed_channels(request)
        names = channel_names()
        context: dict[str, Any] = {
            "row": row,
            "state_badge": state_badge(row),
            "may_edit": self._may_write(request, row),
            "may_delete": self._may_delete(request, row),
            "channels": ", ".join(names.get(ref, ref) for ref in row.channels),
            "numbers": counted.numbers_of([row.pk], channels).get(row.pk, counted.Numbers()),
            **told_of(found),
        }
        context |= self._standing(request, row, found)
        plan, document = _drawn(row, found)
        if plan is not None:
            context["drawn"] = row.version if document is not found.document else None
            context["picture"] = journey_pictures.draw(
                plan, told=_rows(document), counts=counted.there_now(row.pk, channels)
            )
        return self._page(request, "look.html", row.name, row, **context)

    def ready(self, request: HttpRequest) -> HttpResponse:
        """Show journeys to start from, and copy the one that is chosen."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        chosen = request.POST.get("slug", "")
        if request.method == "POST" and any(one.slug == chosen for one in ready_journeys.READY):
            made = ready_journeys.copy(chosen)
            messages.success(request, _("Here is your copy. Say where it runs, then publish it."))
            return redirect("admin:upsell_journey_edit", made.pk)
        rows = [
            {"slug": one.slug, "name": one.name, "about": one.about,
             "event": one.document["start"]["event"], "steps": len(one.document["steps"])}
            for one in ready_journeys.READY
        ]  # fmt: skip
        return self._page(request, "ready.html", _("Journeys to start from"), None, rows=rows)

    def export(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Answer with the journey as a file."""
        row = self._row(request, pk, self.has_view_permission(request))
        return journey_files.export(request, row)

    def import_(self, request: HttpRequest) -> HttpResponse:
        """Take a journey from a file, into a draft."""
        return journey_files.page(self, request)

    def copy(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask, then make a draft that is the same."""
        row = self._row(request, pk, self.has_add_permission(request))
        if request.method == "POST" and request.POST.get("confirmed") == "yes":
            made = journey_drafts.copy_of(row)
            messages.success(request, _("Here is your copy. It runs nowhere yet."))
            return redirect("admin:upsell_journey_edit", made.pk)
        return self._page(
            request, "act.html", _("Copy the journey"), row,
            about=[_("The copy is a draft with the same steps, and runs in no sales channel until"
                     " you say so.")],
            button=_("Copy it"), problems=[], fits=True,
        )  # fmt: skip

    def walk(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Walk through the draft as it would go for a buyer who is told of here."""
        row = self._row(request, pk, self.has_view_permission(request))
        return journey_walks.page(self, request, row)

    def refused(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show whose events started no run, and why."""
        row = self._row(request, pk, self.has_view_permission(request))
        if allowed_channels(request) is not None and not may_touch(request, row):
            raise PermissionDenied
        rows = EntryRefused.objects.filter(journey=row).order_by("-at", "-pk")[:MOST_REFUSED]
        told = [
            {"at": one.at, "event": one.event_key, "why": run_words.reason_in_words(one.reason)}
            for one in rows
        ]
        return self._page(request, "refused.html", _("Entries refused"), row, rows=told,
                          most=MOST_REFUSED)  # fmt: skip

    def move(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Move buyers who wait to another version."""
        return journey_moves.page(self, request, self._mine(request, pk))

    def backfill(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Let past events in, and show how far that is."""
        return journey_backfills.page(self, request, self._mine(request, pk))

    def _mine(self, request: HttpRequest, pk: int) -> Journey:
        """Return a journey that they may run, all its sales channels being theirs."""
        row = self._row(request, pk, self.has_run_permission(request))
        if not may_touch(request, row):
            raise PermissionDenied
        return row

    def _act(self, name: str) -> Any:
        def view(request: HttpRequest, pk: int) -> HttpResponse:
            row = self._mine(request, pk)
            return journey_acts.ACTS[name](self, request, row)

        return view

    def add(self, request: HttpRequest) -> HttpResponse:
        """Draft one."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self._form(request, None)

    def edit(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Change the draft; what is live goes on as it was published."""
        row = self._row(request, pk, self.has_change_permission(request))
        if not may_touch(request, row):
            raise PermissionDenied
        return self._form(request, row)

    def validate(self, request: HttpRequest) -> HttpResponse:
        """Answer with what is wrong with a form as it stands; nothing is saved."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        if request.method != "POST":
            return redirect("admin:upsell_journey_changelist")
        forms_ = self._forms(request, None, request.POST)
        told: dict[str, Any] = {"faults": [], "warnings": [], "lasts": "", "readable": False}
        if all(one.is_valid() for one in forms_.values()):
            row = Journey()
            values, steps = _typed(forms_)
            for name, value in values.items():
                setattr(row, name, value)
            shown = told_of(journey_drafts.look_at(row, steps))
            told = {"readable": True, "lasts": shown["lasts"]} | {
                name: [
                    {key: one[key] for key in ("step", "text", "at_step")} for one in shown[name]
                ]
                for name in ("faults", "warnings")
            }
        return JsonResponse(told)

    def delete(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask, then remove a draft that nobody went through."""
        row = self._row(request, pk, self.has_delete_permission(request))
        if not may_touch(request, row):
            raise PermissionDenied
        problems: list[str] = []
        if request.method == "POST" and request.POST.get("confirmed") == "yes":
            try:
                journey_drafts.delete(journey_id=row.pk)
            except ValidationError as error:
                problems = error.messages
            else:
                messages.success(request, _("The draft is gone."))
                return redirect("admin:upsell_journey_changelist")
        return self._page(
            request, "act.html", _("Delete the draft"), row,
            about=[_("Nobody was in it, so nothing is lost but what you typed.")],
            button=_("Delete it"), problems=problems, fits=not problems,
        )  # fmt: skip

    # ------------------------------------------------------------------ the form

    def _form(self, request: HttpRequest, row: Journey | None) -> HttpResponse:
        sent = request.POST if request.method == "POST" else None
        forms_ = self._forms(request, row, sent)
        if sent is not None and all(one.is_valid() for one in forms_.values()):
            values, steps = _typed(forms_)
            try:
                made = journey_drafts.save(journey=row, values=values, steps=steps)
            except ValidationError as error:
                forms_["form"].refuse(error)
            else:
                if "_fields" in sent or "_continue" in sent:
                    messages.success(request, _("Saved."))
                    return redirect("admin:upsell_journey_edit", made.pk)
                messages.success(request, _("The draft is saved."))
                return redirect("admin:upsell_journey_change", made.pk)
        context: dict[str, Any] = dict(forms_)
        if row is not None and sent is None:
            told = told_of(journey_drafts.look_at(row), here=True)
            context |= told
            for form in forms_["steps"].forms:
                form.findings = [
                    one["at_step"]
                    for one in (*told["faults"], *told["warnings"])
                    if one["step"] and one["step"] == form.shown_name
                ]
        offered = self._offered(request, row, [])
        context |= {
            "row": row,
            "events": EVENTS,
            "blanks": [
                (kind.value, StepForm(prefix="steps-__prefix__", initial={"kind": kind.value},
                                      offered=offered))
                for kind in Kind
            ],
            "icons": [kind.value for kind in Kind],
            "wrong": sent is not None,
            "media": self.media,
        }  # fmt: skip
        for name in ("form", "steps", "exits", "goals"):
            context["media"] += forms_[name].media
        title = _("Draft a journey") if row is None else _("Change the draft")
        return self._page(request, "form.html", title, row, **context)

    def _forms(self, request: HttpRequest, row: Journey | None, sent: Any) -> dict[str, Any]:
        specs = facts.specs()
        drafts = journey_drafts.rows_of(row) if row is not None else list(_FIRST)
        offered = self._offered(request, row, drafts)
        initial = initial_of(row) if row is not None else _initial_of_new(self._channels(request))
        follows = [step.name for step in drafts[1:]] + [""]
        return {
            "form": JourneyForm(sent, row=row, channels=self._channels(request, row), specs=specs,
                                initial=initial),
            "steps": StepFormSet(
                sent,
                initial=[
                    step_initial(step, place, after)
                    for place, (step, after) in enumerate(zip(drafts, follows, strict=True), 1)
                ],
                prefix="steps",
                form_kwargs={"offered": offered},
            ),
            "exits": CriterionFormSet(
                sent, initial=row.exits if row else [], prefix="exits",
                form_kwargs={"specs": specs, "goals": False},
            ),
            "goals": CriterionFormSet(
                sent, initial=row.goals if row else [], prefix="goals",
                form_kwargs={"specs": specs, "goals": True},
            ),
        }  # fmt: skip

    def _offered(
        self, request: HttpRequest, row: Journey | None, steps: Sequence[StepDraft]
    ) -> Offered:
        campaigns = Campaign.objects.filter(archived=False).only("slug", "name", "channels")
        others = self.get_queryset(request).order_by("name", "pk")
        if row is not None:
            others = others.exclude(pk=row.pk)
        return Offered(
            specs=facts.specs(),
            templates=list(
                MessageTemplate.objects.order_by("name", "pk").values_list("slug", "name", "medium")
            ),
            campaigns=[
                (one.slug, one.name)
                for one in campaigns.order_by("name", "pk")
                if may_touch(request, one)
            ],
            journeys=list(others.values_list("slug", "name")),
            steps=[
                (step.name, f"{step.name} · {words.step_in_words(step.kind, step.told)}")
                for step in steps
            ],
        )

    def _channels(self, request: HttpRequest, row: Journey | None = None) -> list[tuple[str, str]]:
        found = {one.ref: one.label for one in conf.shop().choices("channel", "", 200)}
        known = {ref: ref for ref in (row.channels if row is not None else ())} | found
        allowed = allowed_channels(request)
        return [(ref, name) for ref, name in known.items() if allowed is None or ref in allowed]

    # ------------------------------------------------------------------ shared

    def _may_write(self, request: HttpRequest, row: Journey) -> bool:
        open_ = row.state != Journey.State.STOPPED
        return open_ and self.has_change_permission(request) and may_touch(request, row)

    def _may_delete(self, request: HttpRequest, row: Journey) -> bool:
        draft = row.state == Journey.State.DRAFT
        return draft and self.has_delete_permission(request) and may_touch(request, row)

    def _row(self, request: HttpRequest, pk: int, allowed: bool) -> Journey:
        # The right is asked for before the row: who may see nothing is told the same of every key.
        if not allowed:
            raise PermissionDenied
        row: Journey = get_object_or_404(self.get_queryset(request), pk=pk)
        return row

    def _standing(
        self, request: HttpRequest, row: Journey, found: journey_drafts.Look
    ) -> dict[str, Any]:
        """Return what may be done now, and what came of those who entered."""
        may_run = self.has_run_permission(request) and may_touch(request, row)
        published = row.version
        channels = allowed_channels(request)
        document = published.definition if published is not None else found.document
        return {
            "may_add": self.has_add_permission(request),
            "may_see_refused": may_touch(request, row),
            "acts": [
                (name, _ACTS[name])
                for name, states in journey_acts.STATES.items()
                if may_run and row.state in states
            ],
            "may_move": may_run and published is not None and published.number > 1,
            "may_backfill": may_run and row.state in {Journey.State.LIVE, Journey.State.PAUSED},
            "published": published,
            "changed": journey_drafts.differs(row, found),
            "funnel": funnels.steps(counted.steps_of(row.pk, channels), _rows(document)),
            "goals": funnels.goals(
                counted.goals_of(row.pk, funnels.goal_names(document), channels)
            ),
            "few": funnels.FEWEST,
        }

    def findings(self, row: Journey) -> dict[str, Any]:
        """Return what is wrong or unwise about a journey's draft."""
        return told_of(journey_drafts.look_at(row))

    def show(self, *args: Any, **context: Any) -> HttpResponse:
        """Return a page of a journey; see ``_page``."""
        return self._page(*args, **context)

    def _page(
        self,
        request: HttpRequest,
        name: str,
        title: str,
        original: Journey | None,
        **context: Any,
    ) -> HttpResponse:
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": title,
            "original": original,
        }
        return TemplateResponse(request, f"admin/upsell/journey/{name}", shared | context)


def _counted(what: str, count: int) -> SafeString:
    # On a phone the rows are cards, without the heads of the columns.
    return format_html('<span class="upsell-on-phones">{}</span> {}', what, count)


def state_badge(row: Journey) -> SafeString:
    """Return where a journey stands."""
    return badge(BADGES[row.state], row.get_state_display())


def told_of(found: journey_drafts.Look, *, here: bool = False) -> dict[str, Any]:
    """Return what is wrong or unwise about a draft, and how long it takes.

    Args:
        found: What it comes to.
        here: Whether the steps are on the same page.
    """
    lasts = ""
    if found.plan is not None:
        shortest, longest = (words.length_in_words(one) for one in found.plan.lasts())
        lasts = shortest if shortest == longest else f"{shortest} – {longest}"
    return {
        "faults": [_finding(one, here) for one in found.faults],
        "warnings": [_finding(one, here) for one in found.warnings],
        "lasts": lasts,
    }


def _drawn(
    row: Journey, found: journey_drafts.Look
) -> tuple[Definition | None, Mapping[str, object]]:
    """Return what is drawn: the draft, or what is published where the draft makes no way."""
    if found.plan is not None or row.version is None:
        return found.plan, found.document
    try:
        return journey_plans.plan_of(row.version.pk), row.version.definition
    except LookupError:
        return None, found.document


def _finding(fault: Fault, here: bool) -> dict[str, str]:
    place = place_of(fault)
    part = words.field_in_words(place.field) if place.step else _part(place.field)
    about = f"{place.step}, {part}" if place.step and part else place.step or part
    return {
        "step": place.step,
        "anchor": f"step-{place.step}" if place.step else "",
        "text": f"{about}: {fault.message}" if about else fault.message,
        "at_step": f"{part}: {fault.message}" if part else fault.message,
    }


def _part(path: str) -> str:
    """Return what a part of the document is called on the form."""
    head, _dot, rest = path.partition(".")
    place, _dot, _name = rest.partition(".")
    number = f" {int(place) + 1}" if place.isdecimal() else ""
    parts = {"start": _("Who enters"), "entry": _("How often"), "exit": _("Leaves when"),
             "goals": _("Goals"), "steps": _("Steps"), "first": _("Steps")}  # fmt: skip
    return f"{parts.get(head, head)}{number}"


def _rows(document: Mapping[str, object]) -> Mapping[str, Mapping[str, object]]:
    rows = document.get("steps")
    return rows if isinstance(rows, Mapping) else {}


def _typed(forms_: Mapping[str, Any]) -> tuple[dict[str, Any], list[StepDraft]]:
    """Return the columns and the steps of valid forms."""
    values = forms_["form"].values()
    values["exits"] = criteria_from(forms_["exits"])
    values["goals"] = criteria_from(forms_["goals"])
    return values, forms_["steps"].drafts()


def _initial_of_new(channels: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return initial_of(Journey(channels=[ref for ref, _name in channels]))
