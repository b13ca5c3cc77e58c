"""What leaves as a signed webhook: written with the event itself, posted after the commit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from upsell import __version__, conf
from upsell.engine.money import round_money
from upsell.engine.webhooks import headers_of
from upsell.models import Offer, OfferEvent, OutboxMessage

KIND = "WEBHOOK"
_TYPES = {"accepted": "offer.accepted", "reversed": "offer.reversed", "refunded": "offer.refunded"}
"""Kind of an event of the log to the type that receivers know."""
PAUSES = tuple(
    timedelta(seconds=seconds) for seconds in (30, 120, 600, 1800, 3600, 7200, 14400, 28800)
)
"""After each try that was not taken; the last one repeats."""
GIVEN_UP_AFTER = timedelta(days=1)
_FIGURES = (
    *("campaign__slug", "acceptance__quote__line_net", "acceptance__quote__line_gross"),
    *("acceptance__quote__credit_net", "acceptance__quote__credit_gross"),
    "acceptance__quote__due_gross",
)


def write(events: Iterable[OfferEvent]) -> None:
    """Write a row per receiver and event, in the transaction of the events, once.

    Without receivers it costs nothing; else one statement to read and one to write.
    """
    endpoints = conf.webhook_endpoints()
    told = [row for row in events if row.kind in _TYPES] if endpoints else []
    rows: list[OutboxMessage] = []
    for event in told:
        body = _body(event)
        for endpoint in endpoints:
            if body["type"] in endpoint.events:
                rows.append(_row(event, endpoint.name, body))
    if rows:
        OutboxMessage.objects.bulk_create(rows, ignore_conflicts=True)


def _row(event: OfferEvent, endpoint: str, body: dict[str, Any]) -> OutboxMessage:
    return OutboxMessage(
        key=f"w:{endpoint}:{body['data']['event_id']}",
        offer_id=event.offer_id,
        kind=KIND,
        variables=body,
        not_before=event.at,
        created_at=event.at,
    )


def event_id(event: OfferEvent) -> str:
    """Return the id of an event: an offer is accepted once, and reversed once."""
    refund = event.figures.get("refund", "")
    return "-".join(filter(None, (str(event.offer.uuid), event.kind, refund)))


def _body(event: OfferEvent) -> dict[str, Any]:
    """Return what a receiver is told: references, states and amounts, and nobody's name."""
    offer = event.offer
    figures = Offer.objects.values(*_FIGURES).get(pk=offer.pk)
    return {
        "type": _TYPES[event.kind],
        "timestamp": event.at.isoformat(),
        "data": {
            "event_id": event_id(event),
            "offer": str(offer.uuid),
            "order_ref": offer.order_ref,
            "channel": offer.channel,
            "campaign": figures["campaign__slug"],
            "arm": offer.arm,
            "kind": offer.kind.lower(),
            "product_ref": offer.product_ref,
            "quantity": offer.quantity,
            "currency": offer.currency,
            "reason": event.reason,
            "trial": offer.trial,
            **_amounts(event, figures),
        },
    }


def _amounts(event: OfferEvent, figures: Mapping[str, Any]) -> dict[str, str]:
    currency = event.offer.currency

    def money(amount: Decimal) -> str:
        return str(round_money(amount, currency))

    if event.kind == "refunded":
        return {"amount": money(Decimal(event.figures["amount"]))}
    row = {name.rpartition("__")[2]: value for name, value in figures.items()}
    if row["line_net"] is None:
        return {}
    told = {
        "net": money(row["line_net"] - row["credit_net"]),
        "gross": money(row["line_gross"] - row["credit_gross"]),
    }
    return told | ({"amount": money(row["due_gross"])} if event.kind == "accepted" else {})


def post(message: OutboxMessage, *, now: datetime) -> str:
    """Post one row; return the state it comes to.

    Raises:
        NotTaken: The receiver did not say that it has it.
        MissingExtra: The extra ``webhooks`` is not installed.
    """
    name = receiver_of(message.key)
    endpoint = next((row for row in conf.webhook_endpoints() if row.name == name), None)
    if endpoint is None:  # it left the settings
        return "CANCELLED"
    body = json.dumps(message.variables, sort_keys=True, separators=(",", ":")).encode()
    headers = headers_of(
        event_id=message.variables["data"]["event_id"],
        timestamp=int(now.timestamp()),
        body=body,
        secrets=endpoint.secrets,
    )
    headers["User-Agent"] = f"django-upsell/{__version__}"
    conf.webhooks().post(
        endpoint.url, body=body, headers=headers, private_hosts=conf.private_hosts()
    )
    return "SENT"


def receiver_of(key: str) -> str:
    """Return which receiver a row is for; empty where it is no webhook."""
    return key.split(":")[1] if key.startswith("w:") else ""


def put_off(message: OutboxMessage, *, reason: str, now: datetime) -> None:
    """Try again later, and after a day no more; what else waits for this receiver waits along."""
    over = now >= message.created_at + GIVEN_UP_AFTER
    later = now + PAUSES[min(message.attempts, len(PAUSES) - 1)]
    OutboxMessage.objects.filter(pk=message.pk).update(
        state="FAILED" if over else "PENDING",
        attempts=message.attempts + 1,
        reason=reason[:190],
        lease_until=None,
        not_before=later,
    )
    waiting = OutboxMessage.objects.filter(
        kind=KIND,
        state="PENDING",
        not_before__lte=now,
        key__startswith=f"w:{receiver_of(message.key)}:",
    )
    if over:
        old = waiting.filter(created_at__lte=now - GIVEN_UP_AFTER)
        old.update(state="FAILED", reason=reason[:190])
    waiting.update(not_before=later)
