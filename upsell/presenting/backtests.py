"""A backtest as staff read it: how far it is, and what would have been shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from upsell.models import BacktestRun
from upsell.presenting.mails import shown_money
from upsell.presenting.reasons import in_words
from upsell.presenting.spreadsheets import as_csv

NOBODY = "0"
"""The campaign that orders without an offer were lost to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What one campaign's offers come to in one currency, were each accepted."""

    currency: str
    count: int
    net: str
    margin: str
    """Empty where no cost is known."""
    costed: str
    """For how many of them the margin is known, where it is not all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One campaign of a result."""

    id: str
    name: str
    is_draft: bool
    count: int
    percent: str
    then: int
    """How often it was really offered to these orders."""
    money: tuple[Money, ...]


def progress(run: BacktestRun) -> int:
    """Return how far it is, 0 to 100."""
    return min(100 * run.looked_at // run.total, 100) if run.total else 0


def shown_rows(run: BacktestRun) -> list[Row]:
    """Return every campaign that would have been, or was, offered: most often first."""
    results = run.results
    ids = {*results.get("shown", {}), *results.get("then", {})}
    if run.draft_id is not None:
        ids.add(str(run.draft_id))
    rows = [_row(run, pk, results["shown"].get(pk, {}), results["orders"]) for pk in ids]
    return sorted(rows, key=lambda row: (-row.count, -row.then, row.name, row.id))


def taken_rows(run: BacktestRun) -> list[Row]:
    """Return who would have won where the draft does: most often first."""
    results = run.results
    draft = results.get("shown", {}).get(str(run.draft_id), {})
    whole = sum(row["count"] for row in draft.values())
    rows = [_row(run, pk, sums, whole) for pk, sums in results.get("taken", {}).items()]
    return sorted(rows, key=lambda row: (-row.count, row.name, row.id))


def _row(run: BacktestRun, pk: str, sums: Mapping[str, Any], whole: int) -> Row:
    count = sum(row["count"] for row in sums.values())
    is_draft = pk == str(run.draft_id)
    name = run.draft_name if is_draft else run.results["names"].get(pk, pk)
    return Row(
        id="" if pk == NOBODY else pk,
        name=_("nobody: the order would have had no offer") if pk == NOBODY else name,
        is_draft=is_draft,
        count=count,
        percent=f"{100 * count / whole:.1f}" if whole else "",
        then=run.results.get("then", {}).get(pk, 0),
        money=()
        if pk == NOBODY
        else tuple(_money(currency, row) for currency, row in sorted(sums.items())),
    )


def _money(currency: str, row: Mapping[str, Any]) -> Money:
    partly = 0 < row["costed"] < row["count"]
    told = _("known for %(costed)d of %(count)d") % row if partly else ""
    return Money(
        currency=currency,
        count=row["count"],
        net=shown_money(Decimal(row["net"]), currency),
        margin=shown_money(Decimal(row["margin"]), currency) if row["costed"] else "",
        costed=told,
    )


def reason_rows(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return reasons in words and how often: most often first."""
    ordered = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    return [(in_words(code), count) for code, count in ordered]


def summary(run: BacktestRun) -> str:
    """Return what came of it in a sentence."""
    results = run.results
    told = ngettext(
        "%(offered)d of %(orders)d order would have been made an offer.",
        "%(offered)d of %(orders)d orders would have been made an offer.",
        results["orders"],
    )
    return told % {"offered": results["offered"], "orders": results["orders"]}


HEAD = ("table", "campaign", "name", "currency", "orders", "offered_then", "net", "margin",
        "margin_known_for")  # fmt: skip


def csv_of(run: BacktestRun) -> str:
    """Return the results as CSV: amounts plain, no currency sign; the head alone before the end."""
    return as_csv(HEAD, _csv_rows(run) if run.state == BacktestRun.State.DONE else ())


def _csv_rows(run: BacktestRun) -> Iterator[list[object]]:
    results = run.results
    for table, rows in (("shown", shown_rows(run)), ("taken from", taken_rows(run))):
        for row in rows:
            sums = results["shown" if table == "shown" else "taken"].get(row.id or NOBODY, {})
            then: object = row.then if table == "shown" else None
            if not sums:
                yield [table, row.id, row.name, "", 0, then, None, None, None]
            for currency, one in sorted(sums.items()):
                margin = Decimal(one["margin"]) if one["costed"] else None
                yield [table, row.id, row.name, currency, one["count"], then, Decimal(one["net"]),
                       margin, one["costed"]]  # fmt: skip
    for table, counts in (("nothing", results["nothing"]), ("refused", results["refused"])):
        for code, count in sorted(counts.items()):
            yield [table, "", code, "", count, None, None, None, None]
