"""What a shop may ask of Payfriend: the library that a provider gives to its shops."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F
from django.utils.crypto import get_random_string

from example_shop.payfriend.models import PayfriendPayment, PayfriendRefund


class Refused(Exception):
    """Payfriend will not do that; the message says why."""


def open_payment(*, key, merchant, text, amount, currency, back):
    """Open a payment for the buyer to approve, once per key.

    Args:
        key: The shop's own; the same key is the same payment, for ever.
        amount: In major units of ``currency``.
        back: Where the buyer is sent once they answered; the reference is added to it.

    Raises:
        Refused: The key was used for another amount.
    """
    with transaction.atomic():
        payment, _ = PayfriendPayment.objects.get_or_create(
            key=key,
            defaults={
                "reference": f"pf_{get_random_string(18)}",
                "merchant": merchant,
                "text": text,
                "amount": amount,
                "currency": currency,
                "back": back,
            },
        )
    if (payment.amount, payment.currency) != (amount, currency):
        raise Refused(f"the key {key} belongs to a payment of {payment.amount:f}")
    return payment


def payment(reference):
    """Return a payment; none = there is no such."""
    return PayfriendPayment.objects.filter(reference=reference).first()


def payment_of(key):
    """Return the payment that a key opened; none = certainly nothing was opened."""
    return PayfriendPayment.objects.filter(key=key).first()


def answer(reference, *, approved):
    """Note what the buyer says, once; their first answer counts."""
    state = "approved" if approved else "cancelled"
    PayfriendPayment.objects.filter(reference=reference, state="open").update(state=state)


def take(reference):
    """Take what the buyer approved, once, and return how the payment stands then."""
    PayfriendPayment.objects.filter(reference=reference, state="approved").update(state="taken")
    return payment(reference)


def close(reference):
    """Give a payment up, unless it is taken; return how it stands then."""
    waits = PayfriendPayment.objects.filter(reference=reference, state__in=["open", "approved"])
    waits.update(state="cancelled")
    return payment(reference)


def refund(reference, amount, *, key):
    """Give back a part or all of what was taken, once per key.

    Raises:
        Refused: Nothing was taken, or less than that is left of it.
    """
    with transaction.atomic():
        found = PayfriendPayment.objects.select_for_update().filter(reference=reference).first()
        done = PayfriendRefund.objects.filter(key=key).first()
        if done is not None:
            return done
        if found is None or found.state != "taken":
            raise Refused("nothing was taken")
        if not 0 < amount <= found.amount - found.refunded:
            raise Refused("that is more than is left of it")
        found.refunded = F("refunded") + amount
        found.save(update_fields=["refunded"])
        return PayfriendRefund.objects.create(payment=found, key=key, amount=amount)
