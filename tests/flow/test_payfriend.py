"""Payfriend, the worked example of a provider that always asks: at the checkout and after it."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from example_shop import orders
from example_shop.models import Order, PayfriendPayment, Payment, Product
from example_shop.payfriend import provider
from tests.example_shop.shop import BUYER, put
from tests.factories import campaign, catalogue
from upsell import hooks
from upsell.models import Attempt, Offer
from upsell.models.tokens import offer_token
from upsell.services import auditing, reconciling

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

SENT_BACK = "/checkout/paid/"


@pytest.fixture
def shop() -> dict[str, Product]:
    """A washer for 600.00 to buy, and a case for 24.00 that is offered to every order."""
    products = catalogue()
    campaign(products["CA"])
    return products


def checks_out(client, **other) -> PayfriendPayment:
    """Send the checkout's form; the buyer is led to a page of Payfriend."""
    answer = client.post("/checkout/", BUYER | {"payment_method": "payfriend"} | other)
    opened = PayfriendPayment.objects.latest("pk")
    assert answer.headers["Location"] == f"/payfriend/{opened.reference}/"
    return opened


def says(client, payment: PayfriendPayment, answer: str):
    """Press a button of Payfriend's page, and follow where it leads."""
    sent = client.post(f"/payfriend/{payment.reference}/", {"answer": answer})
    assert sent.status_code == 303
    return client.get(sent.headers["Location"])


def bought(client, shop) -> Order:
    """Buy the washer with Payfriend."""
    put(client, shop["W1"])
    page = says(client, checks_out(client), "approve")
    order = Order.objects.latest("pk")
    assert page.headers["Location"] == f"/order/{order.pk}/thanks/"
    return order


def accepts(client, order: Order) -> PayfriendPayment:
    """Press the offer's button; the buyer is led to a page of Payfriend for the difference."""
    client.get(f"/order/{order.pk}/thanks/")
    token = offer_token(Offer.objects.get())
    answer = client.post(f"/upsell/offers/{token}/accept/", {"quote": "1", "answer": "accept"})
    asked = client.get(answer.headers["Location"])
    opened = PayfriendPayment.objects.latest("pk")
    assert asked.headers["Refresh"] == f"0; url=/payfriend/{opened.reference}/"
    assert "Payfriend asks you to approve" in asked.content.decode()
    return opened


def comes_back(client, query: str = ""):
    """Arrive on the page for coming back, and press what its script presses."""
    here = f"/upsell/offers/{offer_token(Offer.objects.get())}/return/{query}"
    assert "Go on" in client.get(here).content.decode()
    return client.post(here)


def taken() -> dict[str, Decimal]:
    """What Payfriend took and did not give back, by what it was for."""
    rows = PayfriendPayment.objects.filter(state="taken")
    return {row.text: row.amount - row.refunded for row in rows if row.amount != row.refunded}


def agrees(order: Order) -> None:
    """Fail unless the shop's books, Payfriend's and ours tell one story."""
    order.refresh_from_db()
    booked = {"charge": Decimal(0), "refund": Decimal(0)}
    for row in Payment.objects.filter(order=order):
        booked[row.kind] += row.amount
    assert sum(taken().values()) == booked["charge"] - booked["refund"] == order.total_gross
    found = [*auditing.audit(outside=True)]
    assert [breach for row in found for breach in row.breaches] == []
    assert auditing.whole() == []


# ------------------------------------------------------------------ the order itself


def test_an_order_is_placed_and_paid_once_the_buyer_approved(client, shop):
    put(client, shop["W1"])
    payment = checks_out(client)
    page = client.get(f"/payfriend/{payment.reference}/").content.decode()
    assert (Order.objects.count(), taken()) == (0, {})
    for words in ("Web", "Your order", "€600.00", "Approve payment", "Cancel and return"):
        assert words in page

    says(client, payment, "approve")

    order = Order.objects.get()
    assert (order.paid, order.payment_method, order.payments.get().gateway) == (
        True,
        "payfriend",
        "payfriend",
    )
    assert taken() == {"Your order": 600}
    agrees(order)


def test_a_buyer_who_cancels_has_no_order_and_a_full_basket(client, shop):
    put(client, shop["W1"])

    page = says(client, checks_out(client), "cancel")

    assert page.status_code == 402
    assert "Nothing was ordered or charged" in page.content.decode()
    assert (Order.objects.count(), taken()) == (0, {})
    assert client.session["basket"] == {str(shop["W1"].pk): 1}
    assert Product.objects.get(sku="W1").stock == 10


def test_coming_back_twice_is_one_order(client, shop):
    order = bought(client, shop)
    again = client.get(SENT_BACK, {"payment": order.payment_reference})

    assert again.headers["Location"] == f"/order/{order.pk}/thanks/"
    assert (Order.objects.count(), taken()) == (1, {"Your order": 600})


def test_coming_back_five_times_at_once_is_one_order(client, shop):
    put(client, shop["W1"])
    payment = checks_out(client)
    provider.answer(payment.reference, approved=True)
    together, answers = threading.Barrier(5), []

    def comes() -> None:
        browser = Client()
        browser.cookies = client.cookies.copy()
        try:
            together.wait()
            answers.append(browser.get(SENT_BACK, {"payment": payment.reference}))
        finally:
            connection.close()

    threads = [threading.Thread(target=comes) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    order = Order.objects.get()
    assert {answer.headers["Location"] for answer in answers} == {f"/order/{order.pk}/thanks/"}
    assert (len(answers), taken()) == (5, {"Your order": 600})
    assert Product.objects.get(sku="W1").stock == 9
    agrees(order)


def test_a_buyer_who_has_not_answered_yet_is_led_back(client, shop):
    put(client, shop["W1"])
    payment = checks_out(client)

    page = client.get(SENT_BACK, {"payment": payment.reference}).content.decode()

    assert f'href="/payfriend/{payment.reference}/"' in page
    assert (Order.objects.count(), taken()) == (0, {})


def elses(client, shop) -> str:
    """A payment that somebody else opened, and approved."""
    row = provider.open_payment(
        key="else", merchant="Web", text="Other", amount=Decimal(600), currency="EUR", back="/"
    )
    provider.answer(row.reference, approved=True)
    return row.reference


def older(client, shop) -> str:
    """The buyer's own payment, approved, before they began anew."""
    first = checks_out(client)
    provider.answer(first.reference, approved=True)
    checks_out(client)
    return first.reference


def cheaper(client, shop) -> str:
    """A payment approved for one washer, and then the basket has two."""
    first = checks_out(client)
    provider.answer(first.reference, approved=True)
    put(client, shop["W1"], 2)
    return first.reference


@pytest.mark.parametrize(
    ("brought", "words"),
    [
        (elses, "not the payment of your basket"),
        (older, "not the payment of your basket"),
        (cheaper, "Your basket has changed meanwhile"),
        (lambda client, shop: "pf_unknown", "not the payment of your basket"),
        (lambda client, shop: "", "not the payment of your basket"),
    ],
    ids=["somebody else's", "an older one", "a cheaper one", "an unknown one", "none"],
)
def test_another_payment_buys_nothing(client, shop, brought, words):
    put(client, shop["W1"])
    reference = brought(client, shop)

    page = client.get(SENT_BACK, {"payment": reference})

    assert page.status_code == 402
    assert words in page.content.decode()
    assert (Order.objects.count(), taken()) == (0, {})


def test_what_sold_out_meanwhile_is_not_paid(client, shop):
    put(client, shop["W1"])
    payment = checks_out(client)
    Product.objects.filter(sku="W1").update(stock=0)

    page = says(client, payment, "approve")

    assert "has just sold out. Nothing was ordered or charged" in page.content.decode()
    assert (Order.objects.count(), taken()) == (0, {})


def test_a_process_that_died_before_taking_finishes_when_the_buyer_comes_back(
    client, shop, monkeypatch
):
    put(client, shop["W1"])
    payment = checks_out(client)
    provider.answer(payment.reference, approved=True)
    with monkeypatch.context() as patch:
        patch.setattr(provider, "take", lambda reference: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            client.get(SENT_BACK, {"payment": payment.reference})
    waiting = Order.objects.get()
    assert (waiting.paid, waiting.status, taken()) == (False, "waiting for payment", {})

    client.get(SENT_BACK, {"payment": payment.reference})

    waiting.refresh_from_db()
    assert (waiting.paid, Order.objects.count(), taken()) == (True, 1, {"Your order": 600})


@pytest.mark.parametrize("when", ["before it is taken", "just after"])
def test_an_order_that_staff_cancelled_meanwhile_takes_nothing(client, shop, when, monkeypatch):
    put(client, shop["W1"])
    payment = checks_out(client)
    provider.answer(payment.reference, approved=True)
    take = provider.take

    def dies(reference):
        raise ZeroDivisionError

    def cancelled_behind_us(reference):
        orders.cancel(Order.objects.get().pk)
        return take(reference)

    if when == "before it is taken":
        monkeypatch.setattr(provider, "take", dies)
        with pytest.raises(ZeroDivisionError):
            client.get(SENT_BACK, {"payment": payment.reference})
        orders.cancel(Order.objects.get().pk)
    monkeypatch.setattr(provider, "take", cancelled_behind_us)

    page = client.get(SENT_BACK, {"payment": payment.reference})

    assert page.status_code == 402
    assert "cancelled" in page.content.decode()
    assert (Order.objects.get().paid, taken()) == (False, {})
    assert Product.objects.get(sku="W1").stock == 10


@pytest.mark.parametrize("move", [orders.cancel, orders.refund])
def test_a_cancelled_order_is_given_back_at_payfriend(client, shop, move):
    order = bought(client, shop)

    move(order.pk)

    assert taken() == {}


# ------------------------------------------------------------------ the offer on it


def test_an_approved_difference_is_taken_once_and_undone(client, shop):
    order = bought(client, shop)
    payment = accepts(client, order)
    assert (payment.amount, payment.merchant) == (24, "Web")
    assert payment.text == f"Addition to order {order.number}"
    page = says(client, payment, "approve")
    assert "Payfriend asks you to approve" in page.content.decode()

    result = comes_back(client)

    assert "is in your order" in client.get(result.headers["Location"]).content.decode()
    assert taken() == {"Your order": 600, payment.text: 24}
    agrees(order)
    client.post(f"/upsell/offers/{offer_token(Offer.objects.get())}/undo/")
    assert taken() == {"Your order": 600}
    agrees(order)


def test_a_difference_that_is_cancelled_leaves_the_offer_open(client, shop):
    order = bought(client, shop)
    says(client, accepts(client, order), "cancel")

    page = comes_back(client)

    assert page.status_code == 402
    assert "The payment was not approved." in page.content.decode()
    assert Offer.objects.get().state == "SHOWN"
    assert taken() == {"Your order": 600}
    agrees(order)


@pytest.mark.parametrize("answer", ["", "approve"], ids=["never answered", "approved, and gone"])
def test_an_abandoned_difference_expires_and_takes_nothing(client, shop, answer):
    order = bought(client, shop)
    payment = accepts(client, order)
    if answer:
        client.post(f"/payfriend/{payment.reference}/", {"answer": answer})

    reconciling.reconcile(now=timezone.now() + timedelta(minutes=16))

    assert Offer.objects.get().state == "EXPIRED"
    assert Product.objects.get(sku="CA").stock == 20
    comes_back_late = client.post(f"/upsell/offers/{offer_token(Offer.objects.get())}/return/")
    assert comes_back_late.status_code == 303
    page = client.get(f"/payfriend/{payment.reference}/").content.decode()
    assert "This payment was cancelled" in page
    assert taken() == {"Your order": 600}
    agrees(order)


def test_coming_back_twice_takes_once(client, shop):
    order = bought(client, shop)
    says(client, accepts(client, order), "approve")
    here = f"/upsell/offers/{offer_token(Offer.objects.get())}/return/"

    answers = [client.post(here).status_code for _ in range(3)]

    assert answers == [303, 303, 303]
    assert sum(taken().values()) == 624
    agrees(order)


def test_withdrawing_after_delivery_gives_both_payments_back(client, shop):
    """240.00 for the change by us, and 600.00 for the replaced washer by the shop."""
    campaign(shop["W2"], shop["W1"], kind="UPSELL", priority=20)
    order = bought(client, shop)
    says(client, accepts(client, order), "approve")
    comes_back(client)
    assert sum(taken().values()) == 840
    orders.ship(order.pk)

    made = hooks.withdraw(order_ref=str(order.pk), statement="I withdraw.")

    assert (made.ours, made.original, taken()) == (240, 600, {})
    orders.refund(order.pk)
    assert PayfriendPayment.objects.filter(refunded__gt=0).count() == 2
    assert Payment.objects.filter(order=order, kind="refund").count() == 2


def others(order: Order) -> str:
    """Somebody else's approved payment of the same amount."""
    row = provider.open_payment(
        key="else", merchant="Web", text="Other", amount=Decimal(24), currency="EUR", back="/"
    )
    provider.answer(row.reference, approved=True)
    return row.reference


def cheap(order: Order) -> str:
    """An approved payment over a cent."""
    row = provider.open_payment(
        key="cent", merchant="Web", text="Cheap", amount=Decimal("0.01"), currency="EUR", back="/"
    )
    provider.answer(row.reference, approved=True)
    return row.reference


@pytest.mark.parametrize(
    "brought",
    [others, cheap, lambda order: order.payment_reference],
    ids=["somebody else's", "a cheaper one", "the order's own, older one"],
)
def test_another_payment_adds_nothing(client, shop, brought):
    order = bought(client, shop)
    accepts(client, order)

    page = comes_back(client, f"?payment={brought(order)}")

    assert page.status_code == 303
    assert Offer.objects.get().state == "ACTION_REQUIRED"
    order.refresh_from_db()
    assert (order.total_gross, taken()) == (600, {"Your order": 600})
    assert Attempt.objects.get().charge_state == "REQUIRES_ACTION"


def test_a_front_end_of_its_own_is_told_where_the_buyer_is_asked(client, shop):
    order = bought(client, shop)
    client.get(f"/order/{order.pk}/thanks/")

    answer = client.post(
        f"/upsell/offers/{offer_token(Offer.objects.get())}/accept/",
        {"quote": "1"},
        headers={"Accept": "application/json"},
    )

    opened = PayfriendPayment.objects.latest("pk")
    assert (answer.status_code, answer.json()) == (
        202,
        {"state": "ACTION_REQUIRED", "action_url": f"/payfriend/{opened.reference}/"},
    )


def test_only_a_buyer_who_just_accepted_is_led_away(client, shop):
    order = bought(client, shop)
    client.get(f"/order/{order.pk}/thanks/")
    page = f"/upsell/offers/{offer_token(Offer.objects.get())}/"
    assert "Refresh" not in client.get(f"{page}?approve").headers, "nothing is asked yet"
    payment = accepts(client, order)
    assert "Refresh" not in client.get(page).headers, "whoever looks at it later reads it"

    says(client, payment, "approve")
    comes_back(client)

    assert "Refresh" not in client.get(f"{page}?approve").headers, "it is paid"


def test_who_only_holds_the_link_may_pay_with_their_own_approval(client, shop):
    order = bought(client, shop)
    client.get(f"/order/{order.pk}/thanks/")
    client.cookies.clear()

    token = offer_token(Offer.objects.get())
    answer = client.post(f"/upsell/offers/{token}/accept/", {"quote": "1", "answer": "accept"})

    assert answer.status_code == 303
    assert Offer.objects.get().state == "ACTION_REQUIRED"
    assert taken() == {"Your order": 600}


def test_the_policy_of_payfriends_page_lets_its_form_lead_back_and_nowhere_else(
    client, shop, settings
):
    settings.UPSELL_BASE_URL = "https://shop.example"
    put(client, shop["W1"])
    payment = checks_out(client)

    page = client.get(f"/payfriend/{payment.reference}/")
    sent = client.post(f"/payfriend/{payment.reference}/", {"answer": "cancel"})

    policy = page.headers["Content-Security-Policy"]
    assert policy.endswith("form-action 'self' https://shop.example")
    assert sent.headers["Location"] == (
        f"https://shop.example/checkout/paid/?payment={payment.reference}"
    )
    assert client.get("/payfriend/pf_unknown/").status_code == 404
