"""A shop on django-salesman: run by ``test_salesman``."""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from pathlib import Path

from tests.settings import _RUN, _SERVERS

SECRET_KEY = "only-for-tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_SERVER = _SERVERS.get(os.environ.get("UPSELL_TEST_DB", "sqlite"))
_FILE = str(Path(tempfile.gettempdir()) / f"upsell-salesman-{os.getpid()}.sqlite3")
DATABASES = {
    "default": {**_SERVER, "NAME": f"upsell{_RUN}salesman"}
    if _SERVER
    else {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _FILE,
        "TEST": {"NAME": _FILE},
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA synchronous=OFF",
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
    "salesman.core",
    "salesman.basket",
    "salesman.checkout",
    "salesman.orders",
    "salesman.admin",
    "rest_framework",
    "tests.salesman_project.teashop",
    "upsell",
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
ROOT_URLCONF = "tests.salesman_project.urls"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

SALESMAN_PRODUCT_TYPES = {
    "teashop.Tea": "tests.salesman_project.teashop.serializers.TeaSerializer",
    "teashop.Course": "tests.salesman_project.teashop.serializers.CourseSerializer",
}
SALESMAN_BASKET_MODIFIERS = [
    "tests.salesman_project.teashop.modifiers.Voucher",
    "tests.salesman_project.teashop.modifiers.Shipping",
]
SALESMAN_PAYMENT_METHODS = [
    "tests.salesman_project.teashop.payments.Card",
    "tests.salesman_project.teashop.payments.Invoice",
]
SALESMAN_ORDER_STATUS = "tests.salesman_project.teashop.status.Status"
SALESMAN_ORDER_MODEL = "teashop.Order"
SALESMAN_ORDER_ITEM_MODEL = "teashop.OrderItem"
SALESMAN_ORDER_PAYMENT_MODEL = "teashop.OrderPayment"
SALESMAN_ORDER_NOTE_MODEL = "teashop.OrderNote"
SALESMAN_BASKET_MODEL = "teashop.Basket"
SALESMAN_BASKET_ITEM_MODEL = "teashop.BasketItem"

UPSELL_SHOP = "tests.salesman_project.adapter.TeaShop"
UPSELL_GATEWAYS = {
    "card": "tests.salesman_project.gateways.CardGateway",
    "invoice": "tests.salesman_project.gateways.InvoiceGateway",
}
UPSELL_BASE_URL = "http://testserver"
UPSELL_TIME_BUDGET = timedelta(minutes=1)  # a busy machine is not what is tested
UPSELL_UNKNOWN_RETRY_SECONDS = 0.0
UPSELL_LIMIT_BUYER = UPSELL_LIMIT_ADDRESS = UPSELL_LIMIT_REFUSED = (10_000, timedelta(hours=1))
