"""Processes of the shop that tell each step they take, and are killed at the one they are told.

A step is the moment before or after a commit, a write that commits by itself, a call of the
payment provider, a call of the shop's fulfilment, or a mail. Commits of sessions count as well.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from functools import wraps
from multiprocessing.connection import Connection
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler, WSGIServer
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from example_shop.payments import CardGateway
from upsell import conf

PATIENCE = 20
"""Seconds until a crowd that does not come together fails the test."""
ASKED = ("charge", "refund", "find", "resume", "cancel")
"""What the provider is asked."""


class Life:
    """One process: its steps count from when it is ready, and it dies at one of them."""

    def __init__(
        self, told: Connection, *, deadly: int, stop: int, silent: bool, crowd: int
    ) -> None:
        self.crowd = threading.Barrier(crowd, timeout=PATIENCE)
        self._told = told
        self._deadly, self._stop, self._silent = deadly, stop, silent
        self._lock = threading.Lock()
        self._steps: int | None = None

    def tell(self, kind: str, value: object = None) -> None:
        """Tell the test; what was told is known there even if this process dies next."""
        with self._lock:
            self._told.send((kind, value))

    def ready(self, value: object = None) -> None:
        """Count from here."""
        self.tell("ready", value)
        self._steps = 0

    def counts(self, *, from_here: bool) -> None:
        """Count steps anew from here; or none from here on."""
        self._steps = 0 if from_here else None

    def wait(self) -> None:
        """Stand still until the test says go on."""
        self.tell("waits")
        self._told.recv()

    def step(self, name: str) -> None:
        """Count; die at the chosen one, no clean-up, no rollback, as on a power cut; or wait."""
        if self._steps is None:
            return
        if not self._silent:
            self.tell("step", name)
        self._steps += 1
        if self._steps == self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._steps == self._stop:
            self.wait()

    def around(self, owner: type, method: str, name: str) -> None:
        """Make a step of the moment before a method, and one of the moment after."""
        original = getattr(owner, method)

        @wraps(original)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.step(f"before {name}")
            answer = original(*args, **kwargs)
            self.step(f"after {name}")
            return answer

        setattr(owner, method, counted)

    def around_writes(self, connection: BaseDatabaseWrapper, **_kwargs: object) -> None:
        """Make steps around each statement that writes outside a transaction."""
        if self._write not in connection.execute_wrappers:
            connection.execute_wrappers.append(self._write)

    def _write(self, execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        inside = args[-1]["connection"].in_atomic_block
        if inside or not sql.startswith(("INSERT", "UPDATE", "DELETE")):
            return execute(sql, *args)
        self.step("before write")
        answer = execute(sql, *args)
        self.step("after write")
        return answer


def serve(told: Connection, *, threads: bool = False, **options: Any) -> None:
    """Serve the shop's pages on a port that the system picks, until killed."""
    life = _begun(told, **options)
    made = (Crowded if threads else WSGIServer)(("127.0.0.1", 0), Quiet)
    made.set_app(get_wsgi_application())
    life.ready(made.server_port)
    made.serve_forever()


def command(told: Connection, *words: str, **options: Any) -> None:
    """Run a management command once."""
    _begun(told, **options).ready()
    call_command(*words)


def _begun(
    told: Connection,
    *,
    deadly: int = 0,
    stop: int = 0,
    silent: bool = False,
    crowd: int = 1,
    fault: Callable[[Life], None] | None = None,
    database: Mapping[str, object] | None = None,
    environment: Mapping[str, str],
    taken: Mapping[str, object],
) -> Life:
    """Take over the test's environment and settings, arrange the fault, and make the steps.

    A ``silent`` one tells no step: nobody has to listen to it for as long as it lives.
    ``database`` names another way to the same database: HOST, PORT, USER.
    """
    os.environ.update(environment)
    for name, value in taken.items():
        setattr(settings, name, value)
    connection.settings_dict.update(database or {})
    life = Life(told, deadly=deadly, stop=stop, silent=silent, crowd=crowd)
    if fault is not None:
        fault(life)
    connection_created.connect(life.around_writes, weak=False)
    life.around(BaseDatabaseWrapper, "commit", "commit")
    for method in ASKED:
        life.around(CardGateway, method, method)
    life.around(EmailMessage, "send", "mail")
    shop = type(conf.shop())
    life.around(shop, "hold_fulfilment", "hold")
    life.around(shop, "release_fulfilment", "release")
    return life


class Crowded(ThreadedWSGIServer):
    """A thread for each of many who come at once."""

    request_queue_size = 128


class Quiet(WSGIRequestHandler):
    """No line in the log for each request."""

    def log_message(self, *args: Any) -> None:
        pass
