"""Look at what was decided, for which order, and who lost."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell.admin.offers import Looked, channel_of, why_link
from upsell.models import Campaign, Decision
from upsell.presenting import timeline
from upsell.presenting.reasons import WORDS, in_words


class AnswerFilter(admin.SimpleListFilter):
    """An offer, or why there was none."""

    title = gettext_lazy("answer")
    parameter_name = "answer"
    _OFFER = "offer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        found = model_admin.get_queryset(request).exclude(reason="")
        codes = found.order_by("reason").values_list("reason", flat=True).distinct()
        return [
            (self._OFFER, gettext_lazy("an offer")),
            *((code, WORDS.get(code, code)) for code in codes),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == self._OFFER:
            return queryset.filter(campaign__isnull=False)
        return queryset.filter(reason=self.value()) if self.value() else queryset


@admin.register(Decision)
class DecisionAdmin(Looked):
    list_display = ("order_ref", "told", "campaign", "where", "decided", "why_link")
    list_filter = (AnswerFilter, "channel", "trial")
    list_select_related = ("campaign",)
    search_fields = ("=order_ref", "=offer__terms__order_number")
    search_help_text = gettext_lazy("Order's reference, or its number where it had an offer")
    ordering = ("-at", "-pk")
    fields = ("order_ref", "why_link", "where", "at", "told", "campaign", "losers", "trial",
              "version")  # fmt: skip
    readonly_fields = ("told", "losers", "where", "why_link")

    @admin.display(description=gettext_lazy("answer"))
    def told(self, decision: Decision) -> str:
        return in_words(decision.reason) if decision.reason else _("an offer")

    @admin.display(description=gettext_lazy("decided"), ordering="at")
    def decided(self, decision: Decision) -> str:
        return timeline.shortly(decision.at)

    @admin.display(description=gettext_lazy("sales channel"), ordering="channel")
    def where(self, decision: Any) -> str:
        return channel_of(decision)

    @admin.display(description=gettext_lazy("explanation"))
    def why_link(self, decision: Decision) -> str:
        return why_link(decision.order_ref)

    @admin.display(description=gettext_lazy("passed over"))
    def losers(self, decision: Decision) -> str:
        ids = [pk for pk, _reason in decision.candidates]
        names = dict(Campaign.objects.filter(pk__in=ids).values_list("pk", "name"))
        return (
            "\n".join(
                f"{names.get(pk, pk)}: {in_words(str(reason))}"
                for pk, reason in decision.candidates
            )
            or "–"
        )
