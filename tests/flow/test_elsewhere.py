"""A shop that does not share our database: called outside any transaction, recorded after."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from upsell import conf, hooks
from upsell.exceptions import ChargeDeclined, OfferNotAcceptable
from upsell.models import (
    Acceptance,
    Attempt,
    Campaign,
    CampaignTrigger,
    GatewayHealth,
    Offer,
    OutboxMessage,
    Refund,
)
from upsell.models.tokens import offer_token
from upsell.ports import ChargeResult, ChargeState, Refused
from upsell.services import (
    accepting,
    attending,
    fulfilling,
    mirroring,
    offering,
    reconciling,
    revoking,
    undoing,
)
from upsell.testing.fakes import FakeGateway, FakeShop

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

CALLS = ("order", "quote", "hold", "release", "apply", "revert", "record_payment")
CALLS += ("withdrawal_until", "withdrawal_made")
ANSWERING = ("charge", "refund")


class Killed(BaseException):
    """The process is gone: nothing of ours catches it."""


class Elsewhere(FakeShop):
    """A shop over the network: it counts the calls, and dies at one of them."""

    shares_database = False

    def __init__(self) -> None:
        super().__init__(shares_database=False)
        self.add_product("washer", "600", stock=10)
        self.add_product("smart", "840", stock=1)
        self.add_product("case", "24", stock=1)
        self.begin()

    def begin(self, dies_at: int = 0, after: bool = False) -> None:
        """Count anew, and die at that call: before it is made, or after."""
        self.dies_at, self.after, self.count = dies_at, after, 0

    def step(self, call, *args, **kwargs):
        """Make one call of the network."""
        assert not connection.in_atomic_block, "a transaction spans the network"
        self.count += 1
        if self.count == self.dies_at and not self.after:
            raise Killed
        answer = call(*args, **kwargs)
        if self.count == self.dies_at:
            raise Killed
        return answer


def counted(name):
    def call(self, *args, **kwargs):
        if self.inside:
            return getattr(FakeShop, name)(self, *args, **kwargs)
        self.inside = True
        try:
            return self.step(getattr(super(Elsewhere, self), name), *args, **kwargs)
        finally:
            self.inside = False

    return call


Elsewhere.inside = False
for name in CALLS:
    setattr(Elsewhere, name, counted(name))


@pytest.fixture
def shop(settings):
    settings.UPSELL_SHOP = "tests.flow.test_elsewhere.Elsewhere"
    settings.UPSELL_GATEWAYS = {"card": "upsell.testing.fakes.FakeGateway"}
    made = conf.shop()
    assert isinstance(made, FakeShop)
    return made


@pytest.fixture
def paid(shop) -> FakeGateway:
    return conf.gateways()["card"]


def campaign(product: str, *, kind: str = "CROSS_SELL") -> None:
    made = Campaign.objects.create(
        name=product,
        slug=product,
        status="LIVE",
        kind=kind,
        channels=["web"],
        product_ref=product,
        not_bought_days=None,
        quantity_rule="MATCH" if kind == "UPSELL" else "FIXED",
    )
    CampaignTrigger.objects.create(campaign=made, kind="PRODUCT", ref="washer")


def offered(shop) -> Offer:
    page = offering.offer_for(order_ref=shop.place(("washer", 1)), now=timezone.now(), show=True)
    assert page is not None
    assert page.offer is not None
    return page.offer


def accept(offer: Offer) -> Offer:
    return accepting.accept(token=offer_token(offer), quote_number=1, trusted=True)


def undo(offer: Offer) -> Offer:
    return undoing.undo(token=offer_token(offer), trusted=True)


def reconciled(shop, paid) -> Offer:
    """Let five minutes pass; money, lines and stock agree."""
    shop.begin()
    for seconds in (31, 95, 301):
        reconciling.reconcile(now=timezone.now() + timedelta(seconds=seconds))
    offer = Offer.objects.get()
    order = shop.placed[offer.order_ref]
    live = Acceptance.objects.filter(reversed_at=None).count()
    assert order.total.gross - 600 == paid.taken(order.ref), "collected is what the order grew by"
    assert (offer.state == "ACCEPTED") == (live == 1) == (order.total.gross > 600)
    assert shop.stock["case"] == 1 - live, "nothing is held for nothing"
    assert not Attempt.objects.unsettled().exists()
    assert not Refund.objects.filter(state="PENDING").exists()
    booked = [row["kind"] for row in shop.payments]
    assert len(booked) == len({(r["kind"], r["reference"]) for r in shop.payments})
    assert booked.count("charge") - booked.count("refund") == live
    return offer


def test_an_upsell_is_accepted_and_undone(shop, paid):
    campaign("smart", kind="UPSELL")
    offer = offered(shop)

    assert accept(offer).state == "ACCEPTED"
    changed = shop.placed[offer.order_ref]
    assert ([row.product.ref for row in changed.lines], changed.total.gross) == (["smart"], 840)
    assert paid.taken(offer.order_ref) == 240

    assert undo(offer).state == "REVERSED"
    back = shop.placed[offer.order_ref]
    assert ([row.product.ref for row in back.lines], back.total.gross) == (["washer"], 600)
    assert paid.taken(offer.order_ref) == 0
    assert shop.stock == {"washer": 10, "smart": 1, "case": 1}


def test_the_last_unit_is_refused_without_a_charge(shop, paid):
    campaign("case")
    offer = offered(shop)
    shop.stock["case"] = 0

    with pytest.raises(OfferNotAcceptable, match="out_of_stock"):
        accept(offer)

    assert Offer.objects.get().state == "FAILED"
    assert paid.requests == []
    assert not Attempt.objects.unsettled().exists()


def test_a_refused_change_gives_money_and_stock_back(shop, paid, monkeypatch):
    campaign("case")
    offer = offered(shop)

    def refuses(*args, **kwargs):
        raise Refused("order_released")

    monkeypatch.setattr(shop, "apply", refuses)

    assert accept(offer).state == "FAILED"
    assert paid.taken(offer.order_ref) == 0
    assert shop.stock["case"] == 1


def test_a_shop_that_says_nothing_is_asked_again(shop, paid, monkeypatch):
    campaign("case")
    offer = offered(shop)

    def silent(*args, **kwargs):
        FakeShop.apply(shop, *args, **kwargs)
        raise ConnectionError("reset by peer")

    with monkeypatch.context() as patched:
        patched.setattr(shop, "apply", silent)
        assert accept(offer).state == "ACCEPTING"

    assert reconciled(shop, paid).state == "ACCEPTED"


def test_after_an_hour_of_silence_staff_are_asked(shop, paid, monkeypatch):
    campaign("case")
    offer = offered(shop)

    def silent(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr(shop, "apply", silent)
    accept(offer)

    for seconds in (31, 91, 301, 901, 3601):
        reconciling.reconcile(now=timezone.now() + timedelta(seconds=seconds))

    assert Offer.objects.get().state == "NEEDS_ATTENTION"


@pytest.mark.parametrize("applies", [False, True], ids=["not changed", "changed"])
def test_after_an_hour_of_silence_staff_give_the_money_back(applies, shop, paid, monkeypatch):
    """Whether the shop changed the order, it does not say; what it changed is changed back."""
    campaign("case")
    offer = offered(shop)

    def silent(*args, **kwargs):
        if applies:
            FakeShop.apply(shop, *args, **kwargs)
        raise ConnectionError("no route")

    with monkeypatch.context() as patched:
        patched.setattr(shop, "apply", silent)
        accept(offer)
        for seconds in (31, 91, 301, 901, 3601):
            reconciling.reconcile(now=timezone.now() + timedelta(seconds=seconds))
        assert attending.give_back(offer_id=offer.pk, actor="staff:1").outcome == "unknown"
        assert Refund.objects.count() == 0

    reconciling.reconcile(now=timezone.now() + timedelta(seconds=4600))

    assert reconciled(shop, paid).state == "FAILED"


@pytest.mark.parametrize("before", ["mirror", "apply"])
def test_given_back_by_staff_while_the_shop_is_asked(before, shop, paid, monkeypatch):
    """One read that it was paid; then the other gives it back; then the first changes the order."""
    campaign("case")
    offer = offered(shop)
    with monkeypatch.context() as patched:
        patched.setattr(paid, "charge", lambda request: lost(FakeGateway.charge(paid, request)))
        patched.setattr(paid, "find", lambda *args: lost(None))
        accept(offer)
        reconciling.reconcile(now=timezone.now() + timedelta(seconds=3601))
    GatewayHealth.objects.update(open_until=None)
    assert Offer.objects.get().state == "NEEDS_ATTENTION"
    owner = {"mirror": mirroring, "apply": shop}[before]
    original = getattr(owner, before)

    def meanwhile(*args, **kwargs):
        monkeypatch.undo()
        attending.give_back(offer_id=offer.pk, actor="staff:2")
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, before, meanwhile)
    attending.ask_again(offer_id=offer.pk, actor="staff:1")

    assert reconciled(shop, paid).state == "FAILED"


def lost(_answer: object) -> ChargeResult:
    return ChargeResult(state=ChargeState.UNKNOWN)


def test_withdrawn_while_the_shop_is_asked_is_given_back(shop, paid, monkeypatch):
    campaign("case")
    offer = offered(shop)

    def withdrawn(*args, **kwargs):
        revoking.revoke(offer_id=offer.pk, reason="withdrawn", actor="staff")
        return FakeShop.apply(shop, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(shop, "apply", withdrawn)
        assert accept(offer).state == "ACCEPTED"

    assert reconciled(shop, paid).state == "REVERSED"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(1, 7))
def test_killed_at_a_call_of_the_shop_while_accepting(shop, paid, call, after):
    """order, quote, hold, order (to charge), apply, record_payment"""
    campaign("case")
    offer = offered(shop)
    shop.begin(call, after)

    with pytest.raises(Killed):
        accept(offer)

    asked = bool(paid.requests)
    assert reconciled(shop, paid).state == ("ACCEPTED" if asked else "SHOWN")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(1, 4))
def test_killed_at_a_call_of_the_shop_while_undoing(shop, paid, call, after):
    """order, revert, record_payment"""
    campaign("case")
    offer = offered(shop)
    accept(offer)
    shop.begin(call, after)

    with pytest.raises(Killed):
        undo(offer)

    assert reconciled(shop, paid).state == "REVERSED"


def test_not_killed_it_makes_just_these_calls(shop, paid):
    campaign("case")
    offer = offered(shop)
    shop.begin()

    accept(offer)
    assert shop.count == 7  # and the order once more: was it invoiced
    shop.begin()
    undo(offer)
    assert shop.count == 3


def test_undo_of_a_packed_order_is_refused_and_stays_accepted(shop, paid):
    campaign("case")
    offer = offered(shop)
    accept(offer)
    shop.change_order(offer.order_ref, released=True)

    with pytest.raises(OfferNotAcceptable, match="order_released"):
        undo(offer)

    reconciling.reconcile()
    assert Offer.objects.get().state == "ACCEPTED"


def test_late_money_of_one_try_leaves_the_stock_of_the_next_held(shop, paid):
    """Both tries hold under the change's own id: what is let go is only what still lives."""
    campaign("case")
    offer = offered(shop)
    paid._outcomes = ["declined", "challenge"]
    with pytest.raises(ChargeDeclined):
        accept(offer)
    assert accept(offer).state == "ACTION_REQUIRED"
    first = Attempt.objects.get(number=1)
    late = ChargeResult(state=ChargeState.CAPTURED, reference="ch_late", amount=first.amount)

    fulfilling.settle(attempt_id=first.pk, result=late)

    assert shop.stock["case"] == 0
    assert Refund.objects.get().attempt == first


def test_a_shop_that_cannot_be_reached_keeps_no_refund_waiting(shop, paid, monkeypatch):
    campaign("case")
    offer = offered(shop)
    accept(offer)

    def silent(*args, **kwargs):
        raise ConnectionError("no route")

    with monkeypatch.context() as patched:
        patched.setattr(shop, "revert", silent)
        with pytest.raises(ConnectionError):
            undo(offer)
        assert reconciling.reconcile() == {"error": 1}

    assert reconciled(shop, paid).state == "REVERSED"


# ------------------------------------------------------------------ withdrawing


@pytest.mark.parametrize("packed", [False, True], ids=["not packed", "packed"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(1, 6))
def test_killed_at_a_call_of_the_shop_while_withdrawing(shop, paid, call, after, packed):
    campaign("case")
    offer = accept(offered(shop))
    shop.change_order(offer.order_ref, released=packed)
    shop.begin(call, after)

    with pytest.raises(Killed):
        hooks.withdraw(order_ref=offer.order_ref, statement="I withdraw.")
    shop.begin()
    reconciling.reconcile(now=timezone.now() + timedelta(minutes=2))
    hooks.withdraw(order_ref=offer.order_ref, statement="I withdraw.")

    offer.refresh_from_db()
    assert offer.state == "REVERSED"
    assert paid.taken(offer.order_ref) == 0
    assert Refund.objects.get().state == "DONE"
    made = hooks.withdrawal_of(order_ref=offer.order_ref)
    assert (made.put_back, made.statement) == (not packed, "I withdraw.")
    assert list(shop.withdrawals.values()) == ([0] if packed else [])
    assert OutboxMessage.objects.filter(kind="WITHDRAWAL").count() == 1


@pytest.mark.parametrize("packed", [False, True], ids=["not packed", "packed"])
def test_not_killed_a_withdrawal_makes_just_these_calls(shop, paid, packed):
    campaign("case")
    offer = accept(offered(shop))
    shop.change_order(offer.order_ref, released=packed)
    shop.begin()

    hooks.withdraw(order_ref=offer.order_ref, statement="I withdraw.")

    assert shop.count == 5


def test_a_shop_that_does_not_answer_a_withdrawal_is_asked_again(shop, paid, monkeypatch):
    """The statement stands from the moment it was made."""
    campaign("case")
    offer = accept(offered(shop))
    shop.change_order(offer.order_ref, released=True)
    with monkeypatch.context() as patch:
        patch.setattr(Elsewhere, "withdrawal_made", lambda *_: 1 / 0)
        made = hooks.withdraw(order_ref=offer.order_ref, statement="I withdraw.")
        reconciling.reconcile()
    offer.refresh_from_db()
    assert (offer.state, made.ours) == ("ACCEPTED", 0)

    reconciling.reconcile()
    offer.refresh_from_db()
    assert offer.state == "REVERSED"
    assert hooks.withdrawal_of(order_ref=offer.order_ref).made_at == made.made_at
