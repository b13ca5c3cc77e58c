"""What a buyer answers to the one question of a message: a number, told as ``feedback.given``.

One answer for each message that asked. The first is the event: journeys wait for it, and goals
count it, once. It may be changed afterwards: the last is what is kept and shown, and a change is
no event of its own, so that nobody counts twice by pressing twice.
"""

from __future__ import annotations

from datetime import datetime

from django.db import models, transaction

from upsell.engine.caps import ANY
from upsell.engine.metrics import SCORES
from upsell.models import EventInbox, OutboxMessage, Suppression
from upsell.presenting.message_links import Rated
from upsell.services import events
from upsell.services.locking import retried
from upsell.services.suppressing import ERASED, key_hashes

EVENT = "feedback.given"
KIND = "journey"


def is_open(rated: Rated) -> bool:
    """Whether an answer is taken: nothing more is kept of a buyer who asked to be forgotten.

    Two statements at most.
    """
    whose = OutboxMessage.objects.filter(key=rated.message).values_list("customer_key", flat=True)
    found = whose.first()
    if found is not None:
        return found != ""
    # Messages are not kept for ever; their links work on, but for who was erased.
    hashes = key_hashes(rated.customer_key)
    erased = Suppression.objects.filter(medium=ANY, address_hash__in=hashes, reason=ERASED)
    return not erased.exists()


def given(rated: Rated) -> int | None:
    """Return what was answered last; none for nothing yet. One statement."""
    row = _answers(rated).first()
    score = None if row is None else row.parameters.get("score")
    return score if score in SCORES else None


def give(rated: Rated, *, score: int, now: datetime) -> None:
    """Take an answer, or another one. Outside any transaction; the same again is nothing.

    Args:
        score: From 1, very poor, to 5, very good.

    Raises:
        ValueError: ``score`` is no such number.
        GAVE_UP: The database did; nothing was taken.
    """
    if score not in SCORES:
        raise ValueError(f"a score is from {SCORES[0]} to {SCORES[-1]}, and is {score}")
    if not _answers(rated).exists():
        told = {"order_ref": rated.order_ref, "kind": KIND, "score": score}
        row = events.row(
            EVENT,
            customer_key=rated.customer_key,
            source=EventInbox.Source.OURS,
            event_id=_event_id(rated),
            order_ref=rated.order_ref,
            parameters=told,
            at=now,
            now=now,
        )
        # Not ``record``, which never raises: nobody is thanked for what was not kept.
        retried(lambda: events.arrive(row))
    retried(lambda: _change(rated, score))


def _change(rated: Rated, score: int) -> None:
    with transaction.atomic():
        row = _answers(rated).select_for_update().first()
        if row is None or row.parameters.get("score") == score:
            return
        row.parameters = {**row.parameters, "score": score}
        row.save(update_fields=["parameters"])


def _answers(rated: Rated) -> models.QuerySet[EventInbox]:
    """Return the one row of the answer; none of who was erased since, whose row has no key."""
    rows = EventInbox.objects.filter(source=EventInbox.Source.OURS, event_id=_event_id(rated))
    return rows.exclude(customer_key="")


def _event_id(rated: Rated) -> str:
    return f"feedback:{rated.message}"
