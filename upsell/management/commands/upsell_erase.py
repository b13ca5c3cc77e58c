"""Forgets a buyer, and keeps the money."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from upsell.exceptions import OfferNotAcceptable
from upsell.management.whose import add_whose, keys_from
from upsell.services import erasing


class Command(BaseCommand):
    help = "Anonymise everything held of a buyer; amounts, times and states stay."

    def add_arguments(self, parser: CommandParser) -> None:
        add_whose(parser)
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        keys = keys_from(options)
        counts = {m._meta.verbose_name_plural: r.count() for m, r in erasing.rows_of(keys).items()}
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        if not told:
            self.stdout.write("Nothing is held of this buyer.")
            return
        self.stdout.write(f"Held of this buyer: {told}.")
        if (
            not options["yes"]
            and input("Erase what is personal in them, for good? [yes/no] ") != "yes"
        ):
            raise CommandError("Nothing was erased.")
        try:
            done = erasing.erase(customer_keys=keys)
        except OfferNotAcceptable as refused:
            raise CommandError(
                "Nothing was erased: a payment of this buyer is under way. "
                "Run upsell_reconcile, and try again."
            ) from refused
        self.stdout.write(f"Erased in {sum(done.values())} rows.")
