"""One honest click: offers after checkout, and wherever else a buyer has momentum."""

from __future__ import annotations

__version__ = "0.1.0"
