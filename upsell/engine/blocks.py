"""What a message says, read from data: languages, and in each a subject and blocks in their order.

The shape::

    {language: {"subject", "preheader", "blocks": [{"kind", ..., "show_if"}]}}

Texts have flat placeholders from the closed table; addresses are ``https`` or one of a few names.
No markup is typed and none is read: whoever shows a block escapes all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from upsell.engine import placeholders
from upsell.engine.conditions import ConditionError, FactSpec, below, parse
from upsell.engine.journeys.definition import Fault
from upsell.engine.placeholders import PlaceholderError, Words
from upsell.engine.variables import LINKS, MOST_ITEMS, NAMES, ROWS

MOST_BLOCKS = 40
MOST_LANGUAGES = 40
LONGEST_SUBJECT = 150
_LONGEST_ADDRESS = 1000


class BlockKind(StrEnum):
    """What a block is."""

    HEADING = "heading"
    TEXT = "text"
    IMAGE = "image"
    BUTTON = "button"
    ITEM_ROW = "item_row"
    OFFER_CARD = "offer_card"
    SUGGESTION_ROW = "suggestion_row"
    RATING = "rating"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One piece of a message."""

    kind: BlockKind
    words: Mapping[str, Words] = field(default_factory=dict)
    """Texts, by the name of their field."""
    link: str = ""
    """An address that begins with https, or a name of the table that stands for one."""
    image: str = ""
    """The same, of a picture."""
    most: int = 0
    """How many suggestions."""
    condition: str = ""
    """Under which its show-if is asked: its tree as JSON. Empty = always shown."""

    @property
    def names(self) -> frozenset[str]:
        """What has to be gathered for it."""
        texts = (name for words in self.words.values() for name in words.names)
        addresses = (address for address in (self.link, self.image) if address in NAMES)
        return frozenset((*texts, *addresses)) | _needed_by(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message in one language."""

    subject: Words
    preheader: Words
    blocks: tuple[Block, ...]

    @property
    def names(self) -> frozenset[str]:
        """What has to be gathered for all of it."""
        own = self.subject.names | self.preheader.names
        return own | {name for block in self.blocks for name in block.names}

    @property
    def conditions(self) -> frozenset[str]:
        """What has to be asked for it."""
        return frozenset(block.condition for block in self.blocks if block.condition)

    def unresolved(self, never: frozenset[str]) -> frozenset[str]:
        """Return those of ``never`` for which there is no fallback: the message could not go."""
        texts = [self.subject, self.preheader]
        texts += [words for block in self.blocks for words in block.words.values()]
        gaps = {
            part.name
            for words in texts
            for part in words.parts
            if not isinstance(part, str) and part.fallback is None
        }
        addresses = {one for block in self.blocks for one in (block.link, block.image)}
        return frozenset(gaps | addresses) & never


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A message in all its languages."""

    letters: Mapping[str, Letter]

    def letter(self, locale: str, default: str) -> tuple[str, Letter]:
        """Return the language nearest to a locale, and its letter; else the default, else any."""
        wanted = locale.replace("_", "-").lower()
        known = {tag.lower(): tag for tag in self.letters}
        for tag in (wanted, wanted.partition("-")[0], default.lower(), *known):
            if tag in known:
                return known[tag], self.letters[known[tag]]
        raise ValueError("a message has one language or more")


def read(
    content: object,
    specs: Mapping[str, FactSpec] | None = None,
    /,
    *,
    medium: str = "email",
) -> tuple[Content | None, list[Fault]]:
    """Read a message.

    Args:
        content: As JSON gives it.
        specs: The facts that a show-if may name; none = it was read before, and is taken as it is.
        medium: ``email``, ``sms`` (texts alone, no subject), ``push`` (a subject, texts and one
            button, which is where a tap leads) or ``onsite``.

    Returns:
        None and all faults where there is any; each says where: ``de.blocks.2.text``.
    """
    reader = _Reader(specs, medium)
    made = reader.content(content)
    return (None, reader.faults) if reader.faults else (made, [])


def _needed_by(block: Block) -> frozenset[str]:
    match block.kind:
        case BlockKind.ITEM_ROW:
            return frozenset({ROWS})
        case BlockKind.OFFER_CARD:
            return frozenset(f"offer.{name}" for name in CARD)
        case BlockKind.SUGGESTION_ROW:
            numbers = range(1, block.most + 1)
            return frozenset(f"suggestion.{n}.{name}" for n in numbers for name in _SUGGESTED)
    return frozenset()


CARD = (
    *("name", "image", "headline", "body", "replaces", "price_shown", "original_price_shown"),
    *("due_shown", "link"),
)
"""What the card of an offer shows."""
_SUGGESTED = ("name", "url", "image", "price", "reason")


_TAG = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,2}")
_IMAGE = re.compile(r"\{((?:[a-z0-9_]+\.)+(?:image|product_image))\}")
_BLANK = re.compile(r"[\s\x00-\x20\x7f]")


def allowed_by(medium: str, /) -> tuple[BlockKind, ...]:
    """Return what messages by a medium consist of."""
    return _ALLOWED.get(medium, tuple(BlockKind))


class _Reader:
    """Reads piece by piece, and notes every fault on the way instead of stopping at the first."""

    def __init__(self, specs: Mapping[str, FactSpec] | None, medium: str) -> None:
        self.specs = specs
        self.medium = medium
        self.faults: list[Fault] = []

    def wrong(self, path: str, message: str) -> None:
        self.faults.append(Fault(path=path, message=message))

    def content(self, data: object) -> Content:
        if not isinstance(data, Mapping) or not data:
            self.wrong("", "a message has one language or more")
            return Content(letters={})
        if len(data) > MOST_LANGUAGES:
            self.wrong("", f"there may be {MOST_LANGUAGES} languages, and are {len(data)}")
            return Content(letters={})
        return Content(letters={str(tag): self.letter(tag, row) for tag, row in data.items()})

    def letter(self, tag: object, data: object) -> Letter:
        path = str(tag)
        if not _TAG.fullmatch(path):
            self.wrong(path, "is no language; write one like de or pt-BR")
        told = self.mapping(data, path, {"subject", "preheader", "blocks"})
        rows = told.get("blocks")
        if not isinstance(rows, list | tuple) or not rows:
            self.wrong(f"{path}.blocks", "a message has one block or more")
            rows = []
        if len(rows) > MOST_BLOCKS:
            self.wrong(f"{path}.blocks", f"there may be {MOST_BLOCKS}, and are {len(rows)}")
            rows = []
        kinds = [row.get("kind") for row in rows if isinstance(row, Mapping)]
        if self.medium == "push" and rows and kinds.count(BlockKind.BUTTON) != 1:
            self.wrong(f"{path}.blocks", "a push has one button: it is where a tap leads")
        return Letter(
            subject=self.words(
                told.get("subject"),
                f"{path}.subject",
                longest=LONGEST_SUBJECT,
                needed=self.medium in {"email", "push"},
            ),
            preheader=self.words(told.get("preheader"), f"{path}.preheader", longest=200),
            blocks=tuple(
                block
                for place, row in enumerate(rows)
                if (block := self.block(row, f"{path}.blocks.{place}")) is not None
            ),
        )

    def block(self, data: object, path: str) -> Block | None:
        kind = data.get("kind") if isinstance(data, Mapping) else None
        allowed = allowed_by(self.medium)
        if kind not in allowed:
            self.wrong(below(path, "kind"), f"one of {', '.join(allowed)}, and not {kind!r}")
            return None
        kind = BlockKind(str(kind))
        fields = FIELDS[kind]
        told = self.mapping(data, path, {"kind", "show_if", *fields})
        words: dict[str, Words] = {}
        values: dict[str, str] = {}
        most = 0
        for name, (how, needed) in fields.items():
            here, value = f"{path}.{name}", told.get(name)
            match how:
                case int():
                    words[name] = self.words(value, here, longest=how, needed=needed)
                case "most":
                    most = self.most(value, here)
                case _:
                    values[how] = self.address(value, here, how=how, needed=needed)
        return Block(
            kind=kind,
            words=words,
            link=values.get("link", ""),
            image=values.get("image", ""),
            most=most,
            condition=self.condition(told.get("show_if"), below(path, "show_if")),
        )

    def mapping(self, data: object, path: str, known: set[str]) -> Mapping[str, object]:
        if not isinstance(data, Mapping):
            self.wrong(path, f"wanted an object, and there is {data!r}")
            return {}
        for name in sorted(set(map(str, data)) - known):
            self.wrong(below(path, name), f"is not known here; known: {', '.join(sorted(known))}")
        return data

    def words(self, data: object, path: str, *, longest: int, needed: bool = False) -> Words:
        empty = Words(parts=())
        if data is None or data == "":
            if needed:
                self.wrong(path, "is missing")
            return empty
        if not isinstance(data, str) or "\x00" in data:
            self.wrong(path, f"wanted a text, and there is {data!r}")
            return empty
        if needed and not data.strip():
            self.wrong(path, "is missing")
        if len(data) > longest:
            self.wrong(path, f"has {len(data)} characters, and may have {longest}")
        try:
            return placeholders.parse(data, NAMES)
        except PlaceholderError as error:
            self.wrong(path, str(error))
            return empty

    def address(self, data: object, path: str, *, how: str, needed: bool) -> str:
        if data is None or data == "":
            if needed:
                self.wrong(path, "is missing")
            return ""
        text = data if isinstance(data, str) else ""
        if how == "link" and text in LINKS:
            return text
        if how == "image" and (found := _IMAGE.fullmatch(text)) and found[1] in NAMES:
            return found[1]
        if not is_https(text):
            names = ", ".join(LINKS) if how == "link" else "a picture such as {offer.image}"
            self.wrong(path, f"wanted an address that begins with https://, or {names}")
        return text

    def most(self, data: object, path: str) -> int:
        if data is None or data == "":
            return 3
        if type(data) is not int or not 1 <= data <= MOST_ITEMS:
            self.wrong(path, f"wanted 1 to {MOST_ITEMS}, and there is {data!r}")
            return 1
        return data

    def condition(self, data: object, path: str) -> str:
        if data is None or data == "" or data == {}:
            return ""
        if self.specs is not None:
            try:
                parse(data, self.specs)
            except ConditionError as error:
                self.wrong(below(path, error.path) if error.path else path, error.message)
                return ""
        return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


_ALLOWED: Mapping[str, tuple[BlockKind, ...]] = {
    "sms": (BlockKind.TEXT,),
    "push": (BlockKind.TEXT, BlockKind.BUTTON),
}
"""Medium to what its messages consist of; all there is where it is not named."""

FIELDS: Mapping[BlockKind, Mapping[str, tuple[int | str, bool]]] = {
    # name of a field: how long its text may be or what it is, and whether it must be there
    BlockKind.HEADING: {"text": (120, True)},
    BlockKind.TEXT: {"text": (4000, True)},
    BlockKind.IMAGE: {"url": ("image", True), "alt": (200, True), "link": ("link", False)},
    BlockKind.BUTTON: {"label": (60, True), "link": ("link", True)},
    BlockKind.ITEM_ROW: {},
    BlockKind.OFFER_CARD: {"label": (60, False)},
    BlockKind.SUGGESTION_ROW: {"text": (120, False), "most": ("most", False)},
    BlockKind.RATING: {"text": (200, True), "link": ("link", True)},
}
"""What each kind takes."""


def is_https(address: str, /) -> bool:
    """Whether an address may stand in a message: https, a host, no blanks, no user name."""
    if len(address) > _LONGEST_ADDRESS or _BLANK.search(address):
        return False
    try:
        parts = urlsplit(address)
        return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False
