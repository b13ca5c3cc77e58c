"""What holds per sales channel, and who may touch which."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from email.utils import getaddresses
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.core.validators import validate_email
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell.admin.access import allowed_channels
from upsell.models import ChannelAccess, ChannelSettings
from upsell.snapshots import LONGEST, SHORTEST

logger = logging.getLogger("upsell")


_SENDER = re.compile(r"[^<>\r\n]*<([^<>\s]+)>|([^<>\s]+)")


class ChannelSettingsForm(forms.ModelForm):
    """Settings of a channel: what could not be kept is refused before a buyer meets it."""

    holdout = forms.IntegerField(
        label=gettext_lazy("holdout, percent"),
        min_value=0,
        max_value=100,
        initial=0,
        help_text=ChannelSettings._meta.get_field("holdout").help_text,
    )

    class Meta:
        model = ChannelSettings
        fields = "__all__"  # noqa: DJ007

    def clean_sender(self) -> str:
        """One address, with or without a name."""
        sender: str = self.cleaned_data["sender"]
        if sender:
            match = _SENDER.fullmatch(sender)
            if match is None or len(getaddresses([sender])) != 1:
                raise forms.ValidationError(_("This is not one address."))
            validate_email(match[1] or match[2])
        return sender

    def clean_time_zone(self) -> str:
        zone: str = self.cleaned_data["time_zone"]
        if zone and zone not in available_timezones():
            raise forms.ValidationError(_("“%s” is not a time zone such as Europe/Berlin.") % zone)
        return zone

    def clean_validity(self) -> timedelta | None:
        validity: timedelta | None = self.cleaned_data["validity"]
        if validity is not None and not SHORTEST <= validity <= LONGEST:
            raise forms.ValidationError(_("From 00:05:00 to 02:00:00, as hours:minutes:seconds."))
        return validity

    def clean_undo_time(self) -> timedelta | None:
        """The page promises that a yes can be undone."""
        undo: timedelta | None = self.cleaned_data["undo_time"]
        if undo is not None and not timedelta(minutes=1) <= undo <= timedelta(days=30):
            raise forms.ValidationError(_("At least 00:01:00, as hours:minutes:seconds."))
        return undo


@admin.register(ChannelSettings)
class ChannelSettingsAdmin(admin.ModelAdmin):
    form = ChannelSettingsForm
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
