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
from django.db.models import Q

from upsell import clock
from upsell.engine import states
from upsell.engine.traits import TRAITS
from upsell.exceptions import OfferNotAcceptable
from upsell.models import (
    Acceptance,
    Attempt,
    Consent,
    Decision,
    EntryRefused,
    EventInbox,
    Exposure,
    GoalHit,
    JourneyRun,
    KeyLink,
    Listener,
    ListMember,
    MessageEvent,
    Offer,
    OfferEvent,
    OfferLink,
    OfferQuote,
    OrderFact,
    OrderLineFact,
    OutboxMessage,
    Reachability,
    Refund,
    StepLog,
)
from upsell.services import linking, recording, suppressing

logger = logging.getLogger("upsell")

FACTS_KEPT = ("moment", "channel", "currency", "goods_net", "total_gross", "test")
"""Facts of a decision that say nothing of a person."""

_TO_THE_BUYER = frozenset({"CONFIRMATION", "REVERSAL", "WITHDRAWAL", "LINK", "JOURNEY", "CALL"})

Change = Callable[[Any, datetime], Mapping[str, Any]]


def _decision(row: Decision, now: datetime) -> Mapping[str, Any]:
    facts = {name: row.facts[name] for name in FACTS_KEPT if name in row.facts}
    return {"customer_key": "", "facts": {**facts, "lines": []}}


def _offer(row: Offer, now: datetime) -> Mapping[str, Any]:
    terms = {**row.terms, "order_number": "", "copy": {}}
    traits = dict.fromkeys(TRAITS, "")
    return {**traits, "customer_key": "", "terms": terms, "token_hash": None, "undo_hash": None}


def _acceptance(row: Acceptance, now: datetime) -> Mapping[str, Any]:
    # How many lines left stays; what they held, a name to be engraved perhaps, goes.
    return {
        "removed": [{"erased": True}] * len(row.removed),
        "undo_until": min(row.undo_until, now),
    }


def _message(row: OutboxMessage, now: datetime) -> Mapping[str, Any]:
    if row.kind == "WEBHOOK":
        return {}  # references and amounts, which a shop's books need
    waits = row.state in {"PENDING", "SENDING"} and row.kind in _TO_THE_BUYER
    return {"variables": {}, "reason": "", "customer_key": ""} | (
        {"state": "CANCELLED"} if waits else {}
    )


def _event(row: OfferEvent, now: datetime) -> Mapping[str, Any]:
    if not row.figures.get("address"):
        return {}
    return {"figures": {**row.figures, "address": ""}}


def _told(row: EventInbox, now: datetime) -> Mapping[str, Any]:
    # The id stays, so that the same event told once more is not a new one.
    return {"customer_key": "", "parameters": {}, "processed_at": row.processed_at or now}


def _run(row: JourneyRun, now: datetime) -> Mapping[str, Any]:
    ends = {"state": "CANCELLED", "ended_at": now, "end_reason": "erased", "active_key": None}
    blank = {"customer_key": "", "user_ref": "", "cart_ref": "", "starter": {}, "found": {}}
    blank |= {"error": "", "lease_token": ""}
    return blank | (ends if row.is_active else {})


def _nobody(row: models.Model) -> str:
    """Return what stands in place of a key that must be unique."""
    return f"x:{row.pk}"


_BY_KEY = ("customer_key__in", "unit__in", "new__in")

TABLE: Mapping[type[models.Model], tuple[str | tuple[str, ...], Change | None]] = {
    Decision: ("pk__in", _decision),
    Offer: ("pk__in", _offer),
    OfferLink: ("offer__in", lambda row, now: {"token_hash": _nobody(row)}),
    OfferQuote: ("offer__in", lambda row, now: {"collection_label": ""}),
    Acceptance: ("offer__in", _acceptance),
    Attempt: ("offer__in", lambda row, now: {"action_url": "", "address_key": ""}),
    Refund: ("attempt__offer__in", None),
    OutboxMessage: (("offer__in", "customer_key__in"), _message),
    OfferEvent: ("offer__in", _event),
    OrderFact: ("customer_key__in", lambda row, now: {"customer_key": ""}),
    OrderLineFact: ("order_fact__customer_key__in", None),
    Exposure: ("unit__in", lambda row, now: {"unit": _nobody(row)}),
    EventInbox: ("customer_key__in", _told),
    StepLog: ("run__customer_key__in", None),
    GoalHit: ("run__customer_key__in", None),
    MessageEvent: ("message__customer_key__in", None),
    Listener: ("customer_key__in", lambda row, now: {"customer_key": ""}),
    EntryRefused: ("customer_key__in", lambda row, now: {"customer_key": ""}),
    Consent: ("customer_key__in", lambda row, now: {"customer_key": _nobody(row)}),
    Reachability: (
        "customer_key__in",
        lambda row, now: {"customer_key": _nobody(row), "hard_hash": ""},
    ),
    ListMember: (
        "customer_key__in",
        lambda row, now: {
            "customer_key": _nobody(row),
            "user_ref": "",
            "order_ref": "",
            "cart_ref": "",
        },
    ),
    JourneyRun: ("customer_key__in", _run),
    KeyLink: ("new__in", lambda row, now: {"old": _nobody(row), "new": _nobody(row)}),
}
"""Model to how its rows are found from the offers (the decisions, for the first; the keys, where
the lookup says so; two lookups are an "or"), and what of them changes when they are erased. None =
nothing of a person is in them: amounts, times and codes. A test walks all models and fails where
one is missing."""


def rows_of(customer_keys: Sequence[str]) -> dict[type[models.Model], models.QuerySet[Any]]:
    """Return every row of a buyer, by model, from the keys of ``snapshots.customer_keys``."""
    keys = linking.keys_with([key for key in customer_keys if key])
    offers = list(Offer.objects.filter(customer_key__in=keys).values_list("pk", flat=True))
    decisions = list(Decision.objects.filter(customer_key__in=keys).values_list("pk", flat=True))

    def by(model: type[models.Model], lookup: str) -> Sequence[str | int]:
        if lookup.endswith(_BY_KEY):
            return keys
        return decisions if model is Decision else offers

    found: dict[type[models.Model], models.QuerySet[Any]] = {}
    for model, (lookups, _change) in TABLE.items():
        wanted = Q()
        for lookup in (lookups,) if isinstance(lookups, str) else lookups:
            wanted |= Q(**{lookup: by(model, lookup)})
        found[model] = model._default_manager.filter(wanted).order_by("pk")
    return found


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
                if not values:
                    continue
                found: Any = model._default_manager.filter(pk=row.pk)
                (found.anonymise if model is OfferEvent else found.update)(**values)
                changed[model._meta.model_name or ""] += 1
        keys = linking.keys_with([key for key in customer_keys if key])
        suppressing.tombstones(keys, now=told)
        recording.append(recording.event(row, "erased", at=told, actor="staff") for row in offers)
    logger.info("erased a buyer: %s", dict(changed))
    return changed
