"""Says why an order was offered what it was, campaign by campaign."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware

from upsell.exceptions import NotFound
from upsell.models import Campaign
from upsell.presenting.reasons import in_words
from upsell.services.explaining import Explained, explain_order, simulate
from upsell.services.offering import facts_of


class Command(BaseCommand):
    help = "Say why an order was offered what it was, and what each campaign says to it now."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("order", help="the shop's reference of the order")
        parser.add_argument(
            "--at", default="", help="simulate this time, ISO 8601; else as it was decided"
        )
        parser.add_argument(
            "--with",
            dest="drafts",
            action="append",
            default=[],
            metavar="SLUG",
            help="simulate with this campaign as if it were live; may be given again",
        )
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            at = parse_datetime(options["at"]) if options["at"] else None
        except ValueError:
            at = None
        if options["at"] and at is None:
            raise CommandError(f"--at wants a time such as 2026-06-10T12:00, not {options['at']!r}")
        if at is not None and is_naive(at):
            at = make_aware(at)
        drafts = _drafts(options["drafts"])
        try:
            if at is None and not drafts:
                explained = explain_order(order_ref=options["order"])
            else:
                explained = simulate(order_ref=options["order"], at=at, drafts=drafts)
        except NotFound as error:
            raise CommandError(f"The shop does not know order {options['order']!r}.") from error
        if options["json"]:
            self.stdout.write(json.dumps(_plain(explained), indent=1))
        else:
            self._tell(explained)

    def _tell(self, explained: Explained) -> None:
        self.stdout.write(f"Order {explained.occasion.number or explained.occasion.ref}")
        decision = explained.decision
        if explained.held_back:
            told = in_words(explained.held_back)
            self.stdout.write(f"In truth it would be offered nothing at that time: {told}")
        if explained.simulated:
            self.stdout.write(f"A simulation as of {explained.at:%Y-%m-%d %H:%M}.")
        elif decision is None:
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


def _drafts(slugs: list[str]) -> list[int]:
    known = dict(Campaign.objects.filter(slug__in=slugs, archived=False).values_list("slug", "pk"))
    for slug in slugs:
        if slug not in known:
            raise CommandError(f"There is no campaign {slug!r}.")
    return list(known.values())


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
        "held_back": explained.held_back,
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
