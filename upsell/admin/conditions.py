"""Conditions as rows of fact, comparison and value; a row is joined to the one before by and, or.

Rows say ``all`` of ``any``: what is joined by *or* belongs together, and every such group must
hold. A tree of another shape is shown, and kept, as it is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _

from upsell.engine.conditions import (
    MOST_CONDITIONS,
    OPERATORS,
    Condition,
    ConditionError,
    FactSpec,
    FactType,
    Money,
    Op,
    Value,
    parse,
)
from upsell.presenting import conditions as words

PARTS = ("join", "fact", "args", "op", "value")


@dataclass(slots=True)
class Rows:
    """What is typed: rows, or a tree as it is written where rows cannot say it."""

    rows: list[dict[str, str]]
    written: str = ""


class ConditionsWidget(forms.Widget):
    """Rows with one to spare; they are read until one is missing."""

    template_name = "admin/upsell/conditions.html"

    def __init__(self, specs: Mapping[str, FactSpec], attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.specs = specs

    def value_from_datadict(
        self, data: Mapping[str, Any], files: MultiValueDict[str, Any], name: str
    ) -> Rows:
        rows = []
        for place in range(MOST_CONDITIONS + 1):
            if f"{name}-{place}-fact" not in data:
                break
            rows.append({part: data.get(f"{name}-{place}-{part}", "").strip() for part in PARTS})
        return Rows(
            rows=[row for row in rows if row["fact"] or row["value"] or row["args"]],
            written=data.get(f"{name}-written", "").strip(),
        )

    def value_omitted_from_data(
        self, data: Mapping[str, Any], files: MultiValueDict[str, Any], name: str
    ) -> bool:
        return f"{name}-0-fact" not in data and f"{name}-written" not in data

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        told = value if isinstance(value, Rows) else rows_of(value, self.specs)
        context = super().get_context(name, "", attrs)
        blank = dict.fromkeys(PARTS, "")
        rows = [*told.rows, blank] if len(told.rows) < MOST_CONDITIONS else told.rows
        context["widget"] |= {
            "written": told.written,
            "rows": [
                row
                | {
                    "name": f"{name}-{place}",
                    "facts": _grouped(self.specs, row["fact"]),
                    "spare": row is blank,
                }
                for place, row in enumerate(rows)
            ],
            "ops": list(words.OPERATORS.items()),
        }
        return context


class ConditionsField(forms.Field):
    """A tree of conditions as JSON keeps it; nothing typed is None."""

    widget: ConditionsWidget

    def __init__(self, specs: Mapping[str, FactSpec], **options: Any) -> None:
        self.specs = specs
        options.setdefault("required", False)
        super().__init__(widget=ConditionsWidget(specs), **options)

    def to_python(self, value: Any) -> Any:
        told = value if isinstance(value, Rows) else Rows(rows=[])
        if told.written:
            try:
                tree = json.loads(told.written)
            except (ValueError, RecursionError):
                raise forms.ValidationError(_("It cannot be read as it is written.")) from None
        else:
            tree = _tree(told.rows, self.specs)
        if tree is None:
            return None
        try:
            parse(tree, self.specs)
        except (ConditionError, RecursionError) as error:
            raise forms.ValidationError(str(error)) from None
        return tree

    def has_changed(self, initial: Any, data: Any) -> bool:
        return isinstance(data, Rows) and bool(data.rows or data.written or initial)


def _grouped(
    specs: Mapping[str, FactSpec], chosen: str
) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Return what there is by what it is about; one that is gone stays to be seen.

    Each is its name, its label, and by what it may be asked more closely.
    """
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for spec in specs.values():
        about, colon, label = (spec.label or spec.name).partition(": ")
        told = label if colon else about
        closer = "; ".join(f"{name}=" for name in spec.args)
        groups.setdefault(about if colon else _("What was bought, and more"), []).append(
            (spec.name, told[:1].upper() + told[1:], closer)
        )
    if chosen and chosen not in specs:
        groups.setdefault(_("Not there any more"), []).append((chosen, chosen, ""))
    return list(groups.items())


# ------------------------------------------------------------------ rows to a tree


def _tree(rows: Sequence[Mapping[str, str]], specs: Mapping[str, FactSpec]) -> Any:
    groups: list[list[dict[str, Any]]] = []
    for place, row in enumerate(rows, 1):
        leaf = _leaf(row, specs, place)
        if groups and row["join"] == "or":
            groups[-1].append(leaf)
        else:
            groups.append([leaf])
    told = [group[0] if len(group) == 1 else {"any": group} for group in groups]
    if not told:
        return None
    return told[0] if len(told) == 1 and "any" not in told[0] else {"all": told}


def _leaf(row: Mapping[str, str], specs: Mapping[str, FactSpec], place: int) -> dict[str, Any]:
    spec = specs.get(row["fact"])
    if spec is None:
        raise forms.ValidationError(_("Row %d: choose what is looked at.") % place)
    ops = OPERATORS[spec.type]
    if row["op"] not in ops:
        allowed = ", ".join(str(words.OPERATORS[op]) for op in ops)
        told = {"place": place, "fact": spec.label or spec.name, "ops": allowed}
        raise forms.ValidationError(_("Row %(place)d: “%(fact)s” %(ops)s.") % told)
    op = Op(row["op"])
    leaf: dict[str, Any] = {"fact": spec.name}
    args = words.read_args(row["args"])
    if args is None or not set(args) <= set(spec.args):
        known = ", ".join(spec.args) or _("nothing")
        told = {"place": place, "typed": row["args"], "known": known}
        text = _("Row %(place)d: “%(typed)s” is not read as name=value of: %(known)s.")
        raise forms.ValidationError(text % told)
    if args:
        leaf["args"] = args
    leaf["op"] = op.value
    if op is not Op.EXISTS:
        leaf["value"] = words.read_value(row["value"], spec.type, op)
    return leaf


def value_of(typed: str, spec: FactSpec) -> Value:
    """Return what is typed as the value that a fact has.

    Raises:
        forms.ValidationError: It is none of the fact's type.
    """
    if spec.type is FactType.MONEY:
        match = re.fullmatch(r"([A-Za-z]{3})\s+(.+)", typed)
        number = _parsed(match[2].strip(), FactType.DECIMAL) if match else None
        if match is None or not isinstance(number, Decimal):
            told = _("“%s” is not read as a currency and an amount, such as EUR 12.00.")
            raise forms.ValidationError(told % typed)
        return Money(amount=number, currency=match[1].upper())
    if spec.type is FactType.REFS:
        return frozenset(part.strip() for part in typed.split(",") if part.strip())
    value: Value = _parsed(words.read_value(typed, spec.type, Op.IS), spec.type)
    return value


def _parsed(data: Any, kind: FactType) -> Any:
    """Read one value as a condition reads it."""
    op = next(op for op in OPERATORS[kind] if op in (Op.IS, Op.LE))
    probe = {"fact": "probe", "op": op.value, "value": data}
    try:
        tree = parse(probe, {"probe": FactSpec(name="probe", type=kind)})
    except ConditionError as error:
        raise forms.ValidationError(error.message) from None
    return tree.value if isinstance(tree, Condition) else None


# ------------------------------------------------------------------ a tree to rows


def rows_of(tree: Any, specs: Mapping[str, FactSpec]) -> Rows:
    """Return a tree as rows, or as it is written where rows cannot say it."""
    if tree is None:
        return Rows(rows=[])
    groups = tree["all"] if isinstance(tree, Mapping) and set(tree) == {"all"} else [tree]
    rows: list[dict[str, str]] = []
    for group in groups if isinstance(groups, list) else [groups]:
        one = isinstance(group, Mapping) and set(group) == {"any"}
        leaves = group["any"] if one else [group]
        for place, leaf in enumerate(leaves if isinstance(leaves, list) else [leaves]):
            row = _row(leaf, specs)
            if row is None:
                return Rows(rows=[], written=json.dumps(tree, ensure_ascii=False))
            rows.append(row | {"join": "or" if place else "and"})
    return Rows(rows=rows)


def _row(leaf: Any, specs: Mapping[str, FactSpec]) -> dict[str, str] | None:
    if not isinstance(leaf, Mapping) or leaf.get("fact") not in specs:
        return None
    args = leaf.get("args") or {}
    if not isinstance(args, Mapping):
        return None
    op = leaf.get("op")
    if op not in tuple(Op):
        return None
    kind = specs[str(leaf["fact"])].type
    return {
        "fact": str(leaf["fact"]),
        "args": words.typed_args(args),
        "op": str(op),
        "value": words.typed(leaf.get("value"), kind, Op(str(op))),
    }
