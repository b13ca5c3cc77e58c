"""Every ``UPSELL_*`` setting: name, type, default, meaning. Read when used, never at import."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from upsell.exceptions import ConfigurationError
from upsell.ports import Gateway, Shop

DEFAULTS: Mapping[str, Any] = {
    # name: default — the meaning is in docs/reference/settings.md, from the same words
    "UPSELL_SHOP": "",  # dotted path of the host's Shop adapter; needed
    "UPSELL_GATEWAYS": {},  # payment method code -> dotted path of a Gateway
    "UPSELL_APPROVAL": True,  # may offers be paid on the provider's approval page
    "UPSELL_OFFERS_ENABLED": True,  # first value of the master switch
    "UPSELL_OFFER_LIFETIME": timedelta(minutes=30),  # after checkout; clamped to 5-120 min
    "UPSELL_ACTION_LIFETIME": timedelta(minutes=15),  # time for the bank's challenge
    "UPSELL_UNDO_LIFETIME": timedelta(minutes=30),  # after accept
    "UPSELL_ATTEMPTS": 2,  # tries to collect per offer
    "UPSELL_CONFIRMATION_MAIL": True,  # first value of the channel's setting
    "UPSELL_FULFILMENT_HOLD": False,  # ask the host to wait while an offer is open
    "UPSELL_FROM_EMAIL": "",  # empty = DEFAULT_FROM_EMAIL
    "UPSELL_STAFF_EMAIL": "",  # who hears of outdated documents; empty = flag and log only
    "UPSELL_BASE_URL": "",  # https://shop.example, for links in mails and returns from the bank
    "UPSELL_TERMS_URL": "",  # link to the shop's terms, shown on the offer
    "UPSELL_RETURNS_URL": "",  # link to the shop's returns page
    "UPSELL_TIME_BUDGET": timedelta(milliseconds=300),  # spent -> no offer
    "UPSELL_RECONCILE_AFTER": (30, 90, 300, 900, 3600, 21600, 86400),  # seconds after the start
    "UPSELL_UNKNOWN_RETRY_SECONDS": 2.0,  # pause before asking the gateway once more
    "UPSELL_GATEWAY_CONCURRENCY": 4,  # calls of one gateway at once, in one process
    "UPSELL_GATEWAY_RATE": 20,  # calls a second that the reconciler makes at most; 0 = no limit
    "UPSELL_BREAKER_FAILURES": 5,  # unanswered in a row -> nobody asks for a while
    "UPSELL_BREAKER_PAUSE": timedelta(seconds=30),  # for so long
    "UPSELL_LIMIT_BUYER": (6, timedelta(hours=1)),  # tries to pay of one buyer
    "UPSELL_LIMIT_ADDRESS": (20, timedelta(hours=1)),  # tries to pay from one address
    "UPSELL_LIMIT_REFUSED": (5, timedelta(days=1)),  # refused cards of a buyer or an address
    "UPSELL_CLIENT_ADDRESS": "",  # dotted path: request -> address; empty = REMOTE_ADDR
    "UPSELL_REPORT_RETENTION": timedelta(days=90),  # providers' reports
    "UPSELL_ALLOW_RECURRING": False,  # subscriptions as one-click offers
    "UPSELL_NOT_BOUGHT_DAYS": 365,  # default of a new campaign
    "UPSELL_HASH_KEY": "",  # key of the buyers' hashes; empty = made from SECRET_KEY
    "UPSELL_RETENTION": timedelta(days=365),  # closed offers
    "UPSELL_DECISION_RETENTION": timedelta(days=90),
    "UPSELL_LINK_RETENTION": timedelta(days=7),  # hashes of links, after close
    "UPSELL_EU_LABELS": True,  # refuse button words that EU law does not accept
    "UPSELL_CELERY_QUEUE": "",  # empty = Celery's default queue
}


def get(name: str) -> Any:
    """Return a setting, or its default. KeyError for a name that is not ours."""
    return getattr(settings, name, DEFAULTS[name])


@cache
def shop() -> Shop:
    """Return the host's shop, one instance per process.

    Raises:
        ConfigurationError: ``UPSELL_SHOP`` is missing or cannot be imported.
    """
    path = get("UPSELL_SHOP")
    if not path:
        raise ConfigurationError("UPSELL_SHOP must name your Shop adapter, and is empty")
    made: Shop = _made("UPSELL_SHOP", path)
    return made


@cache
def gateways() -> Mapping[str, Gateway]:
    """Return payment method code to gateway. Two codes with one path share one instance."""
    paths: Mapping[str, str] = get("UPSELL_GATEWAYS")
    made: dict[str, Gateway] = {path: _made("UPSELL_GATEWAYS", path) for path in paths.values()}
    return {code: made[path] for code, path in paths.items()}


def gateway_by_slug(slug: str) -> Gateway | None:
    """Return the gateway an attempt was made with."""
    return next((gateway for gateway in gateways().values() if gateway.slug == slug), None)


def duration(name: str) -> timedelta:
    """Return a setting that is a length of time."""
    value = get(name)
    if not isinstance(value, timedelta):
        raise ConfigurationError(f"{name} must be a timedelta, and is {value!r}")
    return value


def money(value: str | Decimal) -> Decimal:
    """Return an amount typed in settings; a float is refused."""
    if isinstance(value, float):
        raise ConfigurationError(f"amounts are strings or Decimals, and this is {value!r}")
    return Decimal(value)


def hash_keys() -> list[bytes]:
    """Return the keys of buyers' hashes: the current one first, then the fallbacks."""
    own = get("UPSELL_HASH_KEY")
    if own:
        return [str(own).encode()]
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [
        hmac.new(str(secret).encode(), b"upsell.customer_key", hashlib.sha256).digest()
        for secret in secrets
    ]


def _made(setting: str, path: str) -> Any:
    try:
        return import_string(path)()
    except ImportError as error:
        raise ConfigurationError(f"{setting} names {path}, which cannot be imported") from error


def _forget(*, setting: str, **_kwargs: Any) -> None:
    if setting.startswith("UPSELL_"):
        shop.cache_clear()
        gateways.cache_clear()


setting_changed.connect(_forget, dispatch_uid="upsell.conf")
