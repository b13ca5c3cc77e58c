"""Links by which a buyer leaves, or says what they want to get: signed, and without an end."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.signing import BadSignature, Signer
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

UNSUBSCRIBE = "unsubscribe"
PREFERENCES = "preferences"

NAMES: dict[str, Promise] = {
    "email": _("by e-mail"),
    "sms": _("by SMS"),
    "onsite": _("on the pages of the shop"),
    "push": _("by messages on your device"),
    "*": _("in any way"),
}
"""How a message comes, inside a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Whose link it is, and what it is about."""

    customer_key: str
    medium: str
    purpose: str


def made(what: str, link: Link) -> str:
    """Return the token of a link: it says whose it is, and nobody else can make one.

    Args:
        what: ``UNSUBSCRIBE`` or ``PREFERENCES``: a token of one never opens the other.
    """
    told = [link.customer_key, link.medium, link.purpose]
    return _signer(what).sign_object(told, compress=False)


def opened(what: str, token: str) -> Link | None:
    """Return what a token says; none where we did not make it. Every fallback of the key verifies.

    It never expires: who kept a mail for years may leave by it.
    """
    try:
        customer_key, medium, purpose = _signer(what).unsign_object(token)
    except (BadSignature, ValueError, TypeError):
        return None
    return Link(customer_key=customer_key, medium=medium, purpose=purpose)


def _signer(what: str) -> Signer:
    return Signer(salt=f"upsell.{what}")


def unsubscribe_url(customer_key: str, medium: str, purpose: str, base: str) -> str:
    """Return the address by which a buyer leaves.

    Args:
        base: What it begins with, such as ``https://shop.example``: never a request's host.
    """
    return _url(UNSUBSCRIBE, Link(customer_key=customer_key, medium=medium, purpose=purpose), base)


def preferences_url(customer_key: str, medium: str, purpose: str, base: str) -> str:
    """Return the address at which a buyer says what they want to get, and by what."""
    return _url(PREFERENCES, Link(customer_key=customer_key, medium=medium, purpose=purpose), base)


def _url(what: str, link: Link, base: str) -> str:
    return base.rstrip("/") + path_of(what, link)


def path_of(what: str, link: Link) -> str:
    """Return the address of a link on its own host."""
    return reverse(f"upsell:{what}", args=[made(what, link)])


def list_headers(
    customer_key: str, medium: str, purpose: str, base: str, *, mailto: str = ""
) -> dict[str, str]:
    """Return the headers by which a mail program offers to leave (RFC 2369, RFC 8058).

    Every marketing mail has them, no transactional one does. One click is for ``https`` alone; with
    another base, as while developing, there is the link only. Both have to be among the headers
    that DKIM signs.

    Args:
        mailto: An address where somebody takes such mails, if there is one.

    The link is longer than a line: see ``upsell.media.mail``, which leaves it whole.
    """
    link = unsubscribe_url(customer_key, medium, purpose, base)
    ways = [f"<{link}>"] + ([f"<mailto:{mailto}?subject=unsubscribe>"] if mailto else [])
    headers = {"List-Unsubscribe": ", ".join(ways)}
    if link.startswith("https://"):
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers
