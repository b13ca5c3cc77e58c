"""Links of a message by way of our own address, to the shop's own hosts alone, and who came by one.

Following a link counts nothing: programs that look for viruses follow all of them. The page behind
it is told, by a mark in its address, which message led there, and says so once a person is seen.
Nothing of that is a cookie.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core.signing import BadSignature, Signer, TimestampSigner
from django.http import HttpRequest
from django.http.request import validate_host
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode

from upsell import conf

MARK = "upsell_from"
"""The parameter of a page, and the field of a form, that say which message led there."""
HOLDS = timedelta(days=1)
"""How long a mark says that somebody comes from a message just now: a link may be passed on."""
LONGEST = 1000
"""Of an address: a longer one is left as it is, since not every program takes what it becomes."""
LONGEST_MARK = 400

_FOLLOW, _CAME = "upsell.follow", "upsell.from"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Where a link of a message leads."""

    message: str
    """Its key."""
    address: str
    """Absolute, and on one of the shop's own hosts."""


def by_way_of_us(message: str, address: str) -> str:
    """Return an address by way of ours; as it is where it leads away from the shop, or is too long.

    Args:
        message: The key of the message that it stands in.
        address: Absolute.
    """
    if len(address) > LONGEST or not is_ours(address):
        return address
    base = _base()
    # A link to the base itself moves with it, and is shorter.
    told = address.removeprefix(base) if address.startswith(f"{base}/") else address
    token = Signer(salt=_FOLLOW).sign_object([message, told], compress=False)
    return base + reverse("upsell:follow", args=[token])


def opened(token: str) -> Followed | None:
    """Return where a token leads; none where we did not make it, or it leads away from the shop.

    It never expires: mails are kept for years. Every fallback of the key verifies.
    """
    try:
        message, told = Signer(salt=_FOLLOW).unsign_object(token)
    except (BadSignature, ValueError, TypeError):
        return None
    address = f"{_base()}{told}" if str(told).startswith("/") else str(told)
    return Followed(message=str(message), address=address) if is_ours(address) else None


def marked(followed: Followed) -> str:
    """Return the address with the mark that its page tells of, before any fragment."""
    address, hash_sign, fragment = followed.address.partition("#")
    mark = TimestampSigner(salt=_CAME).sign(followed.message)
    join = "&" if "?" in address else "?"
    return f"{address}{join}{urlencode({MARK: mark})}{hash_sign}{fragment}"


def came_from(mark: str) -> str:
    """Return the key of the message that a mark names; empty where it is none of ours, or old."""
    if not mark or len(mark) > LONGEST_MARK:
        return ""
    try:
        return str(TimestampSigner(salt=_CAME).unsign(mark, max_age=HOLDS))
    except BadSignature:
        return ""


def mark_of(request: HttpRequest) -> str:
    """Return the mark in a page's address or in what a form says; empty = none of ours."""
    told = (request.POST if request.method == "POST" else request.GET).getlist(MARK)
    return told[0] if len(told) == 1 and came_from(told[0]) else ""


def is_ours(address: str) -> bool:
    """Whether an absolute address is on the host of ``UPSELL_BASE_URL``, or on one of
    ``ALLOWED_HOSTS`` that is named, and as safe as the first.
    """
    base = _base()
    try:
        host = urlsplit(address).netloc.lower()
        own = urlsplit(base).netloc.lower()
    except ValueError:
        return False
    named = [name for name in settings.ALLOWED_HOSTS if name != "*"]
    if not host or "@" in host or not (host == own or validate_host(host, named)):
        return False
    # It knows how browsers read what looks like another host: backslashes, control characters.
    return url_has_allowed_host_and_scheme(
        address.replace(urlsplit(address).netloc, host, 1), {host}, base.startswith("https:")
    )


def _base() -> str:
    return str(conf.get("UPSELL_BASE_URL")).rstrip("/")
