"""The shop that ``UPSELL_SHOP`` names: django-oscar, as it is or forked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.urls import NoReverseMatch, reverse
from oscar.core.loading import get_model

from upsell import ports
from upsell.contrib.oscar import changing, conf, reading, searching
from upsell.contrib.oscar.models import ChangeState
from upsell.contrib.oscar.reading import Order, OrderLine, Product, Source, numbers
from upsell.ports import Capability

if TYPE_CHECKING:
    from django.http import HttpRequest

PaymentEvent = get_model("order", "PaymentEvent")
PaymentEventType = get_model("order", "PaymentEventType")
SourceType = get_model("payment", "SourceType")


class OscarShop(ports.BaseShop):
    """Oscar's orders, catalogue, prices and stock. Subclass it to say more of your own."""

    slug = "oscar"
    capabilities = frozenset(
        {
            *(Capability.TAX, Capability.STOCK, Capability.HOLD, Capability.REPLACE),
            *(Capability.REVERT, Capability.GROUPS, Capability.CATEGORIES, Capability.CHANNELS),
            *(Capability.COUNTRY, Capability.PAYMENT_METHOD, Capability.HISTORY),
        }
    )
    signals = {
        "placed": "oscar.apps.order.signals.order_placed",
        "changed": "oscar.apps.order.signals.order_status_changed",
    }

    # ---------------------------------------------------------------- reads
    def order(self, ref: str, *, bare: bool = False) -> ports.Occasion:
        return reading.occasion(reading.order_row(ref), bare=bare)

    def orders(self, refs: Sequence[str]) -> dict[str, ports.Occasion]:
        return reading.occasions(refs)

    def products(self, refs: Sequence[str]) -> dict[str, ports.Product]:
        return reading.products(refs)

    def availability(
        self, wanted: Sequence[tuple[str, int]], occasion: ports.Occasion
    ) -> dict[str, ports.Availability]:
        rows = {str(row.pk): row for row in reading.product_rows(ref for ref, _ in wanted)}
        strategy, found = reading.strategy_for(reading.user_of(occasion.customer)), {}
        for ref, units in wanted:
            if ref in rows:
                info = strategy.fetch_for_product(rows[ref])
                found[ref] = reading.availability(ref, rows[ref], units, info, occasion.currency)
        return found

    def purchases(
        self, customer: ports.Customer, since: datetime, limit: int
    ) -> list[ports.Purchase]:
        rows = OrderLine.objects.filter(order__date_placed__gte=since, product__isnull=False)
        rows = rows.exclude(order__status__in=conf.get("UPSELL_OSCAR_CANCELLED"))
        if customer.ref:
            rows = rows.filter(order__user_id__in=numbers([customer.ref]))
        else:
            rows = rows.filter(order__guest_email__iexact=customer.email, order__user=None)
            rows = rows.exclude(order__guest_email="")
        rows = rows.select_related("order", "product").order_by("-order__date_placed", "-pk")
        return [
            ports.Purchase(
                order_ref=str(row.order_id),
                product_ref=str(row.product_id),
                parent_ref=str(row.product.parent_id or ""),
                at=row.order.date_placed,
            )
            for row in rows[:limit]
        ]

    def orders_since(self, cursor: str, limit: int) -> tuple[list[str], str]:
        """Oscar notes no time of a change: the placed ones. Its signals tell of the changed."""
        return ports.page_since(Order.objects.all(), cursor, limit, by="date_placed")

    def baskets(self, since: datetime) -> Iterator[list[str]]:
        rows = OrderLine.objects.filter(order__date_placed__gte=since, product__isnull=False)
        rows = rows.exclude(order__status__in=conf.get("UPSELL_OSCAR_CANCELLED"))
        pairs = rows.order_by("order_id", "pk").values_list("order_id", "product_id")
        for _, lines in groupby(pairs.iterator(), key=lambda pair: pair[0]):
            yield [str(product_id) for _, product_id in lines]

    def choices(self, kind: str, query: str, limit: int) -> list[ports.Choice]:
        found = searching.find(kind, query, limit)
        return [ports.Choice(ref=ref, label=label) for ref, label in found]

    def order_url(self, order_ref: str) -> str:
        row = Order.objects.filter(pk__in=numbers([order_ref])).first()
        try:
            if row is None:
                return ""
            if row.user_id:
                return reverse("customer:order", args=[row.number])
            return reverse("customer:anon-order", args=[row.number, row.verification_hash()])
        except NoReverseMatch:  # a shop without accounts
            return ""

    # ---------------------------------------------------------------- whose order is it
    def order_for_request(self, request: HttpRequest) -> str | None:
        placed = request.session.get("checkout_order_id")
        return None if placed is None else str(placed)

    def may_act(self, request: HttpRequest, order_ref: str) -> bool:
        if self.order_for_request(request) == order_ref:
            return True
        user: Any = request.user
        own = Order.objects.filter(pk__in=numbers([order_ref]), user_id=user.pk)
        return bool(user.is_authenticated) and own.exists()

    # ---------------------------------------------------------------- money and stock
    def quote(self, change: ports.Change) -> ports.Quote:
        product = Product.objects.filter(pk__in=numbers([change.product_ref])).first()
        if product is None:
            raise ports.NotFound(f"no product {change.product_ref}")
        order = self.order(change.order_ref, bare=True)
        plan = ports.plan_change(change, order, tax_code=change.unit.tax_code)
        return replace(plan, available=product.is_public)

    @transaction.atomic
    def hold(self, change: ports.Change, quote: ports.Quote) -> str:
        changing.hold(change)
        return change.id

    @transaction.atomic
    def release(self, hold: str) -> None:
        changing.release(hold)

    # ---------------------------------------------------------------- writes
    @transaction.atomic
    def apply(self, change: ports.Change, quote: ports.Quote, hold: str = "") -> ports.Applied:
        row, done = changing.hold(change)
        if done.state == ChangeState.HELD:
            plan = self.quote(change)
            ports.ensure_as_quoted(plan, quote, self.order(change.order_ref, bare=True))
            changing.carry_out(row, done, change, plan)
        totals = {
            f"total_{when}": ports.Price(
                currency=row.currency,
                net=Decimal(done.answer[when]["excl_tax"]),
                gross=Decimal(done.answer[when]["incl_tax"]),
            )
            for when in ("before", "after")
        }
        removed = tuple(done.answer["removed"])
        return ports.Applied(change_id=change.id, line_ref=done.line_id, removed=removed, **totals)

    @transaction.atomic
    def revert(self, change: ports.Change, applied: ports.Applied) -> ports.Applied:
        changing.take_back(change)
        return replace(applied, total_before=applied.total_after, total_after=applied.total_before)

    @transaction.atomic
    def record_payment(
        self,
        order_ref: str,
        kind: str,
        amount: Decimal,
        currency: str,
        reference: str,
        gateway: str,
    ) -> None:
        """Book a charge as a payment source of its own, a refund against the same one."""
        order = changing.locked(order_ref)
        named = "Settled" if kind == "charge" else "Refunded"
        event_type, _ = PaymentEventType.objects.get_or_create(name=named)
        booked = {"order": order, "event_type": event_type, "reference": reference}
        _event, made = PaymentEvent.objects.get_or_create(**booked, defaults={"amount": amount})
        if not made:
            return
        source_type, _ = SourceType.objects.get_or_create(code=gateway, defaults={"name": gateway})
        source, _ = Source.objects.get_or_create(
            order=order,
            source_type=source_type,
            reference=reference,
            defaults={"currency": currency},
        )
        if kind == "charge":
            source.allocate(amount, reference)
            source.debit(amount, reference)
        else:
            source.refund(amount, reference)
