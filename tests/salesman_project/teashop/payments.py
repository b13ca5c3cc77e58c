"""How an order is placed: Salesman leaves this to each payment method."""

from __future__ import annotations

from django.db import transaction
from django.urls import reverse
from salesman.checkout.payment import PaymentError, PaymentMethod

from tests.salesman_project.teashop import stock
from tests.salesman_project.teashop.models import Order, Tea
from upsell import hooks


class Checkout(PaymentMethod):
    paid = False

    def place(self, basket, request):
        """Place the order, all or nothing, and remember in the session whose it is."""
        with transaction.atomic():
            teas = [row for row in basket if isinstance(row.product, Tea)]
            try:
                stock.move({row.product_id: -row.quantity for row in teas})
            except stock.SoldOut as sold_out:
                raise PaymentError(str(sold_out)) from sold_out
            order = Order.objects.create_from_basket(
                basket, request, payment_method=self.identifier
            )
            if self.paid:
                order.pay(order.total, f"order-{order.ref}", self.identifier)
                order.status = order.Status.PROCESSING
                order.save(update_fields=["status"])
            basket.delete()
            hooks.order_placed(order_ref=str(order.pk))
        request.session["order"] = str(order.pk)
        return reverse("thanks")


class Card(Checkout):
    identifier, label, paid = "card", "Card", True

    def basket_payment(self, basket, request):
        return self.place(basket, request)


class Invoice(Checkout):
    identifier, label = "invoice", "Invoice"

    def basket_payment(self, basket, request):
        return self.place(basket, request)
