"""The shop's name in the admin."""

from __future__ import annotations

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "example_shop"
    verbose_name = "Shop"
    default_auto_field = "django.db.models.BigAutoField"
