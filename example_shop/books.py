"""What the shop's books say of the money of an order itself: given back, or not asked for."""

from __future__ import annotations

from functools import partial

from django.db import transaction

from example_shop import signals
from example_shop.models import GiftCard, Payment


def undo_checkout(order):
    """Book the checkout's own payments back. An offer's charge is refunded by the offer."""
    for payment in _of_checkout(order):
        parts = order.payments.filter(kind="refund", reference__startswith="withdrawal-")
        gone = sum((row.amount for row in parts.filter(reference__endswith=f"-{payment.pk}")), 0)
        if payment.amount > gone:
            _book_back(payment, payment.amount - gone, reference=payment.reference)
    GiftCard.objects.filter(bought_with__order=order).update(balance=0)


def give_back_part(order, amount, *, reason):
    """Give back a part of what an order's checkout paid: gift cards last, once per reason."""
    for payment in sorted(_of_checkout(order), key=lambda row: row.gift_card_id or 0):
        part = min(amount, payment.amount)
        amount -= part
        if part:
            _book_back(payment, part, reference=f"{reason}-{payment.pk}")


def _of_checkout(order):
    return order.payments.filter(kind="charge", reference__startswith="order-").order_by("pk")


def _book_back(payment, amount, *, reference):
    """Book a part or all of a payment as given back, once per reference."""
    booked, new = Payment.objects.get_or_create(
        kind="refund",
        reference=reference,
        defaults={
            "order": payment.order,
            "amount": amount,
            "currency": payment.currency,
            "gateway": payment.gateway,
            "gift_card": payment.gift_card,
        },
    )
    if not new:
        return
    send = signals.payment_back.send_robust
    transaction.on_commit(partial(send, sender=Payment, payment=booked))
    if payment.gift_card_id:
        card = GiftCard.objects.select_for_update().get(pk=payment.gift_card_id)
        card.balance += amount
        card.save(update_fields=["balance"])


def take_off_invoice(order, amount, *, reference):
    """Ask for less than an open invoice says, once per reference."""
    Payment.objects.get_or_create(
        kind="credit",
        reference=reference,
        defaults={
            "order": order,
            "amount": amount,
            "currency": order.currency,
            "gateway": order.payment_method,
        },
    )
