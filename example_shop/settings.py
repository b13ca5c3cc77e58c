"""The least that a shop must set. What is for upsell stands at the end."""

from __future__ import annotations

import os
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "demo-data"
HERE.mkdir(exist_ok=True)

SECRET_KEY = "only-for-the-demonstration"  # noqa: S105
DEBUG = True
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
LANGUAGE_CODE = "en"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": HERE / "shop.sqlite3",
        # Without IMMEDIATE, two buyers at once can meet "database is locked".
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL",
        },
    }
}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "example_shop",  # before upsell: its templates put the offer's pages into the shop's frame
    "upsell",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "example_shop.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
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
                "example_shop.context.frame",
            ]
        },
    }
]
STATIC_URL = "/static/"
ROOT_URLCONF = "example_shop.urls"
MAIL_FOLDER = HERE / "mails"
if django.VERSION >= (6, 1):
    MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "OPTIONS": {"file_path": MAIL_FOLDER},
        }
    }
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = MAIL_FOLDER
os.environ.setdefault("UPSELL_TEST_LEDGER", str(HERE / "ledger.sqlite3"))

# ---- upsell
UPSELL_SHOP = "example_shop.adapter.ExampleShop"
UPSELL_GATEWAYS = {
    "card": "example_shop.payments.CardGateway",
    "invoice": "example_shop.payments.InvoiceGateway",
    "payfriend": "example_shop.payfriend.gateway.PayfriendGateway",
}
# Cards by Stripe, in its test mode only: where a test key is given and the extra is installed.
if os.environ.get("STRIPE_SECRET_KEY", "").startswith("sk_test_") and find_spec("stripe"):
    INSTALLED_APPS.append("upsell.contrib.stripe")
    UPSELL_GATEWAYS["stripe"] = "upsell.contrib.stripe.gateway.StripeGateway"
    UPSELL_STRIPE_SECRET_KEY = os.environ["STRIPE_SECRET_KEY"]
    UPSELL_STRIPE_API_BASE = os.environ.get("STRIPE_API_BASE", "")
    UPSELL_STRIPE_WEBHOOK_SECRETS = os.environ.get("STRIPE_WEBHOOK_SECRETS", "").split()
UPSELL_COST_CURRENCY = "EUR"  # what Product.cost is in; the shop that sells in yen has no profit
UPSELL_BASE_URL = "http://127.0.0.1:8000"
UPSELL_POSTAL_ADDRESS = "Example Shops Ltd\n1 Example Street\n10115 Berlin"
# Whoever tries this out has one address and many test cards.
UPSELL_LIMIT_BUYER = UPSELL_LIMIT_ADDRESS = UPSELL_LIMIT_REFUSED = (500, timedelta(hours=1))
UPSELL_TERMS_URL = "/terms/"
UPSELL_RETURNS_URL = "/returns/"

# ---- the law: how long a buyer may withdraw from what was added, see example_shop/withdrawals.py
SHOP_WITHDRAWAL_PERIOD = timedelta(days=14)
