"""What staff, buyers and catalogues say is text on our pages and in our mails (T13, T16)."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import translation

from example_shop.models import Order
from tests.hostile import HARMLESS, XSS, led_away, shape_of
from tests.standing import offer_in
from tests.views.buyers import placing, shop_with_an_offer
from upsell.models import Attempt, ChannelSettings, Offer, OfferQuote, OutboxMessage
from upsell.models.tokens import offer_token
from upsell.services import desk, messaging

pytestmark = pytest.mark.django_db

NAMES = {"headline", "body", "image_alt", "accept_label", "decline_label"}
ALL = " ".join(XSS)
SHOWN = ["SHOWN", "ACCEPTING", "ACTION_REQUIRED", "ACCEPTED", "REVERSED", "DECLINED", "FAILED",
         "EXPIRED", "REVOKED"]  # fmt: skip


def says(offer: Offer, text: str) -> None:
    """Put a text wherever staff, the catalogue, the gateway or the order can have one."""
    terms = offer.terms
    terms["copy"] = {"en": dict.fromkeys(NAMES, text) | {"benefits": [text], "image_url": "/x"}}
    terms["order_number"] = text
    for product in (terms["product"], *terms["replaced"]):
        product |= {"title": text, "image_alt": text, "attributes": {text: text}}
    offer.failure_code = text[:64]
    offer.save(update_fields=["terms", "failure_code"])
    OfferQuote.objects.filter(offer=offer).update(collection_label=text)


def page_of(offer: Offer) -> str:
    answer = placing(offer).get(reverse("upsell:offer", args=[offer_token(offer)]))
    assert answer.status_code == 200
    return answer.content.decode()


def test_no_text_becomes_a_part_of_the_offer() -> None:
    offer = offer_in("SHOWN", shop_with_an_offer())
    says(offer, HARMLESS)
    harmless = shape_of(page_of(offer))
    assert ("button", "class", "name", "type", "value") in harmless

    for text in XSS:
        says(offer, text)
        page = page_of(offer)
        assert shape_of(page) == harmless, text
        assert led_away(page) == [], text


@pytest.mark.parametrize("state", SHOWN)
def test_no_text_becomes_a_part_of_a_page(state) -> None:
    offer = offer_in(state, shop_with_an_offer())
    says(offer, HARMLESS)
    harmless = shape_of(page_of(offer))

    says(offer, ALL)

    assert shape_of(page_of(offer)) == harmless
    assert led_away(page_of(offer)) == []


def test_no_text_becomes_a_part_of_the_host_s_page(client) -> None:
    offer = offer_in("SHOWN", shop_with_an_offer())
    buyer, thanks = placing(offer), reverse("shop:thanks", args=[offer.order_ref])
    says(offer, HARMLESS)
    harmless = shape_of(buyer.get(thanks).content.decode())

    says(offer, ALL)

    assert shape_of(buyer.get(thanks).content.decode()) == harmless


RUN = [
    "javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "\x01javascript:alert(1)",
    "java\tscript:alert(1)", "java\r\nscript:alert(1)", "\tjavascript:alert(1)", "javascript :x",
    "data:text/html,<script>alert(1)</script>", "DATA:text/html;base64,x", "vbscript:msgbox(1)",
    "\x7fjavascript:alert(1)",
]  # fmt: skip
OPENED = ["https://shop.example/a?b=c", "/a/", "//cdn.example/x.png", "a/b", "?a=b", "swish://pay"]


@pytest.mark.parametrize("address", RUN)
def test_no_address_on_a_page_is_run(address) -> None:
    """Escaped as it may be, a link to ``javascript:`` runs when somebody presses it."""
    products = shop_with_an_offer()
    offer, asked = offer_in("SHOWN", products), offer_in("ACTION_REQUIRED", products)
    copy = dict.fromkeys(NAMES, "") | {"benefits": [], "image_url": ""}
    for image in ("", address):
        offer.terms["copy"] = {"en": copy | {"image_url": image}}
        for product in (offer.terms["product"], *offer.terms["replaced"]):
            product |= {"url": address, "image_url": address}
        offer.save(update_fields=["terms"])
        assert led_away(page_of(offer)) == []
    Attempt.objects.update(action_url=address)

    assert led_away(page_of(asked)) == []
    assert "Go to your bank" not in page_of(asked)


@pytest.mark.parametrize("address", OPENED)
def test_an_address_that_is_opened_stays_as_it_is(address) -> None:
    offer = offer_in("ACTION_REQUIRED", shop_with_an_offer())
    Attempt.objects.update(action_url=address)

    assert f'href="{address}"' in page_of(offer)


def test_what_a_browser_says_of_itself_is_on_no_page() -> None:
    offer = offer_in("SHOWN", shop_with_an_offer())
    path = reverse("upsell:offer", args=[offer_token(offer)])
    plain = placing(offer).get(path).content.decode()

    for text in XSS:
        sent = text.encode().decode("latin-1")  # as a server hands headers on
        headers = dict.fromkeys(("User-Agent", "Referer", "Accept-Language", "Cookie"), sent)
        asked = {"error": text, "returning": text, "undo_url": text}
        page = Client(headers=headers).get(path, asked).content.decode()
        assert shape_of(page) == shape_of(plain), text
        assert "alert(1)" not in page


# ------------------------------------------------------------------ mails


@pytest.fixture
def letters(settings):
    """Write the confirmation, and the mail of the undo, with one text everywhere."""
    settings.UPSELL_BASE_URL = "https://shop.example"
    products = shop_with_an_offer()
    offers = [offer_in("ACCEPTED", products), offer_in("REVERSED", products)]

    def written(text: str, **order: Any) -> list[Any]:
        mail.outbox.clear()
        for number, offer in enumerate(offers):
            says(offer, text)
            Order.objects.filter(pk=offer.order_ref).update(
                **({"number": f"{text}{number}"} | order)
            )
        OutboxMessage.objects.exclude(kind="DOCUMENTS").update(state="PENDING", attempts=0)
        messaging.send_due()
        return list(mail.outbox)

    return written


HEADERS = {"Content-Type", "MIME-Version", "Subject", "From", "To", "Date", "Message-ID"}


def test_no_text_becomes_a_part_of_a_mail(letters) -> None:
    harmless = [shape_of(str(sent.alternatives[0][0])) for sent in letters(HARMLESS)]
    assert len(harmless) == 3  # the undone one was confirmed before

    for text in XSS:
        sent = letters(text)
        assert [shape_of(str(one.alternatives[0][0])) for one in sent] == harmless, text
        assert [led_away(str(one.alternatives[0][0])) for one in sent] == [[], [], []], text


def test_no_text_becomes_a_part_of_the_mail_with_the_link(settings) -> None:
    settings.UPSELL_BASE_URL = "https://shop.example"
    offer = offer_in("SHOWN", shop_with_an_offer())
    desk.send_link(offer_id=offer.pk, actor="staff:1")
    shapes = []
    for text in (HARMLESS, *XSS, "1\r\nBcc: evil@example.org"):
        says(offer, text)
        Order.objects.filter(pk=offer.order_ref).update(number=text)
        OutboxMessage.objects.update(state="PENDING", attempts=0)
        mail.outbox.clear()

        messaging.send_due()

        (sent,) = mail.outbox
        shapes.append(shape_of(str(sent.alternatives[0][0])))
        assert led_away(str(sent.alternatives[0][0])) == [], text
        assert set(sent.message().keys()) == HEADERS, text
        assert sent.recipients() == ["buyer@example.org"]
    assert shapes == [shapes[0]] * len(shapes)


def test_t16_no_text_becomes_a_header(letters) -> None:
    for text in [*XSS, "1\r\nBcc: evil@example.org", "1\nTo: evil@example.org\n\nBuy", "1\x0bX: y",
                 "1\u2028X: y", "1\x85X: y", "1\x00X: y", "x" * 5_000]:  # fmt: skip
        sent = letters(text)
        assert len(sent) == 3, text
        for one in sent:
            made = one.message()
            assert set(made.keys()) == HEADERS, text
            assert one.recipients() == ["buyer@example.org"]
            assert made["To"] == "buyer@example.org"
            assert len(one.subject.splitlines()) == 1


def test_a_subject_is_words_and_not_markup(letters) -> None:
    """A mail program shows a subject as it stands: nothing in it is unescaped."""
    sent = letters('Salt & Pepper\'s "best" <1>')

    for one in sent:
        assert 'Salt & Pepper\'s "best" <1>' in one.subject
        assert 'Salt & Pepper\'s "best" <1>' in one.body
        assert "Salt &amp; Pepper" in one.alternatives[0][0]


@pytest.mark.parametrize(
    "address",
    [
        "buyer@example.org, evil@example.org", "buyer@example.org;evil@example.org",
        "buyer@example.org\r\nBcc: evil@example.org", "buyer@example.org\nevil@example.org",
        "<evil@example.org>", "Buyer <evil@example.org>", "buyer", "@", "buyer@", "a b@example.org",
        "buyer@example.org\x00",
    ],
)  # fmt: skip
def test_t16_what_is_not_one_address_is_written_to_nobody(address, letters) -> None:
    assert letters(HARMLESS, email=address) == []
    assert set(OutboxMessage.objects.values_list("state", flat=True)) == {"SKIPPED"}


@pytest.mark.parametrize(
    "address", ["büyer@example.org", "o'hara+x@sub.example.org", "a@b", " a@b "]
)
def test_what_is_one_address_is_written_to(address, letters) -> None:
    sent = letters(HARMLESS, email=address)

    assert {one.to[0] for one in sent} == {address.strip()}


LOCALES = [
    "de", "de-AT", "de_AT", "pt-br", "zh-hans", "xx", "tlh", "en\r\nBcc: x", "../../etc",
    "<script>", "e" * 10_000, "\x00", "de-x-canary", "io", "ia", "C", "POSIX", "en-US.UTF-8", "-",
    "_", "…", "",
]  # fmt: skip


@pytest.mark.parametrize("locale", LOCALES, ids=lambda text: repr(text)[:20])
def test_no_language_of_an_order_keeps_its_mail_from_being_sent(locale, letters) -> None:
    """A shop's locales are not Django's, nor Babel's: what nobody knows is written in ours."""
    sent = letters(HARMLESS, locale=locale)

    assert len(sent) == 3
    assert all("840" in one.body or "600" in one.body for one in sent)


@pytest.mark.parametrize(("language", "told"), [("de", "840,00\xa0€"), ("tlh", "€840.00")])
def test_an_offer_is_shown_in_languages_that_babel_has_not(language, told) -> None:
    """A shop may have a language of its own; its amounts are then written as in English."""
    offer = offer_in("SHOWN", shop_with_an_offer())

    with translation.override(language):
        assert told in page_of(offer)


@pytest.mark.parametrize("sender", ["Shop <shop@example.org>", "shop@example.org", ""])
def test_the_sender_of_a_channel_is_the_mail_s(sender, letters, settings) -> None:
    ChannelSettings.objects.create(channel="web", sender=sender)

    assert {one.from_email for one in letters(HARMLESS)} == {sender or settings.DEFAULT_FROM_EMAIL}
