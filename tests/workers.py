"""A real Celery worker on a real broker, in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from django.db import connection

celery = pytest.importorskip("celery", reason="the extra [celery] is not installed")

ROOT = Path(__file__).resolve().parents[1]
BROKERS = {
    "redis": ("UPSELL_TEST_REDIS", 6379, "redis://{host}:6379/9"),
    "rabbitmq": ("UPSELL_TEST_RABBITMQ", 5672, "amqp://guest:guest@{host}:5672//"),
}


class Worker:
    """A worker, and a sender to it."""

    def __init__(self, broker: str, *, queue: str = "", **environment: str) -> None:
        """Start one, on a queue of its own unless it takes over another's."""
        queue = self.queue = queue or f"upsell-{uuid.uuid4().hex[:8]}"
        self.app = celery.Celery("sender", broker=broker)
        self.app.conf.task_default_queue = queue
        environment |= {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "UPSELL_TEST_NAME": str(connection.settings_dict["NAME"]),
            "UPSELL_TEST_BROKER": broker,
            "UPSELL_TEST_QUEUE": queue,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **environment,
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

    def killed(self) -> int:
        """Wait until it is dead, and return how it ended."""
        code = self.process.wait(timeout=20)
        self._closed()
        return code

    def _closed(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)
        self._closed()
        with self.app.connection_for_write() as opened:
            opened.default_channel.queue_delete(self.app.conf.task_default_queue)
        self.app.close()


def broker(name: str) -> str:
    """Return the address of a broker; skip the test where there is none, unless it is required."""
    variable, port, address = BROKERS[name]
    host = os.environ.get(variable, "127.0.0.1")
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        if name in os.environ.get("UPSELL_TEST_REQUIRE", ""):
            raise
        pytest.skip(f"no {name} answers on {host}:{port}")
    if name == "redis":
        pytest.importorskip("redis", reason="the driver of Redis is not installed")
    return address.format(host=host)
