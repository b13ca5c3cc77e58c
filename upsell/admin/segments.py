"""Named conditions: edited as rows, counted, and asked of the buyer of one order."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell import clock, conf, snapshots
from upsell.admin import finding
from upsell.admin.access import allowed_channels
from upsell.admin.conditions import ConditionsField
from upsell.engine.conditions import ConditionError
from upsell.engine.facts import SEGMENT
from upsell.models import Segment
from upsell.ports import Who
from upsell.presenting import conditions as words
from upsell.presenting.campaigns import NOTHING
from upsell.services import facts, segments


class SegmentForm(forms.ModelForm):
    """A name, and the conditions it stands for; no other segment among them."""

    class Meta:
        model = Segment
        fields = ("name", "slug", "conditions")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "conditions" in self.fields:  # who may only look has none
            known = {name: spec for name, spec in facts.specs().items() if name != SEGMENT}
            said = {"required": _("One condition at least.")}
            self.fields["conditions"] = ConditionsField(
                known, label=_("Conditions"), required=True, error_messages=said
            )

    def clean_slug(self) -> str:
        """What names a segment names its slug."""
        slug: str = self.cleaned_data["slug"]
        before = self.initial.get("slug", slug)
        users = segments.used_by(before) if slug != before else []
        if users:
            raise forms.ValidationError(_used(users))
        return slug


def _used(users: list[str]) -> str:
    return _("It is used by: %s.") % ", ".join(f"“{name}”" for name in users)


@admin.register(Segment)
class SegmentAdmin(admin.ModelAdmin):
    form = SegmentForm
    actions = None  # deleted one by one: each is asked for who uses it
    list_display = ("name", "slug", "buyers", "counted_at")
    search_fields = ("name", "slug")
    ordering = ("name", "pk")
    fields = ("name", "slug", "conditions")
    change_list_template = "admin/upsell/segment/change_list.html"
    change_form_template = "admin/upsell/segment/change_form.html"

    class Media:
        css = {"all": ["upsell/admin/admin.css", "upsell/admin/journeys.css"]}

    # A segment holds in all sales channels: who is limited to some looks at it, no more.

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and allowed_channels(request) is None

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and allowed_channels(request) is None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and allowed_channels(request) is None

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        return {"slug": ("name",)} if obj is None else {}

    @admin.display(description=gettext_lazy("buyers"), ordering="counted")
    def buyers(self, row: Segment) -> str:
        if row.counted is not None:
            return number_format(row.counted, force_grouping=True)
        return NOTHING if row.counted_at is None else _("cannot be counted")

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        users = segments.used_by(row.slug) if row and self.has_delete_permission(request) else []
        if row and users:
            messages.error(request, _used(users))
            return redirect(f"{self.admin_site.name}:upsell_segment_change", row.pk)
        return super().delete_view(request, object_id, extra_context)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        # Somebody may have begun to use it since the page was shown; then it stays.
        try:
            segments.delete(obj)
        except segments.SegmentInUse as error:
            raise PermissionDenied(str(error)) from error

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_model(request, row)

    # ------------------------------------------------------------------ pages

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("ready/", view(self.ready), name="upsell_segment_ready"),
            path("<int:pk>/who/", view(self.who), name="upsell_segment_who"),
            *super().get_urls(),
        ]

    def ready(self, request: HttpRequest) -> HttpResponse:
        """Show the ready-made ones; a copy of one is a segment like any other."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            slug = request.POST.get("slug", "")
            if slug not in segments.READY:
                raise Http404
            made = segments.copy_ready(slug)
            self.log_addition(request, made, _("Copied from a ready-made one."))
            return redirect(f"{self.admin_site.name}:upsell_segment_change", made.pk)
        rows = [(slug, _(name)) for slug, (name, _tree) in segments.READY.items()]
        return self._page(request, "ready.html", title=_("Ready-made segments"), rows=rows)

    def who(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say whether the buyer of an order is in it now, and if not, why."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = Segment.objects.filter(pk=pk).first()
        if row is None:
            raise Http404
        asked = request.GET.get("order", "").strip()[:190]
        context: dict[str, Any] = {
            "asked": asked,
            "recent": [] if asked else finding.recent(request),
        }
        if asked:
            found = finding.order(request, asked)
            if found is None:
                context["error"] = finding.unknown(asked)
            else:
                context |= _answer(row, found.ref)
        title = _("Is this buyer in it?")
        return self._page(request, "who.html", title=title, original=row, **context)

    def _page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}
        return TemplateResponse(request, f"admin/upsell/segment/{template}", shared | context)


def _answer(row: Segment, order_ref: str) -> dict[str, Any]:
    customer = conf.shop().order(order_ref).customer
    buyer = Who(
        customer_key=snapshots.customer_key(customer), user_ref=customer.ref, order_ref=order_ref
    )
    try:
        answer = segments.is_in(row, buyer, clock.now())
    except ConditionError as error:
        return {"error": str(error)}
    return {"answered": True, "is_in": answer.matches, "why": words.why(answer, facts.specs())}
