"""Who follows a link of a message: a program counts nothing, a person counts once."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core import mail
from django.core.signing import Signer
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from example_shop.adapter import ExampleShop
from tests.factories import campaign, catalogue, order
from tests.services.journeys import END, KEY, MAIL, T0, D, go, journey, message, only, template
from tests.services.journeys import tell as told_by_shop
from tests.tables import unchanged
from tests.views.test_track import HERE, rendered
from upsell.models import EventInbox, GoalHit, MessageEvent, Offer, OutboxMessage
from upsell.models.tokens import offer_token
from upsell.presenting import message_links
from upsell.services import choosing_media, clicking, offering, reporting, templates

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.usefixtures("addressed"),
]

NOW = T0 + 6 * D


@pytest.fixture
def late(monkeypatch):
    """What happens after the mail happens six days after it."""
    monkeypatch.setattr("upsell.clock.database_now", lambda: NOW)
    monkeypatch.setattr("upsell.clock.now", lambda: NOW)


@pytest.fixture
def agreed(monkeypatch):
    monkeypatch.setattr(ExampleShop, "may_track", lambda shop, request: True, raising=False)


@pytest.fixture
def link(late) -> str:
    """Return the path of the button in a mail that a journey sent at T0."""
    placed = order(catalogue(), email="emily@example.org")
    with_blocks({"kind": "button", "label": "Tea", "link": "https://shop.example/tea/?a=1#top"})
    journey(
        {"mail": MAIL, "end": END},
        goals=[{"id": "bought", "event": "checkout.completed", "within": "P5D"}],
    )
    told_by_shop(order_ref=str(placed.pk))
    go(T0)
    return path_in_mail()


def with_blocks(*blocks: dict[str, str]) -> None:
    """Publish the message that the journey sends, with these blocks."""
    row = template()
    row.content["en"]["blocks"] += blocks
    row.save()
    templates.publish(row, user=None, now=T0)


def path_in_mail() -> str:
    (letter,) = mail.outbox
    return re.search(r"https://shop\.example(/upsell/follow/[^/\s]+/)", letter.body)[1]


def mark_in(path: str) -> str:
    """Follow a link; return the mark that its page is told."""
    address = Client().get(path)["Location"]
    return parse_qs(urlsplit(address).query)["upsell_from"][0]


def beacon(mark: str, **headers: str):
    """Let the page tell what it would: where somebody is, and what led there."""
    html = rendered(tag='"page.viewed"')
    sealed = unescape(re.search(r'data-upsell-told="([^"]+)"', html)[1])
    sent = {name: value for name, value in (HERE | headers).items() if value}
    return Client().post(
        "/upsell/track/", f"{sealed}\n{mark}", content_type="text/plain", headers=sent
    )


def reports() -> list[tuple[str, str]]:
    return list(MessageEvent.objects.values_list("provider", "kind"))


# ------------------------------------------------------------------ following


@pytest.mark.parametrize("method", ["get", "head"])
def test_a_link_leads_on_and_counts_nothing(link, method):
    browser = Client()
    with unchanged("by following"):
        answer = getattr(browser, method)(link)

    assert answer.status_code == 302
    assert re.fullmatch(
        r"https://shop\.example/tea/\?a=1&upsell_from=j%3A\d+%3Amail%3A\w+%3A[\w-]+#top",
        answer["Location"],
    )
    assert (answer["Cache-Control"], answer["X-Robots-Tag"]) == ("private, no-store", "noindex")
    assert not browser.cookies


def test_following_costs_no_statement(link, django_assert_num_queries):
    with django_assert_num_queries(0):
        Client().get(link)


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_a_link_is_only_followed(link, method):
    assert getattr(Client(), method)(link).status_code == 405


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(
            Signer(salt="upsell.follow").sign_object(["j:1", "https://evil.example/"]),
            id="signed, and of another host",
        ),
        pytest.param(
            Signer(salt="upsell.follow").sign_object(["j:1", "//evil.example/"]), id="no scheme"
        ),
        pytest.param(
            Signer(salt="upsell.follow").sign_object(
                ["j:1", "https://shop.example\\@evil.example"]
            ),
            id="backslash",
        ),
        pytest.param(
            Signer(salt="other").sign_object(["j:1", "https://shop.example/"]), id="another salt"
        ),
        pytest.param("A" * 43, id="guessed"),
        pytest.param("https:evil.example", id="an address"),
    ],
)
def test_nobody_is_led_elsewhere(token):
    answer = Client().get(reverse("upsell:follow", args=[token]))

    assert answer.status_code == 404 or answer["Location"].startswith("https://shop.example/")
    assert answer.status_code == 404 or "evil" not in urlsplit(answer["Location"]).netloc


def test_a_link_that_was_changed_leads_nowhere(link):
    token = link.split("/")[-2]
    body, _colon, _mac = token.partition(":")

    for other in (token[:-1], body, token + "A", token.replace(":", "."), "x" + token):
        assert Client().get(reverse("upsell:follow", args=[other])).status_code == 404


def test_a_link_holds_when_its_message_is_gone_and_counts_nothing(link, agreed):
    mark = mark_in(link)
    OutboxMessage.objects.all().delete()

    assert Client().get(link).status_code == 302
    assert beacon(mark).status_code == 204
    assert not reports()


def test_without_the_setting_old_links_lead_on_without_a_mark(link, settings):
    settings.UPSELL_CLICK_LINKS = False

    assert Client().get(link)["Location"] == "https://shop.example/tea/?a=1#top"


# ------------------------------------------------------------------ a page says so


def test_the_beacon_of_the_page_counts_once(link, agreed):
    mark = mark_in(link)

    for _time in range(3):
        assert beacon(mark).status_code == 204
    beacon(mark_in(link))

    row = message(only())
    assert row.clicked_at == NOW
    assert MessageEvent.objects.get().event_id == row.key
    assert reports() == [("upsell", "clicked")]
    assert set(EventInbox.objects.values_list("name", flat=True)) == {"order.placed", "page.viewed"}


@pytest.mark.parametrize(
    ("mark", "headers", "status"),
    [
        pytest.param("x", {}, 204, id="guessed"),
        pytest.param("", {}, 204, id="empty"),
        pytest.param("\n\n", {}, 204, id="line ends"),
        pytest.param("j:1:mail", {}, 204, id="unsigned"),
        pytest.param("A" * 50_000, {}, 204, id="very long"),
        pytest.param(None, {"Sec-Fetch-Site": "cross-site"}, 403, id="from another site"),
        pytest.param(None, {"User-Agent": "Scanner-Bot/1.0"}, 204, id="a robot"),
        pytest.param(None, {"Sec-Purpose": "prefetch"}, 204, id="looked ahead"),
    ],
)
def test_what_does_not_count(link, agreed, mark, headers, status):
    told = mark_in(link) if mark is None else mark

    assert beacon(told, **headers).status_code == status
    assert not reports()
    assert message(only()).clicked_at is None


def test_of_whoever_did_not_agree_nothing_is_kept_and_no_cookie_set(link, monkeypatch):
    monkeypatch.setattr(ExampleShop, "may_track", lambda shop, request: False, raising=False)

    answer = beacon(mark_in(link))

    assert (answer.status_code, len(answer.cookies)) == (204, 0)
    assert not reports()


def test_an_old_mark_does_not_count(link, agreed, monkeypatch):
    mark = mark_in(link)
    monkeypatch.setattr("upsell.presenting.clicks.HOLDS", timedelta(seconds=-1))

    beacon(mark)

    assert not reports()


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"state": "CANCELLED"}, id="did not go"),
        pytest.param({"state": "DRY_RUN"}, id="for show"),
        pytest.param({"customer_key": ""}, id="erased"),
    ],
)
def test_only_a_message_that_went_out_is_clicked(link, agreed, values):
    OutboxMessage.objects.update(**values)

    beacon(mark_in(link))

    assert not reports()


def test_a_message_that_perhaps_went_out_did(link, agreed):
    OutboxMessage.objects.update(state="UNKNOWN", sent_at=None)

    beacon(mark_in(link))

    assert message(only()).state == "SENT"


def test_an_error_of_ours_costs_the_page_nothing(link, agreed, monkeypatch, caplog):
    mark = mark_in(link)
    monkeypatch.setattr(reporting, "hear", lambda **told: 1 / 0)

    assert beacon(mark).status_code == 204
    assert EventInbox.objects.filter(name="page.viewed").exists()
    assert "could not be noted" in caplog.text


# ------------------------------------------------------------------ what follows


@pytest.mark.parametrize(
    ("clicked", "hits"), [pytest.param(True, 1, id="clicked"), pytest.param(False, 0, id="not")]
)
def test_j41_the_window_of_a_goal_begins_with_the_click(link, agreed, clicked, hits):
    if clicked:
        beacon(mark_in(link))

    told_by_shop("checkout.completed", at=NOW + 5 * D, total="20.00", currency="EUR")
    told_by_shop("checkout.completed", at=NOW + 5 * D + timedelta(seconds=1), total="1.00")

    assert GoalHit.objects.filter(message=message(only())).count() == hits


def test_a_click_speaks_for_the_medium(link, agreed):
    rows = choosing_media._sent(NOW)
    before = choosing_media._told(rows)["email"]

    beacon(mark_in(link))

    after = choosing_media._told(rows)["email"]
    assert (before.deliveries, before.clicks) == (1, 0)
    assert (after.deliveries, after.clicks) == (1, 1)


def test_what_the_provider_reported_before_stays(link, agreed):
    row = message(only())
    earlier = NOW - D
    reporting.hear(provider="other", kind="clicked", event_id="1", message_id=row.pk, at=earlier)

    beacon(mark_in(link))

    row.refresh_from_db()
    assert row.clicked_at == earlier
    assert sorted(reports()) == [("other", "clicked"), ("upsell", "clicked")]


# ------------------------------------------------------------------ a form says so


def test_a_feedback_counts_as_having_come(link):
    row = message(only())
    rated = message_links.Rated(customer_key=KEY, order_ref="", message=row.key)

    path = message_links.feedback_path(rated)
    Client().get(path, {"score": 5})
    assert not reports()
    Client().post(path, {"score": 5})

    assert reports() == [("upsell", "clicked")]


def test_nothing_is_noted_of_no_message():
    assert clicking.confirm("") is False
    assert clicking.confirm("j:0:none") is False


@pytest.fixture
def offered() -> str:
    """Return the path of the button to an offer, in a mail that a journey sent just now."""
    products = catalogue()
    campaign(products["CA"], products["W1"], kind="CROSS_SELL")
    now = timezone.now()
    placed = order(products, placed_at=now, email="emily@example.org")
    offering.offer_for(order_ref=str(placed.pk), now=now, show=True)
    with_blocks({"kind": "offer_card", "label": "See it"})
    offer = {"type": "offer", "to": {"offer": "mail", "suggestions": "mail", "none": "end"}}
    journey({"offer": offer, "mail": MAIL, "end": END})
    told_by_shop(order_ref=str(placed.pk), at=now)
    go(now)
    return path_in_mail()


def page_behind(path: str, browser: Client) -> tuple[str, dict[str, str]]:
    """Follow a link to an offer; return its page, and what its forms hold."""
    address = browser.get(path)["Location"].removeprefix("https://shop.example")
    page = browser.get(address).content.decode()
    assert page.count('name="upsell_from"') == 2
    return page, dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)">', page))


@pytest.mark.parametrize("name", ["accept", "decline"])
def test_the_answer_to_an_offer_says_which_message_led_to_it(offered, name):
    buyer = Client(enforce_csrf_checks=True)
    offer = Offer.objects.get()
    with unchanged("by looking"):
        _page, fields = page_behind(offered, buyer)

    buyer.post(reverse(f"upsell:{name}", args=[offer_token(offer)]), fields)

    row = message(only())
    assert reports() == [("upsell", "clicked")]
    assert row.clicked_at is not None


@pytest.mark.parametrize(
    "mark", [pytest.param(None, id="none"), "x", "j:1:mail", pytest.param('"><b>', id="markup")]
)
def test_an_answer_without_a_mark_of_ours_is_taken_and_counts_nothing(offered, mark):
    path = reverse("upsell:offer", args=[offer_token(Offer.objects.get())])
    page = Client().get(path, {"upsell_from": mark} if mark else {}).content.decode()
    assert "upsell_from" not in page

    told = {"quote": "1"} | ({"upsell_from": mark} if mark else {})
    assert Client().post(f"{path}decline/", told).status_code == 303

    assert Offer.objects.get().state == "DECLINED"
    assert not reports()


def test_a_form_that_is_not_ours_counts_nothing(offered):
    buyer = Client(enforce_csrf_checks=True)
    _page, fields = page_behind(offered, buyer)
    fields.pop("csrfmiddlewaretoken")

    path = reverse("upsell:decline", args=[offer_token(Offer.objects.get())])
    assert buyer.post(path, fields).status_code == 403
    assert not reports()


def test_an_error_of_ours_costs_the_buyer_nothing(offered, monkeypatch, caplog):
    _page, fields = page_behind(offered, Client())
    monkeypatch.setattr(reporting, "hear", lambda **told: 1 / 0)

    path = reverse("upsell:decline", args=[offer_token(Offer.objects.get())])
    assert Client().post(path, fields).status_code == 303
    assert Offer.objects.get().state == "DECLINED"
    assert "could not be noted" in caplog.text
