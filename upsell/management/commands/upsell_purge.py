"""Removes what has been kept long enough."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from upsell.services.purging import purge


class Command(BaseCommand):
    help = "Remove links, decisions, closed offers and all else that is older than its retention."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count what would go")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        counts: Counter[str] = Counter()
        for name, count in purge(dry_run=dry_run):
            counts[name] += count
            if options["verbosity"] > 1:
                self.stdout.write(f"{name}: {counts[name]} so far")
        told = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
        verb = "would remove" if dry_run else "removed"
        self.stdout.write(f"{verb} {told}" if told else "nothing is old enough")
