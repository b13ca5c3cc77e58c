"""Links by way of our own address: to the shop's own hosts, as we wrote them, or nowhere."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.core.signing import Signer, TimestampSigner
from django.test import RequestFactory

from upsell.presenting import clicks, message_links

KEY = "j:7:mail"
PAGE = "https://shop.example/tea/?a=1&b=2#more"


@pytest.fixture(autouse=True)
def _shop(settings):
    settings.UPSELL_BASE_URL = "https://shop.example/"
    settings.ALLOWED_HOSTS = ["*", "tea.example", ".tea.example"]


def token_of(address: str) -> str:
    path = clicks.by_way_of_us(KEY, address).removeprefix("https://shop.example/upsell/follow/")
    return path.removesuffix("/")


@pytest.mark.parametrize(
    "address",
    [
        "https://shop.example/",
        "https://shop.example",
        "https://SHOP.example/tea/",
        "https://shop.example/tea/?next=https://evil.example/",
        "https://shop.example/tee/größe",
        PAGE,
        "https://tea.example/x",
        "https://green.tea.example/x",
    ],
)
def test_a_link_to_a_host_of_the_shop_leads_by_us_and_on_as_it_was(address):
    token = token_of(address)

    assert token != address
    assert clicks.opened(token) == clicks.Followed(message=KEY, address=address)


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://evilshop.example/",
        "https://eviltea.example/",
        "https://shop.example:444/",
        "https://tea.example:444/",
        "https://shop.example@evil.example/",
        "https://evil.example@shop.example/",
        "https://a:b@tea.example/",
        "https://evil.example\\@shop.example/",
        "https://evil.example\\.tea.example/",
        "https:\\\\evil.example",
        "https:///evil.example",
        "https:evil.example",
        "//evil.example/",
        "///evil.example",
        "/tea/",
        "",
        "http://shop.example/",
        "http://tea.example/",
        "ftp://shop.example/",
        "javascript://shop.example/%0aalert(1)",
        "data:text/html,hi",
        "mailto:a@shop.example",
        "https://[::1",
        "https://[shop.example]/",
        "\x01https://shop.example/",
        "https://shop.example/" + "a" * 1000,
    ],
)
def test_any_other_is_left_as_it_is_and_never_led_to(address):
    assert clicks.by_way_of_us(KEY, address) == address
    if len(address) < 1000:
        made = Signer(salt="upsell.follow").sign_object([KEY, address])
        if address.startswith("/") and not address.startswith("//"):
            assert clicks.opened(made).address == f"https://shop.example{address}"
        else:
            found = clicks.opened(made)
            assert found is None or found.address.startswith("https://shop.example/")


def test_a_link_of_http_is_the_shops_only_where_the_shop_has_no_https(settings):
    settings.UPSELL_BASE_URL = "http://127.0.0.1:8000"

    assert clicks.is_ours("http://127.0.0.1:8000/tea/")
    assert clicks.is_ours("https://tea.example/")
    assert not clicks.is_ours("http://127.0.0.1:8001/tea/")


def test_the_link_moves_with_the_shop_and_a_host_that_is_no_more_is_not_led_to(settings):
    own, other = token_of("https://shop.example/tea/"), token_of("https://tea.example/x")

    settings.UPSELL_BASE_URL, settings.ALLOWED_HOSTS = "https://new.example", ["new.example"]

    assert clicks.opened(own).address == "https://new.example/tea/"
    assert clicks.opened(other) is None


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda token: token[:-1], id="cut"),
        pytest.param(lambda token: token[::-1], id="reversed"),
        pytest.param(lambda token: token.swapcase(), id="changed"),
        pytest.param(lambda token: "A" + token, id="longer"),
        pytest.param(lambda token: "", id="nothing"),
        pytest.param(lambda token: "ä" * 43, id="no ASCII"),
        pytest.param(lambda token: message_links.view_path(KEY).split("/")[-2], id="another"),
        pytest.param(
            lambda token: Signer(salt="upsell.follow", key="other").sign_object(
                [KEY, "https://shop.example/"]
            ),
            id="another key",
        ),
        pytest.param(
            lambda token: Signer(salt="upsell.follow").sign_object("/tea/"), id="another shape"
        ),
        pytest.param(lambda token: Signer(salt="upsell.follow").sign_object(7), id="a number"),
    ],
)
def test_a_token_that_is_not_ours_opens_nothing(made):
    assert clicks.opened(made(token_of(PAGE))) is None


def test_every_fallback_of_the_key_verifies(settings):
    token = token_of(PAGE)

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]

    assert clicks.opened(token) is not None


@pytest.mark.parametrize(
    ("address", "before", "after"),
    [
        pytest.param("https://shop.example/tea/", "/tea/?upsell_from=", "", id="plain"),
        pytest.param(PAGE, "/tea/?a=1&b=2&upsell_from=", "#more", id="among others"),
    ],
)
def test_the_page_is_told_which_message_led_there(address, before, after):
    told = clicks.marked(clicks.Followed(message=KEY, address=address))

    head, _name, mark = told.partition("upsell_from=")
    assert head.endswith(before.removesuffix("upsell_from="))
    assert mark.endswith(after)
    request = RequestFactory().get(told.removeprefix("https://shop.example"))
    assert clicks.came_from(clicks.mark_of(request)) == KEY


def test_a_mark_holds_a_day_and_nobody_else_makes_one():
    mark = TimestampSigner(salt="upsell.from").sign(KEY)
    assert clicks.came_from(mark) == KEY

    for other in ("", "x", mark[:-1], "j:8:mail" + mark[8:], mark + "x" * 400,
                  TimestampSigner(salt="upsell.visitor").sign(KEY)):  # fmt: skip
        assert clicks.came_from(other) == ""
    with time_machine.travel(timedelta(days=1, seconds=5)):
        assert clicks.came_from(mark) == ""


def test_of_two_marks_in_one_address_neither_counts():
    mark = TimestampSigner(salt="upsell.from").sign(KEY)

    request = RequestFactory().get("/", {"upsell_from": [mark, mark]})

    assert clicks.mark_of(request) == ""
