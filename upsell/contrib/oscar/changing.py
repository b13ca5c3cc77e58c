"""An offer's change of an Oscar order, once, under locks, through the shop's own classes.

Oscar's order is appended to as its checkout does it: a basket of its own, that nobody sees,
holds one line, and the shop's own ``OrderCreator`` makes the order line of it. Locks are taken
in one order: order, change, stock record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.contrib.admin.utils import NestedObjects
from django.core import serializers
from django.utils.translation import gettext as _
from oscar.core.loading import get_class, get_model

from upsell import ports
from upsell.contrib.oscar.models import ChangeState, OrderChange
from upsell.contrib.oscar.reading import (
    Order,
    OrderLine,
    StockRecord,
    numbers,
    occasion,
    order_row,
    product_rows,
    strategy_for,
)
from upsell.ports import Refused

Basket = get_model("basket", "Basket")
BasketLine = get_model("basket", "Line")
OrderNote = get_model("order", "OrderNote")
FixedPrice = get_class("partner.prices", "FixedPrice")
OrderCreator = get_class("order.utils", "OrderCreator")

TAXES = ("excl_tax", "incl_tax")


class AsPromised:
    """The shop's own strategy, with the price of a unit that the buyer was promised."""

    def __init__(self, strategy: Any, unit: ports.Price) -> None:
        self._strategy = strategy
        self._price = FixedPrice(unit.currency, unit.net, unit.tax, unit.tax_code or None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._strategy, name)

    def fetch_for_line(self, line: Any, stockrecord: Any = None) -> Any:
        return self._strategy.fetch_for_line(line, stockrecord)._replace(price=self._price)


def locked(order_ref: str) -> Any:
    """Lock an order's row.

    Raises:
        NotFound: There is no such order.
    """
    row = Order.objects.select_for_update().filter(pk__in=numbers([order_ref])).first()
    if row is None:
        raise ports.NotFound(f"no order {order_ref}")
    return row


# ------------------------------------------------------------------ units


def hold(promised: ports.Change) -> tuple[Any, OrderChange]:
    """Lock the order and take the units off the stock, once per offer.

    Returns:
        The order, and its change: held, or done already.

    Raises:
        Refused: ``product_unavailable`` or ``out_of_stock``.
    """
    order = locked(promised.order_ref)
    change = OrderChange.objects.select_for_update().filter(change_id=promised.id).first()
    if change is not None and change.state != ChangeState.RELEASED:
        return order, change
    product: Any = next(iter(product_rows([promised.product_ref])), None)
    info = strategy_for(order.user).fetch_for_product(product) if product else None
    # Its price is the promised one, but what has none is not for sale.
    if info is None or not (info.stockrecord and info.price.exists and product.is_public):
        raise Refused("product_unavailable", f"product {promised.product_ref} is not for sale")
    record = _locked_record(info.stockrecord.pk)
    if promised.stock_policy != "IGNORE":
        _ensure_there(product, order, record, promised.quantity)
    line = _basket_line(promised, product, record)
    line.basket.strategy = AsPromised(strategy_for(order.user), promised.unit)
    OrderCreator().update_stock_records(line)
    change = change or OrderChange(change_id=promised.id)
    change.order_id, change.stockrecord_id = str(order.pk), str(record.pk)
    change.quantity, change.state = promised.quantity, ChangeState.HELD
    change.answer = {"basket_line": str(line.pk)}
    change.save()
    return order, change


def release(change_id: str) -> None:
    """Put held units back, once."""
    change = OrderChange.objects.select_for_update().filter(change_id=change_id).first()
    if change is None or change.state != ChangeState.HELD:
        return
    _locked_record(change.stockrecord_id).cancel_allocation(change.quantity)
    Basket.objects.filter(lines__pk=change.answer["basket_line"]).delete()
    change.state, change.answer = ChangeState.RELEASED, {}
    change.save()


def _locked_record(pk: Any) -> Any:
    return StockRecord.objects.select_for_update().get(pk=pk)


def _ensure_there(product: Any, order: Any, record: Any, units: int) -> None:
    # Asked again of the locked row: Oscar's allocate() takes units that are not there.
    info = strategy_for(order.user).fetch_for_product(product, record)
    permitted, why = info.availability.is_purchase_permitted(units)
    if not permitted:
        raise Refused("out_of_stock", f"{record.partner_sku}: {why}")


def _basket_line(promised: ports.Change, product: Any, record: Any) -> Any:
    unit = promised.unit
    return Basket.objects.create(owner=None, status=Basket.SAVED).lines.create(
        line_reference=f"upsell-{promised.id}",
        product=product,
        stockrecord=record,
        quantity=promised.quantity,
        price_currency=unit.currency,
        price_excl_tax=unit.net,
        price_incl_tax=unit.gross,
        tax_code=unit.tax_code or None,
    )


# ------------------------------------------------------------------ the change itself


def carry_out(order: Any, change: OrderChange, promised: ports.Change, plan: ports.Quote) -> None:
    """Write the new line, take out what it replaces, and move the totals by what is due."""
    before = {name: str(getattr(order, f"total_{name}")) for name in TAXES}
    basket_line = BasketLine.objects.get(pk=change.answer["basket_line"])
    basket_line.basket.strategy = AsPromised(strategy_for(order.user), promised.unit)
    line = OrderCreator().create_line_models(order, basket_line)
    removed = [_take_out(order, part, line) for part in promised.replaces]
    moved = {
        **{"total_excl_tax": plan.amount_due.net, "total_incl_tax": plan.amount_due.gross},
        **{"shipping_excl_tax": plan.shipping.net, "shipping_incl_tax": plan.shipping.gross},
    }
    _move(order, moved)
    coming = f"{line.quantity} × {line.title}"
    leaving = ", ".join(f"{part['units']} × {part['title']}" for part in removed)
    said = (
        _("Changed by an offer: %(coming)s instead of %(leaving)s.")
        if removed
        else _("Added by an offer: %(coming)s.")
    )
    _note(order, said % {"coming": coming, "leaving": leaving})
    change.state, change.line_id = ChangeState.APPLIED, str(line.pk)
    change.answer |= {
        "removed": removed,
        "before": before,
        "after": {name: str(getattr(order, f"total_{name}")) for name in TAXES},
        "moved": {name: str(amount) for name, amount in moved.items()},
    }
    change.save()


def _move(order: Any, moved: Mapping[str, Decimal]) -> None:
    """Move the totals. Never a sum of lines: in real shops that is off by a cent."""
    for name, amount in moved.items():
        setattr(order, name, getattr(order, name) + amount)
    order.save(update_fields=list(moved))


def _note(order: Any, message: str) -> None:
    OrderNote.objects.create(order=order, note_type=OrderNote.SYSTEM, message=message)


def _take_out(order: Any, part: ports.Replaced, new: Any) -> dict[str, Any]:
    """Take units of a line out of the order; return what it was, with all that hangs on it."""
    line = OrderLine.objects.select_for_update().get(pk=part.line_ref)
    hanging, discounts = NestedObjects(using=line._state.db), list(line.discounts.all())
    hanging.collect([line])
    rows = [row for rows in hanging.data.values() for row in rows if row != line]
    rows = [line, *rows, *(row.order_discount for row in discounts)]
    told = {"line": str(line.pk), "units": part.quantity, "title": line.title}
    told["rows"] = json.loads(serializers.serialize("json", rows))
    for row in line.payment_event_quantities.all():
        units = {"quantity": new.quantity}
        new.payment_event_quantities.get_or_create(event=row.event, defaults=units)
    for discount in discounts:
        share = _share(discount.amount, line, part)
        for holder in (discount, discount.order_discount):
            holder.amount -= share
            holder.save(update_fields=["amount"])
    line.cancel_allocation(min(part.quantity, line.num_allocated))
    if part.quantity == line.quantity:
        line.delete()
    else:
        _lessen(line, part)
    return told


def _lessen(line: Any, part: ports.Replaced) -> None:
    for tax, credit in zip(TAXES, (part.credit.net, part.credit.gross), strict=True):
        before = f"line_price_before_discounts_{tax}"
        setattr(line, before, getattr(line, before) - _share(getattr(line, before), line, part))
        setattr(line, f"line_price_{tax}", getattr(line, f"line_price_{tax}") - credit)
    line.quantity -= part.quantity
    line.save()
    line.payment_event_quantities.filter(quantity__gt=line.quantity).update(quantity=line.quantity)
    over = part.quantity
    for row in reversed(line.prices.all()):
        taken = min(over, row.quantity)
        over, row.quantity = over - taken, row.quantity - taken
        row.save() if row.quantity else row.delete()


def _share(whole: Decimal, line: Any, part: ports.Replaced) -> Decimal:
    units, currency = line.quantity, part.credit.currency
    return ports.share_of_units(whole, units=units, first=0, count=part.quantity, currency=currency)


# ------------------------------------------------------------------ undo


def take_back(promised: ports.Change) -> None:
    """Undo a change, once: its line out, the old lines back with their own references.

    Raises:
        Refused: The order is on its way, somebody changed one of these lines since, or the old
            product has sold out.
    """
    order = locked(promised.order_ref)
    change = OrderChange.objects.select_for_update().get(change_id=promised.id)
    if change.state != ChangeState.APPLIED:
        return
    now, answer = occasion(order_row(order.pk), bare=True), change.answer
    line = OrderLine.objects.filter(pk=change.line_id).first()
    if now.released:
        raise Refused("order_released", f"order {order.number} is on its way")
    if line is None or line.quantity != change.quantity or now.cancelled or now.closed_reason:
        raise Refused("order_changed", f"the offer's line of order {order.number} changed")
    line.cancel_allocation(line.num_allocated)
    line.delete()
    for told in reversed(answer["removed"]):
        _restore(order, told)
    _move(order, {name: -Decimal(amount) for name, amount in answer["moved"].items()})
    _note(order, _("An offer was undone: %(title)s left the order.") % {"title": line.title})
    change.state = ChangeState.REVERTED
    change.save()


def _restore(order: Any, told: Mapping[str, Any]) -> None:
    old, *hanging = serializers.deserialize("json", json.dumps(told["rows"]))
    line: Any = old.object
    rest = OrderLine.objects.filter(pk=told["line"]).first()
    left = line.quantity - told["units"]
    if left and (rest is None or rest.quantity != left):
        raise Refused("order_changed", f"line {told['line']} changed since")
    if line.product is not None and not line.allocation_cancelled:
        record = _locked_record(line.stockrecord_id)
        _ensure_there(line.product, order, record, told["units"])
        record.allocate(told["units"])
    for row in (old, *hanging):
        row.save()
