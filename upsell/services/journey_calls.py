"""A journey calls another system: a signed webhook to a receiver that the settings name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from upsell import __version__, conf
from upsell.engine.journeys.definition import Step
from upsell.engine.webhooks import endpoint_of, fields_of, headers_of
from upsell.models import JourneyRun, OutboxMessage

LATENESS = timedelta(hours=24)


def message(run: JourneyRun, step: Step, *, key: str, now: datetime) -> OutboxMessage:
    """Return the row of a call, not yet written. What it says is frozen: references, no person."""
    told = {
        "type": "journey.step",
        "timestamp": now.isoformat(),
        "data": {
            "event_id": key,
            "journey": run.journey.slug,
            "step": step.id,
            "run": str(run.pk),
            "customer_key": run.customer_key,
            "order_ref": run.order_ref,
            "channel": run.channel,
            "starter": run.starter.get("parameters", {}),
        },
    }
    return OutboxMessage(
        key=key,
        kind=OutboxMessage.Kind.CALL,
        run=run,
        step=step.id,
        customer_key=run.customer_key,
        medium="webhook",
        category="transactional",
        provider=str(step.told["target"])[:40],
        state="DRY_RUN" if run.mode == "DRY_RUN" or run.is_control else "PENDING",
        variables=told,
        not_before=now,
        expires_at=now + LATENESS,
        created_at=now,
    )


def post(row: OutboxMessage, *, now: datetime) -> dict[str, str | int | bool]:
    """Post a call; return the fields of what was answered, as ``fields_of`` keeps them.

    Raises:
        NotTaken: The receiver did not say that it has it.
        MissingExtra: The extra ``webhooks`` is not installed.
        LookupError: The receiver is not in the settings any more.
    """
    targets = dict(conf.get("UPSELL_JOURNEY_CALLS"))
    if row.provider not in targets:
        raise LookupError(f"UPSELL_JOURNEY_CALLS has no “{row.provider}”")
    endpoint = endpoint_of(targets[row.provider], plain_hosts=conf.plain_hosts())
    body = json.dumps(row.variables, sort_keys=True, separators=(",", ":")).encode()
    headers = headers_of(
        event_id=row.key,
        timestamp=int(now.timestamp()),
        body=body,
        secrets=endpoint.secrets,
    )
    headers["User-Agent"] = f"django-upsell/{__version__}"
    answer = conf.webhooks().ask(
        endpoint.url, body=body, headers=headers, private_hosts=conf.private_hosts()
    )
    return fields_of(answer)


def keep(run: JourneyRun, *, step: str, answer: Mapping[str, str | int | bool]) -> None:
    """Keep an answer with the run, whose row is locked, for the steps that come after."""
    if answer:
        told = {**(run.found.get("webhook") or {}), step: dict(answer)}
        run.found = {**run.found, "webhook": told}
        run.save(update_fields=["found"])
