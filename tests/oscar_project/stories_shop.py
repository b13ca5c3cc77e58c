"""The contract of a shop, on Oscar."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.contrib.sites.models import Site

from tests.oscar_project import stocking
from upsell import snapshots
from upsell.contrib.oscar.adapter import OscarShop
from upsell.testing.conformance import ShopConformance


@pytest.mark.django_db(transaction=True)
class TestOscarShop(ShopConformance):
    def make_shop(self):
        snapshots.forget()
        Site.objects.get_or_create(pk=1, defaults={"domain": "testserver", "name": "Tea"})
        self.products = stocking.stock_the_shop()
        self.skus = {str(row.pk): sku for sku, row in self.products.items()}
        return OscarShop()

    def offered(self):
        return str(self.products["POT"].pk)

    def bought(self):
        return str(self.products["TEA"].pk), str(self.products["CUP"].pk)

    def sold_out(self):
        return str(self.products["GONE"].pk)

    def place(self, *lines, discount=Decimal(0)):
        wanted = [(self.skus[ref], quantity) for ref, quantity in lines]
        return str(stocking.place(*wanted, discount=discount).pk)

    def set_cancelled(self, order_ref):
        stocking.Order.objects.get(pk=order_ref).set_status("Cancelled")

    def set_released(self, order_ref):
        order = stocking.Order.objects.get(pk=order_ref)
        stocking.ship(order, *order.lines.values_list("upc", flat=True))

    def set_paid(self, order_ref):
        stocking.Order.objects.get(pk=order_ref).set_status("Being processed")

    def stock_of(self, product_ref):
        record = stocking.Product.objects.get(pk=product_ref).stockrecords.get()
        return record.net_stock_level

    def payments_of(self, order_ref):
        events = stocking.PaymentEvent.objects.filter(order=order_ref)
        return events.exclude(reference__startswith="T")

    def everything(self):
        names = ("order", "basket", "partner", "payment", "catalogue", "offer", "upsell_oscar")
        return {
            model: list(model.objects.order_by("pk").values())
            for name in names
            for model in apps.get_app_config(name).get_models()
            if model._meta.managed
        }

    def request_of(self, order_ref):
        session = {"checkout_order_id": int(order_ref)} if order_ref else {}
        return SimpleNamespace(session=session, user=AnonymousUser())
