"""Links: derived from the secret key, never stored; only their hashes are."""

from __future__ import annotations

import base64
import hashlib
import uuid

from django.utils.crypto import salted_hmac

from upsell.models.offer import Offer


def make_token(
    purpose: str, offer_uuid: uuid.UUID, generation: int, *, secret: str | None = None
) -> str:
    """Return the unguessable part of an address: 256 bits, URL-safe.

    Args:
        purpose: ``offer`` or ``undo``: a token of one never opens the other.
        secret: One of SECRET_KEY_FALLBACKS; none = SECRET_KEY.
    """
    mac = salted_hmac(
        f"upsell.{purpose}",
        f"{offer_uuid}:{generation}",
        secret=secret,
        algorithm="sha256",
    )
    return _urlsafe(mac.digest())


def offer_token(offer: Offer) -> str:
    """Return the token that opens an offer, as of its generation."""
    return make_token("offer", offer.uuid, offer.generation)


def undo_token(offer: Offer) -> str:
    """Return the token that gives an accepted offer back, and does nothing else."""
    return make_token("undo", offer.uuid, offer.generation)


def hashed(token: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _urlsafe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
