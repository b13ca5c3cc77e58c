"""A form that is not ours does nothing, and whoever meets that can read what to do (T9, F13)."""

from __future__ import annotations

import re

import pytest
from django.conf import settings as project
from django.test import Client
from django.urls import get_resolver, reverse

from tests.standing import offer_in
from tests.tables import unchanged
from tests.views.buyers import placing, shop_with_an_offer
from upsell.models import Offer
from upsell.models.tokens import offer_token, undo_token

pytestmark = pytest.mark.django_db

# The forms a buyer posts, and what an offer must be for them to do something.
FORMS = {
    "accept": "SHOWN",
    "decline": "SHOWN",
    "rate": "ACCEPTED",
    "undo": "ACCEPTED",
    "return": "ACTION_REQUIRED",
    "seen": "CREATED",
}


def browser_with_a_check(offer: Offer, **headers: str) -> Client:
    return placing(offer, enforce_csrf_checks=True, headers=headers)


def link(name: str, offer: Offer) -> str:
    return reverse(f"upsell:{name}", args=[offer_token(offer)])


def test_every_form_of_ours_is_in_the_table() -> None:
    """Some are posted without a form: a provider's report, what the script of a page tells, and
    a no to mails, an answer to one, or a no to a message on a page. What a buyer wants to get has
    tests of its own: ``test_leaving``.
    """
    takes_posts = set()
    for pattern in get_resolver("upsell.urls").url_patterns:
        token = ["a" * 43] if "token" in pattern.pattern.converters else []
        token = ["card"] if pattern.name == "webhook" else token
        answer = Client().post(reverse(f"upsell:{pattern.name}", args=token))
        if answer.status_code != 405:
            takes_posts.add(pattern.name)

    by_link = {"unsubscribe", "preferences", "feedback", "dismiss"}
    assert takes_posts == {*FORMS, "webhook", "track"} | by_link


WAYS = [
    pytest.param({}, {}, {}, id="no cookie, no field"),
    pytest.param({"csrfmiddlewaretoken": "x" * 64}, {}, {}, id="a field without a cookie"),
    pytest.param({}, {"csrftoken": "x" * 32}, {}, id="a cookie without a field"),
    pytest.param(
        {"csrfmiddlewaretoken": "y" * 32}, {"csrftoken": "x" * 32}, {}, id="one for another"
    ),
    pytest.param(
        {"csrfmiddlewaretoken": "x" * 32},
        {"csrftoken": "x" * 32},
        {"Origin": "https://evil.example"},
        id="from another site",
    ),
    pytest.param(
        {"csrfmiddlewaretoken": "x" * 32}, {"csrftoken": "x" * 32}, {"Origin": "null"},
        id="from a page that hides where it is",
    ),
]  # fmt: skip


@pytest.mark.parametrize("host", ["with its middleware", "without"])
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(("fields", "cookies", "headers"), WAYS)
def test_a_form_that_is_not_ours_does_nothing(
    name, fields, cookies, headers, host, gateway, settings
) -> None:
    if host == "without":
        settings.MIDDLEWARE = [path for path in project.MIDDLEWARE if "csrf" not in path.lower()]
    card = "card_challenge" if name == "return" else "card_ok"
    offer = offer_in(FORMS[name], shop_with_an_offer(), card=card)
    browser = browser_with_a_check(offer, **headers)
    browser.cookies.load(cookies)
    charged = gateway.charged(offer.order_ref)

    with unchanged(name):
        answer = browser.post(link(name, offer), {"quote": "1", **fields})

    page = answer.content.decode()
    assert answer.status_code == 403
    assert gateway.charged(offer.order_ref) == charged
    assert "Nothing was charged" in page
    assert 'role="alert"' in page
    assert f'href="{link("undo" if name == "undo" else "offer", offer)}"' in page
    assert answer["Cache-Control"] == "private, no-store"
    assert answer["X-Frame-Options"] == "DENY"


def test_f13_the_way_back_leads_to_a_page_whose_button_works(gateway) -> None:
    """Private browsing forgot the cookie once: going back brings a new one, and one charge."""
    offer = offer_in("SHOWN", shop_with_an_offer())
    browser = browser_with_a_check(offer)

    refused = browser.post(link("accept", offer), {"quote": "1"}).content.decode()
    page = browser.get(re.search(r'href="([^"]*/offers/[^"]+)"', refused)[1]).content.decode()
    field = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    answer = browser.post(link("accept", offer), {"quote": "1", "csrfmiddlewaretoken": field})

    assert answer.status_code == 303
    assert Offer.objects.get().state == "ACCEPTED"
    assert gateway.charged(offer.order_ref) == 240


def test_f13_the_undo_link_of_a_mail_comes_back_to_itself() -> None:
    """Its holder knows no other address, and must not learn one."""
    offer = offer_in("ACCEPTED", shop_with_an_offer())
    path = reverse("upsell:undo", args=[undo_token(offer)])

    page = Client(enforce_csrf_checks=True).post(path).content.decode()

    assert f'href="{path}"' in page
    assert offer_token(offer) not in page


def test_a_script_is_told_by_a_code() -> None:
    offer = offer_in("SHOWN", shop_with_an_offer())
    browser = browser_with_a_check(offer, Accept="application/json")

    answer = browser.post(link("accept", offer), {"quote": "1"})

    assert (answer.status_code, answer.json()) == (403, {"code": "form_refused"})


def test_the_refusal_says_the_same_of_every_link() -> None:
    """Otherwise a stranger could try links without ever pressing a button."""
    offer = offer_in("SHOWN", shop_with_an_offer())
    told = {
        Client(enforce_csrf_checks=True)
        .post(reverse("upsell:accept", args=[token]))
        .content.decode()
        .replace(token, "")
        for token in (offer_token(offer), "A" * 43)
    }

    assert len(told) == 1


def test_a_webhook_needs_no_form() -> None:
    path = reverse("upsell:webhook", args=["card"])

    # 400 is the gateway's own answer: it was asked.
    assert Client(enforce_csrf_checks=True).post(path, b"{}", "application/json").status_code == 400
