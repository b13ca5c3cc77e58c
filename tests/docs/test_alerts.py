"""The page of alert rules names what the audit's JSON has, with its limits; its programs run."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from datetime import timedelta

import pytest
from django.core.management import call_command

from tests.docs.pages import DOCS, blocks, cells
from tests.factories import campaign, catalogue
from tests.standing import offer_in
from upsell.presenting.health import WORDS, age_in_words
from upsell.services import health

PAGE = DOCS / "how-to" / "alerts.md"


def measures() -> dict[str, list[str]]:
    return {name: row for name, row in cells(PAGE).items() if len(row) == 3}


def audit() -> str:
    out = io.StringIO()
    call_command("upsell_audit", "--json", stdout=out)
    return out.getvalue()


def run(name: str, given: str) -> str:
    text = next(block.text for block in blocks(PAGE) if block.caption == name)
    done = subprocess.run(
        [sys.executable, "-c", text], input=given, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def troubled(transactional_db):
    products = catalogue()
    campaign(products["CA"])
    return offer_in("NEEDS_ATTENTION", products)


def test_the_page_the_json_and_the_admin_have_the_same_measures(transactional_db):
    told = json.loads(audit().splitlines()[-1])["health"]

    assert list(measures()) == list(told) == list(health.LIMITS) == list(WORDS)


@pytest.mark.parametrize("name", health.LIMITS)
def test_a_limit_is_the_one_of_the_code(name):
    limit = health.LIMITS[name]

    written = age_in_words(limit) if isinstance(limit, timedelta) else str(limit)

    assert measures()[name][0] == written


def test_what_says_which_one_it_is_is_on_the_page(troubled):
    told = json.loads(audit().splitlines()[-1])["health"]

    for name, measure in told.items():
        more = set(measure) - {"fine", "count", "age_seconds"}
        assert more <= set(re.findall(r"`(\w+)`", measures()[name][1])), name
    gateway = next(iter(told["breaker"]["gateways"].values()))
    assert set(gateway) <= set(re.findall(r"`(\w+)`", measures()["breaker"][1]))


def test_cron_is_told_what_is_wrong_and_no_more(troubled):
    lines = run("upsell_alerts.py", audit()).splitlines()

    assert [line.split(":")[0] for line in lines] == ["needs_attention", "due_work"]
    assert f'"offer": {troubled.pk}' in lines[0]


def test_prometheus_reads_numbers(troubled):
    lines = run("upsell_prometheus.py", audit()).splitlines()

    told = dict(line.rsplit(" ", 1) for line in lines)
    assert told["upsell_breaches"] == "0"
    assert told['upsell_fine{measure="needs_attention"}'] == "0"
    assert told['upsell_count{measure="needs_attention"}'] == "1"
    assert told['upsell_fine{measure="outbox"}'] == "1"
    shape = re.compile(r'upsell_\w+(\{measure="\w+"\})? \d+')
    assert [line for line in lines if not shape.fullmatch(line)] == []
