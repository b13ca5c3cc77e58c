"""What the offer costs the host's thank-you page (T9), in process, ratios in one run.

run: python benchmarks/thank_you_page.py [--rounds 9] [--views 60]
     UPSELL_TEST_DB=postgres python benchmarks/thank_you_page.py

The page is the example shop's own, with its session, its basket and its order lines; the
baseline is the same page with our tag taken out of its template. Rounds are interleaved, and
a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django
from django.conf import settings

PLAIN = tempfile.TemporaryDirectory()
settings.TEMPLATES[0]["DIRS"] = [PLAIN.name]
django.setup()

from django.db import connection  # noqa: E402
from django.template.loader import get_template  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import (  # noqa: E402
    CaptureQueriesContext,
    setup_databases,
    setup_test_environment,
    teardown_databases,
)
from django.urls import reverse  # noqa: E402

from example_shop import views  # noqa: E402
from tests.factories import campaign, catalogue, order  # noqa: E402


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--views", type=int, default=60, help="views a round")
    options = parser.parse_args()
    setup_test_environment()
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        measure(options.rounds, options.views)
    finally:
        teardown_databases(databases, verbosity=0)


def measure(rounds: int, views_a_round: int) -> None:
    without_our_tag()
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL")
    offered, quiet = order(products, ("W1", 1), ("CA", 1)), order(products, ("DT", 1), ("CA", 1))
    pages = {
        "without our tag": (quiet, "?plain=1"),
        "decided, no offer": (quiet, ""),
        "without our tag, other order": (offered, "?plain=1"),
        "decided, an offer": (offered, ""),
    }
    clients = {name: visitor(placed.pk) for name, (placed, _) in pages.items()}
    addresses = {
        name: reverse("shop:thanks", args=[placed.pk]) + query
        for name, (placed, query) in pages.items()
    }
    statements = {}
    for name, address in addresses.items():
        clients[name].get(address)
        with CaptureQueriesContext(connection) as asked:
            body = clients[name].get(address).content.decode()
        statements[name] = len(asked)
        if ("data-upsell-offer" in body) != (name == "decided, an offer"):
            raise SystemExit(f"{name}: the page is not what it should be")
    times: dict[str, list[float]] = {name: [] for name in pages}
    for _ in range(rounds):
        for name, address in addresses.items():
            times[name].append(median_view(clients[name], address, views_a_round))
    print(f"{connection.vendor}; load {os.getloadavg()[0]:.2f}; {rounds} x {views_a_round} views")
    for name, base in (
        ("without our tag", "without our tag"),
        ("decided, no offer", "without our tag"),
        ("without our tag, other order", "without our tag, other order"),
        ("decided, an offer", "without our tag, other order"),
    ):
        ratio = statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))
        print(
            f"{name:30} p50 {statistics.median(times[name]) * 1e3:6.2f} ms"
            f"  x{ratio:.3f}  statements {statements[name]}"
        )


def without_our_tag() -> None:
    """Put a copy of the shop's page beside it that never heard of us."""
    source = Path(get_template("shop/thanks.html").origin.name).read_text()
    plain = re.sub(r"{%\s*upsell_offer[^%]*%}", "", source)
    if plain == source:
        raise SystemExit("the shop's thank-you page has no tag of ours to take out")
    folder = Path(PLAIN.name) / "shop"
    folder.mkdir()
    (folder / "thanks_plain.html").write_text(plain)
    shown = views.shown

    def either(request, template, *args, **context):
        if template == "thanks" and "plain" in request.GET:
            template = "thanks_plain"
        return shown(request, template, *args, **context)

    views.shown = either


def visitor(order_pk: int) -> Client:
    """Return the browser that placed the order."""
    client = Client()
    session = client.session
    session["order_ref"] = str(order_pk)
    session.save()
    return client


def median_view(client: Client, address: str, views_a_round: int) -> float:
    seconds = []
    for _ in range(views_a_round):
        started = time.perf_counter()
        client.get(address)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
