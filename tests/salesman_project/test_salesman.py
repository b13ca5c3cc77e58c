"""A shop on django-salesman, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import django
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LACKING = "" if find_spec("salesman") else "django-salesman is not installed"
if django.VERSION >= (6,):
    LACKING = "django-salesman works up to Django 5"

if LACKING and "salesman" in os.environ.get("UPSELL_TEST_REQUIRE", "").split(","):
    pytest.fail(LACKING, pytrace=False)
pytestmark = pytest.mark.skipif(bool(LACKING), reason=LACKING)


def tell(story):
    """Run one file of stories; return how many passed and how many were left out."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [f"--confcutdir={HERE}", "--ds", "tests.salesman_project.settings"]
    command += ["-o", "addopts=--import-mode=importlib"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)

    done = subprocess.run(
        [*command, str(HERE / story)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    counted = {word: int(count) for count, word in re.findall(r"(\d+) (\w+)", done.stdout)}
    return counted["passed"], counted.get("skipped", 0)


@pytest.mark.databases
def test_the_contract_of_a_shop():
    passed, skipped = tell("stories_shop.py")

    assert passed >= 30
    assert skipped == 0


@pytest.mark.databases
def test_buying_accepting_and_undoing():
    """Locks do nothing on SQLite: there the control of the last unit is left out."""
    passed, skipped = tell("stories_buying.py")

    assert passed >= 20
    assert skipped <= 1


def test_no_migration_of_the_shop_is_missing():
    command = [sys.executable, "-m", "django", "makemigrations", "--check", "--dry-run", "teashop"]
    environment = {"DJANGO_SETTINGS_MODULE": "tests.salesman_project.settings"}

    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
