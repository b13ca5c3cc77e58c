"""Look at promises, what became of them, and why; never edit them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from upsell.admin.access import allowed_channels
from upsell.models import Attempt, Decision, Offer, OfferEvent, OfferQuote, OutboxMessage, Refund
from upsell.presenting.mails import shown_money
from upsell.presenting.reasons import in_words


class Looked(admin.ModelAdmin):
    """Rows that staff look at and nobody edits."""

    actions = None
    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        allowed = allowed_channels(request)
        return rows if allowed is None else rows.filter(channel__in=allowed)


class LookedInline(admin.TabularInline):
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("upsell.view_offer")


class EventInline(LookedInline):
    model = OfferEvent
    fields = ("at", "kind", "before", "after", "actor", "reason")
    ordering = ("at", "pk")
    verbose_name_plural = gettext_lazy("What happened, oldest first")


class QuoteInline(LookedInline):
    model = OfferQuote
    fields = ("number", "at", "due_gross", "currency", "collection", "collection_label")
    ordering = ("number", "pk")


class AttemptInline(LookedInline):
    model = Attempt
    fk_name = "offer"
    fields = ("number", "state", "amount", "currency", "reference", "charge_state", "decline_code",
              "started_at", "settled_at")  # fmt: skip
    ordering = ("number", "pk")


class MessageInline(LookedInline):
    model = OutboxMessage
    fields = ("kind", "state", "attempts", "not_before", "sent_at", "reason")
    ordering = ("created_at", "pk")


@admin.register(Offer)
class OfferAdmin(Looked):
    list_display = (
        "order_ref",
        "campaign",
        "price",
        "state",
        "channel",
        "created_at",
        "expires_at",
    )
    list_filter = ("state", "kind", "trial", "campaign")
    list_select_related = ("campaign",)
    search_fields = ("order_ref", "product_ref", "uuid")
    search_help_text = gettext_lazy("Order's or product's reference, offer's uuid")
    ordering = ("-created_at", "-pk")
    inlines = (EventInline, QuoteInline, AttemptInline, MessageInline)
    fields = (
        "uuid", "order_ref", "channel", "campaign", "revision", "state", "failure_code", "trial",
        "kind", "product_ref", "quantity", "price", "created_at", "first_shown_at",
        "responded_at", "expires_at", "closed_at", "refunds",
    )  # fmt: skip
    readonly_fields = ("price", "refunds")

    @admin.display(description=gettext_lazy("unit price"), ordering="unit_gross")
    def price(self, offer: Offer) -> str:
        return str(shown_money(offer.unit_gross, offer.currency))

    @admin.display(description=gettext_lazy("refunds"))
    def refunds(self, offer: Offer) -> str:
        rows = Refund.objects.filter(attempt__offer=offer).order_by("created_at", "pk")
        return "; ".join(
            f"{shown_money(row.amount, row.currency)} {row.state} ({row.reason})" for row in rows
        )


@admin.register(Decision)
class DecisionAdmin(Looked):
    list_display = ("order_ref", "channel", "campaign", "told", "at", "trial")
    list_filter = ("channel", "reason", "trial")
    list_select_related = ("campaign",)
    search_fields = ("order_ref",)
    search_help_text = gettext_lazy("Order's reference")
    ordering = ("-at", "-pk")
    fields = ("order_ref", "moment", "channel", "at", "version", "campaign", "told", "losers",
              "facts", "trial")  # fmt: skip
    readonly_fields = ("told", "losers")

    @admin.display(description=gettext_lazy("answer"))
    def told(self, decision: Decision) -> str:
        return in_words(decision.reason) if decision.reason else str(gettext_lazy("an offer"))

    @admin.display(description=gettext_lazy("passed over"))
    def losers(self, decision: Decision) -> str:
        return "\n".join(f"{pk}: {in_words(str(reason))}" for pk, reason in decision.candidates)
