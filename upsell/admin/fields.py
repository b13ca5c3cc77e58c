"""Form fields that staff type as lines of text, and references they pick in the shop."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.core.validators import ProhibitNullCharactersValidator
from django.utils.translation import gettext as _

from upsell.admin.widgets import ShopSelectMultiple
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
        # Here, since the validators of a text see the parsed value, which hides what it holds.
        ProhibitNullCharactersValidator()(text)
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


def _once(told: Mapping[str, Any], currency: str) -> str:
    """Return the currency as it is stored, and refuse a second line of it."""
    code = currency.upper()
    if code in told:
        raise forms.ValidationError(_("%s is named twice: one line for each currency.") % code)
    return code


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
            told[_once(told, match[1])] = match[2].replace(",", ".")
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
            told[_once(told, match[1])] = [
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


def site_language() -> str:
    """Return the site's own language as the list of languages writes it."""
    code: str = settings.LANGUAGE_CODE
    return code if code in dict(settings.LANGUAGES) else code.split("-")[0]


def choose_language(field: forms.Field, stored: str) -> None:
    """Let staff choose among the site's languages; one that is stored stays."""
    known = dict(settings.LANGUAGES)
    if stored and stored not in known:
        known = {stored: stored, **known}
    field.widget = forms.Select(
        choices=[(code, f"{name} ({code})") for code, name in known.items()]
    )
