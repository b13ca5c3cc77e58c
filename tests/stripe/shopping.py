"""The example shop taking its cards with Stripe, and what is left in the end of one sale."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import models
from django.test import Client
from django.urls import reverse

from example_shop.models import Order, OrderLine, Payment, Product
from tests.factories import order
from tests.flow.test_accept import offered
from tests.stripe.control import Stripe
from tests.stripe.webhooks import Delivery
from upsell.contrib.stripe.cards import Card
from upsell.models import (
    Acceptance,
    Attempt,
    GatewayEvent,
    Offer,
    OfferEvent,
    OutboxMessage,
    Refund,
)
from upsell.models.tokens import offer_token, undo_token
from upsell.ports import Occasion
from upsell.services import accepting, auditing, reconciling, undoing

CARDS: dict[str, Card] = {}
"""Order to the card that paid it: what a host keeps of the first payment."""
PRICE = 2400
"""What the case costs, in cents."""


def card_of(occasion: Occasion) -> Card | None:
    """Answer for ``UPSELL_STRIPE_CARD``."""
    return CARDS.get(occasion.ref)


def settings_for(stripe: Stripe) -> dict[str, Any]:
    return {
        "UPSELL_GATEWAYS": {"card": "upsell.contrib.stripe.gateway.StripeGateway"},
        "UPSELL_STRIPE_SECRET_KEY": stripe.api_key,
        "UPSELL_STRIPE_API_BASE": stripe.url,
        "UPSELL_STRIPE_WEBHOOK_SECRETS": [stripe.webhooks.secret],
        "UPSELL_STRIPE_CARD": f"{__name__}.card_of",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """A washer paid by a card that Stripe keeps, with a case on offer."""

    stripe: Stripe
    placed: Order
    offer_id: int

    @property
    def ref(self) -> str:
        return str(self.placed.pk)

    @property
    def offer(self) -> Offer:
        return Offer.objects.get(pk=self.offer_id)

    @property
    def attempt(self) -> Attempt:
        """The last one."""
        return Attempt.objects.filter(offer=self.offer_id).order_by("-number")[0]

    # ---------------------------------------------------------------- the buyer

    def accept(self) -> Offer:
        return accepting.accept(
            token=offer_token(self.offer),
            quote_number=1,
            trusted=True,
            return_url="https://shop.example/back/",
        )

    def undo(self) -> Offer:
        return undoing.undo(token=undo_token(self.offer), trusted=False)

    # ---------------------------------------------------------------- what is true

    @property
    def charges(self) -> int:
        """How often the server took money for it."""
        return len(self.stripe.ledger.charges({"order": self.ref}))

    @property
    def kept(self) -> int:
        """What the server keeps for it, in cents."""
        return self.stripe.ledger.net({"order": self.ref})

    def agrees(self, *, kept: int) -> None:
        """Fail unless the order grew by what the server keeps, and nothing waits."""
        assert self.kept == kept
        due = Decimal(kept) / 100
        placed = Order.objects.get(pk=self.placed.pk)
        assert placed.total_gross == 600 + due
        lines = OrderLine.objects.filter(order=placed).values_list("product__sku", flat=True)
        assert list(lines.order_by("position")) == ["W1", *(["CA"] if kept else [])]
        booked = {"charge": Decimal(0), "refund": Decimal(0)}
        for payment in Payment.objects.filter(order=placed):
            booked[payment.kind] += payment.amount
        assert booked["charge"] - booked["refund"] == due
        assert not Attempt.objects.unsettled().filter(offer=self.offer_id).exists()
        assert self.stripe.ledger.without_key == []
        assert max(self.stripe.ledger.charges_by_key().values(), default=0) <= 1
        found = [row.breaches for row in auditing.audit(order_ref=self.ref, outside=True)]
        assert [str(breach) for breaches in found for breach in breaches] == []
        assert auditing.whole() == []


def sold(stripe: Stripe, products: dict[str, Product], card: str = "pm_card_visa") -> Sale:
    """Sell a washer, and show the offer of a case."""
    placed = order(products)
    saved = stripe.save_card(card)
    CARDS[str(placed.pk)] = Card(customer=saved.customer, payment_method=saved.payment_method)
    return Sale(stripe=stripe, placed=placed, offer_id=offered(placed).pk)


def reconcile(since: datetime, *, minutes: float, begun: float = 0.5) -> None:
    """Let it look every half minute, from half a minute after ``since`` until so many after."""
    for half in range(int(begun * 2), int(minutes * 2) + 1):
        reconciling.reconcile(now=since + timedelta(seconds=30 * half))


def posting(answers: list[int] | None = None) -> Callable[[Delivery], int]:
    """Return what takes a delivery to the shop's own view."""
    client = Client(raise_request_exception=False)

    def post(sent: Delivery) -> int:
        headers = {name: value for name, value in sent.headers.items() if name != "Content-Type"}
        answer = client.post(
            reverse("upsell:webhook", args=["stripe"]),
            sent.body,
            content_type="application/json",
            headers=headers,
        )
        if answers is not None:
            answers.append(answer.status_code)
        return answer.status_code

    return post


# ------------------------------------------------------------------ the final rows

_OF_NO_MATTER = (models.AutoField, models.DateTimeField, models.UUIDField, models.ForeignKey)
_OF_ITS_OWN = {
    *("token_hash", "undo_hash", "number", "key", "line_ref", "new_or_returning"),
    *("change_id", "order_ref", "occasion_ref", "terms"),
}
_NAMES = re.compile(r"(ups-)?[0-9a-f]{8}-[0-9a-f-]{27}|(pi|re|ch|evt|du|dp)_\w+")


def story(sale: Sale, *, reports: bool) -> dict[str, list[dict[str, Any]]]:
    """Return every row of a sale without what differs between two sales: ids, keys and times.

    Args:
        reports: The inbox of the provider's reports too.
    """
    attempts = Attempt.objects.filter(offer=sale.offer_id)
    rows: dict[str, Iterable[models.Model]] = {
        "offer": [sale.offer],
        "attempts": attempts,
        "acceptance": Acceptance.objects.filter(offer=sale.offer_id),
        "refunds": Refund.objects.filter(attempt__in=attempts),
        "events": OfferEvent.objects.filter(offer=sale.offer_id).order_by("pk"),
        "messages": OutboxMessage.objects.filter(offer=sale.offer_id).order_by("kind"),
        "order": Order.objects.filter(pk=sale.placed.pk),
        "lines": OrderLine.objects.filter(order=sale.placed).order_by("position"),
        "payments": Payment.objects.filter(order=sale.placed).order_by("kind", "amount"),
    }
    if reports:
        keys = attempts.values("key")
        inbox = GatewayEvent.objects.filter(key__in=keys)
        rows["reports"] = sorted(inbox, key=lambda row: (str(row.result), row.state))
    return {name: [_told(row) for row in found] for name, found in rows.items()}


def apart(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return what differs between two stories, in words; nothing where they are one."""
    found = []
    for name in one:
        if len(one[name]) != len(other[name]):
            found.append(f"{name}: {len(one[name])} rows and {len(other[name])}")
            continue
        found += [
            f"{name}.{field}: {row[field]!r} and {twin[field]!r}"
            for row, twin in zip(one[name], other[name], strict=True)
            for field in row
            if row[field] != twin[field]
        ]
    return found


def _told(row: models.Model) -> dict[str, Any]:
    return {
        field.attname: _plain(getattr(row, field.attname))
        for field in row._meta.concrete_fields
        if not isinstance(field, _OF_NO_MATTER) and field.attname not in _OF_ITS_OWN
    }


def _plain(value: Any) -> Any:
    if isinstance(value, UUID | datetime):
        return type(value).__name__
    text = str(value)
    return _NAMES.sub("~", text) if _NAMES.search(text) else value
