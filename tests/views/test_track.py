"""What a page tells of its visitor: only with a yes, only by the shop's own words, once."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape

import pytest
from django.contrib.auth import get_user_model
from django.core import signing
from django.core.cache import cache
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.utils.functional import SimpleLazyObject

from example_shop.adapter import ExampleShop
from tests.hostile import XSS
from upsell import clock
from upsell.models import EventInbox
from upsell.presenting import telling, visitors

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
HERE = {"Sec-Fetch-Site": "same-origin", "User-Agent": BROWSER}


@pytest.fixture(autouse=True)
def _empty():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def agreed(monkeypatch):
    monkeypatch.setattr(ExampleShop, "may_track", lambda shop, request: True, raising=False)


@pytest.fixture
def refused(monkeypatch):
    monkeypatch.setattr(ExampleShop, "may_track", lambda shop, request: False, raising=False)


def rendered(tag: str = '"product.viewed" product="7"', path: str = "/tea/", **values) -> str:
    request = RequestFactory().get(path)
    template = Template(f"{{% load upsell %}}{{% upsell_track {tag} %}}")
    return template.render(Context({"request": request, **values}))


def told(**arguments) -> str:
    """Return what the element holds: what the script posts as it is."""
    return unescape(re.search(r'data-upsell-told="([^"]+)"', rendered(**arguments))[1])


def tell(body: str | None = None, *, client: Client | None = None, **headers: str):
    browser = client or Client()
    text = told() if body is None else body
    sent = {name: value for name, value in (HERE | headers).items() if value}
    return browser.post("/upsell/track/", text, content_type="text/plain", headers=sent)


# ------------------------------------------------------------------ the tag


def test_the_page_holds_one_element_without_inline_code():
    html = rendered()

    assert html.count("<") == 2
    assert re.fullmatch(
        r'<script src="/static/upsell/track\.js" defer data-upsell-track="/upsell/track/" '
        r'data-upsell-told="[^"<>]+"></script>',
        html,
    )


def test_it_costs_the_page_no_statement(django_assert_num_queries):
    def asked():
        raise AssertionError("the page was made for one visitor")

    request = RequestFactory().get("/tea/")
    request.user = request.session = SimpleLazyObject(asked)
    template = Template('{% load upsell %}{% upsell_track "product.viewed" product=product %}')

    with django_assert_num_queries(0):
        html = template.render(Context({"request": request, "product": "7"}))

    assert "data-upsell-told" in html


@pytest.mark.parametrize(
    ("tag", "path", "parameters"),
    [
        pytest.param(
            '"product.viewed" product="7"',
            "/tea/?q=secret",
            {"path": "/tea/", "product_ref": "7"},
            id="a look says where, and nothing after the question mark",
        ),
        pytest.param(
            '"page.viewed"',
            "/?utm_source=news&utm_medium=mail&utm_campaign=spring",
            {"path": "/", "source": "news", "medium": "mail", "campaign": "spring"},
            id="and what led there",
        ),
        pytest.param(
            '"page.viewed" path="/elsewhere/"', "/tea/", {"path": "/elsewhere/"}, id="or as told"
        ),
        pytest.param(
            '"checkout.started" value=value', "/", {"value": "19.90"}, id="another says only that"
        ),
    ],
)
def test_what_it_tells(tag, path, parameters, agreed):
    tell(told(tag=tag, path=path, value=Decimal("19.90")))

    assert EventInbox.objects.get().parameters == parameters


@pytest.mark.parametrize(
    ("tag", "values"),
    [
        pytest.param('"Product viewed"', {}, id="no name"),
        pytest.param('"product.viewed" ratio=ratio', {"ratio": 0.5}, id="float"),
        pytest.param('"product.viewed" request=none', {"request": None}, id="no request"),
    ],
)
def test_what_cannot_be_told_renders_nothing(tag, values):
    assert rendered(tag=tag, **values) == ""


def test_a_mistake_of_ours_never_reaches_the_page(monkeypatch, caplog):
    def raises(*args, **kwargs):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(ExampleShop, "ref", raises)

    assert rendered() == ""
    assert len([row for row in caplog.records if row.exc_info]) == 1


@pytest.mark.parametrize("text", [text for text in XSS if "\x00" not in text])
def test_what_it_says_stays_in_its_attribute(text, agreed):
    html = rendered(tag='"page.viewed" words=words', words=text)

    assert html.count("<") == 2
    tell(unescape(re.search(r'told="([^"]+)"', html)[1]))
    assert EventInbox.objects.get().parameters["words"] == text


# ------------------------------------------------------------------ whose it is


def test_who_agreed_is_known_again_by_a_cookie_of_ours(agreed):
    browser = Client()

    first = tell(client=browser)
    second = tell(client=browser)

    morsel = first.cookies[visitors.COOKIE]
    assert (first.status_code, first.content) == (204, b"")
    assert (morsel["samesite"], morsel["httponly"], morsel["secure"]) == ("Lax", True, "")
    assert (morsel["max-age"], morsel["domain"]) == (365 * 24 * 3600, "")
    assert visitors.COOKIE not in second.cookies
    (key,) = set(EventInbox.objects.values_list("customer_key", flat=True))
    assert re.fullmatch(r"v:[0-9a-f]{32}", key)
    assert EventInbox.objects.filter(source="TAG", name="product.viewed").count() == 2


def test_over_tls_the_cookie_is_for_tls(agreed):
    answer = Client().post(
        "/upsell/track/", told(), content_type="text/plain", headers=HERE, secure=True
    )

    assert answer.cookies[visitors.COOKIE]["secure"] is True


@pytest.mark.parametrize("signed_in", [True, False])
def test_without_a_yes_nothing_is_kept(signed_in, refused):
    browser = Client()
    if signed_in:
        browser.force_login(get_user_model().objects.create(username="bob"))
        browser.cookies.pop("csrftoken", None)

    answer = tell(client=browser)

    assert answer.status_code == 204
    assert visitors.COOKIE not in answer.cookies
    assert not EventInbox.objects.exists()


def test_who_is_signed_in_needs_no_cookie(agreed):
    user = get_user_model().objects.create(username="bob")
    browser = Client()
    browser.force_login(user)

    answer = tell(client=browser)

    assert visitors.COOKIE not in answer.cookies
    assert EventInbox.objects.get().customer_key == f"u:{user.pk}"


def test_told_twice_by_one_visitor_it_is_one_event_and_by_two_it_is_two(agreed):
    page, one, other = told(), Client(), Client()
    for browser in (one, one, other, one):
        assert tell(page, client=browser).status_code == 204

    assert EventInbox.objects.count() == 2


# ------------------------------------------------------------------ who may tell


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        pytest.param({}, 204, id="a page of the shop"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="another site's page"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, 403, id="a sister's page"),
        pytest.param({"Sec-Fetch-Site": "none"}, 403, id="nobody's page"),
        pytest.param(
            {"Sec-Fetch-Site": "", "Origin": "http://testserver"}, 204, id="older browser"
        ),
        pytest.param({"Sec-Fetch-Site": "", "Origin": "http://evil.example"}, 403, id="its lie"),
        pytest.param({"Sec-Fetch-Site": "", "Origin": "null"}, 403, id="a sandbox"),
        pytest.param({"Sec-Fetch-Site": ""}, 403, id="no browser"),
        pytest.param({"User-Agent": "Googlebot/2.1"}, 204, id="robot"),
        pytest.param({"Sec-Purpose": "prefetch;prerender"}, 204, id="a browser's guess"),
    ],
)
def test_who_may_tell(headers, code, agreed):
    answer = tell(**headers)

    counted = code == 204 and not headers.keys() & {"User-Agent", "Sec-Purpose"}
    assert answer.status_code == code
    assert EventInbox.objects.exists() is counted
    assert (visitors.COOKIE in answer.cookies) is counted


FORGED = ["0" * 32, "product.viewed", "", {}]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="nothing"),
        pytest.param(json.dumps(FORGED), id="unsigned"),
        pytest.param(signing.dumps(FORGED, key="another", salt="upsell.track"), id="another key"),
        pytest.param(signing.dumps(FORGED, salt="upsell.visitor"), id="another purpose"),
        pytest.param(b"\xff\xfe".decode("latin-1"), id="no text"),
        pytest.param("a" * (telling.MOST_BYTES + 1), id="too long"),
    ],
)
def test_what_the_shop_did_not_write_is_refused(body, agreed):
    assert tell(body).status_code == 400
    assert not EventInbox.objects.exists()


def test_a_changed_word_is_refused(agreed):
    text = told()

    assert tell(text[:5] + ("A" if text[5] != "A" else "B") + text[6:]).status_code == 400


def test_a_page_of_yesterday_tells_nothing_any_more(agreed, monkeypatch):
    text = told()
    monkeypatch.setattr(telling, "HOLDS", timedelta(seconds=-1))

    assert tell(text).status_code == 400


def test_sixteen_kilobytes_of_any_letters_fit():
    text = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(5_400))

    assert len(told(tag='"page.viewed" words=words', words=text)) <= telling.MOST_BYTES


@pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
def test_nothing_but_post(method, agreed):
    assert getattr(Client(), method)("/upsell/track/").status_code == 405


def test_one_address_may_tell_so_much_an_hour(agreed, settings, monkeypatch):
    settings.UPSELL_LIMIT_EVENTS = (2, timedelta(hours=1))
    monkeypatch.setattr(clock, "now", lambda: NOON + timedelta(minutes=50))

    codes = [tell().status_code for _ in range(3)]
    late = tell()

    assert (codes, late.status_code, late["Retry-After"]) == ([204, 204, 429], 429, "600")
    assert EventInbox.objects.count() == 2
    monkeypatch.setattr(clock, "now", lambda: NOON + timedelta(hours=1))
    assert tell().status_code == 204


def test_a_cache_that_keeps_nothing_limits_nothing(agreed, settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    settings.UPSELL_LIMIT_EVENTS = (1, timedelta(hours=1))

    assert [tell().status_code for _ in range(3)] == [204] * 3


def test_a_shop_that_raises_is_logged(monkeypatch, caplog):
    def raises(*args):
        raise RuntimeError("a mistake of the shop")

    monkeypatch.setattr(ExampleShop, "may_track", raises, raising=False)

    assert tell().status_code == 503
    assert [str(row.exc_info[1]) for row in caplog.records if row.exc_info] == [
        "a mistake of the shop"
    ]
