"""Offers on orders that were paid with Payfriend: the buyer approves the difference there."""

from __future__ import annotations

from decimal import Decimal

from django.urls import reverse

from example_shop.models import Order
from example_shop.payfriend import provider
from upsell import ports
from upsell.ports import ChargeResult, ChargeState, RefundResult, RefundState

STATES = {
    "open": ChargeState.REQUIRES_ACTION,
    "approved": ChargeState.REQUIRES_ACTION,  # not taken yet: ``finish`` does that
    "cancelled": ChargeState.DECLINED,
    "taken": ChargeState.CAPTURED,
}


class PayfriendGateway(ports.RedirectGateway):
    slug = "payfriend"
    label = "Payfriend"
    min_amount = Decimal(1)

    def begin(self, request):
        order = Order.objects.select_related("channel").get(pk=request.order_ref)
        try:
            payment = provider.open_payment(
                key=request.key,
                merchant=order.channel.name,
                text=f"Addition to order {request.order_number}",
                amount=request.amount,
                currency=request.currency,
                back=request.return_url,
            )
        except provider.Refused as refusal:
            raise ports.Refused("configuration", str(refusal)) from refusal
        return payment.reference, reverse("shop:payfriend", args=[payment.reference])

    def finish(self, reference):
        return told(provider.take(reference))

    def look_up(self, key):
        payment = provider.payment_of(key)
        return None if payment is None else told(payment)

    def cancel(self, reference, key):
        return told(provider.close(reference))

    def refund(self, reference, amount, currency, key):
        try:
            made = provider.refund(reference, amount, key=key)
        except provider.Refused as refusal:
            return RefundResult(state=RefundState.REFUSED, message=str(refusal))
        return RefundResult(state=RefundState.REFUNDED, reference=f"pf_refund_{made.pk}")


def told(payment):
    """Say what Payfriend says, in the words of the ports."""
    if payment is None:
        return ChargeResult(state=ChargeState.UNKNOWN)
    return ChargeResult(
        state=STATES[payment.state],
        reference=payment.reference,
        decline_code="cancelled" if payment.state == "cancelled" else "",
        amount=payment.amount,
        currency=payment.currency,
        refunded=payment.refunded,
    )
