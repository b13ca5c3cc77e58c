"""Reads that more than one screen needs. The one place of raw SQL."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, models
from django.db.models import F, FilteredRelation, Q, Subquery, Value
from django.db.models.functions import Coalesce

from upsell.models import Acceptance, CampaignSet, Decision, Offer, OfferQuote
from upsell.models.tokens import hashed
from upsell.models.versioned import SET_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page shows for one order: decided, and perhaps offered."""

    decision: Decision | None
    offer: Offer | None
    quote: OfferQuote | None
    acceptance: Acceptance | None = None
    version: int = 0
    """The campaign set's version, so that the master switch is never stale."""


def page_for(order_ref: str) -> Page | None:
    """Return what was decided for an order, with its offer and current quote; none = undecided.

    One statement, written once a thread and connection: the host's thank-you page asks it on
    every view, and putting such a query together costs ten times what running it does. What no
    page shows is left in the database, and read when it is asked for.
    """
    statement = _page_statement()
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, [SET_ID, order_ref])
        row = cursor.fetchone()
    if row is None:
        return None
    decision, offer, quote, acceptance = (part.made_of(row) for part in statement.parts)
    if offer is not None:
        offer.decision = decision
    if quote is not None:
        quote.offer = offer
    if acceptance is not None:
        acceptance.offer = offer
    return Page(
        decision=decision, offer=offer, quote=quote, acceptance=acceptance, version=int(row[-1])
    )


def page_by_token(token: str) -> Page | None:
    """Return the offer that a link opens, with its current quote; none = no such link."""
    return _page_where(token_hash=hashed(token))


def page_by_undo_token(token: str) -> Page | None:
    """Return the offer that an undo link gives back."""
    return _page_where(undo_hash=hashed(token))


def _page_where(**lookup: str) -> Page | None:
    offer = (
        Offer.objects.annotate(
            current_quote=FilteredRelation("quotes", condition=Q(quotes__number=F("quote_number"))),
            set_version=_set_version(),
        )
        .select_related("acceptance", "current_quote", "decision")  # type: ignore[misc]
        .filter(**lookup)
        .first()
    )
    if offer is None:
        return None
    return Page(
        decision=offer.decision,
        offer=offer,
        quote=getattr(offer, "current_quote", None),
        acceptance=getattr(offer, "acceptance", None),
        version=getattr(offer, "set_version", 0),
    )


def _set_version() -> Coalesce:
    version = CampaignSet.objects.filter(pk=SET_ID).values("version")[:1]
    return Coalesce(Subquery(version), Value(1))


def version_and_seen(customer_keys: Sequence[str]) -> tuple[int, Mapping[int, datetime]]:
    """Return the campaign set's version, and when this buyer was last shown each campaign.

    The one statement of a decision. Trials by staff do not count as seen. Without keys the
    version alone is read, which is enough where no campaign asks what was shown before.

    Cost: one row per offer the buyer ever saw, by index.
    """
    keys = list(customer_keys)
    statement = "SELECT s.version, NULL, NULL FROM upsell_campaignset s WHERE s.id = %s"
    if keys:
        # The marks are placeholders, one per key; no value is in the statement. The newest of
        # a campaign is taken here: a buyer has few rows, and grouping costs the plan more.
        marks = ", ".join(["%s"] * len(keys))
        statement = (
            "SELECT s.version, o.campaign_id, o.first_shown_at FROM upsell_campaignset s "
            f"LEFT JOIN upsell_offer o ON o.customer_key IN ({marks}) "
            "AND o.first_shown_at IS NOT NULL AND NOT o.trial WHERE s.id = %s"
        )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*keys, SET_ID])
        rows = cursor.fetchall()
    if not rows:
        return 1, {}
    seen: dict[int, datetime] = {}
    for _version, campaign_id, shown_at in rows:
        if campaign_id is not None:
            at = _aware(shown_at)
            seen[campaign_id] = max(at, seen.get(campaign_id, at))
    return int(rows[0][0]), seen


def _aware(value: datetime | str) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


# ------------------------------------------------------------------ rows to models, by hand


class _Part:
    """The columns of one model in a row of several, and how each becomes a Python value."""

    def __init__(self, model: type[models.Model], start: int, names: Collection[str]) -> None:
        fields = [row for row in model._meta.concrete_fields if row.attname in names]
        self.model = model
        self.start = start
        self.names = [row.attname for row in fields]
        named = (row.column or row.attname for row in fields)
        self.columns = [f"{model._meta.db_table}.{connection.ops.quote_name(n)}" for n in named]
        self.converters = []
        for position, row in enumerate(fields):
            column = row.get_col(model._meta.db_table)
            found = connection.ops.get_db_converters(column) + column.get_db_converters(connection)
            if found:
                self.converters.append((position, found, column))

    def made_of(self, row: Sequence[object]) -> Any:
        """Return the instance that the row holds; none where an outer join found nothing."""
        values = list(row[self.start : self.start + len(self.names)])
        if values[0] is None:
            return None
        for position, functions, column in self.converters:
            for function in functions:
                values[position] = function(values[position], column, connection)
        return self.model.from_db(connection.alias, self.names, values)


class _Statement:
    """The statement of ``page_for``, and what to make of its row."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        start = 0
        for model, names in _SHOWN.items():
            part = _Part(model, start, names)
            self.parts.append(part)
            start += len(part.names)
        columns = ", ".join(name for part in self.parts for name in part.columns)
        self.sql = (
            f"SELECT {columns}, COALESCE((SELECT version FROM upsell_campaignset WHERE id = %s), 1)"
            " FROM upsell_decision"
            " LEFT JOIN upsell_offer ON upsell_offer.decision_id = upsell_decision.id"
            " LEFT JOIN upsell_offerquote ON upsell_offerquote.offer_id = upsell_offer.id"
            " AND upsell_offerquote.number = upsell_offer.quote_number"
            " LEFT JOIN upsell_acceptance ON upsell_acceptance.offer_id = upsell_offer.id"
            " WHERE upsell_decision.order_ref = %s"
        )


_SHOWN: Mapping[type[models.Model], frozenset[str]] = {
    Decision: frozenset({"id", "order_ref", "reason", "campaign_id", "at", "trial"}),
    Offer: frozenset(
        {
            *("id", "uuid", "decision_id", "campaign_id", "order_ref", "state", "kind"),
            *("product_ref", "quantity", "currency", "terms", "quote_number", "generation"),
            *("channel", "trial", "first_shown_at", "expires_at", "failure_code", "token_hash"),
        }
    ),
    OfferQuote: frozenset(
        {
            *("id", "offer_id", "number", "currency", "line_gross", "shipping_gross"),
            *("credit_gross", "due_net", "due_gross", "collection", "collection_label"),
        }
    ),
    Acceptance: frozenset({"id", "offer_id", "at", "undo_until", "total_after_gross"}),
}
"""The columns that a page shows; every column costs on every view."""

_written = threading.local()


def _page_statement() -> _Statement:
    """Return this thread's statement; converters belong to a connection, and so to a thread."""
    held = getattr(_written, "statement", None)
    if held is None or held[0] is not connection.ops:
        held = _written.statement = (connection.ops, _Statement())
    statement: _Statement = held[1]
    return statement
