"""Guests who turn out to have an account."""

from __future__ import annotations

from example_shop.models import Order
from upsell import hooks
from upsell.ports import Customer


def tell_who_was_a_guest(user):
    """Say that the guest with this account's address is one buyer with it: whoever was here first.

    Nothing is said of an address that no guest bought with.
    """
    if not user.email:
        return
    guests = Order.objects.filter(user=None, email__iexact=user.email)
    first = guests.order_by("placed_at", "pk").first()
    if first is None:
        return
    guest, account = Customer(email=user.email), Customer(ref=str(user.pk), email=user.email)
    was_here = Order.objects.filter(user=user, placed_at__lt=first.placed_at).exists()
    old, new = (account, guest) if was_here else (guest, account)
    hooks.link_buyer(old=old, new=new)
