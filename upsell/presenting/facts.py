"""What the rules read of an order, in words: for staff who ask why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from upsell.presenting.campaigns import NOTHING, Label
from upsell.presenting.mails import shown_money


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFacts:
    """One line of the order."""

    title: str
    quantity: int
    returned: int
    net: str
    gross: str
    locked: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The order as the rules read it."""

    rows: tuple[tuple[str, str], ...]
    lines: tuple[LineFacts, ...]


def facts_in_words(facts: Mapping[str, Any], titles: Mapping[str, str], label: Label) -> Facts:
    """Return facts as ``services.offering.facts_of`` keeps them, readable.

    Args:
        facts: As they are stored with a decision.
        titles: Product reference to what the shop calls it.
        label: What the shop calls the rest.
    """
    currency = str(facts.get("currency", ""))

    def money(value: Any) -> str:
        if value is None:
            return NOTHING
        try:
            return shown_money(Decimal(str(value)), currency)
        except ArithmeticError:
            return str(value)

    def flag(value: Any) -> str:
        return _("yes") if value else _("no")

    def named(kind: str, ref: Any) -> str:
        return label(kind, str(ref)) if ref else NOTHING

    count = facts.get("orders_count")
    rows: tuple[tuple[str, str], ...] = (
        (_("Sales channel"), named("channel", facts.get("channel"))),
        (_("Goods after discounts, before tax"), money(facts.get("goods_net"))),
        (_("Total of the order"), money(facts.get("total_gross"))),
        (_("Currency"), currency or NOTHING),
        (_("Delivered to"), named("country", facts.get("country"))),
        (_("Paid by"), named("payment_method", facts.get("payment_method"))),
        (_("Customer groups"),
         ", ".join(label("group", ref) for ref in facts.get("groups", [])) or NOTHING),
        (_("Guest"), flag(facts.get("guest"))),
        (_("Orders so far"), NOTHING if count is None else str(count)),
        (_("Coupons"), str(facts.get("coupons", 0))),
        (_("Being packed or sent"), flag(facts.get("released"))),
        (_("Cancelled"), flag(facts.get("cancelled"))),
        (_("Test order"), flag(facts.get("test"))),
    )  # fmt: skip
    rows += tuple(_chance(facts))
    lines = tuple(
        LineFacts(
            title=titles.get(row["product"], row["product"]),
            quantity=row.get("quantity", 0),
            returned=row.get("returned", 0),
            net=money(row.get("net")),
            gross=money(row.get("gross")),
            locked=str(row.get("locked", "")),
        )
        for row in lines_of(facts)
    )
    return Facts(rows=rows, lines=lines)


def _chance(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what experiments and the choice among equals had to do with it."""
    if facts.get("arms"):
        yield _("Experiments, and the buyer's arm"), ", ".join(map(str, facts["arms"]))
    told = facts.get("selection")
    if isinstance(told, Mapping):
        words = {
            "value": _("by expected value"),
            "weighted": _("by weight"),
            "learned": _("by what buyers accept"),
        }
        said = words.get(str(told.get("by")), str(told.get("by")))
        if told.get("floor"):
            said = _("by chance, all alike: one order in ten shows what learning would miss")
        yield _("Equals were told apart"), said
        if told.get("propensity") is not None:
            share = number_format(Decimal(str(told["propensity"])) * 100, 1)
            yield _("The winner's chance to come first"), _("%s %%") % share


def lines_of(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the lines that can be told: those that name a product."""
    rows = facts.get("lines", [])
    return [row for row in rows if isinstance(row, Mapping) and isinstance(row.get("product"), str)]
