"""Look at promises, what became of them, and why; never edit them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell.admin import attending, attention
from upsell.admin.access import limited, visible_ids
from upsell.admin.badges import badge
from upsell.admin.lists import NamedList, channel_names, staff_names
from upsell.models import (
    Attempt,
    Campaign,
    Offer,
    OfferEvent,
    OfferQuote,
    OutboxMessage,
    Refund,
)
from upsell.presenting import timeline
from upsell.presenting.mails import shown_money

_CAMPAIGNS_LISTED = 50


class Looked(admin.ModelAdmin):
    """Rows that staff look at and nobody edits."""

    actions = None
    list_per_page = 50
    show_full_result_count = False
    change_form_template = "admin/upsell/looked_form.html"
    # Where the row's sales channel stands.
    channel_field = "channel"

    class Media:
        css = {"all": ["upsell/admin/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return limited(request, super().get_queryset(request), self.channel_field)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return NamedList


class LookedInline(admin.TabularInline):
    """Rows of an offer: whoever may look at the offer looks at them."""

    extra = 0
    can_delete = False
    template = "admin/upsell/looked.html"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("upsell.view_offer")


class EventInline(LookedInline):
    model = OfferEvent
    fields = readonly_fields = ("when", "what", "was", "who", "why")
    ordering = ("at", "pk")
    verbose_name_plural = gettext_lazy("What happened, oldest first")

    @admin.display(description=gettext_lazy("when"))
    def when(self, event: OfferEvent) -> str:
        return timeline.exactly(event.at)

    @admin.display(description=gettext_lazy("what"))
    def what(self, event: OfferEvent) -> str:
        return timeline.kind_in_words(event.kind)

    @admin.display(description=gettext_lazy("before"))
    def was(self, event: OfferEvent) -> str:
        return timeline.state_in_words(event.before)

    @admin.display(description=gettext_lazy("who"))
    def who(self, event: Any) -> str:
        names = staff_names([event.actor]) if not hasattr(event, "_upsell_staff") else {}
        staff = names.get(event.actor, getattr(event, "_upsell_staff", ""))
        return timeline.actor_in_words(event.actor, staff)

    @admin.display(description=gettext_lazy("why"))
    def why(self, event: OfferEvent) -> str:
        return timeline.why_in_words(event)


class QuoteInline(LookedInline):
    model = OfferQuote
    fields = readonly_fields = ("number", "when", "due", "how", "collection_label")
    ordering = ("number", "pk")
    verbose_name_plural = gettext_lazy("Amounts shown")

    @admin.display(description=gettext_lazy("when"))
    def when(self, quote: OfferQuote) -> str:
        return timeline.exactly(quote.at)

    @admin.display(description=gettext_lazy("collected how"))
    def how(self, quote: OfferQuote) -> str:
        return timeline.collection_in_words(quote.collection)

    @admin.display(description=gettext_lazy("to pay"))
    def due(self, quote: OfferQuote) -> str:
        return shown_money(quote.due_gross, quote.currency)


class AttemptInline(LookedInline):
    model = Attempt
    fk_name = "offer"
    fields = readonly_fields = (
        "number", "standing", "amount_shown", "reference", "provider", "decline_code",
        "started", "settled",
    )  # fmt: skip
    ordering = ("number", "pk")
    verbose_name_plural = gettext_lazy("Tries to collect")

    @admin.display(description=gettext_lazy("state"))
    def standing(self, attempt: Attempt) -> str:
        return timeline.attempt_in_words(attempt.state)

    @admin.display(description=gettext_lazy("provider says"))
    def provider(self, attempt: Attempt) -> str:
        return timeline.charge_in_words(attempt.charge_state)

    @admin.display(description=gettext_lazy("amount"))
    def amount_shown(self, attempt: Attempt) -> str:
        asked = shown_money(attempt.amount, attempt.currency)
        if attempt.charged is None:
            return asked
        taken = shown_money(attempt.taken, attempt.taken_currency)
        return _("%(asked)s, taken %(taken)s") % {"asked": asked, "taken": taken}

    @admin.display(description=gettext_lazy("started"))
    def started(self, attempt: Attempt) -> str:
        return timeline.exactly(attempt.started_at)

    @admin.display(description=gettext_lazy("settled"))
    def settled(self, attempt: Attempt) -> str:
        return timeline.exactly(attempt.settled_at)


class MessageInline(LookedInline):
    model = OutboxMessage
    fields = ("kind", "state", "attempts", "not_before", "sent_at", "reason")
    ordering = ("created_at", "pk")
    verbose_name_plural = gettext_lazy("Mails and notices")


class CampaignFilter(admin.SimpleListFilter):
    """Campaigns that offered something, in the order in which they win; at most fifty."""

    title = gettext_lazy("campaign")
    parameter_name = "campaign__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        rows = Campaign.objects.filter(Exists(Offer.objects.filter(campaign=OuterRef("pk"))))
        visible = visible_ids(request)
        rows = rows if visible is None else rows.filter(pk__in=visible)
        ranked = rows.order_by("-priority", "-edited_at", "-pk")
        return list(ranked.values_list("pk", "name")[:_CAMPAIGNS_LISTED])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(campaign_id=value) if value and value.isdigit() else queryset


class KindFilter(admin.SimpleListFilter):
    """Upsells or cross-sells."""

    title = gettext_lazy("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [(kind, str(words)) for kind, words in Campaign.Kind.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class AttentionFilter(admin.SimpleListFilter):
    """The queue for staff: offers that a person has to look at."""

    title = gettext_lazy("needs attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        count = model_admin.get_queryset(request).waiting_for_staff().count()
        return [("yes", _("Needs attention (%d)") % count)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.waiting_for_staff() if self.value() == "yes" else queryset  # type: ignore[attr-defined]


@admin.register(Offer)
class OfferAdmin(Looked):
    list_display = ("order", "promised", "price", "standing", "where", "created")
    queue_display = ("order", "promised", "failure", "standing", "created")
    list_filter = (AttentionFilter, "state", CampaignFilter, KindFilter, "channel", "trial")
    list_select_related = ("campaign",)
    search_fields = ("=terms__order_number", "=order_ref", "=product_ref", "=uuid")
    search_help_text = gettext_lazy("Order's number, or a reference of order, product or offer")
    ordering = ("-created_at", "-pk")
    inlines = (EventInline, QuoteInline, AttemptInline, MessageInline)
    change_list_template = "admin/upsell/offer/change_list.html"
    change_form_template = "admin/upsell/offer/change_form.html"
    fieldsets = (
        (None, {"fields": ("standing", "failure", "order", "where", "expires_at", "why_link")}),
        (
            gettext_lazy("What was promised"),
            {"fields": ("campaign", "revision", "what", "instead_of", "quantity", "price",
                        "refunds")},
        ),
        (
            gettext_lazy("Times and references"),
            {"fields": ("created_at", "first_shown_at", "responded_at", "closed_at", "uuid",
                        "product_ref", "order_ref"),
             "classes": ("collapse",)},
        ),
    )  # fmt: skip
    readonly_fields = ("standing", "failure", "order", "why_link", "where", "what", "instead_of",
                       "price", "refunds")  # fmt: skip

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        queue = request.GET.get("attention") == "yes"
        context: dict[str, Any] = {"upsell_queue": queue}
        if queue:
            context["title"] = _("Offers that need attention")
        else:
            context["upsell_attention"] = attention.waiting(request)
        return super().changelist_view(request, {**(extra_context or {}), **context})

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        queue = request.GET.get("attention") == "yes"
        return self.queue_display if queue else self.list_display

    def get_urls(self) -> list[Any]:
        def page(view: Any) -> Any:
            def bound(request: HttpRequest, **kwargs: Any) -> HttpResponse:
                response: HttpResponse = view(self, request, **kwargs)
                return response

            return self.admin_site.admin_view(bound)

        return [
            path("<int:pk>/ask/", page(attending.ask), name="upsell_offer_ask"),
            path("<int:pk>/refund/", page(attending.refund), name="upsell_offer_refund"),
            *super().get_urls(),
        ]

    def has_ask_permission(self, request: HttpRequest) -> bool:
        """Whether they may have the provider asked again."""
        return self.has_view_permission(request) and request.user.has_perm("upsell.ask_offer")

    def has_refund_permission(self, request: HttpRequest) -> bool:
        """Whether they may give money back and close an offer."""
        return self.has_view_permission(request) and request.user.has_perm("upsell.refund_offer")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        offer = kwargs.get("obj")
        if offer is not None:
            context["upsell_attention_for"] = attending.choices(self, request, offer)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=gettext_lazy("order"), ordering="order_ref")
    def order(self, offer: Offer) -> str:
        return offer.terms.get("order_number") or offer.order_ref or "–"

    @admin.display(description=gettext_lazy("product"), ordering="product_ref")
    def what(self, offer: Offer) -> str:
        title = offer.terms.get("product", {}).get("title") or offer.product_ref
        units = f"{offer.quantity} × " if offer.quantity > 1 else ""
        upsell = offer.kind == Campaign.Kind.UPSELL
        told = _("%s, instead") if upsell else _("%s, in addition")
        return told % f"{units}{title}"

    @admin.display(description=gettext_lazy("what was promised"), ordering="product_ref")
    def promised(self, offer: Offer) -> str:
        return format_html(
            '{}<span class="upsell-more">{}</span>', self.what(offer), offer.campaign.name
        )

    @admin.display(description=gettext_lazy("leaves the order"))
    def instead_of(self, offer: Offer) -> str:
        rows = offer.terms.get("replaced", [])
        return ", ".join(f"{row['quantity']} × {row['title']}" for row in rows) or _("nothing")

    @admin.display(description=gettext_lazy("unit price"), ordering="unit_gross")
    def price(self, offer: Offer) -> str:
        return shown_money(offer.unit_gross, offer.currency)

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def standing(self, offer: Offer) -> str:
        words = str(offer.get_state_display())
        if offer.trial:
            words = _("%s (trial)") % words
        return badge(offer.state.lower(), words)

    @admin.display(description=gettext_lazy("failure"))
    def failure(self, offer: Offer) -> str:
        return timeline.reason_in_words(offer.failure_code)

    @admin.display(description=gettext_lazy("sales channel"), ordering="channel")
    def where(self, offer: Any) -> str:
        return channel_of(offer)

    @admin.display(description=gettext_lazy("explanation"))
    def why_link(self, offer: Offer) -> str:
        return why_link(offer.order_ref)

    @admin.display(description=gettext_lazy("created"), ordering="created_at")
    def created(self, offer: Offer) -> str:
        return timeline.shortly(offer.created_at)

    @admin.display(description=gettext_lazy("refunds"))
    def refunds(self, offer: Offer) -> str:
        rows = Refund.objects.filter(attempt__offer=offer).order_by("created_at", "pk")
        return "; ".join(timeline.refund_in_words(row) for row in rows) or "–"


class EventFilter(admin.SimpleListFilter):
    """What happened, in the words of the timeline."""

    title = gettext_lazy("what")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        kinds = OfferEvent.objects.order_by("kind").values_list("kind", flat=True).distinct()
        return [(kind, timeline.kind_in_words(kind)) for kind in kinds]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(OfferEvent)
class OfferEventAdmin(Looked):
    """Everything that happened to offers, newest first."""

    list_display = ("when", "what", "was", "order", "who", "why")
    list_display_links = None
    list_filter = (EventFilter,)
    list_select_related = ("offer",)
    search_fields = ("=offer__terms__order_number", "=offer__order_ref", "=offer__uuid")
    search_help_text = gettext_lazy("Order's number, or a reference of order or offer")
    ordering = ("-at", "-pk")
    channel_field = "offer__channel"

    when = EventInline.when
    what = EventInline.what
    was = EventInline.was
    who = EventInline.who
    why = EventInline.why

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("upsell.view_offer") or super().has_view_permission(
            request, obj
        )

    @admin.display(description=gettext_lazy("order"))
    def order(self, event: OfferEvent) -> str:
        number = event.offer.terms.get("order_number") or event.offer.order_ref
        address = reverse("admin:upsell_offer_change", args=[event.offer_id])
        return format_html('<a href="{}">{}</a>', address, number)


def why_link(order_ref: str | None) -> str:
    if not order_ref:
        return "–"
    address = reverse("admin:upsell_campaign_why")
    return format_html('<a href="{}?order={}">{}</a>', address, order_ref, _("Why this one?"))


def channel_of(row: Any) -> str:
    """Return what the shop calls a row's sales channel; asked here where no list has asked."""
    if hasattr(row, "_upsell_channel"):
        return str(row._upsell_channel)
    return str(channel_names().get(row.channel, row.channel)) or "–"
