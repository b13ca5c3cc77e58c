"""The contract of a shop, on Salesman; and what is this shop's own in it."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser, User

from tests.salesman_project import shopping
from tests.salesman_project.adapter import TeaShop
from tests.salesman_project.shopping import Shopper, ref
from tests.salesman_project.teashop.models import Order, OrderPayment
from upsell import ports
from upsell.ports import Capability
from upsell.testing.conformance import ShopConformance


@pytest.mark.django_db(transaction=True)
class TestTeaShop(ShopConformance):
    def make_shop(self):
        self.goods = shopping.stock_the_shop()
        return TeaShop()

    def offered(self):
        return ref(self.goods["tin"])

    def bought(self):
        return ref(self.goods["green"]), ref(self.goods["black"])

    def sold_out(self):
        return ref(self.goods["gone"])

    def place(self, *lines, discount=Decimal(0)):
        return str(Shopper().buy(*lines, discount=discount).pk)

    def _move(self, order_ref, status):
        order = Order.objects.get(pk=order_ref)
        order.status = status
        order.save()

    def set_cancelled(self, order_ref):
        self._move(order_ref, "CANCELLED")

    def set_released(self, order_ref):
        self._move(order_ref, "PACKED")

    def set_paid(self, order_ref):
        self._move(order_ref, "CREATED")

    def stock_of(self, product_ref):
        model, key = product_ref.split(":")
        return apps.get_model(model).objects.get(pk=key).stock

    def payments_of(self, order_ref):
        return OrderPayment.objects.filter(order=order_ref).exclude(
            transaction_id__startswith="order-"
        )

    def everything(self):
        models = apps.get_app_config("teashop").get_models()
        return {model: list(model.objects.order_by("pk").values()) for model in models}

    def request_of(self, order_ref):
        session = {"order": order_ref} if order_ref else {}
        return SimpleNamespace(session=session, user=AnonymousUser())


@pytest.mark.parametrize(
    ("member", "told"),
    [pytest.param(False, "80.00", id="a guest"), pytest.param(True, "70.00", id="a member")],
)
def test_a_price_is_the_one_of_this_buyer(goods, member, told):
    goods["tin"].members_price = Decimal(70)
    goods["tin"].save()
    shopper = Shopper()
    if member:
        shopper.force_login(User.objects.create_user("ada"))
    order = TeaShop().order(str(shopper.buy((goods["green"], 1)).pk))

    answer = TeaShop().availability([(ref(goods["tin"]), 1)], order)[ref(goods["tin"])]

    assert answer.unit.gross == Decimal(told)


def test_what_salesman_cannot_say_is_not_claimed():
    cannot = {"TAX", "COUNTRY", "CATEGORIES", "BRANDS", "GROUPS", "RETURNS", "CONSENT", "CART"}
    cannot |= {"SHIPPING_QUOTE", "FULFILMENT_HOLD", "WITHDRAWAL"}

    assert {row.value for row in Capability} - {row.value for row in TeaShop.capabilities} == cannot


def test_an_order_knows_what_salesman_writes_for_people_only(goods):
    placed = Shopper().buy((goods["green"], 1), (goods["black"], 2), discount=Decimal("1.01"))
    order = TeaShop().order(str(placed.pk))

    assert [str(line.total.gross) for line in order.lines] == ["12.11", "19.36"]
    assert str(order.shipping.gross) == "4.90"
    assert order.total.gross == Decimal("36.37") == placed.total
    assert order.shipping_country is None


def test_many_products_cost_one_query_for_each_type(goods, django_assert_num_queries):
    wanted = [ref(row) for row in goods.values()]

    with django_assert_num_queries(2):
        assert len(TeaShop().products(wanted)) == len(goods)


def test_a_product_deleted_since_is_still_a_line(goods):
    placed = Shopper().buy((goods["brewing"], 1))
    goods["brewing"].delete()

    line = TeaShop().order(str(placed.pk)).lines[0]

    assert (line.product.title, line.product.sellable) == ("How to brew", False)
    with pytest.raises(ports.NotFound):
        TeaShop().quote(SimpleNamespace(product_ref=line.product.ref, order_ref=str(placed.pk)))


def test_staff_find_orders_and_ways_to_pay(goods):
    placed = Shopper().buy((goods["green"], 1))

    found = {
        kind: TeaShop().choices(kind, "", 5) for kind in ("order", "payment_method", "channel")
    }

    assert [row.label for row in found["order"]] == [placed.ref]
    assert [row.ref for row in found["payment_method"]] == ["card", "invoice"]
    assert [row.ref for row in found["channel"]] == ["web"]
    newer = Shopper().buy((goods["green"], 1))
    Order.objects.filter(pk=newer.pk).update(ref=f"1{placed.pk}")
    first, second = TeaShop().choices("order", str(placed.pk), 2)
    assert (first.ref, second.ref) == (str(placed.pk), str(newer.pk))
