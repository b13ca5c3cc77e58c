"""What the mails say: on the page of a mail program, and as plain text that stands alone."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core import mail
from django.utils import translation

from example_shop import orders
from example_shop.models import Order, Product
from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered
from upsell import hooks
from upsell.models import Offer
from upsell.models.tokens import undo_token
from upsell.presenting.mails import shown_money
from upsell.services import desk, messaging, undoing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("amount", "currency", "language", "shown"),
    [
        pytest.param("900", "JPY", "en", "¥900", id="yen have no decimals"),
        pytest.param("1234.5", "EUR", "en", "€1,234.50", id="cents"),
        pytest.param("1234.5", "EUR", "de", "1.234,50\xa0€", id="as in German"),
        pytest.param("7.5", "BHD", "en", "BHD7.500", id="three decimals"),
        pytest.param("1000", "HUF", "en", "HUF1,000.00", id="as ISO 4217 has it, not Babel"),
        pytest.param("-5", "EUR", "en", "-€5.00", id="less than nothing"),
    ],
)
def test_an_amount_has_the_places_of_its_currency(amount, currency, language, shown):
    with translation.override(language):
        assert shown_money(Decimal(amount), currency) == shown


@pytest.fixture(autouse=True)
def _addresses(settings):
    settings.UPSELL_BASE_URL = "https://shop.example"
    settings.UPSELL_TERMS_URL = "/terms/"
    settings.UPSELL_RETURNS_URL = "https://elsewhere.example/returns/"


@pytest.fixture
def products() -> dict[str, Product]:
    """The shop of the cases."""
    return catalogue()


def told(*, text: str = "", html: str = "") -> tuple[str, str]:
    """Send what is due and return the newest mail's two parts, with blanks made single."""
    messaging.send_due()
    newest = mail.outbox[-1]
    return tuple(
        " ".join(part.split()) for part in (newest.body, str(newest.alternatives[0].content))
    )


def test_the_confirmation_of_an_upsell_says_all_that_was_agreed(products):
    campaign(products["W2"], products["W1"], kind="UPSELL")
    placed = order(products)
    offer = accept(offered(placed))

    parts = told()

    assert mail.outbox[-1].subject == f"Your order {placed.number} now includes W2"
    for part in parts:
        for words in (
            "W2",
            "€840.00",
            "It takes the place of W1. What you had paid for that, €600.00, is credited.",
            "charged to your card",
            "€240.00",
            "includes €40.00 tax",
            "Your order now comes to",
            f"https://shop.example/upsell/offers/{undo_token(offer)}/undo/",
            "or until your order is packed",
            f"https://shop.example/order/{placed.pk}/",
            "https://shop.example/terms/",
            "https://elsewhere.example/returns/",
        ):
            assert words in part, words
    assert parts[1].count("<a class=") == 1, "one button"


@pytest.mark.parametrize(
    ("options", "paying", "words", "absent"),
    [
        pytest.param(
            {"shipping": "FLAT", "shipping_flat": {"EUR": "4.90"}},
            {},
            ["CA: €24.00", "Delivery: €4.90", "You paid: €28.90, charged to your card"],
            ["takes the place"],
            id="with delivery",
        ),
        pytest.param(
            {},
            {"payment_method": "invoice", "card": "", "paid": False},
            ["Amount: €24.00, added to your invoice"],
            ["You paid"],
            id="on an invoice",
        ),
        pytest.param(
            {"quantity": 2},
            {},
            ["2 × CA: €48.00", "You paid: €48.00"],
            ["Delivery"],
            id="two units",
        ),
    ],
)
def test_the_confirmation_of_a_cross_sell_says(products, options, paying, words, absent):
    campaign(products["CA"], **options)
    accept(offered(order(products, **paying)))

    text, _ = told()

    assert [line for line in words if line not in text] == []
    assert [line for line in absent if line in text] == []


def test_a_confirmation_sent_late_says_what_was_agreed_and_offers_no_undo(products):
    campaign(products["W2"], products["W1"], kind="UPSELL")
    offer = accept(offered(order(products)))
    undoing.undo(token=undo_token(offer), trusted=False)
    messaging.send_due()
    first, second = mail.outbox

    assert "Your order now comes to: €840.00" in first.body
    assert "/undo/" not in first.body
    assert "Your order now comes to: €600.00" in second.body


def undo(placed: Order) -> None:
    undoing.undo(token=undo_token(Offer.objects.get()), trusted=False)


def cancel(placed: Order) -> None:
    orders.cancel(placed.pk)


def refund(placed: Order) -> None:
    orders.refund(placed.pk)


@pytest.mark.parametrize(
    ("ending", "subject", "words", "absent"),
    [
        pytest.param(
            undo,
            "W2 was taken off your order 1000",
            ["Back in your order, as you had bought it: W1.", "now comes to: €600.00"],
            ["cancelled"],
            id="undone",
        ),
        pytest.param(
            cancel,
            "Your order 1000 was cancelled, and W2 with it",
            [],
            ["Back in your order", "now comes to"],
            id="order cancelled",
        ),
        pytest.param(
            refund,
            "W2 of your order 1000 was refunded",
            [],
            ["Back in your order", "now comes to"],
            id="order refunded",
        ),
    ],
)
def test_the_reversal_says_what_came_back(products, ending, subject, words, absent):
    campaign(products["W2"], products["W1"], kind="UPSELL")
    placed = order(products)
    accept(offered(placed))
    told()

    ending(placed)
    hooks.order_changed(order_ref=str(placed.pk))
    parts = told()

    assert mail.outbox[-1].subject == subject
    assert len(mail.outbox) == 2
    for part in parts:
        assert "We give back €240.00 to where you paid from" in part
    assert [line for line in words if line not in parts[0]] == []
    assert [line for part in parts for line in absent if line in part] == []


def test_an_invoice_is_lowered_and_nothing_given_back(products):
    campaign(products["CA"])
    offer = accept(offered(order(products, payment_method="invoice", card="", paid=False)))
    told()
    undoing.undo(token=undo_token(offer), trusted=False)

    text, html = told()

    for part in (text, html):
        assert "The €24.00 are off your bill again." in part
        assert "We give back" not in part


def test_the_mail_with_the_link_says_what_is_offered_in_the_buyer_s_language(products):
    campaign(products["W2"], products["W1"], kind="UPSELL")
    placed = order(products, locale="de")
    offer = offered(placed)
    desk.send_link(offer_id=offer.pk, actor="staff:1")

    parts = told()

    for part in parts:
        for words in (
            placed.number,
            "W2",
            "240,00 €",
            "https://shop.example/upsell/offers/",
            "https://shop.example/terms/",
            "https://elsewhere.example/returns/",
        ):
            assert words in part, words
    assert parts[1].count("<a class=") == 1, "one button"
