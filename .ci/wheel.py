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
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.template import Context, Template  # noqa: E402

call_command("migrate", verbosity=0)
from upsell import hooks, ports  # noqa: E402, F401
from upsell.models import Campaign  # noqa: E402

shown = Template("{{ count }} campaigns").render(Context({"count": Campaign.objects.count()}))
print("the wheel imports, migrates and renders:", shown)  # noqa: T201
