"""Reads the documentation: code blocks with a caption, and tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_BLOCK = re.compile(
    r"^```\{code-block\} (?P<language>\S+)\n:caption: (?P<caption>[^\n]+)\n\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A code block of a page, by what its caption calls it."""

    language: str
    caption: str
    text: str


def blocks(page: Path) -> list[Block]:
    """Return a page's code blocks that have a caption, in their order."""
    return [Block(**found.groupdict()) for found in _BLOCK.finditer(page.read_text())]


def first_cells(page: Path) -> list[str]:
    """Return the first cell of every row of a page's tables, without its code marks."""
    rows = re.findall(r"^\| `([^`]+)`", page.read_text(), re.MULTILINE)
    return list(rows)


def cells(page: Path) -> dict[str, list[str]]:
    """Return each table row whose first cell is code: that code to the other cells' text."""
    found: dict[str, list[str]] = {}
    for row in re.findall(r"^\| (`[^|\n]+`) \|(.*)\|$", page.read_text(), re.MULTILINE):
        found[row[0].strip("`")] = [cell.strip() for cell in row[1].split(" | ")]
    return found
