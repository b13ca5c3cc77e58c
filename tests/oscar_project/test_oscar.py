"""django-oscar's own shop and a forked one, each in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LACKING = "" if find_spec("oscar") and find_spec("sorl") else "django-oscar is not installed"

if LACKING and "oscar" in os.environ.get("UPSELL_TEST_REQUIRE", "").split(","):
    pytest.fail(LACKING, pytrace=False)
pytestmark = pytest.mark.skipif(bool(LACKING), reason=LACKING)


def tell(story, *, migrated=False, **environment):
    """Run one file of stories; return how many passed.

    Oscar's migrations take longer than the stories: its tables are made as its models say, but
    for those that say ``migrated``.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["--noconftest", "-p", "tests.oscar_project.fixtures"]
    command += ["--ds", "tests.oscar_project.settings"]
    # Oscar's own warnings are not ours to mend.
    command += ["-o", "addopts=--import-mode=importlib", "-o", "filterwarnings=ignore"]
    command += [] if migrated else ["--nomigrations"]
    inherited = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    inherited.pop("DJANGO_SETTINGS_MODULE", None)

    done = subprocess.run(
        [*command, str(HERE / story)],
        cwd=ROOT,
        env=inherited,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    return int(passed[1])


STOCK, FORKED = {}, {"UPSELL_OSCAR_FORKED": "1"}
ON_SERVERS = pytest.mark.databases


def shops(*, on_servers=None):
    """The stock shop and the forked one; at most one of them on the servers, too: it is slow."""
    shops = []
    for name, shop in (("stock", STOCK), ("forked", FORKED)):
        marks = [ON_SERVERS] if name == on_servers else []
        marks += [pytest.mark.long] if name == "stock" else []
        shops.append(pytest.param(shop, id=name, marks=marks))
    return pytest.mark.parametrize("shop", shops)


@shops(on_servers="stock")
def test_the_contract_of_a_shop(shop):
    assert tell("stories_shop.py", migrated=True, **shop) >= 27


@shops(on_servers="stock")
def test_buying_accepting_and_undoing(shop):
    assert tell("stories_buying.py", **shop) >= 18


@shops(on_servers="stock")
def test_what_may_go_wrong_and_many_at_once(shop):
    assert tell("stories_hurting.py", **shop) >= 8


@shops()
def test_card_orders_with_stripe(shop):
    assert tell("stories_stripe.py", **shop) == 3


def test_where_the_app_stands():
    assert tell("stories_wiring.py", migrated=True) == 7


@shops()
def test_installed_and_unused_we_are_invisible(shop, tmp_path):
    """No campaign: the same pages, signals, mails and rows, and at most one statement more."""
    told = {}
    for name, without in (("with", {}), ("without", {"UPSELL_OSCAR_WITHOUT": "1"})):
        file = tmp_path / f"{name}.json"
        tell("stories_invisible.py", UPSELL_OSCAR_SCRIPT=str(file), **shop, **without)
        told[name] = json.loads(file.read_text())
    pages = {name: told[name].pop("pages") for name in told}
    for ours, stock in zip(pages["with"], pages["without"], strict=True):
        assert ours[:3] == stock[:3], ours[0]
        assert ours[3] <= stock[3] + 1, f"{ours[0]}: {stock[3]} statements, and with us {ours[3]}"
    assert told["with"] == told["without"]
