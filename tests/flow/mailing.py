"""A real mail server behind a line that tests break, and what it took."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from typing import Any

import django

from tests.tcp_proxy import TcpProxy

PATIENCE_SECONDS = 1.0
"""After which the shop gives up on a mail server: Django's EMAIL_TIMEOUT."""


class MailServer:
    """Keeps what it took; says no as often as it is told to."""

    def __init__(self) -> None:
        self.taken: list[Message] = []
        self.refuses = 0
        self.answers: list[str] = []
        """What it says to the next mails, instead of taking them."""
        self.addresses: dict[str, str] = {}
        """What it says to these addresses, in lower case."""
        self.sleeps_seconds = 0.0
        """How long it thinks about each mail that it has taken."""

    async def handle_RCPT(
        self, session: Any, connection: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        answer = self.addresses.get(address.lower(), "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, session: Any, connection: Any, envelope: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        if self.refuses:
            self.refuses -= 1
            return "451 Not now"
        self.taken.append(message_from_bytes(envelope.content))
        if self.sleeps_seconds:
            await asyncio.sleep(self.sleeps_seconds)
        return "250 Taken"

    def copies(self) -> Counter[str]:
        """How many mails there are of each Message-ID."""
        return Counter(str(mail["Message-ID"]) for mail in self.taken)

    @property
    def names(self) -> list[str]:
        """The Message-IDs of the confirmations."""
        return [
            str(mail["Message-ID"])
            for mail in self.taken
            if ".confirmation." in str(mail["Message-ID"]).lower()
        ]


class Post:
    """A mail server and the line to it."""

    def __init__(self, line: TcpProxy, mails: MailServer) -> None:
        self.line, self.mails = line, mails

    @contextmanager
    def down(self) -> Iterator[None]:
        with self.line.closed():
            yield

    @contextmanager
    def cut_in_the_middle(self) -> Iterator[None]:
        """The mail's text has begun and does not end."""
        self.line.cut_at(b"Message-ID")
        yield
        assert self.line.went_off()

    @contextmanager
    def cut_before_it_is_taken(self) -> Iterator[None]:
        """The server has the whole mail, and nobody hears that it took it."""
        self.line.cut_at(b"\r\n.\r\n", answered=True)
        yield
        assert self.line.went_off()

    @contextmanager
    def late(self, seconds: float) -> Iterator[None]:
        self.line.latency_seconds = seconds
        yield
        self.line.latency_seconds = 0.0

    @contextmanager
    def refusing(self) -> Iterator[None]:
        self.mails.refuses = 1
        yield


_OLDER = {
    "use_tls": "EMAIL_USE_TLS",
    "username": "EMAIL_HOST_USER",
    "password": "EMAIL_HOST_PASSWORD",
}
"""The names that options had before ``MAILERS``."""


@contextmanager
def told_to(settings: Any, **options: Any) -> Iterator[None]:
    """Let the shop talk to its mail server otherwise, for a while."""
    if django.VERSION >= (6, 1):
        before = settings.MAILERS
        mailer = before["default"]
        changed = {**mailer, "OPTIONS": {**mailer["OPTIONS"], **options}}
        settings.MAILERS = {**before, "default": changed}
        yield
        settings.MAILERS = before
        return
    held = {name: getattr(settings, _OLDER[name]) for name in options}
    for name, value in options.items():
        setattr(settings, _OLDER[name], value)
    yield
    for name, value in held.items():
        setattr(settings, _OLDER[name], value)


def mails_over(port: int) -> dict[str, Any]:
    """Return the settings that send mail over a port here."""
    backend = "django.core.mail.backends.smtp.EmailBackend"
    if django.VERSION >= (6, 1):
        options = {"host": "127.0.0.1", "port": port, "timeout": PATIENCE_SECONDS}
        return {"MAILERS": {"default": {"BACKEND": backend, "OPTIONS": options}}}
    return {
        "EMAIL_BACKEND": backend,
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": port,
        "EMAIL_TIMEOUT": PATIENCE_SECONDS,
    }
