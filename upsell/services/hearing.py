"""Providers' reports: each taken once, in any order and number, and matched when it can be."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q

from upsell import clock
from upsell.models import Attempt, GatewayEvent
from upsell.ports import ChargeResult, ChargeState
from upsell.services import fulfilling

logger = logging.getLogger("upsell")

PATIENCE = timedelta(days=3)
"""So long a report may wait for what it is about; providers repeat theirs as long."""


def hear(*, gateway_slug: str, results: Sequence[tuple[str, ChargeResult]]) -> Counter[str]:
    """Take what a provider reports, and carry it out.

    Twice is the same as once: a report has the provider's own id, and everything it leads to is
    idempotent by itself. One about an attempt that we do not know is parked, and matched by the
    sweep once it is known.

    Returns:
        How many were ``done``, ``parked`` and ``known`` already.
    """
    counts: Counter[str] = Counter()
    for number, (key, result) in enumerate(results):
        row = _noted(gateway_slug, key, result, number)
        if row is not None and row.state == "DONE":
            counts["known"] += 1
        else:
            counts[_carried_out(row, gateway_slug, key, result)] += 1
    return counts


def match_parked(*, now: datetime | None = None, limit: int = 200) -> Counter[str]:
    """Look again at reports whose attempt was not known; give up on old ones. Safe in parallel."""
    told = now or clock.database_now()
    counts: Counter[str] = Counter()
    parked = GatewayEvent.objects.filter(state="PARKED").order_by("received_at", "pk")
    for row in parked[:limit]:
        outcome = _carried_out(row, row.gateway, row.key, _result_of(row))
        if outcome == "parked" and row.received_at < told - PATIENCE:
            GatewayEvent.objects.filter(pk=row.pk, state="PARKED").update(
                state="GIVEN_UP", settled_at=told
            )
            outcome = "given_up"
        counts[outcome] += 1
    return counts


def _noted(gateway_slug: str, key: str, result: ChargeResult, number: int) -> GatewayEvent | None:
    """Write the report down before anything comes of it; none where it has no id of its own."""
    if not result.event_id:
        return None
    event_id = f"{result.event_id}#{number}" if number else result.event_id
    GatewayEvent.objects.bulk_create(
        [
            GatewayEvent(
                gateway=gateway_slug,
                event_id=event_id,
                key=key,
                reference=result.reference,
                result=_plain(result),
                received_at=clock.now(),
            )
        ],
        ignore_conflicts=True,
    )
    return GatewayEvent.objects.get(gateway=gateway_slug, event_id=event_id)


def _carried_out(
    row: GatewayEvent | None, gateway_slug: str, key: str, result: ChargeResult
) -> str:
    attempt = _attempt_of(gateway_slug, key, result)
    if attempt is None:
        logger.info("%s reported on something that is not known here", gateway_slug)
        return "parked"
    fulfilling.settle(attempt_id=attempt.pk, result=result)
    if row is not None:
        GatewayEvent.objects.filter(pk=row.pk).update(state="DONE", settled_at=clock.now())
    return "done"


def _attempt_of(gateway_slug: str, key: str, result: ChargeResult) -> Attempt | None:
    """By key; by the provider's reference where a report, such as a dispute, has no key."""
    named = Q(key=key) if key else Q(reference=result.reference or None)
    if not key and not result.reference:
        return None
    return Attempt.objects.filter(named, gateway=gateway_slug).first()


def _plain(result: ChargeResult) -> dict[str, Any]:
    return {
        "state": result.state.value,
        "decline_code": result.decline_code[:64],
        "amount": None if result.amount is None else str(result.amount),
        "currency": result.currency,
        "refunded": None if result.refunded is None else str(result.refunded),
        "dispute": result.dispute,
    }


def _result_of(row: GatewayEvent) -> ChargeResult:
    def amount(name: str) -> Decimal | None:
        return None if row.result[name] is None else Decimal(row.result[name])

    return ChargeResult(
        state=ChargeState(row.result["state"]),
        reference=row.reference,
        decline_code=row.result["decline_code"],
        amount=amount("amount"),
        currency=row.result["currency"],
        refunded=amount("refunded"),
        dispute=row.result["dispute"],
        event_id=row.event_id,
    )
