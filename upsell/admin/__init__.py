"""Staff screens: one module per family; registering happens on import."""

from __future__ import annotations

from upsell.admin import campaigns, channels, offers

__all__ = ["campaigns", "channels", "offers"]
