"""Tells a buyer everything that is held of them."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from upsell.management.whose import add_whose, keys_from
from upsell.services import erasing


class Command(BaseCommand):
    help = "Print everything held of a buyer, as JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        add_whose(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        found = erasing.export(customer_keys=keys_from(options))
        self.stdout.write(json.dumps(found, cls=DjangoJSONEncoder, indent=1, ensure_ascii=False))
