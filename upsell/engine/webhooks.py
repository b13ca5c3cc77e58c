"""Signed outgoing webhooks: who gets which events, how a body is signed, and what is answered.

The form is that of the Standard Webhooks specification, https://www.standardwebhooks.com
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

EVENTS = ("offer.accepted", "offer.reversed", "offer.refunded")
"""What leaves: a yes that was paid and applied, its undo or cancel, and each refund."""
SHORTEST_SECRET, LONGEST_SECRET = 24, 64
"""Bytes of a secret, as the specification has them."""
MOST_FIELDS, LONGEST_VALUE = 30, 500
"""Of an answer: fields that are kept, and characters of a text."""
_FIELD = re.compile(r"[a-z0-9_]{1,32}")
_WHOLE = 10**15
"""Greater numbers are kept as text: not everything that reads JSON counts so far."""
_UNSTORED = re.compile("[\x00\ud800-\udfff]")
_PREFIX = "whsec_"
_KNOWN = {"url", "secret", "events"}


class BadSecret(ValueError):
    """A secret is missing, or none that the specification allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One receiver, as ``UPSELL_WEBHOOKS`` names it."""

    url: str
    secrets: tuple[bytes, ...] = field(repr=False)
    """Each signs: while a secret is changed, the receiver knows one of them."""
    events: frozenset[str]

    @property
    def name(self) -> str:
        """What rows call it: an address may hold a secret of its own, and is not stored."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


def endpoint_of(row: Mapping[str, Any], *, plain_hosts: Collection[str] = ()) -> Endpoint:
    """Return the receiver that a dict of the setting names.

    Args:
        row: ``url``, ``secret`` (one, or several while it is changed) and, where it does not want
            all, ``events``.
        plain_hosts: Hosts that may be reached without TLS; ``*`` = all.

    Raises:
        BadSecret: The secret is missing, is not base64, or is too short.
        ValueError: The address or an event is none that can be used.
    """
    if not isinstance(row, Mapping) or not isinstance(row.get("url"), str):
        raise ValueError("each is a dict with url, secret and events")
    surplus = sorted(set(row) - _KNOWN)
    if surplus:
        raise ValueError(f"{', '.join(surplus)} is nothing that is read")
    parts = _address(row["url"], plain_hosts)
    events = row.get("events", EVENTS)
    if isinstance(events, str) or not events or set(events) - set(EVENTS):
        raise ValueError(f"events are some of {', '.join(EVENTS)}, and are {events!r}")
    given = row.get("secret") or ()
    secrets = [given] if isinstance(given, str) else list(given)
    if not secrets:
        raise BadSecret(f"the one for {parts.hostname} has no secret")
    return Endpoint(
        url=row["url"],
        secrets=tuple(secret_bytes(one) for one in secrets),
        events=frozenset(events),
    )


def _address(url: str, plain_hosts: Collection[str]) -> SplitResult:
    parts = urlsplit(url)
    host = parts.hostname or ""
    plain = parts.scheme == "http" and ("*" in plain_hosts or host in plain_hosts)
    if not host or not (plain or parts.scheme == "https"):
        raise ValueError("an address begins with https:// and a host")
    if parts.username or parts.password or parts.fragment or any(c.isspace() for c in url):
        raise ValueError("an address has no user, no fragment and no white space")
    if parts.port == 0:  # the look itself raises where it is no number
        raise ValueError("a port is from 1 to 65535")
    return parts


def secret_bytes(secret: str) -> bytes:
    """Return the key that a secret stands for: base64, with ``whsec_`` before it or not.

    Raises:
        BadSecret: It is not base64, or not of 24 to 64 bytes. The secret is not in the message.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (AttributeError, TypeError, ValueError, binascii.Error):
        raise BadSecret("a secret is whsec_ and base64") from None
    if not SHORTEST_SECRET <= len(key) <= LONGEST_SECRET:
        raise BadSecret(
            f"a secret stands for {SHORTEST_SECRET} to {LONGEST_SECRET} bytes, this for {len(key)}"
        )
    return key


def headers_of(
    *, event_id: str, timestamp: int, body: bytes, secrets: Sequence[bytes]
) -> dict[str, str]:
    """Return the three headers that say what a body is and who sent it.

    Args:
        event_id: The same at each try: by it a receiver drops the second.
        timestamp: Of this try, in seconds since 1970.
        body: The bytes as they are sent.
        secrets: Each gives a signature, separated by a space.

    >>> headers_of(event_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330,
    ...     body=b'{"test": 2432232314}',
    ...     secrets=[secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")])["webhook-signature"]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = b".".join((event_id.encode(), str(timestamp).encode(), body))
    made = (hmac.new(key, signed, hashlib.sha256).digest() for key in secrets)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in made),
    }


def fields_of(answer: bytes) -> dict[str, str | int | bool]:
    """Return what is kept of an answer: the flat fields of a JSON object, by name.

    Texts of 1 to 500 characters, whole numbers, yes and no; a number with places is kept as the
    text that it was written as. What is nested, null, too long or has another name than one of
    small letters, digits and _ is left out, and so is every field past the thirtieth. Of anything
    but an object nothing is kept.

    >>> fields_of(b'{"points": 7, "rate": 0.10, "vip": true, "more": {"deep": 1}}')
    {'points': 7, 'rate': '0.10', 'vip': True}
    """
    try:
        told = json.loads(answer, parse_float=str, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    found: dict[str, str | int | bool] = {}
    for name, value in told.items():
        kept = _kept(value)
        if kept is not None and _FIELD.fullmatch(name) and len(found) < MOST_FIELDS:
            found[name] = kept
    return found


def _no_number(_name: str) -> None:
    """``NaN`` and ``Infinity`` are no JSON, and nothing that could be compared."""


def _kept(value: object) -> str | int | bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < _WHOLE else str(value)[:LONGEST_VALUE]
    if not isinstance(value, str):
        return None
    text = _UNSTORED.sub("", value).strip()
    return text if 1 <= len(text) <= LONGEST_VALUE else None
