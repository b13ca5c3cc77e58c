"""What changes the total of a basket: a voucher, and delivery of what is sent."""

from __future__ import annotations

from decimal import Decimal

from salesman.basket.modifiers import BasketModifier

from tests.salesman_project.teashop.models import Tea, VoucherCode


class Voucher(BasketModifier):
    identifier = "voucher"

    def process_basket(self, basket, request):
        row = VoucherCode.objects.filter(code=basket.extra.get("voucher", "")).first()
        if row is not None:
            amount = -min(row.amount, basket.subtotal)
            self.add_extra_row(basket, request, label="Voucher", amount=amount)


class Shipping(BasketModifier):
    identifier = "shipping"

    def process_basket(self, basket, request):
        if any(isinstance(item.product, Tea) for item in basket.get_items()):
            self.add_extra_row(basket, request, label="Delivery", amount=Decimal("4.90"))
