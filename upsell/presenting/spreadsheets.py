"""Tables as CSV that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")
_SEPARATORS = str.maketrans({";": ",", "\t": " ", "\r": " ", "\n": " "})


def as_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV; a text that a spreadsheet would run begins with an apostrophe.

    Semicolons, tabs and line ends of a text are replaced: whatever a spreadsheet takes for the
    separator, it finds no other beginning of a cell. Numbers stay as they are.
    """
    return "".join(csv_lines(head, rows))


def csv_lines(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield a table as CSV line by line, where it is too long to hold; guarded as ``as_csv``."""
    for row in itertools.chain([head], rows):
        out = io.StringIO()
        csv.writer(out).writerow([cell(value) for value in row])
        yield out.getvalue()


def cell(value: object) -> str:
    """Return a value as one cell; only texts are guarded, a negative number is no formula."""
    if not isinstance(value, str):
        return "" if value is None else str(value)
    text = value.translate(_SEPARATORS).lstrip()
    return f"'{text}" if text.startswith(_FORMULA) else text
