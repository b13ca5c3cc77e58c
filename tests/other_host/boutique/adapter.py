"""The adapter of a shop without tax and stock, and a gateway that minds where it is called."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.db import connection
from django.urls import reverse

from tests.other_host.boutique.models import Item, Order, OrderLine
from upsell import ports
from upsell.testing.gateway import LedgerGateway


def euros(amount):
    return ports.Price(currency="EUR", net=Decimal(amount), gross=Decimal(amount))


def keys(refs):
    """Return those references that can be ours: what is no UUID is no row, and no error."""
    told = []
    for ref in refs:
        try:
            told.append(uuid.UUID(str(ref)))
        except ValueError:
            continue
    return told


def product(row):
    return ports.Product(ref=str(row.pk), title=row.title, url=reverse("kept"))


class Boutique(ports.BaseShop):
    slug = "boutique"
    capabilities = frozenset({ports.Capability.REVERT, ports.Capability.CHANNELS})

    def order(self, ref):
        row = Order.objects.filter(pk__in=keys([ref])).first()
        if row is None:
            raise ports.NotFound(f"no order {ref}")
        lines = tuple(
            ports.Line(
                ref=str(line.pk),
                product=product(line.item),
                quantity=line.quantity,
                unit=euros(line.item.price),
                total=euros(line.total),
                total_before_discounts=euros(line.total),
            )
            for line in row.lines.select_related("item").order_by("pk")
        )
        return ports.Occasion(
            moment=ports.Moment.POST_PURCHASE,
            ref=str(row.pk),
            number=str(row.pk)[:8],
            version=ports.order_version("EUR", lines),
            placed_at=row.placed_at,
            checkout_completed_at=row.placed_at,
            currency="EUR",
            lines=lines,
            goods=euros(row.total),
            shipping=ports.Price.zero("EUR"),
            total=euros(row.total),
            customer=ports.Customer(
                ref=str(row.person_id or ""), email=row.email, locale=row.locale
            ),
            channel="boutique",
            has_shipping_address=True,
            payment_method="card",
            cancelled=row.cancelled,
            facts={"card": row.card},
        )

    def orders_since(self, cursor, limit):
        return ports.page_since(Order.objects.all(), cursor, limit, by="placed_at")

    def products(self, refs):
        return {str(row.pk): product(row) for row in Item.objects.filter(pk__in=keys(refs))}

    def availability(self, wanted, occasion):
        rows = Item.objects.filter(pk__in=keys(ref for ref, _ in wanted))
        return {
            str(row.pk): ports.Availability(ref=str(row.pk), unit=euros(row.price)) for row in rows
        }

    def choices(self, kind, query, limit):
        if kind == "channel":
            return [ports.Choice(ref="boutique", label="The boutique")]
        if kind == "order":
            rows = Order.objects.filter(pk__in=keys([query])) if query else Order.objects.all()
            return [ports.Choice(ref=str(row.pk), label=str(row.pk)) for row in rows[:limit]]
        if kind == "product":
            rows = Item.objects.filter(pk__in=keys([query])) | Item.objects.filter(
                title__icontains=query
            )
            return [ports.Choice(ref=str(row.pk), label=row.title) for row in rows[:limit]]
        return []

    def order_for_request(self, request):
        return request.session.get("order")

    def may_act(self, request, order_ref):
        if request.session.get("order") == order_ref:
            return True
        owner = Order.objects.filter(pk__in=keys([order_ref]), person_id=request.user.pk)
        return request.user.is_authenticated and owner.exists()

    def quote(self, change):
        return ports.plan_change(
            change, self.order(change.order_ref), tax_code="", rate_of=lambda code: Decimal(0)
        )

    def apply(self, change, quote, hold=""):
        order = Order.objects.select_for_update().get(pk=change.order_ref)
        line = OrderLine.objects.filter(change_id=change.id).first()
        if line is None:
            ports.ensure_as_quoted(self.quote(change), quote, self.order(change.order_ref))
            line = order.lines.create(
                item_id=change.product_ref,
                quantity=change.quantity,
                total=quote.amount_due.gross,
                change_id=change.id,
            )
            order.total += line.total
            order.save(update_fields=["total"])
        return ports.Applied(
            change_id=change.id,
            line_ref=str(line.pk),
            total_before=euros(order.total - line.total),
            total_after=euros(order.total),
        )

    def revert(self, change, applied):
        order = Order.objects.select_for_update().get(pk=change.order_ref)
        line = OrderLine.objects.filter(change_id=change.id).first()
        if line is not None:
            order.total -= line.total
            order.save(update_fields=["total"])
            line.delete()
        return applied


class Card(LedgerGateway):
    """Money is never moved inside a transaction: each call of ours says where it was made."""

    slug = "card"
    challenge_url = "/store/bank/"
    called: list[tuple[str, bool]] = []

    def credential_for(self, order):
        return str(order.facts["card"])

    def charge(self, request):
        self.called.append(("charge", connection.in_atomic_block))
        return super().charge(request)

    def resume(self, reference):
        self.called.append(("resume", connection.in_atomic_block))
        return super().resume(reference)

    def find(self, key, order_ref, since):
        self.called.append(("find", connection.in_atomic_block))
        return super().find(key, order_ref, since)

    def refund(self, reference, amount, currency, key):
        self.called.append(("refund", connection.in_atomic_block))
        return super().refund(reference, amount, currency, key)
