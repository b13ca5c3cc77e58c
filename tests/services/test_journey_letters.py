"""What stands in the mails of real journeys beside what staff wrote."""

from __future__ import annotations

import re
from datetime import time
from html import unescape

import pytest
from django.core import mail

from tests.factories import catalogue, order
from tests.services.journeys import END, MAIL, T0, H, consent, go, journey, tell, template
from upsell import conf
from upsell.media.sms import LocmemSms
from upsell.models import ChannelSettings, OutboxMessage
from upsell.ports import Contact
from upsell.presenting import clicks, journey_letters
from upsell.services import templates

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("addressed")]


@pytest.fixture
def placed():
    return order(catalogue(), email="emily@example.org")


def sent(placed) -> tuple[str, str]:
    """Return both parts of the mail that a journey sent."""
    tell(order_ref=str(placed.pk))
    go(T0 + 3 * H)
    (letter,) = mail.outbox
    ((html, _kind),) = letter.alternatives
    return letter.body, html


@pytest.mark.parametrize(
    ("category", "own", "said"),
    [
        pytest.param("marketing", "", "Example Shops Ltd", id="as in the settings"),
        pytest.param("marketing", "Web & Co\n2 Street", "Web & Co", id="as the channel has it"),
        pytest.param("transactional", "", "", id="not in what is no marketing"),
    ],
)
def test_the_postal_address_stands_in_marketing_mails(placed, category, own, said):
    ChannelSettings.objects.create(channel="web", postal_address=own)
    journey(category=category)

    text, html = sent(placed)

    for address in ("Example Shops Ltd", "Web & Co"):
        assert (address in text) is (address == said)
        assert (address.replace("&", "&amp;") in html) is (address == said)


def test_in_the_quiet_hours_of_its_channel_a_mail_waits(placed):
    ChannelSettings.objects.create(
        channel="web", quiet_email_from=time(12, 30), quiet_email_until=time(15)
    )
    journey()
    tell(order_ref=str(placed.pk))

    go(T0 + 3 * H)
    assert (len(mail.outbox), OutboxMessage.objects.get().not_before) == (0, T0 + 5 * H)
    go(T0 + 5 * H)

    assert len(mail.outbox) == 1


# ------------------------------------------------------------------ links


def led_to(text: str) -> list[str]:
    """Return where the addresses of a text lead, in their order; ours to the end."""
    found = []
    for address in re.findall(r"https?://[^\s\"<>]+", unescape(text)):
        token = address.removeprefix("https://shop.example/upsell/follow/")
        followed = clicks.opened(token.removesuffix("/")) if token != address else None
        found.append(f"> {followed.address}" if followed else address)
    return found


def button(link: str) -> dict[str, str]:
    return {"kind": "button", "label": "Go", "link": link}


def say(*blocks: dict[str, str], medium: str = "email") -> None:
    row = template(text="See {links.order}", medium=medium)
    row.content["en"]["blocks"] += blocks
    row.save()
    templates.publish(row, user=None, now=T0)


def test_links_to_the_shop_go_by_us_and_no_others(placed):
    say(
        button("https://shop.example/tea/?a=1"),
        button("https://elsewhere.example/"),
        button("links.unsubscribe"),
        button("links.view_online"),
        {"kind": "rating", "text": "How was it?", "link": "links.rating"},
        {"kind": "item_row"},
        {"kind": "image", "url": "https://shop.example/a.png", "alt": "A", "link": "shop.url"},
    )
    journey()

    text, html = sent(placed)

    order_page = f"> https://shop.example/order/{placed.pk}/"
    words, tea, elsewhere, *ours = led_to(text)
    assert (words, tea) == (order_page, "> https://shop.example/tea/?a=1")
    assert elsewhere == "https://elsewhere.example/"
    assert len(ours) == 10
    for address in ours:
        assert re.match(
            r"https://shop\.example/upsell/(unsubscribe|preferences|messages|feedback)/", address
        )
    there = set(led_to(html))
    assert {order_page, "> https://shop.example/tea/?a=1", "> https://shop.example/"} <= there
    assert "https://shop.example/a.png" in there
    assert set(ours) <= there


def test_the_same_message_is_written_the_same_way_again(placed):
    say(button("https://shop.example/tea/"))
    journey()

    _text, html = sent(placed)

    row = OutboxMessage.objects.get()
    assert journey_letters.page(row) == html


@pytest.mark.parametrize(
    ("setting", "base"),
    [
        pytest.param(False, "https://shop.example", id="off"),
        pytest.param(True, "", id="nothing to go by"),
    ],
)
def test_links_stay_as_they_are(placed, settings, setting, base):
    settings.UPSELL_CLICK_LINKS, settings.UPSELL_BASE_URL = setting, base
    row = template("plain")
    row.content["en"]["blocks"] = [button("https://shop.example/tea/")]
    row.save()
    templates.publish(row, user=None, now=T0)
    journey({"mail": MAIL | {"template": "plain"}, "end": END}, category="transactional")

    tell(order_ref=str(placed.pk))
    go(T0)

    (letter,) = [one for one in mail.outbox if "tea" in one.body]
    assert "https://shop.example/tea/" in letter.body
    assert "follow" not in letter.body + letter.alternatives[0][0]


@pytest.mark.parametrize(
    ("words", "counted"),
    [
        pytest.param("Tea", True, id="they fit"),
        pytest.param("Tea " * 30, False, id="they do not"),
    ],
)
def test_links_of_a_text_message_go_by_us_where_they_fit(
    placed, settings, monkeypatch, words, counted
):
    settings.UPSELL_SMS = "upsell.media.sms.LocmemSms"
    settings.UPSELL_QUIET_HOURS = {}
    contact = Contact(address="+4915112345678", locale="en")
    monkeypatch.setattr(conf.shop(), "contact", lambda who, medium: contact)
    LocmemSms.outbox.clear()
    template("text", text=words + " {links.order}", medium="sms")
    journey({"mail": MAIL | {"medium": "sms", "template": "text"}, "end": END})
    consent(medium="sms")
    tell(order_ref=str(placed.pk))
    go(T0)

    told = LocmemSms.outbox[0].text
    first, *_ours = led_to(told)
    page = f"https://shop.example/order/{placed.pk}/"
    assert first == (f"> {page}" if counted else page)
    assert len(told) <= 480
