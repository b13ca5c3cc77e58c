"""A message of a journey as a mail: the same blocks as a page and as text, and never markup."""

from __future__ import annotations

import json
import string
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile import XSS, led_away, shape_of
from upsell.engine.blocks import LONGEST_SUBJECT
from upsell.engine.placeholders import Unresolved
from upsell.engine.variables import ROWS
from upsell.ports import Contact
from upsell.presenting.messages import CONDITION, MET, Rendered, of_person, render

VALUES = {
    "order.number": "1042",
    "purchased.1.name": "Washing machine",
    "offer.name": "Descaler",
    "offer.price_shown": "12,00 €",
    "offer.due_shown": "12,00 €",
    "offer.image": "https://shop.example/d.png",
    "suggestion.1.name": "Cable",
    "suggestion.1.url": "https://shop.example/cable/",
    "suggestion.1.price": "9,00 €",
    "shop.name": "GreenHome",
    "shop.url": "https://shop.example/",
    ROWS: json.dumps(
        [{"name": "2 × Soap", "options": "", "url": "", "image": "", "total": "8,00 €"}]
    ),
}
LINKS = {
    "offer.link": "https://shop.example/o/abc/",
    "links.order": "https://shop.example/orders/1/",
    "links.unsubscribe": "https://shop.example/u/abc/",
    "subject.first_name": "Emily",
}


def rendered(*blocks: dict[str, Any], locale: str = "en", **changes: Any) -> Rendered:
    content = {"en": {"subject": changes.pop("subject", "Hello"), "blocks": list(blocks)}}
    content |= changes.pop("also", {})
    version = SimpleNamespace(content=content, default_language="en")
    links = changes.pop("links", LINKS)
    values = VALUES | changes.pop("values", {})
    return render(version, values, locale=locale, links=links, **changes)


def text(words: str) -> dict[str, Any]:
    return {"kind": "text", "text": words}


EACH: dict[str, dict[str, Any]] = {
    "heading": {"kind": "heading", "text": "Order {order.number}"},
    "text": text("One\nTwo\n\nThree for {subject.first_name|you}"),
    "image": {"kind": "image", "url": "https://shop.example/a.png", "alt": "A {offer.name}"},
    "button": {"kind": "button", "label": "Your order", "link": "links.order"},
    "item_row": {"kind": "item_row"},
    "offer_card": {"kind": "offer_card", "label": "See it"},
    "suggestion_row": {"kind": "suggestion_row", "text": "Also", "most": 3},
    "rating": {"kind": "rating", "text": "How was it?", "link": "https://shop.example/rate/"},
}


@pytest.mark.parametrize(
    ("kind", "html", "plain"),
    [
        pytest.param("heading", "Order 1042</h1>", "Order 1042\n", id="heading"),
        pytest.param("text", "One<br>Two</p>", "One\nTwo\n\nThree for Emily\n", id="text"),
        pytest.param("image", 'alt="A Descaler" width="552"', "", id="image"),
        pytest.param(
            "button", 'href="https://shop.example/orders/1/"', "Your order:\nhttps://", id="button"
        ),
        pytest.param("item_row", "2 × Soap", "- 2 × Soap: 8,00 €", id="items"),
        pytest.param("offer_card", "12,00 €", "See it:\nhttps://shop.example/o/abc/", id="offer"),
        pytest.param(
            "suggestion_row", "<b>Cable</b>", "- Cable, 9,00 €\n  https://shop.", id="suggestions"
        ),
        pytest.param(
            "rating", 'href="https://shop.example/rate/?score=5"', "/rate/?score=1\n", id="rating"
        ),
    ],
)
def test_a_block_is_in_both_parts(kind, html, plain):
    made = rendered(EACH[kind])

    assert html in made.html
    assert plain in made.text
    assert "<" not in made.text


def test_every_picture_has_alt_and_width_and_none_counts_who_looks():
    made = rendered(*EACH.values())

    pictures = [row for row in shape_of(made.html) if row[0] == "img"]
    assert pictures
    assert all({"alt", "width"} <= set(row) for row in pictures)
    assert 'width="1"' not in made.html
    assert "http-equiv" not in made.html


def test_a_mail_has_a_way_out_where_there_is_one_and_nothing_where_there_is_none():
    assert "https://shop.example/u/abc/" in rendered(text("Hi")).html
    assert "https://shop.example/u/abc/" in rendered(text("Hi")).text
    assert "Unsubscribe" not in rendered(text("Hi"), links={}).html


def test_the_postal_address_stands_at_the_end_line_by_line_and_escaped():
    made = rendered(text("Hi"), postal_address=" Shop & Sons\r\n\n<b>1 Street</b>\n")

    assert "Shop &amp; Sons<br>&lt;b&gt;1 Street&lt;/b&gt;</p>" in made.html
    assert made.text.endswith("\nShop & Sons\n<b>1 Street</b>\n")


def test_the_postal_address_needs_no_link_beside_it():
    made = rendered(text("Hi"), links={}, postal_address="1 Street")

    assert "1 Street</p>" in made.html
    assert "1 Street" not in rendered(text("Hi"), links={}).html


@pytest.mark.parametrize(
    ("locale", "language", "subject"),
    [
        pytest.param("de-AT", "de", "Hallo", id="the buyer's"),
        pytest.param("fr", "en", "Hello", id="the default"),
        pytest.param("ar", "ar", "مرحبا", id="from right to left"),
    ],
)
def test_a_buyer_reads_their_language(locale, language, subject):
    also = {
        "de": {"subject": "Hallo", "blocks": [text("Guten Tag")]},
        "ar": {"subject": "مرحبا", "blocks": [text("أهلا")]},
    }

    made = rendered(text("Hi"), locale=locale, also=also)

    assert (made.language, made.subject) == (language, subject)
    assert f'lang="{language}"' in made.html
    assert ('dir="rtl"' in made.html) is (language == "ar")


@pytest.mark.parametrize(
    ("blocks", "values", "missing"),
    [
        pytest.param([text("{order.number}")], {"order.number": ""}, "order.number", id="J67"),
        pytest.param([text("{starter.color}")], {}, "starter.color", id="J67 never told"),
        pytest.param([EACH["offer_card"]], {"offer.name": ""}, "offer.link", id="no offer"),
        pytest.param(
            [text("Hi"), EACH["suggestion_row"]],
            {"suggestion.1.name": ""},
            "suggestion.1.name",
            id="no suggestion",
        ),
        pytest.param(
            [{"kind": "button", "label": "Go", "link": "offer.url"}],
            {"offer.url": "javascript:alert(1)"},
            "offer.url",
            id="an address that runs",
        ),
    ],
)
def test_a_blank_is_never_sent(blocks, values, missing):
    with pytest.raises(Unresolved) as error:
        rendered(*blocks, values=values)

    assert error.value.name == missing


def test_an_empty_card_is_left_out_beside_a_row_that_is_not():
    made = rendered(EACH["offer_card"], EACH["suggestion_row"], values={"offer.name": ""})

    assert "https://shop.example/o/abc/" not in made.html
    assert "Cable" in made.html


def test_a_block_with_a_condition_is_shown_where_it_was_met_only():
    tree = {"fact": "order.net", "op": "exists"}
    name = CONDITION + json.dumps(tree, sort_keys=True, separators=(",", ":"))
    block = text("For you alone") | {"show_if": tree}

    assert "For you alone" in rendered(text("Hi"), block, values={name: MET}).text
    assert "For you alone" not in rendered(text("Hi"), block).html


def test_a_subject_is_one_line_and_not_too_long():
    made = rendered(text("Hi"), subject="A {order.number}", values={"order.number": "1\r\nBcc: x"})
    long = rendered(text("Hi"), subject="{order.number}", values={"order.number": "x" * 400})

    assert made.subject == "A 1 Bcc: x"
    assert len(long.subject) == LONGEST_SUBJECT


@pytest.mark.parametrize("value", XSS)
def test_what_a_value_holds_is_text(value):
    """J68: whoever wrote it, the shop or a buyer."""
    names = [name for name in VALUES if name not in {ROWS, "suggestion.1.url", "shop.url"}]
    row = {"name": value, "options": value, "url": value, "image": value, "total": value}
    harmless = dict.fromkeys(names, "word") | {"offer.image": ""}
    plain = {"name": "word", "options": "word", "url": "", "image": "", "total": "word"}
    links = LINKS | {"subject.first_name": value}

    made = rendered(
        *EACH.values(),
        subject="{order.number}",
        values=dict.fromkeys(names, value) | {ROWS: json.dumps([row])},
        links=links,
    )

    wanted = rendered(
        *EACH.values(),
        subject="{order.number}",
        values=harmless | {ROWS: json.dumps([plain])},
    )
    assert shape_of(made.html) == shape_of(wanted.html)
    assert led_away(made.html) == []
    assert "\n" not in made.subject


NASTY = st.text(alphabet=string.printable + "<>&\"'{}%`é\u2028\u202e\x00", max_size=60)


@given(value=NASTY, words=st.text(alphabet=string.ascii_letters + "<>&\"'/= \n", max_size=80))
def test_no_value_and_no_word_of_staff_becomes_markup(value, words):
    """Values of the shop and texts of staff alike: the page is made of the same elements."""
    blocks = [
        text(f"a{words}" if words.strip() else "a"),
        {"kind": "heading", "text": "{order.number|none} {purchased.1.name|none}"},
        EACH["button"] | {"label": "{order.number|none}"},
    ]
    made = rendered(*blocks, values={"order.number": value, "purchased.1.name": value})

    # Lines and paragraphs are the one thing that a text may change.
    kinds = {row[0] for row in shape_of(made.html)}
    assert kinds <= {"a declaration", "html", "head", "meta", "title", "style", "body", "table",
                     "tr", "td", "div", "h1", "p", "br", "a"}  # fmt: skip
    assert not any(
        name.startswith("on") or name in {"src", "srcset", "action"}
        for row in shape_of(made.html)
        for name in row[1:]
    )


def test_of_a_person_only_what_is_known_is_told():
    contact = Contact(address="emily@example.org", first_name="Emily")

    assert of_person(contact) == {"subject.first_name": "Emily"}
