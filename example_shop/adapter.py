"""What a shop has to write to have offers: its orders and products as plain values,
what a change would cost, and the change itself. It is named in ``UPSELL_SHOP``.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import groupby

from django.db import transaction
from django.db.models import Prefetch
from django.urls import reverse
from django.utils import timezone

from example_shop import models, orders, search, telling
from example_shop.payments import CardGateway, InvoiceGateway
from example_shop.search import numbers
from example_shop.withdrawals import Withdrawals
from upsell import ports
from upsell.ports import Capability, gross_price

__all__ = ["CardGateway", "ExampleShop", "InvoiceGateway"]


class ExampleShop(Withdrawals, telling.Reached, ports.BaseShop):
    slug = "example"
    capabilities = frozenset(Capability) - {Capability.CART}
    signals = {
        "placed": "example_shop.signals.order_placed",
        "changed": "example_shop.signals.order_changed",
        "cancelled": "example_shop.signals.order_cancelled",
        "refunded": "example_shop.signals.order_refunded",
        "shipped": "example_shop.signals.order_shipped",
    }

    # ---------------------------------------------------------------- reads: bulk, no locks
    def order(self, ref):
        for found in self.orders([ref]).values():
            return found
        raise ports.NotFound(f"no order {ref}")

    def orders(self, refs):
        rows = models.Order.objects.select_related("channel").filter(pk__in=numbers(refs))
        lines = models.OrderLine.objects.order_by("position", "pk")
        rows = list(rows.prefetch_related(Prefetch("lines", lines)))
        products = read_products(line.product_id for row in rows for line in row.lines.all())
        groups = models.CustomerGroup.objects.of({row.user_id for row in rows if row.user_id})
        return {str(row.pk): _order(row, products, groups) for row in rows}

    def products(self, refs):
        return read_products(refs)

    def availability(self, wanted, occasion):
        ids, currency = numbers(ref for ref, _ in wanted), occasion.currency
        rows = list(models.Product.objects.filter(pk__in=ids, channel__currency=currency))
        lowest = models.PriceChange.objects.lowest(rows, since=timezone.now() - timedelta(days=30))

        def price(row, gross):
            return gross_price(gross, rate=row.tax_rate, currency=currency)

        return {
            str(row.pk): ports.Availability(
                ref=str(row.pk),
                sellable=row.sellable,
                quantity=row.stock,
                unit=price(row, row.selling),
                regular=price(row, row.price) if row.sale_price is not None else None,
                lowest_30d=price(row, lowest[row.pk]) if row.pk in lowest else None,
            )
            for row in rows
        }

    def purchases(self, customer, since, limit):
        rows = models.OrderLine.objects.bought_by(numbers([customer.ref]), customer.email)
        rows = rows.filter(order__placed_at__gte=since).select_related("order", "product")
        return [
            ports.Purchase(
                order_ref=str(row.order_id),
                product_ref=str(row.product_id),
                parent_ref=str(row.product.parent_id or ""),
                at=row.order.placed_at,
            )
            for row in rows.order_by("-order__placed_at", "-pk")[:limit]
        ]

    def orders_since(self, cursor, limit):
        return ports.page_since(models.Order.objects.all(), cursor, limit, by="changed_at")

    def baskets(self, since):
        rows = models.OrderLine.objects.filter(order__placed_at__gte=since, order__cancelled=False)
        pairs = rows.order_by("order_id", "pk").values_list("order_id", "product_id")
        for _, lines in groupby(pairs.iterator(), key=lambda pair: pair[0]):
            yield [str(product_id) for _, product_id in lines]

    def choices(self, kind, query, limit):
        found = search.find(kind, query, limit)
        return [ports.Choice(ref=ref, label=label) for ref, label in found]

    def order_url(self, order_ref):
        return reverse("shop:order", args=[order_ref])

    # ---------------------------------------------------------------- whose order is it
    def order_for_request(self, request):
        return request.session.get("order_ref")

    def may_act(self, request, order_ref):
        placed = [request.session.get("order_ref"), *request.session.get("order_refs", ())]
        if str(order_ref) in placed or not request.user.is_authenticated:
            return str(order_ref) in placed
        return request.user.order_set.filter(pk__in=numbers([order_ref])).exists()

    # ---------------------------------------------------------------- money and stock
    def quote(self, change):
        product = models.Product.objects.filter(pk__in=numbers([change.product_ref])).first()
        if product is None:
            raise ports.NotFound(f"no product {change.product_ref}")
        order = self.order(change.order_ref)
        plan = ports.plan_change(change, order, tax_code=product.tax_code, rate_of=Decimal)
        return replace(plan, available=product.sellable)

    @transaction.atomic
    def hold(self, change, quote):
        orders.hold(change)
        return change.id

    def release(self, hold):
        orders.release(hold)

    # ---------------------------------------------------------------- writes: once per change.id
    @transaction.atomic
    def apply(self, change, quote, hold=""):
        order, row = orders.hold(change)
        if row.state == "held":
            plan = self.quote(change)
            ports.ensure_as_quoted(plan, quote, self.order(change.order_ref))
            orders.carry_out(order, row, change, plan)
        before, after = row.totals()
        return ports.Applied(
            change_id=change.id,
            line_ref=row.answer["line"],
            total_before=ports.Price(currency=order.currency, **before),
            total_after=ports.Price(currency=order.currency, **after),
            removed=tuple(row.answer["removed"]),
        )

    @transaction.atomic
    def revert(self, change, applied):
        orders.take_back(change)
        return replace(applied, total_before=applied.total_after, total_after=applied.total_before)

    def record_payment(self, order_ref, kind, amount, currency, reference, gateway):
        fields = {"order_id": order_ref, "amount": amount, "currency": currency, "gateway": gateway}
        models.Payment.objects.get_or_create(kind=kind, reference=reference, defaults=fields)

    def hold_fulfilment(self, order_ref, until):
        models.Order.objects.filter(pk=order_ref).update(hold_until=until)

    def release_fulfilment(self, order_ref):
        models.Order.objects.filter(pk=order_ref).update(hold_until=None)


# -------------------------------------------------------------------- rows to values
def _order(row, products, groups):
    rows, currency = row.lines.all(), row.currency
    lines = tuple(_line(line, products[str(line.product_id)], currency) for line in rows)
    return ports.Occasion(
        moment=ports.Moment.POST_PURCHASE,
        ref=str(row.pk),
        number=row.number,
        version=ports.order_version(currency, lines),
        placed_at=row.placed_at,
        checkout_completed_at=row.placed_at,
        currency=currency,
        lines=lines,
        goods=sum((line.total for line in lines), ports.Price.zero(currency)),
        shipping=_price(row, "shipping"),
        total=_price(row, "total"),
        customer=ports.Customer(
            ref=str(row.user_id or ""),
            email=row.email,
            locale=row.locale,
            group_refs=groups.get(row.user_id, frozenset()),
        ),
        channel=row.channel.code,
        shipping_country=row.country,
        has_shipping_address=bool(row.street),
        payment_method=row.payment_method,
        coupons=(row.coupon,) if row.coupon else (),
        status="paid" if row.paid else "open",
        cancelled=row.cancelled,
        released=row.released,
        closed_reason="refunded" if row.refunded else "",
        is_draft=row.payment_reference is not None and not row.paid,
        facts={"card": row.card} | row.payment_facts,
    )


def read_products(refs):
    rows = list(models.Product.objects.whole().filter(pk__in=numbers(refs)))
    tree = models.Category.objects.in_bulk()
    families = models.Product.objects.families(row.family for row in rows)
    return {str(row.pk): _product(row, tree, families) for row in rows}


def _product(row, tree, families):
    return ports.Product(
        ref=str(row.pk),
        sku=row.sku,
        title=row.title,
        url=reverse("shop:product", args=[row.pk]),
        image_url=reverse("shop:picture", args=[row.pk]),
        image_alt=row.title,
        parent_ref=str(row.parent_id or ""),
        category_refs=frozenset(models.trail(row.category_id, tree)),
        brand_ref=row.brand.slug if row.brand else "",
        tags=frozenset(tag.slug for tag in row.tags.all()),
        requires_shipping=row.requires_shipping,
        sellable=row.sellable,
        attributes=row.facts | ({"fits": row.fits} if row.fits else {}),
        alternatives=tuple(families.get(row.family, ())),
        cost=row.cost,
    )


def _line(row, product, currency):
    return ports.Line(
        ref=str(row.pk),
        product=product,
        quantity=row.quantity,
        unit=_price(row, "unit", currency),
        total=_price(row, "total", currency),
        total_before_discounts=_price(row, "before", currency),
        returned=row.returned,
        service_at=row.service_at,
        locked_reason=row.locked_reason or ("offer" if row.change_id else ""),
    )


def _price(row, name, currency=""):
    net, gross = getattr(row, f"{name}_net"), getattr(row, f"{name}_gross")
    code = getattr(row, "tax_code", "")
    return ports.Price(currency=currency or row.currency, net=net, gross=gross, tax_code=code)
