"""SIGKILL of a real Celery worker while it hands a journey's mail to a real mail server (F50, F51).

The mail server pulls the plug itself: at the moment that a case names it kills the worker that
speaks to it. Another worker takes the queue over, and whatever is delivered to it, and however
often, the server has that mail once at most.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from tests.factories import catalogue, order
from tests.flow.mailing import MailServer
from tests.services.journeys import adds_up, consent, journey, message, tell, way
from tests.workers import BROKERS, Worker, broker
from upsell.models import JourneyRun, OutboxMessage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]

ADDRESS = "emily@example.org"


class Deadly(MailServer):
    """Kills who speaks to it, once."""

    def __init__(self) -> None:
        super().__init__()
        self.at, self.victim = "", 0

    def _reached(self, moment: str) -> None:
        if self.victim and moment == self.at:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = 0

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        self._reached("before a word of it is said")
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, *said: Any) -> str:
        self._reached("before the mail server takes it")
        return await super().handle_RCPT(*said)

    async def handle_DATA(self, *said: Any) -> str:
        answer = await super().handle_DATA(*said)
        self._reached("when it is taken, and nobody heard so")
        return answer

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:
        self._reached("when it is taken, and nothing is noted")
        return "221 Bye"


DEATHS = {
    # when the worker dies: mails that the server has in the end
    "before a word of it is said": 0,
    "before the mail server takes it": 0,
    "when it is taken, and nobody heard so": 1,
    "when it is taken, and nothing is noted": 1,
}


@pytest.fixture
def mails(settings) -> Iterator[tuple[Deadly, int]]:
    controller = pytest.importorskip("aiosmtpd.controller", reason="aiosmtpd is not installed")
    settings.UPSELL_BASE_URL = "https://shop.example"
    server = Deadly()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    smtp = controller.Controller(server, hostname="127.0.0.1", port=port)
    smtp.start()
    yield server, port
    smtp.stop()


@pytest.fixture
def run() -> JourneyRun:
    """A buyer whose mail is due."""
    placed = order(catalogue(), email=ADDRESS)
    journey()
    consent()
    tell(order_ref=str(placed.pk))
    JourneyRun.objects.update(due_at=timezone.now())
    return JourneyRun.objects.get()


@pytest.mark.parametrize("moment", DEATHS)
@pytest.mark.parametrize("name", BROKERS)
def test_f50_f51_a_worker_is_killed(name, moment, mails, run):
    server, port = mails
    server.at = moment
    first = Worker(broker(name), UPSELL_TEST_MAILS=str(port))
    server.victim = first.process.pid
    first.deliver("upsell.advance_journeys", 1)
    first.app.send_task("upsell.send_letters")
    assert first.killed() == -signal.SIGKILL

    second = Worker(broker(name), queue=first.queue, UPSELL_TEST_MAILS=str(port))
    try:
        second.deliver("upsell.send_letters", 3)
        assert message(run).state == "SENDING", "who looks slow may be alive"
        # Two minutes later.
        OutboxMessage.objects.update(lease_until=F("lease_until") - timedelta(minutes=2))
        second.deliver("upsell.send_letters", 3)
        second.deliver("upsell.advance_journeys", 3)
    finally:
        first.app.close()
        second.close()

    row = message(run)
    assert (row.state, row.reason) == ("UNKNOWN", "interrupted")
    assert len(server.taken) == DEATHS[moment]
    run.refresh_from_db()
    assert (run.state, way(run)) == ("COMPLETED", "wait:next mail:sent"), "the run goes on"
    adds_up()


@pytest.mark.parametrize("name", BROKERS)
def test_control_a_worker_that_nobody_kills_sends_it(name, mails, run):
    server, port = mails
    worker = Worker(broker(name), UPSELL_TEST_MAILS=str(port))
    try:
        worker.deliver("upsell.advance_journeys", 2)
        worker.deliver("upsell.send_letters", 3)
    finally:
        worker.close()

    assert message(run).state == "SENT"
    assert [mail["To"] for mail in server.taken] == [ADDRESS]
