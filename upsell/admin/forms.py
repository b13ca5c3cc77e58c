"""The campaign's form with its child rows: what each field means, and what is checked together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell import conf
from upsell.admin.fields import (
    AmountsField,
    BoundsField,
    CodesField,
    LinesField,
    PairsField,
    RefsField,
    choose_language,
    site_language,
)
from upsell.admin.widgets import ShopSelect, TriggerSelect
from upsell.models import Campaign, CampaignCopy, CampaignExclusion, CampaignTrigger
from upsell.ports import Capability
from upsell.services import campaigns

HIDDEN_WITHOUT = {
    "groups": Capability.GROUPS,
    "countries": Capability.COUNTRY,
    "payment_methods": Capability.PAYMENT_METHOD,
    "not_bought_days": Capability.HISTORY,
    "stock": Capability.STOCK,
}
"""A field whose facts the shop cannot tell is not shown: a filter on it would never match."""


def shown_fields() -> set[str]:
    """Return the campaign's fields that this shop's staff see."""
    capabilities = conf.shop().capabilities
    hidden = {name for name, needs in HIDDEN_WITHOUT.items() if needs not in capabilities}
    return set(CampaignForm.base_fields) - hidden


class CampaignForm(forms.ModelForm):
    """A campaign without its child rows; those are checked together with it."""

    product_map = PairsField(
        label=gettext_lazy("table of products"),
        help_text=gettext_lazy("One pair a line: bought -> offered, by the shop's references. Read only where it is “offered by a table”."),
    )  # fmt: skip
    bounds = BoundsField(
        rows=2,
        label=gettext_lazy("value of the order"),
        help_text=gettext_lazy("One currency a line, such as EUR 10.00 - 100.00; either end may be left out. Goods after discounts, before tax. Empty: orders of any value."),
    )  # fmt: skip
    amounts = AmountsField(
        rows=2,
        label=gettext_lazy("amounts"),
        help_text=gettext_lazy("One currency a line, such as EUR 12.00. Orders in other currencies are offered nothing. Not read for the selling price and percentages."),
    )  # fmt: skip
    shipping_flat = AmountsField(
        rows=2,
        label=gettext_lazy("flat delivery"),
        help_text=gettext_lazy(
            "One currency a line, such as EUR 4.90. Read only for a flat amount."
        ),
    )
    currencies = CodesField(
        rows=1,
        label=gettext_lazy("currencies"),
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
        widgets = {
            "product_ref": ShopSelect("product"),
            "note": forms.Textarea(attrs={"rows": 3, "cols": 60}),
        }
        help_texts = {
            "kind": gettext_lazy("Does something leave the order? Then it is an upsell. A warranty or a case is a cross-sell: nothing leaves."),
            "offer_by": gettext_lazy("The next dearer model is looked up in the family of what was bought."),
            "product_ref": gettext_lazy("Type its name or number. Empty only where a table or the next dearer model says what is offered."),
            "quantity_rule": gettext_lazy("An upsell offers as many units as leave the order, unless you say otherwise."),
            "quantity": gettext_lazy("Units offered; read only for a fixed number."),
            "must_fit": gettext_lazy("Offer it only where the product is said to fit what was bought. Off: nobody looks."),
            "match": gettext_lazy("Whether one of the triggers below suffices, or all have to be in the order."),
            "not_bought_days": gettext_lazy("Buyers who bought it in so many days are offered nothing. Empty: nobody looks."),
            "not_seen_days": gettext_lazy("Buyers who were shown this campaign in so many days do not see it again. Empty: nobody looks."),
            "allow_if_present": gettext_lazy("Off: nothing is offered when it is in the order already."),
            "rule": gettext_lazy("From today's selling price. A buyer never pays more than that."),
            "percent": gettext_lazy("0 to 100, of the price of one unit. Read only for “percent off”."),
            "from_regular": gettext_lazy("Off: a discount starts from today's selling price, sale included."),
            "allow_free": gettext_lazy("Off: an offer that comes to nothing is not made."),
            "allow_below_cost": gettext_lazy("Off: a price below what the product costs you cannot be saved."),
            "shipping": gettext_lazy("What the buyer pays for bringing it; the order's own delivery stays as it is."),
            "stock": gettext_lazy("Looked at when it is offered; taken when the buyer accepts."),
            "documents": gettext_lazy("What happens where the order's invoice is written before the buyer accepts."),
            "priority": gettext_lazy("The highest wins. Of equals, the one edited last."),
            "weight": gettext_lazy("How often it comes first among equals, where the shop chooses by weight. 1: as often as each other."),
            "valid_from": gettext_lazy("Empty: at once."),
            "valid_until": gettext_lazy("This moment still belongs to it. Empty: until switched off."),
            "motivation": gettext_lazy("Why a buyer would want it; for your own reports. Empty: not said."),
            "note": gettext_lazy("Only colleagues read this. Empty: nothing to know."),
            "status": gettext_lazy("Off: never. Staff only: signed-in staff see it, also on test orders, and no number counts it. Live: every buyer it fits."),
            "slug": gettext_lazy("Names the campaign in exports and in the API. It is made from the name."),
            "default_language": gettext_lazy("Whose words are taken when the shopper's language has none."),
        }  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What is checked together reports through this.
        self.instance._upsell_form = self
        for name in set(self.fields) - shown_fields():
            del self.fields[name]
        for field in self.fields.values():
            field.label = capfirst(field.label or "")
        if "kind" in self.fields and Capability.REPLACE not in conf.shop().capabilities:
            self.fields["kind"].choices = [  # type: ignore[attr-defined]
                choice for choice in Campaign.Kind.choices if choice[0] != Campaign.Kind.UPSELL
            ]
        if "default_language" in self.fields:
            choose_language(self.fields["default_language"], self.instance.default_language)
        if "channels" in self.fields:
            self._choose_channels()

    def _choose_channels(self) -> None:
        found = [(row.ref, row.label) for row in conf.shop().choices("channel", "", 200)]
        stored = [(ref, ref) for ref in self.instance.channels or []]
        known = dict(stored) | dict(found)
        if self.allowed is not None:
            known = {ref: name for ref, name in known.items() if ref in self.allowed}
        self.fields["channels"].choices = list(known.items())  # type: ignore[attr-defined]
        if self.instance.pk is None:
            self.initial.setdefault("channels", list(known))

    def clean(self) -> dict[str, Any] | None:
        """Let the number follow the kind, where staff did not choose it."""
        cleaned = super().clean()
        if cleaned is None:
            return None
        start, end = cleaned.get("valid_from"), cleaned.get("valid_until")
        if start and end and end < start:
            # Said here, or the database's own constraint says it in its words.
            self.add_error("valid_until", _("The campaign would end before it begins."))
        if "quantity_rule" not in self.changed_data:
            upsell = cleaned.get("kind") == Campaign.Kind.UPSELL
            fixed = cleaned.get("quantity_rule") == Campaign.QuantityRule.FIXED
            if upsell and fixed:
                cleaned["quantity_rule"] = Campaign.QuantityRule.MATCH.value
            elif cleaned.get("kind") == Campaign.Kind.CROSS_SELL and not fixed:
                cleaned["quantity_rule"] = Campaign.QuantityRule.FIXED.value
        return cleaned


class ChildForm(forms.ModelForm):
    """A trigger or an exclusion; ``ref`` is searched in the shop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        capabilities = conf.shop().capabilities
        missing = {
            kind
            for kind, needs in (("CATEGORY", Capability.CATEGORIES), ("BRAND", Capability.BRANDS))
            if needs not in capabilities and kind != self.instance.kind
        }
        kinds: Any = self.fields["kind"]
        kinds.choices = [choice for choice in kinds.choices if choice[0] not in missing]
        for field in self.fields.values():
            # In a table the head of the column is no label.
            field.widget.attrs["aria-label"] = capfirst(field.label or "")
        # Search, and name what is chosen, by the kind that stands beside it.
        kind = str(self["kind"].value() or "")
        widget: Any = self.fields["ref"].widget
        widget.kind = kind.lower() if kind and kind != "ALWAYS" else "product"

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if cleaned and cleaned.get("kind") not in (None, "ALWAYS") and not cleaned.get("ref"):
            self.add_error("ref", _("Choose which one is meant."))
        return cleaned


class TriggerForm(ChildForm):
    class Meta:
        model = CampaignTrigger
        fields = ("kind", "ref", "exact", "quantity")
        widgets = {"ref": TriggerSelect()}


class ExclusionForm(ChildForm):
    class Meta:
        model = CampaignExclusion
        fields = ("kind", "ref", "quantity")
        widgets = {"ref": TriggerSelect()}


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
            "headline": gettext_lazy("At most 80 characters. Empty: the product's name."),
            "body": gettext_lazy("At most 300 characters, two sentences read best. Empty: none."),
            "image_url": gettext_lazy("https:// or a path. Empty: the product's own picture."),
            "image_alt": gettext_lazy("What the picture shows, for those who cannot see it. Empty: the product's own words."),
            "accept_label": gettext_lazy("At most 30 characters; the amount is added. It must say that it costs money. Empty: our own words."),
            "decline_label": gettext_lazy("At most 30 characters. Empty: “No, thank you”."),
        }  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            self.initial["language"] = self.instance.language = site_language()
        choose_language(self.fields["language"], self.instance.language)
        self.fields["benefits"].label = capfirst(self.fields["benefits"].label or "")


# ------------------------------------------------------------------ together


def check_together(campaign: Any, formsets: Sequence[Any]) -> None:
    """Check a campaign with all its child rows, and say each error where it can be mended.

    Called before Django asks whether form and formsets are valid: what is added counts.
    """
    form: CampaignForm | None = getattr(campaign, "_upsell_form", None)
    if form is None:
        return
    form.is_valid()  # only now the campaign holds what was typed
    if not all(formset.is_valid() for formset in formsets):
        return
    errors, campaign._upsell_warnings = campaigns.validate(
        values_of(campaign, formsets), campaign_id=campaign.pk
    )
    by_model = {formset.model: formset for formset in formsets}
    for finding in errors:
        if finding.field in form.errors:
            continue  # the form has said it already, of what was typed
        if finding.field in form.fields:
            form.add_error(finding.field, finding.message)
        elif finding.field == "triggers" and CampaignTrigger in by_model:
            by_model[CampaignTrigger].non_form_errors().append(finding.message)
        elif finding.field == "exclusions" and CampaignExclusion in by_model:
            by_model[CampaignExclusion].non_form_errors().append(finding.message)
        elif row := _copy_row(by_model.get(CampaignCopy), finding):
            row.add_error(finding.part if finding.part in row.fields else None, finding.message)
        else:
            form.add_error(None, finding.message)


def _copy_row(formset: Any, finding: campaigns.Finding) -> Any:
    if formset is None or finding.field != "copy":
        return None
    return next(
        (
            row
            for row in formset.forms
            if getattr(row, "cleaned_data", {}).get("language") == finding.language
        ),
        None,
    )


def values_of(campaign: Campaign, formsets: Sequence[Any]) -> dict[str, Any]:
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
