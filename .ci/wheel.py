"""Imports, migrates and renders with nothing but the wheel and Django."""

from __future__ import annotations

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="only-for-this",  # noqa: S106
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": ":memory:",
            "OPTIONS": {"transaction_mode": "IMMEDIATE"},
        }
    },
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "upsell"],
    ROOT_URLCONF="upsell.urls",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.template import Context, Template  # noqa: E402
from django.test import RequestFactory  # noqa: E402

call_command("migrate", verbosity=0)
request = RequestFactory().get("/thanks/")
page = Template("{% load upsell %}<p>Thank you</p>{% upsell_offer 'no-such-order' %}")
shown = page.render(Context({"request": request})).strip()
if shown != "<p>Thank you</p>":
    raise SystemExit(f"expected the host's page alone, and got {shown!r}")
print("the wheel imports, migrates and renders:", shown)  # noqa: T201
