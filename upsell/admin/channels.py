"""What holds per sales channel, and who may touch which."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from upsell.admin.access import allowed_channels
from upsell.models import ChannelAccess, ChannelSettings

logger = logging.getLogger("upsell")


@admin.register(ChannelSettings)
class ChannelSettingsAdmin(admin.ModelAdmin):
    list_display = ("__str__", "enabled", "validity", "undo_time", "confirmation_mail", "holdout")
    ordering = ("channel", "pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        allowed = allowed_channels(request)
        return rows if allowed is None else rows.filter(channel__in=allowed)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who is limited to channels edits the rows there are: a new one might be for all."""
        return super().has_add_permission(request) and allowed_channels(request) is None

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if allowed_channels(request) is None else ("channel",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        moved = {
            name: (str(form.initial.get(name)), str(form.cleaned_data.get(name)))
            for name in form.changed_data
            if name not in {"sender", "staff_address"}
        }
        logger.info("channel settings %s changed by %s: %s", obj.pk, request.user.pk, moved)


@admin.register(ChannelAccess)
class ChannelAccessAdmin(admin.ModelAdmin):
    list_display = ("user", "channel")
    list_select_related = ("user",)
    ordering = ("user__pk", "channel", "pk")
    raw_id_fields = ("user",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        allowed = allowed_channels(request)
        return rows if allowed is None else rows.none()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody widens their own limits."""
        return super().has_add_permission(request) and allowed_channels(request) is None
