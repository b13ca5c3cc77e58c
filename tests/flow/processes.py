"""Starts processes of the shop, hears the steps they take, and sees how they end."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
from django.conf import settings

from tests.flow import killed
from tests.flow.mailing import mails_over

PATIENCE = 30
"""Seconds after which a process that tells nothing fails the test."""
# Forked workers of one loaded program, as in production: each is a process of its own, with
# connections of its own, and starts in some milliseconds.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.flow.loaded", "tests.flow.killed", "tests.flow.faults"])


def mails_in(folder: Path) -> dict[str, Any]:
    """Return the settings that write mail to files, where it outlives a killed process."""
    backend = "django.core.mail.backends.filebased.EmailBackend"
    if django.VERSION >= (6, 1):
        return {"MAILERS": {"default": {"BACKEND": backend, "OPTIONS": {"file_path": folder}}}}
    return {"EMAIL_BACKEND": backend, "EMAIL_FILE_PATH": folder}


TAKEN = (
    "UPSELL_BASE_URL",
    "UPSELL_CLOCK",
    "UPSELL_FULFILMENT_HOLD",
    "UPSELL_WEBHOOKS",
    "UPSELL_WEBHOOK_PRIVATE_HOSTS",
    *mails_in(Path()),
    *mails_over(0),
)
"""The settings that a process takes over from the test that starts it."""


class Started:
    """A process of the shop."""

    def __init__(self, target: Callable[..., None], *words: str, **options: Any) -> None:
        self.steps: list[str] = []
        self._told, theirs = FORKS.Pipe()
        options |= {
            "environment": {
                name: value for name, value in os.environ.items() if name.startswith("UPSELL_")
            },
            "taken": {name: getattr(settings, name) for name in TAKEN if hasattr(settings, name)},
        }
        self._process = FORKS.Process(
            target=target, args=(theirs, *words), kwargs=options, daemon=True
        )
        self._process.start()
        theirs.close()  # so that what it tells ends where it ends
        self.port = self._hear("ready")

    def waits(self) -> None:
        """Return when it stands still, and waits for ``go_on``."""
        self._hear("waits")

    def go_on(self) -> None:
        """Let it go on."""
        self._told.send("go on")

    def kill(self) -> None:
        """Take the power away."""
        self._process.kill()
        self.ended()

    def ended(self) -> int:
        """Wait for the end; return the exit code, minus the signal where one ended it."""
        try:
            self._hear("end")
        except (EOFError, OSError):
            self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode

    def _hear(self, wanted: str) -> Any:
        while True:
            assert self._told.poll(PATIENCE), f"it neither told {wanted!r} nor ended"
            kind, value = self._told.recv()
            if kind == "step":
                self.steps.append(value)
            else:
                assert kind == wanted
                return value


@contextmanager
def server(**options: Any) -> Iterator[Started]:
    """A server of the shop's pages, on a port of its own."""
    made = Started(killed.serve, **options)
    try:
        yield made
    finally:
        made.kill()


def command(*words: str, **options: Any) -> Started:
    """Run a management command in a process of its own, to its end."""
    made = Started(killed.command, *words, **options)
    made.ended()
    return made
