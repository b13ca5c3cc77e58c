"""Payfriend at a real browser: the order is approved on its page, and then the offer."""

from __future__ import annotations

from decimal import Decimal

import pytest

from example_shop.models import Order, PayfriendPayment
from tests.browser.shopper import Shopper
from tests.browser.test_buying import WITH_AND_WITHOUT


def taken() -> list[Decimal]:
    return [row.amount for row in PayfriendPayment.objects.filter(state="taken").order_by("pk")]


def at_payfriend(buyer: Shopper) -> None:
    """Fill in the checkout and choose Payfriend."""
    page = buyer.page
    buyer.opens(f"/product/{buyer.products['wash7'].pk}/")
    buyer.presses("Put in basket")
    buyer.presses("To checkout")
    for label, words in (
        ("E-mail", "ada@example.org"),
        ("Full name", "Ada"),
        ("Address", "Street 1"),
    ):
        page.get_by_label(label).fill(words)
    page.get_by_text("Payfriend, you approve on its page").click()
    buyer.presses("Order and pay")
    page.get_by_role("heading", name="€600.00").wait_for()


@WITH_AND_WITHOUT
def test_an_order_and_its_offer_are_approved_and_undone(shopper, script):
    buyer = shopper(script=script)
    page = buyer.page
    at_payfriend(buyer)
    buyer.presses("Approve payment")
    page.get_by_text("It is paid with Payfriend").wait_for()
    page.get_by_text("paid with Payfriend, on the next page").wait_for()
    buyer.order = Order.objects.get()

    buyer.presses("Continue to pay €240.00")
    page.get_by_role("heading", name="€240.00").wait_for()
    page.get_by_text(f"Addition to order {buyer.order.number}").wait_for()
    assert taken() == [600]
    buyer.presses("Approve payment")
    if not script:
        buyer.presses("Go on")

    page.get_by_role("heading", name="WashPro 9 Smart is in your order").wait_for()
    assert (buyer.total, taken()) == (840, [600, 240])
    buyer.presses("Undo until")
    page.get_by_role("heading", name="Undone: your order is as it was").wait_for()
    assert (buyer.total, sum(PayfriendPayment.objects.values_list("refunded", flat=True))) == (
        600,
        240,
    )


def test_the_back_button_of_payfriend_leads_to_the_thank_you_page(shopper):
    buyer = shopper()
    buyer.buys("wash7", payment_method="payfriend")
    buyer.thanks()
    buyer.presses("Continue to pay €240.00")
    buyer.page.get_by_role("button", name="Approve payment").wait_for()

    buyer.page.go_back()

    buyer.page.get_by_role("heading", name="Payfriend asks you to approve").wait_for()
    assert buyer.page.url.endswith("/thanks/")


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without a script"])
def test_whoever_cancels_reads_that_nothing_happened_and_still_has_the_basket(shopper, script):
    buyer = shopper(script=script)
    at_payfriend(buyer)

    buyer.presses("Cancel and return")

    buyer.page.get_by_text("Nothing was ordered or charged").wait_for()
    buyer.presses("Back to checkout")
    buyer.page.get_by_role("heading", name="Checkout").wait_for()
    assert (Order.objects.count(), taken()) == (0, [])
