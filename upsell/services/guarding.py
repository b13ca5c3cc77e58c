"""A provider that hangs must not take the pages down: few calls at once, and a breaker.

So many calls of one gateway run at once in one process; whoever finds no free place is told at
once that payment is unavailable. Once enough calls in a row brought no answer, nobody asks for a
while, in any process; then one does, and what it learns holds for all.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TypeVar

from django.db import transaction
from django.db.models import F

from upsell import clock, conf
from upsell.exceptions import UpsellError
from upsell.models import GatewayHealth
from upsell.ports import Gateway
from upsell.services.locking import GAVE_UP, retried

logger = logging.getLogger("upsell")

Answer = TypeVar("Answer")

_places: dict[tuple[str, int], threading.BoundedSemaphore] = {}
_placing = threading.Lock()


class NotAsked(UpsellError):
    """The provider was not asked: too many calls are under way, or it does not answer."""


@contextmanager
def place(gateway: Gateway) -> Iterator[None]:
    """Hold a place for one call, and the breaker's leave to make it.

    Raises:
        NotAsked: There is none. Nothing was sent.
    """
    semaphore = _place_of(gateway.slug)
    if not semaphore.acquire(blocking=False):
        raise NotAsked(f"{gateway.slug}: as many calls as are allowed at once are under way")
    try:
        if not _may_ask(gateway.slug):
            raise NotAsked(f"{gateway.slug}: it did not answer lately")
        yield
    finally:
        semaphore.release()


def told(gateway: Gateway, *, answered: bool) -> None:
    """Note whether a call brought an answer, whatever the answer was.

    It never stands in the way of the answer: money may have moved. Where the database does not
    take it, nothing is noted.
    """
    try:
        retried(partial(_note, gateway.slug, answered=answered))
    except GAVE_UP:
        logger.exception("%s: how it answered could not be noted", gateway.slug)


def _note(slug: str, *, answered: bool) -> None:
    rows = GatewayHealth.objects.filter(gateway=slug)
    if answered:
        ill = rows.exclude(failures=0)
        if ill.exists():  # one that is well costs no write
            ill.update(failures=0, open_until=None)
        return
    now = clock.now()
    with transaction.atomic():
        if not rows.update(failures=F("failures") + 1, failed_at=now):
            GatewayHealth.objects.bulk_create(
                [GatewayHealth(gateway=slug, failures=1, failed_at=now)], ignore_conflicts=True
            )
        worn = rows.filter(failures__gte=int(conf.get("UPSELL_BREAKER_FAILURES")))
        worn.update(open_until=now + conf.duration("UPSELL_BREAKER_PAUSE"))


def asked(
    gateway: Gateway, work: Callable[[], Answer], *, is_answer: Callable[[Answer], bool]
) -> Answer:
    """Make one call in its place, and note whether it brought an answer.

    Raises:
        NotAsked: Nothing was sent.
        Exception: Whatever the call raises; it counts as no answer.
    """
    with place(gateway):
        try:
            answer = work()
        except Exception:
            told(gateway, answered=False)
            raise
        told(gateway, answered=is_answer(answer))
        return answer


def is_open(slug: str, *, now: datetime | None = None) -> bool:
    """Whether nobody may ask this provider now."""
    at = now or clock.now()
    return GatewayHealth.objects.filter(gateway=slug, open_until__gt=at).exists()


def _may_ask(slug: str) -> bool:
    row = GatewayHealth.objects.filter(gateway=slug).first()
    if row is None or row.open_until is None:
        return True
    now = clock.now()
    if row.open_until > now:
        return False
    # The pause is over: whoever moves it on asks, the others wait for what it learns.
    mine = GatewayHealth.objects.filter(pk=row.pk, open_until=row.open_until)
    return bool(mine.update(open_until=now + conf.duration("UPSELL_BREAKER_PAUSE")))


def _place_of(slug: str) -> threading.BoundedSemaphore:
    size = max(1, int(conf.get("UPSELL_GATEWAY_CONCURRENCY")))
    with _placing:
        return _places.setdefault((slug, size), threading.BoundedSemaphore(size))
