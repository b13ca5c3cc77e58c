"""What a cold worker and an edited campaign cost (T6, T7), ratios in one run.

run: python benchmarks/refresh.py [--n 100 1000 100000]
     UPSELL_TEST_DB=postgres python benchmarks/refresh.py

floor     one trivial SELECT by primary key through the ORM
snapshot  all campaigns read and compiled by a worker that has none
refresh   the same after one campaign was edited
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.db import connection  # noqa: E402
from django.test.utils import setup_databases, teardown_databases  # noqa: E402

from upsell import snapshots  # noqa: E402
from upsell.models import Campaign, CampaignSet, CampaignTrigger  # noqa: E402


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, nargs="+", default=[100, 1000, 10_000])
    options = parser.parse_args()
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        for count in options.n:
            measure(count)
    finally:
        teardown_databases(databases, verbosity=0)


def measure(count: int) -> None:
    fill(count)
    floor = seconds(lambda: Campaign.objects.values_list("slug").filter(pk=1).first(), times=200)
    snapshot = seconds(cold, times=3)
    edited = Campaign.objects.order_by("pk")[count // 2]
    refreshes = []
    for number in range(3):
        edited.priority = number
        edited.save(update_fields=["priority"])
        refreshes.append(seconds(snapshots.index, times=1))
    refresh = statistics.median(refreshes)
    print(
        f"{connection.vendor:10} N={count:<7} floor {floor * 1e6:7.0f} us   "
        f"snapshot {snapshot * 1e3:9.1f} ms ({snapshot / count * 1e6:.0f} us a campaign)   "
        f"refresh {refresh * 1e3:9.2f} ms (1/{snapshot / refresh:.0f} of a snapshot, "
        f"x{refresh / floor:.1f} floor)   load {os.getloadavg()[0]:.2f}"
    )


def cold() -> None:
    snapshots.forget()
    snapshots.index()


def fill(count: int) -> None:
    """Write so many campaigns of the kind that shops have."""
    CampaignTrigger.objects.all().delete()
    Campaign.objects.all().delete()
    CampaignSet.objects.get_or_create(pk=1)
    made = Campaign.objects.bulk_create(
        (
            Campaign(
                name=f"Campaign {number}",
                slug=f"campaign-{number}",
                status="LIVE",
                kind="CROSS_SELL",
                channels=["web"],
                product_ref=str(number % 5000),
                priority=number % 100,
                bounds={"EUR": ["10.00", None]} if number % 2 else {},
                countries=["DE", "AT"] if number % 3 else [],
            )
            for number in range(count)
        ),
        batch_size=500,
    )
    CampaignTrigger.objects.bulk_create(
        (
            CampaignTrigger(campaign=row, kind="PRODUCT", ref=str(place + step))
            for place, row in enumerate(made)
            for step in (0, 100_000)
        ),
        batch_size=2000,
    )


def seconds(work: Callable[[], object], *, times: int) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
