"""The app's entry in INSTALLED_APPS. It stands before Oscar's, or its templates are not seen."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class UpsellOscarConfig(AppConfig):
    """One table: what was done to an order, so that it is done once."""

    name = "upsell.contrib.oscar"
    label = "upsell_oscar"
    verbose_name = _("Offers in django-oscar")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from upsell.contrib.oscar import checks  # noqa: PLC0415

        checks.register()
