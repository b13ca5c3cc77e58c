"""Facts, comparisons and their values in words, and the text that staff type for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from upsell.engine.conditions import Answer, FactSpec, FactType, Op

OPERATORS: Mapping[Op, Any] = {
    Op.IS: gettext_lazy("is"),
    Op.IS_NOT: gettext_lazy("is not"),
    Op.LT: gettext_lazy("is less than"),
    Op.LE: gettext_lazy("is at most"),
    Op.GT: gettext_lazy("is more than"),
    Op.GE: gettext_lazy("is at least"),
    Op.BETWEEN: gettext_lazy("is between"),
    Op.IN: gettext_lazy("is one of"),
    Op.NOT_IN: gettext_lazy("is none of"),
    Op.HAS_ANY: gettext_lazy("has one of"),
    Op.HAS_ALL: gettext_lazy("has all of"),
    Op.EXISTS: gettext_lazy("is known"),
}

_LISTS = {Op.IN, Op.NOT_IN, Op.HAS_ANY, Op.HAS_ALL}
_ISO = {"minute": "PT%dM", "hour": "PT%dH", "day": "P%dD", "week": "P%dD"}
_YES, _NO = {"yes", "true", "1"}, {"no", "false", "0"}


def label_of(spec: FactSpec) -> str:
    """Return what staff call a fact, with what its bare number counts."""
    label = _(spec.label) if spec.label else spec.name
    return f"{label} ({_(spec.unit)})" if spec.unit else label


def why(answer: Answer, specs: Mapping[str, FactSpec]) -> str:
    """Return in a sentence why a tree does not match; empty where it does."""
    if answer.matches:
        return ""
    kind, _colon, name = answer.because.partition(":")
    spec = specs.get(name)
    label = label_of(spec) if spec else name
    if kind == "fact_missing":
        return _("Not known: %s.") % label
    return _("Not met: %s.") % label if label else _("Its conditions are not met.")


def typed(value: object, kind: FactType, op: Op) -> str:
    """Return a condition's value, as JSON has it, as staff type it."""
    if op is Op.EXISTS or value is None:
        return ""
    if isinstance(value, Mapping):
        return "; ".join(f"{code} {_one(amount, op)}" for code, amount in value.items())
    if op in _LISTS and isinstance(value, list | tuple):
        return ", ".join(_quoted(str(one)) for one in value)
    return _one(value, op)


def _one(value: object, op: Op) -> str:
    if op is Op.BETWEEN and isinstance(value, list | tuple):
        return " .. ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _quoted(text: str) -> str:
    """Return a text of a list; one with a comma, or with marks of its own, stands in marks."""
    plain = text == text.strip() and "," not in text and '"' not in text
    return text if plain else '"' + text.replace('"', '""') + '"'


_ITEM = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(?:,|$)')


def read_value(text: str, kind: FactType, op: Op) -> object:
    """Return what staff typed as JSON has it.

    What cannot be read is returned as it is: the language of conditions says what it wanted.
    """
    if op is Op.EXISTS:
        return None
    if kind is FactType.MONEY:
        return _money(text, op)
    if op in _LISTS:
        kind = FactType.TEXT if kind is FactType.REFS else kind
        return [_scalar(one, kind) for one in _items(text)]
    if op is Op.BETWEEN:
        return [_scalar(one.strip(), kind) for one in text.split("..")]
    return _scalar(text, kind)


def _items(text: str) -> list[str]:
    found: list[str] = []
    place = 0
    while place < len(text):
        match = _ITEM.match(text, place)
        if match is None:  # something behind a closing mark
            return [text]
        found.append(match[2].strip() if match[1] is None else match[1].replace('""', '"'))
        place = match.end()
    return [one for one in found if one]


def _money(text: str, op: Op) -> object:
    amounts: dict[str, object] = {}
    for part in filter(None, (one.strip() for one in text.split(";"))):
        match = re.fullmatch(r"([A-Za-z]{3})\s+(.+)", part)
        if match is None:
            return text
        ends = [one.strip() for one in match[2].split("..")]
        amounts[match[1].upper()] = ends if op is Op.BETWEEN else match[2]
    return amounts or text


def _scalar(text: str, kind: FactType) -> object:
    if kind is FactType.BOOL:
        low = text.lower()
        return True if low in _YES else False if low in _NO else text
    if kind is FactType.INT:
        return int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else text
    if kind is FactType.DURATION:
        length = re.fullmatch(r"(\d{1,5})\s*(minute|hour|day|week)s?", text.strip().lower())
        if length:
            return _ISO[length[2]] % (int(length[1]) * (7 if length[2] == "week" else 1))
    return text


def typed_args(args: Mapping[str, str]) -> str:
    """Return what a fact is asked by, as staff type it."""
    return "; ".join(f"{name}={value}" for name, value in args.items())


def read_args(text: str) -> dict[str, str] | None:
    """Return what staff typed to ask more closely; none = it cannot be read."""
    found: dict[str, str] = {}
    for part in filter(None, (one.strip() for one in text.split(";"))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip() or name.strip() in found:
            return None
        found[name.strip()] = value.strip()
    return found
