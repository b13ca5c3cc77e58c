"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from example_shop.adapter import CardGateway
from tests import emptying
from upsell import conf, snapshots
from upsell.services import journey_plans

emptying.install()

collect_ignore = ["celery_app.py", "flow/killed.py", "flow/loaded.py"]  # programs of their own
# Projects with settings of their own: only the test that runs each is ours.
collect_ignore += [
    str(path)
    for project in ("other_host", "oscar_project", "salesman_project")
    for path in (Path(__file__).parent / project).iterdir()
    if not path.name.startswith("test_")
]


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    """No campaign index, no read journey and no ledger outlives a test."""
    monkeypatch.setenv("UPSELL_TEST_LEDGER", str(tmp_path / "ledger.sqlite3"))
    snapshots.forget()
    journey_plans.forget()  # a rolled back test leaves its numbers to the next
    conf.shop.cache_clear()
    conf.gateways.cache_clear()
    yield
    snapshots.forget()


@pytest.fixture
def gateway() -> CardGateway:
    """The card gateway's ledger, as the shop sees it."""
    return CardGateway()


@pytest.fixture
def addressed(settings):
    """The shop has an address: without one no marketing mail has a link to leave by."""
    settings.UPSELL_BASE_URL = "https://shop.example"
