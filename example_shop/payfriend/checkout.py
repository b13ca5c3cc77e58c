"""Payfriend at the checkout: the whole order, approved on Payfriend's page."""

from __future__ import annotations

from django.urls import reverse

from example_shop.payfriend import provider
from example_shop.paying import NotPaid, Standing


class Payfriend:
    def open(self, asked):
        """Open a payment; return its reference, where the buyer is asked, and what to keep."""
        payment = provider.open_payment(
            key=asked.key,
            merchant=asked.merchant,
            text="Your order",
            amount=asked.amount,
            currency=asked.currency,
            back=asked.back,
        )
        return payment.reference, _page(payment), {}

    def standing(self, reference):
        return _standing(provider.payment(reference))

    def take(self, reference):
        return _standing(provider.take(reference))

    def close(self, reference):
        provider.close(reference)

    def refund(self, reference, amount, *, key):
        """Give back; whether Payfriend did."""
        try:
            provider.refund(reference, amount, key=key)
        except provider.Refused:
            return False
        return True


def _page(payment):
    return reverse("shop:payfriend", args=[payment.reference])


def _standing(payment):
    if payment is None:
        raise NotPaid("Payfriend does not know this payment. Nothing was charged.")
    return Standing(
        state=payment.state,
        amount=payment.amount,
        currency=payment.currency,
        address=_page(payment),
    )
