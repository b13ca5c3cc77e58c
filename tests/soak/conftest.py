"""The fixtures of ``tests/flow``: a clock of all processes, and a database behind a line."""

from __future__ import annotations

from tests.flow.conftest import database, noon

__all__ = ["database", "noon"]
