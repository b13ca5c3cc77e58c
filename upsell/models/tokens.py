"""Links: derived from the secret key, never stored; only their hashes are."""

from __future__ import annotations

import base64
import hashlib
import uuid

from django.conf import settings
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
    return _again("offer", offer, offer.token_hash)


def undo_token(offer: Offer) -> str:
    """Return the token that gives an accepted offer back, and does nothing else."""
    return _again("undo", offer, offer.undo_hash)


def _again(purpose: str, offer: Offer, stored: str | None) -> str:
    """Make a token under the key it was first made with: the stored hash says which."""
    keys = [None, *(str(key) for key in settings.SECRET_KEY_FALLBACKS)]
    made = (make_token(purpose, offer.uuid, offer.generation, secret=key) for key in keys)
    first = next(made)
    if len(keys) == 1 or hashed(first) == stored:
        return first
    return next((token for token in made if hashed(token) == stored), first)


def hashed(token: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _urlsafe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
