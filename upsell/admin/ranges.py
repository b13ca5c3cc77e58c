"""The range of days, the filters of the results, and what the values of each are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell.admin.access import allowed_channels, visible_ids
from upsell.admin.lists import channel_names, names_of
from upsell.models import Campaign
from upsell.presenting.metrics import KINDS, SPLITS
from upsell.services import results, splits
from upsell.services.results import Asked

LONGEST = 731
"""Days of a range: sums are kept for two years."""
_MOMENTS: Mapping[str, Any] = {
    "post_purchase": gettext_lazy("after checkout"),
    "cart": gettext_lazy("cart"),
    "product_page": gettext_lazy("product page"),
    "listing": gettext_lazy("listing"),
    "checkout": gettext_lazy("checkout"),
    "in_product": gettext_lazy("in the product"),
    "renewal": gettext_lazy("renewal"),
}


class ResultsForm(forms.Form):
    """The range of days, and what of it is looked at."""

    first = forms.DateField(label=gettext_lazy("from"), required=False)
    last = forms.DateField(label=gettext_lazy("until"), required=False)
    channel = forms.ChoiceField(label=gettext_lazy("Sales channel"), required=False)
    campaign = forms.ChoiceField(label=gettext_lazy("Campaign"), required=False)
    moment = forms.ChoiceField(label=gettext_lazy("Moment"), required=False)
    split = forms.ChoiceField(label=gettext_lazy("Split by who"), required=False)

    longest = LONGEST

    def __init__(self, request: HttpRequest, names: Names, today: date) -> None:
        usual = {"first": today - timedelta(days=29), "last": today}
        typed = {name: request.GET.get(name, "").strip()[:190] for name in self.base_fields}
        data: dict[str, Any] = typed | {
            name: typed[name] or day.isoformat() for name, day in usual.items()
        }
        super().__init__(data)
        self.channels = allowed_channels(request)
        for name, every in (
            ("channel", _("all channels")),
            ("campaign", _("all campaigns")),
            ("moment", _("all moments")),
            ("split", _("not split")),
        ):
            if name not in self.fields:
                continue
            field: Any = self.fields[name]
            field.choices = [("", every), *names.choices(name)]
            field.error_messages["invalid_choice"] = _("There is nothing of that name to look at.")
        for name in usual:
            field = self.fields[name]
            field.widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
            field.error_messages["invalid"] = (
                _("“%s” is not a date such as 2026-03-02.") % typed[name]
            )

    def clean(self) -> dict[str, Any]:
        told = super().clean() or {}
        first, last = told.get("first"), told.get("last")
        for name, day in (("first", first), ("last", last)):
            if day is not None and not 2000 <= day.year < 2100:
                self.add_error(name, _("No shop of ours sells in that year."))
        if first is None or last is None or self.errors:
            return told
        if first > last:
            self.add_error("first", _("The range ends before it begins: exchange the two dates."))
        elif (last - first).days >= self.longest:
            self.add_error("first", self.too_long())
        elif told.get("split") and (last - first).days >= splits.LONGEST:
            self.add_error(
                "split",
                _("Who it was is read from the offers, of %(days)d days at most: "
                  "take a shorter range.")
                % {"days": splits.LONGEST},
            )  # fmt: skip
        return told

    def too_long(self) -> str:
        """Say why a range cannot be that long."""
        return _("Sums are kept for two years: take a shorter range.")

    def asked(self) -> Asked:
        """Return what is wanted, of a form that is valid."""
        told = self.cleaned_data
        return Asked(
            first=told["first"],
            last=told["last"],
            channel=told["channel"] or None,
            campaign=int(told["campaign"]) if told["campaign"] else None,
            moment=told.get("moment") or None,
            channels=self.channels,
        )


class Names:
    """What the values of each column are called, for those that this member of staff may see."""

    def __init__(self, request: HttpRequest) -> None:
        allowed = allowed_channels(request)
        # Also those that the shop cannot name, or does not have any more.
        channels = {code: code for code in results.channels()} | dict(channel_names())
        visible, rows = visible_ids(request), Campaign.objects.order_by("name", "pk")
        if visible is not None:
            rows = rows.filter(pk__in=visible)
        self._named: dict[str, dict[Any, str]] = {
            "channel": {
                ref: label for ref, label in channels.items() if allowed is None or ref in allowed
            },
            "campaign": dict(rows.values_list("pk", "name")),
            "moment": {moment: str(_MOMENTS.get(moment, moment)) for moment in results.moments()},
            "split": {name: str(title) for name, title in SPLITS.items()},
        }

    def choices(self, name: str) -> list[tuple[str, str]]:
        """Return the values of a column as a select takes them."""
        return [(str(value), label) for value, label in self._named[name].items()]

    def of(self, name: str) -> Callable[[Any], str]:
        """Return what turns a value of a column into its name."""
        if name == "day":
            return lambda day: str(day.isoformat())
        if name == "arm":
            return lambda arm: arm or _("no experiment")
        if name in SPLITS:
            return _named(name)
        named = self._named[name]
        return lambda value: named.get(value, str(value)) or _("none")


def _named(split: str) -> Callable[[Any], str]:
    """Return what turns a value of a split into its name: one question to the shop at most."""
    if split in KINDS:
        ours = KINDS[split]
        return lambda value: str(ours.get(value, value)) or _("not known")
    kind = {"customer_group": "group", "country": "country"}.get(split)
    told = names_of(kind) if kind else {}
    if split == "customer_group":
        return lambda value: ", ".join(told.get(r, r) for r in value.split(", ")) or _("no group")
    return lambda value: told.get(value, value) or _("not known")
