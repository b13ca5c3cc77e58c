"""Which buyer a command is about: a key, an address, or the shop's user."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from upsell import snapshots
from upsell.ports import Customer


def add_whose(parser: CommandParser) -> None:
    """Add the three ways to name a buyer, one of which has to be used."""
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--key", default="", help="the customer key as it is stored, such as u:…")
    who.add_argument("--email", default="", help="the e-mail address of a guest")
    who.add_argument("--user", default="", help="the shop's reference of a user")


def keys_from(options: dict[str, Any]) -> list[str]:
    """Return every key the buyer may be stored under."""
    if options["key"]:
        if options["key"][:2] not in {"u:", "e:", "a:", "v:"}:
            raise CommandError(f"--key wants u:…, e:…, a:… or v:…, and got {options['key']!r}")
        return [options["key"]]
    return snapshots.customer_keys(Customer(ref=options["user"], email=options["email"]))
