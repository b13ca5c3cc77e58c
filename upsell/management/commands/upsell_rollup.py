"""Makes the sums of days anew on which something happened."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from upsell.services.metrics import roll_up


class Command(BaseCommand):
    help = "Add up what offers came to, for the days on which something happened."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--anew",
            action="store_true",
            help="every day, as after a change of a sales channel's time zone",
        )

    def handle(self, *args: Any, anew: bool, **options: Any) -> None:
        days = roll_up(anew=anew)
        self.stdout.write(f"days added up: {days}" if days else "nothing has happened since")
