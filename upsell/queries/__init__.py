"""Reads that more than one screen needs. The one place of raw SQL."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from django.db.models import F, FilteredRelation, Max, Q, Subquery, Value
from django.db.models.functions import Coalesce

from upsell.models import Acceptance, CampaignSet, Decision, KeyLink, Offer, OfferLink, OfferQuote
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
    """Return what was decided for an order, with its offer and current quote; none = undecided."""
    page = look(order_ref)
    return None if page.decision is None else page


def look(order_ref: str) -> Page:
    """Return what was decided for an order, if anything, and the campaign set's version.

    One statement, written once a thread and connection: the host's thank-you page asks it on
    every view, and putting such a query together costs ten times what running it does. What no
    page shows is left in the database, and read when it is asked for.
    """
    statement = _page_statement()
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, [SET_ID, order_ref])
        row = cursor.fetchone()
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
    """Return the offer that a link opens, with its current quote; none = no such link.

    A link from before the offer was issued again opens the same page: one statement more.
    """
    page = _page_where(token_hash=hashed(token))
    if page is not None:
        return page
    earlier = OfferLink.objects.filter(token_hash=hashed(token)).values("offer").first()
    return None if earlier is None else _page_where(pk=earlier["offer"])


def page_by_undo_token(token: str) -> Page | None:
    """Return the offer that an undo link gives back."""
    return _page_where(undo_hash=hashed(token))


def _page_where(**lookup: str | int) -> Page | None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What our own tables know before anything is decided."""

    version: int
    """The campaign set's."""
    seen: Mapping[int, datetime] = field(default_factory=dict)
    """When this buyer was last shown each campaign. Trials by staff do not count."""
    unit: str = ""
    """The oldest key that this buyer is known by; empty without a key."""


def known_of(customer_keys: Sequence[str]) -> Known:
    """Return the campaign set's version and what is known of a buyer.

    The one statement of a decision. Without keys the version alone is read, which is enough
    where no campaign asks what was shown before.

    Args:
        customer_keys: As ``snapshots.customer_keys`` gives them, the current one first.

    Cost: one row per offer the buyer ever saw, by index.
    """
    if not customer_keys:
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            # No parameters, which a driver would have to look for: they cost a quarter of this.
            cursor.execute(_VERSION)
            row = cursor.fetchone()
        return Known(version=1 if row is None else int(row[0]))
    # The marks are placeholders, one per key; no value is in the statement. The newest of
    # a campaign is taken here: a buyer has few rows, and grouping costs the plan more.
    marks = ", ".join(["%s"] * len(customer_keys))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.version, o.campaign_id, o.first_shown_at, l.old_key "
            "FROM upsell_campaignset s LEFT JOIN upsell_keylink l ON l.new_key = %s "
            f"LEFT JOIN upsell_offer o ON o.customer_key IN ({marks}) "
            "AND o.first_shown_at IS NOT NULL AND NOT o.trial WHERE s.id = %s",
            [customer_keys[0], *customer_keys, SET_ID],
        )
        rows = cursor.fetchall()
    seen: dict[int, datetime] = {}
    for _version, campaign_id, shown_at, _old in rows:
        if campaign_id is not None:
            at = _aware(shown_at)
            seen[campaign_id] = max(at, seen.get(campaign_id, at))
    return Known(
        version=int(rows[0][0]) if rows else 1,
        seen=seen,
        unit=(rows[0][3] if rows else None) or customer_keys[0],
    )


def oldest_key(customer_keys: Sequence[str]) -> str:
    """Return the oldest key of a buyer, by which experiments count; empty without any key."""
    if not customer_keys:
        return ""
    found = KeyLink.objects.filter(new=customer_keys[0]).values_list("old", flat=True).first()
    return found or customer_keys[0]


def seen_before(customer_keys: Sequence[str], until: datetime) -> dict[str, dict[int, datetime]]:
    """Return key of a buyer to campaign to when it was last shown to them before ``until``.

    One statement, by index. Trials by staff do not count as seen.
    """
    found: dict[str, dict[int, datetime]] = {}
    rows = Offer.objects.filter(
        customer_key__in=customer_keys, first_shown_at__lt=until, trial=False
    ).exclude(customer_key="")
    columns = rows.order_by().values_list("customer_key", "campaign_id")
    for key, campaign_id, at in columns.annotate(latest=Max("first_shown_at")):
        found.setdefault(key, {})[campaign_id] = at
    return found


_VERSION = f"SELECT version FROM {CampaignSet._meta.db_table} WHERE id = {SET_ID:d}"


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
    """The statement of ``look``, and what to make of its row."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        start = 0
        for model, names in _SHOWN.items():
            part = _Part(model, start, names)
            self.parts.append(part)
            start += len(part.names)
        columns = ", ".join(name for part in self.parts for name in part.columns)
        self.sql = (
            f"SELECT {columns}, COALESCE(upsell_campaignset.version, 1)"
            # A row in any case: an order that is not decided, a set that was never edited.
            " FROM (SELECT 1 AS one) AS always"
            " LEFT JOIN upsell_campaignset ON upsell_campaignset.id = %s"
            " LEFT JOIN upsell_decision ON upsell_decision.order_ref = %s"
            " LEFT JOIN upsell_offer ON upsell_offer.decision_id = upsell_decision.id"
            " LEFT JOIN upsell_offerquote ON upsell_offerquote.offer_id = upsell_offer.id"
            " AND upsell_offerquote.number = upsell_offer.quote_number"
            " LEFT JOIN upsell_acceptance ON upsell_acceptance.offer_id = upsell_offer.id"
        )


_SHOWN: Mapping[type[models.Model], frozenset[str]] = {
    Decision: frozenset({"id", "order_ref", "reason", "campaign_id", "at", "trial"}),
    Offer: frozenset(
        {
            *("id", "uuid", "decision_id", "campaign_id", "order_ref", "state", "kind"),
            *("product_ref", "quantity", "currency", "terms", "quote_number", "generation"),
            *("channel", "trial", "first_shown_at", "expires_at", "failure_code", "token_hash"),
            *("arm", "satisfaction"),
        }
    ),
    OfferQuote: frozenset(
        {
            *("id", "offer_id", "number", "currency", "line_net", "line_gross", "shipping_gross"),
            *("credit_net", "credit_gross", "due_net", "due_gross"),
            *("collection", "collection_label"),
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


# ------------------------------------------------------------------ experiments


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What the buyers of one arm spent, added up; amounts of one currency, net of refunds."""

    arm: str
    n: int
    spent: Decimal
    spent_squares: Decimal
    orders: int
    orders_squares: int
    spent_orders: Decimal
    """Sum of the products of the two."""
    earlier: Decimal
    """Spent in the days before the buyer counts."""
    earlier_squares: Decimal
    spent_earlier: Decimal
    capped: Decimal
    """``spent``, where a buyer counts with no more than the cap."""
    capped_squares: Decimal
    refunded: int
    """Buyers to whom something of an order was refunded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyers:
    """Whose orders are wanted: the buyers of a phase who were exposed until a time."""

    phase_id: int
    currency: str
    until: datetime
    outcome_days: int
    """How long after the first of them a buyer's orders count."""
    earlier_days: int
    """How long before."""


def spending_of(buyers: Buyers, *, leave: int) -> list[Spending]:
    """Return the sums of each arm. Two statements; no row of a buyer is read.

    Args:
        buyers: Whose orders.
        leave: So many buyers spent more than the cap: it is what the next one spent.

    Cost: by index, one look for each key of a buyer.
    """
    each, values = _each_buyer(buyers)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT spent FROM ({each}) b ORDER BY spent DESC LIMIT 1 OFFSET {leave:d}",
            values,
        )
        row = cursor.fetchone()
        cap = 0 if row is None else row[0]
        least = "CASE WHEN spent > %s THEN %s ELSE spent END"
        cursor.execute(
            "SELECT arm, COUNT(*), SUM(spent), SUM(spent * spent), SUM(orders), "
            "SUM(orders * orders), SUM(spent * orders), SUM(earlier), SUM(earlier * earlier), "
            f"SUM(spent * earlier), SUM({least}), SUM(({least}) * ({least})), SUM(refunded) "
            f"FROM ({each}) b GROUP BY arm ORDER BY arm",
            [cap] * 6 + values,
        )
        rows = cursor.fetchall()
    names = [one.name for one in fields(Spending)]
    counts = {"n", "orders", "orders_squares", "refunded"}
    return [
        Spending(
            arm=str(row[0]),
            **{
                name: int(value) if name in counts else Decimal(str(value))
                for name, value in zip(names[1:], row[1:], strict=True)
            },  # type: ignore[arg-type]
        )
        for row in rows
    ]


def _each_buyer(buyers: Buyers) -> tuple[str, list[Any]]:
    """Return a statement of one row for each buyer, and its values."""
    counts = "o.placed_at >= e.since AND NOT o.cancelled"
    net = "o.net - o.refunded_net"
    at = connection.ops.quote_name("at")
    sql = (
        f"SELECT e.id, e.arm, SUM(CASE WHEN {counts} THEN {net} ELSE 0 END) AS spent, "
        f"SUM(CASE WHEN o.placed_at < e.since AND NOT o.cancelled THEN {net} ELSE 0 END) "
        f"AS earlier, SUM(CASE WHEN {counts} THEN 1 ELSE 0 END) AS orders, "
        "MAX(CASE WHEN o.placed_at >= e.since AND o.refunded_net > 0 THEN 1 ELSE 0 END) "
        "AS refunded FROM upsell_exposure e JOIN ("
        "SELECT id, unit AS known FROM upsell_exposure WHERE phase_id = %s UNION ALL "
        "SELECT x.id, l.new_key FROM upsell_exposure x "
        "JOIN upsell_keylink l ON l.old_key = x.unit WHERE x.phase_id = %s) k ON k.id = e.id "
        "LEFT JOIN upsell_orderfact o ON o.customer_key = k.known AND o.currency = %s "
        f"AND o.placed_at >= {_days_from('e.since', -buyers.earlier_days)} "
        f"AND o.placed_at < {_days_from('e.since', buyers.outcome_days)} "
        f"WHERE e.phase_id = %s AND NOT e.excluded AND e.{at} <= %s GROUP BY e.id, e.arm"
    )
    phase = buyers.phase_id
    until = connection.ops.adapt_datetimefield_value(buyers.until)
    return sql, [phase, phase, buyers.currency, phase, until]


def _days_from(column: str, days: int) -> str:
    """Return a time so many days later in the database's words."""
    if connection.vendor == "sqlite":
        microseconds = days * 86_400_000_000
        return f"django_format_dtdelta('+', {column}, {microseconds:d})"
    return f"({column} + INTERVAL '{days:d}' DAY)"
