"""A buyer leaves: nothing of marketing is sent any more, not even what waits already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from upsell.engine.caps import MARKETING
from upsell.models import Journey, JourneyRun, OutboxMessage
from upsell.models.journey import ACTIVE
from upsell.services import consenting, journey_leaving, linking
from upsell.services.locking import retried

UNSUBSCRIBED = "exit:unsubscribed"


def unsubscribe(
    *, customer_key: str, medium: str, purpose: str = MARKETING, how: str, now: datetime
) -> bool:
    """Take a buyer's no to marketing by a medium, and end every marketing journey of theirs.

    One transaction: once the page says so, no message waits and no run goes on, under any key of
    the buyer's. What a mail server has in its hands at that moment is on its way. Twice is the
    same as once.

    Returns:
        Whether it was not noted before.
    """

    def work() -> bool:
        with transaction.atomic():
            new = consenting.withdraw(customer_key, medium, purpose, how=how, now=now)
            leave(linking.family([customer_key]), now=now)
        return new

    return retried(work)


def leave(customer_keys: Sequence[str], *, now: datetime) -> int:
    """End the active marketing runs of these keys, cancel what waits; return how many ended.

    Runs are locked before their messages, as everywhere. Call it in the transaction of the reason.
    """
    journeys = list(Journey.objects.filter(category=MARKETING).values_list("pk", flat=True))
    theirs = JourneyRun.objects.filter(customer_key__in=customer_keys, state__in=ACTIVE)
    theirs = theirs.filter(journey__in=journeys).order_by("pk")
    ids = list(theirs.select_for_update().values_list("pk", flat=True))
    journey_leaving.leave(ids, state=JourneyRun.State.EXITED, reason=UNSUBSCRIBED, now=now)
    waiting = OutboxMessage.objects.filter(state=OutboxMessage.State.PENDING)
    told = {"state": OutboxMessage.State.CANCELLED, "reason": UNSUBSCRIBED, "lease_until": None}
    waiting.filter(customer_key__in=customer_keys, category=MARKETING).update(**told)
    return len(ids)
