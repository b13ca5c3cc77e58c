"""Fixtures that every test may use."""

from __future__ import annotations

import pytest

from example_shop.adapter import CardGateway
from upsell import conf, snapshots

collect_ignore = ["celery_app.py", "flow/killed.py", "flow/loaded.py"]  # programs of their own
# A project with settings of its own: only the test that runs it is ours.
collect_ignore += [
    f"other_host/{name}"
    for name in ("backoffice.py", "boutique", "settings.py", "stories.py", "urls.py")
]


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    """No campaign index and no ledger outlives a test."""
    monkeypatch.setenv("UPSELL_TEST_LEDGER", str(tmp_path / "ledger.sqlite3"))
    snapshots.forget()
    conf.shop.cache_clear()
    conf.gateways.cache_clear()
    yield
    snapshots.forget()


@pytest.fixture
def gateway() -> CardGateway:
    """The card gateway's ledger, as the shop sees it."""
    return CardGateway()
