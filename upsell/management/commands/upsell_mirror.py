"""Mirrors the shop's orders, so that they can be measured."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from upsell.presenting.timeline import exactly
from upsell.services import order_facts


class Command(BaseCommand):
    help = "Mirror the shop's orders from where the last walk stopped. Safe to interrupt."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--anew", action="store_true", help="from the first order")

    def handle(self, *args: Any, anew: bool, **options: Any) -> None:
        done = 0
        try:
            for page in order_facts.walk(anew=anew):
                done += page.orders
                if options["verbosity"] and page.latest:
                    self.stdout.write(f"{done} orders, up to {exactly(page.latest)}")
        except KeyboardInterrupt:
            self.stdout.write(f"stopped after {done} orders; run it again to go on")
            return
        self.stdout.write(f"orders mirrored: {done}" if done else "no order is new")
