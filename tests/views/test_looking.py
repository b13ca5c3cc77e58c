"""Looking changes nothing: every address, every state, compared with all tables (I12)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone

from example_shop.models import Product
from tests.factories import campaign, catalogue
from tests.standing import STATES, offer_in
from tests.tables import changes, dump, unchanged
from upsell.models import Offer, OfferEvent
from upsell.models.tokens import offer_token, undo_token

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> dict[str, Product]:
    products = catalogue()
    Product.objects.update(stock=None)
    campaign(products["W2"], products["W1"], kind="UPSELL")
    return products


def in_session(offer: Offer, **headers: str) -> Client:
    """Return the browser in which the order was placed."""
    client = Client(headers=headers)
    session = client.session
    session["order_ref"] = offer.order_ref
    session.save()
    return client


def addresses(offer: Offer) -> list[str]:
    """Return every address there is of one offer, by both of its links."""
    patterns = get_resolver("upsell.urls").url_patterns
    told = [reverse("upsell:fragment"), reverse("upsell:webhook", args=["card"])]
    for pattern in patterns:
        if "token" in pattern.pattern.converters:
            for token in (offer_token(offer), undo_token(offer)):
                told.append(reverse(f"upsell:{pattern.name}", args=[token]))
    assert {pattern.name for pattern in patterns} >= {"offer", "fragment", "webhook"}
    return told


@pytest.mark.parametrize("state", [state for state in STATES if state != "CREATED"])
def test_looking_changes_no_row(state, shop) -> None:
    offer = offer_in(state, shop)
    buyer, holder = in_session(offer), Client()

    for path in addresses(offer):
        for browser in (buyer, holder):
            for method in ("get", "head", "options"):
                with unchanged(f"{method} {path}"):
                    assert getattr(browser, method)(path).status_code < 500


def test_looking_changes_no_row_where_nothing_was_offered(client, shop) -> None:
    for path in (reverse("upsell:fragment"), reverse("upsell:offer", args=["A" * 43])):
        with unchanged(path):
            client.get(path)


def test_the_first_look_of_the_buyer_stamps_once(shop) -> None:
    offer = offer_in("CREATED", shop)
    buyer, before = in_session(offer), dump()

    for _again in range(3):
        buyer.get(reverse("upsell:offer", args=[offer_token(offer)]))

    moved = changes(before, dump())
    was, now = sorted(moved.pop("upsell_offer"), key=lambda row: row["state"])
    assert {name for name in was if was[name] != now[name]} == {"state", "first_shown_at"}
    assert (was["state"], now["state"]) == ("CREATED", "SHOWN")
    assert [row["kind"] for row in moved.pop("upsell_offerevent")] == ["shown"]
    assert moved == {}


AHEAD = {"Sec-Purpose": "prefetch"}
ROBOT = {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}


@pytest.mark.parametrize(
    ("method", "name", "headers"),
    [
        pytest.param("head", "offer", {}, id="only the headers"),
        pytest.param("get", "offer", AHEAD, id="a browser that looks ahead"),
        pytest.param("get", "offer", ROBOT, id="a robot"),
        pytest.param("get", "status", {}, id="the script that waits"),
        pytest.param("get", "return", {}, id="back from a bank nobody went to"),
        pytest.param("get", "undo", {}, id="a scanner of mails"),
    ],
)
def test_nobody_who_looks_like_that_stamps(method, name, headers, shop) -> None:
    offer = offer_in("CREATED", shop)
    buyer = in_session(offer, **headers)

    with unchanged():
        getattr(buyer, method)(reverse(f"upsell:{name}", args=[offer_token(offer)]))


@pytest.mark.parametrize("name", ["offer", "seen"])
def test_a_holder_of_the_link_does_not_stamp(name, shop) -> None:
    """A first impression is the buyer's: somebody the link was sent on to is none."""
    offer = offer_in("CREATED", shop)
    method = "post" if name == "seen" else "get"

    with unchanged():
        getattr(Client(), method)(reverse(f"upsell:{name}", args=[offer_token(offer)]))


@pytest.mark.parametrize("name", ["offer", "seen"])
def test_what_is_over_is_not_seen_any_more(name, shop) -> None:
    """Shown counts against later campaigns; from the instant of expiry nothing was shown."""
    offer = offer_in("CREATED", shop)
    now = timezone.now()
    Offer.objects.update(created_at=now - timedelta(hours=1), expires_at=now)
    buyer, method = in_session(offer), "post" if name == "seen" else "get"

    with unchanged():
        getattr(buyer, method)(reverse(f"upsell:{name}", args=[offer_token(offer)]))


def test_seen_stamps_once(shop) -> None:
    offer = offer_in("CREATED", shop)
    buyer = in_session(offer)

    for _again in range(3):
        assert buyer.post(reverse("upsell:seen", args=[offer_token(offer)])).status_code == 204

    assert Offer.objects.get().state == "SHOWN"
    assert OfferEvent.objects.filter(kind="shown").count() == 1


@pytest.mark.parametrize("state", ["DECLINED", "EXPIRED", "REVOKED"])
def test_the_fragment_says_nothing_of_what_is_over(state, shop) -> None:
    """As the tag does: a page that is kept in a cache looks like one that is not."""
    offer = offer_in(state, shop)

    assert in_session(offer).get(reverse("upsell:fragment")).status_code == 204


def test_the_fragment_decides_once_for_the_buyer_alone(shop) -> None:
    """The one GET of ours that may write: the thank-you page's own, for pages that are cached."""
    offer = offer_in("CREATED", shop)
    order_ref = offer.order_ref
    OfferEvent.objects.all().purge()
    Offer.objects.all().delete()
    offer.decision.delete()
    buyer, robot = in_session(offer), in_session(offer, **ROBOT)

    with unchanged("a robot"):
        robot.get(reverse("upsell:fragment"))
    with unchanged("a stranger"):
        Client().get(reverse("upsell:fragment"))
    assert buyer.get(reverse("upsell:fragment")).status_code == 200
    assert Offer.objects.get().order_ref == order_ref
    with unchanged("again"):
        buyer.get(reverse("upsell:fragment"))
