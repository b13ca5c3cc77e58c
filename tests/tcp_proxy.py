"""A line between a client and a server that a test makes slow, cuts, and closes.

It stands before a database or a mail server, knows nothing of what they say, and runs in a thread
of the test's process, on the loopback only.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tests.stripe.wire import reset

SOON_SECONDS = 10


@dataclass(kw_only=True)
class _Cut:
    """The next connection on which the client says these words is cut."""

    words: bytes
    answered: bool
    """The server hears them, and only its answer is lost."""


class TcpProxy:
    """Listens at ``port`` while started, and hands on what it hears to ``host`` and ``target``."""

    def __init__(self, host: str, target: int) -> None:
        self.host, self.target = host, target
        self.port = 0
        self.latency_seconds = 0.0
        """How long each thing that a client says is on its way."""
        self.opened = 0
        """Connections so far."""
        self.cuts = 0
        """Connections that were cut."""
        self._armed: list[_Cut] = []
        self._open: set[_Line] = set()
        self._socket: socket.socket | None = None
        self._listens = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> TcpProxy:
        self._thread.start()
        self._socket = _bound(0)
        self.port = self._socket.getsockname()[1]
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        assert self._socket is not None
        self._socket.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # ---------------------------------------------------------------- what a test does

    def cut(self) -> int:
        """Cut every connection (RST); return how many there were."""
        return self._run(self._cut_all())

    def down(self) -> None:
        """Cut every connection and refuse new ones."""
        self._run(self._down())

    def up(self) -> None:
        """Take connections again."""
        self._run(self._up())

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Be down while in here."""
        self.down()
        try:
            yield
        finally:
            self.up()

    def cut_at(self, words: bytes, *, answered: bool = False) -> None:
        """Cut the next connection on which a client says these words, once.

        Args:
            answered: The server hears them and does what they say; the client never learns it.
        """
        self._armed.append(_Cut(words=words, answered=answered))

    def disarm(self) -> None:
        """Cut at no words any more."""
        self._armed.clear()

    def went_off(self) -> bool:
        """Whether everything that was armed has struck."""
        return not self._armed

    # ---------------------------------------------------------------- in the loop

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SOON_SECONDS)

    async def _up(self) -> None:
        assert self._socket is not None
        if not self._listens:
            self._socket.listen(256)
            self._loop.add_reader(self._socket.fileno(), self._accept)
            self._listens = True

    async def _down(self) -> None:
        assert self._socket is not None
        if self._listens:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = _bound(self.port)  # bound and not listening: refused
            self._listens = False
        await self._cut_all()
        await asyncio.gather(*self._tasks)

    def _accept(self) -> None:
        """Take one connection; asyncio's own server forgets those that come while it closes."""
        assert self._socket is not None
        with suppress(BlockingIOError, ConnectionAbortedError):
            front, _address = self._socket.accept()
            task = self._loop.create_task(self._serve(front))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _cut_all(self) -> int:
        lines = list(self._open)
        for line in lines:
            line.cut()
        return len(lines)

    async def _serve(self, front: socket.socket) -> None:
        self.opened += 1
        reader, writer = await asyncio.open_connection(sock=front)
        try:
            behind = await asyncio.open_connection(self.host, self.target)
        except OSError:
            reset(writer)
            return
        line = _Line(self, (reader, writer), behind)
        if not self._listens:  # it was closed while this one came in
            line.cut()
            return
        self._open.add(line)
        try:
            await line.talk()
        finally:
            self._open.discard(line)

    def struck(self, said: bytes) -> _Cut | None:
        """Return what was armed for these words, and disarm it."""
        for armed in self._armed:
            if armed.words in said:
                self._armed.remove(armed)
                return armed
        return None


class _Line:
    """One connection."""

    def __init__(self, proxy: TcpProxy, front: Any, behind: Any) -> None:
        self._proxy, self._front, self._behind = proxy, front, behind
        self._deaf = False

    def cut(self) -> None:
        self._proxy.cuts += 1
        for _, writer in (self._front, self._behind):
            if not writer.transport.is_closing():
                reset(writer)

    async def talk(self) -> None:
        """Hand on until either side ends."""
        ways = (
            self._pump(self._front[0], self._behind[1], self._forth),
            self._pump(self._behind[0], self._front[1], self._back),
        )
        try:
            await asyncio.gather(*ways)
        except OSError:
            self.cut()
        finally:
            for _, writer in (self._front, self._behind):
                writer.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        passes: Callable[[bytes], Coroutine[Any, Any, bool]],
    ) -> None:
        while said := await reader.read(65536):
            if not await passes(said):
                return
            writer.write(said)
            await writer.drain()
        if writer.can_write_eof() and not writer.transport.is_closing():
            writer.write_eof()

    async def _forth(self, said: bytes) -> bool:
        armed = self._proxy.struck(said)
        if armed is not None:
            self._deaf = armed.answered
            if not armed.answered:
                self.cut()
                return False
        if self._proxy.latency_seconds:
            await asyncio.sleep(self._proxy.latency_seconds)
        return True

    async def _back(self, said: bytes) -> bool:
        if self._deaf:
            self.cut()
        return not self._deaf


def _bound(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.setblocking(False)
    return made
