"""A real browser before the example shop; skipped, with the reason, where there is none."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import override_settings
from pytest_django.live_server_helper import LiveServer

from example_shop.models import Product
from tests import factories
from tests.browser import admin_pages
from tests.browser.shopper import Shopper

try:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update"]

SHOP = {
    # As in example_shop.settings: the strict policy, the visitor's language, the shop's frame.
    "MIDDLEWARE": [
        "example_shop.middleware.content_security_policy",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.locale.LocaleMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [ROOT / "example_shop" / "templates"],
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
    ],
    "UPSELL_GATEWAYS": {
        "card": "example_shop.payments.CardGateway",
        "invoice": "example_shop.payments.InvoiceGateway",
        "payfriend": "example_shop.payfriend.gateway.PayfriendGateway",
    },
    "UPSELL_TIME_BUDGET": timedelta(seconds=10),  # a machine with browsers on it is busy
    "UPSELL_TERMS_URL": "/terms/",
    "UPSELL_RETURNS_URL": "/returns/",
}


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def _lacking() -> str:
    if _chromium() is None:
        return f"none of {', '.join(BROWSERS)} is installed"
    return "" if sync_playwright else "the extra [browser] is not installed"


def pytest_collection_modifyitems(items):
    why = _lacking()
    if not why:
        return
    if "browser" in os.environ.get("UPSELL_TEST_REQUIRE", "").split(","):
        raise pytest.UsageError(f"Required and missing: browser: {why}")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="package")
def _beside_a_loop():
    """Playwright keeps a loop in this thread; the rows that tests write are not its business."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


@pytest.fixture(scope="package")
def chromium(_beside_a_loop):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def server(django_db_setup):
    with override_settings(**SHOP):
        running = LiveServer("127.0.0.1")
        yield running
        running.stop()


@pytest.fixture
def products(_beside_a_loop, server, transactional_db) -> dict[str, Product]:
    """The seeded shop's products by SKU; no past orders."""
    call_command("seed_shop", "--orders", "0", verbosity=0)
    return {row.sku: row for row in Product.objects.all()}


@pytest.fixture
def shopper(chromium, server, products):
    """Make a buyer at a browser; every one of them must leave a clean console."""
    made = []

    def arrives(**options) -> Shopper:
        made.append(Shopper(chromium, server.url, products, **options))
        return made[-1]

    yield arrives
    for one in made:
        one.leaves()
    assert [line for one in made for line in one.complaints] == []


@pytest.fixture(scope="package")
def axe():
    return Axe()


@pytest.fixture(scope="module")
def address(django_db_setup):
    with override_settings(**admin_pages.SHOP):
        running = LiveServer("127.0.0.1")
        yield running.url
        running.stop()


@pytest.fixture
def shop(chromium, address, transactional_db):
    return factories.catalogue()


@pytest.fixture
def staff(chromium, address, shop):
    """Make a window of somebody who may do everything; each must leave a clean console."""
    boss = User.objects.create_superuser("boss", "boss@example.org", "x")
    made: list[admin_pages.Staff] = []

    def arrives(**options) -> admin_pages.Staff:
        made.append(admin_pages.Staff(chromium, address, boss, **options))
        return made[-1]

    yield arrives
    for one in made:
        one.leaves()
    assert [line for one in made for line in one.complaints] == []
