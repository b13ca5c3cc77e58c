"""Each fault of the guarantees page names what is seen, how long it takes, and a test there is."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS, ROOT

PAGE = (DOCS / "explanation" / "guarantees.md").read_text()
TABLE = PAGE.split("## When something breaks", 1)[1].split("\n## ", 1)[0]
FAULTS = [
    [cell.strip() for cell in row.strip("|").split("|")]
    for row in TABLE.splitlines()
    if row.startswith("| ") and "::" in row
]


def test_no_fault_is_without_a_test():
    rows = [row for row in TABLE.splitlines() if row.startswith("| ")]
    headings = [row for row in rows if row.startswith(("| **", "| what happens"))]

    assert len(FAULTS) == len(rows) - len(headings)


@pytest.mark.parametrize("row", FAULTS, ids=[row[0] for row in FAULTS])
def test_a_fault_says_what_is_seen_and_its_test_is_there(row):
    what, buyer, staff, within, test = row
    path, _, name = test.strip("`").partition("::")
    text = (ROOT / path).read_text()

    assert what
    assert staff
    assert within
    assert buyer or "all of it at once" in what
    assert name == "*" or re.search(rf"^\s*(async )?def {name}\(", text, re.MULTILINE), name
    assert "def test_" in text
