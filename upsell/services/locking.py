"""Short transactions: a row under its lock, and once more after a deadlock."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError

from upsell.exceptions import OfferNotFound
from upsell.models import Attempt, Offer

Outcome = TypeVar("Outcome")


def retried(work: Callable[[], Outcome], *, times: int = 3) -> Outcome:
    """Run a short transaction again after a deadlock or a lock time-out, at most three times.

    Raises:
        OperationalError: It did not go through.
    """
    for left in range(times, 0, -1):
        try:
            return work()
        except OperationalError:
            if left == 1:
                raise
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
