"""The app's entry in INSTALLED_APPS: it registers the checks of its settings."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class UpsellStripeConfig(AppConfig):
    """Has no tables: what it knows of a payment stands with the attempt."""

    name = "upsell.contrib.stripe"
    label = "upsell_stripe"
    verbose_name = _("Offers paid with Stripe")

    def ready(self) -> None:
        from upsell.contrib.stripe import checks  # noqa: PLC0415

        checks.register()
