"""What the shop does with an order: stock, totals, and the way to the buyer's door.

Every change of stock locks the product's row first. Who locks an order as well locks
the order before any product, then all its products at once and by id, and only then writes
rows that name them (MariaDB locks what a new row names): so nobody waits for each other.
"""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from functools import partial

from django.core import serializers
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import get_random_string

from example_shop import books, signals
from example_shop.models import GiftCard, Order, OrderChange, OrderLine, Payment, Product
from upsell.ports import Refused, share_of_units


class SoldOut(Exception):
    """Somebody else was faster."""


class NotNow(Exception):
    """The order is not in a state for this; the message says why."""


# ------------------------------------------------------------------ stock


def take(wanted, *, short=False):
    """Take units out of stock, all or nothing.

    Args:
        wanted: Units by product id.
        short: Take what there is where there is less, instead of refusing.

    Returns:
        Units really taken by product id; none of a product whose stock is not counted.

    Raises:
        SoldOut: A product has fewer units than wanted; nothing was taken.
    """
    taken = {}
    with transaction.atomic():
        for row in locked_products(wanted):
            units = wanted[row.pk]
            if row.stock is None:
                units = 0
            elif row.stock < units:
                if not short:
                    raise SoldOut(row.title)
                units = row.stock
            taken[row.pk] = units
            put_back(row, -units)
    return taken


def settle(units):
    """Change stock by so many units per product, back on the shelf or out again.

    Raises:
        SoldOut: What has to be taken out again is not there; nothing was changed.
    """
    with transaction.atomic():
        for row in locked_products(units):
            if row.stock is not None and row.stock + units[row.pk] < 0:
                raise SoldOut(row.title)
            put_back(row, units[row.pk])


def locked_products(ids):
    """Return products under their row locks, always in the same order."""
    return list(Product.objects.select_for_update().filter(pk__in=list(ids)).order_by("pk"))


def put_back(product, units):
    """Write a locked product's stock; nothing where it is not counted."""
    if units and product.stock is not None:
        product.stock += units
        product.save(update_fields=["stock"])


def hold(promised):
    """Lock an order and reserve what an offer promised it, once per offer.

    Returns:
        The locked order, and its change: held, or done already.

    Raises:
        Refused: ``out_of_stock``.
    """
    order = Order.objects.select_for_update().get(pk=promised.order_ref)
    locked_products(_products(promised))
    change, _ = OrderChange.objects.select_for_update().get_or_create(
        change_id=promised.id,
        defaults={
            "order": order,
            "product_id": int(promised.product_ref),
            "quantity": promised.quantity,
            "state": "released",
        },
    )
    if change.state == "reverted":
        raise Refused("order_changed", f"order {order.number}: this was undone")
    if change.state == "released":
        short = promised.stock_policy != "REQUIRE"
        try:
            taken = take({change.product_id: change.quantity}, short=short)
        except SoldOut as sold_out:
            raise Refused("out_of_stock", f"{sold_out} has sold out") from sold_out
        change.state, change.taken = "held", sum(taken.values())
        change.save(update_fields=["state", "taken"])
    return order, change


def _products(promised):
    """Return the products that an offer moves: the one it adds, and those that leave."""
    return {promised.product_ref, *(part.product_ref for part in promised.replaces)} - {""}


def release(change_id):
    """Put back what was reserved and never applied."""
    with transaction.atomic():
        change = OrderChange.objects.select_for_update().filter(change_id=change_id).first()
        if change is not None and change.state == "held":
            settle({change.product_id: change.taken})
            change.state, change.taken = "released", 0
            change.save(update_fields=["state", "taken"])


# ------------------------------------------------------------------ lines


def carry_out(order, change, promised, plan):
    """Write what was planned: old lines out, the new line in, the totals changed by its price."""
    before = _totals(order)
    removed = []
    for part in promised.replaces:
        line = order.lines.get(pk=part.line_ref)
        settle({line.product_id: part.quantity})
        removed.append(take_out(line, part.quantity, part.credit))
    line = append(order, change, plan)
    order.shipping_net += plan.shipping.net
    order.shipping_gross += plan.shipping.gross
    grow(order, plan.amount_due.net, plan.amount_due.gross)
    change.state = "applied"
    change.answer = {
        "line": str(line.pk),
        "before": before,
        "after": _totals(order),
        "removed": removed,
    }
    change.save(update_fields=["state", "answer"])


def _totals(order):
    return {"net": str(order.total_net), "gross": str(order.total_gross)}


def append(order, change, plan):
    """Add the line that an offer promised."""
    product, last = change.product, order.lines.order_by("-position", "-pk").first()
    return OrderLine.objects.create(
        order=order,
        product=product,
        position=last.position + 1 if last else 1,
        title=product.title,
        quantity=change.quantity,
        tax_rate=product.tax_rate,
        unit_net=plan.unit.net,
        unit_gross=plan.unit.gross,
        before_net=plan.line.net,
        before_gross=plan.line.gross,
        total_net=plan.line.net,
        total_gross=plan.line.gross,
        service_at=service_of(product, order.placed_at),
        change_id=change.change_id,
    )


def take_out(line, units, credit):
    """Remove units of a line, and return all it was, so that ``bring_back`` can restore it."""
    dump = json.loads(serializers.serialize("json", [line]))[0]
    if units == line.quantity:
        line.delete()
        return dump
    for name in ("before_net", "before_gross", "discount_gross", "coupon_gross"):
        whole = getattr(line, name)
        part = share_of_units(
            whole,
            units=line.quantity,
            first=line.returned,
            count=units,
            currency=line.order.currency,
        )
        setattr(line, name, whole - part)
    line.quantity -= units
    line.total_net -= credit.net
    line.total_gross -= credit.gross
    line.save()
    return dump


def take_back(promised):
    """Undo an offer's change, once: its line out, old lines, stock and totals as they were.

    Raises:
        Refused: The order is packed, or somebody changed one of these lines since.
    """
    order = Order.objects.select_for_update().get(pk=promised.order_ref)
    locked_products(_products(promised))
    change = OrderChange.objects.select_for_update().get(change_id=promised.id)
    if change.state != "applied":
        return
    line = order.lines.filter(pk=change.answer["line"]).first()
    if order.released:
        raise Refused("order_released", f"order {order.number} is packed")
    if line is None or line.returned or _closed(order):
        raise Refused("order_changed", f"the offer's line of order {order.number} changed")
    line.delete()
    back = {change.product_id: change.taken}
    for dump, part in zip(change.answer["removed"], promised.replaces, strict=True):
        fields = dump["fields"]
        rest = order.lines.filter(pk=dump["pk"]).first()
        left = fields["quantity"] - part.quantity
        if left and (rest is None or (rest.quantity, rest.returned) != (left, fields["returned"])):
            raise Refused("order_changed", f"line {dump['pk']} changed since")
        for restored in serializers.deserialize("python", [dump]):
            restored.save()
        back[fields["product"]] = back.get(fields["product"], 0) - part.quantity
    try:
        settle(back)
    except SoldOut as sold_out:
        raise Refused("out_of_stock", f"{sold_out} has sold out") from sold_out
    before, after = change.totals()
    order.shipping_net -= promised.shipping.net
    order.shipping_gross -= promised.shipping.gross
    grow(order, before["net"] - after["net"], before["gross"] - after["gross"])
    change.state = "reverted"
    change.save(update_fields=["state"])


def service_of(product, booked_at):
    """Return when a journey starts or a room is taken; none for what is not a service."""
    days = product.service_after_days
    return None if days is None else booked_at + timedelta(days=days)


def grow(order, net, gross):
    """Change the totals by so much. Never a sum of lines: that is off by a cent in real shops."""
    order.total_net += net
    order.total_gross += gross
    order.changed_at = timezone.now()
    order.save(
        update_fields=["total_net", "total_gross", "shipping_net", "shipping_gross", "changed_at"]
    )


# ------------------------------------------------------------------ on its way


def pack(order_id):
    """Close an order for changes.

    Raises:
        NotNow: It is cancelled, packed, or an offer asked to wait a little longer.
    """
    _moved(order_id, _may_pack, signal=signals.order_changed, released=True, hold_until=None)


def ship(order_id):
    """Hand an order to the carrier, packing it if that was not done."""
    now = timezone.now()
    signal = signals.order_shipped
    _moved(order_id, _may_ship, signal=signal, released=True, shipped=True, shipped_at=now)


def issue_gift_cards(order):
    """Make a gift card for each unit that an order bought, once it is paid."""
    for line in order.lines.filter(product__is_gift_card=True, gift_cards=None).order_by("pk"):
        GiftCard.objects.bulk_create(
            GiftCard(
                code=get_random_string(12, "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"),
                currency=order.currency,
                balance=line.unit_gross,
                bought_with=line,
            )
            for _ in range(line.quantity)
        )


def pay_invoice(order_id):
    """Book that an invoice was paid, and issue the gift cards it was for."""
    _paid(order_id, "-invoice")


def pay(order_id):
    """Book that the payment which the buyer made elsewhere was taken. Once; twice is the same.

    Raises:
        NotNow: The order was cancelled meanwhile.
    """
    with transaction.atomic():
        if not Order.objects.select_for_update().get(pk=order_id).paid:
            _paid(order_id, "")


def _paid(order_id, suffix):
    with transaction.atomic():
        order = _moved(order_id, _may_pay, signal=signals.order_changed, paid=True)
        covered = order.payments.filter(kind__in=["charge", "credit"])
        paid = sum((row.amount for row in covered), Decimal(0))
        Payment.objects.create(
            order=order,
            kind="charge",
            amount=order.total_gross - paid,
            currency=order.currency,
            reference=f"order-{order.number}{suffix}",
            gateway=order.payment_method,
        )
        issue_gift_cards(order)


def cancel(order_id):
    """Cancel an order that is not packed: stock and gift card balance go back."""
    with transaction.atomic():
        order = _moved(order_id, _may_cancel, signal=signals.order_cancelled, cancelled=True)
        settle(_units(order))
        books.undo_checkout(order)


def refund(order_id):
    """Give everything back for an order, packed or not; what was shipped stays off the shelf."""
    with transaction.atomic():
        order = _moved(order_id, _may_refund, signal=signals.order_refunded, refunded=True)
        if not order.released:
            settle(_units(order))
        books.undo_checkout(order)


def _moved(order_id, why_not, *, signal, **values):
    with transaction.atomic():
        order = Order.objects.select_for_update().get(pk=order_id)
        reason = why_not(order)
        if reason:
            raise NotNow(f"Order {order.number}: {reason}")
        for name, value in values.items():
            setattr(order, name, value)
        order.changed_at = timezone.now()
        order.save(update_fields=[*values, "changed_at"])
        transaction.on_commit(partial(signal.send_robust, sender=Order, order=order))
    return order


def _closed(order):
    return "it is cancelled." if order.cancelled else "it is refunded." if order.refunded else ""


def _may_pack(order):
    if order.released:
        return "it is packed already."
    if order.hold_until and order.hold_until > timezone.now():
        until = timezone.localtime(order.hold_until)
        return f"the buyer is looking at an offer, wait until {until:%H:%M}."
    return _closed(order)


def _may_ship(order):
    if order.shipped:
        return "it is shipped already."
    return _closed(order) if order.released else _may_pack(order)


def _may_pay(order):
    return _closed(order) or ("it is paid already." if order.paid else "")


def _may_cancel(order):
    return _closed(order) or ("it is packed; refund it instead." if order.released else "")


def _may_refund(order):
    return _closed(order) or ("" if order.paid else "nothing was paid yet; cancel it instead.")


def _units(order):
    """Return the units by product id that an order took off the shelf: less of what was short."""
    units, taken = {}, dict(order.changes.values_list("change_id", "taken"))
    for line in order.lines.order_by("pk"):
        left = line.quantity - line.returned
        left = min(left, taken.get(line.change_id, left))
        units[line.product_id] = units.get(line.product_id, 0) + left
    return units
