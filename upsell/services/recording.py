"""Append to the log, and move an offer from one state to the next."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.dispatch import Signal

from upsell import signals
from upsell.engine import states
from upsell.exceptions import IllegalTransition
from upsell.models import Attempt, Offer, OfferEvent, OutboxMessage, Refund
from upsell.services import offer_events, webhooks

states_log = logging.getLogger("upsell.state")

_SIGNALS: dict[str, Signal] = {
    "SHOWN": signals.offer_shown,
    "ACCEPTED": signals.offer_accepted,
    "DECLINED": signals.offer_declined,
    "EXPIRED": signals.offer_expired,
    "REVOKED": signals.offer_revoked,
    "REVERSED": signals.offer_reversed,
    "FAILED": signals.offer_failed,
    "NEEDS_ATTENTION": signals.offer_needs_attention,
}
_CLOSED = frozenset({"ACCEPTED", "DECLINED", "EXPIRED", "REVOKED", "FAILED", "REVERSED"})


def event(
    offer: Offer,
    kind: str,
    *,
    at: datetime,
    before: str = "",
    after: str = "",
    actor: str = "",
    reason: str = "",
    **figures: Any,
) -> OfferEvent:
    """Return a row of the log, not yet written."""
    return OfferEvent(
        offer=offer,
        kind=kind,
        at=at,
        before=before,
        after=after,
        actor=actor,
        reason=reason,
        figures=figures,
    )


def append(events: Iterable[OfferEvent]) -> None:
    """Write rows of the log: one statement, and a line of text for each change of state.

    What receivers of webhooks are to be told is written along, and what journeys may wait for.
    """
    rows = list(events)
    OfferEvent.objects.bulk_create(rows)
    webhooks.write(rows)
    offer_events.write(rows)
    for row in rows:
        if row.after:
            _log("offer", row.offer_id, row.before, row.after, offer_id=row.offer_id)


def begun(row: Attempt | Refund) -> None:
    """Log the first state of a row that was just written."""
    _log_row(row, "", row.state)


def stand(row: Attempt | Refund, following: str) -> None:
    """Set where an attempt or a refund stands, for the caller to save, and log it."""
    before, row.state = row.state, following
    _log_row(row, before, following)


def _log_row(row: Attempt | Refund, before: str, after: str) -> None:
    attempt = row.attempt if isinstance(row, Refund) else row
    what = row._meta.model_name or ""
    _log(what, row.pk, before, after, offer_id=attempt.offer_id)


def _log(what: str, pk: int, before: str, after: str, *, offer_id: int) -> None:
    """One line per change of state, once it is committed: ids and states, nothing of a person."""
    if before == after or not states_log.isEnabledFor(logging.INFO):
        return
    told = {"of": what, "id": pk, "offer": offer_id, "before": before, "after": after}
    extra = {f"upsell_{name}": value for name, value in told.items()}
    line = "%(of)s=%(id)s offer=%(offer)s before=%(before)s after=%(after)s"
    transaction.on_commit(partial(states_log.info, line, told, extra=extra), robust=True)


def move(
    offer: Offer,
    following: str,
    *,
    at: datetime,
    actor: str = "",
    reason: str = "",
    fields: Iterable[str] = (),
    **figures: Any,
) -> None:
    """Take an offer to its next state, by condition, with its row in the log and its signal.

    The caller holds the row's lock where the database has locks; the condition on the
    state makes it safe where it has none. ``fields`` are saved along. Whoever leaves the
    open states lets the host's fulfilment go.

    Raises:
        IllegalTransition: The state may not follow, or somebody else moved it meanwhile.
    """
    before = offer.state
    if not states.may(before, following):
        raise IllegalTransition(f"offer {offer.pk} may not go from {before} to {following}")
    values: dict[str, Any] = {name: getattr(offer, name) for name in fields}
    values["state"] = following
    extra: list[OfferEvent] = []
    if following in _CLOSED:
        values["closed_at"] = at
    if before == "CREATED" and following in {"ACCEPTING", "DECLINED"}:
        values["first_shown_at"] = offer.first_shown_at or at
        extra.append(event(offer, "shown", at=at, before=before, after="SHOWN"))
    if following in {"ACCEPTED", "DECLINED"}:
        values["responded_at"] = at
    if not Offer.objects.filter(pk=offer.pk, state=before).update(**values):
        raise IllegalTransition(f"offer {offer.pk} is no longer {before}")
    for name, value in values.items():
        setattr(offer, name, value)
    extra.append(
        event(
            offer,
            following.lower(),
            at=at,
            before="SHOWN" if extra else before,
            after=following,
            actor=actor,
            reason=reason,
            **figures,
        )
    )
    append(extra)
    leaves = before in states.OPEN and following not in states.OPEN
    if leaves and offer.hold_requested_at is not None:
        enqueue(offer, ["HOLD_RELEASE"], now=at)
    announce(offer, following, at=at, code=reason)


def enqueue(
    offer: Offer, kinds: list[str], *, now: datetime, variables: Mapping[str, Any] | None = None
) -> None:
    """Write what must be told, once per offer and kind, in the transaction that made it true.

    ``variables`` are what only this moment knows; a name or an address among them is erased
    with the buyer.
    """
    OutboxMessage.objects.bulk_create(
        [
            OutboxMessage(
                key=f"o:{offer.pk}:{kind}",
                offer=offer,
                kind=kind,
                variables=dict(variables or {}),
                not_before=now,
                created_at=now,
            )
            for kind in kinds
        ],
        ignore_conflicts=True,
    )


def announce(offer: Offer, state: str, *, at: datetime, code: str = "") -> None:
    """Send the signal of a state once the transaction is committed."""
    signal = _SIGNALS.get(state)
    if signal is None:
        return
    arguments: dict[str, Any] = {"sender": Offer, "offer_id": offer.pk, "at": at}
    if state in {"FAILED", "NEEDS_ATTENTION"}:
        arguments["code"] = code
    transaction.on_commit(partial(signal.send_robust, **arguments))
