"""What is read from a file of staff's: JSON that every database can keep."""

from __future__ import annotations

import json
from typing import Any


def ensure_storable(told: Any) -> None:
    """Refuse what no database keeps as text or JSON: NaN, NUL, and half a character.

    Raises:
        ValueError: There is such a thing.
        RecursionError: It is nested too deeply.
    """
    flat = json.dumps(told, ensure_ascii=False, allow_nan=False)
    flat.encode()
    if "\\u0000" in flat:
        raise ValueError("NUL")
