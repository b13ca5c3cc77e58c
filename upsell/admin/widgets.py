"""Pickers that search the shop with Django's own select2."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteMixin
from django.urls import reverse

from upsell import conf
from upsell.ports import Choice
from upsell.presenting.campaigns import Label


def choices(kind: str, query: str, limit: int) -> Sequence[Choice]:
    """Ask the shop; for a NUL, which a database may refuse to look for, there is nothing."""
    return () if "\x00" in query else conf.shop().choices(kind, query, limit)


def label_of(kind: str, ref: str) -> str:
    """Return what the shop calls a reference; the reference itself where it does not know."""
    if not ref or not kind:
        return ref
    for choice in choices(kind, ref, 5):
        if choice.ref == ref:
            return choice.label
    return ref


def labels() -> Label:
    """Return ``label_of`` that asks for each reference once: for one page, never longer."""
    return cache(label_of)


class ShopSelect(forms.Select):
    """A select that holds what is chosen and asks the shop for the rest."""

    def __init__(self, kind: str, attrs: dict[str, Any] | None = None) -> None:
        self.kind = kind
        super().__init__(attrs)

    def build_attrs(
        self, base_attrs: dict[str, Any], extra_attrs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        attrs = super().build_attrs(base_attrs, extra_attrs)
        return attrs | {
            "class": f"{attrs.get('class', '')} admin-autocomplete".strip(),
            "data-ajax--url": reverse(f"{admin.site.name}:upsell_campaign_choices"),
            "data-ajax--cache": "true",
            "data-ajax--delay": 250,
            "data-ajax--type": "GET",
            "data-theme": "admin-autocomplete",
            "data-allow-clear": "false" if self.is_required else "true",
            "data-placeholder": "",
            "data-app-label": "upsell",
            "data-model-name": "campaign",
            "data-field-name": self.kind,
        }

    def optgroups(
        self, name: str, value: Sequence[str], attrs: dict[str, Any] | None = None
    ) -> list[Any]:
        chosen = [str(ref) for ref in value if ref]
        self.choices = [(ref, self.label(ref)) for ref in chosen]
        if not self.allow_multiple_selected:
            # An empty row is how nothing is chosen; of many, nothing is chosen by choosing none.
            self.choices = [("", ""), *self.choices]
            chosen = chosen or [""]
        return super().optgroups(name, chosen, attrs)

    def label(self, ref: str) -> str:
        """What stands for a reference that is stored."""
        return label_of(self.kind, ref)

    @property
    def media(self) -> forms.Media:
        return AutocompleteMixin(None, admin.site).media


class ShopSelectMultiple(ShopSelect, forms.SelectMultiple):
    """The same for more than one."""

    allow_multiple_selected = True


class TriggerSelect(ShopSelect):
    """A product, category, brand or tag: the row's kind says what is searched."""

    def __init__(self) -> None:
        super().__init__("product", {"data-upsell-follows-kind": "true"})

    @property
    def media(self) -> forms.Media:
        return super().media + forms.Media(js=["upsell/admin/form.js"])
