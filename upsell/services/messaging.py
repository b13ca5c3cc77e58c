"""The outbox: what must be told, sent after the commit that made it true."""

from __future__ import annotations

import logging
import re
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
from upsell.exceptions import NotFound
from upsell.models import Offer, OutboxMessage
from upsell.ports import Occasion
from upsell.presenting.mails import confirmation_values, language_of, one_line

logger = logging.getLogger("upsell")

LEASE = timedelta(minutes=2)
TRIES = 8
_ONE_ADDRESS = re.compile(r"""[^\s@,;:<>()\[\]\\"\x00-\x20\x7f]+@[^\s@,;:<>()\\"\x00-\x20\x7f]+""")
"""One address and nothing else: a shop that hands on more must not make us write to strangers."""


def send_due(*, now: datetime | None = None, limit: int = 200) -> int:
    """Send what is due; return how many were. Safe in parallel: each row is claimed first.

    At least once: the buyer has a right to the confirmation of a purchase, and a hold must
    be let go. What a killed process had in its hands is claimed again after its lease; a mail
    then has the same Message-ID, by which mail servers drop the second.
    """
    told = now or clock.database_now()
    OutboxMessage.objects.filter(state="SENDING", lease_until__lte=told).update(
        state="PENDING", lease_until=None, reason="interrupted"
    )
    due = (
        OutboxMessage.objects.filter(state="PENDING", not_before__lte=told)
        .filter(Q(lease_until=None) | Q(lease_until__lte=told))
        .order_by("not_before", "pk")
    )
    return sum(_sent(pk, now=told) for pk in due.values_list("pk", flat=True)[:limit])


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
        outcome = _deliver(message)
    except Exception as error:
        # A mail server or a host's hook: anything may come out of it, and is tried again.
        logger.warning("message %s failed: %s", message.pk, type(error).__name__)
        _failed(message, reason=type(error).__name__, now=now)
        return False
    OutboxMessage.objects.filter(pk=message.pk).update(
        state=outcome, sent_at=now if outcome == "SENT" else None, lease_until=None
    )
    signals.message_sent.send_robust(sender=OutboxMessage, message_id=message.pk, at=now)
    return outcome == "SENT"


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


def _deliver(message: OutboxMessage) -> str:
    offer = message.offer
    if offer is None:
        return "SKIPPED"
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
    if not _ONE_ADDRESS.fullmatch(address):
        return "SKIPPED"
    name = "confirmation" if message.kind == "CONFIRMATION" else "reversal"
    with translation.override(language_of(occasion.customer.locale)):
        values = confirmation_values(offer, occasion)
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
