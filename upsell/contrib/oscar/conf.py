"""Every ``UPSELL_OSCAR_*`` setting: name, default, meaning. Read when used, never at import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

DEFAULTS: Mapping[str, Any] = {
    "UPSELL_OSCAR_CHANNEL": "site",  # what a sales channel is: "site" or "partner"
    "UPSELL_OSCAR_CANCELLED": ("Cancelled", "Canceled"),  # order statuses that mean cancelled
    "UPSELL_OSCAR_RELEASED": ("Packed", "Shipped", "Complete", "Delivered"),  # may not change
}


def get(name: str) -> Any:
    """Return a setting, or its default. KeyError for a name that is not ours."""
    return getattr(settings, name, DEFAULTS[name])
