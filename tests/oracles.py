"""What the statistics are compared with: the extra ``oracles``, and a real test's rows."""

from __future__ import annotations

import csv
import gzip
import importlib
import os
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from upsell.engine.aggregates import Pairs, Rate, Sums

ROOT = Path(__file__).resolve().parents[1]


def oracle(name: str) -> Any:
    """Return a module of the extra ``oracles``; without it, skip what asks, or fail if required."""
    try:
        return importlib.import_module(name)
    except ImportError:
        if "oracles" in os.environ.get("UPSELL_TEST_REQUIRE", "").split(","):
            raise
        pytest.skip(f"{name} is not installed (the extra oracles)", allow_module_level=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailed:
    """One arm of Kevin Hillstrom's e-mail test of 2008, added up."""

    visit: Rate
    conversion: Rate
    spend: Pairs
    """Spend in the two weeks after, with spend in the year before."""


def _arm(n: int, visits: int, orders: int, *sums: str) -> Mailed:
    first, first_squares, second, second_squares, cross = map(Decimal, sums)
    spend = Pairs(
        n=n,
        first=first,
        first_squares=first_squares,
        second=second,
        second_squares=second_squares,
        cross=cross,
    )
    return Mailed(visit=Rate(hits=visits, n=n), conversion=Rate(hits=orders, n=n), spend=spend)


# fmt: off
HILLSTROM = {
    "No E-Mail": _arm(
        21306, 2262, 122,
        "13908.33", "2870050.3621", "5132245.81", "2597172414.5563", "4267933.8399",
    ),
    "Mens E-Mail": _arm(
        21307, 3894, 267,
        "30311.69", "6759024.4973", "5174105.18", "2700687619.2752", "9857526.2586",
    ),
    "Womens E-Mail": _arm(
        21387, 3238, 189,
        "23038.11", "4911446.5763", "5187130.98", "2652326978.5210", "7513096.1923",
    ),
}
# fmt: on
NOBODY, MENS, WOMENS = HILLSTROM.values()


def hillstrom_rows() -> list[dict[str, str]]:
    """Return the test's 64,000 customers; skip where the file is not beside the checkout.

    It is looked for as ``shared/data/hillstrom_email_test.csv.gz`` beside the project or above,
    and in the folder that ``UPSELL_TEST_DATA`` names.
    """
    named = os.environ.get("UPSELL_TEST_DATA")
    folders = [Path(named)] if named else [above / "shared" / "data" for above in ROOT.parents]
    for folder in folders:
        path = folder / "hillstrom_email_test.csv.gz"
        if path.exists():
            with gzip.open(path, "rt", newline="") as file:
                return list(csv.DictReader(file))
    pytest.skip("hillstrom_email_test.csv.gz is not beside the project (UPSELL_TEST_DATA)")


def sums_of(values: list[Decimal]) -> Sums:
    """Add up figures as SQL would."""
    return Sums(n=len(values), total=sum(values), squares=sum(value**2 for value in values))


def pairs_of(first: list[Decimal], second: list[Decimal]) -> Pairs:
    """Add up two figures of the same units as SQL would."""
    return Pairs(
        n=len(first),
        first=sum(first),
        first_squares=sum(value**2 for value in first),
        second=sum(second),
        second_squares=sum(value**2 for value in second),
        cross=sum(one * other for one, other in zip(first, second, strict=True)),
    )
