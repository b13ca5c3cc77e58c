"""Messages of journeys: at most once by default, with a last look before each goes.

A row is claimed, everything is asked once more, SENDING is committed, and then nothing stands
between that and the connection. A process that dies before the commit leaves the message to the
next; one that dies after it leaves it in UNKNOWN: it may have arrived, and is not sent again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Q

from upsell import clock, conf, signals
from upsell.engine.placeholders import Unresolved
from upsell.media import push, sms
from upsell.media.email import Handed, Letter, hand_over
from upsell.models import Journey, JourneyRun, OutboxMessage
from upsell.models.journey import ACTIVE
from upsell.ports import Contact
from upsell.presenting import journey_letters
from upsell.presenting.messages import LONGEST_SMS
from upsell.services import (
    consenting,
    journey_calls,
    journey_holding,
    journey_last_looks,
    journey_leaving,
    journey_running,
    reporting,
)
from upsell.services.journey_hearing import who_of

logger = logging.getLogger("upsell")

LEASE = timedelta(minutes=2)
SENDING = timedelta(minutes=1)
"""How long a round may go on: a mail server that is slow holds up no other due work for longer."""
PAUSES = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=12),
)
"""After each try of which nothing was taken; then it failed."""


def send_due(*, now: datetime | None = None, limit: int = 200) -> int:
    """Send what journeys have to say; return how many messages were handed over.

    Safe in parallel: each row is claimed first. Messages of paused journeys wait; so does
    everything where very much is due at once after a leap of the clock, until staff let it go.
    """
    told = now or clock.database_now()
    _give_up(now=told)
    due = (
        OutboxMessage.objects.filter(
            state="PENDING", kind__in=OutboxMessage.OF_JOURNEYS, not_before__lte=told
        )
        .exclude(medium="onsite")
        .filter(Q(lease_until=None) | Q(lease_until__lte=told))
        .exclude(run__journey__state=Journey.State.PAUSED)
        .order_by("not_before", "pk")
    )
    ids = list(due.values_list("pk", flat=True)[:limit])
    if not ids or journey_holding.holds(due, now=told):
        return 0
    over, sent = time.monotonic() + SENDING.total_seconds(), 0
    for pk in ids:
        if time.monotonic() > over:
            break  # a mail server that is slow: the rest is due at the next round
        # Anew for each: leases and times count from when it is taken up, however long others took.
        sent += _sent(pk, now=now or clock.database_now())
    return sent


def _give_up(*, now: datetime) -> None:
    """Close what is too late, and what a dead process had in its hands."""
    late = OutboxMessage.objects.filter(
        state="PENDING", kind__in=OutboxMessage.OF_JOURNEYS, expires_at__lte=now
    ).order_by("pk")
    for pk in list(late.values_list("pk", flat=True)[:500]):
        _close(pk, "EXPIRED", before="PENDING", reason="too late", now=now)
    dead = OutboxMessage.objects.filter(
        state="SENDING", kind__in=OutboxMessage.OF_JOURNEYS, lease_until__lte=now
    ).order_by("pk")
    for row in list(dead.values_list("pk", "kind")[:500]):
        if row[1] == OutboxMessage.Kind.CALL:
            # A call carries its key: who gets it twice knows that it is the same.
            OutboxMessage.objects.filter(pk=row[0], state="SENDING").update(
                state="PENDING", lease_until=None, reason="interrupted"
            )
        else:
            _close(row[0], "UNKNOWN", before="SENDING", reason="interrupted", now=now)


def _sent(message_id: int, *, now: datetime) -> bool:
    claimed = (
        OutboxMessage.objects.filter(pk=message_id, state="PENDING")
        .filter(Q(lease_until=None) | Q(lease_until__lte=now))
        .update(lease_until=now + LEASE)
    )
    if not claimed:
        return False
    message = OutboxMessage.objects.select_related("run__journey", "template__template").get(
        pk=message_id
    )
    try:
        return _hand_over(message, now=now)
    except Exception as error:
        # The shop's ports are foreign code. Nothing was handed over: it is tried again.
        logger.exception("message %s was not sent", message.pk)
        _later(message, type(error).__name__, before="PENDING", now=now)
        return False


def _hand_over(message: OutboxMessage, *, now: datetime) -> bool:
    run = message.run
    if run is None:
        return False
    leaves = journey_last_looks.why_left(run, now=now)
    if leaves:
        with transaction.atomic(durable=True):
            journey_leaving.leave([run.pk], state="EXITED", reason=leaves, now=now)
        return False
    if message.kind == OutboxMessage.Kind.CALL:
        return _call(message, now=now)
    contact = conf.shop().contact(who_of(run), message.medium)
    reach = consenting.may_write(
        who_of(run), message.medium, message.category, contact=contact, now=now
    )
    if not reach.ok or contact is None:
        _close(message.pk, "SKIPPED", before="PENDING", reason=reach.reason, now=now)
        return False
    try:
        hand = _ready(message, run, contact, now=now)
    except Unresolved as error:
        why = f"render_error: {error.name}"
        _close(message.pk, "SKIPPED", before="PENDING", reason=why, now=now)
        return False
    if not _last_look(message, now=now):
        return False
    return _settle(message, hand(), contact, now=now)


def _ready(
    message: OutboxMessage, run: JourneyRun, contact: Contact, *, now: datetime
) -> Callable[[], Handed]:
    """Word it for its medium; return what hands it over.

    Raises:
        Unresolved: Something it says is not known of this buyer.
    """
    if message.medium == "push":
        return partial(_by_push, journey_letters.notice(message, run, contact, now=now))
    made = journey_letters.letter(message, run, contact)
    return partial(_by_sms, message, made) if message.medium == "sms" else partial(hand_over, made)


def _last_look(message: OutboxMessage, *, now: datetime) -> bool:
    """Commit SENDING, if the run is still on its way, and nobody cancelled the message."""
    with transaction.atomic(durable=True):
        run = JourneyRun.objects.select_for_update().filter(pk=message.run_id or 0).first()
        if run is None or run.state not in ACTIVE or not run.customer_key:
            OutboxMessage.objects.filter(pk=message.pk, state="PENDING").update(
                state="CANCELLED", reason="the run is over", lease_until=None, reserved_at=None
            )
            return False
        return bool(
            OutboxMessage.objects.filter(pk=message.pk, state="PENDING").update(
                state="SENDING", lease_until=now + LEASE
            )
        )


def _by_sms(message: OutboxMessage, letter: Letter) -> Handed:
    if not sms.E164.fullmatch(letter.to):
        return Handed(state="FAILED", reason="no number in E.164", bad_address=True)
    try:
        conf.sms().send(letter.to, letter.text[:LONGEST_SMS], message.key)
    except sms.SmsRefused as error:
        return Handed(state="LATER" if error.retry else "FAILED", reason=str(error))
    except Exception as error:
        return Handed(state="UNKNOWN", reason=type(error).__name__)
    return Handed(state="SENT")


def _by_push(notice: push.Notice) -> Handed:
    try:
        conf.push().send(notice)
    except push.PushRefused as error:
        return Handed(
            state="LATER" if error.retry and not error.gone else "FAILED",
            reason=str(error),
            bad_address=error.gone,
        )
    except Exception as error:
        return Handed(state="UNKNOWN", reason=type(error).__name__)
    return Handed(state="SENT")


def _call(message: OutboxMessage, *, now: datetime) -> bool:
    if not _last_look(message, now=now):
        return False
    try:
        answer = journey_calls.post(message, now=now)
    except Exception as error:
        _later(message, str(error)[:190] or type(error).__name__, before="SENDING", now=now)
        return False
    _close(message.pk, "SENT", before="SENDING", reason="", now=now, answer=answer)
    return True


def _settle(message: OutboxMessage, handed: Handed, contact: Contact, *, now: datetime) -> bool:
    if handed.state == "LATER":
        _later(message, handed.reason, before="SENDING", now=now)
        return False
    _close(message.pk, handed.state, before="SENDING", reason=handed.reason, now=now)
    if handed.bad_address:
        reporting.hear(
            provider=message.provider or ("smtp" if message.medium == "email" else message.medium),
            kind="bounced",
            reason="invalid",
            event_id=message.key,
            message_id=message.pk,
            recipient=contact.address,
            at=now,
            now=now,
        )
    if handed.state in {"SENT", "UNKNOWN"}:
        signals.message_sent.send_robust(sender=OutboxMessage, message_id=message.pk, at=now)
    return handed.state == "SENT"


def _later(message: OutboxMessage, reason: str, *, before: str, now: datetime) -> None:
    """Try again inside its time; after the last pause, or past its time, it failed."""
    tries = message.attempts
    if tries >= len(PAUSES):
        _close(message.pk, "FAILED", before=before, reason=reason, now=now)
        return
    then = now + PAUSES[tries]
    if message.expires_at is not None and then >= message.expires_at:
        _close(message.pk, "EXPIRED", before=before, reason=reason, now=now)
        return
    OutboxMessage.objects.filter(pk=message.pk, state=before).update(
        state="PENDING",
        attempts=tries + 1,
        reason=reason[:190],
        lease_until=None,
        not_before=then,
    )


def _close(
    message_id: int,
    state: str,
    *,
    before: str,
    reason: str,
    now: datetime,
    answer: Mapping[str, str | int | bool] | None = None,
) -> bool:
    """Settle a message, keep what was answered, and let its run go on, in one transaction."""
    with transaction.atomic(durable=True):
        run_id = OutboxMessage.objects.values_list("run", flat=True).get(pk=message_id)
        run = JourneyRun.objects.select_for_update().filter(pk=run_id).first()
        values: dict[str, object] = {"state": state, "reason": reason[:190], "lease_until": None}
        if state in {"SENT", "UNKNOWN"}:
            values["sent_at"] = now
        else:
            values["reserved_at"] = None
        done = OutboxMessage.objects.filter(pk=message_id, state=before).update(**values)
        if done:
            message = OutboxMessage.objects.get(pk=message_id)
            if run is not None and answer and run.customer_key:
                journey_calls.keep(run, step=message.step, answer=answer)
            outcome = journey_running.outcome_of(message)
            if outcome:
                journey_running.settle(message, outcome, now=now)
    return bool(done)
