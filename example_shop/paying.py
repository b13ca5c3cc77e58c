"""Orders that are paid on somebody else's page: approved there, placed, and only then taken.

The session keeps what was begun: the buyer's details, and the one payment that was opened for
them. What an address says on the way back is compared with it and believed in nothing else.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.utils.module_loading import import_string

from example_shop import orders
from example_shop.basket import basket_of, place
from example_shop.models import Coupon, GiftCard, Order

logger = logging.getLogger("example_shop")

WAYS = {
    "payfriend": "example_shop.payfriend.checkout.Payfriend",
    "stripe": "example_shop.stripe_checkout.StripeCards",
}
"""Payment methods that are paid elsewhere, and who knows how; each is imported when it is used."""


class NotPaid(Exception):
    """Nothing was taken, and no order is under way; the message is for the buyer."""


class NotYet(Exception):
    """The buyer has not answered; ``address`` is where they are asked."""

    def __init__(self, address):
        super().__init__(address)
        self.address = address


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be paid, for whom."""

    key: str
    amount: Decimal
    currency: str
    merchant: str
    back: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a payment stands: ``open``, ``approved``, ``taken`` or ``cancelled``."""

    state: str
    amount: Decimal
    currency: str
    address: str = ""


def way(method):
    """Return who takes payments of a method; none where it is not paid elsewhere."""
    return import_string(WAYS[method])() if method in WAYS else None


def begin(request, basket, fields, *, back, **options):
    """Open a payment for a basket and return the address where the buyer is asked.

    Args:
        fields: What the checkout form says of the order.
        back: The absolute address to come back to.
        options: What this way to pay needs besides, as the test card of Stripe.

    Raises:
        NotPaid: The provider refused at once.
    """
    asked = Asked(
        key=f"shop-{uuid.uuid4()}",
        amount=basket.to_pay,
        currency=basket.currency,
        merchant=basket.channel.name,
        back=back,
        email=fields["email"],
    )
    reference, address, facts = way(fields["payment_method"]).open(asked, **options)
    request.session["paying"] = {
        "reference": reference,
        "fields": fields,
        "coupon": basket.coupon.code if basket.coupon else "",
        "gift_card": basket.gift_card.code if basket.gift_card else "",
        "facts": facts,
    }
    return address


def finish(request, reference):
    """Take what was approved, for an order that is placed now; return it. Twice is once.

    Raises:
        NotPaid: It is another payment than this session began, or another amount than the
            basket costs now, or the buyer would not pay: nothing was taken.
        NotYet: The buyer has not answered yet.
        orders.SoldOut, orders.NotNow: As ``place``; nothing was taken.
    """
    begun = request.session.get("paying")
    if begun is None or begun["reference"] != reference:
        raise NotPaid(
            "This is not the payment of your basket. Nothing was ordered or charged for it."
        )
    fields = begun["fields"]
    provider = way(fields["payment_method"])
    made = Order.objects.filter(payment_reference=reference).first()
    if made is None:
        standing = provider.standing(reference)
        if standing.state == "open":
            raise NotYet(standing.address)
        if standing.state == "approved":
            made = _placed(request, begun, standing)
        else:  # taken by now: the same buyer came back twice at once
            made = Order.objects.filter(payment_reference=reference).first()
    if made is None:
        request.session.pop("paying")
        raise NotPaid("You did not approve the payment. Nothing was ordered or charged.")
    if not made.paid:
        _taken(provider, made)
    request.session.pop("paying")
    return Order.objects.get(pk=made.pk)


def basket_for(request, codes):
    """Return the basket with the coupon and gift card that were applied at the checkout."""
    coupon = Coupon.objects.filter(code=codes["coupon"]).first()
    gift_card = GiftCard.objects.filter(code=codes["gift_card"]).first()
    return basket_of(request.session, coupon, gift_card)


def _placed(request, begun, standing):
    basket = basket_for(request, begun)
    if (standing.amount, standing.currency) != (basket.to_pay, basket.currency):
        way(begun["fields"]["payment_method"]).close(begun["reference"])
        request.session.pop("paying")
        raise NotPaid("Your basket has changed meanwhile. Nothing was charged; please pay again.")
    extra = {"payment_reference": begun["reference"], "payment_facts": begun["facts"]}
    try:
        with transaction.atomic():
            return place(basket, request.user, **begun["fields"], **extra)
    except IntegrityError:  # the same buyer came back twice at once
        return Order.objects.get(payment_reference=begun["reference"])


def _taken(provider, made):
    """Take the money of a placed order; where it cannot be had, the order is cancelled."""
    reference = made.payment_reference
    if made.cancelled:
        provider.close(reference)
        raise NotPaid(f"Order {made.number} was cancelled meanwhile. Nothing was charged.")
    standing = provider.take(reference)
    if standing.state == "cancelled":
        orders.cancel(made.pk)
        raise NotPaid("The payment was given up meanwhile. Nothing was charged.")
    if standing.state != "taken":
        raise NotPaid("The payment is not confirmed yet. Come back to this page in a minute.")
    try:
        orders.pay(made.pk)
    except orders.NotNow as closed:
        provider.refund(reference, standing.amount, key=f"shop-late-{made.pk}")
        raise NotPaid(f"{closed} What was taken for it goes back to you.") from closed


def give_back(sender, payment, **_kwargs):
    """Give back at the provider what the shop booked as given back, once per booking."""
    provider = way(payment.gateway)
    if provider is not None:
        key, reference = f"shop-refund-{payment.pk}", payment.order.payment_reference
        if not provider.refund(reference, payment.amount, key=key):
            logger.error("payment %s could not be given back", payment.pk)
