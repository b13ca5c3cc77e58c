"""How often somebody may try to pay: card testers try many cards, buyers one or two."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q

from upsell import conf
from upsell.models import Attempt, Offer, OfferEvent
from upsell.services import recording

logger = logging.getLogger("upsell")

MOST_READ = 200
"""Attempts looked at; whoever has more is over every limit anyway."""


def address_key(address: str) -> str:
    """Return what is stored of an address: a keyed hash; of IPv6, of the network of one line.

    Somebody who has one IPv6 address has 2**64 of them.
    """
    try:
        parsed = ipaddress.ip_address(address.strip())
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        else:
            parsed = ipaddress.ip_network((parsed, 64), strict=False).network_address
    digest = hmac.new(conf.hash_keys()[0], f"address:{parsed}".encode(), hashlib.sha256)
    return f"i:{digest.hexdigest()}"


def wait_for(offer: Offer, *, address: str, now: datetime) -> timedelta | None:
    """Return how long this buyer, or this address, must wait to try again; none = not at all.

    Args:
        address: From ``address_key``; empty = not known, and not limited.

    Cost: one statement, by index, of at most ``MOST_READ`` rows.
    """
    whose = Q()
    if offer.customer_key:
        whose |= Q(offer__customer_key=offer.customer_key)
    if address:
        whose |= Q(address_key=address)
    if not whose:
        return None
    limits = {name: conf.get(f"UPSELL_LIMIT_{name}") for name in ("BUYER", "ADDRESS", "REFUSED")}
    longest: timedelta = max(span for _most, span in limits.values())
    rows = list(
        Attempt.objects.filter(whose, started_at__gt=now - longest)
        .order_by("-started_at", "-pk")
        .values_list("started_at", "state", "offer__customer_key", "address_key")[:MOST_READ]
    )
    buyers = [at for at, _, key, _ in rows if key and key == offer.customer_key]
    nearby = [at for at, _, _, key in rows if key and key == address]
    refused = [at for at, state, _, _ in rows if state == "DECLINED"]
    waits = [
        _wait(times, *limits[name], now=now)
        for name, times in (("BUYER", buyers), ("ADDRESS", nearby), ("REFUSED", refused))
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def _wait(
    times: Iterable[datetime], most: int, span: timedelta, *, now: datetime
) -> timedelta | None:
    """Until the oldest of the last ``most`` has left the span."""
    recent = sorted((at for at in times if at > now - span), reverse=True)
    return None if len(recent) < most else recent[most - 1] + span - now


def note(offer: Offer, *, wait: timedelta, now: datetime) -> None:
    """Let staff see that somebody was locked out, once per offer however often they press."""
    if not OfferEvent.objects.filter(offer=offer, kind="locked_out").exists():
        seconds = str(int(wait.total_seconds()))
        recording.append([recording.event(offer, "locked_out", at=now, seconds=seconds)])
    logger.warning("offer %s: too many tries to pay", offer.pk)
