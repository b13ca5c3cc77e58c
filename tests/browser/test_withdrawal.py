"""Withdrawing from what was added, at a real browser: two steps, a receipt, for everybody."""

from __future__ import annotations

import pytest

from example_shop import orders
from example_shop.models import Order
from tests.browser import states
from tests.browser.shopper import Shopper
from tests.browser.test_buying import WITH_AND_WITHOUT
from tests.browser.test_looks import looked_at
from upsell.models import Offer


def at_the_order(buyer: Shopper) -> None:
    states.accepted(buyer)
    buyer.offer.get_by_role("heading").wait_for()
    buyer.opens(f"/order/{buyer.order.pk}/")


@WITH_AND_WITHOUT
def test_a_guest_withdraws_after_delivery(shopper, gateway, script):
    buyer = shopper(script=script)
    at_the_order(buyer)
    orders.ship(buyer.order.pk)
    page = buyer.page

    buyer.presses("Withdraw from contract here")
    page.get_by_label("Reason").fill("Too loud")
    buyer.presses("Go on")
    page.get_by_text("Reason: Too loud").wait_for()
    buyer.presses("Change the statement")
    assert page.get_by_label("Reason").input_value() == "Too loud"
    buyer.presses("Go on")
    assert Offer.objects.get().state == "ACCEPTED"
    buyer.presses("Confirm withdrawal")

    page.get_by_role("heading", name="We have received your withdrawal").wait_for()
    page.get_by_text("€600.00").wait_for()
    assert (Offer.objects.get().state, gateway.charged(str(buyer.order.pk))) == ("REVERSED", 0)
    page.go_back()
    if page.get_by_role("button", name="Confirm withdrawal").count():
        buyer.presses("Confirm withdrawal")
        page.get_by_role("heading", name="We have received your withdrawal").wait_for()
    assert gateway.charged(str(buyer.order.pk)) == 0


@pytest.mark.parametrize(
    "look",
    [pytest.param((320, "light", "ltr"), id="320 light"),
     pytest.param((1280, "dark", "ltr"), id="1280 dark")],
)  # fmt: skip
def test_its_pages_are_for_everybody(shopper, axe, look):
    buyer = shopper(width=look[0], scheme=look[1])
    wrong = {}

    def look_at(name: str) -> None:
        wrong[name] = looked_at(buyer, axe, *look)

    at_the_order(buyer)
    look_at("the order, with the link")
    buyer.presses("Withdraw from contract here")
    look_at("step 1")
    buyer.page.get_by_label("Your name").fill("")
    buyer.presses("Go on")
    buyer.page.get_by_text("Please give the name").wait_for()
    look_at("step 1, with a mistake")
    buyer.page.get_by_label("Your name").fill("Ada Byron")
    buyer.presses("Go on")
    buyer.page.get_by_role("heading", name="Confirm withdrawal").wait_for()
    look_at("step 2")
    buyer.presses("Confirm withdrawal")
    buyer.page.get_by_role("heading", name="We have received your withdrawal").wait_for()
    look_at("the receipt")
    buyer.opens(f"/order/{buyer.order.pk}/")
    look_at("the order, withdrawn from")
    Order.objects.update(cancelled=True)
    Offer.objects.update(state="REVOKED")
    buyer.opens(f"/order/{buyer.order.pk}/withdraw/")
    look_at("nothing to withdraw from")

    assert {name: found for name, found in wrong.items() if found} == {}
