"""A shop in a storm: rounds of random work and trouble, and a settling after each dozen.

Every round is drawn from the seed and its own number. In which order threads and processes then
come is the machine's; what must hold in the end does not depend on it.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from io import StringIO

from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command

from example_shop.models import Product
from tests.factories import campaign, catalogue, order
from tests.flow import clock, faults, killed
from tests.flow.databases import Database
from tests.flow.processes import Started
from tests.soak.buyers import ACTIONS, CARDS, Sale, in_a_thread
from tests.soak.wholeness import Wholeness
from upsell.models import Campaign
from upsell.services import campaigns

PATIENCE = 60
"""Seconds until a round that does not end fails the test."""
ROUNDS = 12
"""Between one settling and the next."""
CASES = 40
"""Of the offered product, at the beginning of each dozen of rounds."""

TROUBLE: Mapping[str, int] = {
    # what goes wrong in a round: how often, beside the others
    "nothing": 6,
    "a server is killed": 3,
    "a server dies at a step": 3,
    "a worker dies at a step": 3,
    "connections are cut": 3,
    "a commit is not heard of": 2,
    "the database is down": 2,
}


class Storm:
    """Two servers of the shop, and a worker each round, before a database that is not reliable."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database, self.seed = database, seed
        self.counts: Counter[str] = Counter()
        self.rounds = 0
        self.products: dict[str, Product] = catalogue()
        self._campaigns = [
            campaign(self.products["CA"], priority=1),
            campaign(self.products["W2"], self.products["W1"], kind="UPSELL", priority=2),
        ]
        Product.objects.filter(sku="W1").update(stock=100_000)
        self._servers = [self._server(), self._server()]

    def rage(self, *, seconds: float) -> None:
        """Go on for so long; settle each dozen of rounds, and in the end."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._dozen(until)

    def calm(self) -> None:
        """End every process."""
        for shop in self._servers:
            shop.kill()

    # ---------------------------------------------------------------- rounds

    def _dozen(self, until: float) -> None:
        Product.objects.filter(sku__in=["CA", "W2"]).update(stock=CASES)
        for row in self._campaigns:
            campaigns.save_campaign(slug=row.slug, rule="LIST", status="LIVE")
        whole, sales = Wholeness(since=clock.told()), []
        for _ in range(ROUNDS):
            self.rounds += 1
            dice = random.Random(f"{self.seed}:{self.rounds}")
            Campaign.objects.filter(pk=self._campaigns[1].pk).update(priority=dice.choice([0, 2]))
            sales += [self._sold(dice) for _ in range(dice.randint(1, 3))]
            self._round(sales, dice)
            if time.monotonic() > until + PATIENCE:
                break
        self._settle()
        self.counts += whole.of(sales)

    def _round(self, sales: list[Sale], dice: random.Random) -> None:
        crashes: list[Exception] = []
        trouble = _drawn(TROUBLE, dice)
        self.counts[trouble] += 1
        step = dice.randint(1, 12)
        if trouble == "a server dies at a step":
            self._replace(0, deadly=step)
        threads = []
        for number in range(dice.randint(3, 8)):
            action, sale = _drawn(ACTIONS, dice), dice.choice(sales[-8:])
            self.counts[action.__name__] += 1
            own = random.Random(f"{self.seed}:{self.rounds}:{number}")
            work = partial(action, sale, self._servers[number % 2], own)
            threads.append(in_a_thread(work, crashes))
        self._trouble(trouble, dice)
        died = step if trouble == "a worker dies at a step" else 0
        workers = [self._worker(died), *([self._worker(0)] if dice.random() < 0.3 else [])]
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), f"round {self.rounds} of seed {self.seed} does not end"
        for worker in workers:
            worker.ended()
        if crashes:
            raise ExceptionGroup(f"round {self.rounds} of seed {self.seed}", crashes)
        if trouble in {"a server is killed", "a server dies at a step"}:
            self._replace(0)
        clock.pass_by(timedelta(seconds=dice.choice([1, 5, 20, 31, 61, 95])))

    def _trouble(self, trouble: str, dice: random.Random) -> None:
        line = self.database.line
        time.sleep(dice.random() / 10)  # somewhere in the middle of what is under way
        if trouble == "a server is killed":
            self._servers[0].kill()
        elif trouble == "connections are cut":
            self.counts["connections cut"] += line.cut()
        elif trouble == "a commit is not heard of":
            self.database.lose_the_answer_to_a_commit()
        elif trouble == "the database is down":
            with line.closed():
                time.sleep(dice.random() / 5)

    # ---------------------------------------------------------------- processes and sales

    def _server(self, **options: int) -> Started:
        return Started(
            killed.serve,
            threads=True,
            silent=True,
            fault=faults.hears_reports,
            database=self.database.address,
            **options,
        )

    def _replace(self, number: int, **options: int) -> None:
        with suppress(OSError):
            self._servers[number].kill()
        self._servers[number] = self._server(**options)
        self.counts["servers"] += 1

    def _worker(self, deadly: int) -> Started:
        self.counts["workers"] += 1
        return Started(
            killed.command,
            *("upsell_run", "--once"),
            silent=True,
            deadly=deadly,
            database=self.database.address,
        )

    def _sold(self, dice: random.Random) -> Sale:
        self.counts["orders"] += 1
        placed = order(self.products, placed_at=clock.told(), card=dice.choice(CARDS))
        session = SessionStore()
        session["order_ref"] = str(placed.pk)
        session.create()
        return Sale(placed=placed, session_key=str(session.session_key))

    def _settle(self) -> None:
        """Nothing more happens but due work: a day later all is final."""
        self.database.line.disarm()
        for minutes in (1, 2, 3, 10, 16, 30, 60, 300, 1200):
            clock.pass_by(timedelta(minutes=minutes))
            call_command("upsell_run", "--once", stdout=StringIO())


def _drawn(weights, dice: random.Random):
    return dice.choices(list(weights), list(weights.values()))[0]
