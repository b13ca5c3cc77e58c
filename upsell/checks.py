"""System checks: what is missing or wrong in the settings, said before a buyer finds it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import checks

from upsell import conf
from upsell.exceptions import ConfigurationError

_NEEDED = ("order", "products", "availability", "may_act", "quote", "hold", "release", "apply")


def register() -> None:
    """Register every check."""
    checks.register(check_shop, "upsell")
    checks.register(check_settings, "upsell")
    checks.register(check_database, "upsell")


def check_shop(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """The adapter and the gateways can be imported and have what is called."""
    try:
        shop = conf.shop()
        conf.gateways()
    except ConfigurationError as error:
        return [
            checks.Error(
                str(error),
                hint="Set it to the dotted path of your adapter; see docs/how-to/adapter.md.",
                id="upsell.E001",
            )
        ]
    found: list[checks.CheckMessage] = [
        checks.Error(
            f"{type(shop).__name__} has no method {name}()",
            hint="Derive your adapter from upsell.ports.BaseShop.",
            id="upsell.E002",
        )
        for name in _NEEDED
        if not callable(getattr(shop, name, None))
    ]
    found += [
        checks.Error(
            f"{type(shop).__name__}.signals names {path} for {event}",
            hint="It fires on every save, inside the transaction: name a signal of its own.",
            id="upsell.E003",
        )
        for event, path in shop.signals.items()
        if path.endswith((".post_save", ".pre_save"))
    ]
    return found


def check_settings(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Durations are durations."""
    return [
        checks.Error(
            f"{name} must be a timedelta, and is {conf.get(name)!r}",
            hint="For example timedelta(minutes=30).",
            id="upsell.E004",
        )
        for name, default in conf.DEFAULTS.items()
        if isinstance(default, timedelta) and not isinstance(conf.get(name), timedelta)
    ]


def check_database(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """SQLite takes its write lock at the start of a transaction, or two buyers collide."""
    database: Any = settings.DATABASES.get("default", {})
    options: dict[str, Any] = database.get("OPTIONS") or {}
    if not str(database.get("ENGINE", "")).endswith("sqlite3"):
        return []
    if str(options.get("transaction_mode", "")).upper() == "IMMEDIATE":
        return []
    return [
        checks.Warning(
            "SQLite without transaction_mode IMMEDIATE answers 'database is locked' under load.",
            hint='Add "OPTIONS": {"transaction_mode": "IMMEDIATE"} to the database.',
            id="upsell.W001",
        )
    ]
