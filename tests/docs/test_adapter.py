"""What "Write an adapter" quotes is there, and as long as it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.counting import lines_of_code
from tests.docs.pages import DOCS, ROOT

PAGE = DOCS / "how-to" / "adapter.md"
QUOTES = re.findall(r"^```\{literalinclude\} (\S+)\n:pyobject: (\S+)$", PAGE.read_text(), re.M)
SALESMAN = ROOT / "tests" / "salesman_project"


def named(path: Path, name: str) -> bool:
    """Whether a module has this function or class, "Class.method" included."""
    body = ast.parse(path.read_text()).body
    for part in name.split("."):
        found = [row for row in body if getattr(row, "name", None) == part]
        if not found:
            return False
        body = getattr(found[0], "body", [])
    return True


@pytest.mark.parametrize(("file", "name"), QUOTES)
def test_what_is_quoted_is_there(file, name):
    assert named((PAGE.parent / file).resolve(), name)


def test_both_adapters_are_quoted():
    files = {file for file, _name in QUOTES}

    assert {"../../example_shop/adapter.py", "../../tests/salesman_project/adapter.py"} <= files


def test_the_second_adapter_takes_as_many_lines_as_told():
    read, changed = (lines_of_code(SALESMAN / f"{name}.py") for name in ("adapter", "changing"))

    assert read < 200
    assert f"{read} lines of code in `adapter.py`" in PAGE.read_text()
    assert f"{changed} in `changing.py`" in PAGE.read_text().replace("\n", " ")


def test_a_capability_that_is_not_claimed_is_never_answered_by_a_guess():
    """The page's list of what Salesman lacks, as the adapter says it."""
    text = (SALESMAN / "adapter.py").read_text()

    for word in ("TAX", "COUNTRY", "CATEGORIES", "RETURNS"):
        assert f"Capability.{word}" not in text
    assert "shipping_country" not in text
