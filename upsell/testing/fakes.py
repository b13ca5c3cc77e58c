"""A whole shop and a gateway in memory, for tests without a database of the host's."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from upsell import ports
from upsell.ports import (
    Applied,
    Availability,
    Capability,
    Change,
    ChargeRequest,
    ChargeResult,
    ChargeState,
    Choice,
    Collection,
    CollectionWay,
    Customer,
    Line,
    Occasion,
    Price,
    Product,
    Purchase,
    Quote,
    Ref,
    RefundResult,
    RefundState,
    Refused,
)

WITHDRAWAL_PERIOD = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """A change that was made, and the order before it."""

    applied: Applied
    before: Occasion
    taken: Mapping[Ref, int]


class FakeShop(ports.BaseShop):
    """A shop with everything but a cart, kept in dictionaries, safe between threads.

    >>> shop = FakeShop()
    >>> shop.add_product("tea", "12.00", stock=3)
    >>> shop.add_product("cup", "24.00")
    >>> ref = shop.place(("tea", 1), discount="1.20")
    >>> str(shop.order(ref).total.gross)
    '10.80'
    """

    slug = "fake"
    capabilities = frozenset(Capability) - {Capability.CART, Capability.CONSENT}

    def __init__(self, *, currency: str = "EUR", shares_database: bool = True) -> None:
        self.currency = currency
        self.shares_database = shares_database
        self.catalogue: dict[Ref, Product] = {}
        self.prices: dict[Ref, Price] = {}
        self.stock: dict[Ref, int | None] = {}
        self.placed: dict[Ref, Occasion] = {}
        self.changes: list[Ref] = []
        """Every order placed or changed, in turn: what ``orders_since`` walks along."""
        self.payments: list[dict[str, Any]] = []
        self.waiting: dict[Ref, datetime] = {}
        self.withdrawals: dict[str, Decimal] = {}
        """Change to what the shop is to give back of the order's own payment."""
        """Orders whose packing waits, and until when."""
        self._holds: dict[str, Mapping[Ref, int]] = {}
        self._done: dict[str, _Done] = {}
        self._undone: dict[str, Applied] = {}
        self._lock = threading.RLock()

    # ---- setting up

    def add_product(
        self,
        ref: Ref,
        gross: str | Decimal,
        *,
        rate: str = "0.2",
        stock: int | None = None,
        **fields: Any,
    ) -> None:
        """Put a product on the shelf; ``stock`` none = not counted."""
        price = ports.gross_price(Decimal(gross), rate=Decimal(rate), currency=self.currency)
        self.catalogue[ref] = Product(ref=ref, **{"sku": ref, "title": ref.title()} | fields)
        self.prices[ref] = replace(price, tax_code=rate)
        self.stock[ref] = stock

    def place(
        self,
        *lines: tuple[Ref, int],
        discount: str | Decimal = "0",
        at: datetime | None = None,
        **fields: Any,
    ) -> Ref:
        """Place an order, its discount spread over the lines; return its reference."""
        ref = str(len(self.placed) + 1)
        before = [self.prices[product].times(quantity) for product, quantity in lines]
        off = ports.allocate(Decimal(discount), [row.gross for row in before], self.currency)
        rows = []
        for number, (product, quantity) in enumerate(lines):
            paid = ports.gross_price(
                before[number].gross - off[number],
                rate=Decimal(self.prices[product].tax_code),
                currency=self.currency,
            )
            rows.append(
                Line(
                    ref=f"{ref}-{number}",
                    product=self.catalogue[product],
                    quantity=quantity,
                    unit=self.prices[product],
                    total=replace(paid, tax_code=self.prices[product].tax_code),
                    total_before_discounts=before[number],
                )
            )
        at = at or datetime.now().astimezone()
        values: dict[str, Any] = {
            "moment": ports.Moment.POST_PURCHASE,
            "ref": ref,
            "number": f"F-{ref}",
            "currency": self.currency,
            "placed_at": at,
            "checkout_completed_at": at,
            "shipping": Price.zero(self.currency),
            "customer": Customer(email="buyer@example.org"),
            "channel": "web",
            "shipping_country": "DE",
            "has_shipping_address": True,
            "payment_method": "card",
        }
        self._keep(
            self._summed(
                Occasion(
                    **values | fields,
                    lines=tuple(rows),
                    goods=Price.zero(self.currency),
                    total=Price.zero(self.currency),
                )
            )
        )
        return ref

    def change_order(self, ref: Ref, **fields: Any) -> None:
        """Change what the host says of an order: ``cancelled=True``, ``released=True`` …"""
        with self._lock:
            self._keep(replace(self.placed[ref], **fields))

    def _keep(self, order: Occasion) -> None:
        self.placed[order.ref] = order
        self.changes.append(order.ref)

    def _summed(self, order: Occasion) -> Occasion:
        goods = sum((line.total for line in order.lines), Price.zero(order.currency))
        return replace(
            order,
            goods=goods,
            total=goods + order.shipping,
            version=ports.order_version(order.currency, order.lines),
        )

    # ---- reads

    def order(self, ref: Ref) -> Occasion:
        found = self.placed.get(ref)
        if found is None:
            raise ports.NotFound(f"no order {ref}")
        return found

    def products(self, refs: Sequence[Ref]) -> Mapping[Ref, Product]:
        return {ref: self.catalogue[ref] for ref in refs if ref in self.catalogue}

    def availability(
        self, wanted: Sequence[tuple[Ref, int]], occasion: Occasion
    ) -> Mapping[Ref, Availability]:
        return {
            ref: Availability(
                ref=ref,
                sellable=self.catalogue[ref].sellable,
                quantity=self.stock[ref],
                unit=self.prices[ref] if occasion.currency == self.currency else None,
            )
            for ref, _ in wanted
            if ref in self.catalogue
        }

    def order_for_request(self, request: Any) -> Ref | None:
        found: Ref | None = request.session.get("order_ref")
        return found

    def may_act(self, request: Any, order_ref: Ref) -> bool:
        return bool(order_ref) and request.session.get("order_ref") == order_ref

    def purchases(self, customer: Customer, since: datetime, limit: int) -> Sequence[Purchase]:
        def same(other: Customer) -> bool:
            if customer.ref:
                return other.ref == customer.ref
            return bool(customer.email) and other.email.lower() == customer.email.lower()

        found = [
            Purchase(
                order_ref=order.ref,
                product_ref=line.product.ref,
                parent_ref=line.product.parent_ref,
                at=order.placed_at,
            )
            for order in self.placed.values()
            if order.placed_at is not None
            and order.placed_at >= since
            and same(order.customer)
            and not order.cancelled
            and order.closed_reason != "refunded"
            for line in order.lines
        ]
        return sorted(found, key=lambda row: row.at, reverse=True)[:limit]

    def orders_since(self, cursor: str, limit: int) -> tuple[Sequence[Ref], str]:
        done = int(cursor or 0)
        page = self.changes[done : done + limit]
        return list(dict.fromkeys(page)), str(done + len(page)) if page else cursor

    def baskets(self, since: datetime) -> Iterator[Sequence[Ref]]:
        for order in self.placed.values():
            if order.placed_at and order.placed_at >= since:
                yield [line.product.ref for line in order.lines]

    def choices(self, kind: str, query: str, limit: int) -> Sequence[Choice]:
        rows: Mapping[str, Iterable[tuple[Ref, str]]] = {
            "product": ((ref, row.title) for ref, row in self.catalogue.items()),
            "category": ((r, r) for row in self.catalogue.values() for r in row.category_refs),
            "brand": ((row.brand_ref, row.brand_ref) for row in self.catalogue.values()),
            "tag": ((tag, tag) for row in self.catalogue.values() for tag in row.tags),
            "order": ((ref, row.number) for ref, row in self.placed.items()),
            "channel": ((row.channel, row.channel) for row in self.placed.values()),
        }
        words = query.lower()
        found = {ref: label for ref, label in rows.get(kind, ()) if ref}
        fits = [
            Choice(ref=ref, label=label)
            for ref, label in sorted(found.items(), key=lambda row: (row[0] != query, row))
            if ref == query or words in label.lower()
        ]
        return fits[:limit]

    # ---- money and stock

    def quote(self, change: Change) -> Quote:
        product = self.catalogue.get(change.product_ref)
        if product is None:
            raise ports.NotFound(f"no product {change.product_ref}")
        code = self.prices[change.product_ref].tax_code
        plan = ports.plan_change(
            change, self.order(change.order_ref), tax_code=code, rate_of=Decimal
        )
        return replace(plan, available=product.sellable)

    def hold(self, change: Change, quote: Quote) -> str:
        with self._lock:
            if change.id not in self._holds and change.id not in self._done:
                wanted = {change.product_ref: change.quantity}
                self._take(wanted, short=change.stock_policy != "REQUIRE")
                self._holds[change.id] = wanted
        return change.id

    def release(self, hold: str) -> None:
        with self._lock:
            for ref, units in self._holds.pop(hold, {}).items():
                self._put_back(ref, units)

    def _take(self, wanted: Mapping[Ref, int], *, short: bool) -> None:
        for ref, units in wanted.items():
            left = self.stock[ref]
            if left is not None and left < units and not short:
                raise Refused("out_of_stock", f"{units} of {ref} wanted, {left} there")
        for ref, units in wanted.items():
            self._put_back(ref, -units)

    def _put_back(self, ref: Ref, units: int) -> None:
        left = self.stock[ref]
        if left is not None:
            self.stock[ref] = left + units

    # ---- writes: once per change

    def apply(self, change: Change, quote: Quote, hold: str = "") -> Applied:
        with self._lock:
            if change.id in self._done:
                return self._done[change.id].applied
            before, plan = self.order(change.order_ref), self.quote(change)
            ports.ensure_as_quoted(plan, quote, before)
            self.hold(change, quote)
            taken = Counter(self._holds.pop(change.id))
            after = self._carried_out(before, change, plan)
            gone = {row.ref: row for row in before.lines}
            for part in change.replaces:
                self._put_back(gone[part.line_ref].product.ref, part.quantity)
                taken[gone[part.line_ref].product.ref] -= part.quantity
            applied = Applied(
                change_id=change.id,
                line_ref=after.lines[-1].ref,
                total_before=before.total,
                total_after=after.total,
                removed=tuple(
                    {"ref": part.line_ref, "quantity": part.quantity} for part in change.replaces
                ),
            )
            self._keep(after)
            self._done[change.id] = _Done(applied=applied, before=before, taken=taken)
            return applied

    def _carried_out(self, order: Occasion, change: Change, plan: Quote) -> Occasion:
        leaving = {part.line_ref: part for part in change.replaces}
        lines = []
        for row in order.lines:
            part = leaving.get(row.ref)
            if part is None:
                lines.append(row)
            elif row.live_quantity > part.quantity:
                paid = ports.credit(row, units=part.quantity)
                lines.append(
                    replace(row, quantity=row.quantity - part.quantity, total=row.total - paid)
                )
        lines.append(
            Line(
                ref=f"{order.ref}-{change.id[:8]}",
                product=self.catalogue[change.product_ref],
                quantity=change.quantity,
                unit=change.unit,
                total=replace(plan.line, tax_code=change.unit.tax_code),
                total_before_discounts=plan.line,
                locked_reason="offer",
            )
        )
        return self._summed(
            replace(order, lines=tuple(lines), shipping=order.shipping + change.shipping)
        )

    def revert(self, change: Change, applied: Applied) -> Applied:
        with self._lock:
            if change.id in self._undone:
                return self._undone[change.id]
            done = self._done.get(change.id)
            if done is None:
                raise Refused("order_changed", f"change {change.id} was never made")
            now = self.order(change.order_ref)
            if now.released:
                raise Refused("order_released", f"order {now.number} is packed")
            for ref, units in done.taken.items():
                self._put_back(ref, units)
            self._keep(
                replace(
                    now,
                    lines=done.before.lines,
                    goods=done.before.goods,
                    shipping=done.before.shipping,
                    total=done.before.total,
                    version=done.before.version,
                )
            )
            undone = replace(
                applied, total_before=applied.total_after, total_after=done.before.total
            )
            self._undone[change.id] = undone
            return undone

    def record_payment(
        self,
        order_ref: Ref,
        kind: str,
        amount: Decimal,
        currency: str,
        reference: str,
        gateway: str,
    ) -> None:
        with self._lock:
            if any((row["kind"], row["reference"]) == (kind, reference) for row in self.payments):
                return
            self.payments.append(
                {
                    "order_ref": order_ref,
                    "kind": kind,
                    "amount": amount,
                    "currency": currency,
                    "reference": reference,
                    "gateway": gateway,
                }
            )

    def hold_fulfilment(self, order_ref: Ref, until: datetime) -> None:
        self.waiting[order_ref] = until

    def release_fulfilment(self, order_ref: Ref) -> None:
        self.waiting.pop(order_ref, None)

    def withdrawal_until(self, order_ref: Ref, line_ref: Ref) -> datetime | None:
        order = self.placed.get(order_ref)
        if order is None or order.placed_at is None:
            return None
        there = any(row.ref == line_ref for row in order.lines)
        return order.placed_at + WITHDRAWAL_PERIOD if there else None

    def withdrawal_made(self, change: Change, applied: Applied, original: Decimal) -> None:
        with self._lock:
            if not any(row.ref == applied.line_ref for row in self.order(change.order_ref).lines):
                raise Refused("order_changed", f"there is no line {applied.line_ref}")
            self.withdrawals.setdefault(change.id, original)


class FakeGateway(ports.BaseGateway):
    """A provider in memory that does what it is told, charge by charge.

    Args:
        outcomes: What becomes of the first, second … charge: ``captured``, ``declined``,
            ``challenge``, ``pending``, ``lost`` (charged, the answer never came),
            ``unknown`` (not charged, and no answer) or ``wrong_amount``. ``captured`` after
            the last.

    >>> gateway = FakeGateway("declined")
    >>> gateway.taken("1")
    Decimal('0')
    """

    slug = "fake"

    def __init__(self, *outcomes: str, how: CollectionWay = CollectionWay.CHARGE_SAVED) -> None:
        self.how = how
        self.requests: list[ChargeRequest] = []
        """Every request that came, repeated ones included."""
        self._outcomes = list(outcomes)
        self._charges: dict[str, tuple[ChargeRequest, ChargeResult]] = {}
        self._refunds: dict[str, tuple[str, Decimal]] = {}
        self._lock = threading.Lock()

    def collection(
        self, order: Occasion, amount: Decimal | None, currency: str, *, trusted: bool
    ) -> Collection:
        silent = self.how in {CollectionWay.CHARGE_SAVED, CollectionWay.ADD_TO_BALANCE}
        if silent and not trusted:
            return Collection(how=CollectionWay.NONE)
        return Collection(how=self.how, credential="saved", label="your saved card")

    def charge(self, request: ChargeRequest) -> ChargeResult:
        with self._lock:
            self.requests.append(request)
            known = self._charges.get(request.key)
            if known is not None:
                same = (request.order_ref, request.amount, request.currency)
                if same != (known[0].order_ref, known[0].amount, known[0].currency):
                    return ChargeResult(state=ChargeState.DECLINED, decline_code="configuration")
                return known[1]
            outcome = self._outcomes.pop(0) if self._outcomes else "captured"
            if outcome == "unknown":
                return ChargeResult(state=ChargeState.UNKNOWN)
            result = ChargeResult(
                state=_STATE_OF.get(outcome, ChargeState.CAPTURED),
                reference=f"ch_{len(self._charges) + 1}",
                action_url="https://bank.example/" if outcome == "challenge" else "",
                decline_code="card_declined" if outcome == "declined" else "",
                amount=request.amount + (1 if outcome == "wrong_amount" else 0),
                currency=request.currency,
            )
            self._charges[request.key] = (request, result)
            return ChargeResult(state=ChargeState.UNKNOWN) if outcome == "lost" else result

    def answer(self, reference: str, *, paid: bool) -> ChargeResult:
        """Let the buyer answer a challenge; what is settled stays as it is."""
        with self._lock:
            for key, (request, result) in self._charges.items():
                if result.reference == reference:
                    if result.state in {ChargeState.REQUIRES_ACTION, ChargeState.PENDING}:
                        state = ChargeState.CAPTURED if paid else ChargeState.DECLINED
                        result = replace(result, state=state, action_url="")
                        self._charges[key] = (request, result)
                    return result
        return ChargeResult(state=ChargeState.UNKNOWN, reference=reference)

    def resume(self, reference: str) -> ChargeResult:
        found = [row for _, row in self._charges.values() if row.reference == reference]
        return found[0] if found else ChargeResult(state=ChargeState.UNKNOWN, reference=reference)

    def find(self, key: str, order_ref: Ref, since: datetime) -> ChargeResult | None:
        known = self._charges.get(key)
        return known[1] if known else None

    def cancel(self, reference: str, key: str) -> ChargeResult:
        return self.answer(reference, paid=False)

    def refund(self, reference: str, amount: Decimal, currency: str, key: str) -> RefundResult:
        with self._lock:
            if key in self._refunds:
                return RefundResult(state=RefundState.REFUNDED, reference=f"re_{key}")
            charge = self.resume(reference)
            given = sum((a for r, a in self._refunds.values() if r == reference), Decimal(0))
            if charge.state is not ChargeState.CAPTURED or amount > (charge.amount or 0) - given:
                return RefundResult(state=RefundState.REFUSED, message="more than was charged")
            self._refunds[key] = (reference, amount)
            return RefundResult(state=RefundState.REFUNDED, reference=f"re_{key}")

    def taken(self, order_ref: Ref) -> Decimal:
        """Return what was captured for an order, less what was given back."""
        total = Decimal(0)
        for request, result in self._charges.values():
            if request.order_ref == order_ref and result.state is ChargeState.CAPTURED:
                given = (a for r, a in self._refunds.values() if r == result.reference)
                total += (result.amount or Decimal(0)) - sum(given, Decimal(0))
        return total


_STATE_OF = {
    "declined": ChargeState.DECLINED,
    "challenge": ChargeState.REQUIRES_ACTION,
    "pending": ChargeState.PENDING,
}
