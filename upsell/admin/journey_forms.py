"""The form of a journey: what begins it, who enters, what ends it, what it is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell.admin.conditions import ConditionsField
from upsell.admin.fields import LinesField
from upsell.admin.journey_steps import LengthField
from upsell.engine.conditions import FactSpec, duration_of
from upsell.models import Journey
from upsell.services import journey_drafts
from upsell.services.journey_publishing import iso_of

EVENTS = (
    "order.placed", "order.cancelled", "order.refunded", "order.delivered", "offer.expired",
    "offer.accepted", "offer.payment_declined", "cart.left", "trial.started", "usage.crossed",
    "renewal.due", "consent.withdrawn",
)  # fmt: skip
"""Suggested while typing; a shop's own are as good."""
MOST_CRITERIA, SPARE = 20, 1


class TestersField(LinesField):
    """Customer keys, one a line."""


class JourneyForm(forms.Form):
    """A journey without its steps, exits and goals."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=120,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    slug = forms.SlugField(
        label=gettext_lazy("Slug"),
        max_length=80,
        required=False,
        help_text=gettext_lazy("Its name in reports. Empty: made from the name. It never changes."),
    )
    category = forms.ChoiceField(
        label=gettext_lazy("Category"),
        choices=Journey.Category.choices,
        help_text=gettext_lazy("Marketing needs the buyer's consent, and counts for caps. What"
                               " carries an offer is marketing."),
    )  # fmt: skip
    channels = forms.MultipleChoiceField(
        label=gettext_lazy("Sales channels"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None chosen: nobody enters."),
    )
    event = forms.CharField(
        label=gettext_lazy("Begins with"),
        max_length=80,
        widget=forms.TextInput(attrs={"list": "upsell-events", "autocomplete": "off", "size": 30}),
        help_text=gettext_lazy("The name of an event, such as order.placed."),
    )
    policy = forms.ChoiceField(
        label=gettext_lazy("How often"),
        choices=Journey._meta.get_field("policy").choices,  # type: ignore[arg-type]
    )
    again_after = LengthField(
        label=gettext_lazy("Again after"),
        help_text=gettext_lazy("Read only for “again after a while”."),
    )
    after = forms.ChoiceField(
        label=gettext_lazy("Counted from"),
        choices=Journey.After.choices,
        required=False,
    )
    concurrency = forms.ChoiceField(
        label=gettext_lazy("At a time"), choices=Journey.Together.choices
    )
    if_active = forms.ChoiceField(
        label=gettext_lazy("Where one is under way"),
        choices=Journey._meta.get_field("if_active").choices,  # type: ignore[arg-type]
        help_text=gettext_lazy("For an event that comes while the buyer, or the order, is in it."
                               " Beginning anew counts as an entry."),
    )  # fmt: skip
    cap_per_day = forms.IntegerField(
        label=gettext_lazy("Entries of a buyer a day"),
        min_value=0,
        max_value=1_000,
        help_text=gettext_lazy("0: as many as come. The shop's own limit over all journeys holds"
                               " beside it."),
    )  # fmt: skip
    late_event = LengthField(
        label=gettext_lazy("Too late after"),
        required=True,
        help_text=gettext_lazy("Older events start nothing: an import starts no thousand runs."),
    )
    lead_time = LengthField(
        label=gettext_lazy("Ends before the service"),
        required=True,
        help_text=gettext_lazy("No message later than this before departure, check-in or pick-up."),
    )
    priority = forms.IntegerField(
        label=gettext_lazy("Priority"),
        min_value=-1_000_000,
        max_value=1_000_000,
        help_text=gettext_lazy("The higher one enters where only one may."),
    )
    exclusion_group = forms.CharField(
        label=gettext_lazy("Only one of the group"),
        max_length=80,
        required=False,
        help_text=gettext_lazy("A buyer is in one journey of a group at a time. Empty: no group."),
    )
    exit_others = forms.BooleanField(
        label=gettext_lazy("Ends the others of the group"),
        required=False,
        help_text=gettext_lazy("Whoever enters this one leaves those with a lower priority."),
    )
    control = forms.IntegerField(
        label=gettext_lazy("Control group, %"),
        min_value=0,
        max_value=50,
        help_text=gettext_lazy("So many go through in silence, to measure against. For the first"
                               " eight weeks it is live. 0: nobody."),
    )  # fmt: skip
    mode = forms.ChoiceField(
        label=gettext_lazy("Mode"),
        choices=Journey.Mode.choices,
        help_text=gettext_lazy("A dry run takes real events and sends nothing."),
    )
    testers = TestersField(
        rows=2,
        label=gettext_lazy("For these buyers"),
        help_text=gettext_lazy("Customer keys, one a line. Read only in a test."),
    )
    compressed = forms.BooleanField(
        label=gettext_lazy("A day is a minute"),
        required=False,
        help_text=gettext_lazy("In a test only: three hours are over in seven seconds."),
    )

    GROUPS = (
        (gettext_lazy("What it is"), ("name", "slug", "category", "channels")),
        (
            gettext_lazy("Who enters, and when"),
            ("event", "where", "policy", "again_after", "after", "concurrency", "if_active",
             "cap_per_day", "late_event"),
        ),
    )  # fmt: skip
    MORE = (
        (
            gettext_lazy("Beside other journeys"),
            ("priority", "exclusion_group", "exit_others", "lead_time"),
        ),
        (gettext_lazy("Measuring and trying"), ("control", "mode", "testers", "compressed")),
    )

    def __init__(
        self,
        *args: Any,
        row: Journey | None = None,
        channels: Sequence[tuple[str, str]] = (),
        specs: Mapping[str, FactSpec],
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.row = row
        self.fields["where"] = ConditionsField(
            specs, label=_("If"), help_text=_("No condition: everybody enters.")
        )
        self.fields["channels"].choices = list(channels)  # type: ignore[attr-defined]
        if row is not None:
            del self.fields["slug"]

    @property
    def groups(self) -> list[tuple[Any, list[Any]]]:
        """Fieldsets before the steps."""
        return self._grouped(self.GROUPS)

    @property
    def more(self) -> list[tuple[Any, list[Any]]]:
        """Fieldsets after the steps."""
        return self._grouped(self.MORE)

    def _grouped(self, groups: Any) -> list[tuple[Any, list[Any]]]:
        return [
            (title, [self[name] for name in names if name in self.fields])
            for title, names in groups
        ]

    def clean_event(self) -> str:
        return str(self.cleaned_data["event"]).strip()

    def clean(self) -> dict[str, Any]:
        told: dict[str, Any] = super().clean() or {}
        if self.row is None and told.get("name"):
            told["slug"] = told.get("slug") or journey_drafts.free_slug(slugify(told["name"])[:70])
        return told

    def values(self) -> dict[str, Any]:
        """Return the columns of the journey."""
        told = dict(self.cleaned_data)
        told["after"] = told["after"] or Journey.After.EXIT
        for name in ("late_event", "lead_time"):
            told[name] = duration_of(told[name]) or timedelta(0)
        told["again_after"] = duration_of(told["again_after"])
        return told

    def refuse(self, error: ValidationError) -> None:
        """Show what a service refused, at the field where there is one."""
        for name, texts in error.message_dict.items() if hasattr(error, "error_dict") else [
            (NON_FIELD_ERRORS, error.messages)
        ]:  # fmt: skip
            for text in texts:
                self.add_error(name if name in self.fields else None, text)


def initial_of(row: Journey) -> dict[str, Any]:
    """Return a journey as the form shows it."""
    shown: dict[str, Any] = {
        name: getattr(row, name)
        for name in ("name", "slug", "category", "channels", "event", "where", "policy", "after",
                     "concurrency", "if_active", "cap_per_day", "priority", "exclusion_group",
                     "exit_others", "control", "mode", "testers", "compressed")
    }  # fmt: skip
    for name in ("late_event", "lead_time", "again_after"):
        length = getattr(row, name)
        shown[name] = "" if length is None else iso_of(length)
    return shown


class CriterionForm(forms.Form):
    """An event that ends a run, or that it is for."""

    def __init__(
        self, *args: Any, specs: Mapping[str, FactSpec], goals: bool, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.fields["id"] = forms.RegexField(
            r"^[a-z][a-z0-9_]*$",
            label=_("Name"),
            required=False,
            max_length=32,
            widget=forms.TextInput(attrs={"size": 16}),
            help_text=_("Small letters. Empty: made from the event."),
        )
        self.fields["event"] = forms.CharField(
            label=_("Event"),
            required=False,
            max_length=80,
            widget=forms.TextInput(attrs={"list": "upsell-events", "autocomplete": "off"}),
        )
        self.fields["where"] = ConditionsField(specs, label=_("If"))
        if goals:
            self.fields["within"] = LengthField(
                label=_("Within"), help_text=_("After the last message. Empty: while it runs.")
            )

    def clean(self) -> dict[str, Any]:
        told: dict[str, Any] = super().clean() or {}
        told["event"] = (told.get("event") or "").strip()
        if not told["event"] and (told.get("id") or told.get("where")):
            self.add_error("event", _("Which event?"))
        return told

    def row(self) -> dict[str, Any]:
        told = self.cleaned_data
        name = told["id"] or told["event"].replace(".", "_")[:32]
        row = {"id": name, "event": told["event"]}
        return row | {key: told[key] for key in ("where", "within") if told.get(key)}


CriterionFormSet = forms.formset_factory(
    CriterionForm, extra=SPARE, max_num=MOST_CRITERIA, validate_max=True, can_delete=True
)


def criteria_from(formset: Any) -> list[dict[str, Any]]:
    """Return the criteria of a valid formset; empty rows and those marked to go are none."""
    return [
        form.row()
        for form in formset.forms
        if form.cleaned_data.get("event") and not form.cleaned_data.get("DELETE")
    ]
