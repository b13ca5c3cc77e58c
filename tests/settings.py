"""The least project that the tests need, on the database that UPSELL_TEST_DB names."""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from pathlib import Path

import django

SECRET_KEY = "only-for-tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Give each of two runs at once on one server a name of its own.
_RUN = os.environ.get("UPSELL_TEST_RUN", "")
_SERVERS = {
    "postgres": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("UPSELL_TEST_POSTGRES", "127.0.0.1"),
        "USER": os.environ.get("UPSELL_TEST_POSTGRES_USER", "postgres"),
        "NAME": f"upsell{_RUN}",
        "OPTIONS": {"options": "-c synchronous_commit=off"},
    },
    "mariadb": {
        "ENGINE": "django.db.backends.mysql",
        "HOST": os.environ.get("UPSELL_TEST_MARIADB", "127.0.0.1"),
        "USER": os.environ.get("UPSELL_TEST_MARIADB_USER", "root"),
        "NAME": f"upsell{_RUN}",
        "OPTIONS": {"charset": "utf8mb4", "isolation_level": "read committed"},
    },
}
DATABASES: dict[str, dict[str, object]] = {
    "default": _SERVERS.get(
        os.environ.get("UPSELL_TEST_DB", "sqlite"),
        {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(__file__).parent / "test.sqlite3",
            "TEST": {"NAME": Path(tempfile.gettempdir()) / f"upsell-tests-{os.getpid()}.sqlite3"},
            # A test's rows need not outlive a power cut; a killed process loses none of them.
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA synchronous=OFF",
            },
        },
    )
}
# A child process of a test works on the very database of the test.
if "UPSELL_TEST_NAME" in os.environ:
    DATABASES["default"]["NAME"] = os.environ["UPSELL_TEST_NAME"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "upsell",
    "example_shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "/static/"
ROOT_URLCONF = "example_shop.urls"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
else:
    EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

UPSELL_SHOP = "example_shop.adapter.ExampleShop"
UPSELL_GATEWAYS = {
    "card": "example_shop.adapter.CardGateway",
    "invoice": "example_shop.adapter.InvoiceGateway",
    "payfriend": "example_shop.payfriend.gateway.PayfriendGateway",
}
UPSELL_UNKNOWN_RETRY_SECONDS = 0.0
# Every buyer of the tests has one address; how often is limited has tests of its own.
UPSELL_LIMIT_BUYER = UPSELL_LIMIT_ADDRESS = UPSELL_LIMIT_REFUSED = (10_000, timedelta(hours=1))
# No test but the one of this budget may hang on how busy the machine is.
UPSELL_TIME_BUDGET = timedelta(minutes=1)
UPSELL_POSTAL_ADDRESS = "Example Shops Ltd\n1 Example Street"
