"""What the contract of a ``Shop`` says, as tests.

Subclass ``ShopConformance`` in a test module of yours, mark it for the database where your
shop has one, and give the five methods under "what you give". Each test says which rule it
holds; a message says what was wanted and what was there.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from upsell import ports
from upsell.ports import (
    Agreed,
    BaseShop,
    Capability,
    Change,
    ChangeKind,
    NotFound,
    Price,
    Quote,
    Refused,
    Replaced,
    Who,
)


class ShopConformance:
    """The contract of ``upsell.ports.Shop``."""

    # ------------------------------------------------------------ what you give

    def make_shop(self) -> Any:
        """Return your shop, stocked with what the next three methods name."""
        raise AssertionError("give your shop: override make_shop()")

    def offered(self) -> str:
        """Return a product that can be sold, with stock for at least three."""
        raise AssertionError("name a product: override offered()")

    def bought(self) -> tuple[str, str]:
        """Return two other products that can be sold, the first dearer than 10."""
        raise AssertionError("name two products: override bought()")

    def sold_out(self) -> str:
        """Return a product that is counted and of which none is left."""
        raise AssertionError("name a sold-out product: override sold_out()")

    def place(self, *lines: tuple[str, int], discount: Decimal = Decimal(0)) -> str:
        """Place an order as a buyer would, with a discount on the whole; return its ref."""
        raise AssertionError("place an order: override place()")

    # ------------------------------------------------------------ what you may give

    def set_cancelled(self, order_ref: str) -> None:
        """Cancel an order, as your staff do."""
        raise AssertionError("override set_cancelled()")

    def set_released(self, order_ref: str) -> None:
        """Pack an order, as your warehouse does."""
        raise AssertionError("override set_released()")

    def set_paid(self, order_ref: str) -> None:
        """Change the order's status and nothing else."""
        raise AssertionError("override set_paid()")

    def stock_of(self, product_ref: str) -> int | None:
        """Return the units left, as your shop counts them. None = not counted."""
        return None

    def payments_of(self, order_ref: str) -> Sequence[object] | None:
        """Return what was booked on an order. None = your shop books nothing."""
        return None

    def everything(self) -> object:
        """Return all rows of your shop, to be compared. None = not looked at."""
        return None

    def request_of(self, order_ref: str) -> Any:
        """Return a request of the session that placed the order; empty = a stranger's."""
        session = {"order_ref": order_ref} if order_ref else {}
        user = SimpleNamespace(is_authenticated=False, is_staff=False, pk=None)
        return SimpleNamespace(session=session, user=user)

    # ------------------------------------------------------------ reads

    def test_references_are_strings_of_1_to_190_characters(self) -> None:
        shop, ref = self._placed()
        order = shop.order(ref)
        found = [order.ref, *(line.ref for line in order.lines)]
        found += [line.product.ref for line in order.lines]
        wrong = [row for row in found if not (isinstance(row, str) and 0 < len(row) <= 190)]
        assert not wrong, f"wanted strings of 1 to 190 characters, found {wrong}"
        lines = [line.ref.lower() for line in order.lines]
        assert len(set(lines)) == len(lines), f"line references repeat, case ignored: {lines}"

    def test_ref_takes_the_shops_own_thing_and_lets_a_string_pass(self) -> None:
        shop, ref = self._placed()
        assert shop.ref(ref) == ref, f"a string must pass through: {shop.ref(ref)!r}"

    def test_an_unknown_order_is_not_found(self) -> None:
        shop = self.make_shop()
        for ref in ("no-such-order", "0", "", "9" * 30):
            try:
                found = shop.order(ref)
            except NotFound:
                continue
            raise AssertionError(f"order({ref!r}): wanted NotFound, found {found!r}")

    def test_an_order_says_what_was_bought_and_for_how_much(self) -> None:
        shop, (first, second) = self.make_shop(), self.bought()
        ref = self.place((first, 2), (second, 1))
        order = shop.order(ref)
        assert order.ref == ref, f"wanted order {ref}, found {order.ref}"
        units = [(line.product.ref, line.quantity) for line in order.lines]
        assert sorted(units) == sorted([(first, 2), (second, 1)]), f"found {units}"
        goods = sum((line.total for line in order.lines), Price.zero(order.currency))
        assert _money(order.goods) == _money(goods), "goods is the sum of the lines' totals"
        for line in order.lines:
            assert isinstance(line.total.gross, Decimal), f"no float: {line.total.gross!r}"
            assert line.total.currency == order.currency, f"line {line.ref} in another currency"
        assert order.checkout_completed_at or order.placed_at, "an order has a time"
        assert order.version, "an order has a version"

    def test_a_discount_of_the_order_is_in_the_lines_to_the_cent(self) -> None:
        shop, (first, second) = self.make_shop(), self.bought()
        ref = self.place((first, 1), (second, 1), discount=Decimal("1.01"))
        order = shop.order(ref)
        before = sum(line.total_before_discounts.gross for line in order.lines)
        after = sum(line.total.gross for line in order.lines)
        assert before - after == Decimal("1.01"), f"wanted 1.01 allocated, found {before - after}"

    def test_products_and_availability_answer_what_is_there_and_leave_out_the_rest(self) -> None:
        shop, ref = self._placed()
        wanted = [self.offered(), self.sold_out(), "no-such-product"]
        found = shop.products(wanted)
        assert set(found) == set(wanted[:2]), f"products(): found {sorted(found)}"
        for key, product in found.items():
            assert product.ref == key, f"products()[{key!r}] is {product.ref!r}"
        answers = shop.availability([(row, 1) for row in wanted], shop.order(ref))
        assert set(answers) >= {self.offered()}, f"availability(): found {sorted(answers)}"
        assert "no-such-product" not in answers, "an unknown product is left out"
        one = answers[self.offered()]
        assert one.unit is not None, "a product for sale has a price"
        assert one.unit.currency == shop.order(ref).currency, f"found {one.unit.currency}"
        none_left = answers.get(self.sold_out())
        gone = none_left is None or not none_left.sellable or none_left.quantity == 0
        assert gone or Capability.STOCK not in shop.capabilities, f"sold out: {none_left}"

    def test_reads_of_nothing_are_empty(self) -> None:
        shop, ref = self._placed()
        assert not shop.products([]), "products([])"
        assert not shop.availability([], shop.order(ref)), "availability([])"

    def test_choices_find_an_exact_reference_first_and_keep_the_limit(self) -> None:
        shop = self.make_shop()
        first = self.offered()
        found = list(shop.choices("product", first, 5))
        assert found, f"choices('product', {first!r}) found nothing"
        assert found[0].ref == first, f"wanted {first!r} first, found {found[0].ref!r}"
        assert len(list(shop.choices("product", "", 1))) <= 1, "choices keeps its limit"
        assert not list(shop.choices("no-such-kind", "", 5)), "an unknown kind is empty"

    def test_history_is_what_this_buyer_bought_newest_first(self) -> None:
        shop, ref = self._placed()
        if Capability.HISTORY not in shop.capabilities:
            return
        order = shop.order(ref)
        since = (order.placed_at or order.checkout_completed_at).replace(year=2000)
        found = list(shop.purchases(order.customer, since, 500))
        assert order.ref in {row.order_ref for row in found}, "an order is in its own history"
        times = [row.at for row in found]
        assert times == sorted(times, reverse=True), "newest first"
        assert len(list(shop.purchases(order.customer, since, 1))) <= 1, "the limit is kept"

    def test_orders_are_read_in_one_go_and_unknown_ones_left_out(self) -> None:
        shop, ref = self._placed()
        other = self.place((self.bought()[0], 1))
        found = shop.orders([other, "no-such-order", ref])
        assert set(found) == {ref, other}, f"orders(): found {sorted(found)}"
        for key, order in found.items():
            assert order == shop.order(key), f"orders()[{key!r}] is not order({key!r})"
        assert not shop.orders([]), "orders([])"

    def test_orders_since_tells_every_order_in_pages_and_then_nothing(self) -> None:
        shop, ref = self._placed()
        if type(shop).orders_since is BaseShop.orders_since:
            return
        placed = [ref, *(self.place((self.bought()[0], 1)) for _ in range(2))]
        for limit in (1, 2, 100):
            found, cursor = self._walked(shop, "", limit)
            missing = [row for row in placed if row not in found]
            assert not missing, f"orders_since() left out {missing} in pages of {limit}"
            rest, same = shop.orders_since(cursor, limit)
            assert (list(rest), same) == ([], cursor), f"at the end there is nothing: {rest}"
        late = self.place((self.bought()[0], 1))
        found, _cursor = self._walked(shop, cursor, 1)
        assert late in found, "an order that came since is told"
        assert not set(found) & set(placed[:-1]), f"the older ones were told before: {found}"

    # ------------------------------------------------------------ whose order

    def test_only_the_session_that_placed_an_order_may_act(self) -> None:
        shop, ref = self._placed()
        assert shop.may_act(self.request_of(ref), ref), "the placing session may act"
        assert not shop.may_act(self.request_of(""), ref), "a stranger may not act"
        assert not shop.may_act(self.request_of(ref), "no-such-order"), "nor on another order"

    def test_a_yes_to_one_use_is_none_to_another(self) -> None:
        shop, ref = self._placed()
        told = shop.consent(Who(order_ref=ref), "email", "nobody was ever asked about this")
        assert told is not Agreed.GRANTED, (
            "consent() said GRANTED for a purpose that nobody was asked about: look at `purpose`, "
            "or addresses that were given for mails are handed to others"
        )

    # ------------------------------------------------------------ version

    def test_version_does_not_move_with_the_status(self) -> None:
        shop, ref = self._placed()
        before = shop.order(ref).version
        self.set_paid(ref)
        after = shop.order(ref).version
        assert after == before, "an order that is paid a second later must not refuse its buyer"

    def test_version_moves_with_the_lines(self) -> None:
        shop, ref = self._placed()
        before = shop.order(ref).version
        change, quote = self._append(shop, ref)
        shop.apply(change, quote, shop.hold(change, quote))
        assert shop.order(ref).version != before, "another line is another version"

    def test_cancelled_and_released_are_told(self) -> None:
        shop, ref = self._placed()
        other = self.place((self.bought()[0], 1))
        self.set_cancelled(ref)
        self.set_released(other)
        assert shop.order(ref).cancelled, "a cancelled order says so"
        assert shop.order(other).released, "a packed order says so"

    # ------------------------------------------------------------ quote

    def test_quote_changes_nothing(self) -> None:
        shop, ref = self._placed()
        before, order = self.everything(), shop.order(ref)
        self._append(shop, ref)
        if Capability.REPLACE in shop.capabilities:
            self._replace(shop, ref)
        assert shop.order(ref) == order, "quote() left the order changed"
        assert self.everything() == before, "quote() left rows changed"

    def test_quote_adds_up(self) -> None:
        shop, ref = self._placed()
        for _change, quote in self._both(shop, ref):
            line, due = quote.line, quote.amount_due
            wanted = line.gross + quote.shipping.gross - quote.credit.gross
            assert due.gross == wanted, f"wanted line + delivery - credit, {wanted}: {due.gross}"
            net = line.net + quote.shipping.net - quote.credit.net
            assert due.net == net, f"net: wanted {net}, found {due.net}"
            tax = sum((row.amount for row in quote.tax_lines), Decimal(0))
            known = Capability.TAX in shop.capabilities and quote.tax_lines
            assert not known or tax == due.tax, f"tax lines come to {tax}, the tax is {due.tax}"
            assert isinstance(due.gross, Decimal), f"no float: {due.gross!r}"

    def test_quote_twice_is_the_same(self) -> None:
        shop, ref = self._placed()
        change, quote = self._append(shop, ref)
        assert shop.quote(change) == quote, "the same change costs the same"

    # ------------------------------------------------------------ apply

    def test_apply_charges_what_the_order_grows_by(self) -> None:
        for make in self._kinds():
            shop, ref = self._placed()
            change, quote = make(shop, ref)
            before = shop.order(ref).total
            applied = shop.apply(change, quote, shop.hold(change, quote))
            after = shop.order(ref).total
            for name in ("gross", "net"):
                grew = getattr(after, name) - getattr(before, name)
                due = getattr(quote.amount_due, name)
                assert grew == due, f"{change.kind} {name}: charged {due}, the order grew {grew}"
            told = applied.total_after.gross - applied.total_before.gross
            assert told == quote.amount_due.gross, f"apply() says {told}"

    def test_append_leaves_every_other_line_as_it_was(self) -> None:
        shop, ref = self._placed()
        before = {line.ref: line for line in shop.order(ref).lines}
        change, quote = self._append(shop, ref)
        applied = shop.apply(change, quote, shop.hold(change, quote))
        after = {line.ref: line for line in shop.order(ref).lines}
        assert set(after) - set(before) == {applied.line_ref}, "exactly one new line"
        changed = [key for key, line in before.items() if after.get(key) != line]
        assert not changed, f"lines {changed} were changed by an append"
        assert after[applied.line_ref].quantity == change.quantity, "as many units as promised"
        assert not applied.removed, "an append removes nothing"

    def test_replace_takes_out_what_it_says_and_nothing_else(self) -> None:
        shop, ref = self._placed()
        if Capability.REPLACE not in shop.capabilities:
            return
        change, quote = self._replace(shop, ref)
        before = {line.ref: line for line in shop.order(ref).lines}
        applied = shop.apply(change, quote, shop.hold(change, quote))
        after = {line.ref: line for line in shop.order(ref).lines}
        gone = {part.line_ref for part in change.replaces}
        assert set(before) - set(after) == gone, f"wanted {gone} gone, {set(before) - set(after)}"
        kept = [key for key in before if key not in gone and after[key] != before[key]]
        assert not kept, f"lines {kept} were changed"
        assert len(applied.removed) == len(gone), "the dump has every removed line"

    def test_apply_twice_is_once(self) -> None:
        for make in self._kinds():
            shop, ref = self._placed()
            change, quote = make(shop, ref)
            hold = shop.hold(change, quote)
            first = shop.apply(change, quote, hold)
            left, order = self.stock_of(change.product_ref), shop.order(ref)
            second = shop.apply(change, quote, hold)
            assert second == first, f"{change.kind}: the second apply() answers {second}"
            assert shop.order(ref) == order, f"{change.kind}: the second apply() changed the order"
            assert self.stock_of(change.product_ref) == left, f"{change.kind}: stock moved again"

    def test_apply_refuses_what_is_no_longer_as_quoted(self) -> None:
        shop, ref = self._placed()
        change, quote = self._append(shop, ref)
        cent = replace(quote.amount_due, gross=quote.amount_due.gross + Decimal("0.01"))
        self._refuses(shop, change, replace(quote, amount_due=cent), "another amount due")
        self._refuses(shop, change, replace(quote, order_version="older"), "another version")

    def test_apply_refuses_an_order_that_is_gone(self) -> None:
        for spoil in (self.set_cancelled, self.set_released):
            shop, ref = self._placed()
            change, quote = self._append(shop, ref)
            spoil(ref)
            self._refuses(shop, change, quote, spoil.__name__.removeprefix("set_"))

    def _refuses(self, shop: Any, change: Change, quote: Quote, why: str) -> None:
        before = shop.order(change.order_ref)
        try:
            shop.apply(change, quote, "")
        except Refused:
            assert shop.order(change.order_ref) == before, (
                f"{why}: refused, and changed all the same"
            )
            return
        raise AssertionError(f"apply() of {why}: wanted Refused, and it was done")

    # ------------------------------------------------------------ revert

    def test_revert_gives_the_order_back_as_it_was(self) -> None:
        for make in self._kinds():
            shop, ref = self._placed(discount=Decimal("1.00"))
            if Capability.REVERT not in shop.capabilities:
                return
            change, quote = make(shop, ref)
            before, left = shop.order(ref), self.stock_of(change.product_ref)
            applied = shop.apply(change, quote, shop.hold(change, quote))
            shop.revert(change, applied)
            after = shop.order(ref)
            assert after.lines == before.lines, f"{change.kind}: lines, amounts and references"
            assert _money(after.total) == _money(before.total), f"total {after.total}"
            assert after.version == before.version, "the version is the one before"
            assert self.stock_of(change.product_ref) == left, "the units are back in stock"
            shop.revert(change, applied)
            assert shop.order(ref) == after, f"{change.kind}: the second revert() changed it"

    # ------------------------------------------------------------ stock

    def test_hold_takes_units_and_release_gives_them_back(self) -> None:
        shop, ref = self._placed()
        left = self.stock_of(self.offered())
        if Capability.HOLD not in shop.capabilities or left is None:
            return
        change, quote = self._append(shop, ref)
        hold = shop.hold(change, quote)
        assert hold, "a shop with HOLD answers with a reference"
        assert self.stock_of(self.offered()) == left - 1, "one unit is held"
        assert shop.hold(change, quote) == hold, "holding again is the same hold"
        assert self.stock_of(self.offered()) == left - 1, "and takes no other unit"
        shop.release(hold)
        assert self.stock_of(self.offered()) == left, "released is back"
        shop.release(hold)
        assert self.stock_of(self.offered()) == left, "releasing again gives nothing"

    def test_hold_refuses_what_is_sold_out(self) -> None:
        shop, ref = self._placed()
        if Capability.HOLD not in shop.capabilities:
            return
        change, quote = self._append(shop, ref, product=self.sold_out())
        reason = "not refused"
        try:
            shop.hold(change, quote)
        except Refused as refused:
            reason = refused.reason
        assert reason == "out_of_stock", f"sold out: wanted out_of_stock, found {reason}"

    def test_apply_of_a_hold_takes_the_units_once(self) -> None:
        shop, ref = self._placed()
        left = self.stock_of(self.offered())
        if left is None:
            return
        change, quote = self._append(shop, ref)
        shop.apply(change, quote, shop.hold(change, quote))
        assert self.stock_of(self.offered()) == left - 1, "one unit left the shelf"

    def test_a_withdrawal_is_taken_once_and_only_of_a_line_that_is_there(self) -> None:
        shop, ref = self._placed()
        if Capability.WITHDRAWAL not in shop.capabilities:
            return
        change, quote = self._append(shop, ref)
        applied = shop.apply(change, quote)
        until = shop.withdrawal_until(ref, applied.line_ref)
        assert until is not None, "the added line can be withdrawn from"
        assert until.tzinfo is not None, f"an aware time, not {until}"
        assert shop.withdrawal_until(ref, "no-such-line") is None, "there is no such line"
        self.set_released(ref)
        total = shop.order(ref).total
        shop.withdrawal_made(change, applied, Decimal(0))
        once = self.everything()
        shop.withdrawal_made(change, applied, Decimal(0))
        assert self.everything() == once, "a withdrawal was taken twice"
        assert shop.order(ref).total == total, "the total is what was agreed; money goes back"

    # ------------------------------------------------------------ payments

    def test_a_payment_is_booked_once(self) -> None:
        shop, ref = self._placed()
        for _ in range(2):
            shop.record_payment(ref, "charge", Decimal("5.00"), "EUR", "ch_1", "card")
        shop.record_payment(ref, "refund", Decimal("5.00"), "EUR", "ch_1", "card")
        booked = self.payments_of(ref)
        assert booked is None or len(booked) == 2, f"wanted one of each, found {booked}"

    # ------------------------------------------------------------ how

    def _placed(self, *, discount: Decimal = Decimal(0)) -> tuple[Any, str]:
        shop = self.make_shop()
        first, second = self.bought()
        return shop, self.place((first, 1), (second, 2), discount=discount)

    def _walked(self, shop: Any, cursor: str, limit: int) -> tuple[list[str], str]:
        """Return what is told from there to the end, and where that is."""
        found: list[str] = []
        for _page in range(1000):
            refs, following = shop.orders_since(cursor, limit)
            assert len(refs) <= limit, f"orders_since() told {len(refs)}, the limit was {limit}"
            assert isinstance(following, str), f"a cursor is text: {following!r}"
            if following == cursor:
                return found, cursor
            found += refs
            cursor = following
        raise AssertionError("orders_since() never comes to an end")

    def _kinds(self) -> list[Any]:
        shop = self.make_shop()
        return [self._append, *([self._replace] if Capability.REPLACE in shop.capabilities else [])]

    def _both(self, shop: Any, ref: str) -> list[tuple[Change, Quote]]:
        made = [self._append(shop, ref)]
        if Capability.REPLACE in shop.capabilities:
            made.append(self._replace(shop, ref))
        return made

    def _append(self, shop: Any, ref: str, product: str = "") -> tuple[Change, Quote]:
        order, product = shop.order(ref), product or self.offered()
        unit = shop.availability([(product, 1)], order)[product].unit
        change = Change(
            id=str(uuid.uuid4()),
            kind=ChangeKind.APPEND,
            order_ref=ref,
            product_ref=product,
            quantity=1,
            unit=unit,
            shipping=Price.zero(order.currency),
        )
        return change, shop.quote(change)

    def _replace(self, shop: Any, ref: str) -> tuple[Change, Quote]:
        """Swap the first line for the offered product, 50 dearer than what was paid."""
        order = shop.order(ref)
        line = next(row for row in order.lines if row.product.ref == self.bought()[0])
        unit = shop.availability([(self.offered(), 1)], order)[self.offered()].unit
        paid = ports.credit(line, units=line.quantity)
        rate = (unit.gross / unit.net if unit.net else Decimal(1)) - 1
        dearer = ports.gross_price(paid.gross + 50, rate=rate, currency=order.currency)
        change = Change(
            id=str(uuid.uuid4()),
            kind=ChangeKind.REPLACE,
            order_ref=ref,
            product_ref=self.offered(),
            quantity=1,
            unit=replace(dearer, tax_code=unit.tax_code),
            shipping=Price.zero(order.currency),
            replaces=(
                Replaced(
                    line_ref=line.ref,
                    quantity=line.quantity,
                    credit=paid,
                    product_ref=line.product.ref,
                    title=line.product.title,
                ),
            ),
        )
        return change, shop.quote(change)


def _money(price: Price) -> tuple[str, Decimal, Decimal]:
    return price.currency, price.net, price.gross
