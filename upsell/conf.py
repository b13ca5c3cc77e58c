"""Every ``UPSELL_*`` setting: name, type, default, meaning. Read when used, never at import."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from contextlib import suppress
from datetime import time, timedelta
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from upsell.engine.caps import ANY, Cap
from upsell.engine.journeys.definition import MEDIA
from upsell.engine.webhooks import Endpoint, endpoint_of
from upsell.exceptions import ConfigurationError, MissingExtra
from upsell.ports import Gateway, Shop

if TYPE_CHECKING:
    from upsell.engine.inference import Inference
    from upsell.media.push import PushBackend
    from upsell.media.sms import SmsBackend
    from upsell.media.webhook import Webhooks

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
    "UPSELL_POSTAL_ADDRESS": "",  # in the footer of marketing mails; lines as you write them
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
    "UPSELL_LIMIT_EVENTS": (1000, timedelta(hours=1)),  # events told by pages at one address
    "UPSELL_CLIENT_ADDRESS": "",  # dotted path: request -> address; empty = REMOTE_ADDR
    "UPSELL_REPORT_RETENTION": timedelta(days=90),  # providers' reports
    "UPSELL_MESSAGE_REPORT_RETENTION": timedelta(days=90),  # on messages; at least 61 days
    "UPSELL_COST_CURRENCY": "",  # what Product.cost is in; empty = costs are not kept
    "UPSELL_ALLOW_RECURRING": False,  # subscriptions as one-click offers
    "UPSELL_NOT_BOUGHT_DAYS": 365,  # default of a new campaign
    "UPSELL_HASH_KEY": "",  # key of the buyers' hashes; empty = made from SECRET_KEY
    "UPSELL_RETENTION": timedelta(days=365),  # closed offers
    "UPSELL_DECISION_RETENTION": timedelta(days=90),
    "UPSELL_EVENT_RETENTION": timedelta(days=90),  # events told of buyers
    "UPSELL_MEASURE_RETENTION": timedelta(days=730),  # mirrored orders, sums per day
    "UPSELL_LINK_RETENTION": timedelta(days=7),  # hashes of links, after close
    "UPSELL_EU_LABELS": True,  # refuse button words that EU law does not accept
    "UPSELL_SELECTION": {},  # moment -> first, value, weighted or learned, among equals
    "UPSELL_WEBHOOKS": [],  # receivers: dicts of url, secret (one or several), events
    "UPSELL_WEBHOOK_PRIVATE_HOSTS": [],  # of them, names inside your network, without TLS too
    "UPSELL_JOURNEY_ENTRIES": (3, timedelta(days=7)),  # of a buyer, over all journeys
    "UPSELL_JOURNEY_CALLS": {},  # name -> dict of url and secret, for steps that call a system
    "UPSELL_JOURNEY_RETENTION": timedelta(days=365),  # runs and messages, after they ended
    "UPSELL_MAILERS": {},  # category of message -> alias in MAILERS; from Django 6.1
    "UPSELL_SMS": "",  # dotted path of an SmsBackend; empty = no text messages
    "UPSELL_SMS_URL": "",  # where HttpSms posts
    "UPSELL_SMS_TOKEN": "",  # its bearer token
    "UPSELL_PUSH": "",  # dotted path of a PushBackend; empty = no messages on devices
    "UPSELL_CAPS": (  # rows of medium (* = all together), how many marketing messages, in how long
        ("email", 1, timedelta(hours=16)),
        ("email", 3, timedelta(days=7)),
        ("sms", 1, timedelta(days=1)),
        ("*", 5, timedelta(days=7)),
    ),
    "UPSELL_QUIET_HOURS": {  # medium -> from, until, by the buyer's clock
        "sms": ("21:00", "09:00"),
        "push": ("21:00", "09:00"),
    },
    "UPSELL_CLICK_LINKS": True,  # count who follows a link of a message; needs UPSELL_BASE_URL
    "UPSELL_SOFT_OPT_IN": False,  # may who bought be written to about similar goods, unasked
    "UPSELL_CELERY_QUEUE": "",  # empty = Celery's default queue
}

EXTRAS: Mapping[str, str] = {
    # dotted path of what needs an extra: the extra that brings what it imports
    "upsell.engine.inference.Inference": "stats",
    "upsell.media.webhook.Webhooks": "webhooks",
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


def inference() -> Inference:
    """Return the statistics that need scipy.

    Raises:
        MissingExtra: The extra ``stats`` is not installed.
    """
    made: Inference = _extra("upsell.engine.inference.Inference")
    return made


def sms() -> SmsBackend:
    """Return what sends text messages.

    Raises:
        ConfigurationError: ``UPSELL_SMS`` is empty or cannot be imported.
    """
    path = get("UPSELL_SMS")
    if not path:
        raise ConfigurationError("UPSELL_SMS must name what sends text messages, and is empty")
    made: SmsBackend = _made("UPSELL_SMS", path)
    return made


def push() -> PushBackend:
    """Return what sends messages to devices.

    Raises:
        ConfigurationError: ``UPSELL_PUSH`` is empty or cannot be imported.
    """
    path = get("UPSELL_PUSH")
    if not path:
        raise ConfigurationError("UPSELL_PUSH must name what sends to devices, and is empty")
    made: PushBackend = _made("UPSELL_PUSH", path)
    return made


def webhooks() -> Webhooks:
    """Return what posts a webhook.

    Raises:
        MissingExtra: The extra ``webhooks`` is not installed.
    """
    made: Webhooks = _extra("upsell.media.webhook.Webhooks")
    return made


@cache
def webhook_endpoints() -> tuple[Endpoint, ...]:
    """Return who gets webhooks. One that cannot be used is left out: a system check says so.

    Buyers' purchases pass here, so nothing is raised.
    """
    plain = plain_hosts()
    made: list[Endpoint] = []
    for row in get("UPSELL_WEBHOOKS") or ():
        with suppress(ValueError):
            made.append(endpoint_of(row, plain_hosts=plain))
    return tuple(made)


def private_hosts() -> frozenset[str]:
    """Return the hosts of receivers that may have an address inside the host's network."""
    return frozenset(get("UPSELL_WEBHOOK_PRIVATE_HOSTS"))


def plain_hosts() -> frozenset[str]:
    """Return the hosts of receivers that may do without TLS: those, and all while debugging."""
    return private_hosts() | ({"*"} if settings.DEBUG else set())


def duration(name: str) -> timedelta:
    """Return a setting that is a length of time."""
    value = get(name)
    if not isinstance(value, timedelta):
        raise ConfigurationError(f"{name} must be a timedelta, and is {value!r}")
    return value


@cache
def caps() -> tuple[Cap, ...]:
    """Return how many marketing messages a buyer may get, in how long.

    Raises:
        ConfigurationError: A row is not a medium, a number from 1 on and a timedelta.
    """
    rows: Any = get("UPSELL_CAPS")
    try:
        return tuple(_cap(*row) for row in rows)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            "UPSELL_CAPS wants rows of a medium or *, a number from 1 on, and a timedelta; there "
            f"was {rows!r}"
        ) from error


def _cap(medium: Any, most: Any, within: Any) -> Cap:
    if medium not in {*MEDIA, ANY} or type(most) is not int or not isinstance(within, timedelta):
        raise ValueError(f"{medium!r}, {most!r}, {within!r}")
    return Cap(medium=medium, most=most, within=within)


@cache
def quiet_hours() -> Mapping[str, tuple[time, time]]:
    """Return medium to from when until when nobody is written to, by the buyer's clock.

    Raises:
        ConfigurationError: It is not a medium to two times such as ``"21:00"``.
    """
    rows: Any = get("UPSELL_QUIET_HOURS")
    try:
        return {_medium(name): _hours(*pair) for name, pair in rows.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f'UPSELL_QUIET_HOURS wants medium to two times such as "21:00", and there was {rows!r}'
        ) from error


def _medium(name: Any) -> str:
    if name not in MEDIA:
        raise ValueError(f"{name!r}")
    return str(name)


def _hours(begins: Any, ends: Any) -> tuple[time, time]:
    return time.fromisoformat(begins), time.fromisoformat(ends)


def click_links() -> bool:
    """Return whether links of messages go by way of our own address, and who follows one counts."""
    return bool(get("UPSELL_CLICK_LINKS") and get("UPSELL_BASE_URL"))


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


def _extra(path: str) -> Any:
    try:
        return import_string(path)()
    except ImportError as error:
        raise MissingExtra(EXTRAS[path]) from error


def _forget(*, setting: str, **_kwargs: Any) -> None:
    if setting.startswith("UPSELL_"):
        shop.cache_clear()
        gateways.cache_clear()
        webhook_endpoints.cache_clear()
        caps.cache_clear()
        quiet_hours.cache_clear()


setting_changed.connect(_forget, dispatch_uid="upsell.conf")
