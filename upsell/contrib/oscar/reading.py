"""Oscar's rows as plain values. Bulk reads: as many statements for one product as for fifty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import CharField, Exists, Min, OuterRef, Prefetch
from django.db.models.functions import Cast
from oscar.core.loading import get_class, get_model

from upsell import ports
from upsell.contrib.oscar import conf
from upsell.contrib.oscar.models import ChangeState, OrderChange

Category = get_model("catalogue", "Category")
Order = get_model("order", "Order")
OrderLine = get_model("order", "Line")
LineAttribute = get_model("order", "LineAttribute")
Product = get_model("catalogue", "Product")
ProductAttributeValue = get_model("catalogue", "ProductAttributeValue")
ShippingEventQuantity = get_model("order", "ShippingEventQuantity")
Source = get_model("payment", "Source")
StockRecord = get_model("partner", "StockRecord")
Selector = get_class("partner.strategy", "Selector")


def numbers(refs: Iterable[object]) -> list[int]:
    """Return the references that could be a primary key: whatever else is typed is not there."""
    texts = (str(ref) for ref in refs)
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]


# ------------------------------------------------------------------ products


def products(refs: Iterable[object]) -> dict[str, ports.Product]:
    """Return products by reference, with everything an offer shows of them."""
    rows = product_rows(refs, *_SHOWN)
    trails = _trails(rows)
    siblings = _siblings({row.parent_id for row in rows if row.parent_id})
    return {str(row.pk): _product(row, trails, siblings) for row in rows}


def product_rows(refs: Iterable[object], *hanging: Any) -> list[Any]:
    """Return Oscar's products with their stock records, and what else is to hang on them."""
    rows = Product.objects.filter(pk__in=numbers(refs))
    rows = rows.select_related("product_class", "parent__product_class")
    return list(rows.prefetch_related(Prefetch("stockrecords", _RECORDS), *hanging))


_RECORDS = StockRecord.objects.select_related("partner")
_VALUES = ProductAttributeValue.objects.select_related("attribute", "value_option")
_SHOWN = (
    *("categories", "parent__categories", "images", "parent__images"),
    Prefetch("attribute_values", _VALUES),
)


def _trails(rows: Sequence[Any]) -> Mapping[str, str]:
    """Return path -> reference of every category above these products."""
    paths = {path for row in rows for path in _paths(row)}
    found = Category.objects.filter(path__in=paths).values_list("path", "pk") if paths else ()
    return {path: str(pk) for path, pk in found}


def _paths(row: Any) -> set[str]:
    """Return the paths of a product's categories and of all above them."""
    step, holder = Category.steplen, row.parent if row.is_child else row
    return {
        category.path[:end]
        for category in holder.categories.all()
        for end in range(step, len(category.path) + 1, step)
    }


def _siblings(parents: set[int]) -> Mapping[int, list[str]]:
    """Return the children of each parent, cheapest first: the models of one family."""
    found: dict[int, list[str]] = {}
    if parents:
        children = Product.objects.filter(parent_id__in=parents, is_public=True)
        priced = children.annotate(cheapest=Min("stockrecords__price")).order_by("cheapest", "pk")
        for pk, parent_id in priced.values_list("pk", "parent_id"):
            found.setdefault(parent_id, []).append(str(pk))
    return found


def _product(
    row: Any, trails: Mapping[str, str], siblings: Mapping[int, list[str]]
) -> ports.Product:
    kind = row.get_product_class()
    image = next(iter(row.images.all()), None)
    if image is None and row.is_child:
        image = next(iter(row.parent.images.all()), None)
    told = {
        "fits" if value.attribute.code == "fits" else value.attribute.name: value.value_as_text
        for value in row.attribute_values.all()
    }
    return ports.Product(
        ref=str(row.pk),
        sku=next((record.partner_sku for record in row.stockrecords.all()), row.upc or ""),
        title=title(row),
        url=row.get_absolute_url(),
        image_url=image.original.url if image else "",
        image_alt=(image.caption if image else "") or title(row),
        parent_ref=str(row.parent_id or ""),
        category_refs=frozenset(trails[path] for path in _paths(row)),
        tags=frozenset({kind.slug} if kind else ()),
        requires_shipping=bool(kind and kind.requires_shipping),
        sellable=row.is_public and not row.is_parent,
        attributes=told,
        alternatives=tuple(siblings.get(row.parent_id, ())),
    )


def title(row: Any) -> str:
    """Return what tells a product from its siblings: a child often has its parent's title."""
    if not row.is_child or row.title:
        return str(row.get_title())
    told = ", ".join(value.value_as_text for value in row.attribute_values.all())
    return f"{row.get_title()} ({told})" if told else str(row.get_title())


# ------------------------------------------------------------------ prices and stock


def strategy_for(user: Any) -> Any:
    """Return the shop's own strategy, which a worker asks without a request."""
    return Selector().strategy(request=None, user=user)


def price_of(info: Any, currency: str) -> ports.Price | None:
    """Return the price of one unit; none where there is none, or tax is known only at checkout."""
    policy = info.price
    if not policy.exists or not policy.is_tax_known or policy.currency != currency:
        return None
    net, gross = (ports.round_money(part, currency) for part in (policy.excl_tax, policy.incl_tax))
    return ports.Price(currency=currency, net=net, gross=gross, tax_code=policy.tax_code or "")


def availability(ref: str, row: Any, units: int, info: Any, currency: str) -> ports.Availability:
    """Return whether so many units may be had: the policy's own answer, and its count if any."""
    policy = info.availability
    left = getattr(policy, "num_available", None)
    if not policy.is_purchase_permitted(units)[0]:
        left = min(units - 1, max(0, left)) if left is not None else 0
    sold = row.is_public and not row.is_parent and info.stockrecord is not None
    return ports.Availability(ref=ref, sellable=sold, quantity=left, unit=price_of(info, currency))


def user_of(customer: ports.Customer) -> Any:
    """Return the account that a strategy may price for; none for a guest."""
    return get_user_model().objects.filter(pk__in=numbers([customer.ref])).first()


# ------------------------------------------------------------------ orders


def order_row(ref: object) -> Any:
    """Return Oscar's order with its lines, the ones it has now.

    Raises:
        NotFound: There is no such order.
    """
    for row in _order_rows([ref]):
        return row
    raise ports.NotFound(f"no order {ref}")


def occasions(refs: Iterable[object]) -> dict[str, ports.Occasion]:
    """Return placed orders by reference: as many statements for one as for fifty."""
    rows = _order_rows(refs, "discounts", "user__groups")
    found = products(line.product_id for row in rows for line in row.lines.all())
    return {str(row.pk): occasion(row, found=found) for row in rows}


def _order_rows(refs: Iterable[object], *hanging: str) -> list[Any]:
    rows = Order.objects.filter(pk__in=numbers(refs)).select_related("shipping_address", "user")
    sources = Prefetch("sources", Source.objects.select_related("source_type"))
    return list(rows.prefetch_related(Prefetch("lines", _LINES), sources, *hanging))


_LINES = OrderLine.objects.select_related("partner").annotate(
    shipped=Exists(ShippingEventQuantity.objects.filter(line=OuterRef("pk"))),
    personalised=Exists(LineAttribute.objects.filter(line=OuterRef("pk"))),
    of_an_offer=Exists(
        OrderChange.objects.filter(
            line_id=Cast(OuterRef("pk"), CharField()), state=ChangeState.APPLIED
        )
    ),
)


def occasion(
    row: Any, *, bare: bool = False, found: Mapping[str, ports.Product] | None = None
) -> ports.Occasion:
    """Return a placed order. ``bare``: its money and lines are wanted, and nothing else."""
    rows, currency = list(row.lines.all()), row.currency
    refs = [str(line.product_id) for line in rows if line.product_id]
    if found is None:
        found = {ref: ports.Product(ref=ref) for ref in refs} if bare else products(refs)
    lines = tuple(_line(line, found, currency) for line in rows)
    discounts = () if bare else row.discounts.all()
    shipped = any(line.shipped for line in rows)
    # The first source paid for the order; what offers charge is booked as sources of its own.
    address, paid = row.shipping_address, next(iter(row.sources.all()), None)
    refunded = paid and paid.amount_debited and paid.amount_refunded >= paid.amount_debited
    return ports.Occasion(
        moment=ports.Moment.POST_PURCHASE,
        ref=str(row.pk),
        number=row.number,
        version=ports.order_version(currency, lines),
        placed_at=row.date_placed,
        checkout_completed_at=row.date_placed,
        currency=currency,
        lines=lines,
        goods=sum((line.total for line in lines), ports.Price.zero(currency)),
        shipping=_price(row, "shipping", currency),
        total=_price(row, "total", currency),
        customer=_customer(row.user_id, row.user, row.guest_email),
        channel=_channel(row, rows),
        shipping_country=address.country_id if address else None,
        has_shipping_address=address is not None,
        shipping_method=row.shipping_code,
        payment_method=paid.source_type.code if paid else "",
        coupons=tuple({entry.voucher_code for entry in discounts if entry.voucher_code}),
        status=row.status,
        cancelled=row.status in conf.get("UPSELL_OSCAR_CANCELLED"),
        released=shipped or row.status in conf.get("UPSELL_OSCAR_RELEASED"),
        closed_reason="refunded" if refunded else "",
        facts={"payment_reference": paid.reference, "payment_label": paid.label} if paid else {},
    )


def _customer(user_id: Any, user: Any, guest_email: str) -> ports.Customer:
    groups = (str(group.pk) for group in user.groups.all()) if user else ()
    email = (user.email if user else guest_email) or ""
    return ports.Customer(ref=str(user_id or ""), email=email, group_refs=frozenset(groups))


def _channel(row: Any, lines: Sequence[Any]) -> str:
    """The order's site, or the partner of its first line."""
    if conf.get("UPSELL_OSCAR_CHANNEL") == "partner":
        return str(next((line.partner.code for line in lines if line.partner), ""))
    return str(row.site_id or "")


def _line(line: Any, found: Mapping[str, ports.Product], currency: str) -> ports.Line:
    gone = ports.Product(ref=f"gone-{line.pk}", title=line.title, sellable=False)
    product = found.get(str(line.product_id), gone)
    reasons = {
        "shipped": line.shipped,
        "personalised": line.personalised,
        "product_gone": product is gone or line.stockrecord_id is None,
        "offer": line.of_an_offer,
    }
    return ports.Line(
        ref=str(line.pk),
        product=product,
        quantity=line.quantity,
        unit=_price(line, "unit_price", currency),
        total=_price(line, "line_price", currency),
        total_before_discounts=_price(line, "line_price_before_discounts", currency),
        locked_reason=next((reason for reason, applies in reasons.items() if applies), ""),
    )


def _price(row: Any, name: str, currency: str) -> ports.Price:
    net, gross = (getattr(row, f"{name}_{tax}") or Decimal(0) for tax in ("excl_tax", "incl_tax"))
    code = getattr(row, "tax_code", "") or ""
    return ports.Price(currency=currency, net=net, gross=gross, tax_code=code)
