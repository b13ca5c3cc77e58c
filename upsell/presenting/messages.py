"""A message of a journey as a mail shows it: blocks and frozen texts in, subject and two parts out.

No engine of templates ever reads what staff or the shop wrote: texts are values of our own
template, which escapes all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.template.loader import render_to_string
from django.utils import translation
from django.utils.http import urlencode

from upsell.engine import blocks
from upsell.engine.blocks import LONGEST_SUBJECT, Block, BlockKind, Letter
from upsell.engine.metrics import SCORES
from upsell.engine.placeholders import Unresolved, Words
from upsell.engine.variables import LINKS, ROWS
from upsell.ports import Contact
from upsell.presenting import wording
from upsell.presenting.mails import one_line

LONGEST_SMS = 480
"""Of a text message, three parts of it: what is more is not sent."""
CONDITION = "if:"
"""Begins the name under which it is kept whether the condition of a block was met."""
MET = "yes"
Way = Callable[[str], str]
"""From an address to how a message writes it."""
_TYPED = "to:"
"""Begins the name under which it is kept how an address that staff typed is written."""
_LISTED = re.compile(r"(?:purchased|suggestion)\.\d+\.url")
_WEB = re.compile(r"https?://[^\s\x00-\x20<>\"]+", re.I)
_BLANKS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_UNWRITTEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Message(Protocol):
    """What is rendered: a published version, or a draft that is looked at."""

    @property
    def content(self) -> Any: ...
    @property
    def default_language(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """One message for one buyer. ``text`` stands alone; for an SMS it is all there is."""

    subject: str
    text: str
    html: str
    language: str
    """Of its words: the buyer's where the message has it, else its default."""
    words: str
    """Its texts alone."""
    link: str
    """Of its first button; empty = it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One message for one buyer, for a template to show."""

    values: Mapping[str, Any]
    language: str


def of_person(contact: Contact) -> dict[str, str]:
    """Return what is known of the person who is written to; never stored, asked when sending."""
    told = {
        "subject.first_name": contact.first_name,
        "subject.locale": contact.locale,
        "subject.timezone": contact.timezone,
    }
    return {name: text for name, text in told.items() if text}


def render(
    version: Message,
    variables: Mapping[str, str],
    *,
    locale: str,
    links: Mapping[str, str],
    postal_address: str = "",
    way: Way | None = None,
) -> Rendered:
    """Return a message as it is sent.

    Args:
        version: What it says.
        variables: Frozen texts, as ``services.variables.gather`` made them.
        locale: The buyer's; the message's default language where it does not speak it.
        links: What is made when it is sent (``variables.SENT_WITH``), by name: absolute addresses,
            and ``of_person``.
        postal_address: The shop's, for the footer; lines as they are written.
        way: How each link that leads on is written; none = as it is. Pictures stay.

    Raises:
        Unresolved: A text, or an address, has neither a value nor a fallback. A message whose
            cards and rows are all empty and that leads nowhere else is not sent either: it would
            be about nothing.
    """
    page = shown(version, variables, locale=locale, links=links, way=way)
    with translation.override(page.language):
        lines = [flat(line) for line in postal_address.splitlines() if line.strip()]
        context = {**page.values, "postal_lines": lines}
        text = render_to_string("upsell/mail/message.txt", context)
        return Rendered(
            subject=page.values["subject"],
            text=re.sub(r"\n{3,}", "\n\n", text).strip() + "\n",
            html=render_to_string("upsell/mail/message.html", context),
            language=page.language,
            words="\n\n".join(
                "\n".join(lines)
                for block in page.values["blocks"]
                for lines in block.get("paragraphs", ())
            ),
            link=next(
                (
                    block["link"]
                    for block in page.values["blocks"]
                    if block["kind"] == BlockKind.BUTTON.value
                ),
                "",
            ),
        )


def shown(
    version: Message,
    variables: Mapping[str, str],
    *,
    locale: str,
    links: Mapping[str, str],
    way: Way | None = None,
) -> Shown:
    """Return a message as the values that a template shows: blocks in their order, and links.

    Takes and raises what ``render`` does.
    """
    content, faults = blocks.read(version.content, medium="onsite")
    if content is None:
        raise ValueError(f"a message cannot be read: {faults[0].path}: {faults[0].message}")
    language, letter = content.letter(locale, version.default_language)
    values = {name: _clean(name, text) for name, text in {**variables, **links}.items()}
    with translation.override(language):
        led = values if way is None else _led(letter, values, way)
        found = _blocks(letter, led)
        subject = one_line(letter.subject.filled(values))
        if len(subject) > LONGEST_SUBJECT:
            subject = subject[: LONGEST_SUBJECT - 1].rstrip() + "…"
        told = {
            "subject": subject,
            "preheader": _filled(letter.preheader, values),
            "blocks": found,
            "shop": values.get("shop.name", ""),
            "shop_url": _web(led.get("shop.url", "")),
            "unsubscribe_url": _web(values.get("links.unsubscribe", "")),
            "preferences_url": _web(values.get("links.preferences", "")),
            "view_url": _web(values.get("links.view_online", "")),
        }
    return Shown(values=told, language=language)


def _led(letter: Letter, values: Mapping[str, str], way: Way) -> dict[str, str]:
    """Return the values, with every address that a link may lead to in the way it is written."""
    found = dict(values)
    for name in values:
        if name in LINKS or _LISTED.fullmatch(name):
            found[name] = way(values[name])
    rows = json.loads(values.get(ROWS) or "[]")
    found[ROWS] = json.dumps([row | {"url": way(row["url"])} for row in rows])
    typed = {block.link for block in letter.blocks if blocks.is_https(block.link)}
    return found | {_TYPED + address: way(address) for address in typed}


def flat(text: str) -> str:
    """Return a text without line ends and control characters; what keeps an amount whole stays."""
    return _BLANKS.sub(" ", text).strip(" ")


def _clean(name: str, text: str) -> str:
    return text if name == ROWS else flat(text)


def _web(address: str) -> str:
    return address if _WEB.fullmatch(address) else ""


# ------------------------------------------------------------------ blocks

_ABOUT = (BlockKind.OFFER_CARD, BlockKind.SUGGESTION_ROW, BlockKind.ITEM_ROW)
"""Blocks of things: left out where there are none, so long as the message has a way on."""


def _blocks(letter: Letter, values: Mapping[str, str]) -> list[dict[str, Any]]:
    met = [
        block
        for block in letter.blocks
        if not block.condition or values.get(CONDITION + block.condition) == MET
    ]
    told = [(block, _SHOW[block.kind](block, values)) for block in met]
    things = [(block, shown) for block, shown in told if block.kind in _ABOUT]
    leads = any(block.kind in (BlockKind.BUTTON, BlockKind.RATING) for block in met)
    if things and not leads and not any(shown for _block, shown in things):
        raise Unresolved(_WANTED[things[0][0].kind])
    found = [{"kind": block.kind.value, **shown} for block, shown in told if shown is not None]
    heading = next((shown for shown in found if shown["kind"] == BlockKind.HEADING.value), {})
    heading["first"] = True
    return found


_WANTED: Mapping[BlockKind, str] = {
    BlockKind.OFFER_CARD: "offer.link",
    BlockKind.SUGGESTION_ROW: "suggestion.1.name",
    BlockKind.ITEM_ROW: "purchased.items",
}

_Block = dict[str, Any] | None


def _heading(block: Block, values: Mapping[str, str]) -> _Block:
    return {"text": _filled(block.words["text"], values)}


def _text(block: Block, values: Mapping[str, str]) -> _Block:
    written = _UNWRITTEN.sub("", block.words["text"].filled(values).replace("\r\n", "\n"))
    parts = re.split(r"\n\s*\n", written.strip())
    return {"paragraphs": [[line.strip() for line in part.split("\n")] for part in parts]}


def _image(block: Block, values: Mapping[str, str]) -> _Block:
    return {
        "url": _address(block.image, values),
        "alt": _filled(block.words["alt"], values),
        "link": _leads_to(block.link, values) if block.link else "",
    }


def _button(block: Block, values: Mapping[str, str]) -> _Block:
    return {
        "label": _filled(block.words["label"], values),
        "link": _leads_to(block.link, values),
    }


def _items(block: Block, values: Mapping[str, str]) -> _Block:
    rows = json.loads(values.get(ROWS) or "[]")
    for row in rows:
        row["url"], row["image"] = _web(row["url"]), _web(row["image"])
    return {"rows": rows} if rows else None


def _card(block: Block, values: Mapping[str, str]) -> _Block:
    told = {name: values.get(f"offer.{name}", "") for name in blocks.CARD}
    link = _web(told["link"])
    if not told["name"] or not link:
        return None
    return told | {
        "link": link,
        "image": _web(told["image"]),
        "headline": told["headline"] or told["name"],
        "label": _filled(block.words["label"], values),
        "differs": told["due_shown"] if told["due_shown"] != told["price_shown"] else "",
    }


def _suggestions(block: Block, values: Mapping[str, str]) -> _Block:
    rows = []
    for place in range(1, block.most + 1):
        told = {
            name: values.get(f"suggestion.{place}.{name}", "")
            for name in ("name", "price", "reason")
        }
        link = _web(values.get(f"suggestion.{place}.url", ""))
        image = _web(values.get(f"suggestion.{place}.image", ""))
        if told["name"] and link:
            rows.append(told | {"url": link, "image": image})
    return {"text": _filled(block.words["text"], values), "rows": rows} if rows else None


def _rating(block: Block, values: Mapping[str, str]) -> _Block:
    link = _leads_to(block.link, values)
    join = "&" if "?" in link else "?"
    return {
        "text": _filled(block.words["text"], values),
        "scores": [
            {
                "score": score,
                "words": wording.score(score),
                "url": f"{link}{join}{urlencode({'score': score})}",
            }
            for score in SCORES
        ],
    }


_SHOW: Mapping[BlockKind, Callable[[Block, Mapping[str, str]], _Block]] = {
    BlockKind.HEADING: _heading,
    BlockKind.TEXT: _text,
    BlockKind.IMAGE: _image,
    BlockKind.BUTTON: _button,
    BlockKind.ITEM_ROW: _items,
    BlockKind.OFFER_CARD: _card,
    BlockKind.SUGGESTION_ROW: _suggestions,
    BlockKind.RATING: _rating,
}


def _filled(words: Words, values: Mapping[str, str]) -> str:
    return flat(words.filled(values))


def _leads_to(address: str, values: Mapping[str, str]) -> str:
    return values.get(_TYPED + address) or _address(address, values)


def _address(address: str, values: Mapping[str, str]) -> str:
    """Return an absolute address: as typed, or what stands for its name.

    Raises:
        Unresolved: Nothing does, or nothing that a browser opens.
    """
    found = _web(address if blocks.is_https(address) else values.get(address, ""))
    if not found:
        raise Unresolved(address)
    return found
