"""Withdrawing from what an offer added, as EU law lets a buyer: what goes back, and until when."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import close_old_connections
from django.test import Client
from django.utils import timezone
from django.utils.formats import date_format

from example_shop import orders, withdrawals
from example_shop.models import Order, OrderLine, Payment, Product
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered, shape
from tests.flow.test_refunds import broken
from upsell import hooks
from upsell.exceptions import OfferNotAcceptable, OfferNotFound
from upsell.models import Acceptance, Offer, OfferEvent, OutboxMessage, Refund
from upsell.models.tokens import offer_token
from upsell.services import erasing, messaging, undoing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

STATEMENT = "I withdraw from my contract for W2.\nName: Ada Byron"


def bought(kind: str = "CROSS_SELL", **options) -> Order:
    """Buy a washer for 600.00 and take the offer: a case for 24.00, or W2 for 240.00 more."""
    products = catalogue()
    if kind == "UPSELL":
        campaign(products["W2"], products["W1"], kind="UPSELL")
    else:
        campaign(products["CA"])
    placed = order(products, **options)
    if placed.paid:
        Payment.objects.create(
            order=placed,
            kind="charge",
            amount=600,
            currency="EUR",
            reference=f"order-{placed.number}",
            gateway="card",
        )
    accept(offered(placed))
    # The time to undo is over long since: withdrawing has nothing to do with it.
    Acceptance.objects.update(undo_until=timezone.now() - timedelta(days=1))
    return placed


def withdraw(placed: Order):
    return hooks.withdraw(order_ref=str(placed.pk), statement=STATEMENT)


INVOICE = {"payment_method": "invoice", "card": "", "paid": False}


@pytest.mark.parametrize(
    ("kind", "options", "moves", "wanted"),
    [
        pytest.param("CROSS_SELL", {}, [], ("24", "0", True, {"W1": 0}), id="a case, not packed"),
        pytest.param(
            "CROSS_SELL",
            {},
            [orders.pack],
            ("24", "0", False, {"W1": 0, "CA": 1}),
            id="a case, packed",
        ),
        pytest.param(
            "CROSS_SELL",
            {},
            [orders.ship],
            ("24", "0", False, {"W1": 0, "CA": 1}),
            id="a case, shipped",
        ),
        pytest.param(
            "UPSELL", {}, [], ("240", "0", True, {"W1": 0}), id="an upgrade, not packed: W1 is back"
        ),
        pytest.param(
            "UPSELL",
            {},
            [orders.ship],
            ("240", "600", False, {"W2": 1}),
            id="an upgrade, shipped: W1 is not, its 600 are",
        ),
        pytest.param(
            "UPSELL", INVOICE, [], ("0", "0", True, {"W1": 0}), id="on an invoice, not packed"
        ),
        pytest.param(
            "UPSELL",
            INVOICE,
            [orders.pay_invoice, orders.ship],
            ("0", "840", False, {"W2": 1}),
            id="on an invoice that was paid, shipped",
        ),
    ],
)
def test_what_goes_back_is(kind, options, moves, wanted, gateway):
    placed = bought(kind, **options)
    for move in moves:
        move(placed.pk)
    ours, original, put_back, lines = wanted

    made = withdraw(placed)

    assert (made.ours, made.original, made.put_back) == (
        Decimal(ours),
        Decimal(original),
        put_back,
    )
    rows = OrderLine.objects.filter(order=placed).values_list("product__sku", "returned")
    assert dict(rows) == lines
    assert gateway.charged(str(placed.pk)) == 0
    back = Payment.objects.filter(order=placed, kind="refund")
    assert sum((row.amount for row in back), Decimal(0)) == Decimal(ours) + Decimal(original)
    offer = Offer.objects.get()
    assert (offer.state, offer.failure_code) == ("REVERSED", "withdrawal")
    assert broken() == []


def test_not_packed_the_order_is_as_it_was():
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL")
    placed = order(products)
    before = shape(placed)
    accept(offered(placed))

    withdraw(placed)

    assert shape(placed) == before
    assert Product.objects.get(sku="W2").stock == 5


def test_on_an_open_invoice_the_shop_asks_for_less():
    placed = bought("UPSELL", **INVOICE)
    orders.ship(placed.pk)

    assert withdraw(placed).original == 840

    orders.pay_invoice(placed.pk)
    assert Payment.objects.get(order=placed, kind="charge").amount == 0


def test_what_was_given_back_before_is_not_given_back_again(gateway):
    placed = bought("UPSELL")
    orders.ship(placed.pk)
    line_ref = Offer.objects.get().acceptance.line_ref
    hooks.refund_line(order_ref=str(placed.pk), line_ref=line_ref, amount=Decimal(300))

    made = withdraw(placed)

    assert (made.ours, made.original) == (0, 540)
    assert gateway.charged(str(placed.pk)) == 0


def test_a_refund_of_the_whole_order_afterwards_gives_back_the_rest_only():
    placed = bought("UPSELL")
    orders.ship(placed.pk)
    withdraw(placed)

    orders.refund(placed.pk)

    back = Payment.objects.filter(order=placed, kind="refund").exclude(gateway="")
    assert sum(row.amount for row in back) == 840
    assert broken() == []


def test_twice_is_once_and_returns_the_first(gateway):
    placed = bought()

    first, second = withdraw(placed), withdraw(placed)

    assert second == first
    assert Refund.objects.count() == 1
    assert OfferEvent.objects.filter(kind="withdrawal").count() == 1
    assert OutboxMessage.objects.filter(kind="WITHDRAWAL").count() == 1


def test_eight_at_once_are_one(gateway):
    placed = bought("UPSELL")
    orders.ship(placed.pk)
    together, answers = threading.Barrier(8), []

    def ask() -> None:
        try:
            together.wait()
            answers.append(withdraw(placed))
        finally:
            close_old_connections()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 8
    assert len({(row.made_at, row.ours, row.original) for row in answers}) == 1
    assert Refund.objects.count() == 1
    assert Payment.objects.filter(order=placed, kind="refund").count() == 2
    assert broken() == []


def cancelled(placed: Order) -> None:
    orders.cancel(placed.pk)


def undone(placed: Order) -> None:
    Acceptance.objects.update(undo_until=timezone.now() + timedelta(minutes=30))
    undoing.undo(token=offer_token(Offer.objects.get()), trusted=True)


def too_late(placed: Order) -> None:
    orders.ship(placed.pk)
    Order.objects.update(shipped_at=timezone.now() - timedelta(days=15))


def used(placed: Order) -> None:
    OrderLine.objects.filter(product__sku="CA").update(service_at=timezone.now())


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        (cancelled, "revoked"),
        (undone, "revoked"),
        (too_late, "expired"),
        (used, "expired"),
    ],
)
def test_it_is_refused_and_nothing_moves(happens, code, gateway):
    placed = bought()
    happens(placed)
    before = gateway.charged(str(placed.pk)), Payment.objects.count()

    assert hooks.withdrawal_of(order_ref=str(placed.pk)) is None
    with pytest.raises(OfferNotAcceptable) as refused:
        withdraw(placed)

    assert refused.value.code == code
    assert (gateway.charged(str(placed.pk)), Payment.objects.count()) == before
    assert broken() == []


def test_a_shop_that_provides_none_has_none(monkeypatch):
    placed = bought()
    shop = type(hooks.shop())
    monkeypatch.setattr(shop, "capabilities", shop.capabilities - {"WITHDRAWAL"})

    assert hooks.withdrawal_of(order_ref=str(placed.pk)) is None
    with pytest.raises(OfferNotAcceptable):
        withdraw(placed)


def test_an_order_without_an_accepted_offer_has_nothing_to_withdraw_from():
    products = catalogue()
    campaign(products["CA"])
    placed = order(products)
    assert hooks.withdrawal_of(order_ref=str(placed.pk)) is None
    with pytest.raises(OfferNotFound):
        withdraw(placed)
    offered(placed)
    with pytest.raises(OfferNotFound):
        withdraw(placed)


# ------------------------------------------------------------------ until when

SOLD = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ships", "shipped", "service", "now", "until"),
    [
        pytest.param(
            True, None, None, SOLD + timedelta(days=40), "2026-04-26", id="not sent: not begun"
        ),
        pytest.param(
            True,
            datetime(2026, 3, 5, 9, tzinfo=UTC),
            None,
            SOLD,
            "2026-03-20",
            id="sent on the 5th",
        ),
        pytest.param(
            False, None, None, SOLD, "2026-03-17", id="nothing to send: from the contract"
        ),
        pytest.param(
            False, None, SOLD + timedelta(hours=1), SOLD, "2026-03-17", id="a service to come"
        ),
        pytest.param(False, None, SOLD, SOLD, None, id="a service that has begun"),
    ],
)
def test_the_period_ends_with_its_fourteenth_day(db, ships, shipped, service, now, until):
    products = catalogue()
    Product.objects.filter(sku="W1").update(requires_shipping=ships)
    placed = order(products, placed_at=SOLD, shipped_at=shipped)
    OrderLine.objects.update(service_at=service)
    line = OrderLine.objects.select_related("order", "product").get(order=placed)

    ends = withdrawals.until(line, now)

    assert (f"{ends:%Y-%m-%d}" if ends else None) == until


def test_the_shop_may_grant_a_longer_period(settings):
    settings.SHOP_WITHDRAWAL_PERIOD = timedelta(days=30)
    placed = bought()
    orders.ship(placed.pk)
    Order.objects.update(shipped_at=timezone.now() - timedelta(days=29))

    assert hooks.withdrawal_of(order_ref=str(placed.pk)).until > timezone.now()


# ------------------------------------------------------------------ the receipt


def test_the_receipt_is_mailed_with_what_was_declared_and_when(settings):
    settings.UPSELL_BASE_URL = "https://shop.example"
    placed = bought("UPSELL")
    orders.ship(placed.pk)
    made = withdraw(placed)
    messaging.send_due()
    messaging.send_due()

    (receipt,) = [row for row in mail.outbox if "withdrawal" in row.subject]

    message = OutboxMessage.objects.get(kind="WITHDRAWAL")
    assert receipt.to == ["buyer@example.org"]
    assert receipt.extra_headers["Message-ID"] == (
        f"<{message.key.replace(':', '.')}.{message.offer.uuid}@upsell>"
    )
    received = f"{date_format(made.made_at, 'DATE_FORMAT')} at {made.made_at:%H:%M:%S UTC}"
    html = str(receipt.alternatives[0].content)
    for words in (received, "Name: Ada Byron", "€240.00", "€600.00", "Please send it back", "W1"):
        assert words in receipt.body, words
        assert words in html, words
    assert [row.subject for row in mail.outbox if "taken off" in row.subject] == []


def test_what_was_declared_is_erased_with_the_buyer():
    placed = bought()
    withdraw(placed)

    erasing.erase(customer_keys=[Offer.objects.get().customer_key])

    message = OutboxMessage.objects.get(kind="WITHDRAWAL")
    assert (message.variables, message.state) == ({}, "CANCELLED")


# ------------------------------------------------------------------ the pages


@pytest.fixture
def buyer() -> Client:
    """A guest: no account, the session that placed the order."""
    placed = bought("UPSELL")
    Order.objects.update(name="Ada Byron")
    client = Client()
    session = client.session
    session["order_ref"] = str(placed.pk)
    session.save()
    client.here = f"/order/{placed.pk}/"
    return client


def without_tokens(response) -> str:
    """The page without what differs at every look: the footer's form has a token."""
    return re.sub(r'(?<=name="csrfmiddlewaretoken" value=")\w+', "", response.content.decode())


def test_a_guest_withdraws_in_two_steps_and_keeps_the_receipt(buyer, gateway):
    page = buyer.get(buyer.here).content.decode()
    assert f'href="{buyer.here}withdraw/">Withdraw from contract here</a>' in page
    first = buyer.get(f"{buyer.here}withdraw/").content.decode()
    assert 'value="Ada Byron"' in first
    assert "buyer@example.org" in first
    stated = {"name": "Ada Byron", "reason": "<b>Too loud</b>"}
    second = buyer.post(f"{buyer.here}withdraw/", stated | {"do": "state"}).content.decode()
    assert "Confirm withdrawal" in second
    assert "&lt;b&gt;Too loud&lt;/b&gt;" in second
    assert Offer.objects.get().state == "ACCEPTED", "nothing happens before it is confirmed"

    done = buyer.post(f"{buyer.here}withdraw/", stated | {"do": "confirm"})

    assert done.headers["Location"] == f"{buyer.here}withdrawal/"
    receipt = without_tokens(buyer.get(f"{buyer.here}withdrawal/"))
    for words in ("We have received your withdrawal", "I withdraw from my contract for W2",
                  "Name: Ada Byron", "&lt;b&gt;Too loud&lt;/b&gt;", "€240.00"):  # fmt: skip
        assert words in receipt
    assert Offer.objects.get().state == "REVERSED"
    again = buyer.post(f"{buyer.here}withdraw/", {"name": "Another", "do": "confirm"})
    assert again.headers["Location"] == f"{buyer.here}withdrawal/"
    assert without_tokens(buyer.get(f"{buyer.here}withdrawal/")) == receipt
    assert Refund.objects.count() == 1
    assert "Your receipt" in buyer.get(buyer.here).content.decode()


def test_no_look_withdraws(buyer):
    for path in ("", "withdraw/", "withdraw/?do=confirm&name=Ada"):
        assert buyer.get(f"{buyer.here}{path}").status_code == 200
    assert buyer.get(f"{buyer.here}withdrawal/").status_code == 404

    assert Offer.objects.get().state == "ACCEPTED"


def test_a_name_is_needed_and_a_reason_is_not(buyer):
    page = buyer.post(f"{buyer.here}withdraw/", {"name": " ", "do": "confirm"}).content.decode()
    assert "Please give the name" in page
    assert Offer.objects.get().state == "ACCEPTED"

    buyer.post(f"{buyer.here}withdraw/", {"name": "Ada", "do": "confirm"})

    assert Offer.objects.get().state == "REVERSED"


def test_a_stranger_and_another_account_find_nothing(buyer):
    stranger, other = Client(), Client()
    other.force_login(get_user_model().objects.create_user("jonas"))

    for client in (stranger, other):
        for path in ("withdraw/", "withdrawal/"):
            assert client.get(f"{buyer.here}{path}").status_code == 404
        answer = client.post(f"{buyer.here}withdraw/", {"name": "Eve", "do": "confirm"})
        assert answer.status_code == 404

    assert Offer.objects.get().state == "ACCEPTED"


def test_staff_may_look_and_withdraw_for_nobody(buyer):
    staff = Client()
    staff.force_login(get_user_model().objects.create_user("greta", is_staff=True))

    assert "Withdraw from contract" not in staff.get(buyer.here).content.decode()
    for answer in (
        staff.get(f"{buyer.here}withdraw/"),
        staff.post(f"{buyer.here}withdraw/", {"name": "Ada", "do": "confirm"}),
    ):
        assert answer.status_code == 404

    assert Offer.objects.get().state == "ACCEPTED"


def test_after_the_period_the_page_says_so_and_the_link_is_gone(buyer):
    too_late(Order.objects.get())

    assert "Withdraw from contract" not in buyer.get(buyer.here).content.decode()
    page = buyer.post(f"{buyer.here}withdraw/", {"name": "Ada", "do": "confirm"})

    assert page.status_code == 410
    assert "There is nothing to withdraw from here" in page.content.decode()
    assert Offer.objects.get().state == "ACCEPTED"
