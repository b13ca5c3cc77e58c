"""Do runs of journeys add up? What must hold of them at every moment, read from our own tables.

The names are those of the specification's cases. A fixed number of statements, each over a whole
table: for ``upsell_audit`` and tests, and not for a page.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, F, Max, Min, Q
from django.db.models.functions import Coalesce

from upsell import clock
from upsell.models import Journey, JourneyRun, Listener, OutboxMessage
from upsell.models.journey import ACTIVE, ENDED
from upsell.services.auditing import PATIENCE, Breach


def whole(*, now: datetime | None = None) -> list[Breach]:
    """Return what is broken: five statements where nothing is.

    Args:
        now: The time that ages are counted to; the database's if none is given.
    """
    told = now or clock.database_now()
    return [*_sums(), *_logs(), *_messages(told), *_listeners()]


def _sums() -> Iterator[Breach]:
    """J92: who entered is in it or has left, and whoever left did so for a reason."""
    active = Q(runs__state__in=ACTIVE, runs__ended_at=None)
    ended = Q(runs__state__in=ENDED, runs__ended_at__isnull=False) & ~Q(runs__end_reason="")
    rows = Journey.objects.order_by("pk").annotate(
        entered=Count("runs"),
        active=Count("runs", filter=active),
        ended=Count("runs", filter=ended),
    )
    for row in rows.exclude(entered=F("active") + F("ended")):
        found = f"{row.entered} entered, {row.active} active, {row.ended} ended for a reason"
        yield _breach("J92", f"entered = active + ended in journey {row.slug}", found)


def _logs() -> Iterator[Breach]:
    """J22: the steps of a run have the numbers from one on, each once."""
    rows = JourneyRun.objects.order_by("pk").annotate(
        steps=Count("log"), first=Coalesce(Min("log__seq"), 1), last=Coalesce(Max("log__seq"), 0)
    )
    wrong = rows.filter(~Q(steps=F("seq")) | ~Q(last=F("seq")) | ~Q(first=1))
    for pk, seq, steps, last in wrong.values_list("pk", "seq", "steps", "last"):
        yield _breach("J22", f"steps 1 to {seq} of run {pk}", f"{steps} up to number {last}")


def _messages(now: datetime) -> Iterator[Breach]:
    """J39: a run that ended says nothing more. A call that was broken off has its last look."""
    rows = OutboxMessage.objects.filter(
        state="PENDING", run__state__in=ENDED, run__ended_at__lt=now - PATIENCE
    )
    for pk, run in rows.order_by("pk").values_list("pk", "run_id"):
        yield _breach("J39", f"no message of run {run}, which is over", f"message {pk} waits")


def _listeners() -> Iterator[Breach]:
    """J39: a run that ended listens for goals alone."""
    rows = Listener.objects.filter(run__state__in=ENDED).exclude(purpose=Listener.Purpose.GOAL)
    for run, event, purpose in rows.order_by("pk").values_list("run_id", "event", "purpose"):
        yield _breach("J39", f"run {run}, which is over, to hear of goals alone",
                      f"it listens for {event} ({purpose})")  # fmt: skip


def _breach(invariant: str, wanted: str, found: str) -> Breach:
    return Breach(invariant=invariant, offer_id=None, wanted=wanted, found=found)
