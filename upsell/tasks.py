"""Celery entry points: each calls one service. Rows wait in the database; these only hurry.

Every task may run twice, at the same time, or late: the services claim each row first.
Needs the extra ``[celery]``; nothing of ours imports this module but Celery's autodiscovery.
"""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task

from upsell import conf, snapshots
from upsell.services import (
    backfilling,
    backtest,
    expiring,
    fulfilling,
    journey_hearing,
    journey_running,
    journey_sending,
    messaging,
    metrics,
    order_facts,
    purging,
    reconciling,
    running,
)


class _OnOurQueue(Task):  # type: ignore[type-arg]
    """Sends to the queue that ``UPSELL_CELERY_QUEUE`` names, unless told another."""

    def apply_async(self, *args: Any, **options: Any) -> Any:
        queue = conf.get("UPSELL_CELERY_QUEUE")
        if queue:
            options.setdefault("queue", queue)
        return super().apply_async(*args, **options)


@shared_task(base=_OnOurQueue, name="upsell.run_due", ignore_result=True)
def run_due(**_newer: object) -> None:
    """All due work in one task: expire, reconcile, send, measure."""
    running.run_due()


@shared_task(base=_OnOurQueue, name="upsell.settle_attempt", ignore_result=True)
def settle_attempt(*, attempt_id: int, **_newer: object) -> None:
    """Ask what became of one payment, and carry it out."""
    fulfilling.settle(attempt_id=attempt_id)


@shared_task(base=_OnOurQueue, name="upsell.reconcile", ignore_result=True)
def reconcile(**_newer: object) -> None:
    """Pick up what a lost answer or a dead process left behind."""
    reconciling.reconcile()


@shared_task(base=_OnOurQueue, name="upsell.expire", ignore_result=True)
def expire(**_newer: object) -> None:
    """Close offers that nobody answered in time."""
    expiring.expire_due()


@shared_task(base=_OnOurQueue, name="upsell.send_messages", ignore_result=True)
def send_messages(**_newer: object) -> None:
    """Send what waits in the outbox."""
    messaging.send_due()


@shared_task(base=_OnOurQueue, name="upsell.advance_journeys", ignore_result=True)
def advance_journeys(**_newer: object) -> None:
    """Follow up events that were told, let past ones in, and move runs whose time has come."""
    snapshots.look_for_journeys()  # staff may have started the first since the last time
    journey_hearing.work()
    backfilling.work_due()
    journey_running.advance_due()


@shared_task(base=_OnOurQueue, name="upsell.send_letters", ignore_result=True)
def send_letters(**_newer: object) -> None:
    """Send what journeys have to say, each message at most once."""
    journey_sending.send_due()


@shared_task(base=_OnOurQueue, name="upsell.purge", ignore_result=True)
def purge(**_newer: object) -> None:
    """Remove what has been kept long enough."""
    for _removed in purging.purge():
        pass


@shared_task(base=_OnOurQueue, name="upsell.rollup", ignore_result=True)
def rollup(**_newer: object) -> None:
    """Mirror new orders, and add up what offers came to on the days on which something happened."""
    order_facts.sweep_due()
    metrics.roll_up()


@shared_task(base=_OnOurQueue, name="upsell.backtest", ignore_result=True)
def backtest_waiting(**_newer: object) -> None:
    """Take up the backtest that waits, if there is one, and bring it to its end."""
    backtest.work()
