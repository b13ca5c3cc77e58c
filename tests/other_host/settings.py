"""A project that differs from ours wherever a project may: run by ``test_other_host``."""

from __future__ import annotations

import os
from datetime import timedelta

import django
from django.utils.translation import gettext_lazy as _

from tests.settings import _RUN, _SERVERS

SECRET_KEY = "only-for-the-other-host"
DEBUG = False
ALLOWED_HOSTS = ["boutique.example"]
USE_TZ = True
TIME_ZONE = "America/New_York"
LANGUAGE_CODE = "de"
LANGUAGES = [("de", _("German")), ("en", _("English"))]
USE_THOUSAND_SEPARATOR = True
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"

# Mounted below another site, every request in a transaction, users with keys of their own.
FORCE_SCRIPT_NAME = "/store"
AUTH_USER_MODEL = "boutique.Person"
_SERVER = _SERVERS.get(os.environ.get("UPSELL_TEST_DB", "sqlite"))
DATABASES = {
    "default": {
        **(_SERVER or {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}),
        **({"NAME": f"upsell{_RUN}other"} if _SERVER else {}),
        "ATOMIC_REQUESTS": True,
    }
}
if _SERVER is None:
    DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE"}

INSTALLED_APPS = [
    "tests.other_host.backoffice.BackOffice",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "tests.other_host.boutique",
    "upsell",
]
MIDDLEWARE = [
    "tests.other_host.boutique.middleware.csp",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
# No cookie that a script can read, none in clear, and the form's secret in the session.
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
CSRF_USE_SESSIONS = True
SECURE_SSL_REDIRECT = True
SESSION_COOKIE_SECURE = True
X_FRAME_OPTIONS = "SAMEORIGIN"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "string_if_invalid": "NO SUCH VARIABLE",
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
STATIC_URL = "static/"
ROOT_URLCONF = "tests.other_host.urls"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_FROM_EMAIL = "shop@boutique.example"
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
else:
    EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

UPSELL_SHOP = "tests.other_host.boutique.adapter.Boutique"
UPSELL_GATEWAYS = {"card": "tests.other_host.boutique.adapter.Card"}
UPSELL_BASE_URL = "https://boutique.example"
UPSELL_OFFER_LIFETIME = timedelta(minutes=20)
UPSELL_TIME_BUDGET = timedelta(minutes=1)  # a busy machine is not what is tested
UPSELL_UNKNOWN_RETRY_SECONDS = 0.0
