"""The database behind a line that a test cuts, closes, or leads to one that takes no writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from django.db import connection

from tests.tcp_proxy import TcpProxy

PORTS = {"postgresql": 5432, "mysql": 3306}


class Database:
    """The test's own database, as processes of the shop reach it.

    The test itself is connected without the line, so that it can look at any time.
    """

    def __init__(self, line: TcpProxy) -> None:
        self.line = line
        self._name = str(connection.settings_dict["NAME"])

    @property
    def address(self) -> dict[str, str]:
        """What a process of the shop is given as ``database``."""
        told = {"HOST": "127.0.0.1", "PORT": str(self.line.port)}
        return told | ({"USER": self._user} if connection.vendor == "mysql" else {})

    @property
    def _user(self) -> str:
        return f"{self._name}_line"[:80]

    def lose_the_answer_to_a_commit(self) -> None:
        """The next commit is done, and who sent it never learns that it was."""
        self.line.cut_at(COMMIT[connection.vendor], answered=True)

    def open(self) -> None:
        if connection.vendor == "mysql":
            self._tell(f"CREATE USER IF NOT EXISTS '{self._user}'@'%'")
            self._tell(f"GRANT ALL ON `{self._name}`.* TO '{self._user}'@'%'")

    def close(self) -> None:
        if connection.vendor == "mysql":
            self._tell(f"DROP USER '{self._user}'@'%'")

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Every connection is lost, once; the next one is as good as ever."""
        self.line.cut()
        yield

    @contextmanager
    def down(self) -> Iterator[None]:
        """Nobody reaches it while in here."""
        with self.line.closed():
            yield

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """It takes no writes of theirs while in here, as after a change to a copy.

        Only of this database, or of the one user of the line: no other test on the server is
        touched.
        """
        on, off = READ_ONLY[connection.vendor]
        names = {"name": self._name, "user": self._user}
        self._tell(on.format(**names))
        self.line.cut()
        try:
            yield
        finally:
            self._tell(off.format(**names))
            self.line.cut()

    def _tell(self, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)


READ_ONLY = {
    "postgresql": (
        'ALTER DATABASE "{name}" SET default_transaction_read_only = on',
        'ALTER DATABASE "{name}" RESET default_transaction_read_only',
    ),
    "mysql": (
        "REVOKE INSERT, UPDATE, DELETE ON `{name}`.* FROM '{user}'@'%'",
        "GRANT ALL ON `{name}`.* TO '{user}'@'%'",
    ),
}
"""How it stops taking writes, and how it takes them again."""
COMMIT = {"postgresql": b"COMMIT\x00", "mysql": b"\x03COMMIT"}
"""How it is said on the line: the isolation level READ COMMITTED is no commit."""

TROUBLE: dict[str, Callable[[Database], AbstractContextManager[None]]] = {
    "cut": Database.cut,
    "down": Database.down,
    "read-only": Database.read_only,
}
