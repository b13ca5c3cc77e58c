"""Messages on the host's pages: the tag, its cached sister, and the button that closes one."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import DatabaseError, transaction
from django.http import HttpRequest
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.utils import translation

from example_shop.adapter import ExampleShop
from tests.hostile import XSS, led_away, shape_of
from tests.services.journeys import END, KEY, MAIL, T0, D, journey, move, tell
from upsell import clock
from upsell.models import MessageTemplate, OutboxMessage
from upsell.services import journey_showing, templates

pytestmark = pytest.mark.django_db(transaction=True)

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
HERE = {"Sec-Fetch-Site": "same-origin", "User-Agent": BROWSER}
SHOW = MAIL | {"medium": "onsite", "template": "words"}
BLOCKS = [
    {"kind": "heading", "text": "Before you fly"},
    {"kind": "text", "text": "Your seat is free.\nBe quick.\n\nOr not."},
    {"kind": "image", "url": "https://shop.example/seat.png", "alt": "A seat"},
    {"kind": "button", "label": "Choose it", "link": "https://shop.example/seats"},
    {"kind": "offer_card", "label": "Look at it"},
    {"kind": "suggestion_row", "text": "Fits", "most": 2},
    {"kind": "rating", "text": "How was it?", "link": "links.rating"},
]
FROZEN = {
    "offer.name": "A seat",
    "offer.headline": "Sit by the window",
    "offer.price_shown": "12.00 €",
    "offer.due_shown": "12.00 €",
    "suggestion.1.name": "A pillow",
    "suggestion.1.price": "9.00 €",
    "suggestion.1.url": "https://shop.example/pillow",
}


@pytest.fixture(autouse=True)
def _now(settings, monkeypatch):
    settings.UPSELL_BASE_URL = "https://shop.example"
    monkeypatch.setattr(clock, "now", lambda: T0)


def waits(blocks=None, *, subject: str = "About your flight", category="marketing", **frozen):
    """Let a message wait for the next visit."""
    row = MessageTemplate.objects.create(
        slug="words",
        name="words",
        medium="onsite",
        content={"en": {"subject": subject, "blocks": blocks or BLOCKS[:2]}},
    )
    templates.publish(row, user=None, now=T0)
    journey({"show": SHOW, "end": END}, category=category)
    tell()
    move(T0)
    OutboxMessage.objects.update(variables=frozen)
    return OutboxMessage.objects.get()


def visit(path: str = "/tea/?page=2", key: str = KEY) -> HttpRequest:
    made = RequestFactory().get(path, headers={"User-Agent": BROWSER})
    made.user, made.session = AnonymousUser(), {}
    if key:
        made.user, _new = User.objects.get_or_create(pk=int(key[2:]), username=key)
    return made


def page(request: HttpRequest | None = None, tag: str = "upsell_messages") -> str:
    made = Template("{% load upsell %}[{% " + tag + " %}]").render(
        Context({"request": request or visit()})
    )
    return made[1:-1]


def browser(**options) -> Client:
    client = Client(**options)
    user, _new = User.objects.get_or_create(pk=int(KEY[2:]), username=KEY)
    client.force_login(user)
    return client


# ------------------------------------------------------------------ the tag


def test_it_is_shown_on_one_page_and_not_on_the_next():
    waits()

    html = page()

    assert "<h2>Before you fly</h2>" in html
    assert "<p>Your seat is free.<br>Be quick.</p><p>Or not.</p>" in html
    assert 'aria-label="About your flight"' in html
    assert page() == ""
    assert OutboxMessage.objects.get().state == "SENT"


def test_a_page_without_a_message_has_nothing_of_ours_on_it():
    assert page() == ""
    assert page(visit(key="")) == ""


OFFER = "https://shop.example/upsell/offers/t/"


@pytest.fixture
def offered(monkeypatch):
    """As if the run had an offer, whose link is made when the message is shown."""
    links = journey_showing.journey_letters.links_of
    told = {"offer.link": OFFER}
    monkeypatch.setattr(
        journey_showing.journey_letters, "links_of", lambda *row: links(*row) | told
    )


def test_every_block_is_shown(offered):
    waits(BLOCKS, **FROZEN)

    html = page()

    assert '<img src="https://shop.example/seat.png" alt="A seat">' in html
    assert 'href="https://shop.example/seats">Choose it</a>' in html
    assert "Sit by the window" in html
    assert "12.00 €" in html
    assert f'href="{OFFER}">Look at it</a>' in html
    assert 'href="https://shop.example/pillow"' in html
    assert "9.00 €" in html
    assert html.count("score=") == 5
    assert "score=5" in html


def test_a_message_without_a_subject_is_named_all_the_same():
    waits(subject="")

    assert 'aria-label="A message for you"' in page()


def test_it_runs_under_a_strict_policy():
    waits(BLOCKS[:4])

    html = page()

    assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|javascript:", html)


@pytest.mark.parametrize("text", [text for text in XSS if "\x00" not in text])
def test_what_the_shop_calls_a_product_is_text(text, offered):
    row = waits(BLOCKS, subject="{offer.name|it}", **FROZEN)
    plain = page()
    assert plain
    again = dict.fromkeys(FROZEN, text) | {
        "offer.headline": f"{text} and more",
        "suggestion.1.url": FROZEN["suggestion.1.url"],
    }
    OutboxMessage.objects.update(state="PENDING", variables=again, sent_at=None)

    html = page()

    assert shape_of(html) == shape_of(plain)
    assert not led_away(html)
    assert OutboxMessage.objects.get(pk=row.pk).state == "SENT"


@pytest.mark.parametrize(("category", "leaves"), [("marketing", True), ("transactional", False)])
def test_only_marketing_has_a_link_to_leave_by(category, leaves):
    waits(category=category)

    html = page()

    assert ("/upsell/unsubscribe/" in html) is leaves


def test_its_link_to_leave_ends_messages_on_pages():
    waits()
    path = re.search(r'href="https://shop\.example(/upsell/unsubscribe/[^"]+)"', page())[1]

    assert Client().post(unescape(path)).status_code == 200
    tell("order.placed", at=T0 + D, event_id="again")
    move(T0 + D)

    assert OutboxMessage.objects.order_by("-pk").first().state == "SKIPPED"


def test_it_sets_no_cookie_and_asks_for_no_token():
    waits()
    request = visit()

    assert "csrf" not in page(request)
    assert "CSRF_COOKIE" not in request.META


def test_it_speaks_the_language_of_the_page(settings):
    waits()
    content = {
        "en": {"subject": "Hello", "blocks": BLOCKS[:1]},
        "de": {"subject": "Hallo", "blocks": [{"kind": "heading", "text": "Vor dem Flug"}]},
    }
    row = MessageTemplate.objects.get()
    row.content = content
    row.save()
    version = templates.publish(row, user=None, now=T0)
    OutboxMessage.objects.update(template=version)

    with translation.override("de"):
        html = page()

    assert "Vor dem Flug" in html
    assert 'lang="de"' in html


def test_a_host_page_without_a_request_or_with_a_broken_shop_works(monkeypatch, caplog):
    waits()
    assert Template("{% load upsell %}{% upsell_messages %}").render(Context({})) == ""

    def broken(shop, request):
        raise RuntimeError("the shop is down")

    monkeypatch.setattr(ExampleShop, "customer", broken)
    assert page() == ""
    assert "could not be rendered" in caplog.text
    assert OutboxMessage.objects.get().state == "PENDING"


def test_a_database_that_raises_does_not_spoil_the_hosts_transaction(monkeypatch):
    waits()

    def broken(*arguments, **options):
        with transaction.get_connection().cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")

    monkeypatch.setattr(journey_showing, "_settled", broken)
    with transaction.atomic():
        assert page() == ""
        User.objects.create_user("after")

    assert User.objects.filter(username="after").exists()
    assert OutboxMessage.objects.get().state == "PENDING"
    assert issubclass(DatabaseError, Exception)


def test_an_unknown_visitor_costs_a_page_in_a_transaction_nothing(django_assert_num_queries):
    waits()
    request = visit(key="")

    with transaction.atomic(), django_assert_num_queries(0):
        assert page(request) == ""


# ------------------------------------------------------------------ closing


def closes(html: str) -> str:
    return unescape(re.search(r'<form[^>]* method="post" action="([^"]+)"', html)[1])


def test_closing_needs_no_script_and_leads_back_to_the_page():
    waits()
    action = closes(page())

    answer = Client(enforce_csrf_checks=True).post(action)

    assert (answer.status_code, answer["Location"]) == (303, "/tea/?page=2")
    assert not answer.cookies
    assert OutboxMessage.objects.get().reason == "dismissed"


@pytest.mark.parametrize(
    "path", ["//evil.example/", "//evil.example/?next=//evil.example", "/\\evil.example/"]
)
def test_closing_never_leads_elsewhere(path):
    waits()
    request = visit()
    request.path = path
    action = closes(page(request))

    back = Client().post(action)["Location"]

    assert re.match(r"/(?![/\\])", back)


def test_a_link_that_nobody_made_closes_nothing():
    waits()
    action = closes(page())
    token = action.split("/")[-3]

    for other in (token[::-1], token[1:], "x"):
        assert Client().post(action.replace(token, other)).status_code == 404
    assert OutboxMessage.objects.get().reason == ""


def test_looking_at_the_link_closes_nothing():
    waits()

    assert Client().get(closes(page())).status_code == 405
    assert OutboxMessage.objects.get().reason == ""


# ------------------------------------------------------------------ pages that are cached


def test_a_cached_page_has_a_placeholder_that_costs_nothing(django_assert_num_queries):
    waits()
    request = visit()

    with django_assert_num_queries(0):
        html = page(request, "upsell_messages lazy=True")

    assert 'data-upsell-lazy="/upsell/onsite/"' in html
    assert OutboxMessage.objects.get().state == "PENDING"


def test_its_script_fetches_the_message_of_whoever_looks():
    waits()
    client = browser()

    answer = client.get("/upsell/onsite/", headers=HERE | {"Referer": "http://testserver/a/?b=1"})

    html = answer.content.decode()
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "private, no-store"
    assert "Before you fly" in html
    assert "messages.css" in html
    assert Client().post(closes(html))["Location"] == "/a/?b=1"
    assert client.get("/upsell/onsite/", headers=HERE).status_code == 204


@pytest.mark.parametrize(
    "referer", ["", "https://evil.example/a/", "http://testserver.evil.example/a/", "nonsense"]
)
def test_where_no_page_of_the_shop_says_it_asked_closing_leads_to_the_front(referer):
    waits()

    answer = browser().get("/upsell/onsite/", headers=HERE | {"Referer": referer})

    assert Client().post(closes(answer.content.decode()))["Location"] == "/"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="a picture on another site"),
        pytest.param({"Sec-Fetch-Site": "none"}, id="typed"),
        pytest.param({"Sec-Purpose": "prefetch"}, id="a prefetch"),
        pytest.param({"User-Agent": "Googlebot/2.1"}, id="a robot"),
    ],
)
def test_what_is_not_a_page_of_the_shop_uses_nothing_up(headers):
    waits()

    assert browser().get("/upsell/onsite/", headers=HERE | headers).status_code == 204
    assert OutboxMessage.objects.get().state == "PENDING"


def test_the_example_shop_shows_it_on_its_pages_and_not_in_the_checkout():
    waits()
    client = browser()
    client.defaults["HTTP_USER_AGENT"] = BROWSER

    for path in ("/basket/", "/"):
        html = client.get(path).content.decode()
        assert ("Before you fly" in html) is (path == "/basket/")
