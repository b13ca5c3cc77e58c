"""The campaign's form: amounts and lists as lines of text, references as pickers."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell import conf
from upsell.admin.widgets import ShopSelect, ShopSelectMultiple, TriggerSelect
from upsell.models import Campaign, CampaignCopy, CampaignExclusion, CampaignTrigger
from upsell.ports import Capability
from upsell.services import campaigns
from upsell.services.campaign_shapes import decimal_of


class LinesField(forms.CharField):
    """A JSON value that staff type as lines of text."""

    def __init__(self, *, rows: int = 3, **options: Any) -> None:
        options.setdefault("required", False)
        super().__init__(widget=forms.Textarea(attrs={"rows": rows, "cols": 60}), **options)

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else "\n".join(self.lines_of(value or self.empty()))

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        return self.parsed([line.strip() for line in text.splitlines() if line.strip()])

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != (initial or self.empty()))
        except forms.ValidationError:
            return True

    def empty(self) -> Any:
        return []

    def lines_of(self, value: Any) -> list[str]:
        return [str(item) for item in value]

    def parsed(self, lines: list[str]) -> Any:
        return lines


class AmountsField(LinesField):
    """``EUR 12.00``, one currency a line."""

    def empty(self) -> Any:
        return {}

    def lines_of(self, value: Any) -> list[str]:
        return [f"{currency} {amount}" for currency, amount in value.items()]

    def parsed(self, lines: list[str]) -> Any:
        told: dict[str, str] = {}
        for line in lines:
            match = re.fullmatch(r"([A-Za-z]{3})\s+(\d+(?:[.,]\d+)?)", line)
            if not match or decimal_of(match[2].replace(",", ".")) is None:
                raise forms.ValidationError(
                    _("“%s” is not read as a currency and an amount, such as EUR 12.00.") % line
                )
            told[match[1].upper()] = match[2].replace(",", ".")
        return told


class BoundsField(LinesField):
    """``EUR 10.00 - 100.00``; either amount may be left out."""

    def empty(self) -> Any:
        return {}

    def lines_of(self, value: Any) -> list[str]:
        return [f"{cur} {ends[0] or ''} - {ends[1] or ''}".strip() for cur, ends in value.items()]

    def parsed(self, lines: list[str]) -> Any:
        told: dict[str, list[str | None]] = {}
        amount = r"(\d+(?:[.,]\d+)?)?"
        for line in lines:
            match = re.fullmatch(rf"([A-Za-z]{{3}})\s+{amount}\s*[-–]\s*{amount}", line)
            if not match or not (match[2] or match[3]):
                raise forms.ValidationError(
                    _("“%s” is not read as least and most, such as EUR 10.00 - 100.00.") % line
                )
            told[match[1].upper()] = [
                end.replace(",", ".") if end else None for end in (match[2], match[3])
            ]
        return told


class PairsField(LinesField):
    """``bought -> offered``, one pair a line."""

    def lines_of(self, value: Any) -> list[str]:
        return [f"{bought} -> {offered}" for bought, offered in value]

    def parsed(self, lines: list[str]) -> Any:
        rows = [[part.strip() for part in re.split(r"->|→|;|,", line)] for line in lines]
        for line, row in zip(lines, rows, strict=True):
            if len(row) != 2 or not all(row):
                raise forms.ValidationError(_("“%s” is not read as bought -> offered.") % line)
        return rows


class CodesField(LinesField):
    """Codes such as EUR, separated by lines, commas or blanks."""

    def parsed(self, lines: list[str]) -> Any:
        return [code.upper() for line in lines for code in re.split(r"[\s,;]+", line) if code]


class RefsField(forms.MultipleChoiceField):
    """References of the shop: whatever is typed is checked when it is decided, not here."""

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__(widget=ShopSelectMultiple(kind), required=False, **options)

    def valid_value(self, value: str) -> bool:
        return 0 < len(value) <= 190 and "\x00" not in value


HIDDEN_WITHOUT = {
    "channels": Capability.CHANNELS,
    "groups": Capability.GROUPS,
    "countries": Capability.COUNTRY,
    "payment_methods": Capability.PAYMENT_METHOD,
    "not_bought_days": Capability.HISTORY,
    "stock": Capability.STOCK,
}
"""A field whose facts the shop cannot tell is not shown: a filter on it would never match."""


class CampaignForm(forms.ModelForm):
    """A campaign without its child rows; those are checked together with it."""

    product_map = PairsField(
        label=gettext_lazy("table of products"),
        help_text=gettext_lazy("One pair a line: bought -> offered, by the shop's references. Read only where it is “offered by a table”."),
    )  # fmt: skip
    bounds = BoundsField(
        label=gettext_lazy("value of the order"),
        help_text=gettext_lazy("One currency a line, such as EUR 10.00 - 100.00; either end may be left out. Goods after discounts, before tax. Empty: orders of any value."),
    )  # fmt: skip
    amounts = AmountsField(
        label=gettext_lazy("amounts"),
        help_text=gettext_lazy("One currency a line, such as EUR 12.00. Orders in other currencies are offered nothing. Not read for the selling price and percentages."),
    )  # fmt: skip
    shipping_flat = AmountsField(
        label=gettext_lazy("flat delivery"),
        rows=2,
        help_text=gettext_lazy(
            "One currency a line, such as EUR 4.90. Read only for a flat amount."
        ),
    )
    currencies = CodesField(
        label=gettext_lazy("currencies"),
        rows=1,
        help_text=gettext_lazy("Codes such as EUR, GBP. Empty: orders in any currency."),
    )
    groups = RefsField(
        "group", label=gettext_lazy("customer groups"), help_text=gettext_lazy("Empty: everybody.")
    )
    countries = RefsField(
        "country",
        label=gettext_lazy("shipping countries"),
        help_text=gettext_lazy("Empty: wherever the order is delivered."),
    )
    payment_methods = RefsField(
        "payment_method",
        label=gettext_lazy("payment methods"),
        help_text=gettext_lazy("Empty: however the order was paid."),
    )
    channels = forms.MultipleChoiceField(
        label=gettext_lazy("sales channels"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None chosen: the campaign runs nowhere."),
    )

    # Set per request by the admin: None = all channels.
    allowed: frozenset[str] | None = None

    class Meta:
        model = Campaign
        exclude = ("revision", "edited_at", "created_at", "moments", "archived")  # noqa: DJ006
        widgets = {"product_ref": ShopSelect("product")}
        help_texts = {
            "product_ref": gettext_lazy("Empty only where a table or the next dearer model says what is offered."),
            "must_fit": gettext_lazy("Offer it only where the product is said to fit what was bought. Off: nobody looks."),
            "not_bought_days": gettext_lazy("Buyers who bought it in so many days are offered nothing. Empty: nobody looks."),
            "not_seen_days": gettext_lazy("Buyers who were shown this campaign in so many days do not see it again. Empty: nobody looks."),
            "allow_if_present": gettext_lazy("Off: nothing is offered when it is in the order already."),
            "percent": gettext_lazy("0 to 100, of the price of one unit. Read only for “percent off”."),
            "from_regular": gettext_lazy("Off: a discount starts from today's selling price, sale included."),
            "allow_free": gettext_lazy("Off: an offer that comes to nothing is not made."),
            "allow_below_cost": gettext_lazy("Off: a price below what the product costs you cannot be saved."),
            "priority": gettext_lazy("The highest wins. Of equals, the one edited last."),
            "valid_from": gettext_lazy("Empty: at once."),
            "valid_until": gettext_lazy("This moment still belongs to it. Empty: until switched off."),
            "motivation": gettext_lazy("Why a buyer would want it; for your own reports. Empty: not said."),
            "note": gettext_lazy("Only colleagues read this."),
            "status": gettext_lazy("Off: never. Staff only: signed-in staff see it, also on test orders, and no number counts it."),
            "slug": gettext_lazy("Names the campaign in exports and in the API."),
            "default_language": gettext_lazy("Whose words are taken when the shopper's language has none."),
        }  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The child rows' formset reports what it finds through this.
        self.instance._upsell_form = self
        capabilities = conf.shop().capabilities
        for name, capability in HIDDEN_WITHOUT.items():
            if capability not in capabilities and name in self.fields and name != "channels":
                del self.fields[name]
        if Capability.REPLACE not in capabilities and "kind" in self.fields:
            self.fields["kind"].choices = [  # type: ignore[attr-defined]
                choice for choice in Campaign.Kind.choices if choice[0] != Campaign.Kind.UPSELL
            ]
        if "channels" in self.fields:
            found = [(row.ref, row.label) for row in conf.shop().choices("channel", "", 200)]
            stored = [(ref, ref) for ref in self.instance.channels or []]
            known = dict(stored) | dict(found)
            if self.allowed is not None:
                known = {ref: name for ref, name in known.items() if ref in self.allowed}
            self.fields["channels"].choices = list(known.items())  # type: ignore[attr-defined]
            if self.instance.pk is None:
                self.initial.setdefault("channels", list(known))


class TriggerForm(forms.ModelForm):
    """One trigger; ``ref`` is searched in the shop."""

    class Meta:
        model = CampaignTrigger
        fields = ("kind", "ref", "exact", "quantity")
        widgets = {"ref": TriggerSelect()}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _narrow(self)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        return _with_ref(self, cleaned)


class ExclusionForm(forms.ModelForm):
    """One exclusion."""

    class Meta:
        model = CampaignExclusion
        fields = ("kind", "ref", "quantity")
        widgets = {"ref": TriggerSelect()}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _narrow(self)


def _narrow(form: forms.ModelForm[Any]) -> None:
    """Leave out kinds the shop cannot tell, and search by the row's own kind."""
    capabilities = conf.shop().capabilities
    missing = {
        kind
        for kind, capability in (("CATEGORY", Capability.CATEGORIES), ("BRAND", Capability.BRANDS))
        if capability not in capabilities and kind != form.instance.kind
    }
    kinds: Any = form.fields["kind"]
    kinds.choices = [choice for choice in kinds.choices if choice[0] not in missing]
    widget: Any = form.fields["ref"].widget
    if form.instance.kind and form.instance.kind != "ALWAYS":
        widget.kind = form.instance.kind.lower()


def _with_ref(form: forms.ModelForm[Any], cleaned: dict[str, Any] | None) -> dict[str, Any] | None:
    if cleaned and cleaned.get("kind") != "ALWAYS" and not cleaned.get("ref"):
        form.add_error("ref", _("Choose which one is meant."))
    return cleaned


class CopyForm(forms.ModelForm):
    """The words in one language."""

    benefits = LinesField(
        label=gettext_lazy("benefits"),
        help_text=gettext_lazy("One a line, at most five of 60 characters. Empty: none are shown."),
    )

    class Meta:
        model = CampaignCopy
        fields = (
            "language", "headline", "body", "benefits", "image_url", "image_alt",
            "accept_label", "decline_label",
        )  # fmt: skip
        widgets = {"body": forms.Textarea(attrs={"rows": 3, "cols": 60})}
        help_texts = {
            "headline": gettext_lazy("At most 80 characters. Empty: a plain sentence of ours."),
            "image_url": gettext_lazy("https:// or a path. Empty: the product's own picture."),
            "accept_label": gettext_lazy("At most 30 characters; the amount is added. It must say that it costs money. Empty: our own words."),
            "decline_label": gettext_lazy("At most 30 characters. Empty: “No, thank you”."),
        }  # fmt: skip


class Together(forms.BaseInlineFormSet):
    """Checks the campaign with all its child rows, once everything is right by itself."""

    siblings: list[Any]

    def clean(self) -> None:
        super().clean()
        others = [formset for formset in getattr(self, "siblings", []) if formset is not self]
        if any(self.errors) or not all(formset.is_valid() for formset in others):
            return
        campaign: Any = self.instance
        form: CampaignForm | None = getattr(campaign, "_upsell_form", None)
        if form is None:
            return
        errors, warnings = campaigns.validate(
            values_of(campaign, [self, *others]), campaign_id=campaign.pk
        )
        campaign._upsell_warnings = warnings
        for finding in errors:
            form.add_error(finding.field if finding.field in form.fields else None, finding.message)
        if errors:
            raise forms.ValidationError([finding.message for finding in errors])


def values_of(campaign: Campaign, formsets: list[Any]) -> dict[str, Any]:
    """Return what would be saved, as ``services.campaigns.dump`` gives it."""
    values = {**campaigns.dump(Campaign()), **campaigns.fields_of(campaign)}
    for formset in formsets:
        rows = [
            form.cleaned_data
            for form in formset.forms
            if getattr(form, "cleaned_data", None)
            and not form.cleaned_data.get("DELETE")
            and (form.has_changed() or form.instance.pk)
        ]
        if formset.model is CampaignCopy:
            values["copy"] = {
                row["language"]: {name: row.get(name) for name in campaigns.COPY} for row in rows
            }
        else:
            name = "triggers" if formset.model is CampaignTrigger else "exclusions"
            values[name] = [
                {key: row.get(key) for key in ("kind", "ref", "exact", "quantity") if key in row}
                for row in rows
            ]
    return values
