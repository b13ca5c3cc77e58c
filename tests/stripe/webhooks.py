"""Events in Stripe's shape, collected; signed and delivered when a test says so, and how badly.

Stripe delivers at least once, in any order, for three days; so can a test: twice, shuffled, with
an old or a wrong signature, with another account or another amount in it.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import hmac
import http.client
import itertools
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.stripe.wire import fetch

Event = dict[str, Any]
API_VERSION = "2025-09-30.clover"
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One request to the shop, as it goes out."""

    event: Event
    body: bytes
    signature: str | None

    @property
    def headers(self) -> dict[str, str]:
        signed = {} if self.signature is None else {"Stripe-Signature": self.signature}
        return {"Content-Type": "application/json; charset=utf-8", **signed}


class Webhooks:
    """The endpoint as it is set up at Stripe: its secret, its account, where it is."""

    def __init__(self) -> None:
        self.secret = "whsec_upsell_tests"
        self.clear()

    def clear(self) -> None:
        self.account: str | None = "acct_upsell"
        """None leaves it out, as Stripe does where no Connect platform is between."""
        self.livemode = False
        self.events: list[Event] = []
        self.delivered: list[tuple[str, int]] = []
        """What automatic delivery did: (event id, status), 0 where nobody answered."""
        self._target = ""
        self._delay_seconds = 0.0
        self._times = 1
        for task in getattr(self, "_under_way", ()):
            task.cancel()
        self._under_way: set[asyncio.Task[None]] = set()

    # Making events; called in the proxy's loop

    def emit(self, name: str, about: dict[str, Any]) -> Event:
        event = {
            "id": f"evt_{next(_numbers):014d}",
            "object": "event",
            "account": self.account,
            "api_version": API_VERSION,
            "created": int(time.time()),
            "data": {"object": copy.deepcopy(about)},
            "livemode": self.livemode,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": name,
        }
        if self.account is None:
            del event["account"]
        self.events.append(event)
        if self._target:
            task = asyncio.get_running_loop().create_task(self._deliver_soon(event))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return event

    async def _deliver_soon(self, event: Event) -> None:
        if self._delay_seconds:
            await asyncio.sleep(self._delay_seconds)
        sent = self.signed(event)
        for _ in range(self._times):
            try:
                answer = await fetch("POST", self._target, headers=sent.headers, body=sent.body)
                self.delivered.append((event["id"], answer.status))
            except OSError:
                self.delivered.append((event["id"], 0))

    async def settled(self) -> None:
        """Return once automatic delivery has nothing under way."""
        while self._under_way:
            await asyncio.gather(*self._under_way)

    # For tests

    def find(self, name: str = "", *, payment_intent: str = "") -> list[Event]:
        """Return the events so far, oldest first, of this name and about this intent."""
        return [
            event
            for event in list(self.events)
            if name in ("", event["type"])
            and payment_intent
            in ("", event["data"]["object"]["id"], event["data"]["object"].get("payment_intent"))
        ]

    def deliver_to(self, url: str, *, delay_seconds: float = 0, times: int = 1) -> None:
        """Deliver every event from now on as it happens; an empty address ends that."""
        self._target, self._delay_seconds, self._times = url, delay_seconds, times

    def signed(
        self,
        event: Event,
        *,
        secret: str | None = None,
        unsigned: bool = False,
        tampered: bool = False,
        age_seconds: float = 0,
        account: str | None = None,
        livemode: bool | None = None,
        changes: dict[str, Any] | None = None,
    ) -> Delivery:
        """Return the request that delivers this event.

        Args:
            secret: Sign with this one instead of the endpoint's.
            unsigned: Leave the signature out.
            tampered: Change a byte of the body after signing.
            age_seconds: How long ago it was signed; negative for the future.
            account, livemode: In place of what the event says.
            changes: Fields of the event's object, such as ``{"amount": 1}``; they are signed.
        """
        sent = copy.deepcopy(event)
        sent["data"]["object"] |= changes or {}
        sent |= {} if account is None else {"account": account}
        sent |= {} if livemode is None else {"livemode": livemode}
        body = json.dumps(sent, indent=2).encode()
        at = int(time.time() - age_seconds)
        with_secret = (self.secret if secret is None else secret).encode()
        digest = hmac.new(with_secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        return Delivery(
            event=sent,
            body=body + b" " if tampered else body,
            signature=None if unsigned else f"t={at},v1={digest}",
        )

    def deliver(
        self,
        to: str | Callable[[Delivery], Any],
        events: Sequence[Event] | None = None,
        *,
        times: int = 1,
        shuffled: int | None = None,
        **how: Any,
    ) -> list[Any]:
        """Deliver events, each ``times`` times, and return the answers in the order of sending.

        Args:
            to: An address, answered with the statuses; or what takes a delivery, such as one
                that posts through Django's test client.
            events: All that were collected, unless given.
            shuffled: A seed: send them in another order.
            how: As ``signed`` takes it.
        """
        chosen = list(self.events if events is None else events) * times
        if shuffled is not None:
            random.Random(shuffled).shuffle(chosen)
        send = to if callable(to) else lambda delivery: _posted(to, delivery)
        return [send(self.signed(event, **how)) for event in chosen]


def _posted(url: str, delivery: Delivery) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.request("POST", parts.path or "/", delivery.body, delivery.headers)
        return connection.getresponse().status
    finally:
        connection.close()
