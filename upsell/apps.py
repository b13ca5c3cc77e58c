"""The app's entry in INSTALLED_APPS."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class UpsellConfig(AppConfig):
    """Registers checks and receivers, and nothing else."""

    name = "upsell"
    label = "upsell"
    verbose_name = _("Offers")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from upsell import checks, receivers  # noqa: PLC0415

        checks.register()
        receivers.connect()
