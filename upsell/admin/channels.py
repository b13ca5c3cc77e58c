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
from django.contrib.auth import get_user_model
from django.core.validators import validate_email
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.duration import duration_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell import conf, snapshots
from upsell.admin.access import allowed_channels, limited
from upsell.admin.badges import badge
from upsell.admin.fields import RefsField
from upsell.admin.lists import NamedList, channel_names
from upsell.exceptions import ConfigurationError
from upsell.models import ChannelAccess, ChannelSettings
from upsell.presenting.campaigns import NOTHING
from upsell.snapshots import LONGEST, SHORTEST

logger = logging.getLogger("upsell")

_SENDER = re.compile(r"[^<>\r\n]*<([^<>\s]+)>|([^<>\s]+)")
_ADDRESSES = frozenset({"sender", "staff_address", "postal_address"})
"""Logged as changed, never as they are: they may be a person's."""


def channel_choices(stored: str, *, empty: str) -> list[tuple[str, str]]:
    """Return the shop's sales channels, what is stored, and what no choice means."""
    known = dict(channel_names())
    if stored:
        known.setdefault(stored, stored)
    return [("", empty), *known.items()]


class ChannelSettingsForm(forms.ModelForm):
    """One sales channel's settings: what empty means, and no value that could not be kept."""

    holdout = forms.IntegerField(
        label=gettext_lazy("holdout, percent"), min_value=0, max_value=20, initial=0
    )

    ancillary_tags = RefsField(
        "tag",
        label=gettext_lazy("tags of ancillaries"),
        help_text=gettext_lazy(
            "Products that go along with an order: insurance, breakfast, a longer warranty. "
            "Journeys ask whether one was bought."
        ),
    )
    ancillary_categories = RefsField(
        "category",
        label=gettext_lazy("categories of ancillaries"),
        help_text=gettext_lazy("The same, by category."),
    )

    class Meta:
        model = ChannelSettings
        fields = (
            "channel", "enabled", "validity", "undo_time", "hold", "confirmation_mail", "sender",
            "staff_address", "postal_address", "holdout", "time_zone", "quiet_email_from",
            "quiet_email_until", "quiet_sms_from", "quiet_sms_until", "ask_satisfaction",
            "ancillary_tags", "ancillary_categories",
        )  # fmt: skip
        widgets = {"postal_address": forms.Textarea(attrs={"rows": 4, "cols": 40})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        helps = {
            "channel": _("“All channels” holds wherever a sales channel has no row of its own."),
            "validity": _("How long after checkout an offer stands, as hours:minutes:seconds; "
                          "5 minutes to 2 hours. Empty: %s.")
            % duration_string(conf.duration("UPSELL_OFFER_LIFETIME")),
            "undo_time": _("How long a buyer may undo, as hours:minutes:seconds, or until the "
                           "order is packed. Empty: %s.")
            % duration_string(conf.duration("UPSELL_UNDO_LIFETIME")),
            "hold": _("Ask the warehouse to wait while an offer is open. Empty: %s.")
            % _yes_or_no(conf.get("UPSELL_FULFILMENT_HOLD")),
            "confirmation_mail": _("Mail the buyer what was added. Empty: %s.")
            % _yes_or_no(conf.get("UPSELL_CONFIRMATION_MAIL")),
            "sender": _("Whose address mails come from. Empty: %s.")
            % (conf.get("UPSELL_FROM_EMAIL") or _("the site's own")),
            "staff_address": _("Who hears of invoices that have to be written again. Empty: %s.")
            % (conf.get("UPSELL_STAFF_EMAIL") or _("nobody, it stands in the log")),
            "postal_address": _("Stands at the end of marketing mails: the law of many countries "
                                "asks for it. Lines as you write them. Empty: %s.")
            % (", ".join(conf.get("UPSELL_POSTAL_ADDRESS").split("\n")) or _("none")),
            "holdout": _("Share of buyers who are never offered anything, to measure against: 0 to "
                         "20. From about 1,000 orders a month, 5 is enough to see what offers "
                         "really earn."),
            "quiet_email_from": _("A message of a journey waits from then on, by the buyer's "
                                  "clock. Empty: %s.") % _hours("email"),
            "quiet_email_until": _("Until then; over midnight where it is earlier. Two equal "
                                   "times: never quiet."),
            "quiet_sms_from": _("The same for text messages. Empty: %s.") % _hours("sms"),
            "quiet_sms_until": _("Until then."),
            "time_zone": _("When a day begins here, such as Europe/Berlin. Empty: as the site."),
        }  # fmt: skip
        for name, text in helps.items():
            if name in self.fields:
                self.fields[name].help_text = text
        for name in ("hold", "confirmation_mail"):
            if name in self.fields:
                empty = [
                    ("unknown", _("as in the settings")),
                    ("true", _("yes")),
                    ("false", _("no")),
                ]
                self.fields[name].widget.choices = empty
        if "channel" in self.fields:
            self.fields["channel"].widget = forms.Select(
                choices=channel_choices(self.instance.channel, empty=_("all channels"))
            )

    def clean_sender(self) -> str:
        """One address, with or without a name."""
        sender: str = self.cleaned_data["sender"]
        if sender:
            match = _SENDER.fullmatch(sender)
            if match is None or len(getaddresses([sender])) != 1:
                raise forms.ValidationError(_("“%s” is not one address.") % sender)
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
            told = _("From 00:05:00 to 02:00:00, as hours:minutes:seconds, and this is %s.")
            raise forms.ValidationError(told % duration_string(validity))
        return validity

    def clean(self) -> dict[str, Any] | None:
        """Quiet hours begin and end."""
        told = super().clean() or self.cleaned_data
        for medium in ("email", "sms"):
            begins, ends = (f"quiet_{medium}_{end}" for end in ("from", "until"))
            if begins in told and ends in told and (told[begins] is None) != (told[ends] is None):
                bare = begins if told[begins] is None else ends
                self.add_error(bare, _("Quiet hours begin and end: both times, or none."))
        return told

    def clean_undo_time(self) -> timedelta | None:
        """The page promises that a yes can be undone."""
        undo: timedelta | None = self.cleaned_data["undo_time"]
        if undo is not None and not timedelta(minutes=1) <= undo <= timedelta(days=30):
            told = _("At least 00:01:00, as hours:minutes:seconds, and this is %s.")
            raise forms.ValidationError(told % duration_string(undo))
        return undo


def _hours(medium: str) -> str:
    """Say what quiet hours the settings have; checks tell of those that cannot be read."""
    try:
        hours = conf.quiet_hours().get(medium)
    except ConfigurationError:
        hours = None
    return _("none") if hours is None else f"{hours[0]:%H:%M}–{hours[1]:%H:%M}"


def _yes_or_no(value: object) -> str:
    return _("yes") if value else _("no")


@admin.register(ChannelSettings)
class ChannelSettingsAdmin(admin.ModelAdmin):
    form = ChannelSettingsForm
    list_display = ("name", "standing", "validity", "undo_time", "confirmation_mail", "holdout")
    ordering = ("channel", "pk")
    change_list_template = "admin/upsell/channelsettings/change_list.html"
    fieldsets = (
        (None, {"fields": ("channel", "enabled")}),
        (gettext_lazy("Times"), {"fields": ("validity", "undo_time", "time_zone")}),
        (
            gettext_lazy("Quiet hours"),
            {
                "fields": (
                    ("quiet_email_from", "quiet_email_until"),
                    ("quiet_sms_from", "quiet_sms_until"),
                )
            },
        ),
        (
            gettext_lazy("Mails and fulfilment"),
            {"fields": ("confirmation_mail", "sender", "postal_address", "staff_address", "hold")},
        ),
        (
            gettext_lazy("Ancillaries"),
            {"fields": ("ancillary_tags", "ancillary_categories")},
        ),
        (gettext_lazy("Measuring"), {"fields": ("holdout", "ask_satisfaction")}),
    )

    class Media:
        css = {"all": ["upsell/admin/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return limited(request, super().get_queryset(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who is limited to channels edits the rows there are: a new one might be for all."""
        return super().has_add_permission(request) and allowed_channels(request) is None

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if allowed_channels(request) is None else ("channel",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return NamedList

    @admin.display(description=gettext_lazy("sales channel"), ordering="channel")
    def name(self, row: Any) -> str:
        return str(row._upsell_channel) or str(row)

    @admin.display(description=gettext_lazy("offers"))
    def standing(self, row: ChannelSettings) -> str:
        return badge("live", _("on")) if row.enabled else badge("revoked", _("off"))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        for_all = snapshots.policy("")
        context = {
            "upsell_for_all": for_all,
            "upsell_has_row_for_all": ChannelSettings.objects.filter(channel="").exists(),
        }
        return super().changelist_view(request, {**(extra_context or {}), **context})

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Say in the history what it was and what it is, not only which field was touched."""
        if add:
            return super().construct_change_message(request, form, formsets, add)
        moved = _moved(form)
        return "; ".join(f"{name}: {before} → {after}" for name, before, after in moved)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        moved = {name: (before, after) for name, before, after in _moved(form)}
        logger.info("channel settings %s changed by %s: %s", obj.pk, request.user.pk, moved)


def _moved(form: Any) -> list[tuple[str, str, str]]:
    """Return (field, before, after) of what a form changes."""
    return [
        (
            str(form.fields[name].label),
            "…" if name in _ADDRESSES else _said(form.initial.get(name)),
            "…" if name in _ADDRESSES else _said(form.cleaned_data.get(name)),
        )
        for name in form.changed_data
    ]


def _said(value: object) -> str:
    if isinstance(value, bool):
        return _yes_or_no(value)
    if isinstance(value, list):
        return ", ".join(map(str, value)) or NOTHING
    return NOTHING if value in (None, "") else str(value)


class ChannelAccessForm(forms.ModelForm):
    class Meta:
        model = ChannelAccess
        fields = ("user", "channel")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "channel" in self.fields:
            self.fields["channel"].widget = forms.Select(
                choices=channel_choices(self.instance.channel, empty="---------")
            )
            self.fields["channel"].help_text = _(
                "One row for each sales channel. Nobody with a row sees any other channel; "
                "somebody without a row sees all of them."
            )


@admin.register(ChannelAccess)
class ChannelAccessAdmin(admin.ModelAdmin):
    form = ChannelAccessForm
    list_display = ("user", "name")
    list_select_related = ("user",)
    ordering = ("user__pk", "channel", "pk")
    raw_id_fields = ("user",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows if allowed_channels(request) is None else rows.none()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody widens their own limits."""
        return super().has_add_permission(request) and allowed_channels(request) is None

    def get_autocomplete_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Search users by name where the site lists them so that they can be searched."""
        users = self.admin_site._registry.get(get_user_model())
        if users is None or not users.search_fields or not users.has_view_permission(request):
            return ()
        return ("user",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return NamedList

    @admin.display(description=gettext_lazy("sales channel"), ordering="channel")
    def name(self, row: Any) -> str:
        return str(row._upsell_channel)
