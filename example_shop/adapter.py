"""What a host has to write: one shop, and how its orders were paid."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from urllib.parse import urlencode

from django.db.models import F, Q
from django.urls import reverse

from example_shop.models import Change as Hold
from example_shop.models import Order, OrderLine, Payment, Product
from upsell import ports
from upsell.ports import Capability
from upsell.testing.gateway import BalanceGateway, LedgerGateway


class ExampleShop(ports.BaseShop):
    slug = "example"
    capabilities = frozenset(Capability) - {
        Capability.CART,
        Capability.CONSENT,
        Capability.FULFILMENT_HOLD,
        Capability.GROUPS,
    }
    signals = {"cancelled": "example_shop.signals.order_cancelled"}

    # ---------------------------------------------------------------- reads
    def order(self, ref):
        rows = Order.objects.select_related("channel", "user").filter(pk=ref)
        order = rows.first() if str(ref).isdigit() else None
        if order is None:
            raise ports.NotFound(f"no order {ref}")
        rows = list(order.lines.select_related(*_PRODUCT).order_by("position", "pk"))
        families = _families({row.product.family for row in rows})
        lines = tuple(_line(row, order.currency, families) for row in rows)
        goods = ports.Price.zero(order.currency)
        for line in lines:
            goods += line.total
        total = _price(order.currency, order.total_net, order.total_gross)
        return ports.Occasion(
            moment=ports.Moment.POST_PURCHASE,
            ref=str(order.pk),
            number=order.number,
            version=ports.order_version(order.currency, lines),
            placed_at=order.placed_at,
            checkout_completed_at=order.placed_at,
            currency=order.currency,
            lines=lines,
            goods=goods,
            shipping=ports.Price.zero(order.currency),
            total=total,
            customer=ports.Customer(ref=str(order.user_id or ""), email=order.email, locale="en"),
            channel=order.channel.code,
            shipping_country=order.country,
            has_shipping_address=bool(order.street),
            payment_method=order.payment_method,
            coupons=(order.coupon,) if order.coupon else (),
            status="paid" if order.paid else "open",
            cancelled=order.cancelled,
            released=order.released,
            facts={"card": order.card},
        )

    def products(self, refs):
        rows = Product.objects.select_related("category__parent").filter(pk__in=list(refs))
        rows = list(rows)
        families = _families({row.family for row in rows})
        return {str(row.pk): _product(row, families) for row in rows}

    def availability(self, wanted, occasion):
        rows = Product.objects.filter(
            pk__in=[ref for ref, _ in wanted], channel__currency=occasion.currency
        )
        return {
            str(row.pk): ports.Availability(
                ref=str(row.pk),
                sellable=row.sellable,
                quantity=row.stock,
                unit=_with_tax(row.price, row.tax_rate, occasion.currency),
            )
            for row in rows
        }

    def order_for_request(self, request):
        return request.session.get("order_ref")

    def may_act(self, request, order_ref):
        if request.session.get("order_ref") == str(order_ref):
            return True
        user = request.user
        return user.is_authenticated and Order.objects.filter(pk=order_ref, user=user).exists()

    def purchases(self, customer, since, limit):
        mine = Q(order__email__iexact=customer.email)
        if customer.ref:
            mine |= Q(order__user_id=customer.ref)
        rows = (
            OrderLine.objects.filter(
                mine,
                order__placed_at__gte=since,
                order__cancelled=False,
                returned__lt=F("quantity"),
            )
            .select_related("order", "product")
            .order_by("-order__placed_at", "-pk")
        )
        return [
            ports.Purchase(
                order_ref=str(row.order_id),
                product_ref=str(row.product_id),
                parent_ref=str(row.product.parent_id or ""),
                at=row.order.placed_at,
            )
            for row in rows[:limit]
        ]

    def choices(self, kind, query, limit):
        kinds = {"product": (Product, "title"), "order": (Order, "number")}
        if kind == "channel":
            return [ports.Choice(ref=code, label=name) for code, name in _channels(query)[:limit]]
        if kind not in kinds:
            return ()
        model, column = kinds[kind]
        wanted = Q(**{f"{column}__icontains": query})
        if query.isdigit():
            wanted |= Q(pk=query)
        rows = model.objects.filter(wanted).order_by(column, "pk")[:limit]
        return [ports.Choice(ref=str(row.pk), label=str(row)) for row in rows]

    def order_url(self, order_ref):
        return reverse("shop:order", args=[order_ref])

    # ---------------------------------------------------------------- money and stock
    def quote(self, change):
        return self._plan(change)

    def _plan(self, change):
        order = self.order(change.order_ref)
        product = Product.objects.get(pk=change.product_ref)
        line, credit = change.unit.times(change.quantity), ports.Price.zero(order.currency)
        lines = {row.ref: row for row in order.lines}
        for part in change.replaces:
            credit += ports.credit(lines[part.line_ref], units=part.quantity)
        due = line + change.shipping - credit
        tax = ports.TaxLine(label="VAT", rate=product.tax_rate, amount=due.tax)
        return ports.Quote(
            change_id=change.id,
            unit=change.unit,
            line=line,
            credit=credit,
            shipping=change.shipping,
            amount_due=due,
            tax_lines=(tax,),
            order_version=order.version,
            available=product.sellable,
        )

    def hold(self, change, quote):
        made, new = Hold.objects.get_or_create(
            change_id=change.id,
            defaults={"product_id": change.product_ref, "quantity": change.quantity},
        )
        if new or made.state == "released":
            rows = Product.objects.filter(pk=change.product_ref, stock__isnull=False)
            if rows.exists() and not rows.filter(stock__gte=change.quantity).update(
                stock=F("stock") - change.quantity
            ):
                raise ports.Refused("out_of_stock")
            Hold.objects.filter(pk=made.pk).update(state="held")
        return change.id

    def release(self, hold):
        row = Hold.objects.filter(change_id=hold, state="held").first()
        if row and Hold.objects.filter(pk=row.pk, state="held").update(state="released"):
            _stock(row.product_id, row.quantity)

    # ---------------------------------------------------------------- writes
    def apply(self, change, quote, hold=""):
        order = Order.objects.select_for_update().get(pk=change.order_ref)
        done = Hold.objects.filter(change_id=change.id, state="applied").first()
        if done:
            return _applied(change.id, order.currency, done.answer)
        plan = self._plan(change)
        if plan.amount_due != quote.amount_due or plan.order_version != quote.order_version:
            raise ports.Refused("order_changed", "the order is not the one that was quoted")
        if order.cancelled or order.released:
            raise ports.Refused("order_released" if order.released else "order_changed")
        self.hold(change, quote)
        before, removed = (order.total_net, order.total_gross), []
        for part in change.replaces:
            removed.append(_take_out(OrderLine.objects.get(pk=part.line_ref), part))
            _stock(removed[-1]["product_id"], part.quantity)
        last = order.lines.order_by("-position").values_list("position", flat=True).first()
        line = OrderLine.objects.create(
            order=order,
            product_id=change.product_ref,
            position=(last or 0) + 1,
            title=Product.objects.get(pk=change.product_ref).title,
            quantity=change.quantity,
            unit_net=change.unit.net,
            unit_gross=change.unit.gross,
            change_id=change.id,
            total_net=plan.line.net,
            total_gross=plan.line.gross,
            before_net=plan.line.net,
            before_gross=plan.line.gross,
        )
        order.total_net += plan.amount_due.net
        order.total_gross += plan.amount_due.gross
        order.save(update_fields=["total_net", "total_gross"])
        answer = {
            "line_ref": str(line.pk),
            "removed": removed,
            "before": [str(part) for part in before],
            "after": [str(order.total_net), str(order.total_gross)],
        }
        Hold.objects.filter(change_id=change.id).update(state="applied", answer=answer)
        return _applied(change.id, order.currency, answer)

    def revert(self, change, applied):
        order = Order.objects.select_for_update().get(pk=change.order_ref)
        if Hold.objects.filter(change_id=change.id, state="applied").update(state="reverted"):
            if order.released:
                raise ports.Refused("order_released")
            OrderLine.objects.filter(pk=applied.line_ref).delete()
            for row in applied.removed:
                OrderLine.objects.filter(pk=row["id"]).delete()
                OrderLine.objects.create(**{k: v for k, v in row.items() if k != "taken"})
                _stock(row["product_id"], -row["taken"])
            _stock(change.product_ref, change.quantity)
            order.total_net -= applied.total_after.net - applied.total_before.net
            order.total_gross -= applied.total_after.gross - applied.total_before.gross
            order.save(update_fields=["total_net", "total_gross"])
        return applied

    def record_payment(self, order_ref, kind, amount, currency, reference, gateway):
        Payment.objects.get_or_create(
            kind=kind,
            reference=reference,
            defaults={
                "order_id": order_ref,
                "amount": amount,
                "currency": currency,
                "gateway": gateway,
            },
        )


class CardGateway(LedgerGateway):
    slug = "card"
    challenge_url = "/challenge/"

    def credential_for(self, order):
        return str(order.facts.get("card", ""))

    def charge(self, request):
        result = super().charge(request)
        if not result.action_url:
            return result
        back = urlencode({"next": request.return_url})
        return replace(result, action_url=f"{result.action_url}?{back}")


class InvoiceGateway(BalanceGateway):
    slug = "invoice"


_PRODUCT = ("product", "product__category__parent")


def _price(currency, net, gross):
    return ports.Price(currency=currency, net=net, gross=gross)


def _with_tax(gross, rate, currency):
    return _price(currency, ports.round_money(gross / (1 + rate), currency), gross)


def _families(names):
    found = {}
    for row in Product.objects.filter(family__in=names - {""}).order_by("price", "pk"):
        found.setdefault(row.family, []).append(str(row.pk))
    return found


def _product(row, families):
    category = row.category
    refs = {category.slug} if category else set()
    if category and category.parent_id:
        refs.add(category.parent.slug)
    return ports.Product(
        ref=str(row.pk),
        sku=row.sku,
        title=row.title,
        url=f"/product/{row.pk}/",
        image_url=f"/picture/{row.pk}.svg",
        image_alt=row.title,
        parent_ref=str(row.parent_id or ""),
        category_refs=frozenset(refs),
        brand_ref=row.brand,
        requires_shipping=row.requires_shipping,
        sellable=row.sellable,
        attributes={str(k): str(v) for k, v in row.facts.items()},
        alternatives=tuple(families.get(row.family, ())),
    )


def _line(row, currency, families):
    return ports.Line(
        ref=str(row.pk),
        product=_product(row.product, families),
        quantity=row.quantity,
        unit=_price(currency, row.unit_net, row.unit_gross),
        total=_price(currency, row.total_net, row.total_gross),
        total_before_discounts=_price(currency, row.before_net, row.before_gross),
        returned=row.returned,
        locked_reason=row.locked_reason or ("offer" if row.change_id else ""),
    )


_DUMPED = (
    "id",
    "order_id",
    "product_id",
    "position",
    "title",
    "quantity",
    "returned",
    "locked_reason",
    "change_id",
)
_AMOUNTS = ("unit_net", "unit_gross", "total_net", "total_gross", "before_net", "before_gross")


def _take_out(row, part):
    dump = {name: getattr(row, name) for name in _DUMPED}
    dump |= {name: str(getattr(row, name)) for name in _AMOUNTS} | {"taken": part.quantity}
    if part.quantity == row.quantity:
        row.delete()
        return dump
    row.quantity -= part.quantity
    row.total_net -= part.credit.net
    row.total_gross -= part.credit.gross
    row.save()
    return dump


def _stock(product_id, quantity):
    Product.objects.filter(pk=product_id, stock__isnull=False).update(stock=F("stock") + quantity)


def _applied(change_id, currency, answer):
    before, after = answer["before"], answer["after"]
    return ports.Applied(
        change_id=change_id,
        line_ref=answer["line_ref"],
        removed=tuple(answer["removed"]),
        total_before=_price(currency, Decimal(before[0]), Decimal(before[1])),
        total_after=_price(currency, Decimal(after[0]), Decimal(after[1])),
    )


def _channels(query):
    rows = Order._meta.get_field("channel").related_model.objects.filter(name__icontains=query)
    return list(rows.values_list("code", "name"))
