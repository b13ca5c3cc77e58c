"""Signal entry points. They only hurry; forgetting all of them only makes us slower."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from django.apps import apps
from django.conf import settings
from django.dispatch import Signal
from django.utils.module_loading import import_string

from upsell import clock, conf, hooks, signals
from upsell.models import EventInbox
from upsell.services import reporting

logger = logging.getLogger("upsell")

METADATA = "upsell_message"
"""The name under which the sender tells anymail our id of a message."""


def connect() -> None:
    """Wire our own signals, and the ones that the shop's adapter names."""
    for event in hooks.ORDER_EVENTS:
        _wire(getattr(signals, f"order_{event}"), event, whose="own")
    signals.event.connect(_told, dispatch_uid="upsell.own.event", weak=False)
    if apps.is_installed("anymail"):
        tracking = import_string("anymail.signals.tracking")
        tracking.connect(_reported, dispatch_uid="upsell.anymail", weak=False)
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


def _told(sender: Any = None, name: str = "", signal: Any = None, **arguments: Any) -> None:
    """Tell the hook what a signal says. Never raises."""
    hooks.track_from(EventInbox.Source.SIGNAL, name, **arguments)


def _reported(sender: Any = None, event: Any = None, esp_name: str = "", **newer: Any) -> None:
    """Take what a provider reports of a mail, through anymail.

    What raises here is told to the provider, who reports once more.
    """
    reporting.hear(
        provider=esp_name,
        kind=str(event.event_type or ""),
        at=event.timestamp or clock.now(),
        event_id=str(event.event_id or ""),
        message_id=_ours(event.metadata),
        provider_id=str(event.message_id or ""),
        reason=str(event.reject_reason or ""),
        recipient=str(event.recipient or ""),
    )


def _ours(metadata: Any) -> int | None:
    """Return our id of the message: the sender gave it to the provider, who gives it back."""
    told = str((metadata or {}).get(METADATA, ""))
    return int(told) if told.isascii() and told.isdigit() and len(told) < 19 else None


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
