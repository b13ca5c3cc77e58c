"""Idempotency keys as Stripe keeps them, which localstripe does not.

Source: docs.stripe.com/api/idempotent_requests. The first answer of a key is kept whatever it is,
a 500 included, from the moment the endpoint begins to execute. Parameters that are wrong in
themselves, and a request that meets another under way, leave nothing behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.stripe.errors import Refused
from tests.stripe.wire import Answer

LONGEST = 255


@dataclass
class _Entry:
    path: str
    parameters: dict[str, Any]
    answer: Answer | None = None
    """None while the first request is under way."""


class Keys:
    """All keys of the account. Used in the proxy's event loop only."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def clear(self) -> None:
        self._entries.clear()

    def forget(self, key: str) -> None:
        """Do as Stripe does with a key that is 24 hours old."""
        self._entries.pop(key, None)

    async def once(
        self,
        key: str,
        path: str,
        parameters: dict[str, Any],
        execute: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """Execute, or replay what the key's first request was answered.

        ``execute`` returns what is kept, errors included, and raises where nothing is.

        Raises:
            Refused: Other parameters or another endpoint than at first; the first is under way.
        """
        if not key:
            return await execute()
        if len(key) > LONGEST:
            raise Refused(400, f"Idempotency keys have at most {LONGEST} characters.")
        if key in self._entries:
            return self._replayed(key, self._entries[key], path, parameters)
        entry = self._entries[key] = _Entry(path, parameters)
        try:
            entry.answer = await execute()
        except BaseException:
            self._entries.pop(key, None)
            raise
        return entry.answer.with_headers(Idempotency_Key=key)

    def _replayed(self, key: str, entry: _Entry, path: str, parameters: dict[str, Any]) -> Answer:
        otherwise = f"Try using a key other than '{key}' if you meant a different request."
        if path != entry.path:
            raise Refused(
                400,
                "Keys for idempotent requests can only be used for the same endpoint they were"
                f" first used for ('{entry.path}' vs '{path}'). {otherwise}",
                kind="idempotency_error",
            )
        if parameters != entry.parameters:
            raise Refused(
                400,
                "Keys for idempotent requests can only be used with the same parameters they were"
                f" first used with. {otherwise}",
                kind="idempotency_error",
            )
        if entry.answer is None:
            raise Refused(
                409,
                "There is currently another in-progress request using this Idempotent Key (that"
                f" probably means you submitted twice): {key}",
                kind="idempotency_error",
                code="idempotency_key_in_use",
            )
        return entry.answer.with_headers(Idempotency_Key=key, Idempotent_Replayed="true")
