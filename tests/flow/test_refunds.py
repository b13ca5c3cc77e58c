"""The refund and undo cases of the specification, through the example shop."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.utils import timezone

from example_shop.models import OrderLine, Payment, Product
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered, shape
from upsell import hooks
from upsell.models import Offer, Refund
from upsell.models.tokens import offer_token
from upsell.services import auditing, messaging, offering, reconciling, undoing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


def broken() -> list[str]:
    found = [breach for row in auditing.audit(outside=True) for breach in row.breaches]
    return [str(breach) for breach in [*found, *auditing.whole()]]


@pytest.fixture
def upgraded():
    """A6: paid 540 for W1 with a coupon, 300 more for W2."""
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL")
    placed = order(products, ("W1", 1), ("DT", 1), charged={"W1": "540"})
    before = shape(placed)
    return placed, accept(offered(placed)), before


def test_r1_a_refund_in_full_is_ours_first_and_reverses(upgraded, gateway):
    placed, offer, _ = upgraded

    part = hooks.refund_line(
        order_ref=str(placed.pk), line_ref=offer.acceptance.line_ref, amount=Decimal(840)
    )

    assert (part.ours, part.original) == (300, 540)
    assert gateway.charged(str(placed.pk)) == 0
    assert Offer.objects.get().state == "REVERSED"
    assert Offer.objects.get().acceptance.refunded_net == 250


def test_r2_a_refund_in_part_comes_from_the_add_on_and_leaves_it_accepted(upgraded, gateway):
    placed, offer, _ = upgraded
    line = {"order_ref": str(placed.pk), "line_ref": offer.acceptance.line_ref}

    part = hooks.refund_line(**line, amount=Decimal(100))

    assert (part.ours, part.original) == (100, 0)
    assert gateway.charged(str(placed.pk)) == 200
    offer = Offer.objects.get()
    assert (offer.state, offer.acceptance.refunded_net) == ("ACCEPTED", Decimal("83.33"))
    assert broken() == []

    rest = hooks.refund_line(**line, amount=Decimal(740))

    assert (rest.ours, rest.original) == (200, 540)
    assert gateway.charged(str(placed.pk)) == 0
    assert Offer.objects.get().state == "REVERSED"


def test_no_more_than_the_line_is_refunded(upgraded, gateway):
    placed, offer, _ = upgraded
    line = {"order_ref": str(placed.pk), "line_ref": offer.acceptance.line_ref}
    hooks.refund_line(**line, amount=Decimal(800))

    with pytest.raises(ValueError, match=r"40\.00.* is left of line"):
        hooks.refund_line(**line, amount=Decimal(41))

    assert Refund.objects.count() == 1


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity"])
def test_a_refund_needs_an_amount(upgraded, amount):
    placed, offer, _ = upgraded
    line = {"order_ref": str(placed.pk), "line_ref": offer.acceptance.line_ref}

    with pytest.raises(ValueError, match="must be positive"):
        hooks.refund_line(**line, amount=Decimal(amount))


def test_r3_a_refund_of_the_original_item_leaves_the_add_on(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = accept(offered(placed))
    bought = OrderLine.objects.filter(order=placed).order_by("pk").first()
    assert bought is not None

    part = hooks.refund_line(order_ref=str(placed.pk), line_ref=str(bought.pk), amount=Decimal(600))

    assert (part.ours, part.original) == (0, 600)
    offer.refresh_from_db()
    assert offer.state == "ACCEPTED"
    assert gateway.charged(str(placed.pk)) == 24


def test_what_is_on_the_open_invoice_is_the_hosts_to_give_back():
    products = catalogue()
    campaign(products["CA"])
    placed = order(products, payment_method="invoice", card="", paid=False)
    offer = accept(offered(placed))

    part = hooks.refund_line(
        order_ref=str(placed.pk), line_ref=offer.acceptance.line_ref, amount=Decimal(24)
    )

    assert (part.ours, part.original) == (0, 24)
    assert Offer.objects.get().state == "REVERSED"
    assert Refund.objects.count() == 0


def test_r5_undo_gives_the_line_back_with_its_coupon_share(upgraded, gateway):
    placed, offer, before = upgraded
    messaging.send_due()
    mail.outbox.clear()

    undoing.undo(token=offer_token(offer), trusted=True)
    messaging.send_due()

    assert shape(placed) == before
    bought = OrderLine.objects.get(order=placed, product__sku="W1")
    assert (bought.total_gross, bought.coupon_gross) == (540, 60)
    assert gateway.charged(str(placed.pk)) == 0
    assert [row.amount for row in Refund.objects.all()] == [300]
    assert Product.objects.get(sku="W2").stock == 5
    assert len(mail.outbox) == 1
    assert broken() == []


def test_r7_undo_on_an_open_invoice_lowers_the_total_and_calls_no_provider(gateway):
    products = catalogue()
    campaign(products["CA"])
    placed = order(products, payment_method="invoice", card="", paid=False)
    offer = accept(offered(placed))

    undoing.undo(token=offer_token(offer), trusted=True)

    placed.refresh_from_db()
    assert placed.total_gross == 600
    assert Refund.objects.count() == 0
    assert gateway.charges(str(placed.pk)) == []
    assert broken() == []


def test_r8_nothing_follows_an_undone_offer():
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    offer = accept(offered(placed))
    undoing.undo(token=offer_token(offer), trusted=True)
    campaign(products["DT"], priority=99)

    page = offering.offer_for(order_ref=str(placed.pk), now=timezone.now(), show=True)

    assert page is not None
    assert (page.offer, page.offer and page.offer.state) == (offer, "REVERSED")
    assert Offer.objects.count() == 1


def test_a_lost_refund_is_asked_again_and_given_once(upgraded, gateway, monkeypatch):
    placed, offer, _ = upgraded

    def lost(*args, **kwargs):
        type(gateway).__mro__[1].refund(gateway, *args, **kwargs)
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(type(gateway), "refund", lambda self, *args: lost(*args))
        hooks.refund_line(
            order_ref=str(placed.pk), line_ref=offer.acceptance.line_ref, amount=Decimal(100)
        )
    assert Refund.objects.get().state == "PENDING"

    reconciling.reconcile(now=timezone.now() + timedelta(seconds=61))

    assert Refund.objects.get().state == "DONE"
    assert gateway.charged(str(placed.pk)) == 200
    assert Payment.objects.filter(order=placed, kind="refund").count() == 1
    assert broken() == []
