"""The outbox: what must be told, sent after the commit that made it true."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _

from upsell import clock, conf, signals, snapshots
from upsell.exceptions import NotFound, UpsellError
from upsell.models import Offer, OutboxMessage
from upsell.ports import Occasion
from upsell.presenting.invitations import link_values
from upsell.presenting.mails import (
    confirmation_values,
    language_of,
    one_line,
    withdrawal_values,
)
from upsell.services import desk, webhooks

logger = logging.getLogger("upsell")

LEASE = timedelta(minutes=2)
TRIES = 8
POSTING = timedelta(seconds=20)
"""How long a round may go on with webhooks: receivers that are slow hold up no mail of the next."""
_MAILS = {
    "CONFIRMATION": ("confirmation", confirmation_values),
    "REVERSAL": ("reversal", confirmation_values),
    "WITHDRAWAL": ("withdrawal", withdrawal_values),
    desk.LINK: ("link", link_values),
}
"""Messages to the buyer: their templates, and what these say."""


def send_due(*, now: datetime | None = None, limit: int = 200) -> int:
    """Send what is due; return how many were. Safe in parallel: each row is claimed first.

    At least once: the buyer has a right to the confirmation of a purchase, and a hold must
    be let go. What a killed process had in its hands is claimed again after its lease; a mail
    then has the same Message-ID, by which mail servers drop the second, and a webhook the same
    id. Mails come first: a receiver of webhooks that is slow holds up nobody but itself.
    """
    told = now or clock.database_now()
    ours = OutboxMessage.objects.exclude(kind__in=OutboxMessage.OF_JOURNEYS)
    ours.filter(state="SENDING", lease_until__lte=told).update(
        state="PENDING", lease_until=None, reason="interrupted"
    )
    due = (
        ours.filter(state="PENDING", not_before__lte=told)
        .filter(Q(lease_until=None) | Q(lease_until__lte=told))
        .order_by("not_before", "pk")
    )
    mails = due.exclude(kind=webhooks.KIND).values_list("pk", flat=True)
    sent = sum(_sent(pk, now=told) for pk in mails[:limit])
    silent: set[str] = set()
    over = time.monotonic() + POSTING.total_seconds()
    posts = due.filter(kind=webhooks.KIND).values_list("pk", "key")
    for pk, key in posts[:limit]:
        receiver = webhooks.receiver_of(key)
        if receiver in silent:
            continue
        if time.monotonic() > over:
            break  # the rest is due at the next round, after what else is due
        if _sent(pk, now=told):
            sent += 1
        else:
            silent.add(receiver)
    return sent


def _sent(message_id: int, *, now: datetime) -> bool:
    claimed = OutboxMessage.objects.filter(pk=message_id, state="PENDING").update(
        state="SENDING", lease_until=now + LEASE
    )
    if not claimed:
        return False
    message = OutboxMessage.objects.select_related(
        "offer__acceptance__quote", "offer__decision"
    ).get(pk=message_id)
    try:
        outcome = _deliver(message, now=now)
    except Exception as error:
        # A mail server or a host's hook: anything may come out of it, and is tried again.
        logger.warning("message %s failed: %s", message.pk, type(error).__name__)
        if message.kind == webhooks.KIND:
            webhooks.put_off(message, reason=_named(error), now=now)
        else:
            _failed(message, reason=type(error).__name__, now=now)
        return False
    OutboxMessage.objects.filter(pk=message.pk).update(
        state=outcome, sent_at=now if outcome == "SENT" else None, lease_until=None
    )
    signals.message_sent.send_robust(sender=OutboxMessage, message_id=message.pk, at=now)
    return outcome == "SENT"


def _named(error: Exception) -> str:
    """Say what went wrong; the words of foreign code may hold an address, ours do not."""
    return str(error) if isinstance(error, UpsellError) else type(error).__name__


def _failed(message: OutboxMessage, *, reason: str, now: datetime) -> None:
    tries = message.attempts + 1
    over = tries >= TRIES
    OutboxMessage.objects.filter(pk=message.pk).update(
        state="FAILED" if over else "PENDING",
        attempts=tries,
        reason=reason[:190],
        lease_until=None,
        not_before=now + timedelta(seconds=30 * 2**tries),
    )


def _deliver(message: OutboxMessage, *, now: datetime) -> str:
    if message.kind == webhooks.KIND:
        return webhooks.post(message, now=now)
    offer = message.offer
    if offer is None:
        return "SKIPPED"
    if message.kind == desk.LINK and not desk.is_answerable(offer, now=now):
        return "CANCELLED"
    order_ref = offer.order_ref or offer.occasion_ref
    shop = conf.shop()
    if message.kind == "HOLD":
        if not offer.is_open:
            return "CANCELLED"
        shop.hold_fulfilment(order_ref, offer.expires_at)
        _tell(
            partial(
                signals.fulfilment_hold_requested.send_robust,
                sender=Offer,
                offer_id=offer.pk,
                order_ref=order_ref,
                until=offer.expires_at,
            )
        )
        return "SENT"
    if message.kind == "HOLD_RELEASE":
        shop.release_fulfilment(order_ref)
        _tell(
            partial(
                signals.fulfilment_hold_released.send_robust,
                sender=Offer,
                offer_id=offer.pk,
                order_ref=order_ref,
            )
        )
        return "SENT"
    try:
        occasion = snapshots.gather(order_ref)
    except NotFound:
        return "SKIPPED"
    if message.kind == "DOCUMENTS":
        return _documents(offer, occasion)
    return _mail(message, offer, occasion)


def _tell(send: partial[Any]) -> None:
    transaction.on_commit(send)


def _documents(offer: Offer, occasion: Occasion) -> str:
    """An invoice exists and the order changed after it: the host is told, and staff by mail."""
    signals.documents_outdated.send_robust(sender=Offer, offer_id=offer.pk, order_ref=occasion.ref)
    address = snapshots.policy(offer.channel).staff_address
    if offer.terms.get("documents") != "ADD_AND_NOTIFY" or not address:
        logger.warning("offer %s: the order was invoiced before it changed", offer.pk)
        return "SENT"
    mail = EmailMultiAlternatives(
        subject=one_line(_("Order %s changed after its invoice") % occasion.number),
        body=render_to_string("upsell/mail/documents.txt", {"number": occasion.number}),
        from_email=snapshots.policy(offer.channel).sender or None,
        to=[address],
    )
    mail.send()
    return "SENT"


def _mail(message: OutboxMessage, offer: Offer, occasion: Occasion) -> str:
    address = occasion.customer.email.strip()
    if not desk.ONE_ADDRESS.fullmatch(address):
        return "SKIPPED"
    name, values_of = _MAILS[message.kind]
    with translation.override(language_of(occasion.customer.locale)):
        values = values_of(offer, occasion)
        subject = render_to_string(f"upsell/mail/{name}_subject.txt", values)
        mail = EmailMultiAlternatives(
            subject=one_line(subject),
            body=render_to_string(f"upsell/mail/{name}.txt", values),
            from_email=snapshots.policy(offer.channel).sender or None,
            to=[address],
            headers={"Message-ID": f"<{message.key.replace(':', '.')}.{offer.uuid}@upsell>"},
        )
        mail.attach_alternative(render_to_string(f"upsell/mail/{name}.html", values), "text/html")
        mail.send()
    return "SENT"
