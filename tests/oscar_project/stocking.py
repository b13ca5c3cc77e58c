"""What the shop sells, and how its orders come to be."""

from __future__ import annotations

from decimal import Decimal

from django.contrib.auth import get_user_model
from django.core.cache import cache
from oscar.core.loading import get_class, get_model

Applicator = get_class("offer.applicator", "Applicator")
Basket = get_model("basket", "Basket")
Benefit = get_model("offer", "Benefit")
Category = get_model("catalogue", "Category")
Condition = get_model("offer", "Condition")
ConditionalOffer = get_model("offer", "ConditionalOffer")
Country = get_model("address", "Country")
Order = get_model("order", "Order")
OrderCreator = get_class("order.utils", "OrderCreator")
OrderTotalCalculator = get_class("checkout.calculators", "OrderTotalCalculator")
Partner = get_model("partner", "Partner")
PaymentEvent = get_model("order", "PaymentEvent")
PaymentEventType = get_model("order", "PaymentEventType")
PaymentEventQuantity = get_model("order", "PaymentEventQuantity")
Product = get_model("catalogue", "Product")
ProductClass = get_model("catalogue", "ProductClass")
Range = get_model("offer", "Range")
Repository = get_class("shipping.repository", "Repository")
Selector = get_class("partner.strategy", "Selector")
ShippingAddress = get_model("order", "ShippingAddress")
Source = get_model("payment", "Source")
SourceType = get_model("payment", "SourceType")

# sku: title, class, category, price without tax, units; a child names its parent's sku.
GOODS = {
    "POT": ("Teapot", "Things", "Home > Kitchen", "40.34", 5),
    "TEA": ("Green tea", "Food", "Food > Tea", "22.43", 9),
    "CUP": ("Cup", "Things", "Home > Kitchen", "5.88", 50),
    "GONE": ("Kettle", "Things", "Home > Kitchen", "33.61", 0),
    "BOOK": ("The book of tea", "Downloads", "Books", "8.40", None),
    "SILK": ("Silk cloth", "Imported", "Home", "30.00", 5),
}
CLASSES = {  # name: needs shipping, counts stock
    "Things": (True, True),
    "Food": (True, True),
    "Downloads": (False, False),
    "Imported": (True, True),
}


def stock_the_shop():
    """Fill the shop, once; return products by SKU."""
    cache.clear()
    if not Product.objects.exists():
        Country.objects.get_or_create(
            iso_3166_1_a2="DE",
            defaults={"printable_name": "Germany", "is_shipping_country": True},
        )
        partner = Partner.objects.create(name="Warehouse", code="warehouse")
        for name, (shipped, counted) in CLASSES.items():
            ProductClass.objects.create(name=name, requires_shipping=shipped, track_stock=counted)
        for sku, (title, kind, category, price, units) in GOODS.items():
            product = Product.objects.create(
                title=title, upc=sku, product_class=ProductClass.objects.get(name=kind)
            )
            product.categories.add(_category(category))
            _priced(product, partner, sku, price, units)
        _family(partner)
    return {row.upc: row for row in Product.objects.all()}


def _category(path):
    node = None
    for name in path.split(" > "):
        level = node.get_children() if node else Category.objects.get_root_nodes()
        found = level.filter(name=name).first()
        node = found or (node.add_child(name=name) if node else Category.add_root(name=name))
    return node


def _priced(product, partner, sku, price, units):
    product.stockrecords.create(
        partner=partner,
        partner_sku=sku,
        price_currency="EUR",
        price=Decimal(price),
        num_in_stock=units,
    )


def _family(partner):
    """A parent with two children that differ in size alone."""
    kind = ProductClass.objects.get(name="Things")
    kind.attributes.create(name="Size", code="size", type="text")
    parent = Product.objects.create(
        title="Tray", upc="TRAY", structure=Product.PARENT, product_class=kind
    )
    parent.categories.add(_category("Home > Kitchen"))
    for sku, size, price in (("TRAY-S", "small", "10.00"), ("TRAY-L", "large", "18.00")):
        child = Product.objects.create(title="", upc=sku, structure=Product.CHILD, parent=parent)
        child.attr.size = size
        child.attr.save()
        _priced(child, partner, sku, price, 7)


def a_discount(amount):
    """Take an amount off every basket, until it is switched off."""
    everything, _ = Range.objects.get_or_create(
        name="Everything", defaults={"includes_all_products": True}
    )
    condition = Condition.objects.create(range=everything, type=Condition.COUNT, value=1)
    benefit = Benefit.objects.create(range=everything, type=Benefit.FIXED, value=amount)
    return ConditionalOffer.objects.create(
        name=f"{amount} off", condition=condition, benefit=benefit, max_basket_applications=1
    )


def place(*lines, user=None, discount=Decimal(0), paid_by="invoice", card="", address=True):
    """Place an order as Oscar's checkout does: basket, offers, totals, lines, payment."""
    products = {row.upc: row for row in Product.objects.all()}
    offer = a_discount(discount) if discount else None
    basket = Basket.objects.create(owner=user)
    basket.strategy = Selector().strategy(user=user)
    for sku, quantity in lines:
        basket.add_product(products[sku], quantity)
    Applicator().apply(basket, user)
    method = Repository().get_default_shipping_method(basket)
    charge = method.calculate(basket)
    total = OrderTotalCalculator().calculate(basket, charge)
    order = OrderCreator().place_order(
        basket=basket,
        total=total,
        shipping_method=method,
        shipping_charge=charge,
        user=user,
        shipping_address=_address() if address else None,
        order_number=f"T{basket.pk}",
        **({} if user else {"guest_email": "guest@example.com"}),
    )
    basket.submit()
    if paid_by:
        pay(order, paid_by, card)
    if offer is not None:
        offer.delete()
    return order


def pay(order, paid_by, card=""):
    """Book the payment of the checkout, with an event on every line."""
    kind, _ = SourceType.objects.get_or_create(code=paid_by, defaults={"name": paid_by.title()})
    source = Source.objects.create(
        order=order, source_type=kind, currency=order.currency, reference=card
    )
    source.allocate(order.total_incl_tax, reference=card)
    settled, _ = PaymentEventType.objects.get_or_create(name="Settled")
    event = PaymentEvent.objects.create(
        order=order, event_type=settled, amount=order.total_incl_tax, reference=f"T{order.number}"
    )
    for line in order.lines.all():
        PaymentEventQuantity.objects.create(event=event, line=line, quantity=line.quantity)


def ship(order, *skus):
    """Send lines on their way, as the warehouse does."""
    handler = get_class("order.processing", "EventHandler")()
    event_type, _ = get_model("order", "ShippingEventType").objects.get_or_create(name="Shipped")
    lines = list(order.lines.filter(upc__in=skus))
    handler.handle_shipping_event(order, event_type, lines, [line.quantity for line in lines])


def a_buyer(email="buyer@example.com", **more):
    users = get_user_model().objects
    return users.create_user(username=email, email=email, password="tea", **more)


def _address():
    return ShippingAddress.objects.create(
        first_name="Ada", last_name="Tee", line1="1 Road", line4="Berlin", postcode="10115",
        country=Country.objects.get(iso_3166_1_a2="DE"),
    )  # fmt: skip
