"""Edit campaigns: the form, the list in the order of winning, and what is done with many."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from upsell import clock, conf
from upsell.admin import (
    attention,
    choosing,
    first,
    history,
    importing,
    keeping,
    previews,
    refusals,
    shadowing,
    why,
)
from upsell.admin.access import allowed_channels, may_touch, may_write_campaigns, visible_ids
from upsell.admin.badges import badge
from upsell.admin.fields import site_language
from upsell.admin.forms import (
    CampaignForm,
    CopyForm,
    ExclusionForm,
    TriggerForm,
    check_together,
    shown_fields,
)
from upsell.admin.lists import StandingFilter, TitledList
from upsell.admin.widgets import labels
from upsell.engine import states
from upsell.models import Campaign, CampaignCopy, CampaignExclusion, CampaignTrigger, Offer
from upsell.presenting.campaigns import offered, sentence, state_of
from upsell.services import campaigns, revoking


class OfCampaign(admin.options.InlineModelAdmin):
    """Child rows: whoever may write a campaign writes all of it."""

    extra = 0
    # The fieldset it stands below: a class of its own in ``CampaignAdmin.fieldsets``.
    below = ""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("upsell.view_campaign") or may_write_campaigns(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_write_campaigns(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_write_campaigns(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_write_campaigns(request)


class TriggerInline(OfCampaign, admin.TabularInline):
    model = CampaignTrigger
    form = TriggerForm
    below = "upsell-when"
    verbose_name_plural = gettext_lazy("Triggers (none: it never appears)")

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0 if obj is not None and obj.triggers.exists() else 1


class ExclusionInline(OfCampaign, admin.TabularInline):
    model = CampaignExclusion
    form = ExclusionForm
    below = "upsell-when"
    verbose_name_plural = gettext_lazy("Never together with (none: nothing rules it out)")


class CopyInline(OfCampaign, admin.StackedInline):
    model = CampaignCopy
    form = CopyForm
    below = "upsell-words"
    verbose_name = gettext_lazy("words")
    verbose_name_plural = gettext_lazy("Words, by language (none: plain sentences of ours)")

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0 if obj is not None and obj.copies.exists() else 1


@admin.register(Campaign)
class CampaignAdmin(admin.ModelAdmin):
    form = CampaignForm
    inlines = (TriggerInline, ExclusionInline, CopyInline)
    list_display = ("name", "standing", "rank", "offers", "edited")
    list_filter = (StandingFilter, "kind", "rule")
    search_fields = ("name", "slug", "product_ref", "note")
    search_help_text = gettext_lazy("Name, slug, offered product's reference or note")
    list_per_page = 50
    prepopulated_fields = {"slug": ("name",)}
    actions = ("duplicate", "withdraw_outstanding", "archive", "unarchive", "export_json",
               "export_csv")  # fmt: skip
    change_form_template = "admin/upsell/campaign/change_form.html"
    change_list_template = "admin/upsell/campaign/change_list.html"
    object_history_template = "admin/upsell/campaign/history.html"
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
            {"fields": ("channels", "bounds", "currencies", "allow_if_present", "match"),
             "classes": ("upsell-when",)},
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
            {"fields": ("default_language", "motivation"), "classes": ("upsell-words",)},
        ),
        (
            gettext_lazy("Schedule and priority"),
            {"fields": ("valid_from", "valid_until", "priority", "weight", "note")},
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
        """A campaign that offered something or is in an experiment is kept: they point to it."""
        return super().has_delete_permission(request, obj) and (
            obj is None or (may_touch(request, obj) and not keeping.has_history(obj))
        )

    def has_withdraw_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("upsell.withdraw_campaign")

    def has_simulate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("upsell.simulate_campaign")

    def has_preview_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever writes a campaign sees it as a shopper would, and whoever may simulate."""
        return self.has_change_permission(request, obj) or (
            self.has_simulate_permission(request) and self.has_view_permission(request, obj)
        )

    def has_import_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request) and self.has_change_permission(request)

    def _only_looks(self, request: HttpRequest, obj: Any) -> bool:
        return obj is not None and not self.has_change_permission(request, obj)

    # ------------------------------------------------------------------ list

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-priority", "-edited_at", "-pk")

    @admin.display(description=gettext_lazy("standing"))
    def standing(self, campaign: Any) -> str:
        told = badge(*state_of(campaign, now=clock.now()))
        where = ", ".join(campaign._upsell_label("channel", ref) for ref in campaign.channels)
        return format_html('{}<span class="upsell-more">{}</span>', told, where) if where else told

    @admin.display(description=gettext_lazy("priority"), ordering="priority")
    def rank(self, campaign: Campaign) -> str:
        # On a phone the rows are cards, without the heads of the columns.
        told = '<span class="upsell-on-phones">{}</span> {}'
        return format_html(told, _("Priority"), campaign.priority)

    @admin.display(description=gettext_lazy("what it offers"))
    def offers(self, campaign: Any) -> str:
        what, how = offered(campaigns.fields_of(campaign), campaign._upsell_label)
        return format_html('{}<span class="upsell-more">{}</span>', what, how)

    @admin.display(description=gettext_lazy("edited"), ordering="edited_at")
    def edited(self, campaign: Campaign) -> str:
        at = timezone.localtime(campaign.edited_at)
        day, time = formats.date_format(at, "SHORT_DATE_FORMAT"), formats.time_format(at)
        return format_html('{}<span class="upsell-more">{}</span>', day, time)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return TitledList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            **first.invitation(self, request),
            "upsell_may_import": self.has_import_permission(request),
            "upsell_attention": attention.waiting(request),
        }
        return super().changelist_view(request, {**(extra_context or {}), **context})

    # ------------------------------------------------------------------ form

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        form.allowed = allowed_channels(request)  # type: ignore[attr-defined]
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if self._only_looks(request, obj):
            return [(None, {"fields": ["in_words"]})]
        shown = shown_fields()
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name in shown]})
            for title, options in self.fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("in_words",) if self._only_looks(request, obj) else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if self._only_looks(request, obj) else self.prepopulated_fields

    def get_inline_instances(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [] if self._only_looks(request, obj) else super().get_inline_instances(request, obj)

    @admin.display(description=gettext_lazy("all that is set"))
    def in_words(self, campaign: Campaign) -> str:
        return history.table_of(campaigns.defaults(), campaigns.dump(campaign), labels())

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {
            **super().get_changeform_initial_data(request),
            "priority": campaigns.next_priority(),
            "not_bought_days": conf.get("UPSELL_NOT_BOUGHT_DAYS"),
            "default_language": site_language(),
        }

    def _create_formsets(self, request: HttpRequest, obj: Any, change: bool) -> Any:
        formsets, instances = super()._create_formsets(request, obj, change)  # type: ignore[misc]
        if request.method == "POST":
            check_together(obj, formsets)
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
        if "_continue" in request.POST:
            return  # its page says them itself
        for told in keeping.warnings(campaign):
            messages.warning(request, f"{campaign}: {told}")
        for warning in getattr(campaign, "_upsell_warnings", []):
            messages.warning(request, f"{campaign}: {warning.message}")

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        campaign = self.get_object(request, unquote(object_id))
        may = self.has_delete_permission(request) and self.has_change_permission(request, campaign)
        if campaign is not None and may and keeping.has_history(campaign):
            messages.error(request, keeping.kept(campaign))
            return redirect(f"{self.admin_site.name}:upsell_campaign_change", campaign.pk)
        return super().delete_view(request, object_id, extra_context)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for campaign in queryset:
            if self.has_delete_permission(request, campaign):
                campaign.delete()

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        shown = kwargs.get("obj")
        stored = Campaign.objects.filter(pk=shown.pk).first() if shown and shown.pk else None
        if stored is not None:
            values = campaigns.dump(stored)
            context["upsell_says"] = sentence(values, labels())
            context["upsell_standing"] = badge(*state_of(stored, now=clock.now()))
            context["upsell_may_preview"] = self.has_preview_permission(request, stored)
            if request.method != "POST":
                errors, warnings = campaigns.validate(values, campaign_id=stored.pk)
                told = [finding.message for finding in (*errors, *warnings)]
                context["upsell_findings"] = [*keeping.warnings(stored), *told]
        return super().render_change_form(request, context, *args, **kwargs)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        campaign = self.get_object(request, unquote(object_id))
        context = {} if campaign is None else {"upsell_edits": history.edits(campaign)}
        return super().history_view(request, object_id, {**(extra_context or {}), **context})

    # ------------------------------------------------------------------ actions

    @admin.action(description=gettext_lazy("Duplicate"), permissions=["add"])
    def duplicate(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        mine, foreign = self._mine(request, queryset)
        copies = [campaigns.duplicate(campaign_id=row.pk, user=request.user) for row in mine]
        self._refused(request, foreign)
        if copies:
            text = ngettext(
                "%d campaign copied, switched off.",
                "%d campaigns copied, switched off.",
                len(copies),
            )
            messages.success(request, text % len(copies))
        if len(copies) == 1 and self.has_change_permission(request, copies[0]):
            return redirect(f"{self.admin_site.name}:upsell_campaign_change", copies[0].pk)
        return None

    @admin.action(description=gettext_lazy("Withdraw outstanding offers"), permissions=["withdraw"])
    def withdraw_outstanding(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        mine, foreign = self._mine(request, queryset)
        self._refused(request, foreign)
        if not mine:
            return None
        if request.POST.get("confirmed") != "yes":
            return self._ask_to_withdraw(request, mine)
        done = waiting = 0
        for campaign in mine:
            now_done, now_waiting = revoking.withdraw_outstanding(
                campaign_id=campaign.pk, actor=f"staff:{request.user.pk}"
            )
            done, waiting = done + now_done, waiting + now_waiting
        text = ngettext("%d offer withdrawn.", "%d offers withdrawn.", done)
        messages.success(request, text % done)
        if waiting:
            text = ngettext(
                "%d is being paid just now; it is settled first, then refunded.",
                "%d are being paid just now; they are settled first, then refunded.",
                waiting,
            )
            messages.warning(request, text % waiting)
        return None

    def _ask_to_withdraw(self, request: HttpRequest, mine: list[Campaign]) -> HttpResponse:
        outstanding = Offer.objects.filter(campaign__in=mine, state__in=sorted(states.OPEN))
        open_ones = [offer.campaign_id for offer in outstanding.only("campaign_id")]
        counted = [(campaign, open_ones.count(campaign.pk)) for campaign in mine]
        return TemplateResponse(
            request,
            "admin/upsell/campaign/withdraw.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Withdraw outstanding offers"),
                "opts": self.model._meta,
                "campaigns": counted,
                "count": len(open_ones),
                "media": self.media,
            },
        )

    @admin.action(description=gettext_lazy("Archive"), permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._archived(request, queryset, archived=True)

    @admin.action(description=gettext_lazy("Take out of the archive"), permissions=["change"])
    def unarchive(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._archived(request, queryset, archived=False)

    def _archived(self, request: HttpRequest, rows: QuerySet[Any], *, archived: bool) -> None:
        mine, foreign = self._mine(request, rows)
        self._refused(request, foreign)
        done, refused = keeping.archive(mine, archived=archived, user=request.user)
        for told in refused:
            messages.error(request, told)
        text = (
            ngettext("%d campaign archived.", "%d campaigns archived.", done)
            if archived
            else ngettext("%d campaign taken out.", "%d campaigns taken out.", done)
        )
        messages.success(request, text % done)

    @admin.action(description=gettext_lazy("Export as JSON"), permissions=["change"])
    def export_json(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return importing.export(queryset, "json")

    @admin.action(description=gettext_lazy("Export as CSV"), permissions=["change"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return importing.export(queryset, "csv")

    def _mine(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> tuple[list[Campaign], list[Campaign]]:
        """Return (campaigns that are theirs to touch, the others)."""
        rows = list(queryset.order_by("pk"))
        mine = [row for row in rows if may_touch(request, row)]
        return mine, [row for row in rows if row not in mine]

    def _refused(self, request: HttpRequest, foreign: list[Campaign]) -> None:
        if foreign:
            told = _("Left alone, since they run in sales channels that are not yours: %s.")
            messages.error(request, told % ", ".join(str(row) for row in foreign))

    # ------------------------------------------------------------------ pages of our own

    def get_urls(self) -> list[Any]:
        def page(view: Any) -> Any:
            def bound(request: HttpRequest, **kwargs: Any) -> HttpResponse:
                response: HttpResponse = view(self, request, **kwargs)
                return response

            return self.admin_site.admin_view(bound)

        return [
            path("choices/", page(choosing.choices), name="upsell_campaign_choices"),
            path("import/", page(importing.page), name="upsell_campaign_import"),
            path("why/", page(why.page), name="upsell_campaign_why"),
            path("shadowing/", page(shadowing.page), name="upsell_campaign_shadowing"),
            path("<int:pk>/refusals/", page(refusals.page), name="upsell_campaign_refusals"),
            path("first/", page(first.begin), name="upsell_campaign_first"),
            path("<int:pk>/first/", page(first.steps), name="upsell_campaign_steps"),
            path("<int:pk>/preview/", page(previews.page), name="upsell_campaign_preview"),
            path("<int:pk>/preview/frame/", page(previews.frame), name="upsell_campaign_frame"),
            *super().get_urls(),
        ]
