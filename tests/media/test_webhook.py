"""One request to one receiver: to no private address, past no redirect, for no longer than said."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
import threading
import time

import pytest

from tests.receiver import receiving
from upsell.media import webhook
from upsell.media.webhook import NotTaken, Webhooks, is_public

LOCAL = {"127.0.0.1"}
BODY = b'{"a":1}'


def post(url: str, **options) -> None:
    Webhooks().post(url, body=BODY, headers={"webhook-id": "one"}, **options)


@pytest.fixture
def resolved(monkeypatch):
    """Say which addresses a name has; asked a second time, it fails."""

    looked_up = socket.getaddrinfo

    def says(*addresses: str) -> None:
        answers = iter([addresses])

        def told(host, port, *args, **options):
            if not host.endswith(".example"):
                return looked_up(host, port, *args, **options)
            return [
                (socket.AF_INET6 if ":" in one else socket.AF_INET, 1, 6, "", (one, port))
                for one in next(answers)
            ]

        monkeypatch.setattr(webhook.socket, "getaddrinfo", told)

    return says


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("0.0.0.0", False),  # noqa: S104
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),  # where clouds keep their secrets
        ("100.64.0.1", False),  # shared by a carrier's customers
        ("192.0.0.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("239.255.255.250", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("fd12:3456::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),  # 6to4 of 127.0.0.1
        ("64:ff9b::7f00:1", False),  # NAT64 of 127.0.0.1
        ("64:ff9b::a9fe:a9fe", False),
        ("2001:db8::1", False),
    ],
)
def test_t21_which_addresses_are_public(address, public):
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param(["127.0.0.1"], id="private"),
        pytest.param(["93.184.215.14", "10.0.0.1"], id="one of two"),
        pytest.param(["::ffff:169.254.169.254"], id="wrapped"),
    ],
)
def test_t21_a_name_of_a_private_address_is_refused(addresses, resolved):
    with receiving() as receiver:
        resolved(*addresses)

        with pytest.raises(NotTaken, match="private address"):
            post(f"http://hooks.example:{receiver.port}/")

    assert receiver.taken == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost"])
def test_t21_other_spellings_of_here_are_refused(host):
    with pytest.raises(NotTaken, match=r"private address|host not found"):
        post(f"http://{host}:9/")


def test_t21_the_name_is_looked_up_once_and_just_that_address_is_asked(resolved):
    """A second look-up would fail; the name has no address outside this test."""
    with receiving() as receiver:
        resolved("127.0.0.1")

        post(f"http://hooks.example:{receiver.port}/a?b=c", private_hosts={"hooks.example"})

    ((headers, body),) = receiver.taken
    assert headers["host"] == f"hooks.example:{receiver.port}"
    assert (headers["path"], body) == ("/a?b=c", BODY)
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 410, 429, 500, 503])
def test_anything_but_a_2xx_is_not_taken_and_nothing_is_followed(status):
    with (
        receiving() as other,
        receiving(status=status, location=other.url) as receiver,
        pytest.raises(NotTaken, match=f"status {status}"),
    ):
        post(receiver.url, private_hosts=LOCAL)

    assert len(receiver.taken) == 1
    assert other.taken == []


def test_nobody_listens(unused_port):
    with pytest.raises(NotTaken, match=r"NewConnectionError|ConnectionRefusedError"):
        post(f"http://127.0.0.1:{unused_port}/", private_hosts=LOCAL)


@pytest.fixture
def unused_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_receiver_that_does_not_answer_is_left(monkeypatch):
    monkeypatch.setattr(webhook, "SECONDS", 0.3)
    with receiving(seconds=1.0) as receiver:
        began = time.monotonic()
        with pytest.raises(NotTaken):
            post(receiver.url, private_hosts=LOCAL)

        assert time.monotonic() - began < 0.9


def test_a_receiver_that_drips_is_left(monkeypatch):
    """Each byte begins a time-out of the socket anew; the whole has one, too."""
    monkeypatch.setattr(webhook, "SECONDS", 0.5)
    listens = socket.create_server(("127.0.0.1", 0))

    def drips() -> None:
        taken, _address = listens.accept()
        try:
            for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 40:
                taken.sendall(bytes([byte]))
                time.sleep(0.1)
        except OSError:
            pass
        taken.close()

    thread = threading.Thread(target=drips, daemon=True)
    thread.start()
    began = time.monotonic()

    with pytest.raises(NotTaken):
        post(f"http://127.0.0.1:{listens.getsockname()[1]}/", private_hosts=LOCAL)

    assert time.monotonic() - began < 2
    thread.join()
    listens.close()


def test_of_an_endless_answer_nothing_is_read():
    listens = socket.create_server(("127.0.0.1", 0))
    sent = []

    def floods() -> None:
        taken, _address = listens.accept()
        taken.recv(65536)
        try:
            taken.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                taken.sendall(b"x" * 65536)
                sent.append(65536)
        except OSError:
            taken.close()

    thread = threading.Thread(target=floods, daemon=True)
    thread.start()

    post(f"http://127.0.0.1:{listens.getsockname()[1]}/", private_hosts=LOCAL)

    thread.join(5)
    assert not thread.is_alive(), "it was hung up on"
    listens.close()


# ------------------------------------------------------------------ TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> str:
    """A certificate for hooks.example alone, signed by itself."""
    path = tmp_path_factory.mktemp("tls") / "hooks.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", "-", "-days", "2", "-subj", "/CN=hooks.example",
         "-addext", "subjectAltName=DNS:hooks.example"],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    path.write_bytes(made)
    return str(path)


def test_the_certificate_is_checked_against_the_name(certificate, resolved, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    with receiving(certificate=certificate) as receiver:
        resolved("127.0.0.1")
        post(f"https://hooks.example:{receiver.port}/", private_hosts={"hooks.example"})
        assert len(receiver.taken) == 1

        resolved("127.0.0.1")
        with pytest.raises(NotTaken, match="CertificateError"):
            post(f"https://other.example:{receiver.port}/", private_hosts={"other.example"})

    assert len(receiver.taken) == 1


def test_a_certificate_of_nobody_is_refused(certificate, resolved, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with receiving(certificate=certificate) as receiver:
        resolved("127.0.0.1")
        with pytest.raises(NotTaken, match="SSL"):
            post(f"https://hooks.example:{receiver.port}/", private_hosts={"hooks.example"})

    assert receiver.taken == []
