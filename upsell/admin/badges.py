"""Where a thing stands, as a badge: words first, colour beside them."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString


def badge(code: str, words: str) -> SafeString:
    """Return a badge. ``code`` chooses its colour and is never all it says."""
    return format_html('<span class="upsell-badge upsell-badge-{}">{}</span>', code, words)
