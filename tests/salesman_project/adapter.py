"""A shop on django-salesman: orders are Salesman's, goods and stock the shop's own."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from salesman.checkout.payment import payment_methods_pool
from salesman.conf import app_settings

from tests.salesman_project import changing
from tests.salesman_project.teashop import models
from upsell import ports
from upsell.ports import Capability

CURRENCY = "EUR"


class TeaShop(ports.BaseShop):
    slug = "teashop"
    capabilities = frozenset(
        {
            *(Capability.STOCK, Capability.HOLD, Capability.REPLACE, Capability.REVERT),
            *(Capability.CHANNELS, Capability.PAYMENT_METHOD, Capability.HISTORY),
        }
    )
    signals = {"changed": "salesman.orders.signals.status_changed"}

    # ---------------------------------------------------------------- reads
    def order(self, ref):
        row = models.Order.objects.filter(pk__in=numbers([ref])).first()
        if row is None:
            raise ports.NotFound(f"no order {ref}")
        items = list(row.items.order_by("pk"))
        products = self.products([ref_of(item) for item in items])
        lines = tuple(_line(item, products.get(ref_of(item))) for item in items)
        return ports.Occasion(
            moment=ports.Moment.POST_PURCHASE,
            ref=str(row.pk),
            number=row.ref,
            version=ports.order_version(CURRENCY, lines),
            placed_at=row.date_created,
            currency=CURRENCY,
            lines=lines,
            goods=sum((line.total for line in lines), ports.Price.zero(CURRENCY)),
            shipping=euros(row.shipping),
            total=euros(row.total),
            customer=ports.Customer(ref=str(row.user_id or ""), email=row.email),
            channel="web",
            has_shipping_address=bool(row.shipping_address),
            payment_method=row.payment_method,
            status=row.status,
            cancelled=row.status == "CANCELLED",
            released=row.status in models.Order.PACKED,
            closed_reason="refunded" if row.status == "REFUNDED" else "",
            payment_failed=row.status == "FAILED",
            facts={"card": row.extra.get("card", "card_ok")},
        )

    def products(self, refs):
        return {
            ref: ports.Product(
                ref=ref,
                sku=row.code,
                title=row.name,
                requires_shipping=row.stock is not None,
                sellable=row.active,
            )
            for ref, row in goods(refs).items()
        }

    def availability(self, wanted, occasion):
        users = get_user_model().objects.filter(pk__in=numbers([occasion.customer.ref]))
        request = HttpRequest()  # Salesman asks a request for a price, and a worker has none
        request.user = users.first() or AnonymousUser()
        return {
            ref: ports.Availability(
                ref=ref,
                sellable=row.active,
                quantity=row.stock,
                unit=euros(row.get_price(request)),
            )
            for ref, row in goods(ref for ref, _units in wanted).items()
        }

    def purchases(self, customer, since, limit):
        rows = models.OrderItem.objects.filter(order__date_created__gte=since)
        if customer.ref:
            rows = rows.filter(order__user__in=numbers([customer.ref]))
        else:
            rows = rows.filter(order__email__iexact=customer.email).exclude(order__email="")
        rows = rows.exclude(order__status__in=models.Order.CLOSED).order_by(
            "-order__date_created", "-pk"
        )
        bought = [
            (str(row.order_id), ref_of(row), row.order.date_created)
            for row in rows.select_related("order")[:limit]
        ]
        return [
            ports.Purchase(order_ref=order, product_ref=ref, at=at) for order, ref, at in bought
        ]

    def orders_since(self, cursor, limit):
        return ports.page_since(models.Order.objects.all(), cursor, limit, by="date_updated")

    def choices(self, kind, query, limit):
        found = {"channel": [("web", "The web shop")]}.get(kind, [])
        if kind == "payment_method":
            found = payment_methods_pool.get_choices()
        elif kind == "order":
            rows = models.Order.objects.order_by("-pk").values_list("pk", "ref")
            found = list(rows.filter(pk__in=numbers([query])))
            found += rows.filter(ref__icontains=query).exclude(pk__in=numbers([query]))[:limit]
        elif kind == "product":
            found = [(ref, row.name) for ref, row in goods([query]).items()]
            for label in app_settings.SALESMAN_PRODUCT_TYPES:
                rows = apps.get_model(label).objects.filter(name__icontains=query).order_by("name")
                found += [(f"{label}:{row.pk}", row.name) for row in rows[:limit]]
        return [ports.Choice(ref=str(ref), label=label) for ref, label in found[:limit]]

    def order_url(self, order_ref):
        row = models.Order.objects.filter(pk__in=numbers([order_ref])).first()
        return f"{reverse('thanks')}?token={row.token}" if row else ""

    # ---------------------------------------------------------------- whose order is it
    def order_for_request(self, request):
        return request.session.get("order")

    def may_act(self, request, order_ref):
        """The session or the owner. Salesman's token lets anybody see, so it decides nothing."""
        if self.order_for_request(request) == order_ref:
            return True
        rows = models.Order.objects.filter(pk__in=numbers([order_ref]), user=request.user.pk)
        return request.user.is_authenticated and rows.exists()

    # ---------------------------------------------------------------- money and stock
    def quote(self, change):
        row = goods([change.product_ref]).get(change.product_ref)
        if row is None:
            raise ports.NotFound(f"no product {change.product_ref}")
        order = self.order(change.order_ref)
        plan = ports.plan_change(change, order, tax_code="")
        return replace(plan, available=row.active)

    @transaction.atomic
    def hold(self, change, quote):
        changing.held(change)
        return change.id

    @transaction.atomic
    def release(self, hold):
        changing.release(hold)

    # ---------------------------------------------------------------- writes: once per change.id
    @transaction.atomic
    def apply(self, change, quote, hold=""):
        order, done = changing.held(change)
        if done.state == "held":
            plan = self.quote(change)
            ports.ensure_as_quoted(plan, quote, self.order(change.order_ref))
            row = goods([change.product_ref])[change.product_ref]
            changing.carry_out(order, done, change, plan, row)
        before, after = (euros(Decimal(done.answer[name]["total"])) for name in ("before", "after"))
        return ports.Applied(
            change_id=change.id,
            line_ref=done.answer["line"],
            total_before=before,
            total_after=after,
            removed=tuple(done.answer["removed"]),
        )

    @transaction.atomic
    def revert(self, change, applied):
        order = changing.begin(change)
        done = order.changes.get(change_id=change.id)
        if done.state == "applied":
            changing.take_back(order, done, change)
        return replace(applied, total_before=applied.total_after, total_after=applied.total_before)

    def record_payment(self, order_ref, kind, amount, currency, reference, gateway):
        """A refund is a payment below zero: so what Salesman says is outstanding stays true."""
        charged = kind == "charge"
        models.OrderPayment.objects.get_or_create(
            order_id=order_ref,
            transaction_id=reference if charged else f"{kind}:{reference}",
            defaults={"amount": amount if charged else -amount, "payment_method": gateway},
        )


# -------------------------------------------------------------------- rows to values
def euros(amount):
    """A price of a shop without tax: net and gross are one."""
    return ports.Price(currency=CURRENCY, net=amount, gross=amount)


def numbers(refs):
    """Return those references that can be keys of ours: what is none is no row, and no error."""
    return [int(ref) for ref in map(str, refs) if ref.isdecimal() and len(ref) < 19]


def ref_of(item):
    return f"{item.product_type}:{item.product_id}"


def goods(refs):
    """Return rows by reference, "teashop.Tea:3": one query for each of Salesman's types."""
    found, refs = {}, list(refs)
    for label in sorted(app_settings.SALESMAN_PRODUCT_TYPES):
        keys = [ref.partition(":")[2] for ref in refs if ref.startswith(f"{label}:")]
        rows = apps.get_model(label).objects.filter(pk__in=numbers(keys))
        found |= {f"{label}:{row.pk}": row for row in rows}
    return found


def _line(item, product):
    return ports.Line(
        ref=str(item.pk),
        product=product or ports.Product(ref=ref_of(item), title=item.name, sellable=False),
        quantity=item.quantity,
        unit=euros(item.unit_price),
        total=euros(item.total - item.order_discount),
        total_before_discounts=euros(item.subtotal),
        locked_reason="offer" if item.change_id else "",
    )
