"""What tests share that start processes of the shop."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.flow import clock
from tests.flow.databases import PORTS, Database
from tests.flow.mailing import MailServer, Post, mails_over
from tests.flow.processes import mails_in
from tests.tcp_proxy import TcpProxy

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


@pytest.fixture
def database(transactional_db) -> Iterator[Database]:
    """The database behind a line of its own."""
    if connection.vendor not in PORTS:
        pytest.skip("SQLite has no connection that could be cut")
    told = connection.settings_dict
    port = int(told["PORT"] or PORTS[connection.vendor])
    with TcpProxy(str(told["HOST"]), port) as line:
        made = Database(line)
        made.open()
        yield made
        made.close()


@pytest.fixture
def post(noon, settings) -> Iterator[Post]:
    """A mail server and the line to it; every mail of the test goes there."""
    controller = pytest.importorskip("aiosmtpd.controller", reason="aiosmtpd is not installed")
    mails = MailServer()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    smtp = controller.Controller(mails, hostname="127.0.0.1", port=port)
    smtp.start()
    try:
        with TcpProxy("127.0.0.1", port) as line:
            for name, value in mails_over(line.port).items():
                setattr(settings, name, value)
            yield Post(line, mails)
    finally:
        smtp.stop()
