"""What every story starts with: a stocked shop, and no campaign index from before."""

from __future__ import annotations

import pytest

from upsell import conf, snapshots


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("UPSELL_TEST_LEDGER", str(tmp_path / "ledger.sqlite3"))
    snapshots.forget()
    conf.shop.cache_clear()
    conf.gateways.cache_clear()


@pytest.fixture
def goods(transactional_db):
    """The products, by code."""
    from tests.salesman_project import shopping  # noqa: PLC0415 - only where Salesman is set up

    return shopping.stock_the_shop()
