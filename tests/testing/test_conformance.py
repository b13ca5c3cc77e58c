"""The public suites on every adapter we have, and a proof that they can fail."""

from __future__ import annotations

import threading
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.db import connection

from example_shop import models, orders
from example_shop.adapter import CardGateway, ExampleShop, InvoiceGateway
from example_shop.payfriend import provider
from example_shop.payfriend.gateway import PayfriendGateway
from tests import factories
from upsell import ports
from upsell.ports import Agreed, ChargeResult, ChargeState, CollectionWay, RefundResult, RefundState
from upsell.testing.conformance import GatewayConformance, ShopConformance
from upsell.testing.fakes import FakeGateway, FakeShop


class TestFakeShop(ShopConformance):
    shop_class: type[FakeShop] = FakeShop

    def make_shop(self):
        shop = self.shop_class()
        shop.add_product("pot", "48.00", stock=5)
        shop.add_product("tea", "24.00", stock=9)
        shop.add_product("cup", "7.00")
        shop.add_product("gone", "5.00", stock=0)
        self.shop = shop
        return shop

    def offered(self):
        return "pot"

    def bought(self):
        return "tea", "cup"

    def sold_out(self):
        return "gone"

    def place(self, *lines, discount=Decimal(0)):
        return self.shop.place(*lines, discount=discount)

    def set_cancelled(self, order_ref):
        self.shop.change_order(order_ref, cancelled=True)

    def set_released(self, order_ref):
        self.shop.change_order(order_ref, released=True)

    def set_paid(self, order_ref):
        self.shop.change_order(order_ref, status="paid")

    def stock_of(self, product_ref):
        return self.shop.stock[product_ref]

    def payments_of(self, order_ref):
        return [row for row in self.shop.payments if row["order_ref"] == order_ref]

    def everything(self):
        return dict(self.shop.placed), dict(self.shop.stock), list(self.shop.payments)


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases
class TestExampleShop(ShopConformance):
    def make_shop(self):
        if not models.Product.objects.exists():
            self.products = factories.catalogue()
        self.products = {row.sku: row for row in models.Product.objects.all()}
        return ExampleShop()

    def offered(self):
        return str(self.products["CA"].pk)

    def bought(self):
        return str(self.products["W1"].pk), str(self.products["DT"].pk)

    def sold_out(self):
        return str(self.products["DR"].pk)

    def place(self, *lines, discount=Decimal(0)):
        sku_of = {str(row.pk): row.sku for row in self.products.values()}
        wanted = [(sku_of[ref], quantity) for ref, quantity in lines]
        before = [self.products[sku].price * quantity for sku, quantity in wanted]
        off = ports.allocate(discount, before, "EUR")
        charged = {
            sku: str(gross - less)
            for (sku, _), gross, less in zip(wanted, before, off, strict=True)
        }
        return str(factories.order(self.products, *wanted, charged=charged).pk)

    def set_cancelled(self, order_ref):
        orders.cancel(int(order_ref))

    def set_released(self, order_ref):
        orders.pack(int(order_ref))

    def set_paid(self, order_ref):
        models.Order.objects.filter(pk=order_ref).update(paid=False)

    def stock_of(self, product_ref):
        return models.Product.objects.get(pk=product_ref).stock

    def payments_of(self, order_ref):
        return models.Payment.objects.filter(order=order_ref)

    def everything(self):
        return {
            model: list(model.objects.order_by("pk").values())
            for model in apps.get_app_config("example_shop").get_models()
        }

    def request_of(self, order_ref):
        session = {"order_ref": order_ref} if order_ref else {}
        return SimpleNamespace(session=session, user=AnonymousUser())


# ------------------------------------------------------------------ gateways


class Collecting(GatewayConformance):
    """What the three gateways share: an order of the fake shop."""

    card = "card_ok"

    def order(self):
        shop = FakeShop()
        shop.add_product("tea", "24.00")
        return shop.order(shop.place(("tea", 1), facts={"card": self.card}))


class TestFakeGateway(Collecting):
    gateway_class: type[FakeGateway] = FakeGateway

    def make_gateway(self):
        self.gateway = self.gateway_class()
        return self.gateway

    def spoil(self, request, how):
        self.gateway._outcomes = [how]
        return request

    def taken(self, order_ref):
        return self.gateway.taken(order_ref)


class TestLedgerGateway(Collecting):
    def make_gateway(self):
        return CardGateway()

    def spoil(self, request, how):
        return replace(request, credential=f"card_{how}")

    def taken(self, order_ref):
        return CardGateway().charged(order_ref)


class TestBalanceGateway(Collecting):
    can_refund = False

    def make_gateway(self):
        return InvoiceGateway()


class PayfriendAnywhere(PayfriendGateway):
    """The suite asks from threads of its own, which leave their connections open."""

    def charge(self, request):
        try:
            return super().charge(request)
        finally:
            if threading.current_thread() is not threading.main_thread():
                connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases
class TestPayfriendGateway(GatewayConformance):
    def make_gateway(self):
        return PayfriendAnywhere()

    def order(self):
        placed = factories.order(factories.catalogue(), payment_method="payfriend", card="")
        return ExampleShop().order(str(placed.pk))

    def spoil(self, request, how):
        return request if how == "challenge" else None

    def approve(self, answer):
        provider.answer(answer.reference, approved=True)

    def taken(self, order_ref):
        taken = models.PayfriendPayment.objects.filter(state="taken")
        return sum((row.amount - row.refunded for row in taken), Decimal(0))


# ------------------------------------------------------------------ a proof that they can fail


class LosesACent(FakeShop):
    def apply(self, change, quote, hold=""):
        applied = super().apply(change, quote, hold)
        total = self.placed[change.order_ref].total
        cent = replace(total, gross=total.gross - Decimal("0.01"))
        self.change_order(change.order_ref, total=cent)
        return applied


class AppliesTwice(FakeShop):
    def apply(self, change, quote, hold=""):
        self._done.pop(change.id, None)
        return super().apply(change, self.quote(change), hold)


class ReservesInQuote(FakeShop):
    def quote(self, change):
        quote = super().quote(change)
        self.stock[change.product_ref] -= 1
        return quote


class ChecksNothing(FakeShop):
    def apply(self, change, quote, hold=""):
        return super().apply(change, self.quote(change), hold)


class ChangesPackedOrders(FakeShop):
    def apply(self, change, quote, hold=""):
        self.change_order(change.order_ref, released=False, cancelled=False)
        return super().apply(change, quote, hold)


class CountsTheStatus(FakeShop):
    def order(self, ref):
        found = super().order(ref)
        return replace(found, version=f"{found.version}{found.status}")


class LetsAnybodyAct(FakeShop):
    def may_act(self, request, order_ref):
        return True


class GrantsWhateverItIsAsked(FakeShop):
    def consent(self, who, medium, purpose):
        return Agreed.GRANTED


class ForgetsTheReferences(FakeShop):
    def revert(self, change, applied):
        undone = super().revert(change, applied)
        lines = self.placed[change.order_ref].lines
        fresh = tuple(replace(row, ref=f"{row.ref}-again") for row in lines)
        self.change_order(change.order_ref, lines=fresh)
        return undone


class SellsWhatIsGone(FakeShop):
    def hold(self, change, quote):
        return super().hold(replace(change, stock_policy="IGNORE"), quote)


class BooksTwice(FakeShop):
    def record_payment(self, *booked):
        self.payments.append({"order_ref": booked[0]})


class InventsOrders(FakeShop):
    def order(self, ref):
        return self.placed.get(ref) or next(iter(self.placed.values()), None)


class TouchesOtherLines(FakeShop):
    def apply(self, change, quote, hold=""):
        applied = super().apply(change, quote, hold)
        first, *rest = self.placed[change.order_ref].lines
        self.change_order(change.order_ref, lines=(replace(first, options="!"), *rest))
        return applied


class UsesFloats(FakeShop):
    def quote(self, change):
        quote = super().quote(change)
        due = replace(quote.amount_due, gross=float(quote.amount_due.gross))
        return replace(quote, amount_due=due)


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (LosesACent, "test_apply_charges_what_the_order_grows_by"),
        (AppliesTwice, "test_apply_twice_is_once"),
        (ReservesInQuote, "test_quote_changes_nothing"),
        (ChecksNothing, "test_apply_refuses_what_is_no_longer_as_quoted"),
        (ChangesPackedOrders, "test_apply_refuses_an_order_that_is_gone"),
        (CountsTheStatus, "test_version_does_not_move_with_the_status"),
        (GrantsWhateverItIsAsked, "test_a_yes_to_one_use_is_none_to_another"),
        (LetsAnybodyAct, "test_only_the_session_that_placed_an_order_may_act"),
        (ForgetsTheReferences, "test_revert_gives_the_order_back_as_it_was"),
        (SellsWhatIsGone, "test_hold_refuses_what_is_sold_out"),
        (BooksTwice, "test_a_payment_is_booked_once"),
        (InventsOrders, "test_an_unknown_order_is_not_found"),
        (TouchesOtherLines, "test_append_leaves_every_other_line_as_it_was"),
        (UsesFloats, "test_quote_adds_up"),
    ],
)
def test_the_suite_catches_a_shop_that(broken, test):
    suite = TestFakeShop()
    suite.shop_class = broken

    with pytest.raises((AssertionError, TypeError)):
        getattr(suite, test)()


class ChargesEveryTime(FakeGateway):
    def charge(self, request):
        return super().charge(replace(request, key=f"{request.key}{len(self.requests)}"))


class TrustsLinks(FakeGateway):
    def collection(self, order, amount, currency, *, trusted):
        return super().collection(order, amount, currency, trusted=True)


class GivesBackTwice(FakeGateway):
    def refund(self, reference, amount, currency, key):
        return super().refund(reference, amount, currency, f"{key}{len(self._refunds)}")


class RefundsAnything(FakeGateway):
    def refund(self, reference, amount, currency, key):
        super().refund(reference, amount, currency, key)
        return RefundResult(state=RefundState.REFUNDED, reference="x")


class SaysDeclinedForLost(FakeGateway):
    def charge(self, request):
        answer = super().charge(request)
        lost = answer.state is ChargeState.UNKNOWN
        return ChargeResult(state=ChargeState.DECLINED) if lost else answer


class FindsNothing(FakeGateway):
    def find(self, key, order_ref, since):
        return None


class BelievesAnyWebhook(FakeGateway):
    def parse_webhook(self, request):
        return [("key", ChargeResult(state=ChargeState.CAPTURED))]


class NeverGivesUp(FakeGateway):
    def cancel(self, reference, key):
        return self.answer(reference, paid=True)


class CollectsNothing(FakeGateway):
    def __init__(self):
        super().__init__(how=CollectionWay.NONE)


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (ChargesEveryTime, "test_a_charge_takes_the_amount_once_however_often_it_is_asked"),
        (ChargesEveryTime, "test_twelve_at_once_are_one_charge"),
        (ChargesEveryTime, "test_one_key_never_charges_two_amounts"),
        (TrustsLinks, "test_nobody_who_only_holds_a_link_pays_silently"),
        (GivesBackTwice, "test_a_refund_gives_back_once_and_never_more_than_was_taken"),
        (RefundsAnything, "test_a_refund_of_nothing_is_refused"),
        (SaysDeclinedForLost, "test_a_lost_answer_is_unknown_and_found_by_its_key"),
        (FindsNothing, "test_a_key_is_found_afterwards_and_an_unknown_one_is_nothing"),
        (BelievesAnyWebhook, "test_a_webhook_without_a_signature_is_refused"),
        (NeverGivesUp, "test_a_challenge_says_where_and_can_be_given_up"),
        (CollectsNothing, "test_the_order_s_own_payment_can_collect_more"),
    ],
)
def test_the_suite_catches_a_gateway_that(broken, test):
    suite = TestFakeGateway()
    suite.gateway_class = broken

    with pytest.raises(AssertionError):
        getattr(suite, test)()
