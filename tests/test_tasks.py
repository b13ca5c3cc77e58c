"""The tasks, through real brokers and a real worker: delivered five times, done once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered
from tests.services.journeys import journey, message, tell, way
from upsell.models import EventInbox, JourneyRun, Offer, OfferEvent, OutboxMessage
from upsell.services import backtest

celery = pytest.importorskip("celery", reason="the extra [celery] is not installed")

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[1]
BROKERS = {
    "redis": ("UPSELL_TEST_REDIS", 6379, "redis://{host}:6379/9"),
    "rabbitmq": ("UPSELL_TEST_RABBITMQ", 5672, "amqp://guest:guest@{host}:5672//"),
}


class Worker:
    """A worker in a process of its own, and a sender to it."""

    def __init__(self, broker: str) -> None:
        queue = f"upsell-{uuid.uuid4().hex[:8]}"
        self.app = celery.Celery("sender", broker=broker)
        self.app.conf.task_default_queue = queue
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "UPSELL_TEST_NAME": str(connection.settings_dict["NAME"]),
            "UPSELL_TEST_BROKER": broker,
            "UPSELL_TEST_QUEUE": queue,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "-m", "celery", "-A", "tests.celery_app", "worker"]
        command += ["--pool", "solo", "--loglevel", "INFO", "--without-gossip"]
        self.process = subprocess.Popen(
            [*command, "--without-mingle", "-Q", queue],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.read_until("ready.")

    def read_until(self, words: str, times: int = 1) -> None:
        """Wait until the worker's log has said this so often."""
        told: list[str] = []
        for line in self.process.stdout or ():
            told.append(line)
            times -= words in line
            if times == 0:
                return
        pytest.fail("the worker ended:\n" + "".join(told))

    def deliver(self, name: str, times: int, **arguments: object) -> None:
        """Send a task so often, and wait until each was worked on."""
        for _ in range(times):
            self.app.send_task(name, kwargs=arguments)
        self.read_until(f"{name}[", times=2 * times)  # received, succeeded

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)
        if self.process.stdout is not None:
            self.process.stdout.close()
        with self.app.connection_for_write() as opened:
            opened.default_channel.queue_delete(self.app.conf.task_default_queue)
        self.app.close()


@pytest.fixture(params=BROKERS)
def worker(request) -> Iterator[Worker]:
    """A worker on each broker that there is."""
    variable, port, address = BROKERS[request.param]
    host = os.environ.get(variable, "127.0.0.1")
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        if request.param in os.environ.get("UPSELL_TEST_REQUIRE", ""):
            raise
        pytest.skip(f"no {request.param} answers on {host}:{port}")
    if request.param == "redis":
        pytest.importorskip("redis", reason="the driver of Redis is not installed")
    running = Worker(address.format(host=host))
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
