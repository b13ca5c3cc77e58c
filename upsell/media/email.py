"""One e-mail to one mail server, and what became of it: taken, refused, later, or not known."""

from __future__ import annotations

import smtplib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import django
from django.core import mail

from upsell import conf
from upsell.media.mail import Mail


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What became of handing a message over."""

    state: str
    """``SENT``; ``FAILED``, for good; ``LATER``, and nothing of it was taken; ``UNKNOWN``: it may
    have been taken."""
    reason: str = ""
    bad_address: bool = False
    """The receiver's server says that there is no such address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """An e-mail, ready to go."""

    to: str
    subject: str
    text: str
    html: str = ""
    sender: str = ""
    headers: Mapping[str, str]
    category: str = ""
    tags: Mapping[str, str]
    """For a provider's reports, where the backend can: run and message."""


def hand_over(letter: Letter) -> Handed:
    """Hand an e-mail to the mail server of its category, once.

    A server that cannot be reached, lets nobody in, or answers with a 4xx, has taken nothing: it
    may be tried again. A 5xx to the message is for good. Where the connection is lost, or times
    out, once it was open, nobody knows.
    """
    message = Mail(
        subject=letter.subject,
        body=letter.text,
        from_email=letter.sender or None,
        to=[letter.to],
        headers=dict(letter.headers),
    )
    if letter.html:
        message.attach_alternative(letter.html, "text/html")
    message.metadata = dict(letter.tags)  # type: ignore[attr-defined]  # anymail's, else unread
    backend = _backend(letter.category)
    try:
        _open(backend)
    except (smtplib.SMTPException, OSError) as error:
        _close(backend)
        # Whatever it says, a changed password or a server that is closed: not of this message.
        code = getattr(error, "smtp_code", None)
        return Handed(state="LATER", reason=str(code or type(error).__name__))
    try:
        taken = backend.send_messages([message])
    except smtplib.SMTPRecipientsRefused as error:
        return _refused_address(error)
    except smtplib.SMTPException as error:
        return _refused(error) or Handed(state="UNKNOWN", reason=type(error).__name__)
    except OSError as error:
        return Handed(state="UNKNOWN", reason=type(error).__name__)
    finally:
        _close(backend)
    return Handed(state="SENT") if taken else Handed(state="FAILED", reason="not taken")


def _backend(category: str) -> Any:
    alias = dict(conf.get("UPSELL_MAILERS")).get(category, "default")
    if django.VERSION >= (6, 1):
        return mail.mailers[alias]
    return mail.get_connection()


def _open(backend: Any) -> None:
    """Connect, and be greeted: who does not come so far has been given nothing."""
    backend.open()
    line = getattr(backend, "connection", None)
    if isinstance(line, smtplib.SMTP):
        line.ehlo_or_helo_if_needed()


def _close(backend: Any) -> None:
    try:
        backend.close()
    except (smtplib.SMTPException, OSError):
        return  # it was said what became of the message


def _refused(error: Exception) -> Handed | None:
    """The server answered: of what it refuses it has taken nothing."""
    if not isinstance(error, smtplib.SMTPResponseException):
        return None
    reason = f"{error.smtp_code}"
    if 400 <= error.smtp_code < 500:
        return Handed(state="LATER", reason=reason)
    return Handed(state="FAILED", reason=reason) if error.smtp_code >= 500 else None


def _refused_address(error: smtplib.SMTPRecipientsRefused) -> Handed:
    codes = [code for code, _words in error.recipients.values()]
    if codes and all(400 <= code < 500 for code in codes):
        return Handed(state="LATER", reason=str(codes[0]))
    return Handed(state="FAILED", reason=str(codes[0] if codes else 550), bad_address=True)
