"""System checks: where this app stands, said before an offer is silently not shown."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks

from upsell.checks import unread
from upsell.contrib.oscar import conf


def register() -> None:
    """Register every check."""
    checks.register(check_oscar, "upsell")


def check_oscar(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Oscar is there, this app comes before it, and our settings hold what they may."""
    if find_spec("oscar") is None:
        hint = 'Install it: pip install "django-upsell[oscar]".'
        told = "upsell.contrib.oscar needs the package django-oscar."
        return [checks.Error(told, hint=hint, id="upsell.E201")]
    found: list[checks.CheckMessage] = []
    names = [config.name for config in apps.get_app_configs()]
    if "oscar" in names and names.index("oscar") < names.index("upsell.contrib.oscar"):
        told = "upsell.contrib.oscar stands after Oscar in INSTALLED_APPS: Oscar's own thank-you "
        told += "page is found first, and no offer is shown."
        hint = 'Move the line "upsell.contrib.oscar" above "oscar.config.Shop".'
        found.append(checks.Error(told, hint=hint, id="upsell.E202"))
    way = conf.get("UPSELL_OSCAR_CHANNEL")
    if way not in {"site", "partner"}:
        told = f'UPSELL_OSCAR_CHANNEL must be "site" or "partner", and is {way!r}.'
        found.append(checks.Error(told, id="upsell.E203"))
    for name in ("UPSELL_OSCAR_CANCELLED", "UPSELL_OSCAR_RELEASED"):
        if isinstance(value := conf.get(name), str):
            told = f"{name} must be a list of order statuses, and is one text."
            found.append(checks.Error(told, hint=f"Write [{value!r}].", id="upsell.E204"))
    return found + unread(dir(settings), "UPSELL_OSCAR_", conf.DEFAULTS, code="upsell.W201")
