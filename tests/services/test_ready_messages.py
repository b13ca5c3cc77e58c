"""Ready-made messages may be published as they are, and promise nothing that is not so."""

from __future__ import annotations

import pytest

from upsell.engine import blocks
from upsell.engine.blocks import BlockKind
from upsell.models import MessageTemplate
from upsell.presenting.message_examples import example_links, examples
from upsell.presenting.messages import render
from upsell.services.ready_messages import READY, copy

EACH = [pytest.param(one, language, id=f"{one.slug} {language}")
        for one in READY for language in ("en", "de")]  # fmt: skip
ENDING = ("only today", "last chance", "hurry", "ends soon", "don't miss", "!", "nur heute",
          "letzte chance", "nur noch", "beeilen", "jetzt zugreifen")  # fmt: skip


@pytest.mark.parametrize(("ready", "language"), EACH)
def test_a_ready_made_message_is_whole(ready, language):
    content, faults = blocks.read(ready.content, {})
    assert faults == []
    assert content is not None
    letter = content.letters[language]

    made = render(
        MessageTemplate(content=ready.content, default_language="en"),
        examples(letter.names, language),
        locale=language,
        links=example_links(),
    )

    assert made.language == language
    assert made.subject
    assert not any(word in made.text.lower() for word in ENDING)


@pytest.mark.parametrize("ready", READY, ids=lambda one: one.slug)
def test_languages_say_the_same(ready):
    content, _faults = blocks.read(ready.content, {})
    assert content is not None
    english, german = (content.letters[code] for code in ("en", "de"))

    assert [block.kind for block in english.blocks] == [block.kind for block in german.blocks]
    assert english.blocks[0].kind is BlockKind.HEADING


@pytest.mark.django_db
def test_a_copy_is_a_draft_of_its_own():
    made, again = copy("cart"), copy("cart")
    made.content["en"]["subject"] = "Changed"

    assert [made.slug, again.slug] == ["cart", "cart-2"]
    assert again.version is None
    assert copy("cart").content["en"]["subject"] != "Changed"
    with pytest.raises(LookupError, match="no ready-made message 'nothing'"):
        copy("nothing")
