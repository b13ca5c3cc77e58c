"""What providers report of messages: each once, in any order, with what follows for the buyer."""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from upsell import clock, conf, snapshots
from upsell.engine.caps import ANY, MARKETING
from upsell.engine.reports import COUNTED, Effect, effect_of, standing
from upsell.models import MessageEvent, OutboxMessage, Reachability
from upsell.ports import Customer, Who
from upsell.services import capping, consenting, leaving, linking, suppressing
from upsell.services.locking import retried

logger = logging.getLogger("upsell")

_LONGEST = 190


def hear(
    *,
    provider: str,
    kind: str,
    at: datetime,
    event_id: str = "",
    message_id: int | None = None,
    provider_id: str = "",
    reason: str = "",
    recipient: str = "",
    medium: str = "email",
    now: datetime | None = None,
) -> str:
    """Take one report of a provider on a message.

    Args:
        provider: Whose report it is, as ``OutboxMessage.provider`` says.
        kind: By anymail's names: delivered, bounced, complained, ...
        at: When it happened, as the provider says.
        event_id: The provider's own id of the report; without one, what it says is its id.
        message_id: Our id of the message, where the provider was given it.
        provider_id: The provider's id of the message.
        reason: By anymail's names: bounced, invalid, spam, ...
        recipient: The address, where the report has it. Only its hash is stored.
        medium: By what, where the message is none of ours.

    Returns:
        ``done``; ``known`` where it was told before; ``foreign`` where the message is none of ours:
        then nothing is kept but what it says of the address.

    Cost: one transaction of about ten statements; a hard bounce or a complaint asks the shop for
    the address first where the report has none.
    """
    told = now or clock.database_now()
    effect = effect_of(kind, reason)
    message = _message(message_id, provider, provider_id)
    if message is None:
        retried(lambda: _of_a_stranger(effect, medium, recipient, told))
        return "foreign"
    row = MessageEvent(
        provider=provider[:40],
        event_id=_id(event_id, (provider, kind, provider_id, str(message.pk), str(at), reason)),
        message=message,
        kind=kind[:20],
        reason=reason[:40],
        at=min(at, told),
        received_at=told,
    )
    address = recipient or _address(message, effect)
    return retried(lambda: _taken(row, message, effect, address, told))


def _taken(
    row: MessageEvent, message: OutboxMessage, effect: Effect, address: str, now: datetime
) -> str:
    keys = linking.family([message.customer_key])
    with transaction.atomic():
        if keys:
            capping.lock(keys[0], message.medium)
        known = MessageEvent.objects.filter(provider=row.provider, event_id=row.event_id)
        if known.exists():
            return "known"
        row.pk = None
        MessageEvent.objects.bulk_create([row], ignore_conflicts=True)
        _settle(message, row, effect)
        if keys:  # an erased buyer has none, and nothing is to be noted of them
            _of_the_buyer(keys, message, effect, row, address, now)
        _of_the_address(effect, message.medium, address, now)
    return "done"


def _settle(message: OutboxMessage, row: MessageEvent, effect: Effect) -> None:
    """A message that perhaps was sent was; one that the provider never sent failed."""
    rows = OutboxMessage.objects.filter(pk=message.pk)
    handed_over = rows.filter(state__in=["SENT", "UNKNOWN"])
    if effect is Effect.REFUSED or (row.kind == "rejected" and effect is not Effect.NONE):
        handed_over.update(state="FAILED", reason=f"{row.kind}:{row.reason}"[:_LONGEST])
    elif effect is not Effect.NONE or row.kind == "sent":
        rows.filter(state="UNKNOWN").update(state="SENT", sent_at=row.at)
    if effect is Effect.CLICKED:
        later = Q(clicked_at=None) | Q(clicked_at__gt=row.at)
        rows.filter(later).update(clicked_at=row.at)


def _of_the_buyer(
    keys: list[str],
    message: OutboxMessage,
    effect: Effect,
    row: MessageEvent,
    address: str,
    now: datetime,
) -> None:
    if effect in {Effect.COMPLAINED, Effect.UNSUBSCRIBED}:
        medium = ANY if effect is Effect.COMPLAINED else message.medium
        consenting.withdraw(message.customer_key, medium, MARKETING, how=effect.value, now=now)
        leaving.leave(keys, now=now)
    elif effect in {Effect.HARD, Effect.SOFT, Effect.REACHED, Effect.CLICKED}:
        if effect is Effect.HARD:
            _note_address(keys[0], message.medium, address)
        _count_anew(keys, message.medium, row, now)


def _note_address(key: str, medium: str, address: str) -> None:
    """Keep which address does not exist. One that is not known stands for all, whatever comes."""
    hashes = suppressing.address_hashes(medium, address)
    mine = Reachability.objects.filter(customer_key=key, medium=medium)
    mine.exclude(hard=True, hard_hash="").update(hard_hash=hashes[0] if hashes else "")


def _count_anew(keys: list[str], medium: str, row: MessageEvent, now: datetime) -> None:
    """Read the buyer's reports anew: what they come to depends on no order they arrived in."""
    since = now - COUNTED
    rows = MessageEvent.objects.filter(
        message__customer_key__in=keys, message__medium=medium, at__gt=since
    ).values_list("at", "kind", "reason")
    found = standing((at, effect_of(kind, reason)) for at, kind, reason in rows)
    mine = Reachability.objects.filter(customer_key=keys[0], medium=medium)
    hard = found.hard or mine.filter(hard=True).exists()
    soft = "soft_bounces" if found.until is not None else ""
    mine.update(
        hard=hard,
        soft_bounces=found.soft,
        first_soft_at=found.first_soft_at,
        unreachable_until=found.until,
        unreachable_why="bounced" if hard else soft,
        changed_at=now,
    )


# ------------------------------------------------------------------ addresses


_SCOPES = {
    Effect.HARD: suppressing.ALL,
    Effect.SPAM: MARKETING,
    Effect.COMPLAINED: MARKETING,
}


def _of_the_address(effect: Effect, medium: str, address: str, now: datetime) -> None:
    scope = _SCOPES.get(effect)
    if scope is not None and address:
        suppressing.suppress(
            medium=medium, address=address, scope=scope, reason=effect.value, now=now
        )


def _of_a_stranger(effect: Effect, medium: str, recipient: str, now: datetime) -> None:
    """A mail of the shop's own, by the same provider: what its reader says holds for ours, too."""
    if not recipient or effect not in {*_SCOPES, Effect.UNSUBSCRIBED}:
        return
    with transaction.atomic():
        if effect is Effect.UNSUBSCRIBED:
            suppressing.suppress(medium=medium, address=recipient, reason=effect.value, now=now)
        _of_the_address(effect, medium, recipient, now)
        if medium == "email" and effect in {Effect.UNSUBSCRIBED, Effect.COMPLAINED}:
            keys = snapshots.customer_keys(Customer(email=recipient))
            leaving.leave(linking.family(keys), now=now)


def _address(message: OutboxMessage, effect: Effect) -> str:
    """Ask the shop for the address that a report says something of, where the report does not."""
    if effect not in _SCOPES or message.run is None:
        return ""
    run = message.run
    who = Who(
        customer_key=run.customer_key,
        user_ref=run.user_ref,
        order_ref=run.order_ref,
        cart_ref=run.cart_ref,
    )
    try:
        contact = conf.shop().contact(who, message.medium)
    except Exception:
        # Foreign code; the report is taken all the same, for the buyer's key.
        logger.exception("the shop could not say whose message %s was", message.pk)
        return ""
    return "" if contact is None else contact.address


def _message(message_id: int | None, provider: str, provider_id: str) -> OutboxMessage | None:
    rows = OutboxMessage.objects.select_related("run")
    if message_id is not None and (found := rows.filter(pk=message_id).first()):
        return found
    if not provider_id:
        return None
    named = rows.filter(provider_id=provider_id, provider__in=["", provider])
    return named.order_by("-pk").first()


def _id(event_id: str, told: tuple[str, ...]) -> str:
    if event_id and len(event_id) <= _LONGEST:
        return event_id
    return hashlib.sha256("\x00".join((event_id, *told)).encode()).hexdigest()
