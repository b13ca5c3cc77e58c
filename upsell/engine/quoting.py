"""Discount, rounding, credit for the replaced line, amount due. Decimal in, Decimal out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from decimal import Decimal

from upsell.engine.campaigns import PriceRule, RuleKind
from upsell.engine.money import exponent, round_money, share_of_units
from upsell.engine.types import Change, Line, Occasion, Price, Quote, TaxLine
from upsell.exceptions import Refused


def credit(line: Line, *, units: int) -> Price:
    """Return what was really paid for ``units`` of a line that are still in the order.

    After line discounts and the line's share of order discounts, so that a buyer is
    credited neither more nor less than was paid. Units already returned are counted off.

    Args:
        line: The line; its ``total`` is for all ``quantity`` units.
        units: How many leave the order, at most ``line.live_quantity``.

    Returns:
        Net and gross, each exact to the currency's minor unit.

    Raises:
        ValueError: More units than are left.
    """
    currency = line.total.currency

    def part(paid: Decimal) -> Decimal:
        return share_of_units(
            paid, units=line.quantity, first=line.returned, count=units, currency=currency
        )

    return Price(
        currency=currency,
        net=part(line.total.net),
        gross=part(line.total.gross),
        tax_code=line.total.tax_code,
    )


def order_version(currency: str, lines: Iterable[Line]) -> str:
    """Return a hash of what a quote depends on: currency, lines, quantities, totals, returns.

    Not of any status: an order that becomes paid seconds after checkout must not refuse
    its buyer. Lines count in any order.
    """
    rows = sorted(
        (
            line.ref,
            line.quantity,
            str(line.total.net.normalize()),
            str(line.total.gross.normalize()),
            line.returned,
        )
        for line in lines
    )
    return hashlib.sha256(repr((currency, rows)).encode()).hexdigest()


def unit_price(
    rule: PriceRule,
    *,
    selling: Price,
    regular: Price | None,
    prices_include_tax: bool,
    tax_exempt: bool,
    credit: Price | None,
    quantity: int,
) -> Price | None:
    """Return the price of one unit under a campaign's rule, or none where there is none.

    The rule works in the order's price basis, per unit, rounded half-up to the currency's
    minor unit; the other of net and gross follows by the product's own tax. An exempt
    order pays the net part. Never above the current selling price, never below zero,
    and zero only where the rule allows it.

    Args:
        rule: What staff chose; its amounts are in the order's price basis.
        selling: Current selling price of one unit for this buyer.
        regular: The price without the sale, for ``from_regular``.
        credit: What is credited in all, for FIXED_DIFFERENCE; none for a cross-sell.
        quantity: Units, at least 1.

    Returns:
        The unit price, or none: no amount for this currency, or free without ``allow_free``.
    """
    currency = selling.currency

    def basis(price: Price) -> Decimal:
        return price.gross if prices_include_tax else price.net

    ceiling = basis(selling)
    start = max(basis(regular), ceiling) if rule.from_regular and regular else ceiling
    if rule.kind is RuleKind.LIST:
        amount = ceiling
    elif rule.kind is RuleKind.PERCENT:
        amount = start * (100 - rule.percent) / 100
    else:
        given = rule.amounts.get(currency)
        if given is None:
            return None
        if rule.kind is RuleKind.AMOUNT:
            amount = start - given
        elif rule.kind is RuleKind.FIXED:
            amount = given
        elif credit is None:
            return None
        else:
            amount = (basis(credit) + given) / quantity
    amount = round_money(min(max(amount, Decimal(0)), ceiling), currency)
    if amount == 0 and not rule.allow_free:
        return None
    return with_tax_of(
        selling, amount, prices_include_tax=prices_include_tax, tax_exempt=tax_exempt
    )


def with_tax_of(
    like: Price, amount: Decimal, *, prices_include_tax: bool, tax_exempt: bool
) -> Price:
    """Return an amount of the order's price basis with the tax share of another price."""
    currency = like.currency
    if prices_include_tax:
        gross = amount
        net = round_money(amount * like.net / like.gross, currency) if like.gross else amount
    else:
        net = amount
        gross = round_money(amount * like.gross / like.net, currency) if like.net else amount
    if tax_exempt:
        gross = net
    return Price(currency=currency, net=net, gross=gross, tax_code=like.tax_code)


def amount_due(*, line: Price, shipping: Price, credit: Price) -> Price:
    """Return what the buyer still pays: the new line and its delivery, less the credit.

    The tax in it is tax(new) - tax(removed), never a share of the difference. Negative
    where the offer costs less than what it replaces; whether to make it is decided elsewhere.

    >>> D = Decimal
    >>> def euro(net, gross): return Price(currency="EUR", net=D(net), gross=D(gross))
    >>> due = amount_due(line=euro("700", "840"), shipping=euro(0, 0), credit=euro("450", "540"))
    >>> due.gross, due.net, due.tax
    (Decimal('300'), Decimal('250'), Decimal('50'))
    """
    return line + shipping - credit


def gross_price(gross: Decimal, *, rate: Decimal, currency: str) -> Price:
    """Return a price of which the tax is in it; its tax code is the rate, always written alike.

    >>> price = gross_price(Decimal("9.99"), rate=Decimal("0.2000"), currency="EUR")
    >>> price.net, price.tax, price.tax_code
    (Decimal('8.33'), Decimal('1.66'), '0.2')
    """
    net = round_money(gross / (1 + rate), currency)
    code = format(rate.normalize(), "f")
    return Price(currency=currency, net=net, gross=gross, tax_code=code)


def plan_change(
    change: Change,
    order: Occasion,
    *,
    tax_code: str,
    rate_of: Callable[[str], Decimal] | None = None,
) -> Quote:
    """Return what a change costs on an order as it stands: the whole of a shop's ``quote``.

    For shops that keep, with each line, what was charged for it. ``quote`` and ``apply``
    call it on the same order and so cannot disagree.

    Args:
        change: What the buyer was promised.
        order: The order now, its lines with what was paid for them.
        tax_code: Of the offered product, today.
        rate_of: Turns the tax code of a price into its rate, 0.2 for 20 %. None = the shop
            stores what was charged and no rates: they are worked out.

    Raises:
        Refused: ``order_changed``: a line that leaves is gone, locked, or has fewer units left.
    """
    line, lines = change.unit.times(change.quantity), {row.ref: row for row in order.lines}
    taxes = {tax_code: line.tax + change.shipping.tax}
    credited = Price.zero(order.currency)
    for part in change.replaces:
        row = lines.get(part.line_ref)
        if row is None or row.locked_reason or row.live_quantity < part.quantity:
            raise Refused("order_changed", f"line {part.line_ref} cannot leave the order")
        paid = credit(row, units=part.quantity)
        credited += paid
        taxes[paid.tax_code] = taxes.get(paid.tax_code, Decimal(0)) - paid.tax
    if rate_of is None:
        rate_of = _rates([change.unit, *(row.total for row in order.lines)]).__getitem__
    return Quote(
        change_id=change.id,
        unit=change.unit,
        line=line,
        credit=credited,
        shipping=change.shipping,
        amount_due=amount_due(line=line, shipping=change.shipping, credit=credited),
        tax_lines=tuple(
            TaxLine(label="VAT", rate=rate_of(code), amount=tax) for code, tax in taxes.items()
        ),
        order_version=order.version,
    )


def _rates(prices: Iterable[Price]) -> dict[str, Decimal]:
    """Return tax code -> rate, of the largest amount with that code: it is the most exact."""
    return {price.tax_code: _rate(price) for price in sorted(prices, key=lambda price: price.net)}


def _rate(price: Price) -> Decimal:
    """Return the roundest rate that gives this tax to the minor unit: amounts are rounded."""
    if price.net <= 0:
        return Decimal(0)
    unit = Decimal(1).scaleb(-exponent(price.currency))
    rates = [(price.tax / price.net).quantize(Decimal(1).scaleb(-places)) for places in (2, 3, 4)]
    return next((rate for rate in rates if abs(price.net * rate - price.tax) < unit), rates[-1])


def ensure_as_quoted(plan: Quote, quote: Quote, order: Occasion) -> None:
    """Refuse to apply what is not, to the cent, what the buyer was quoted.

    Raises:
        Refused: ``order_released``, ``order_changed`` or ``product_unavailable``.
    """
    if order.released:
        raise Refused("order_released", f"order {order.number} is packed")
    if order.cancelled or order.closed_reason:
        raise Refused("order_changed", f"order {order.number} may not change")
    if not plan.available:
        raise Refused(plan.reason or "product_unavailable")
    # Not the tax codes: a quote that was stored and read again need not carry them.
    due, promised = plan.amount_due, quote.amount_due
    if (plan.order_version, due.currency, due.net, due.gross) != (
        quote.order_version,
        promised.currency,
        promised.net,
        promised.gross,
    ):
        raise Refused("order_changed", f"order {order.number} is not what was quoted")
