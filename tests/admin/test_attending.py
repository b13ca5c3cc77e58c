"""The two buttons of an offer that needs attention: who sees them, what they say, what they do."""

from __future__ import annotations

import re

import pytest

from example_shop.models import Order
from tests import factories
from tests.admin.screens import said, url
from tests.admin.test_offers import timeline
from tests.standing import offer_in
from tests.tables import unchanged
from upsell.models import Offer, Refund

pytestmark = pytest.mark.django_db(transaction=True)

BUTTONS = {"ask": "Ask the provider again", "refund": "Give the money back and close"}


@pytest.fixture
def waiting(shop, gateway) -> Offer:
    """24 were asked, and the provider took 25."""
    factories.campaign(shop["CA"])
    return offer_in("NEEDS_ATTENTION", shop)


def words(response) -> str:
    """What a person reads on a page, in one line."""
    main = response.content.decode().split('id="content"')[1].split('id="footer"')[0]
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", main)).replace("&quot;", '"')


@pytest.mark.parametrize(
    ("rights", "buttons"),
    [
        pytest.param(["view_offer"], set(), id="may look"),
        pytest.param(["view_offer", "ask_offer"], {"ask"}, id="may ask"),
        pytest.param(["view_offer", "refund_offer"], {"refund"}, id="may give back"),
        pytest.param(["view_offer", "ask_offer", "refund_offer"], {"ask", "refund"}, id="both"),
    ],
)
def test_each_button_is_for_who_has_its_right(rights, buttons, client, waiting, signed_in):
    signed_in(*rights)

    page = client.get(url("offer_change", waiting.pk)).content.decode()

    for name, label in BUTTONS.items():
        assert (f">{label}</a>" in page) == (name in buttons)
        address = url(f"offer_{name}", waiting.pk)
        assert client.get(address).status_code == (200 if name in buttons else 403)
        if name not in buttons:
            with unchanged(name):
                assert client.post(address).status_code == 403


@pytest.mark.parametrize("rights", [["ask_offer", "refund_offer"]])
def test_who_may_not_see_offers_may_not_settle_them(rights, client, waiting, signed_in):
    signed_in(*rights)

    for name in BUTTONS:
        assert client.post(url(f"offer_{name}", waiting.pk)).status_code == 403
    assert Offer.objects.get().state == "NEEDS_ATTENTION"


def test_an_offer_of_another_channel_is_not_there(client, waiting, signed_in):
    signed_in("view_offer", "ask_offer", "refund_offer", channels=("elsewhere",))

    for name in BUTTONS:
        with unchanged(name):
            assert client.get(url(f"offer_{name}", waiting.pk)).status_code == 404
            assert client.post(url(f"offer_{name}", waiting.pk)).status_code == 404
    assert "Needs attention (0)" in words(client.get(url("offer_changelist")))


@pytest.mark.parametrize(
    ("name", "sentences"),
    [
        ("ask", ["asked what became of the payment of €24.00. Asking charges nothing.",
                 "nothing changes, and the offer waits on. The order is not changed."]),
        ("refund", ["€25.00 goes back to where the buyer paid from",
                    "The order stays as it is: nothing is added to it, nothing is taken out.",
                    "What is held for the buyer, 1 × CA, goes back on the shelf.",
                    "The offer closes as failed", "This cannot be undone."]),
    ],
)  # fmt: skip
def test_a_page_says_before_what_it_will_do_and_changes_nothing(
    name, sentences, client, boss, waiting
):
    with unchanged(name):
        told = words(client.get(url(f"offer_{name}", waiting.pk)))

    for sentence in [*sentences, "Taken, as the provider says €25.00", "refused to give"]:
        assert sentence in told, sentence


def test_given_back_at_the_press_of_a_button_once_however_often(client, boss, waiting, gateway):
    address = url("offer_refund", waiting.pk)

    first, second = (client.post(address, follow=True) for _ in range(2))

    assert said(first) == ["Nothing that was paid for it is kept."]
    assert said(second) == ["It did not need anybody any more."]
    assert gateway.charged(waiting.order_ref) == 0
    assert [row.amount for row in Refund.objects.all()] == [25]
    assert Order.objects.get().total_gross == 600
    assert timeline(client, waiting)[-5:] == [
        ("needs attention", "–", "–", "The payment provider refused to give the money back."),
        ("staff gave the money back and closed it", "needs attention", "boss (staff)",
         "The payment provider refused to give the money back."),
        ("money given back", "–", "–",
         "Staff gave it up; what had been charged went back to the buyer."),
        ("failed", "needs attention", "boss (staff)",
         "Staff gave it up; what had been charged went back to the buyer."),
        ("what came of that", "needs attention", "boss (staff)",
         "Nothing that was paid for it is kept."),
    ]  # fmt: skip
    assert "needs your attention" not in words(first)


def test_asked_again_at_the_press_of_a_button(client, boss, waiting):
    answer = client.post(url("offer_ask", waiting.pk), follow=True)

    assert said(answer) == ["The provider says nothing new: nothing was changed."]
    assert Offer.objects.get().state == "NEEDS_ATTENTION"
    assert timeline(client, waiting)[-2][:3] == (
        "staff asked the provider again", "needs attention", "boss (staff)",
    )  # fmt: skip


def test_the_queue_says_why_each_waits(client, boss, waiting, shop):
    offer_in("SHOWN", shop)

    page = client.get(url("offer_changelist") + "?attention=yes")

    assert [row.pk for row in page.context["cl"].result_list] == [waiting.pk]
    assert "refused to give the money back" in words(page)
    assert "Needs attention (1)" in words(page)


def test_an_empty_queue_says_so(client, boss, shop):
    page = client.get(url("offer_changelist") + "?attention=yes")

    assert "Nothing needs your attention." in words(page)
