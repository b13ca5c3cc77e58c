"""Says why an order was offered what it was, campaign by campaign."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware

from upsell.exceptions import NotFound
from upsell.presenting.reasons import in_words
from upsell.services.explaining import Explained, explain_order
from upsell.services.offering import facts_of


class Command(BaseCommand):
    help = "Say why an order was offered what it was, and what each campaign says to it now."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("order", help="the shop's reference of the order")
        parser.add_argument(
            "--at", default="", help="read windows at this time, ISO 8601; else when it was decided"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        at = parse_datetime(options["at"]) if options["at"] else None
        if options["at"] and at is None:
            raise CommandError(f"--at wants a time such as 2026-06-10T12:00, not {options['at']!r}")
        if at is not None and is_naive(at):
            at = make_aware(at)
        try:
            explained = explain_order(order_ref=options["order"], at=at)
        except NotFound as error:
            raise CommandError(f"The shop does not know order {options['order']!r}.") from error
        if options["json"]:
            self.stdout.write(json.dumps(_plain(explained), indent=1))
        else:
            self._tell(explained)

    def _tell(self, explained: Explained) -> None:
        self.stdout.write(f"Order {explained.occasion.number or explained.occasion.ref}")
        decision = explained.decision
        if decision is None:
            self.stdout.write("Nobody has asked for its offer yet.")
        elif decision.campaign_id is not None:
            self.stdout.write(
                f"Decided {decision.at:%Y-%m-%d %H:%M}: campaign {decision.campaign_id} won."
            )
        else:
            self.stdout.write(f"Decided {decision.at:%Y-%m-%d %H:%M}: {in_words(decision.reason)}")
        for row in _plain(explained)["campaigns"]:
            mark = "*" if row["won"] else " "
            self.stdout.write(f"{mark} {row['priority']:>5}  {row['name']}: {row['words']}")
        self.stdout.write("Facts:")
        for name, value in sorted(facts_of(explained.occasion).items()):
            if name != "lines":
                self.stdout.write(f"  {name}: {value}")
        for line in facts_of(explained.occasion)["lines"]:
            self.stdout.write(f"  {line['quantity']} x product {line['product']}, {line['gross']}")


def _plain(explained: Explained) -> dict[str, Any]:
    explanation, decision = explained.explanation, explained.decision
    return {
        "order": explained.occasion.ref,
        "at": explained.at.isoformat(),
        "decided": None
        if decision is None
        else {
            "at": decision.at.isoformat(),
            "campaign": decision.campaign_id,
            "reason": decision.reason,
            "candidates": decision.candidates,
        },
        "reason": explanation.reason,
        "winner": explanation.winner,
        "campaigns": [
            {
                "id": verdict.campaign.id,
                "name": verdict.campaign.name or verdict.campaign.slug,
                "priority": verdict.campaign.priority,
                "won": not verdict.reason,
                "reason": str(verdict.reason),
                "words": in_words(verdict.reason) if verdict.reason else "This one wins.",
                "also": [str(code) for code in verdict.also],
            }
            for verdict in explanation.verdicts
        ],
        "facts": facts_of(explained.occasion),
    }
