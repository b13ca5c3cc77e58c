"""Addresses, and erased buyers, that nobody writes to: known by keyed hashes alone."""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime

from upsell import conf
from upsell.engine.caps import ANY, MARKETING
from upsell.models import Suppression

ALL = "all"
"""The scope that stops transactional messages, too."""
ERASED = "erased"
"""Why nobody writes to a key: whose it was asked to be forgotten."""


def suppress(
    *, medium: str, address: str, scope: str = MARKETING, reason: str, now: datetime
) -> None:
    """Write to an address no more, whoever it is of. Twice is the same as once, the later time.

    Args:
        address: As the shop or a provider tells it. Only its keyed hash is stored.
        scope: ``marketing``, or ``all`` where there is no such address.
    """
    hashes = address_hashes(medium, address)
    if not hashes:
        return
    row = {"medium": medium, "address_hash": hashes[0], "scope": scope}
    made = Suppression(**row, reason=reason[:40], at=now)
    Suppression.objects.bulk_create([made], ignore_conflicts=True)
    Suppression.objects.filter(**row, at__lt=now).update(reason=reason[:40], at=now)


def is_suppressed(medium: str, address: str, *, scope: str = MARKETING) -> bool:
    """Whether nothing of this scope goes to an address; one of scope ``all`` stops marketing too.

    Every fallback of the key is asked. One statement.
    """
    hashes = address_hashes(medium, address)
    rows = Suppression.objects.filter(medium=medium, address_hash__in=hashes)
    return rows.filter(scope__in={scope, ALL}).exists()


def tombstones(customer_keys: Iterable[str], *, now: datetime) -> None:
    """Keep, of a buyer who was erased, that nobody writes to them, and nothing else.

    A run that is made anew, or comes back with a backup, meets it at the last look. It stops
    marketing until they agree anew. Twice is the same as once.
    """
    Suppression.objects.bulk_create(
        [
            Suppression(
                medium=ANY,
                address_hash=key_hashes(key)[0],
                scope=MARKETING,
                reason=ERASED,
                at=now,
            )
            for key in customer_keys
        ],
        ignore_conflicts=True,
    )


def address_hashes(medium: str, address: str) -> list[str]:
    """Return every hash that an address may be stored under, the current key's first."""
    plain = unicodedata.normalize("NFKC", address).strip().lower()
    if medium == "sms":
        plain = re.sub(r"[^+\d]", "", plain)
    return _hashes(f"{medium}:{plain}") if plain else []


def key_hashes(customer_key: str) -> list[str]:
    """Return every hash that an erased buyer's key may be stored under."""
    return _hashes(f"key:{customer_key}")


def _hashes(text: str) -> list[str]:
    return [
        hmac.new(key, f"upsell.address:{text}".encode(), hashlib.sha256).hexdigest()
        for key in conf.hash_keys()
    ]
