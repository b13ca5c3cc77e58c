"""What tests share that start processes of the shop."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection

from tests.flow import clock
from tests.flow.processes import mails_in

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def noon(settings, monkeypatch, tmp_path, transactional_db) -> Path:
    """Noon, here and in every process that is started; returns the folder of the mails."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")
    monkeypatch.setenv("UPSELL_TEST_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("UPSELL_TEST_CLOCK", str(tmp_path / "clock"))
    settings.UPSELL_CLOCK = "tests.flow.clock.told"
    clock.set_to()
    mails = tmp_path / "mails"
    for name, value in mails_in(mails).items():
        setattr(settings, name, value)
    return mails
