"""The right to withdraw from what an offer added: how long, and what the shop does then.

EU law gives buyers 14 days from receiving goods, or from the contract for what is not sent.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from example_shop import books, models, signals
from example_shop.search import numbers
from upsell.ports import Refused

PERIOD = timedelta(days=14)
ADDED_WITHIN = timedelta(hours=2)
"""An offer is accepted so long after the order at most, and that is when its contract is made."""


class Withdrawals:
    """The part of the adapter that a shop in the EU needs besides."""

    def withdrawal_until(self, order_ref, line_ref):
        rows = models.OrderLine.objects.select_related("order", "product")
        line = rows.filter(pk__in=numbers([line_ref]), order__in=numbers([order_ref])).first()
        return None if line is None else until(line, timezone.now())

    @transaction.atomic
    def withdrawal_made(self, change, applied, original):
        take_line_back(change, applied, original)


def until(line, now):
    """Return until when a line may be withdrawn from; none where it may not.

    The day it begins does not count, and the last one counts to its end (Regulation 1182/71).
    """
    order, product = line.order, line.product
    used = line.service_at is not None and line.service_at <= now
    if used or product.is_gift_card or line.returned >= line.quantity:
        return None
    begins = order.placed_at + ADDED_WITHIN
    if product.requires_shipping:
        begins = order.shipped_at or now  # it has not begun before the goods are there
    last = timezone.localtime(begins).date() + getattr(settings, "SHOP_WITHDRAWAL_PERIOD", PERIOD)
    return timezone.make_aware(datetime.combine(last + timedelta(days=1), time()))


def take_line_back(change, applied, original):
    """Note that a packed line comes back, once, and give back what the order had paid of it.

    Raises:
        Refused: There is no such line any more.
    """
    order = models.Order.objects.select_for_update().get(pk=change.order_ref)
    line = order.lines.filter(pk__in=numbers([applied.line_ref])).first()
    if line is None:
        raise Refused("order_changed", f"order {order.number} has no such line")
    if line.returned == line.quantity:
        return
    line.returned = line.quantity
    line.save(update_fields=["returned"])
    if order.paid:
        books.give_back_part(order, original, reason=f"withdrawal-{change.id}")
    elif original:
        books.take_off_invoice(order, original, reference=f"withdrawal-{change.id}")
    order.changed_at = timezone.now()
    order.save(update_fields=["changed_at"])
    transaction.on_commit(
        partial(signals.order_changed.send_robust, sender=models.Order, order=order)
    )
