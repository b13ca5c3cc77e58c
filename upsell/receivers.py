"""Signal entry points. They only hurry; forgetting all of them only makes us slower."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from upsell import hooks, signals

logger = logging.getLogger("upsell")

_GONE = {"changed", "cancelled", "refunded", "returned"}


def connect() -> None:
    """Wire our own signals, and the ones that the shop's adapter names."""
    for event in _GONE:
        signal = getattr(signals, f"order_{event}")
        signal.connect(_order_changed, dispatch_uid=f"upsell.order_{event}", weak=False)
    path = getattr(settings, "UPSELL_SHOP", "")
    if not path:
        return
    try:
        adapter = import_string(path)
    except ImportError:
        return  # a system check says so
    for event, name in adapter.signals.items():
        if event in _GONE:
            import_string(name).connect(
                _order_changed, dispatch_uid=f"upsell.host_{event}", weak=False
            )


def _order_changed(sender: Any, **arguments: Any) -> None:
    order_ref = arguments.get("order_ref")
    if order_ref is None:
        thing = arguments.get("order", arguments.get("instance"))
        order_ref = getattr(thing, "pk", thing)
    if order_ref is not None:
        hooks.order_changed(order_ref=str(order_ref))
