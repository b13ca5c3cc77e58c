"""What an accepted offer does to an order of Salesman's, and its undo.

Locked in this order: the order, then the teas by id, then what is written. The order's lock
guards the rows that remember its changes.
"""

from __future__ import annotations

import json
from decimal import Decimal

from django.core import serializers
from salesman.conf import app_settings

from tests.salesman_project.teashop import models, stock
from upsell.ports import NotFound, Refused, share_of_units

TOTALS = ("subtotal", "shipping", "total")


def begin(change):
    """Return the order of a change under its lock, with every tea that moves."""
    order = models.Order.objects.select_for_update().get(pk=change.order_ref)
    refs = {change.product_ref, *(part.product_ref for part in change.replaces)}
    stock.locked(filter(None, map(tea_of, refs)))
    return order


def held(change):
    """Reserve what an offer promised, once.

    Returns:
        The locked order, and what is remembered of the change: held, or done already.

    Raises:
        Refused: ``out_of_stock``, or ``order_changed`` when it was undone.
    """
    order, tea = begin(change), tea_of(change.product_ref)
    row, _ = models.OrderChange.objects.get_or_create(
        change_id=change.id, defaults={"order": order, "tea_id": tea}
    )
    if row.state == "reverted":
        raise Refused("order_changed", f"order {order.ref}: this was undone")
    if row.state == "released":
        row.taken = _to_take(tea, change)
        _move({tea: -row.taken})
        row.state = "held"
        row.save()
    return order, row


def tea_of(ref):
    """Return the id of what is on the shelf; none of a type that has no shelf."""
    label, _colon, key = ref.partition(":")
    return int(key) if label == models.Tea._meta.label else None


def _to_take(tea, change):
    """Return how many units leave the shelf: fewer than promised where staff allow that."""
    if tea is None:
        return 0
    row = models.Tea.objects.filter(pk=tea).first()
    if row is None:
        raise NotFound(f"no product {change.product_ref}")
    return change.quantity if change.stock_policy == "REQUIRE" else min(row.stock, change.quantity)


def _move(units):
    try:
        stock.move({tea: count for tea, count in units.items() if tea and count})
    except stock.SoldOut as sold_out:
        raise Refused("out_of_stock", str(sold_out)) from sold_out


def release(change_id):
    """Put back what was held and never applied, once."""
    row = models.OrderChange.objects.filter(change_id=change_id).first()
    if row is None:
        return
    models.Order.objects.select_for_update().get(pk=row.order_id)
    row.refresh_from_db()
    if row.state == "held":
        _move({row.tea_id: row.taken})
        row.state, row.taken = "released", 0
        row.save()


# ------------------------------------------------------------------ the lines


def carry_out(order, row, change, plan, product):
    """Take out what leaves, add the new line through Salesman's own door, grow the totals."""
    before = _totals(order)
    removed = [_take_out(order, part) for part in change.replaces]
    item = _added(order, change, plan, product)
    order.subtotal += item.total - sum(amount for _dump, amount in removed)
    order.shipping += plan.shipping.gross
    order.total += plan.amount_due.gross
    _restate(order)
    row.answer = {
        "line": str(item.pk),
        "before": before,
        "after": _totals(order),
        "removed": [dump for dump, _amount in removed],
    }
    row.state = "applied"
    row.save()


def _added(order, change, plan, product):
    bought = models.BasketItem(product=product, quantity=change.quantity)
    bought.unit_price, bought.extra_rows = plan.unit.gross, {}
    bought.subtotal = bought.total = plan.line.gross
    item = models.OrderItem(order=order, change_id=change.id)
    item.populate_from_basket_item(bought, None)
    item.save()
    return item


def _take_out(order, part):
    """Remove units of a line; return all it was, and by how much the subtotal shrinks."""
    item = order.items.get(pk=part.line_ref)
    dump = json.loads(serializers.serialize("json", [item]))[0]
    before, units = item.total, item.quantity
    _move({tea_of(part.product_ref): part.quantity})
    if units == part.quantity:
        item.delete()
        return dump, before
    paid = item.total - item.order_discount - part.credit.gross
    for name in ("subtotal", "total"):
        whole = getattr(item, name)
        leaves = share_of_units(whole, units=units, first=0, count=part.quantity, currency="EUR")
        setattr(item, name, whole - leaves)
    item.quantity, item.order_discount = units - part.quantity, item.total - paid
    item.save()
    return dump, before - item.total


def take_back(order, row, change):
    """Give the order back as it was: lines, references, stock and totals.

    Raises:
        Refused: It is packed or closed, somebody changed one of these lines since, or what
            left has been sold meanwhile.
    """
    if order.status in models.Order.PACKED:
        raise Refused("order_released", f"order {order.ref} is packed")
    item = order.items.filter(pk=row.answer["line"]).first()
    if item is None or order.status in models.Order.CLOSED:
        raise Refused("order_changed", f"the offer's line of order {order.ref} changed")
    item.delete()
    units = {row.tea_id: row.taken}
    for dump, part in zip(row.answer["removed"], change.replaces, strict=True):
        fields = dump["fields"]
        rest = order.items.filter(pk=dump["pk"]).first()
        if (rest.quantity if rest else 0) != fields["quantity"] - part.quantity:
            raise Refused("order_changed", f"line {dump['pk']} changed since")
        for restored in serializers.deserialize("python", [dump]):
            restored.save()
        tea = tea_of(part.product_ref)
        units[tea] = units.get(tea, 0) - part.quantity
    _move(units)
    before, after = row.answer["before"], row.answer["after"]
    for name in TOTALS:
        grown = Decimal(after[name]) - Decimal(before[name])
        setattr(order, name, getattr(order, name) - grown)
    _restate(order)
    row.state = "reverted"
    row.save()


# ------------------------------------------------------------------ totals


def _totals(order):
    return {name: str(getattr(order, name)) for name in TOTALS}


def _restate(order):
    """Save the totals, and the rows of text below the goods that say the same."""
    items = models.OrderItem.objects.filter(order=order)
    discount = sum((item.order_discount for item in items), Decimal(0))
    amounts = {"voucher": -discount, "shipping": order.shipping}
    rows = [line for line in order.extra_rows if order.shipping or line["modifier"] != "shipping"]
    if order.shipping and "shipping" not in {line["modifier"] for line in rows}:
        rows.append({"label": "Delivery", "amount": "", "extra": {}, "modifier": "shipping"})
    order.extra_rows = rows
    for line in order.extra_rows:
        if line["modifier"] in amounts:
            amount = amounts[line["modifier"]]
            line["amount"] = app_settings.SALESMAN_PRICE_FORMATTER(amount, {"order": order})
    order.save(update_fields=[*models.Order.MONEY, "date_updated"])
