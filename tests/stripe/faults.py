"""What a test breaks on purpose: which requests, how often, and in what manner.

A fault strikes either before the request takes effect (``executed=False``) or on the way back
(``executed=True``): the shop cannot tell the two apart, and that is the point.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from fnmatch import fnmatchcase
from typing import Any

from tests.stripe.wire import Answer, Request

SOON_SECONDS = 10


class Manner(Enum):
    """How the connection is treated once there is an answer, or in place of one."""

    ANSWER = auto()
    CLOSE = auto()
    RESET = auto()
    HANG = auto()
    TRUNCATE = auto()


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong with one request."""

    name: str
    executed: bool
    manner: Manner = Manner.ANSWER
    answer: Answer | None = None
    """In place of the true one."""
    recorded: bool = False
    """Whether ``answer`` is also what the idempotency key keeps, as Stripe keeps its own 500s."""
    changes: dict[str, Any] | None = None
    """Fields of the true answer that come out wrong."""
    seconds: float = 0
    """How long it takes, before taking effect or after."""
    hold: Hold | None = None


class Hold:
    """A request that waits until the test lets it go; nobody sleeps.

    ``with stripe.faults.hold() as held:`` arms it; ``held.wait()``, ``held.release()`` and
    ``held.done()`` follow, and leaving the block releases too.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arrived = threading.Event()
        self._released = asyncio.Event()
        self._done = threading.Event()

    def wait(self, *, timeout_seconds: float = SOON_SECONDS) -> None:
        """Return once a request is held.

        Raises:
            TimeoutError: None came.
        """
        if not self._arrived.wait(timeout_seconds):
            raise TimeoutError("no request came to be held")

    def release(self) -> None:
        """Let all go that are held."""
        self._loop.call_soon_threadsafe(self._released.set)

    def done(self, *, timeout_seconds: float = SOON_SECONDS) -> None:
        """Return once a released request has taken effect and been answered."""
        if not self._done.wait(timeout_seconds):
            raise TimeoutError("no request was released and answered")

    def finish(self) -> None:
        self._done.set()

    async def pass_through(self) -> None:
        self._arrived.set()
        await self._released.wait()

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Armed:
    """A fault, the requests it waits for and how many it has struck."""

    def __init__(
        self,
        fault: Fault,
        *,
        times: int | None = 1,
        skip: int = 0,
        method: str = "POST",
        path: str = "*",
        key: str = "*",
        where: Callable[[Request], bool] = lambda request: True,
    ) -> None:
        self.fault = fault
        self.hits = 0
        self._left = times
        self._skip = skip
        self._method, self._path, self._key, self._where = method, path, key, where

    def disarm(self) -> None:
        self._left = 0

    def strikes(self, request: Request) -> bool:
        """Return whether this request is struck, and count it."""
        if self._left == 0 or not (
            fnmatchcase(request.method, self._method)
            and fnmatchcase(request.path, self._path)
            and fnmatchcase(request.key, self._key)
            and self._where(request)
        ):
            return False
        if self._skip:
            self._skip -= 1
            return False
        self._left = None if self._left is None else self._left - 1
        self.hits += 1
        return True


class Faults:
    """Arms faults. Every method takes, by name, which requests it is for:

    ``times`` (1; None = all), ``skip`` (0: how many to let pass first), ``method`` ("POST"),
    ``path`` ("*", such as "/v1/refunds" or "/v1/payment_intents/*/cancel"), ``key`` ("*", the
    idempotency key) and ``where``, called with the request. Patterns are those of ``fnmatch``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[Armed] = []
        self._holds: list[Hold] = []
        self.loop: asyncio.AbstractEventLoop | None = None

    def clear(self) -> None:
        """Disarm all and let go what is held."""
        with self._lock:
            for hold in self._holds:
                hold.release()
            self._armed, self._holds = [], []

    def take(self, request: Request) -> Fault | None:
        """Return what goes wrong with this request; the one armed first strikes first."""
        with self._lock:
            return next((armed.fault for armed in self._armed if armed.strikes(request)), None)

    # Before the request takes effect

    def drop_request(self, **which: Any) -> Armed:
        """It never arrives: the connection is closed and nothing happened."""
        return self._arm(Fault(name="drop_request", executed=False, manner=Manner.CLOSE), which)

    def rate_limit(self, *, retry_after: int = 1, **which: Any) -> Armed:
        """429 with Retry-After."""
        answer = _error(429, "Too many requests.", code="rate_limit")
        answer = answer.with_headers(Retry_After=str(retry_after), Stripe_Should_Retry="true")
        return self._arm(Fault(name="rate_limit", executed=False, answer=answer), which)

    def lock_timeout(self, *, status: int = 429, **which: Any) -> Armed:
        """Another request holds the object. Stripe says 429 today and said 409 before."""
        answer = _error(status, "This object cannot be accessed right now.", code="lock_timeout")
        answer = answer.with_headers(Stripe_Should_Retry="true")
        return self._arm(Fault(name="lock_timeout", executed=False, answer=answer), which)

    def refuse(self, status: int, message: str = "No.", *, kind: str = "", **fields: Any) -> Armed:
        """Any error at all, nothing executed: ``refuse(403, code="…", path="/v1/refunds")``."""
        names = {"times", "skip", "method", "path", "key", "where"}
        which = {name: value for name, value in fields.items() if name in names}
        error = {name: value for name, value in fields.items() if name not in names}
        answer = _error(status, message, kind=kind or "invalid_request_error", **error)
        return self._arm(Fault(name="refuse", executed=False, answer=answer), which)

    # On the way back, the request having taken effect

    def drop_response(self, **which: Any) -> Armed:
        """It took effect; the connection is closed without an answer."""
        return self._arm(Fault(name="drop_response", executed=True, manner=Manner.CLOSE), which)

    def truncate(self, **which: Any) -> Armed:
        """Half of the body, then the end of the connection."""
        return self._arm(Fault(name="truncate", executed=True, manner=Manner.TRUNCATE), which)

    def alter(self, *, changes: dict[str, Any], **which: Any) -> Armed:
        """Success with fields that are wrong: ``alter(changes={"amount": 1})``."""
        return self._arm(Fault(name="alter", executed=True, changes=changes), which)

    # Either

    def server_error(
        self, status: int = 500, *, executed: bool, recorded: bool | None = None, **which: Any
    ) -> Armed:
        """An error of Stripe's own. After taking effect its key keeps the 500, unless told not."""
        answer = _error(status, "An unknown error occurred", kind="api_error")
        answer = answer.with_headers(Stripe_Should_Retry="false")
        fault = Fault(
            name="server_error",
            executed=executed,
            answer=answer,
            recorded=executed if recorded is None else recorded,
        )
        return self._arm(fault, which)

    def html(self, status: int = 502, *, executed: bool = True, **which: Any) -> Armed:
        """A page of something in between, with any status, 200 too."""
        answer = Answer.page(status, "<html><title>Bad gateway</title><h1>Bad gateway</h1></html>")
        return self._arm(Fault(name="html", executed=executed, answer=answer), which)

    def reset(self, *, executed: bool, **which: Any) -> Armed:
        """The connection is reset (RST)."""
        return self._arm(Fault(name="reset", executed=executed, manner=Manner.RESET), which)

    def hang(self, *, executed: bool, **which: Any) -> Armed:
        """No answer until the client gives up."""
        return self._arm(Fault(name="hang", executed=executed, manner=Manner.HANG), which)

    def slow(self, seconds: float, *, executed: bool, **which: Any) -> Armed:
        """Right, and late: after the effect, or with the effect itself late (executed=False)."""
        return self._arm(Fault(name="slow", executed=executed, seconds=seconds), which)

    def hold(self, *, executed: bool = False, **which: Any) -> Hold:
        """Hold requests before they take effect, or after, until the test lets go."""
        assert self.loop is not None
        hold = Hold(self.loop)
        with self._lock:
            self._holds.append(hold)
        self._arm(Fault(name="hold", executed=executed, hold=hold), which)
        return hold

    def _arm(self, fault: Fault, which: dict[str, Any]) -> Armed:
        armed = Armed(fault, **which)
        with self._lock:
            self._armed.append(armed)
        return armed


def _error(
    status: int, message: str, *, kind: str = "invalid_request_error", **fields: Any
) -> Answer:
    return Answer.of(status, {"error": {"type": kind, "message": message, **fields}})
