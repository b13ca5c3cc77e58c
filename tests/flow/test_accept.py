"""The accept and undo cases of the specification, through the example shop."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.utils import timezone

from example_shop.models import Order, OrderLine, Payment, Product
from tests.factories import campaign, catalogue, order
from upsell.exceptions import (
    ChargeDeclined,
    NotFound,
    OfferNotAcceptable,
    OfferNotFound,
    Refused,
)
from upsell.models import Acceptance, Attempt, Offer, OfferEvent, Refund
from upsell.models.tokens import offer_token, undo_token
from upsell.services import (
    accepting,
    declining,
    expiring,
    hearing,
    messaging,
    offering,
    reconciling,
    revoking,
    undoing,
)
from upsell.services.refunding import split
from upsell.testing.gateway import LedgerGateway

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


def offered(placed: Order) -> Offer:
    page = offering.offer_for(order_ref=str(placed.pk), now=timezone.now(), show=True)
    assert page is not None
    assert page.offer is not None, page.decision and page.decision.candidates
    return page.offer


def accept(offer: Offer, **options) -> Offer:
    options = {"quote_number": offer.quote_number, "trusted": True} | options
    return accepting.accept(token=offer_token(offer), **options)


def shape(placed: Order) -> dict:
    """Everything of an order that an undo must give back."""
    placed.refresh_from_db()
    return {
        "totals": (placed.total_net, placed.total_gross),
        "lines": list(OrderLine.objects.filter(order=placed).order_by("pk").values()),
        "stock": dict(Product.objects.values_list("sku", "stock")),
    }


def test_a2_a_saved_card_is_charged_then_the_line_is_added(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)

    offer = accept(offered(placed))

    placed.refresh_from_db()
    assert offer.state == "ACCEPTED"
    assert placed.total_gross == Decimal("624")
    assert gateway.charged(str(placed.pk)) == Decimal("24")
    assert Payment.objects.get().amount == Decimal("24")
    assert Product.objects.get(sku="CA").stock == 19


def test_a1_an_open_invoice_grows_and_one_mail_says_so(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products, payment_method="invoice", card="", paid=False)

    accept(offered(placed))
    messaging.send_due()
    messaging.send_due()

    placed.refresh_from_db()
    assert placed.total_gross == Decimal("624")
    assert gateway.charged(str(placed.pk)) == 0
    assert len(mail.outbox) == 1
    for words in ("24.00", "624.00", "added to your invoice"):
        assert words in mail.outbox[0].body


@pytest.mark.parametrize(
    ("card", "state"),
    [pytest.param("card_declined", "SHOWN", id="A3 declined")],
)
def test_a3_a_declined_charge_leaves_the_order_and_ends_after_two(card, state, gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products, card=card)
    before = shape(placed)
    offer = offered(placed)

    with pytest.raises(ChargeDeclined):
        accept(offer)
    offer.refresh_from_db()
    assert (offer.state, offer.attempts_made) == (state, 1)
    with pytest.raises(ChargeDeclined):
        accept(offer)

    offer.refresh_from_db()
    assert offer.state == "FAILED"
    assert offer.failure_code == "payment_declined"
    assert shape(placed) == before


@pytest.mark.parametrize(
    ("lines", "paid", "rule", "due", "net"),
    [
        pytest.param((("W1", 1),), {}, "MATCH", "240", "200", id="A5 list"),
        pytest.param((("W1", 1),), {"W1": "540"}, "MATCH", "300", "250", id="A6 coupon"),
        pytest.param((("W1", 2),), {}, "MATCH", "480", "400", id="A8 match"),
        pytest.param((("W1", 2),), {}, "ONE", "240", "200", id="A8 one"),
        pytest.param(
            (("W1", 1), ("DT", 1)),
            {"W1": "550.98", "DT": "11.02"},
            "MATCH",
            "289.02",
            "240.85",
            id="A9 allocated",
        ),
    ],
)
def test_an_upsell_charges_the_difference_and_undo_gives_it_back(
    lines, paid, rule, due, net, gateway
):
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL", quantity_rule=rule)
    placed = order(products, *lines, charged=paid)
    before = shape(placed)

    offer = accept(offered(placed))

    after = shape(placed)
    assert offer.acceptance.quote.due_gross == Decimal(due)
    assert offer.acceptance.quote.due_net == Decimal(net)
    assert after["totals"][1] - before["totals"][1] == Decimal(due)
    assert gateway.charged(str(placed.pk)) == Decimal(due)

    undone = undoing.undo(token=undo_token(offer), trusted=False)
    again = undoing.undo(token=undo_token(offer), trusted=False)

    assert undone.state == again.state == "REVERSED"
    assert shape(placed) == before
    assert gateway.charged(str(placed.pk)) == 0
    assert Refund.objects.get().state == "DONE"


def test_a16_and_i9_accepting_again_changes_nothing(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = offered(placed)
    accept(offer)
    once = shape(placed)

    again = accept(offer)

    assert again.state == "ACCEPTED"
    assert shape(placed) == once
    assert gateway.charged(str(placed.pk)) == Decimal("24")


def test_a22_a_new_list_price_does_not_change_a_promise(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = offered(placed)
    Product.objects.filter(sku="CA").update(price="30")

    accept(offer)

    assert gateway.charged(str(placed.pk)) == Decimal("24")


def test_a30_a_released_order_is_refused_without_a_charge(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = offered(placed)
    Order.objects.update(released=True)

    with pytest.raises(OfferNotAcceptable) as refused:
        accept(offer)

    assert refused.value.code == "order_released"
    assert gateway.charged(str(placed.pk)) == 0


def test_a33_a_lost_answer_is_found_and_applied_once(gateway, settings):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products, card="card_lost")
    offer = accept(offered(placed))
    # The same key answers the second time it is sent: the charge was made.
    assert offer.state == "ACCEPTED"
    assert gateway.charged(str(placed.pk)) == Decimal("24")
    assert len(gateway.charges(str(placed.pk))) == 1


def test_f26_no_charge_is_believed_when_absent_twice_a_minute_apart(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products, card="card_hang")
    before = shape(placed)
    offer = accept(offered(placed))
    assert offer.state == "ACCEPTING"
    now = timezone.now()

    first = reconciling.reconcile(now=now + timedelta(seconds=31))
    second = reconciling.reconcile(now=now + timedelta(seconds=95))

    offer.refresh_from_db()
    assert first == {"absent_once": 1}
    assert second == {"shown": 1}
    assert offer.state == "SHOWN"
    assert shape(placed) == before


@pytest.mark.parametrize(
    ("paid", "state"),
    [
        pytest.param(True, "ACCEPTED", id="A31 done"),
        pytest.param(False, "SHOWN", id="A31 cancelled"),
    ],
)
def test_a31_a_challenge(paid, state, gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products, card="card_challenge")
    offer = accept(offered(placed))
    assert offer.state == "ACTION_REQUIRED"
    gateway.answer_challenge(offer.live_attempt.reference, paid=paid)

    reconciling.reconcile(now=timezone.now() + timedelta(seconds=31))

    offer.refresh_from_db()
    assert offer.state == state
    assert gateway.charged(str(placed.pk)) == (Decimal("24") if paid else 0)


def test_a31_a_challenge_nobody_returns_from_expires_and_stock_is_back(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products, card="card_challenge")
    before = shape(placed)
    offer = accept(offered(placed))

    reconciling.reconcile(now=timezone.now() + timedelta(minutes=16))

    offer.refresh_from_db()
    assert offer.state == "EXPIRED"
    assert shape(placed) == before


@pytest.mark.parametrize(
    ("card", "state", "charged"),
    [
        pytest.param("card_ok", "FAILED", "0", id="A34 refunded"),
        pytest.param("card_refund_refused", "NEEDS_ATTENTION", "24", id="A34 refund fails too"),
    ],
)
def test_a34_when_the_line_cannot_be_added_the_money_goes_back(
    card, state, charged, gateway, monkeypatch
):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products, card=card)
    before = shape(placed)
    offer = offered(placed)

    def broken(self, change, quote, hold=""):
        raise RuntimeError("the shop is on fire")

    monkeypatch.setattr("example_shop.adapter.ExampleShop.apply", broken)

    accept(offer)

    offer.refresh_from_db()
    assert offer.state == state
    assert gateway.charged(str(placed.pk)) == Decimal(charged)
    assert shape(placed)["lines"] == before["lines"]


def test_a34_what_staff_were_told_of_stays_theirs_however_often_the_provider_repeats_it(
    gateway, monkeypatch
):
    """Charged, not applied, not given back: a report that says so again begins nothing anew."""
    products = catalogue()
    campaign(products["CA"])
    offer = offered(order(products, card="card_refund_refused"))

    def broken(self, change, quote, hold=""):
        raise RuntimeError("the shop is on fire")

    with monkeypatch.context() as patch:
        patch.setattr("example_shop.adapter.ExampleShop.apply", broken)
        accept(offer)
    attempt = Attempt.objects.get()
    again = [(attempt.key, gateway.resume(attempt.reference or ""))]

    for _ in range(2):
        hearing.hear(gateway_slug="card", results=again)

    offer.refresh_from_db()
    assert (offer.state, offer.failure_code) == ("NEEDS_ATTENTION", "refund_refused")
    assert Attempt.objects.get().state == "NEEDS_ATTENTION"
    assert Refund.objects.get().state == "REFUSED"


def test_f30_another_amount_than_asked_is_never_accepted(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products, card="card_wrong_amount")
    before = shape(placed)

    offer = accept(offered(placed))

    offer.refresh_from_db()
    assert (offer.state, offer.failure_code) == ("FAILED", "amount_mismatch")
    assert [row.amount for row in Refund.objects.all()] == [25]
    assert gateway.charged(str(placed.pk)) == 0
    assert shape(placed) == before


def test_a42_who_only_holds_the_link_cannot_charge_a_saved_card(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = offered(placed)

    with pytest.raises(OfferNotAcceptable) as refused:
        accept(offer, trusted=False)

    assert refused.value.code == "login_required"
    assert gateway.charged(str(placed.pk)) == 0


def test_the_last_unit_goes_to_one_of_two_buyers(gateway):
    products = catalogue()
    Product.objects.filter(sku="CA").update(stock=1)
    campaign(products["CA"])
    first, second = order(products), order(products)
    offers = offered(first), offered(second)

    accept(offers[0])
    with pytest.raises(OfferNotAcceptable) as refused:
        accept(offers[1])

    offers[1].refresh_from_db()
    assert refused.value.code == offers[1].failure_code == "out_of_stock"
    assert offers[1].state == "FAILED"
    assert gateway.charged(str(second.pk)) == 0


def test_decline_is_taken_once_and_ends_it():
    products = catalogue()
    campaign(products["CA"])
    offer = offered(order(products))

    declining.decline(token=offer_token(offer))
    again = declining.decline(token=offer_token(offer))

    assert again.state == "DECLINED"
    assert OfferEvent.objects.filter(offer=offer, kind="declined").count() == 1
    with pytest.raises(OfferNotAcceptable, match="declined"):
        accept(offer)


def test_s48_nothing_follows_a_declined_offer():
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = offered(placed)
    declining.decline(token=offer_token(offer))
    campaign(products["DT"], priority=99)

    page = offering.offer_for(order_ref=str(placed.pk), now=timezone.now(), show=True)

    assert page is not None
    assert page.offer == offer
    assert Offer.objects.count() == 1


def test_an_expired_offer_is_closed_by_accept_and_by_the_sweep():
    products = catalogue()
    campaign(products["CA"])
    now = timezone.now()
    one = offered(order(products, placed_at=now - timedelta(minutes=10)))
    two = offered(order(products, placed_at=now - timedelta(minutes=10)))
    past = now - timedelta(seconds=1)
    Offer.objects.update(created_at=past - timedelta(minutes=30), expires_at=past)

    with pytest.raises(OfferNotAcceptable, match="expired"):
        accept(one)
    expiring.expire_due()

    assert set(Offer.objects.values_list("state", flat=True)) == {"EXPIRED"}
    assert two.pk != one.pk


def test_a_cancelled_order_takes_its_offer_back_and_refunds_it(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = accept(offered(placed))
    Order.objects.update(cancelled=True)

    revoking.order_changed(order_ref=str(placed.pk))

    offer.refresh_from_db()
    assert offer.state == "REVERSED"
    assert gateway.charged(str(placed.pk)) == 0


@pytest.mark.parametrize("late", [pytest.param(False, id="in time"), pytest.param(True, id="late")])
@pytest.mark.parametrize("gone", ["cancelled", "refunded"])
def test_undo_gives_the_money_of_an_order_back_that_is_gone(gone, late, gateway):
    """The shop told nobody, and has dealt with its lines and stock itself."""
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = accept(offered(placed))
    Order.objects.update(**{gone: True})
    if late:
        Acceptance.objects.update(undo_until=timezone.now())
    before = shape(placed)

    undone = undoing.undo(token=undo_token(offer), trusted=False)

    assert undone.state == "REVERSED"
    assert OfferEvent.objects.get(after="REVERSED").reason == f"order_{gone}"
    assert gateway.charged(str(placed.pk)) == 0
    assert shape(placed) == before


def test_r1_and_r2_split_a_refund_ours_first():
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL")
    placed = order(products, charged={"W1": "540"})
    offer = accept(offered(placed))
    line = offer.acceptance.line_ref

    whole = split(str(placed.pk), line, Decimal("840"))
    part = split(str(placed.pk), line, Decimal("100"))

    assert (whole.ours, whole.original) == (Decimal("300"), Decimal("540"))
    assert (part.ours, part.original) == (Decimal("100"), Decimal("0"))


def test_f11_an_unknown_token_is_not_found():
    with pytest.raises(OfferNotFound):
        accepting.accept(token="forged", quote_number=1, trusted=True)


def test_a_stale_quote_number_is_asked_again():
    products = catalogue()
    campaign(products["CA"])
    offer = offered(order(products))

    with pytest.raises(OfferNotAcceptable) as refused:
        accept(offer, quote_number=7)

    assert refused.value.code == "quote_changed"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_gateway_that_raises_has_perhaps_charged(when, gateway, monkeypatch):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = offered(placed)
    charge = LedgerGateway.charge

    def raises(self, request):
        if when == "after":
            charge(self, request)
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(LedgerGateway, "charge", raises)
        assert accept(offer).state == "ACCEPTING"
    for seconds in (31, 91, 300):
        reconciling.reconcile(now=timezone.now() + timedelta(seconds=seconds))

    offer.refresh_from_db()
    placed.refresh_from_db()
    assert (offer.state, placed.total_gross) == {
        "before": ("SHOWN", Decimal(600)),
        "after": ("ACCEPTED", Decimal(624)),
    }[when]


def test_a_gateway_that_raises_at_a_refund_is_asked_again(gateway, monkeypatch):
    products = catalogue()
    campaign(products["CA"])
    offer = accept(offered(order(products)))

    def raises(self, *args):
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(LedgerGateway, "refund", raises)
        undoing.undo(token=undo_token(offer), trusted=False)
    assert Refund.objects.get().state == "PENDING"

    reconciling.reconcile(now=timezone.now() + timedelta(minutes=2))

    assert Refund.objects.get().state == "DONE"
    assert gateway.charged(offer.order_ref) == 0


@pytest.mark.parametrize(
    ("refuses", "code", "state"),
    [
        pytest.param(NotFound("no product 7"), "product_unavailable", "FAILED", id="deleted"),
        pytest.param(Refused("out_of_stock"), "out_of_stock", "FAILED", id="sold out"),
        pytest.param(Refused("order_changed"), "order_changed", "SHOWN", id="a line changed"),
    ],
)
def test_what_the_shop_will_not_quote_is_refused_by_its_reason(
    refuses, code, state, gateway, monkeypatch
):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    before, offer = shape(placed), offered(placed)

    def refused(self, change):
        raise refuses

    monkeypatch.setattr("example_shop.adapter.ExampleShop.quote", refused)

    with pytest.raises(OfferNotAcceptable) as answer:
        accept(offer)

    offer.refresh_from_db()
    assert (answer.value.code, offer.state) == (code, state)
    assert shape(placed) == before
    assert gateway.charged(str(placed.pk)) == 0
