"""Messages as data: what is read, and what is refused with its place."""

from __future__ import annotations

import pytest

from upsell.engine import blocks
from upsell.engine.conditions import FactSpec, FactType
from upsell.engine.variables import NAMES, ROWS

SPECS = {"order.net": FactSpec(name="order.net", type=FactType.MONEY)}
TEXT = {"kind": "text", "text": "Hello"}


def letter(*rows: object, **fields: object) -> dict[str, object]:
    return {"subject": "Your order", "blocks": list(rows) or [TEXT], **fields}


def faults(*rows: object, medium: str = "email", **fields: object) -> dict[str, str]:
    made, found = blocks.read({"en": letter(*rows, **fields)}, SPECS, medium=medium)
    assert (made is None) == bool(found)
    return {fault.path: fault.message for fault in found}


@pytest.mark.parametrize(
    ("block", "place", "said"),
    [
        pytest.param({"kind": "video"}, "kind", "one of heading", id="no such block"),
        pytest.param("text", "kind", "one of heading", id="no object"),
        pytest.param({"kind": "text"}, "text", "is missing", id="no text"),
        pytest.param({"kind": "text", "text": "  "}, "text", "is missing", id="blanks"),
        pytest.param({"kind": "text", "text": 3}, "text", "wanted a text", id="a number"),
        pytest.param({"kind": "text", "text": "x" * 4001}, "text", "4001", id="too long"),
        pytest.param(
            {"kind": "text", "text": "Hello {firstname}"},
            "text",
            "at character 7: there is no placeholder {firstname}",
            id="unknown name",
        ),
        pytest.param(
            {"kind": "text", "text": "Hi {{ order.number }}"}, "text", "at character 4", id="J68 {{"
        ),
        pytest.param(
            {"kind": "heading", "text": "{% load x %}"}, "text", "at character 1", id="J68 {%"
        ),
        pytest.param({"kind": "text", "text": "Hi", "size": 3}, "size", "not known", id="unknown"),
        pytest.param(
            {"kind": "image", "url": "http://x.example/a.png", "alt": "A"},
            "url",
            "begins with https://",
            id="picture without TLS",
        ),
        pytest.param(
            {"kind": "image", "url": "https://x.example/a.png"}, "alt", "is missing", id="no alt"
        ),
        pytest.param(
            {"kind": "image", "url": "{offer.name}", "alt": "A"}, "url", "https", id="no picture"
        ),
        pytest.param(
            {"kind": "button", "label": "Go", "link": "javascript:alert(1)"},
            "link",
            "https://",
            id="script",
        ),
        pytest.param(
            {"kind": "button", "label": "Go", "link": "https://a@b.example/"},
            "link",
            "https://",
            id="user name",
        ),
        pytest.param(
            {"kind": "button", "label": "Go", "link": "links.order "}, "link", "https", id="blank"
        ),
        pytest.param({"kind": "button", "label": "Go"}, "link", "is missing", id="no link"),
        pytest.param({"kind": "suggestion_row", "most": 9}, "most", "1 to 8", id="nine"),
        pytest.param({"kind": "suggestion_row", "most": True}, "most", "1 to 8", id="no number"),
        pytest.param(
            {**TEXT, "show_if": {"fact": "order.moon", "op": "exists"}},
            "show_if",
            "no fact called",
            id="unknown fact",
        ),
    ],
)
def test_a_block_is_refused_with_its_place(block, place, said):
    found = faults(TEXT, block)

    assert said in found[f"en.blocks.1.{place}"]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        pytest.param({}, "", id="nothing"),
        pytest.param([], "", id="a list"),
        pytest.param({"english": letter()}, "english", id="no language"),
        pytest.param({"en": 3}, "en", id="no object"),
        pytest.param({"en": letter(subject="")}, "en.subject", id="no subject"),
        pytest.param({"en": letter(subject="x" * 151)}, "en.subject", id="long subject"),
        pytest.param({"en": {"subject": "A", "blocks": []}}, "en.blocks", id="no block"),
        pytest.param({"en": letter(*[TEXT] * 41)}, "en.blocks", id="41 blocks"),
        pytest.param({"en": letter(footer="x")}, "en.footer", id="unknown part"),
        pytest.param({f"a{c}": letter() for c in "bcd"} | {"e": letter()}, "e", id="one letter"),
    ],
)
def test_a_message_is_refused_with_its_place(content, place):
    made, found = blocks.read(content, SPECS)

    assert made is None
    assert place in [fault.path for fault in found]


def test_every_fault_is_told_and_not_the_first_alone():
    found = faults({"kind": "text"}, {"kind": "button", "label": "{x}", "link": "y"}, subject="{")

    assert set(found) == {
        "en.subject",
        "en.blocks.0.text",
        "en.blocks.1.label",
        "en.blocks.1.link",
    }


def test_an_sms_is_text_alone_and_has_no_subject():
    assert faults(TEXT, medium="sms", subject="") == {}
    assert "en.blocks.0.kind" in faults({"kind": "heading", "text": "A"}, medium="sms")


def test_names_are_those_of_words_addresses_and_what_a_block_shows():
    content, _ = blocks.read(
        {
            "en": letter(
                {"kind": "text", "text": "For {purchased.1.name|it}"},
                {"kind": "button", "label": "Go", "link": "links.order"},
                {"kind": "image", "url": "{offer.image}", "alt": "{offer.name}"},
                {"kind": "item_row"},
                subject="Order {order.number}",
            )
        },
        SPECS,
    )

    assert content is not None
    assert content.letters["en"].names == {
        *("order.number", "purchased.1.name", "links.order", "offer.image", "offer.name", ROWS),
    }


def test_what_can_never_be_known_is_refused_without_a_fallback_only():
    content, _ = blocks.read(
        {
            "en": letter(
                {"kind": "text", "text": "{order.number|your order} {purchased.1.name}"},
                {"kind": "button", "label": "Go", "link": "links.order"},
            )
        },
        SPECS,
    )

    assert content is not None
    never = frozenset({"order.number", "purchased.1.name", "links.order"})
    assert content.letters["en"].unresolved(never) == {"purchased.1.name", "links.order"}


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        pytest.param("de-AT", "de", id="its base"),
        pytest.param("pt_BR", "pt-BR", id="exactly"),
        pytest.param("PT-br", "pt-BR", id="in any case"),
        pytest.param("fr", "en", id="the default"),
        pytest.param("", "en", id="none"),
    ],
)
def test_the_language_is_the_nearest_one(locale, language):
    content, _ = blocks.read({"de": letter(), "en": letter(), "pt-BR": letter()}, SPECS)

    assert content is not None
    assert content.letter(locale, "en")[0] == language


def test_a_list_of_names_holds_what_it_lists_and_the_patterns():
    assert all(name in NAMES for name in NAMES)
    assert len(list(NAMES)) == len(NAMES)
    for name in ("starter.color", "latest.cart.added.value", "webhook.score.points"):
        assert name in NAMES
    for name in ("latest.value", "webhook.score", "purchased.9.name", "subject.email", ROWS, 3):
        assert name not in NAMES
