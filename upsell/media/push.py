"""Messages on a buyer's device: what a backend is, and two of them.

How browsers and apps are reached is the shop's: web push by VAPID, an app's own service, a
messenger. The how-to on messages has web push, worked out.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Protocol

from upsell.exceptions import UpsellError


class PushRefused(UpsellError):
    """The service did not take it.

    ``retry``: it may be asked again. ``gone``: there is no such device any more, and nobody is
    written to there again.
    """

    def __init__(self, message: str, *, retry: bool = False, gone: bool = False) -> None:
        super().__init__(message)
        self.retry, self.gone = retry, gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a device shows."""

    to: str
    """Where: what ``Shop.contact(who, "push")`` gave. Nobody but the shop reads it."""
    title: str
    body: str
    url: str
    """Where a tap leads; absolute."""
    language: str
    idempotency_key: str
    """The same for the same message, however often it is tried."""
    seconds: int
    """How long a service may hold it for a device that is off."""


class PushBackend(Protocol):
    """What sends to a device. Called at most once a message, unless it says ``retry``."""

    def send(self, notice: Notice) -> str:
        """Send; return the service's id of it.

        Raises:
            PushRefused: It was not taken. Anything else that is raised: nobody knows.
        """
        ...


class ConsolePush:
    """Prints messages, for development."""

    def send(self, notice: Notice) -> str:
        sys.stdout.write(f"To {notice.to}: {notice.title}\n{notice.body}\n{notice.url}\n")
        return notice.idempotency_key


class LocmemPush:
    """Keeps messages in ``outbox``, for tests."""

    outbox: list[Notice] = []

    def send(self, notice: Notice) -> str:
        self.outbox.append(notice)
        return notice.idempotency_key
