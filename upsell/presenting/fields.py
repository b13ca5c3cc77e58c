"""What a template reads fastest."""

from __future__ import annotations

from typing import Any


class Fields:
    """Fields that templates read: they try an item first, and each exception costs them time."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)
