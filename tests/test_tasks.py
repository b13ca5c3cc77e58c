"""The tasks, through real brokers and a real worker: delivered five times, done once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered
from tests.services.journeys import journey, message, tell, way
from tests.workers import BROKERS, Worker, broker
from upsell.models import EventInbox, JourneyRun, Offer, OfferEvent, OutboxMessage
from upsell.services import backtest

celery = pytest.importorskip("celery", reason="the extra [celery] is not installed")

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=BROKERS)
def worker(request) -> Iterator[Worker]:
    """A worker on each broker that there is."""
    running = Worker(broker(request.param))
    yield running
    running.close()


def test_f53_a_task_delivered_five_times_has_one_effect(worker):
    products = catalogue()
    campaign(products["DT"])
    late, taken, hung = (offered(order(products)) for _ in range(3))
    accept(taken)
    past = timezone.now() - timedelta(seconds=1)
    Offer.objects.filter(pk=late.pk).update(
        expires_at=past, created_at=past - timedelta(minutes=30)
    )

    worker.deliver("upsell.expire", 5)
    worker.deliver("upsell.send_messages", 5)
    worker.deliver("upsell.run_due", 2, an_argument_of_a_newer_sender=1)

    assert OfferEvent.objects.filter(after="EXPIRED").count() == 1
    assert Offer.objects.get(pk=late.pk).state == "EXPIRED"
    assert Offer.objects.get(pk=hung.pk).state == "SHOWN"
    message = OutboxMessage.objects.get(kind="CONFIRMATION")
    assert (message.state, message.attempts) == ("SENT", 0)


def test_a_backtest_that_waits_is_taken_up_once(worker):
    order(catalogue(), placed_at=timezone.now() - timedelta(days=1))
    run = backtest.start(days=2)

    worker.deliver("upsell.backtest", 5, an_argument_of_a_newer_sender=1)

    run.refresh_from_db()
    assert (run.state, run.looked_at, run.results["orders"]) == ("DONE", 1, 1)


def test_a_journey_moved_and_sent_five_times_says_it_once(worker):
    placed = order(catalogue(), email="emily@example.org")
    journey(category="transactional")
    tell(order_ref=str(placed.pk))
    JourneyRun.objects.update(due_at=timezone.now())

    worker.deliver("upsell.advance_journeys", 5, an_argument_of_a_newer_sender=1)
    worker.deliver("upsell.send_letters", 5, an_argument_of_a_newer_sender=1)
    worker.deliver("upsell.advance_journeys", 1)

    run = JourneyRun.objects.get()
    assert (run.state, way(run)) == ("COMPLETED", "wait:next mail:sent")
    assert message(run).state == "SENT"


def test_an_event_is_followed_up_by_the_task(worker):
    journey(category="transactional")
    now = timezone.now()
    EventInbox.objects.create(
        source="HOST", event_id="e1", name="order.placed", customer_key="u:1", order_ref="A1",
        parameters={"channel": "web"}, occurred_at=now, received_at=now,
    )  # fmt: skip

    worker.deliver("upsell.advance_journeys", 5)

    assert JourneyRun.objects.get().order_ref == "A1"


def test_every_task_of_the_schedule_exists(monkeypatch):
    from upsell import tasks  # noqa: PLC0415 - needs the extra
    from upsell.celery import BEAT_SCHEDULE  # noqa: PLC0415

    names = {task.name for task in vars(tasks).values() if isinstance(task, celery.Task)}

    assert {row["task"] for row in BEAT_SCHEDULE.values()} | {"upsell.settle_attempt"} == names


def test_the_queue_is_one_setting(settings, monkeypatch):
    from upsell import tasks  # noqa: PLC0415 - needs the extra

    sent = []
    monkeypatch.setattr(
        celery.Task, "apply_async", lambda self, *a, **options: sent.append(options)
    )
    tasks.expire.delay()
    settings.UPSELL_CELERY_QUEUE = "offers"
    tasks.expire.delay()
    tasks.expire.apply_async(queue="other")

    assert [options.get("queue") for options in sent] == [None, "offers", "other"]
