"""Blocks of ready-made messages, written shortly."""

from __future__ import annotations

from typing import Any

Block = dict[str, Any]
ITEMS: Block = {"kind": "item_row"}


def letter(subject: str, preheader: str, *blocks: Block) -> dict[str, Any]:
    """Return a message in one language."""
    return {"subject": subject, "preheader": preheader, "blocks": [dict(one) for one in blocks]}


def heading(text: str) -> Block:
    """Return a heading."""
    return {"kind": "heading", "text": text}


def text(*paragraphs: str) -> Block:
    """Return a text of one paragraph or more."""
    return {"kind": "text", "text": "\n\n".join(paragraphs)}


def button(label: str, link: str) -> Block:
    """Return a button; ``link`` is a name of the table."""
    return {"kind": "button", "label": label, "link": link}


def card(label: str = "") -> Block:
    """Return the card of the offer."""
    return {"kind": "offer_card", **({"label": label} if label else {})}


def suggestions(text: str, most: int = 3) -> Block:
    """Return a row of suggestions with a heading."""
    return {"kind": "suggestion_row", "text": text, "most": most}


def rating(text: str, link: str) -> Block:
    """Return one question with five answers."""
    return {"kind": "rating", "text": text, "link": link}
