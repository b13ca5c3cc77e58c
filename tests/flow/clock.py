"""The one clock of all processes of a test: a time in a file, moved by the test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

NOON = datetime(2026, 6, 10, 12, 0, tzinfo=UTC)


def told() -> datetime:
    """Return the time of the file that ``UPSELL_TEST_CLOCK`` names; ``UPSELL_CLOCK`` names this."""
    return datetime.fromisoformat(_file().read_text())


def set_to(*, minutes: float = 0, seconds: float = 0) -> None:
    """Set the clock to so long after noon."""
    _file().write_text((NOON + timedelta(minutes=minutes, seconds=seconds)).isoformat())


def half_minutes(*, minutes: float) -> Iterator[None]:
    """Let so many minutes pass, half a one at a time, as a scheduler sees them."""
    for _ in range(int(minutes * 2)):
        _file().write_text((told() + timedelta(seconds=30)).isoformat())
        yield


def _file() -> Path:
    return Path(os.environ["UPSELL_TEST_CLOCK"])
