"""The form of an experiment: what is asked, and what each arm offers. Shares are in percent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell.admin.fields import AmountsField
from upsell.admin.widgets import ShopSelect
from upsell.models import Campaign, Experiment
from upsell.services.experiments import CONTROL

WORDS = ("headline", "body", "accept_label", "decline_label")
_LENGTHS = {"headline": 80, "body": 300, "accept_label": 30, "decline_label": 30}
MOST_ARMS, SPARE = 8, 2
_HUNDRED = Decimal(100)


class ArmForm(forms.Form):
    """One arm. What is left empty stays as the campaign has it."""

    slug = forms.SlugField(
        label=gettext_lazy("Arm"),
        max_length=32,
        help_text=gettext_lazy("Letters, digits and hyphens. One is called “control”."),
    )
    weight = forms.DecimalField(
        label=gettext_lazy("Share of the buyers, %"),
        min_value=Decimal("0.01"),
        max_value=_HUNDRED,
        decimal_places=2,
        help_text=gettext_lazy("The shares of all arms come to 100."),
    )
    campaign = forms.ChoiceField(
        label=gettext_lazy("Campaign"),
        required=False,
        help_text=gettext_lazy("Empty: these buyers are offered nothing of this experiment."),
    )
    rule = forms.ChoiceField(label=gettext_lazy("Price instead"), required=False)
    percent = forms.DecimalField(
        label=gettext_lazy("Percent off"),
        required=False,
        min_value=Decimal(0),
        max_value=_HUNDRED,
        decimal_places=2,
        help_text=gettext_lazy("Read only for “percent off”."),
    )
    amounts = AmountsField(
        rows=2,
        label=gettext_lazy("Amounts"),
        help_text=gettext_lazy("One currency a line, such as EUR 12.00."),
    )
    product_ref = forms.CharField(
        label=gettext_lazy("Product instead"),
        required=False,
        max_length=190,
        widget=ShopSelect("product"),
    )
    headline = forms.CharField(label=gettext_lazy("Headline instead"), required=False)
    body = forms.CharField(
        label=gettext_lazy("Text instead"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
    )
    accept_label = forms.CharField(label=gettext_lazy("Accept button instead"), required=False)
    decline_label = forms.CharField(label=gettext_lazy("Decline button instead"), required=False)

    def __init__(self, *args: Any, campaigns: Sequence[Campaign] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._campaigns = {str(row.pk): row for row in campaigns}
        chosen, rule = self.fields["campaign"], self.fields["rule"]
        chosen.choices = [  # type: ignore[attr-defined]
            ("", _("nothing")),
            *((key, row.name) for key, row in self._campaigns.items()),
        ]
        rule.choices = [  # type: ignore[attr-defined]
            ("", _("as the campaign has it")),
            *Campaign.Rule.choices,
        ]
        for name in WORDS:
            self.fields[name].max_length = _LENGTHS[name]  # type: ignore[attr-defined]
            self.fields[name].widget.attrs["maxlength"] = _LENGTHS[name]

    def clean(self) -> dict[str, Any]:
        told: dict[str, Any] = super().clean() or {}
        for name in WORDS:
            if len(told.get(name) or "") > _LENGTHS[name]:
                self.add_error(name, _("At most %d characters.") % _LENGTHS[name])
        if not told.get("rule") and (told.get("percent") is not None or told.get("amounts")):
            self.add_error("rule", _("Say what the percentage or amount means."))
        if not told.get("campaign") and any(told.get(name) for name in ("rule", "product_ref",
                                                                        *WORDS)):  # fmt: skip
            self.add_error("campaign", _("There is no campaign whose terms it could change."))
        return told

    def arm(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arm as services take it; ``stored`` is what it changed before."""
        told = self.cleaned_data
        key = told["campaign"]
        return {
            "slug": told["slug"],
            "weight": int(told["weight"] * 100),
            "campaign": int(key) if key else None,
            "overrides": self._overrides(stored, self._campaigns.get(key)),
        }

    def _overrides(self, stored: Mapping[str, Any], campaign: Campaign | None) -> dict[str, Any]:
        if campaign is None:
            return {}
        told = self.cleaned_data
        found: dict[str, Any] = {}
        if told["product_ref"]:
            found["product_ref"] = told["product_ref"]
        if told["rule"]:
            found["rule"] = told["rule"]
            if told["rule"] == Campaign.Rule.PERCENT:
                found["percent"] = str(told["percent"] or 0)
            elif told["amounts"]:
                found["amounts"] = told["amounts"]
        # Words of other languages come from elsewhere, and stay.
        copy = {
            language: dict(words)
            for language, words in (stored.get("copy") or {}).items()
            if language != campaign.default_language
        }
        known = (stored.get("copy") or {}).get(campaign.default_language, {})
        words = {name: text for name, text in known.items() if name not in WORDS}
        words |= {name: told[name] for name in WORDS if told[name]}
        if words:
            copy[campaign.default_language] = words
        return found | ({"copy": copy} if copy else {})


ArmFormSet = forms.formset_factory(
    ArmForm, extra=SPARE, max_num=MOST_ARMS, validate_max=True, can_delete=True
)


def initial_arms(
    arms: Iterable[Mapping[str, Any]], campaigns: Sequence[Campaign]
) -> list[dict[str, Any]]:
    """Return arms, as services give them, as the form shows them."""
    languages = {row.pk: row.default_language for row in campaigns}
    rows = []
    for arm in arms:
        changes = arm["overrides"]
        words = (changes.get("copy") or {}).get(languages.get(arm["campaign"], ""), {})
        rows.append(
            {
                "slug": arm["slug"],
                "weight": _percent(arm["weight"]),
                "campaign": str(arm["campaign"] or ""),
                "rule": changes.get("rule", ""),
                "percent": changes.get("percent") if changes.get("rule") == "PERCENT" else None,
                "amounts": changes.get("amounts") or {},
                "product_ref": changes.get("product_ref", ""),
                **{name: words.get(name, "") for name in WORDS},
            }
        )
    return rows


FIRST_ARMS = (
    {"slug": CONTROL, "weight": Decimal(50)},
    {"slug": "b", "weight": Decimal(50)},
)


def arms_from(formset: Any, stored: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the arms of a valid formset; rows left empty or marked to go are none."""
    before = {arm["slug"]: arm["overrides"] for arm in stored}
    return [
        form.arm(before.get(form.cleaned_data["slug"], {}))
        for form in formset.forms
        if form.cleaned_data and not form.cleaned_data.get("DELETE")
    ]


class TrafficForm(forms.Form):
    """How many of the buyers take part."""

    traffic = forms.DecimalField(
        label=gettext_lazy("Buyers who take part, %"),
        min_value=Decimal("0.01"),
        max_value=_HUNDRED,
        decimal_places=2,
        help_text=gettext_lazy("The others are offered campaigns as they stand, and not counted. "
                               "You can let more take part later, never fewer."),
    )  # fmt: skip

    def buckets(self) -> int:
        """Return the traffic as services take it."""
        return int(self.cleaned_data["traffic"] * 100)


class DraftForm(TrafficForm):
    """What is asked, and how it will be read. All of it is fixed by the start."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=120,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    slug = forms.SlugField(
        label=gettext_lazy("Slug"),
        max_length=40,
        required=False,
        help_text=gettext_lazy("Its name in reports and downloads. Empty: made from the name. It "
                               "never changes."),
    )  # fmt: skip
    question = forms.CharField(
        label=gettext_lazy("Question"),
        max_length=300,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
        help_text=gettext_lazy("What you want to know, in one sentence."),
    )
    metric = forms.ChoiceField(
        label=gettext_lazy("Primary metric"),
        choices=Experiment.Metric.choices,
        help_text=gettext_lazy("The one figure that decides. Others are shown beside it."),
    )
    reading = forms.ChoiceField(
        label=gettext_lazy("Reading"),
        choices=Experiment.Reading.choices,
        help_text=gettext_lazy("Any day needs more buyers, and may be looked at as often as you "
                               "like. The others keep results locked until their time."),
    )  # fmt: skip
    base = forms.DecimalField(
        label=gettext_lazy("Expected in the control"),
        min_value=Decimal(0),
        max_digits=15,
        decimal_places=2,
        help_text=gettext_lazy("Acceptance: in percent, such as 5. Revenue: an amount per buyer."),
    )
    smallest = forms.DecimalField(
        label=gettext_lazy("Smallest difference worth finding"),
        min_value=Decimal("0.01"),
        max_digits=15,
        decimal_places=2,
        help_text=gettext_lazy("Acceptance: in points of a hundred, such as 1, from 5 to 6 %. "
                               "Revenue: an amount per buyer. The smaller, the more buyers it "
                               "takes."),
    )  # fmt: skip
    currency = forms.RegexField(
        r"^[A-Za-z]{3}$",
        label=gettext_lazy("Currency"),
        required=False,
        help_text=gettext_lazy("A code such as EUR: orders in it are counted. Empty: no revenue is "
                               "shown, only acceptance."),
    )  # fmt: skip

    field_order = ("name", "slug", "question", "metric", "reading", "base", "smallest", "currency",
                   "traffic")  # fmt: skip

    def __init__(self, *args: Any, row: Experiment | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.row = row
        if row is not None:
            del self.fields["slug"]

    def clean(self) -> dict[str, Any]:
        told: dict[str, Any] = super().clean() or {}
        if self.row is None and told.get("name"):
            slug = told.get("slug") or slugify(told["name"])[:40]
            if not slug:
                self.add_error("slug", _("Type one: the name has no letters that could make it."))
            elif Experiment.objects.filter(slug=slug).exists():
                self.add_error("slug", _("There is an experiment “%s” already.") % slug)
            told["slug"] = slug
        if told.get("metric") == Experiment.Metric.ACCEPTANCE:
            for name in ("base", "smallest"):
                if told.get(name) is not None and told[name] >= _HUNDRED:
                    self.add_error(name, _("Acceptance is in percent, below 100."))
        return told

    def values(self) -> dict[str, Any]:
        """Return what ``save_draft`` takes, without the arms."""
        told = self.cleaned_data
        share = _HUNDRED if told["metric"] == Experiment.Metric.ACCEPTANCE else Decimal(1)
        return {
            "slug": self.row.slug if self.row is not None else told["slug"],
            "name": told["name"],
            "question": told["question"],
            "metric": told["metric"],
            "reading": told["reading"],
            "base": told["base"] / share,
            "smallest": told["smallest"] / share,
            "currency": told["currency"].upper(),
            "traffic": self.buckets(),
        }

    def refuse(self, error: ValidationError) -> None:
        """Show what a service refused, at the field where there is one."""
        for name, texts in error.message_dict.items() if hasattr(error, "error_dict") else [
            (NON_FIELD_ERRORS, error.messages)
        ]:  # fmt: skip
            for text in texts:
                self.add_error(name if name in self.fields else None, text)


def initial_of(row: Experiment, traffic: int) -> dict[str, Any]:
    """Return an experiment as the form shows it."""
    share = _HUNDRED if row.metric == Experiment.Metric.ACCEPTANCE else Decimal(1)
    return {
        "name": row.name,
        "question": row.question,
        "metric": row.metric,
        "reading": row.reading,
        "base": _short(row.base * share),
        "smallest": _short(row.smallest * share),
        "currency": row.currency,
        "traffic": _percent(traffic),
    }


def _percent(buckets: int) -> Decimal:
    return _short(Decimal(buckets) / 100)


def _short(value: Decimal) -> Decimal:
    return Decimal(format(value.normalize(), "f"))
