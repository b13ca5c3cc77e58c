"""The shop's name in the admin."""

from __future__ import annotations

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "example_shop"
    verbose_name = "Shop"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        from example_shop import paying, signals  # noqa: PLC0415 - models are loaded by now

        signals.payment_back.connect(paying.give_back, dispatch_uid="example_shop.give_back")
