"""The line that tests break: what it does to a connection, seen from a plain socket."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.tcp_proxy import TcpProxy


class Echo(socketserver.BaseRequestHandler):
    """Says everything back, and remembers it."""

    heard: list[bytes] = []

    def handle(self) -> None:
        while said := self.request.recv(1024):
            self.heard.append(said)
            self.request.sendall(said)


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    Echo.heard = []
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with TcpProxy("127.0.0.1", server.server_address[1]) as made:
            yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def client(proxy) -> Iterator[socket.socket]:
    with dialled(proxy) as made:
        yield made


def dialled(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def said(client: socket.socket, words: bytes) -> bytes:
    client.sendall(words)
    return client.recv(1024)


def test_what_is_said_arrives_and_comes_back(client):
    assert said(client, b"select 1") == b"select 1"


def test_it_takes_as_long_as_told(proxy, client):
    proxy.latency_seconds = 0.05
    begun = time.monotonic()

    said(client, b"select 1")

    assert time.monotonic() - begun >= 0.05


def test_a_cut_is_a_reset_and_the_next_connection_works(proxy, client):
    said(client, b"select 1")

    assert proxy.cut() == 1

    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with dialled(proxy) as again:
        assert said(again, b"select 2") == b"select 2"


def test_down_refuses_until_it_is_up_again(proxy, client):
    said(client, b"select 1")
    with proxy.closed():
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionRefusedError):
            dialled(proxy)

    with dialled(proxy) as again:
        assert said(again, b"select 2") == b"select 2"


@pytest.mark.parametrize(
    ("answered", "heard"), [(False, [b"begin"]), (True, [b"begin", b"COMMIT"])]
)
def test_a_cut_at_words_strikes_once_before_or_after_the_server_hears_them(
    proxy, client, answered, heard
):
    proxy.cut_at(b"COMMIT", answered=answered)

    assert said(client, b"begin") == b"begin"
    with pytest.raises(ConnectionResetError):
        said(client, b"COMMIT")

    assert Echo.heard == heard
    assert proxy.went_off()
    with dialled(proxy) as again:
        assert said(again, b"COMMIT") == b"COMMIT"
