"""Closes offers whose time is over, once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from upsell.services.expiring import expire_due


class Command(BaseCommand):
    help = "Close offers that nobody answered in time. Safe in parallel."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"expired {expire_due()}")
