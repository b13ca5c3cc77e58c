"""Staff screens: one module per family; registering happens on import."""

from __future__ import annotations

from upsell.admin import campaigns, channels, decisions, offers

__all__ = ["campaigns", "channels", "decisions", "offers"]
