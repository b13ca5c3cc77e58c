"""Whether a campaign's plain values have the shape that everything after it relies on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db.models import CharField, TextField
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from upsell.engine.campaigns import TriggerKind
from upsell.models import Campaign

Values = Mapping[str, Any]
"""A campaign as ``services.campaigns.dump`` gives it."""

HEADLINE, BODY, BENEFIT, BENEFITS, LABEL, ALT = 80, 300, 60, 5, 30, 160
_LENGTHS = {"name": 120, "slug": 120, "product_ref": 190, "default_language": 15}
_LISTS = ("channels", "moments", "currencies", "groups", "countries", "payment_methods")
_FLAGS = ("must_fit", "allow_if_present", "from_regular", "allow_free", "allow_below_cost",
          "archived")  # fmt: skip
_CHOICES = ("kind", "status", "match", "offer_by", "rule", "quantity_rule", "shipping", "stock",
            "documents", "motivation")  # fmt: skip
# Least value, and whether nothing is a value too.
_WHOLE = {
    "priority": (0, False),
    "quantity": (1, False),
    "weight": (1, False),
    "not_bought_days": (0, True),
    "not_seen_days": (0, True),
}
_MOST = 2**31 - 1
"""What every database's column for whole numbers holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to say about a campaign."""

    code: str
    field: str
    """The field it belongs to; empty = the whole campaign."""
    message: str
    language: str = ""
    part: str = ""
    """Of ``copy``: whose words, and which of them."""


def shapes(values: Values) -> Iterator[Finding]:
    """Yield what cannot be read as it stands; the other checks run on values without any."""
    for name in ("name", "slug", "kind"):
        if not values.get(name):
            yield Finding(code="required", field=name, message=_("This field is needed."))
    yield from _texts(values)
    yield from _numbers(values)
    for field in _LISTS:
        value = values.get(field, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            yield _shape(field, _("This must be a list of codes."))
        elif field in ("currencies", "countries"):
            yield from _codes(field, value)
    for field in ("amounts", "shipping_flat"):
        yield from _amounts(field, values.get(field, {}))
    yield from _bounds(values.get("bounds", {}))
    rows = values.get("product_map", [])
    if not isinstance(rows, list) or not all(
        isinstance(row, list | tuple)
        and len(row) == 2
        and all(isinstance(ref, str) and ref for ref in row)
        for row in rows
    ):
        yield _shape("product_map", _("Each row needs a bought and an offered product."))
    yield from _children(values)
    yield from _copy(values.get("copy", {}))


def _shape(field: str, message: str) -> Finding:
    return Finding(code="invalid", field=field, message=message)


def _texts(values: Values) -> Iterator[Finding]:
    for column in Campaign._meta.concrete_fields:
        value = values.get(column.name, "")
        if value is None and not column.null:
            yield Finding(code="invalid", field=column.name, message=_("This field is needed."))
        elif isinstance(column, CharField | TextField) and not isinstance(value, str | None):
            yield _shape(column.name, _("This must be text, and is not: %s.") % value)
    for field, most in _LENGTHS.items():
        value = values.get(field, "")
        if isinstance(value, str) and len(value) > most:
            told = _("This may have %(limit)s, and has %(n)d.")
            yield _shape(field, told % {"limit": _limit(most), "n": len(value)})
    for field in _CHOICES:
        choices: Any = Campaign._meta.get_field(field)
        known = {choice for choice, _name in choices.flatchoices}
        value = values.get(field)
        if value and not (isinstance(value, str) and value in known):
            yield _shape(field, _("“%s” is not one of the choices.") % value)


def _numbers(values: Values) -> Iterator[Finding]:
    for field, (least, may_be_empty) in _WHOLE.items():
        value = values.get(field, least)
        if value is None and may_be_empty:
            continue
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not least <= value <= _MOST:
            yield _shape(field, _("“%(value)s” is not a whole number of at least %(least)d.")
                         % {"value": value, "least": least})  # fmt: skip
    for field in _FLAGS:
        if not isinstance(values.get(field, False), bool):
            yield _shape(field, _("“%s” is neither yes nor no.") % values[field])
    for field in ("valid_from", "valid_until"):
        try:
            datetime_of(values.get(field))
        except ValueError:
            yield _shape(field, _("“%s” is not a time such as 2026-03-02T10:00:00+01:00.")
                         % values[field])  # fmt: skip


def _codes(field: str, codes: list[str]) -> Iterator[Finding]:
    letters, told = {
        "currencies": (3, _("“%s” is not a currency code such as EUR.")),
        "countries": (2, _("“%s” is not a country code such as DE.")),
    }[field]
    for code in codes:
        if not re.fullmatch(rf"[A-Z]{{{letters}}}", code):
            yield _shape(field, told % code)


def _limit(most: int) -> str:
    return ngettext("at most %d character", "at most %d characters", most) % most


def _amounts(field: str, amounts: object) -> Iterator[Finding]:
    if not isinstance(amounts, Mapping):
        yield _shape(field, _("This must name an amount for each currency."))
        return
    for currency, amount in amounts.items():
        if not re.fullmatch(r"[A-Z]{3}", str(currency)):
            yield _shape(field, _("“%s” is not a currency code such as EUR.") % currency)
        parsed = decimal_of(amount)
        if parsed is None or parsed < 0:
            yield _shape(field, _("“%s” is not an amount such as 12.00.") % amount)


def _bounds(bounds: object) -> Iterator[Finding]:
    if not isinstance(bounds, Mapping):
        yield _shape("bounds", _("This must name two ends for each currency."))
        return
    for currency, ends in bounds.items():
        if not isinstance(ends, list | tuple) or len(ends) != 2:
            yield _shape("bounds", _("%s needs a least and a most amount.") % currency)
            continue
        if not re.fullmatch(r"[A-Z]{3}", str(currency)):
            yield _shape("bounds", _("“%s” is not a currency code such as EUR.") % currency)
        least, most = (decimal_of(end) for end in ends)
        for end, parsed in zip(ends, (least, most), strict=True):
            if end not in (None, "") and (parsed is None or parsed < 0):
                yield _shape("bounds", _("“%s” is not an amount such as 12.00.") % end)
        if least is not None and most is not None and least > most:
            yield Finding(
                code="min_above_max",
                field="bounds",
                message=_("In %(currency)s the least value %(least)s is above the most, %(most)s.")
                % {"currency": currency, "least": ends[0], "most": ends[1]},
            )


def _children(values: Values) -> Iterator[Finding]:
    kinds = {kind.value for kind in TriggerKind}
    for field in ("triggers", "exclusions"):
        rows = values.get(field, [])
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            yield _shape(field, _("This must be a list of rows with a kind and a reference."))
            continue
        seen: set[tuple[str, str]] = set()
        for row in rows:
            kind, ref = row.get("kind", ""), row.get("ref", "")
            if not (isinstance(kind, str) and isinstance(ref, str)):
                yield _shape(field, _("Kind and reference are texts."))
                continue
            if kind not in kinds or (field == "exclusions" and kind == TriggerKind.ALWAYS):
                yield _shape(field, _("“%s” is not a kind of trigger.") % kind)
            elif kind == TriggerKind.ALWAYS and ref:
                yield _shape(field, _("“Every order” names no product."))
            elif kind != TriggerKind.ALWAYS and not ref:
                yield _shape(field, _("Choose which product, category, brand or tag is meant."))
            least = row.get("quantity", 1)
            if not isinstance(least, int) or not 1 <= least <= _MOST:
                yield _shape(field, _("The least quantity is at least 1, and “%s” is not.") % least)
            if (kind, ref) in seen:
                yield _shape(field, _("“%s” is named twice.") % ref)
            seen.add((kind, ref))


def _copy(copy: object) -> Iterator[Finding]:
    if not isinstance(copy, Mapping) or not all(
        isinstance(words, Mapping) for words in copy.values()
    ):
        yield _shape("copy", _("The words must be given by language."))
        return
    for language, words in copy.items():
        yield from _words(language, words)


def _words(language: str, words: Mapping[str, Any]) -> Iterator[Finding]:
    def finding(code: str, part: str, message: str) -> Finding:
        return Finding(code=code, field="copy", message=message, language=language, part=part)

    lengths = {
        "headline": (HEADLINE, _("%(language)s: the headline may have %(limit)s, and has %(n)d.")),
        "body": (BODY, _("%(language)s: the text may have %(limit)s, and has %(n)d.")),
        "accept_label": (
            LABEL,
            _("%(language)s: the accept button may have %(limit)s, and has %(n)d."),
        ),
        "decline_label": (
            LABEL,
            _("%(language)s: the decline button may have %(limit)s, and has %(n)d."),
        ),
        "image_alt": (
            ALT,
            _("%(language)s: the text for the image may have %(limit)s, and has %(n)d."),
        ),
    }
    for name, (most, told) in lengths.items():
        text = words.get(name) or ""
        if not isinstance(text, str):
            yield finding("invalid", name, _("%s: words are text.") % language)
        elif len(text) > most:
            values = {"language": language, "limit": _limit(most), "n": len(text)}
            yield finding("too_long", name, told % values)
    benefits = words.get("benefits") or []
    if not isinstance(benefits, list) or not all(isinstance(text, str) for text in benefits):
        yield finding("invalid", "benefits", _("%s: benefits are lines of text.") % language)
        return
    if len(benefits) > BENEFITS:
        told = ngettext(
            "%(language)s: at most %(most)d benefit is shown, and there are %(there)d.",
            "%(language)s: at most %(most)d benefits are shown, and there are %(there)d.",
            BENEFITS,
        )
        values = {"language": language, "most": BENEFITS, "there": len(benefits)}
        yield finding("too_many_benefits", "benefits", told % values)
    for text in benefits:
        if len(text) > BENEFIT:
            told = _("%(language)s: “%(text)s” may have %(limit)s, and has %(n)d.")
            values = {"language": language, "text": text, "limit": _limit(BENEFIT), "n": len(text)}
            yield finding("too_long", "benefits", told % values)
    image = words.get("image_url") or ""
    if image and not (isinstance(image, str) and re.fullmatch(r"(https?://|/)\S*", image)):
        told = _("%(language)s: “%(address)s” is neither an https:// address nor a path.")
        values = {"language": language, "address": image}
        yield finding("invalid", "image_url", told % values)


# ------------------------------------------------------------------ reading plain values


def decimal_of(value: object) -> Decimal | None:
    """Read an amount; none for nothing and for what is no amount. A float is no amount."""
    if value in (None, "") or isinstance(value, float | bool):
        return None
    try:
        parsed = Decimal(str(value))
    except InvalidOperation:
        return None
    return parsed if parsed.is_finite() else None


def datetime_of(value: object) -> datetime | None:
    """Read a time, aware; a time without a zone is UTC.

    Raises:
        ValueError: It is no time.
    """
    if not value:
        return None
    told = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return told if told.tzinfo else told.replace(tzinfo=UTC)
