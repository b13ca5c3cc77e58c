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
    _tell(NOON + timedelta(minutes=minutes, seconds=seconds))


def half_minutes(*, minutes: float) -> Iterator[None]:
    """Let so many minutes pass, half a one at a time, as a scheduler sees them."""
    for _ in range(int(minutes * 2)):
        pass_by(timedelta(seconds=30))
        yield


def pass_by(time: timedelta) -> None:
    """Let so much time pass."""
    _tell(told() + time)


def _tell(time: datetime) -> None:
    """Write it whole: other processes read it at any moment."""
    written = _file().with_suffix(".next")
    written.write_text(time.isoformat())
    written.replace(_file())


def _file() -> Path:
    return Path(os.environ["UPSELL_TEST_CLOCK"])
