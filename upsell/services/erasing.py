"""A person asks to be forgotten, or to be told what is held of them.

One table says what of each model belongs to a person. Erasing anonymises and keeps the
money: amounts, times and states stay, and nobody can tell any more whose they were.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import models, transaction

from upsell import clock
from upsell.engine import states
from upsell.exceptions import OfferNotAcceptable
from upsell.models import (
    Acceptance,
    Attempt,
    Decision,
    Offer,
    OfferEvent,
    OfferQuote,
    OutboxMessage,
    Refund,
)
from upsell.services import recording

logger = logging.getLogger("upsell")

FACTS_KEPT = ("moment", "channel", "currency", "goods_net", "total_gross", "test")
"""Facts of a decision that say nothing of a person."""

Change = Callable[[Any, datetime], Mapping[str, Any]]


def _decision(row: Decision, now: datetime) -> Mapping[str, Any]:
    facts = {name: row.facts[name] for name in FACTS_KEPT if name in row.facts}
    return {"customer_key": "", "facts": {**facts, "lines": []}}


def _offer(row: Offer, now: datetime) -> Mapping[str, Any]:
    terms = {**row.terms, "order_number": "", "copy": {}}
    return {"customer_key": "", "terms": terms, "token_hash": None, "undo_hash": None}


def _acceptance(row: Acceptance, now: datetime) -> Mapping[str, Any]:
    # How many lines left stays; what they held, a name to be engraved perhaps, goes.
    return {
        "removed": [{"erased": True}] * len(row.removed),
        "undo_until": min(row.undo_until, now),
    }


def _message(row: OutboxMessage, now: datetime) -> Mapping[str, Any]:
    waits = row.state in {"PENDING", "SENDING"} and row.kind in {"CONFIRMATION", "REVERSAL"}
    return {"variables": {}, "reason": ""} | ({"state": "CANCELLED"} if waits else {})


TABLE: Mapping[type[models.Model], tuple[str, Change | None]] = {
    Decision: ("pk__in", _decision),
    Offer: ("pk__in", _offer),
    OfferQuote: ("offer__in", lambda row, now: {"collection_label": ""}),
    Acceptance: ("offer__in", _acceptance),
    Attempt: ("offer__in", lambda row, now: {"action_url": "", "address_key": ""}),
    Refund: ("attempt__offer__in", None),
    OutboxMessage: ("offer__in", _message),
    OfferEvent: ("offer__in", None),
}
"""Model to how its rows are found from the offers (the decisions, for the first), and what of
them changes when they are erased. None = nothing of a person is in them: amounts, times and
codes. A test walks all models and fails where one is missing."""


def rows_of(customer_keys: Sequence[str]) -> dict[type[models.Model], models.QuerySet[Any]]:
    """Return every row of a buyer, by model, from the keys of ``snapshots.customer_keys``."""
    keys = [key for key in customer_keys if key]
    offers = list(Offer.objects.filter(customer_key__in=keys).values_list("pk", flat=True))
    decisions = list(Decision.objects.filter(customer_key__in=keys).values_list("pk", flat=True))
    return {
        model: model._default_manager.filter(
            **{lookup: decisions if model is Decision else offers}
        ).order_by("pk")
        for model, (lookup, _change) in TABLE.items()
    }


def export(*, customer_keys: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return everything held of a buyer, model by model, as it is stored.

    Hashes of links are left out: they open nothing, and say nothing of anybody.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for model, rows in rows_of(customer_keys).items():
        names = [
            field.attname for field in model._meta.concrete_fields if "hash" not in field.attname
        ]
        found[model._meta.model_name or ""] = list(rows.values(*names))
    return found


def erase(*, customer_keys: Sequence[str], now: datetime | None = None) -> Counter[str]:
    """Forget a buyer: blank what is personal, keep what is money. Twice is the same as once.

    Returns:
        How many rows of each model were changed.

    Raises:
        OfferNotAcceptable: ``payment_unknown``: a payment or refund is still under way.
    """
    told = now or clock.database_now()
    changed: Counter[str] = Counter()
    with transaction.atomic():
        rows = rows_of(customer_keys)
        offers = list(rows[Offer].select_for_update())
        for offer in offers:
            if offer.state in states.UNANSWERED:  # nobody is left to answer it
                recording.move(offer, "REVOKED", at=told, reason="erased", actor="staff")
        waits = rows[Attempt].filter(live_offer__isnull=False).exists()
        if waits or rows[Refund].filter(state="PENDING").exists():
            raise OfferNotAcceptable("payment_unknown", "a payment of this buyer is under way")
        for model, (_lookup, change) in TABLE.items():
            if change is None:
                continue
            for row in rows[model]:
                values = change(row, told)
                model._default_manager.filter(pk=row.pk).update(**values)
                changed[model._meta.model_name or ""] += 1
        recording.append(recording.event(row, "erased", at=told, actor="staff") for row in offers)
    logger.info("erased a buyer: %s", dict(changed))
    return changed
