"""Signal entry points. They only hurry; forgetting all of them only makes us slower."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from django.conf import settings
from django.dispatch import Signal
from django.utils.module_loading import import_string

from upsell import conf, hooks, signals

logger = logging.getLogger("upsell")


def connect() -> None:
    """Wire our own signals, and the ones that the shop's adapter names."""
    for event in hooks.ORDER_EVENTS:
        _wire(getattr(signals, f"order_{event}"), event, whose="own")
    try:
        named = import_string(getattr(settings, "UPSELL_SHOP", "")).signals
    except (AttributeError, ImportError):
        return  # a system check says so
    for event, path in named.items():
        try:
            signal = import_string(path)
        except ImportError:
            continue  # a system check says so
        if event in hooks.ORDER_EVENTS:
            _wire(signal, event, whose="host")


def _wire(signal: Signal, event: str, *, whose: str) -> None:
    signal.connect(partial(_heard, event), dispatch_uid=f"upsell.{whose}.{event}", weak=False)


def _heard(event: str, sender: Any = None, **arguments: Any) -> None:
    """Turn the host's order into a reference, and tell the hook. Never raises."""
    try:
        order_ref = arguments.get("order_ref")
        if order_ref is None:
            thing = arguments.get("order", arguments.get("instance"))
            if thing is None:
                logger.warning("order %s: the signal has no order, order_ref or instance", event)
                return
            order_ref = conf.shop().ref(thing)
        hooks.ORDER_EVENTS[event](order_ref=str(order_ref))
    except Exception:
        # The host's checkout is on the other side: nothing of ours may pass.
        logger.exception("the signal of an order %s could not be taken", event)
