"""The page as a browser meets it: offered, answered, undone; through our own addresses."""

from __future__ import annotations

import re

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.urls import reverse

from example_shop.models import Order
from tests.factories import campaign, catalogue, order
from upsell.models import Offer, OfferEvent
from upsell.models.tokens import offer_token, undo_token

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bought(client) -> Order:
    """A washing machine, bought in this session; the smart one is offered for it."""
    products = catalogue()
    campaign(products["W2"], products["W1"], kind="UPSELL")
    placed = order(products)
    session = client.session
    session["order_ref"] = str(placed.pk)
    session.save()
    return placed


def thanks(client, placed: Order, **headers: str) -> str:
    """Render the host's thank-you page as this browser would get it."""
    request = RequestFactory().get("/thanks/", headers=headers)
    request.session = client.session
    request.user = type("Guest", (), {"is_authenticated": False, "is_staff": False})()
    page = Template("{% load upsell %}<h1>Thank you</h1>{% upsell_offer order=order %}")
    return page.render(Context({"request": request, "order": placed}))


def address(html: str, name: str) -> str:
    """Return where a form of the page posts to."""
    found = re.search(rf'action="([^"]+/{name}/)"', html)
    assert found, html
    return found[1]


def test_accept_and_undo_without_a_script(client, bought):
    page = thanks(client, bought)
    assert 'data-upsell-state="open"' in page
    assert "You pay now €240.00" in page
    assert "Pay €240.00 now" in page

    answer = client.post(address(page, "accept"), {"quote": "1", "answer": "accept"})
    assert answer.status_code == 303
    done = client.get(answer["Location"]).content.decode()
    bought.refresh_from_db()
    assert 'data-upsell-state="accepted"' in done
    assert bought.total_gross == 840

    client.post(address(done, "undo"))
    bought.refresh_from_db()
    assert bought.total_gross == 600
    assert Offer.objects.get().state == "REVERSED"


def test_a20_and_i12_a_get_changes_nothing_but_the_first_impression(client, bought):
    page = thanks(client, bought)
    before = list(Offer.objects.values())

    for name in ("accept", "decline"):
        assert client.get(address(page, name)).status_code == 405
    again = thanks(client, bought)
    undo = client.get(reverse("upsell:undo", args=[undo_token(Offer.objects.get())]))

    assert "data-upsell-offer" in again
    assert undo.status_code == 200
    assert list(Offer.objects.values()) == before
    assert OfferEvent.objects.filter(kind="shown").count() == 1


@pytest.mark.parametrize("quote", ["-1", "NaN", "1e9", "", "[]", "٣", "9" * 40])
def test_a21_hostile_quote_numbers_are_refused(client, bought, quote):
    page = thanks(client, bought)

    answer = client.post(address(page, "accept"), {"quote": quote})

    assert answer.status_code == 400
    assert Offer.objects.get().state == "SHOWN"


def test_a21_surplus_fields_are_ignored(client, bought):
    page = thanks(client, bought)

    client.post(address(page, "accept"), {"quote": "1", "price": "0", "qty": "99", "product": "1"})

    bought.refresh_from_db()
    assert bought.total_gross == 840


def test_a44_answers_are_private(client, bought):
    thanks(client, bought)

    answer = client.get(reverse("upsell:offer", args=[offer_token(Offer.objects.get())]))

    assert answer["Cache-Control"] == "private, no-store"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["X-Frame-Options"] == "DENY"
    assert "data-upsell-offer" in answer.content.decode()


@pytest.mark.parametrize("token", ["forged", "a" * 400, "%00"])
def test_t6_a_forged_token_is_not_found(client, bought, token):
    assert client.get(reverse("upsell:offer", args=[token])).status_code == 404
    assert client.post(reverse("upsell:accept", args=[token]), {"quote": "1"}).status_code == 404


def test_t7_a_stranger_with_the_link_cannot_charge(client, bought):
    page = thanks(client, bought)
    client.cookies.clear()

    answer = client.post(address(page, "accept"), {"quote": "1"})

    assert answer.status_code == 403
    assert Offer.objects.get().state == "SHOWN"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Purpose": "prefetch"}, id="looks ahead"),
        pytest.param({"User-Agent": "Googlebot/2.1"}, id="robot"),
    ],
)
def test_t11_nobody_looking_makes_nothing(client, bought, headers):
    assert thanks(client, bought, **headers) == "<h1>Thank you</h1>"
    assert Offer.objects.count() == 0


def test_a_stranger_sees_nothing(client, bought):
    client.cookies.clear()

    assert thanks(client, bought) == "<h1>Thank you</h1>"
    assert Offer.objects.count() == 0


def test_f6_an_exception_of_ours_leaves_the_page_intact(client, bought, monkeypatch, caplog):
    def broken(*args, **kwargs):
        raise RuntimeError("on fire")

    monkeypatch.setattr("upsell.services.offering.decide", broken)

    assert thanks(client, bought) == "<h1>Thank you</h1>"
    assert len([row for row in caplog.records if row.levelname == "ERROR"]) == 1


def test_decline_is_gone_on_reload(client, bought):
    page = thanks(client, bought)

    client.post(address(page, "decline"), {"answer": "decline"})

    assert thanks(client, bought) == "<h1>Thank you</h1>"


def test_t13_staff_words_are_escaped(client, bought):
    hostile = "<script>alert(1)</script>"
    thanks(client, bought)
    row = Offer.objects.get()
    row.terms["copy"] = {
        "en": {
            "headline": hostile,
            "body": hostile,
            "benefits": [hostile],
            "image_url": '"><script>',
            "image_alt": hostile,
            "accept_label": hostile,
            "decline_label": hostile,
        }
    }
    row.save()

    page = thanks(client, bought)

    assert "<script>alert" not in page
    assert '"><script>' not in page


def test_a_challenge_goes_to_the_bank_and_comes_back(client, bought, gateway):
    Order.objects.update(card="card_challenge")
    page = thanks(client, bought)
    answer = client.post(address(page, "accept"), {"quote": "1"})
    asked = client.get(answer["Location"]).content.decode()
    assert 'data-upsell-state="challenge"' in asked
    gateway.answer_challenge(Offer.objects.get().live_attempt.reference, paid=True)

    client.get(address(asked, "return"))
    assert Offer.objects.get().state == "ACTION_REQUIRED"
    client.post(address(asked, "return"))

    assert Offer.objects.get().state == "ACCEPTED"


def test_a_script_gets_codes(client, bought):
    Order.objects.update(card="card_declined")
    page = thanks(client, bought)

    answer = client.post(
        address(page, "accept"), {"quote": "1"}, headers={"Accept": "application/json"}
    )

    assert answer.status_code == 402
    assert answer.json() == {"code": "payment_declined"}
