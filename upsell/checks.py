"""System checks: what is missing or wrong in the settings, said before a buyer finds it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connections
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from upsell import conf, hooks
from upsell.engine.campaigns import By
from upsell.engine.types import Moment
from upsell.engine.webhooks import BadSecret, endpoint_of
from upsell.exceptions import ConfigurationError, MissingExtra
from upsell.models import Campaign, CampaignExclusion, CampaignTrigger
from upsell.ports import Capability, Shop

_NEEDED = ("order", "products", "availability", "may_act", "quote", "hold", "release", "apply")
_NEEDED_OF_GATEWAYS = ("collection", "charge", "resume", "find", "cancel", "refund")
_FILTERS: Mapping[str, Capability] = {
    "groups": Capability.GROUPS,
    "countries": Capability.COUNTRY,
    "payment_methods": Capability.PAYMENT_METHOD,
}
"""A campaign's filter, and what the shop must be able to tell for it ever to match."""
_NAMED: Mapping[str, Capability] = {
    CampaignTrigger.Kind.CATEGORY.value: Capability.CATEGORIES,
    CampaignTrigger.Kind.BRAND.value: Capability.BRANDS,
}

_OF_OTHERS = ("UPSELL_TEST_", "UPSELL_STRIPE_", "UPSELL_OSCAR_")
"""Settings that are not ours to know: of the tests, and of the bindings, which check their own."""

Messages = list[checks.CheckMessage]
Apps = Sequence[Any] | None


def register() -> None:
    """Register every check. Those that read the database run with ``check --database``."""
    for check in (
        check_shop,
        check_signals,
        check_gateways,
        check_settings,
        check_database,
        check_addresses,
        check_templates,
        check_webhooks,
    ):
        checks.register(check, "upsell")
    checks.register(check_links, "upsell", deploy=True)
    checks.register(check_campaigns, checks.Tags.database)


def _shop() -> Shop | None:
    """Return the adapter; none where another check says why there is none."""
    try:
        return conf.shop()
    except ConfigurationError:
        return None


def check_shop(app_configs: Apps, **kwargs: Any) -> Messages:
    """The adapter and the gateways can be imported, and the adapter has what is called."""
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
    found: Messages = [
        checks.Error(
            f"{type(shop).__name__} has no method {name}()",
            hint="Derive your adapter from upsell.ports.BaseShop.",
            id="upsell.E002",
        )
        for name in _NEEDED
        if not callable(getattr(shop, name, None))
    ]
    unknown = sorted(str(name) for name in shop.capabilities if name not in set(Capability))
    if unknown:
        found.append(
            checks.Error(
                f"{type(shop).__name__}.capabilities names {', '.join(unknown)}",
                hint="Use members of upsell.ports.Capability.",
                id="upsell.E005",
            )
        )
    return found


def check_signals(app_configs: Apps, **kwargs: Any) -> Messages:
    """The adapter's ``signals`` name events that we know and signals that there are."""
    shop = _shop()
    found: Messages = []
    for event, path in getattr(shop, "signals", {}).items():
        if path.endswith((".post_save", ".pre_save")):
            found.append(
                checks.Error(
                    f"{type(shop).__name__}.signals names {path} for {event}",
                    hint="It fires on every save, inside the transaction: name a signal of its "
                    "own.",
                    id="upsell.E003",
                )
            )
            continue
        try:
            heard = callable(getattr(import_string(path), "connect", None))
        except ImportError:
            heard = False
        if event not in hooks.ORDER_EVENTS or not heard:
            wrong = (
                f"{path}, which is no signal"
                if event in hooks.ORDER_EVENTS
                else f"the event {event}"
            )
            found.append(
                checks.Error(
                    f"{type(shop).__name__}.signals names {wrong}",
                    hint=f"Events are {', '.join(hooks.ORDER_EVENTS)}; "
                    "each names a django.dispatch.Signal.",
                    id="upsell.E006",
                )
            )
    return found


def check_gateways(app_configs: Apps, **kwargs: Any) -> Messages:
    """Gateways have what is called, and are told apart by their slug."""
    try:
        gateways = {id(made): made for made in conf.gateways().values()}.values()
    except ConfigurationError:
        return []  # E001 says so
    found: Messages = []
    slugs: dict[str, str] = {}
    for gateway in gateways:
        name, slug = type(gateway).__name__, getattr(gateway, "slug", "")
        lacks = [m for m in _NEEDED_OF_GATEWAYS if not callable(getattr(gateway, m, None))]
        if lacks:
            found.append(
                checks.Error(
                    f"{name} has no {', '.join(f'{method}()' for method in lacks)}",
                    hint="Derive your gateway from upsell.ports.BaseGateway.",
                    id="upsell.E007",
                )
            )
        if not slug or slug in slugs:
            other = f", which {slugs[slug]} has as well" if slug else ", which is empty"
            found.append(
                checks.Error(
                    f"{name}.slug is {slug!r}{other}",
                    hint="Charges are found again by their gateway's slug: give each its own.",
                    id="upsell.E008",
                )
            )
        slugs.setdefault(slug, name)
    return found


def check_settings(app_configs: Apps, **kwargs: Any) -> Messages:
    """Durations are durations, and every ``UPSELL_*`` is one that we read."""
    found: Messages = [
        checks.Error(
            f"{name} must be a timedelta, and is {conf.get(name)!r}",
            hint="For example timedelta(minutes=30).",
            id="upsell.E004",
        )
        for name, default in conf.DEFAULTS.items()
        if isinstance(default, timedelta) and not isinstance(conf.get(name), timedelta)
    ]
    looks = conf.get("UPSELL_RECONCILE_AFTER")
    if len(looks) < 2 or list(looks) != sorted(set(looks)) or looks[0] <= 0:
        found.append(
            checks.Error(
                f"UPSELL_RECONCILE_AFTER must grow, from two looks on, and is {looks!r}",
                hint="Seconds after an attempt began, such as (30, 90, 300, 900, 3600).",
                id="upsell.E009",
            )
        )
    chosen = conf.get("UPSELL_SELECTION")
    ways = {way.value for way in By}
    if not isinstance(chosen, dict) or not (
        set(chosen) <= {moment.value for moment in Moment} and set(chosen.values()) <= ways
    ):
        found.append(
            checks.Error(
                f"UPSELL_SELECTION must name a way for moments, and is {chosen!r}",
                hint='For example {"post_purchase": "learned"}; the ways are '
                + ", ".join(sorted(ways)),
                id="upsell.E014",
            )
        )
    for read in (conf.caps, conf.quiet_hours):
        try:
            read()
        except ConfigurationError as error:
            found.append(
                checks.Error(
                    str(error),
                    hint='For example (("email", 1, timedelta(hours=16)),) and '
                    '{"sms": ("21:00", "09:00")}.',
                    id="upsell.E015",
                )
            )
    known = {*conf.DEFAULTS, "UPSELL_CLOCK"}
    names = (name for name in dir(settings) if not name.startswith(_OF_OTHERS))
    return found + unread(names, "UPSELL_", known, code="upsell.W002")


def unread(names: Iterable[str], prefix: str, known: Collection[str], *, code: str) -> Messages:
    """Return a warning for each setting with this prefix that nothing reads: a slip of the pen."""
    found: Messages = []
    for name in sorted(set(names) - set(known)):
        if name.startswith(prefix):
            close = get_close_matches(name, known, 1)
            hint = f"Did you mean {close[0]}?" if close else "Remove it."
            found.append(
                checks.Warning(f"{name} is set, and nothing reads it.", hint=hint, id=code)
            )
    return found


def check_database(app_configs: Apps, **kwargs: Any) -> Messages:
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


def check_addresses(app_configs: Apps, **kwargs: Any) -> Messages:
    """The pages that an offer's buttons post to are there."""
    try:
        reverse("upsell:offer", args=["token"])
    except NoReverseMatch:
        return [
            checks.Error(
                "upsell.urls is not included in your URLs: the buttons of an offer lead nowhere.",
                hint='Add path("upsell/", include("upsell.urls")) to ROOT_URLCONF.',
                id="upsell.E010",
            )
        ]
    return []


def check_templates(app_configs: Apps, **kwargs: Any) -> Messages:
    """The tag needs the request, and our templates must be found."""
    engines: list[dict[str, Any]] = [
        engine
        for engine in settings.TEMPLATES
        if str(engine["BACKEND"]).endswith("DjangoTemplates")
    ]
    wanted = "django.template.context_processors.request"
    if any(
        wanted in (engine.get("OPTIONS") or {}).get("context_processors", ()) for engine in engines
    ):
        return []
    return [
        checks.Warning(
            f"No template engine has the context processor {wanted}: "
            "{% upsell_offer %} renders nothing.",
            hint="Add it to TEMPLATES[…]['OPTIONS']['context_processors'].",
            id="upsell.W003",
        )
    ]


def check_webhooks(app_configs: Apps, **kwargs: Any) -> Messages:
    """Receivers of webhooks can be reached and believed, and what posts to them is there."""
    rows = conf.get("UPSELL_WEBHOOKS")
    found: Messages = []
    if not isinstance(rows, list | tuple):
        rows = [rows]
    for position, row in enumerate(rows, start=1):
        try:
            endpoint_of(row, plain_hosts=conf.plain_hosts())
        except BadSecret as error:
            found.append(
                checks.Error(
                    f"UPSELL_WEBHOOKS, number {position}: {error}.",
                    hint="Take it from the environment; docs/how-to/webhooks.md makes one.",
                    id="upsell.E013",
                )
            )
        except ValueError as error:
            found.append(
                checks.Error(
                    f"UPSELL_WEBHOOKS, number {position}: {error}.",
                    hint="A host inside your network belongs in UPSELL_WEBHOOK_PRIVATE_HOSTS.",
                    id="upsell.E012",
                )
            )
    if rows:
        try:
            conf.webhooks()
        except MissingExtra as error:
            found.append(
                checks.Error(
                    "UPSELL_WEBHOOKS is set, and nothing can post to them.",
                    hint=str(error),
                    id="upsell.E011",
                )
            )
    return found


def check_links(app_configs: Apps, **kwargs: Any) -> Messages:
    """Mails are written outside any request: without a base they have no link to undo."""
    base = str(conf.get("UPSELL_BASE_URL"))
    if base.startswith("https://"):
        return []
    return [
        checks.Warning(
            f"UPSELL_BASE_URL is {base!r}: confirmations carry no safe link to undo.",
            hint='Set it to the shop\'s address, such as "https://shop.example".',
            id="upsell.W004",
        )
    ]


def check_campaigns(
    app_configs: Apps, databases: Sequence[str] | None = None, **kwargs: Any
) -> Messages:
    """Campaigns filter by nothing that the shop cannot tell: unknown is not empty."""
    shop = _shop()
    using = Campaign.objects.db
    if shop is None or not databases or using not in databases:
        return []
    tables = {Campaign._meta.db_table, CampaignTrigger._meta.db_table}
    try:
        if not tables <= set(connections[using].introspection.table_names()):
            return []
        found = sorted(_filters_without(shop))
    except DatabaseError:
        return []  # not migrated yet
    return [
        checks.Warning(
            f"Campaign {slug} uses {used}, and {type(shop).__name__} lacks the capability "
            f"{capability}: it never qualifies.",
            hint=f"Add Capability.{capability} to the adapter, or take it out of the campaign.",
            id="upsell.W005",
        )
        for slug, used, capability in found
    ]


def _filters_without(shop: Shop) -> set[tuple[str, str, str]]:
    """Return (campaign, what it uses, capability) for what the shop cannot tell."""
    missing = set(Capability) - set(shop.capabilities)
    found: set[tuple[str, str, str]] = set()
    live = Campaign.objects.exclude(status="OFF")
    for row in live.values("slug", "kind", *_FILTERS):
        for name, capability in _FILTERS.items():
            if row[name] and capability in missing:
                found.add((row["slug"], name, capability.value))
        if row["kind"] == Campaign.Kind.UPSELL and Capability.REPLACE in missing:
            found.add((row["slug"], "an upsell", Capability.REPLACE.value))
    for model in (CampaignTrigger, CampaignExclusion):
        rows = model.objects.exclude(campaign__status="OFF").filter(kind__in=list(_NAMED))
        for slug, kind in rows.values_list("campaign__slug", "kind"):
            if _NAMED[kind] in missing:
                found.add((slug, f"a {kind.lower()}", _NAMED[kind].value))
    return found
