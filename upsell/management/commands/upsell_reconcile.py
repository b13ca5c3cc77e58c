"""Finishes what a crash or a lost answer left half-done, once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from upsell.services.reconciling import reconcile


class Command(BaseCommand):
    help = "Ask what became of payments under way, and finish them. Safe in parallel."

    def handle(self, *args: Any, **options: Any) -> None:
        done = reconcile()
        told = ", ".join(f"{name} {count}" for name, count in done.items())
        self.stdout.write(told or "nothing was due")
