"""What a buyer does, at a real browser: with a script and without, with a mouse and with keys."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.template import Context, Template

from example_shop.middleware import POLICY
from example_shop.models import Order
from tests.browser import states
from tests.browser.shopper import Shopper
from upsell.models import Attempt
from upsell.ports import ChargeResult, ChargeState
from upsell.services import hearing
from upsell.testing.gateway import LedgerGateway

WITH_AND_WITHOUT = pytest.mark.parametrize(
    "script", [pytest.param(True, id="with a script"), pytest.param(False, id="without a script")]
)


def charges(shopper: Shopper, gateway: LedgerGateway) -> list[Decimal]:
    """Return what was really taken for the order, charge by charge."""
    return [
        Decimal(row["amount"])
        for row in gateway.charges(str(shopper.order.pk))
        if row["state"] == "CAPTURED"
    ]


@WITH_AND_WITHOUT
def test_a_guest_buys_accepts_and_undoes(shopper, gateway, script):
    buyer = shopper(script=script)
    page = buyer.page
    buyer.opens(f"/product/{buyer.products['wash7'].pk}/")
    page.get_by_role("button", name="Put in basket").click()
    page.get_by_role("link", name="To checkout").click()
    for label, words in (
        ("E-mail", "ada@example.org"),
        ("Full name", "Ada"),
        ("Address", "Street 1"),
    ):
        page.get_by_label(label).fill(words)
    page.get_by_role("button", name="Order and pay €600.00").click()
    page.get_by_text("You pay now €240.00").wait_for()
    buyer.order = Order.objects.get()

    page.get_by_role("button", name="Pay €240.00 now").click()
    page.get_by_role("heading", name="WashPro 9 Smart is in your order").wait_for()
    assert buyer.total == 840
    assert charges(buyer, gateway) == [Decimal("240")]

    page.get_by_role("button", name="Undo until").click()
    page.get_by_role("heading", name="Undone: your order is as it was").wait_for()
    assert buyer.total == 600
    assert gateway.charged(str(buyer.order.pk)) == 0


@WITH_AND_WITHOUT
def test_a_no_is_thanked_for_and_gone_on_reload(shopper, gateway, script):
    buyer = shopper(script=script)
    states.declined(buyer)
    buyer.page.get_by_role("heading", name="Thank you, your order stays as it is").wait_for()

    buyer.thanks()

    assert buyer.offer.count() == 0
    assert (buyer.total, charges(buyer, gateway)) == (749, [])


@WITH_AND_WITHOUT
@pytest.mark.parametrize(
    ("answer", "told", "total", "charged"),
    [
        pytest.param(
            "Confirm the payment",
            "Memory card, 128 GB is in your order",
            Decimal("781"),
            [Decimal("32")],
            id="paid",
        ),
        pytest.param("Refuse", "Your card was refused", Decimal("749"), [], id="given up"),
    ],
)
def test_the_bank_asks_and_is_answered(shopper, gateway, script, answer, told, total, charged):
    buyer = shopper(script=script)
    states.challenge(buyer)
    buyer.page.get_by_role("link", name="Go to your bank").click()

    buyer.page.get_by_role("button", name=answer).click()
    if not script:
        buyer.page.get_by_role("button", name="Go on").click()

    buyer.offer.get_by_text(told).wait_for()
    assert (buyer.total, charges(buyer, gateway)) == (total, charged)


@WITH_AND_WITHOUT
def test_a_refused_card_may_try_once_more_and_changes_nothing(shopper, gateway, script):
    buyer = shopper(script=script)
    states.refused(buyer)
    buyer.page.get_by_role("alert").get_by_text("Your card was refused.").wait_for()
    assert buyer.offer.get_by_role("button").count() == 2

    buyer.accepts()

    buyer.page.get_by_role("heading", name="Your card was refused").wait_for()
    assert buyer.offer.get_by_role("button").count() == 0
    assert (buyer.total, charges(buyer, gateway)) == (600, [])


@WITH_AND_WITHOUT
def test_a_double_click_charges_once(shopper, gateway, script):
    buyer = shopper(script=script)
    states.upsell(buyer)
    posted = []
    buyer.page.on("request", lambda request: request.method == "POST" and posted.append(request))

    buyer.offer.locator("button[value=accept]").dblclick()
    buyer.page.get_by_role("heading", name="WashPro 9 Smart is in your order").wait_for()

    assert charges(buyer, gateway) == [Decimal("240")]
    assert buyer.total == 840
    assert Attempt.objects.count() == 1
    if script:
        assert len(posted) == 1


@pytest.mark.parametrize("cached", [False, True], ids=["on the page", "fetched into a cached page"])
def test_while_the_answer_is_awaited_it_says_so_and_takes_no_second_one(shopper, cached):
    buyer = shopper()
    states.upsell(buyer)
    if cached:
        opens_a_cached_page(buyer)
        buyer.offer.wait_for()
    # The browser never leaves for the answer; what would be sent is counted after our script.
    buyer.page.evaluate(
        """() => { window.sent = 0; addEventListener("submit", (event) => {
             window.sent += !event.defaultPrevented; event.preventDefault(); }) }"""
    )

    buyer.accepts()
    for answer in ("accept", "decline"):
        buyer.offer.locator(f"button[value={answer}]").dispatch_event("click")

    words = "Confirming your payment, this takes a few seconds."
    assert buyer.offer.get_by_role("status").inner_text() == words
    assert buyer.offer.get_attribute("aria-busy") == "true"
    assert buyer.offer.locator("button[aria-disabled=true]").count() == 2
    assert buyer.page.evaluate("window.sent") == 1


def test_who_waits_for_the_payment_sees_it_done_without_a_click(shopper):
    buyer = shopper()
    states.confirming(buyer)
    buyer.page.get_by_role("heading", name="We are confirming your payment").wait_for()
    attempt = Attempt.objects.get()
    paid = ChargeResult(
        state=ChargeState.CAPTURED,
        reference="ch_late",
        amount=attempt.amount,
        currency=attempt.currency,
    )

    hearing.hear(gateway_slug="card", results=[(attempt.key, paid)])

    buyer.page.get_by_role("heading", name="Memory card, 128 GB is in your order").wait_for()
    assert buyer.total == 781


def test_f37_who_goes_back_to_an_old_copy_sees_how_it_stands(shopper):
    buyer = shopper()
    states.upsell(buyer)
    served = [buyer.page.content()]

    def kept(route):
        """Serve the page as it was before, once, as a browser may that goes back."""
        if served:
            headers = {"Content-Security-Policy": POLICY, "Content-Type": "text/html"}
            route.fulfill(body=served.pop(), headers=headers)
        else:
            route.continue_()

    buyer.page.route("**/thanks/", kept)
    buyer.accepts()
    buyer.page.get_by_role("heading", name="WashPro 9 Smart is in your order").wait_for()

    buyer.page.go_back()

    buyer.page.get_by_role("heading", name="Thank you, your order").wait_for()
    buyer.offer.get_by_role("heading", name="WashPro 9 Smart is in your order").wait_for()
    assert served == []
    assert buyer.offer.locator("button[value=accept]").count() == 0


def test_the_keyboard_alone_accepts_and_undoes(shopper):
    buyer = shopper()
    states.upsell(buyer)
    buyer.tabs_to("button[value=accept]")

    buyer.page.keyboard.press("Enter")
    buyer.page.get_by_role("heading", name="WashPro 9 Smart is in your order").wait_for()
    assert buyer.focused() == "WashPro 9 Smart is in your order"
    buyer.tabs_to(".upsell button")
    buyer.page.keyboard.press("Space")

    buyer.page.get_by_role("heading", name="Undone: your order is as it was").wait_for()
    assert buyer.focused() == "Undone: your order is as it was"
    assert buyer.total == 600


def test_the_keyboard_alone_declines(shopper):
    buyer = shopper()
    states.upsell(buyer)
    buyer.tabs_to("button[value=accept]")
    buyer.page.keyboard.press("Tab")

    buyer.page.keyboard.press("Enter")

    buyer.page.get_by_role("heading", name="Thank you, your order stays as it is").wait_for()


def test_the_keyboard_may_skip_the_offer(shopper):
    buyer = shopper()
    states.upsell(buyer)
    buyer.tabs_to(".upsell-skip")
    assert buyer.page.locator(".upsell-skip").bounding_box()["height"] >= 44

    buyer.page.keyboard.press("Enter")
    buyer.page.keyboard.press("Tab")

    assert buyer.page.evaluate("document.activeElement.closest('.upsell')") is None
    assert buyer.focused() == "WashPro 7", "the first link below the offer"


def opens_a_cached_page(buyer: Shopper) -> None:
    """Look at a page that is the same for everybody; only the script knows whose it is."""
    cached = Template("{% load upsell %}<title>T</title>{% upsell_offer order=1 lazy=True %}")
    body = cached.render(Context({"request": object()}))
    headers = {"Content-Security-Policy": POLICY, "Content-Type": "text/html"}
    buyer.page.route("**/cached/", lambda route: route.fulfill(body=body, headers=headers))
    buyer.opens("/cached/")


@WITH_AND_WITHOUT
def test_a_cached_page_fetches_the_offer_or_shows_nothing(shopper, gateway, script):
    buyer = shopper(script=script)
    buyer.buys("cam")
    opens_a_cached_page(buyer)
    if not script:
        assert buyer.offer.count() == 0
        return

    buyer.accepts()

    buyer.page.get_by_role("heading", name="Memory card, 128 GB is in your order").wait_for()
    assert charges(buyer, gateway) == [Decimal("32")]


def test_a_strict_policy_hears_of_what_is_inline(shopper):
    """The control of every test here: a violation reaches the fixture that asserts none."""
    buyer = shopper()
    body = "<title>T</title><p style='color: red'>Inline</p><script>1</script>"
    headers = {"Content-Security-Policy": POLICY, "Content-Type": "text/html"}
    buyer.page.route("**/inline/", lambda route: route.fulfill(body=body, headers=headers))

    buyer.opens("/inline/")

    assert [line for line in buyer.complaints if "policy:" in line]
    buyer.complaints.clear()


@WITH_AND_WITHOUT
def test_how_it_was_is_said_and_changed_with_keys_alone(shopper, gateway, script):
    buyer = shopper(script=script)
    states.accepted_and_asked(buyer)
    page = buyer.page
    buyer.offer.get_by_role(
        "group", name="How did you like the way we made you this offer?"
    ).wait_for()

    page.get_by_label("1, very poor").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    thanks = page.get_by_text("Thank you. You said: 4, good.")
    thanks.wait_for()
    assert thanks.evaluate("told => told === document.activeElement"), "it has the focus"

    page.get_by_text("Change my answer").press("Enter")
    page.get_by_label("5, very good").check()
    buyer.presses("Send my answer")

    page.get_by_text("Thank you. You said: 5, very good.").wait_for()
    assert charges(buyer, gateway) == [Decimal("240")], "nothing else was pressed"
