"""Checks that money and lines agree, offer by offer, and that runs of journeys add up."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware

from upsell.services import auditing, health, journey_auditing


class Command(BaseCommand):
    help = "Check offers and runs of journeys. Exit status 1 where an invariant is broken."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json",
            action="store_true",
            help="one JSON object a line: offers, then the sum with health",
        )
        parser.add_argument("--order", default="", help="only the offer of this order")
        parser.add_argument("--since", default="", help="only offers made since, ISO 8601")
        parser.add_argument(
            "--outside", action="store_true", help="ask the shop and the gateways too"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        since = parse_datetime(options["since"]) if options["since"] else None
        if options["since"] and since is None:
            raise CommandError(
                f"--since wants a time such as 2026-06-10T12:00, and got {options['since']!r}"
            )
        if since is not None and is_naive(since):
            since = make_aware(since)
        counted, breaches = 0, list[auditing.Breach]()
        if not options["order"]:
            breaches += auditing.whole() + journey_auditing.whole()
        for audited in auditing.audit(
            order_ref=options["order"], since=since, outside=options["outside"]
        ):
            counted += 1
            breaches += audited.breaches
            if options["json"]:
                self.stdout.write(json.dumps(audited.record))
        if options["json"]:
            told = [
                {
                    "invariant": b.invariant,
                    "offer": b.offer_id,
                    "wanted": b.wanted,
                    "found": b.found,
                }
                for b in breaches
            ]
            measures = health.as_json(health.read())
            summed = {"offers": counted, "breaches": told, "health": measures}
            self.stdout.write(json.dumps(summed))
        else:
            for breach in breaches:
                self.stdout.write(str(breach))
            self.stdout.write(f"{counted} offers looked at, {len(breaches)} invariants broken")
        if breaches:
            raise SystemExit(1)
