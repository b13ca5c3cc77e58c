"""Short transactions: a row under its lock, and once more where the database gave up."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, InternalError, OperationalError, connection

from upsell.exceptions import OfferNotFound
from upsell.models import Attempt, Offer

Outcome = TypeVar("Outcome")

GAVE_UP = (OperationalError, InterfaceError, InternalError)
"""What a database raises that is down, cut off, too busy, or takes no writes just now."""


def retried(work: Callable[[], Outcome], *, times: int = 3) -> Outcome:
    """Run one transaction, and again after a deadlock, a lock time-out or a cut connection.

    ``work`` reads everything anew and holds nothing but the transaction: no call to a provider
    is in it, so none is made twice. Where the cut hid whether it was committed, the second run
    finds the rows as they are.

    Raises:
        GAVE_UP: It did not go through, ``times`` times.
    """
    for left in range(times, 0, -1):
        try:
            return work()
        except GAVE_UP:
            if left == 1:
                raise
            connection.close_if_unusable_or_obsolete()
            time.sleep(0.05 + random.random() / 10)  # noqa: S311
    raise AssertionError("unreachable")


def locked(**lookup: object) -> Offer:
    """Return an offer under its row lock.

    Raises:
        OfferNotFound: There is none.
    """
    offer = Offer.objects.select_for_update().filter(**lookup).first()
    if offer is None:
        raise OfferNotFound
    return offer


def locked_with(attempt: Attempt) -> tuple[Offer, Attempt]:
    """Lock an attempt's offer, then the attempt: the order everywhere."""
    offer = Offer.objects.select_for_update().get(pk=attempt.offer_id)
    return offer, Attempt.objects.select_for_update().get(pk=attempt.pk)
