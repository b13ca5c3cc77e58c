"""One signed request to one receiver, and to nobody else. Needs the extra ``webhooks``.

The address is looked up once, refused where it is not a public one, and then connected to as it
is: a name that is answered differently a second later leads nowhere else. Certificates are
checked against the name. Nothing is followed. Of the answer only the status is read, but where
somebody asks for what it says, and then so much of it at most.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse
from urllib3.util.ssl_match_hostname import CertificateError

from upsell.exceptions import UpsellError

SECONDS = 5.0
"""For the whole of it, what is read of the answer included."""
MOST_ANSWER = 16 * 1024
"""Bytes of an answer that are read; a longer one is as none."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotTaken(UpsellError):
    """The receiver did not say that it has it; the message says why, and names no address."""


class Webhooks:
    """Posts bodies."""

    def post(
        self,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        private_hosts: Collection[str] = (),
    ) -> None:
        """Post a body; return once the receiver answered with a 2xx.

        Args:
            private_hosts: Names of hosts that may have an address which is not public.

        Raises:
            NotTaken: It was refused, or no answer came in five seconds. It may have arrived.
        """
        self._exchange(url, body, headers, private_hosts, most=0)

    def ask(
        self,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        private_hosts: Collection[str] = (),
    ) -> bytes:
        """Post a body as ``post`` does; return what the receiver answered.

        Empty where the answer is longer than 16 KB, or broke off: the body was taken all the same.
        """
        return self._exchange(url, body, headers, private_hosts, most=MOST_ANSWER)

    def _exchange(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        private_hosts: Collection[str],
        *,
        most: int,
    ) -> bytes:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = _resolved(host, port, may_be_private=host in private_hosts)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        shown = f"[{host}]" if ":" in host else host
        named = shown if parts.port is None else f"{shown}:{port}"
        try:
            status, answer = _asked(
                parts.scheme, host, address, port, path, body, headers, named, most
            )
        except (OSError, HTTPException, HTTPError, CertificateError) as error:
            raise NotTaken(type(error).__name__) from error
        if not 200 <= status < 300:
            raise NotTaken(f"status {status}")
        return answer


def _asked(
    scheme: str,
    host: str,
    address: str,
    port: int,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    named: str,
    most: int,
) -> tuple[int, bytes]:
    connection: HTTPConnection
    if scheme == "https":
        connection = HTTPSConnection(
            address, port, timeout=SECONDS, server_hostname=host, assert_hostname=host
        )
    else:
        connection = HTTPConnection(address, port, timeout=SECONDS)
    # A time-out of the socket begins anew with each byte; this one does not.
    over = threading.Timer(SECONDS, _hang_up, [connection])
    over.daemon = True
    over.start()
    try:
        connection.connect()
        sent = {"Host": named, "Content-Type": "application/json", **headers}
        connection.request("POST", path, body=body, headers=sent, preload_content=False)
        response = connection.getresponse()
        return int(response.status), _read(response, most)
    finally:
        over.cancel()
        connection.close()


def _read(response: HTTPResponse, most: int) -> bytes:
    if not most:
        return b""
    try:
        answer = bytes(response.read(most + 1, decode_content=False))
    except (OSError, HTTPException, HTTPError):
        return b""
    return answer if len(answer) <= most else b""


def _hang_up(connection: HTTPConnection) -> None:
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def _resolved(host: str, port: int, *, may_be_private: bool) -> str:
    """Look a host up, once; return an address to connect to.

    One address that is not public is enough to refuse all: whoever answers with both hopes that
    the other one is tried.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotTaken("host not found") from error
    addresses = [str(row[4][0]) for row in found]
    if not may_be_private and not all(is_public(ipaddress.ip_address(one)) for one in addresses):
        raise NotTaken("private address")
    return addresses[0]


def is_public(address: Address) -> bool:
    """Whether an address is one of the open net, also where it wraps another."""
    if not address.is_global or address.is_multicast or address.is_unspecified:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    wrapped: list[Any] = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        wrapped.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return all(is_public(inner) for inner in wrapped if inner is not None)
