"""One sale of the example shop: an order placed at noon, its buyer's browser, and what must hold.

What must hold is read from the shop's own tables and the provider's ledger, not from ours.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from http.client import HTTPException
from io import StringIO
from typing import Any

from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command

from example_shop.adapter import CardGateway
from example_shop.models import Order, Payment, Product
from tests.factories import campaign, catalogue, order
from tests.flow import clock
from tests.flow.browsing import Browser, Page
from tests.flow.processes import Started, server
from upsell.models import Attempt, Offer, Refund

PLACED = [("W1", 1, Decimal(600))]
"""The lines of the order."""
CHANGED = {
    "CROSS_SELL": [*PLACED, ("CA", 1, Decimal(24))],
    "UPSELL": [("W2", 1, Decimal(840))],
}
"""The same, once the offer is taken."""
STOCK = {
    "": {"CA": 20, "W1": 10, "W2": 5},
    "CROSS_SELL": {"CA": 19, "W1": 10, "W2": 5},
    "UPSELL": {"CA": 20, "W1": 11, "W2": 4},
}
"""What is on the shelf when no offer is taken, and when one is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """An order and its buyer."""

    kind: str
    placed: Order
    buyer: Browser

    @property
    def address(self) -> str:
        """Of the thank-you page."""
        return f"/order/{self.placed.pk}/thanks/"

    @property
    def offer(self) -> Offer:
        return Offer.objects.get(order_ref=str(self.placed.pk))

    def thanks(self, shop: Started) -> Page:
        """Load the thank-you page from a process of the shop."""
        self.buyer.port = shop.port
        return self.buyer.get(self.address)


def offered(kind: str) -> dict[str, Product]:
    """Stock the shop, and offer a case to every order, or the larger washer for the smaller."""
    products = catalogue()
    if kind == "UPSELL":
        campaign(products["W2"], products["W1"], kind="UPSELL")
    else:
        campaign(products["CA"])
    return products


def sold(products: dict[str, Product], kind: str = "CROSS_SELL", **options: Any) -> Sale:
    """Sell a washer at noon, in a session of its own."""
    placed = order(products, placed_at=clock.NOON, **options)
    session = SessionStore()
    session["order_ref"] = str(placed.pk)
    session.create()
    return Sale(kind=kind, placed=placed, buyer=Browser(str(session.session_key)))


# ------------------------------------------------------------------ what happens


def accepts(sale: Sale, shop: Started) -> Page:
    sale.thanks(shop)
    return sale.buyer.press("accept")


def undoes(sale: Sale, shop: Started) -> Page:
    sale.thanks(shop)
    return sale.buyer.press("undo")


def withdraws(sale: Sale, shop: Started) -> Page:
    """Withdraw from what was added: state it, and confirm."""
    sale.buyer.port = shop.port
    sale.buyer.get(f"/order/{sale.placed.pk}/withdraw/")
    sale.buyer.press("withdraw", name="Ada", do="state")
    return sale.buyer.press("withdraw", do="confirm")


def killed(act: Callable[[Sale, Started], object], sale: Sale, step: int, **options: Any) -> None:
    """Let a buyer do something at a server that dies at a step of it."""
    with server(deadly=step, **options) as shop, suppress(OSError, HTTPException):
        act(sale, shop)
    assert len(shop.steps) == step, "it lived on: there is no such step"


def reconcile(*, minutes: float) -> None:
    """Let so many minutes pass, and reconcile every half one."""
    for _ in clock.half_minutes(minutes=minutes):
        call_command("upsell_reconcile", stdout=StringIO())


# ------------------------------------------------------------------ what must hold


def agrees(sale: Sale, *, live: bool) -> None:
    """Fail unless money, lines and totals of a sale tell one story, and nothing waits."""
    lines = CHANGED[sale.kind] if live else PLACED
    placed = Order.objects.get(pk=sale.placed.pk)
    rows = placed.lines.order_by("position").values_list("product__sku", "quantity", "total_gross")
    assert list(rows) == lines, "I7, I8: what the order consists of"
    total = sum(gross for _, _, gross in lines)
    assert placed.total_gross == total, "I9: the total is the sum of the lines"

    ledger, ref = CardGateway(), str(placed.pk)
    attempts = Attempt.objects.filter(offer__order_ref=ref)
    charges = ledger.charges(ref)
    assert len(charges) <= 1, "I2: one charge at most"
    assert {row["key"] for row in charges} <= set(attempts.values_list("key", flat=True)), "I14"
    assert ledger.charged(ref) == total - 600, "I3: collected is what the order grew by"
    booked = {"charge": Decimal(0), "refund": Decimal(0)}
    for payment in Payment.objects.filter(order=placed):
        booked[payment.kind] += payment.amount
    assert booked["charge"] - booked["refund"] == total - 600, "the shop's books say the same"

    assert not attempts.unsettled().exists(), "I20: nothing is left half-done"
    assert not Refund.objects.filter(attempt__in=attempts, state="PENDING").exists()


def stock() -> dict[str, int]:
    """What is on the shelf, of what an offer may move."""
    rows = Product.objects.filter(sku__in=STOCK[""])
    return dict(rows.values_list("sku", "stock"))


def audit() -> tuple[int, str]:
    """Ask our rows, the shop and the gateways; return the exit code and what was said."""
    said = StringIO()
    try:
        call_command("upsell_audit", "--outside", stdout=said)
    except SystemExit as ended:
        return int(ended.code or 0), said.getvalue()
    return 0, said.getvalue()
