"""Runs of journeys and their messages, as far as a test needs them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from upsell.models import Journey, JourneyRun, JourneyVersion, Listener, OutboxMessage

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
ANN = "u:ann"


def journey(slug: str = "flight", category: str = "marketing") -> Journey:
    made, new = Journey.objects.get_or_create(
        slug=slug, defaults={"name": slug, "category": category, "state": "LIVE"}
    )
    if new:
        made.version = JourneyVersion.objects.create(
            journey=made, number=1, definition={}, sha256="", published_at=T0
        )
        made.save()
    return made


def run(customer_key: str = ANN, slug: str = "flight", **options: Any) -> JourneyRun:
    plan = journey(slug, options.pop("category", "marketing"))
    made = JourneyRun.objects.create(
        journey=plan,
        version=plan.version,
        customer_key=customer_key,
        dedupe_key=str(JourneyRun.objects.count()),
        step="send",
        since=T0,
        entered_at=T0,
        **options,
    )
    for purpose in Listener.Purpose:
        Listener.objects.create(
            run=made, customer_key=customer_key, event="order.placed", purpose=purpose
        )
    return made


def message(of: JourneyRun | None = None, **options: Any) -> OutboxMessage:
    options = {
        "kind": "JOURNEY",
        "customer_key": of.customer_key if of is not None else ANN,
        "medium": "email",
        "category": "marketing",
        "not_before": T0,
        "created_at": T0,
        "reserved_at": T0,
    } | options
    return OutboxMessage.objects.create(key=f"j:{OutboxMessage.objects.count()}", run=of, **options)
