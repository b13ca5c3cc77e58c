"""Backtests: asked for, worked on in a process of their own, looked at, cancelled.

A row waits; whoever works claims it. One lives at a time. A process that dies leaves a row that
gives no sign any more: it can be seen as dead, and the next one is started in its place.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connections, transaction
from django.utils.translation import gettext as _

from upsell import clock
from upsell.models import BacktestRun, Campaign, OrderFact
from upsell.ports import Ref
from upsell.services import order_facts, replaying
from upsell.services.tallying import Replay, Tally

logger = logging.getLogger("upsell")

MOST_DAYS = 365
MOST_ORDERS = 50_000
"""So many orders are looked at, the earliest of the period first."""
CHUNK = 50
SIGN = 1.0
"""Seconds between two signs of life."""


class _Stopped(Exception):
    """It was cancelled, or another took it for dead."""


def start(
    *,
    days: int,
    campaign_id: int | None = None,
    channels: Collection[str] = (),
    user: Any = None,
    now: datetime | None = None,
) -> BacktestRun:
    """Write down that the orders of the last days are to be replayed; a worker takes it up.

    Args:
        days: How many, 1 to 365.
        campaign_id: A campaign to be taken as if it were live; none = campaigns as they are.
        channels: Orders of these sales channels only; none = of all.
        user: Who asked, if anybody signed in did.
        now: The end of the period; the database's time if none is given.

    Raises:
        ValidationError: ``days``, ``campaign`` or ``running``: one is at it already.
    """
    told = now or clock.database_now()
    if not 1 <= days <= MOST_DAYS:
        text = _("Choose between 1 and %d days.") % MOST_DAYS
        raise ValidationError(text, code="days")
    draft = None
    if campaign_id is not None:
        draft = Campaign.objects.filter(pk=campaign_id, archived=False).first()
        if draft is None:
            raise ValidationError(_("There is no such campaign."), code="campaign")
    bury(now=told)
    try:
        with transaction.atomic():
            return BacktestRun.objects.create(
                live=1,
                days=days,
                since=told - timedelta(days=days),
                until=told,
                draft=draft,
                draft_name=draft.name if draft else "",
                channels=sorted(channels),
                started_by=user if user is not None and getattr(user, "pk", None) else None,
                created_at=told,
            )
    except IntegrityError as error:
        text = _("A backtest is waiting or running already: one at a time.")
        raise ValidationError(text, code="running") from error


def bury(*, now: datetime) -> int:
    """End the run whose process died, if there is one; return how many there were."""
    return BacktestRun.objects.filter(
        state=BacktestRun.State.RUNNING, beat_at__lt=now - BacktestRun.DEAD_AFTER
    ).update(state=BacktestRun.State.FAILED, live=None, failure="died", ended_at=now)


def cancel(*, run_id: int) -> bool:
    """End a run that waits or is dead now, and one that runs at its next order.

    Returns:
        Whether there was anything to cancel. Twice is the same as once.
    """
    now = clock.database_now()
    bury(now=now)
    rows = BacktestRun.objects.filter(pk=run_id)
    ended = {"state": BacktestRun.State.CANCELLED, "live": None, "ended_at": now}
    if rows.filter(state=BacktestRun.State.WAITING).update(**ended, cancel_asked_at=now):
        return True
    running = rows.filter(state=BacktestRun.State.RUNNING)
    return bool(running.update(cancel_asked_at=now))


def work(*, run_id: int | None = None, told: Callable[[BacktestRun], None] | None = None) -> bool:
    """Take up the run that waits, and bring it to its end. Safe to call from many processes.

    Args:
        run_id: This one only; none = whichever waits.
        told: Called with the row after each sign of life.

    Returns:
        Whether there was one to take up.
    """
    now = clock.database_now()
    bury(now=now)
    waiting = BacktestRun.objects.filter(state=BacktestRun.State.WAITING)
    if run_id is not None:
        waiting = waiting.filter(pk=run_id)
    run = waiting.select_related("draft").first()
    if run is None or not _claim(run, now):
        return False
    try:
        _replay(run, told or (lambda row: None))
    except _Stopped:
        _end(run, BacktestRun.State.CANCELLED)
    except Exception:
        logger.exception("backtest %s failed", run.pk)
        _end(run, BacktestRun.State.FAILED, failure="error")
    except BaseException:  # Ctrl-C, or the worker is told to go
        _end(run, BacktestRun.State.CANCELLED)
        raise
    return True


def _claim(run: BacktestRun, now: datetime) -> bool:
    """Take it, unless another worker did meanwhile."""
    return bool(
        BacktestRun.objects.filter(pk=run.pk, state=BacktestRun.State.WAITING).update(
            state=BacktestRun.State.RUNNING, began_at=now, beat_at=now
        )
    )


def work_beside() -> threading.Thread | None:
    """Take up the run that waits in a thread, so that due work does not wait for it.

    A process that ends takes the thread with it: the run can then be seen as dead.
    """
    if not BacktestRun.objects.filter(state=BacktestRun.State.WAITING).exists():
        return None
    thread = threading.Thread(target=_work_alone, name="upsell-backtest", daemon=True)
    thread.start()
    return thread


def _work_alone() -> None:
    try:
        work()
    finally:
        connections.close_all()  # of this thread


def orders_of(since: datetime, *, alive: Callable[[], None] = lambda: None) -> Sequence[Ref]:
    """Return the orders placed since, the earliest first, one more than are looked at.

    The one place where a backtest finds out which orders there are: in the mirror of the shop's
    orders, brought up to date first. ``alive`` is called for each page of that.
    """
    for _page in order_facts.walk():
        alive()
    rows = OrderFact.objects.filter(placed_at__gte=since).order_by("placed_at", "pk")
    return list(rows.values_list("order_ref", flat=True)[: MOST_ORDERS + 1])


def _replay(run: BacktestRun, told: Callable[[BacktestRun], None]) -> None:
    if run.draft_name and run.draft is None:
        raise LookupError("the campaign was deleted")
    replay = Replay(
        since=run.since,
        until=run.until,
        draft=replaying.draft_spec(run.draft) if run.draft else None,
        channels=run.channels,
    )
    run.version = replay.index.version
    signs = _Signs(run, told)
    refs = orders_of(run.since, alive=signs.give)
    run.total = min(len(refs), MOST_ORDERS)
    signs.give()
    for chunk in _chunks(refs[:MOST_ORDERS]):
        replay.run(chunk, each=signs.one_more)
    signs.give()
    cut = len(refs) > MOST_ORDERS
    results = {**replay.tally.as_json(), "cut": cut, "names": _names(replay.tally)}
    _end(run, BacktestRun.State.DONE, results=results)


def _names(tally: Tally) -> dict[str, str]:
    """Return what the campaigns of a tally are called today, so that it can be read later."""
    ids = tally.shown.keys() | tally.then.keys() | tally.taken.keys()
    rows = Campaign.objects.filter(pk__in=ids).values_list("pk", "name")
    return {str(pk): name for pk, name in rows}


def _chunks(refs: Sequence[Ref]) -> Iterator[Sequence[Ref]]:
    for start_at in range(0, len(refs), CHUNK):
        yield refs[start_at : start_at + CHUNK]


class _Signs:
    """Signs of life, at most one a second however fast or slow the orders go."""

    def __init__(self, run: BacktestRun, told: Callable[[BacktestRun], None]) -> None:
        self._run = run
        self._told = told
        self.give()

    def one_more(self) -> None:
        """Note one more order."""
        self._run.looked_at += 1
        if time.monotonic() - self._last >= SIGN:
            self.give()

    def give(self) -> None:
        """Write how far it is.

        Raises:
            _Stopped: It was cancelled, or taken for dead.
        """
        self._last = time.monotonic()
        run = self._run
        rows = _mine(run).filter(cancel_asked_at__isnull=True)
        if not rows.update(
            beat_at=clock.database_now(),
            looked_at=run.looked_at,
            total=run.total,
            version=run.version,
        ):
            raise _Stopped
        self._told(run)


def _mine(run: BacktestRun) -> Any:
    return BacktestRun.objects.filter(pk=run.pk, state=BacktestRun.State.RUNNING)


def _end(run: BacktestRun, state: BacktestRun.State, **values: Any) -> None:
    _mine(run).update(
        state=state,
        live=None,
        ended_at=clock.database_now(),
        looked_at=run.looked_at,
        **values,
    )
