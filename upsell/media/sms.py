"""Text messages: what a backend is, and three of them. A provider's own is 20 lines in the shop."""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Protocol

from upsell import conf
from upsell.exceptions import UpsellError

E164 = re.compile(r"\+[1-9]\d{6,14}")
SECONDS = 10


class SmsRefused(UpsellError):
    """The provider did not take it; ``retry`` says whether it may be asked again."""

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


class SmsBackend(Protocol):
    """What sends a text message. Called at most once a message, unless it says ``retry``."""

    def send(self, to: str, text: str, idempotency_key: str) -> str:
        """Send; return the provider's id of it.

        Args:
            to: The number in E.164, such as ``+4915112345678``.
            text: At most 480 characters.
            idempotency_key: The same for the same message, however often it is tried.

        Raises:
            SmsRefused: It was not taken. Anything else that is raised: nobody knows.
        """
        ...


class ConsoleSms:
    """Prints messages, for development."""

    def send(self, to: str, text: str, idempotency_key: str) -> str:
        sys.stdout.write(f"SMS to {to}: {text}\n")
        return idempotency_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A message that ``LocmemSms`` kept."""

    to: str
    text: str
    idempotency_key: str


class LocmemSms:
    """Keeps messages in ``outbox``, for tests."""

    outbox: list[Sent] = []

    def send(self, to: str, text: str, idempotency_key: str) -> str:
        self.outbox.append(Sent(to=to, text=text, idempotency_key=idempotency_key))
        return idempotency_key


class HttpSms:
    """Posts ``{"to", "text", "key"}`` as JSON to ``UPSELL_SMS_URL``, with a bearer token.

    A 2xx has taken it, a 4xx never will, a 429 or 503 may later.
    """

    def send(self, to: str, text: str, idempotency_key: str) -> str:
        body = json.dumps({"to": to, "text": text, "key": idempotency_key}).encode()
        url = str(conf.get("UPSELL_SMS_URL"))
        if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise SmsRefused("UPSELL_SMS_URL must be https", retry=False)
        request = urllib.request.Request(url, data=body, method="POST")  # noqa: S310 - checked
        request.add_header("Content-Type", "application/json")
        request.add_header("Idempotency-Key", idempotency_key)
        token = conf.get("UPSELL_SMS_TOKEN")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
                told: Any = answer.read(10_000)
        except urllib.error.HTTPError as error:
            retry = error.code in {429, 503}
            if 400 <= error.code < 500 or retry:
                raise SmsRefused(f"status {error.code}", retry=retry) from error
            raise
        try:
            return str(json.loads(told).get("id", ""))[:190]
        except (ValueError, AttributeError):
            return ""
