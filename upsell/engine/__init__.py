"""The pure part: values in, values out. ``decide`` and ``explain`` are public."""

from __future__ import annotations

from upsell.engine.deciding import decide
from upsell.engine.explaining import explain

__all__ = ["decide", "explain"]
