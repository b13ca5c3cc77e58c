"""What buyers, banks, staff, the shop and the provider do in a storm, each thing by its name.

Each is called with one sale and a random source of its own, in a thread of its own. What a dead
process or a lost database does to it is counted by who calls it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException

from django.db import connection
from django.urls import reverse

from example_shop import orders
from example_shop.adapter import CardGateway
from example_shop.models import Order
from tests.flow.browsing import Browser, Page
from tests.flow.processes import Started
from tests.flow.reporting import paid, reported
from upsell.models import Attempt, Campaign, Offer
from upsell.models.tokens import offer_token, undo_token
from upsell.services import campaigns, revoking

CARDS = [
    *["card_ok"] * 8,
    *["card_challenge"] * 3,
    *["card_lost"] * 2,
    *("card_hang", "card_declined", "card_wrong_amount", "card_refund_refused"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """An order, and the session that placed it."""

    placed: Order
    session_key: str
    pages: list[Page] = field(default_factory=list)
    """Every page that came."""

    @property
    def ref(self) -> str:
        return str(self.placed.pk)

    @property
    def thanks(self) -> str:
        return f"/order/{self.ref}/thanks/"

    @property
    def offer(self) -> Offer | None:
        rows = Offer.objects.select_related("acceptance__quote")
        return rows.filter(order_ref=self.ref).first()

    def tab(self, shop: Started) -> Tab:
        return Tab(self, shop)


class Tab:
    """One tab of the buyer's browser."""

    def __init__(self, sale: Sale, shop: Started) -> None:
        self.sale, self.browser = sale, Browser(sale.session_key)
        self.browser.port = shop.port

    def get(self, path: str) -> Page:
        return self._noted(self.browser.get(path))

    def press(self, name: str) -> Page | None:
        """Press a button, where the page has one."""
        if not self.browser.page.address(name):
            return None
        return self._noted(self.browser.press(name))

    def _noted(self, page: Page) -> Page:
        self.sale.pages.append(page)
        return page


def together(*work: Callable[[], object]) -> None:
    """Do all at once, whatever becomes of each."""

    def run(one: Callable[[], object]) -> None:
        with suppress(OSError, HTTPException):
            one()

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# ------------------------------------------------------------------ buyers


def looks(sale: Sale, shop: Started, dice: random.Random) -> None:
    sale.tab(shop).get(sale.thanks)


def accepts(sale: Sale, shop: Started, dice: random.Random) -> None:
    tab = sale.tab(shop)
    tab.get(sale.thanks)
    tab.press("accept")


def accepts_in_two_tabs(sale: Sale, shop: Started, dice: random.Random) -> None:
    tabs = [sale.tab(shop) for _ in range(2)]
    for tab in tabs:
        tab.get(sale.thanks)
    together(*(lambda tab=tab: tab.press("accept") for tab in tabs))


def accepts_and_declines_at_once(sale: Sale, shop: Started, dice: random.Random) -> None:
    tabs = [sale.tab(shop) for _ in range(2)]
    for tab in tabs:
        tab.get(sale.thanks)
    together(lambda: tabs[0].press("accept"), lambda: tabs[1].press("decline"))


def declines(sale: Sale, shop: Started, dice: random.Random) -> None:
    tab = sale.tab(shop)
    tab.get(sale.thanks)
    tab.press("decline")


def undoes(sale: Sale, shop: Started, dice: random.Random) -> None:
    tab = sale.tab(shop)
    offer = sale.offer
    if offer is not None and dice.random() < 0.5:
        tab.get(reverse("upsell:undo", args=[undo_token(offer)]))
    else:
        tab.get(sale.thanks)
    tab.press("undo")


def answers_the_bank(sale: Sale, shop: Started, dice: random.Random) -> None:
    offer, gateway = sale.offer, CardGateway()
    for charge in gateway.charges(sale.ref):
        gateway.answer_challenge(charge["reference"], paid=dice.random() < 0.7)
    if offer is not None and dice.random() < 0.7:
        tab = sale.tab(shop)
        tab.get(reverse("upsell:return", args=[offer_token(offer)]))
        tab.press("return")


# ------------------------------------------------------------------ the provider, the shop, staff


def the_provider_reports(sale: Sale, shop: Started, dice: random.Random) -> None:
    """What was paid for this sale, up to ten times."""
    keys = {row["key"]: row for row in CardGateway().charges(sale.ref)}
    told = [
        paid(attempt, keys[attempt.key]["reference"])
        for attempt in Attempt.objects.filter(key__in=keys)
        if keys[attempt.key]["state"] == "CAPTURED"
        and keys[attempt.key]["amount"] == str(attempt.amount)
    ] * dice.randint(1, 10)
    for report in told:
        reported(report, shop)


def the_shop_moves_on(sale: Sale, shop: Started, dice: random.Random) -> None:
    does = dice.choice([orders.cancel, orders.refund, orders.pack])
    with suppress(orders.NotNow):
        does(sale.placed.pk)


def staff_edit(sale: Sale, shop: Started, dice: random.Random) -> None:
    row = dice.choice(list(Campaign.objects.order_by("pk")))
    what = dice.choice(["price", "off", "on", "on", "withdraw"])
    if what == "price":
        percent = dice.randint(1, 60)
        campaigns.save_campaign(slug=row.slug, rule="PERCENT", percent=percent)
    elif what == "withdraw":
        revoking.withdraw_outstanding(campaign_id=row.pk, actor="staff")
    else:
        campaigns.save_campaign(slug=row.slug, status={"on": "LIVE", "off": "OFF"}[what])


Action = Callable[[Sale, Started, random.Random], None]
ACTIONS: Mapping[Action, int] = {
    # what happens: how often, beside the others
    looks: 4,
    accepts: 14,
    accepts_in_two_tabs: 5,
    accepts_and_declines_at_once: 3,
    declines: 3,
    undoes: 6,
    answers_the_bank: 6,
    the_provider_reports: 6,
    the_shop_moves_on: 3,
    staff_edit: 2,
}


def in_a_thread(work: Callable[[], object], crashes: list[Exception]) -> threading.Thread:
    """Begin something; a lost process is no crash, all else is noted."""

    def run() -> None:
        try:
            with suppress(OSError, HTTPException):
                work()
        except Exception as crash:
            crashes.append(crash)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread
