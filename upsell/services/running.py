"""All due work in one call, for the loop command, for Celery and for tests."""

from __future__ import annotations

from datetime import timedelta

from upsell import clock, snapshots
from upsell.models import Heartbeat
from upsell.services import (
    backfilling,
    carts,
    expiring,
    guardrails,
    journey_hearing,
    journey_holding,
    journey_running,
    journey_sending,
    learning,
    looking,
    messaging,
    metrics,
    order_facts,
    reconciling,
    segments,
    shop_numbers,
)


def run_due() -> dict[str, int]:
    """Do what is due and return how many of each; safe in parallel.

    Expire, reconcile, send; follow events up, move journeys on, and send what they say; measure.
    """
    beat()
    snapshots.look_for_journeys()  # staff may have started the first since the last round
    done = {"expired": expiring.expire_due()}
    done |= {f"reconciled_{name}": count for name, count in reconciling.reconcile().items()}
    done["messages"] = messaging.send_due()
    done["orders"] = order_facts.sweep_due()
    done["carts"] = carts.abandon_due()
    done["events"] = journey_hearing.work()
    done["backfilled"] = backfilling.work_due()
    done["steps"] = journey_running.advance_due()
    done["letters"] = journey_sending.send_due()
    done["days"] = metrics.roll_up_due()
    done["beliefs"] = learning.learn_due()
    done["numbers"] = shop_numbers.renew_due()
    done["segments"] = segments.count_due()
    done["alarms"] = guardrails.check_due()
    done["looks"] = looking.look_due()
    return done


BEATS = timedelta(minutes=1)
LOOP = "run_due"


def beat() -> None:
    """Note that due work is being done, at most once a minute: health reads it.

    A clock that was set back is followed; else nobody would see for as long that the loop stopped.
    """
    now = clock.now()
    row = Heartbeat.objects.filter(name=LOOP).first()
    if row is None:
        Heartbeat.objects.bulk_create([Heartbeat(name=LOOP, at=now)], ignore_conflicts=True)
    elif abs(now - row.at) >= BEATS:
        if now - row.at > journey_holding.LEAP:
            journey_holding.note_leap(now=now)
        Heartbeat.objects.filter(pk=row.pk).update(at=now)
