"""Links of one message: to rate what it was about, to read it, to close it. Signed, no end."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.signing import BadSignature, Signer
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

FEEDBACK = "feedback"
VIEW_ONLINE = "view_online"
DISMISS = "dismiss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """Who rates, what order, and which message asked: one answer for each message."""

    customer_key: str
    order_ref: str
    """Empty where the message is about none."""
    message: str
    """Its key."""


def feedback_path(rated: Rated) -> str:
    """Return the address, on its own host, of the page that takes a rating.

    All of it is in the link: it holds also once the message is gone from our tables.
    """
    told = [rated.customer_key, rated.order_ref, rated.message]
    return _path(FEEDBACK, _signer(FEEDBACK).sign_object(told, compress=False))


def feedback_opened(token: str) -> Rated | None:
    """Return what a token says; none where we did not make it. Every fallback of the key verifies.

    A token of one page never opens the other.
    """
    try:
        customer_key, order_ref, message = _signer(FEEDBACK).unsign_object(token)
    except (BadSignature, ValueError, TypeError):
        return None
    return Rated(customer_key=customer_key, order_ref=order_ref, message=message)


def view_path(message: str) -> str:
    """Return the address, on its own host, of a message as a page."""
    return _path(VIEW_ONLINE, _signer(VIEW_ONLINE).sign_object([message], compress=False))


def view_opened(token: str) -> str | None:
    """Return the key of the message that a token shows; none where we did not make it."""
    try:
        [message] = _signer(VIEW_ONLINE).unsign_object(token)
    except (BadSignature, ValueError, TypeError):
        return None
    return str(message)


def dismiss_path(message: str, back: str) -> str:
    """Return the address, on its own host, that takes a no to a message on a page.

    Args:
        back: The page it is on, as a path: where the buyer goes on. What a browser would take
            for another host's is the front page.
    """
    ours = back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    back = back if ours else "/"
    return _path(DISMISS, _signer(DISMISS).sign_object([message, back], compress=False))


def dismiss_opened(token: str) -> tuple[str, str] | None:
    """Return a message's key and the page it was on; none where we did not make the token."""
    try:
        message, back = _signer(DISMISS).unsign_object(token)
    except (BadSignature, ValueError, TypeError):
        return None
    return str(message), str(back)


def _signer(what: str) -> Signer:
    return Signer(salt=f"upsell.{what}")


def _path(what: str, token: str) -> str:
    return reverse(f"upsell:{what}", args=[token])
