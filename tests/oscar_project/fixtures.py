"""What every story starts with: a stocked shop, and no campaign index from before.

A plugin is loaded before Django is set up: what needs it is imported when it is used.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    from django.conf import settings

    monkeypatch.setenv("UPSELL_TEST_LEDGER", str(tmp_path / "ledger.sqlite3"))
    if settings.WITH_US:
        from upsell import conf, snapshots

        snapshots.forget()
        conf.shop.cache_clear()
        conf.gateways.cache_clear()


@pytest.fixture
def goods(transactional_db):
    """The products, by SKU."""
    from django.conf import settings
    from django.contrib.sites.models import Site

    from tests.oscar_project import stocking

    site = {"domain": "testserver", "name": "Tea"}
    Site.objects.update_or_create(pk=settings.SITE_ID, defaults=site)
    Site.objects.clear_cache()
    return stocking.stock_the_shop()
