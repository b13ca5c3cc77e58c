#!/usr/bin/env python3
"""Runs the example shop. ``demo`` and ``selftest`` set up what they need first."""

import os
import sys

from example_shop import bootstrap


def main() -> None:
    bootstrap.prepare(sys.argv)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_shop.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
