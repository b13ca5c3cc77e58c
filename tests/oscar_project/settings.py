"""Stock Oscar with offers: run by ``tests/oscar``, and served as the docs say."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from oscar import INSTALLED_APPS as OSCAR_APPS
from oscar.defaults import *  # noqa: F403 - Oscar's own way of setting its defaults

from tests.settings import _RUN, _SERVERS

SECRET_KEY = "only-for-tests"
DEBUG = "UPSELL_OSCAR_SERVED" in os.environ
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
SITE_ID = 1
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
WITH_US = "UPSELL_OSCAR_WITHOUT" not in os.environ
FORKED = "UPSELL_OSCAR_FORKED" in os.environ

_SERVER = _SERVERS.get(os.environ.get("UPSELL_TEST_DB", "sqlite"))
_FILE = os.environ.get("UPSELL_OSCAR_SERVED") or str(
    Path(tempfile.gettempdir()) / f"upsell-oscar-{os.getpid()}.sqlite3"
)
DATABASES = {
    "default": {**_SERVER, "NAME": f"upsell{_RUN}oscar"}
    if _SERVER
    else {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _FILE,
        "TEST": {"NAME": _FILE},
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}

_OURS = ["upsell", "upsell.contrib.oscar"] if WITH_US else []
_FORKS = {
    f"oscar.apps.{name}.apps.{name.title()}Config": (
        f"tests.oscar_project.forked.{name}.apps.{name.title()}Config"
    )
    for name in ("order", "partner", "shipping")
}
INSTALLED_APPS = [
    *_OURS,
    "sorl.thumbnail",
    *(_FORKS.get(name, name) if FORKED else name for name in OSCAR_APPS),
]
# The forks' tables are made from their models: a shop would write migrations of its own.
_LABELS = "address analytics basket catalogue communication customer offer order partner payment"
_LABELS += " reviews shipping voucher wishlists"
MIGRATION_MODULES = dict.fromkeys(_LABELS.split()) if FORKED else {}
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
    "oscar.apps.basket.middleware.BasketMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.template.context_processors.i18n",
                "django.contrib.messages.context_processors.messages",
                "oscar.apps.search.context_processors.search_form",
                "oscar.apps.checkout.context_processors.checkout",
                "oscar.apps.communication.notifications.context_processors.notifications",
                "oscar.core.context_processors.metadata",
            ]
        },
    }
]
AUTHENTICATION_BACKENDS = [
    "oscar.apps.customer.auth_backends.EmailBackend",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
STATIC_URL, MEDIA_URL = "/static/", "/media/"
MEDIA_ROOT = str(Path(tempfile.gettempdir()) / "upsell-oscar-media")
ROOT_URLCONF = "tests.oscar_project.urls"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

OSCAR_ALLOW_ANON_CHECKOUT = True
OSCAR_DEFAULT_CURRENCY = "EUR"
OSCAR_OFFERS_INCL_TAX = FORKED
OSCAR_INITIAL_ORDER_STATUS = OSCAR_INITIAL_LINE_STATUS = "Pending"
OSCAR_ORDER_STATUS_PIPELINE = {
    "Pending": ("Being processed", "Cancelled"),
    "Being processed": ("Shipped", "Cancelled"),
    "Shipped": (),
    "Cancelled": (),
}
OSCAR_LINE_STATUS_PIPELINE = dict(OSCAR_ORDER_STATUS_PIPELINE)

UPSELL_SHOP = "upsell.contrib.oscar.adapter.OscarShop"
UPSELL_GATEWAYS = {
    "": "tests.oscar_project.payments.Invoice",
    "invoice": "tests.oscar_project.payments.Invoice",
    "card": "tests.oscar_project.payments.Card",
}
UPSELL_BASE_URL = "http://testserver"
