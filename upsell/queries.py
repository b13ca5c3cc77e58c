"""Reads that more than one screen needs. The one place of raw SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection
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

    One statement.
    """
    decision = (
        Decision.objects.annotate(
            current_quote=FilteredRelation(
                "offer__quotes", condition=Q(offer__quotes__number=F("offer__quote_number"))
            ),
            set_version=_set_version(),
        )
        .select_related("offer__acceptance", "current_quote")  # type: ignore[misc]
        .filter(order_ref=order_ref)
        .first()
    )
    if decision is None:
        return None
    offer = getattr(decision, "offer", None)
    return Page(
        decision=decision,
        offer=offer,
        quote=getattr(decision, "current_quote", None),
        acceptance=getattr(offer, "acceptance", None) if offer else None,
        version=getattr(decision, "set_version", 0),
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

    The one statement of a decision. Trials by staff do not count as seen.

    Cost: one row per campaign the buyer ever saw, by index.
    """
    keys = list(customer_keys) or [""]
    marks = ", ".join(["%s"] * len(keys))
    statement = (
        # The marks are placeholders, one per key; no value is in the statement.
        "SELECT s.version, o.campaign_id, MAX(o.first_shown_at) FROM upsell_campaignset s "
        f"LEFT JOIN upsell_offer o ON o.customer_key IN ({marks}) AND o.customer_key <> '' "
        "AND o.first_shown_at IS NOT NULL WHERE s.id = %s GROUP BY s.version, o.campaign_id"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*keys, SET_ID])
        rows = cursor.fetchall()
    if not rows:
        return 1, {}
    seen = {row[1]: _aware(row[2]) for row in rows if row[1] is not None}
    return int(rows[0][0]), seen


def _aware(value: datetime | str) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value if value.tzinfo else value.replace(tzinfo=UTC)
