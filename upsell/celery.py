"""A plain beat schedule to merge: ``app.conf.beat_schedule = {**BEAT_SCHEDULE, **yours}``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery.schedules import crontab

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "upsell.run_due": {"task": "upsell.run_due", "schedule": timedelta(seconds=30)},
    "upsell.send_messages": {"task": "upsell.send_messages", "schedule": timedelta(seconds=30)},
    "upsell.reconcile": {"task": "upsell.reconcile", "schedule": timedelta(minutes=1)},
    "upsell.expire": {"task": "upsell.expire", "schedule": timedelta(minutes=1)},
    "upsell.advance_journeys": {
        "task": "upsell.advance_journeys",
        "schedule": timedelta(seconds=30),
    },
    "upsell.send_letters": {"task": "upsell.send_letters", "schedule": timedelta(seconds=30)},
    "upsell.rollup": {"task": "upsell.rollup", "schedule": timedelta(minutes=5)},
    "upsell.backtest": {"task": "upsell.backtest", "schedule": timedelta(minutes=1)},
    "upsell.purge": {"task": "upsell.purge", "schedule": crontab(hour="3", minute="30")},
}
"""``upsell.run_due`` alone does the work of the next six; they are there for shops that want
them on queues of their own, and take nothing from each other."""
