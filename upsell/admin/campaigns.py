"""Edit campaigns: the form, the list in the order of winning, what is done with many, and why."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from upsell import clock, conf
from upsell.admin import why
from upsell.admin.access import allowed_channels, may_touch, visible_ids
from upsell.admin.forms import CampaignForm, CopyForm, ExclusionForm, Together, TriggerForm
from upsell.admin.widgets import choices, label_of
from upsell.engine import states
from upsell.exceptions import UpsellError
from upsell.models import (
    Campaign,
    CampaignCopy,
    CampaignExclusion,
    CampaignRevision,
    CampaignTrigger,
    Offer,
)
from upsell.presenting.campaigns import sentence, state_of
from upsell.services import campaign_files, campaigns, revoking

MOST_BYTES = 2_000_000

PICKERS = frozenset(
    {
        "product",
        "category",
        "brand",
        "tag",
        "group",
        "channel",
        "country",
        "payment_method",
        "order",
    }
)


class TriggerInline(admin.TabularInline):
    model = CampaignTrigger
    form = TriggerForm
    formset = Together
    extra = 1
    verbose_name_plural = gettext_lazy("When it may appear: triggers (none: it never appears)")


class ExclusionInline(admin.TabularInline):
    model = CampaignExclusion
    form = ExclusionForm
    extra = 0
    verbose_name_plural = gettext_lazy("Never together with (none: nothing rules it out)")


class CopyInline(admin.StackedInline):
    model = CampaignCopy
    form = CopyForm
    extra = 0
    verbose_name_plural = gettext_lazy("What the shopper reads (none: plain sentences of ours)")


class StandingFilter(admin.SimpleListFilter):
    """Off, staff only, live, scheduled or ended, as the badge says it."""

    title = gettext_lazy("standing")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("live", gettext_lazy("live")),
            ("scheduled", gettext_lazy("scheduled")),
            ("ended", gettext_lazy("ended")),
            ("staff", gettext_lazy("staff only")),
            ("off", gettext_lazy("off")),
            ("nowhere", gettext_lazy("runs nowhere")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted, now = self.value(), clock.now()
        if not wanted:
            return queryset
        rows = queryset.only("status", "channels", "valid_from", "valid_until", "archived")
        return queryset.filter(
            pk__in=[row.pk for row in rows if state_of(row, now=now)[0] == wanted]
        )


class TitledList(ChangeList):
    """The list with the offered products' names: one question to the shop for all rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        refs = sorted({row.product_ref for row in rows if row.product_ref})
        try:
            products = conf.shop().products(refs) if refs else {}
        except (UpsellError, LookupError, ValueError):
            products = {}
        for row in rows:
            known = products.get(row.product_ref)
            row._upsell_title = known.title if known else row.product_ref
        self.result_list = rows


@admin.register(Campaign)
class CampaignAdmin(admin.ModelAdmin):
    form = CampaignForm
    inlines = (TriggerInline, ExclusionInline, CopyInline)
    list_display = ("name", "standing", "priority", "kind", "offers", "edited_at")
    list_filter = (StandingFilter, "kind", "rule")
    search_fields = ("name", "slug", "product_ref", "note")
    search_help_text = gettext_lazy("Name, slug, offered product's reference or note")
    list_per_page = 50
    prepopulated_fields = {"slug": ("name",)}
    actions = ("duplicate", "withdraw_outstanding", "export_json", "export_csv")
    change_form_template = "admin/upsell/campaign/change_form.html"
    change_list_template = "admin/upsell/campaign/change_list.html"
    save_on_top = True
    fieldsets = (
        (None, {"fields": ("name", "slug", "status")}),
        (
            gettext_lazy("What is offered"),
            {"fields": ("kind", "offer_by", "product_ref", "product_map", "quantity_rule",
                        "quantity", "must_fit")},
        ),
        (
            gettext_lazy("When it may appear"),
            {"fields": ("channels", "match", "bounds", "currencies", "allow_if_present")},
        ),
        (
            gettext_lazy("To whom"),
            {"fields": ("groups", "countries", "payment_methods", "not_bought_days",
                        "not_seen_days")},
        ),
        (
            gettext_lazy("Price and stock"),
            {"fields": ("rule", "percent", "amounts", "from_regular", "allow_free",
                        "allow_below_cost", "shipping", "shipping_flat", "stock", "documents")},
        ),
        (
            gettext_lazy("What the shopper reads"),
            {"fields": ("default_language", "motivation"),
             "description": gettext_lazy("The words themselves are below, by language.")},
        ),
        (
            gettext_lazy("Schedule and priority"),
            {"fields": ("valid_from", "valid_until", "priority", "note")},
        ),
    )  # fmt: skip

    class Media:
        css = {"all": ["upsell/admin/admin.css"]}

    # ------------------------------------------------------------------ who may

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        visible = visible_ids(request)
        return rows if visible is None else rows.filter(pk__in=visible)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (
            obj is None or may_touch(request, obj)
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A campaign that offered something is kept: its offers point to it."""
        return super().has_delete_permission(request, obj) and (
            obj is None or (may_touch(request, obj) and not obj.offers.exists())
        )

    def has_withdraw_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("upsell.withdraw_campaign")

    # ------------------------------------------------------------------ list

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-priority", "-edited_at", "-pk")

    @admin.display(description=gettext_lazy("standing"))
    def standing(self, campaign: Campaign) -> str:
        code, words = state_of(campaign, now=clock.now())
        return format_html('<span class="upsell-badge upsell-badge-{}">{}</span>', code, words)

    @admin.display(description=gettext_lazy("offers"))
    def offers(self, campaign: Campaign) -> str:
        if campaign.offer_by == Campaign.OfferBy.PRODUCT:
            return str(getattr(campaign, "_upsell_title", campaign.product_ref))
        return str(campaign.get_offer_by_display())

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return TitledList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        first = not Campaign.objects.exists()
        return super().changelist_view(request, {**(extra_context or {}), "upsell_first": first})

    # ------------------------------------------------------------------ form

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        form.allowed = allowed_channels(request)  # type: ignore[attr-defined]
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = set(CampaignForm(instance=Campaign()).fields)
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name in shown]})
            for title, options in self.fieldsets
        ]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        days = conf.get("UPSELL_NOT_BOUGHT_DAYS")
        return {
            **super().get_changeform_initial_data(request),
            "priority": campaigns.next_priority(),
            "not_bought_days": days,
        }

    def _create_formsets(self, request: HttpRequest, obj: Any, change: bool) -> Any:
        formsets, instances = super()._create_formsets(request, obj, change)  # type: ignore[misc]
        for formset in formsets:
            formset.siblings = formsets
        return formsets, instances

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj._upsell_before = (
            campaigns.dump(Campaign.objects.get(pk=obj.pk)) if change and obj.pk else {}
        )
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        campaign = form.instance
        campaigns.record_edit(campaign, request.user, campaign._upsell_before)
        for warning in getattr(campaign, "_upsell_warnings", []):
            messages.warning(request, warning.message)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for campaign in queryset:
            if self.has_delete_permission(request, campaign):
                campaign.delete()

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        campaign = kwargs.get("obj")
        if campaign is not None and campaign.pk:
            context["upsell_says"] = sentence(campaigns.dump(campaign), label_of)
            context["upsell_standing"] = state_of(campaign, now=clock.now())[1]
        return super().render_change_form(request, context, *args, **kwargs)

    # ------------------------------------------------------------------ actions

    @admin.action(description=gettext_lazy("Duplicate"), permissions=["add"])
    def duplicate(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        done = refused = 0
        for campaign in queryset.order_by("pk"):
            if may_touch(request, campaign):
                campaigns.duplicate(campaign_id=campaign.pk, user=request.user)
                done += 1
            else:
                refused += 1
        if done:
            text = ngettext(
                "%d campaign copied, switched off.", "%d campaigns copied, switched off.", done
            )
            messages.success(request, text % done)
        if refused:
            messages.error(
                request, _("%d could not: they run in channels that are not yours.") % refused
            )

    @admin.action(description=gettext_lazy("Withdraw outstanding offers"), permissions=["withdraw"])
    def withdraw_outstanding(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        mine = [row for row in queryset.order_by("pk") if may_touch(request, row)]
        if request.POST.get("confirmed") != "yes":
            ids = [row.pk for row in mine]
            outstanding = Offer.objects.filter(campaign_id__in=ids, state__in=sorted(states.OPEN))
            return TemplateResponse(
                request,
                "admin/upsell/campaign/withdraw.html",
                {
                    **self.admin_site.each_context(request),
                    "title": _("Withdraw outstanding offers"),
                    "opts": self.model._meta,
                    "campaigns": mine,
                    "count": outstanding.count(),
                },
            )
        done = waiting = 0
        for campaign in mine:
            now_done, now_waiting = revoking.withdraw_outstanding(
                campaign_id=campaign.pk, actor=f"staff:{request.user.pk}"
            )
            done, waiting = done + now_done, waiting + now_waiting
        messages.success(request, _("%d offers withdrawn.") % done)
        if waiting:
            messages.warning(
                request,
                _("%d are being paid just now; they are settled first, then refunded.") % waiting,
            )
        return None

    @admin.action(description=gettext_lazy("Export as JSON"), permissions=["view"])
    def export_json(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return _download(campaign_files.as_json(queryset), "application/json", "campaigns.json")

    @admin.action(description=gettext_lazy("Export as CSV"), permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return _download(campaign_files.as_csv(queryset), "text/csv", "campaigns.csv")

    # ------------------------------------------------------------------ pages of our own

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("choices/", view(self.choices_view), name="upsell_campaign_choices"),
            path("import/", view(self.import_view), name="upsell_campaign_import"),
            path("why/", view(self.why_view), name="upsell_campaign_why"),
            path("<int:pk>/preview/", view(self.preview_view), name="upsell_campaign_preview"),
            *super().get_urls(),
        ]

    def choices_view(self, request: HttpRequest) -> HttpResponse:
        """Answer Django's select2 from the shop."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        kind, term = request.GET.get("field_name", ""), request.GET.get("term", "")[:100]
        found = choices(kind, term, 30) if kind in PICKERS - {"order"} else ()
        allowed = allowed_channels(request)
        rows = [
            {"id": row.ref, "text": row.label}
            for row in found
            if kind != "channel" or allowed is None or row.ref in allowed
        ]
        return JsonResponse({"results": rows, "pagination": {"more": False}})

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Read a file, say what it would do, and do it when told to."""
        if not (self.has_add_permission(request) and self.has_change_permission(request)):
            raise PermissionDenied
        context: dict[str, Any] = {"title": _("Import campaigns"), "text": ""}
        if request.method == "POST":
            try:
                context["text"] = _uploaded(request)
                rows = campaign_files.read(context["text"])
                self._refuse_foreign(request, rows)
                commit = request.POST.get("commit") == "yes"
                context["outcomes"] = campaign_files.import_(rows, commit=commit, user=request.user)
                if commit and not any(row.errors for row in context["outcomes"]):
                    messages.success(request, _("%d campaigns imported.") % len(rows))
                    return redirect(f"{self.admin_site.name}:upsell_campaign_changelist")
            except ValidationError as error:
                context["error"] = " ".join(error.messages)
        return TemplateResponse(
            request,
            "admin/upsell/campaign/import.html",
            {**self.admin_site.each_context(request), "opts": self.model._meta, **context},
        )

    def _refuse_foreign(self, request: HttpRequest, rows: list[dict[str, Any]]) -> None:
        allowed = allowed_channels(request)
        if allowed is None:
            return
        slugs = [str(row.get("slug", "")) for row in rows]
        stored = Campaign.objects.filter(slug__in=slugs).order_by("pk")
        lists = [row.get("channels") for row in rows]
        # What is no list is refused with its row; it names no channel to anybody.
        named = {str(name) for found in lists if isinstance(found, list) for name in found}
        if not named <= allowed or not all(may_touch(request, row) for row in stored):
            raise ValidationError(_("The file holds campaigns of channels that are not yours."))

    def why_view(self, request: HttpRequest) -> HttpResponse:
        if not request.user.has_perm("upsell.simulate_campaign"):
            raise PermissionDenied
        context = why.context_for(request)
        return TemplateResponse(
            request,
            "admin/upsell/why.html",
            {**self.admin_site.each_context(request), "opts": self.model._meta, **context},
        )

    def preview_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the words as a shopper reads them, on a page that can do nothing."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        campaign = get_object_or_404(self.get_queryset(request), pk=pk)
        copies = sorted(campaign.copies.all(), key=lambda row: row.pk)
        response = TemplateResponse(
            request,
            "admin/upsell/campaign/preview.html",
            {
                "campaign": campaign,
                "copies": copies,
                "product": label_of("product", campaign.product_ref),
            },
        )
        response["Content-Security-Policy"] = (
            "sandbox; default-src 'none'; style-src 'self'; img-src 'self' https:"
        )
        response["Cache-Control"] = "private, no-store"
        return response

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        campaign = self.get_object(request, unquote(object_id))
        revisions = CampaignRevision.objects.filter(campaign=campaign).select_related("by")
        rows = [
            {"revision": row, "changes": _differences(row.before, row.after)}
            for row in revisions.order_by("-number", "pk")[:100]
        ]
        return super().history_view(
            request, object_id, {**(extra_context or {}), "upsell_revisions": rows}
        )

    object_history_template = "admin/upsell/campaign/history.html"


def _uploaded(request: HttpRequest) -> str:
    """Return the file's text, or the text that was looked at before.

    Raises:
        ValidationError: It is too large: what was cut off would be called unreadable.
    """
    upload = request.FILES.get("file")
    if upload is None:
        return request.POST.get("text", "")
    raw = upload.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise ValidationError(_("The file is larger than 2 MB."))
    return str(raw, "utf-8-sig", "replace")


def _download(text: str, kind: str, name: str) -> HttpResponse:
    response = HttpResponse(text, content_type=f"{kind}; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return (field, before, after) of what an edit changed."""
    return [
        (name.replace("_", " "), _told(before.get(name)), _told(after.get(name)))
        for name in after
        if before.get(name) != after.get(name)
    ]


def _told(value: object) -> str:
    if value in (None, "", [], {}):
        return "–"
    if isinstance(value, dict):
        return "; ".join(
            f"{key}: {_told(item)}" for key, item in value.items() if item not in ("", [])
        )
    if isinstance(value, list):
        return ", ".join(_told(item) for item in value)
    return str(value)
