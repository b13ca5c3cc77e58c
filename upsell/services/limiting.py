"""How often somebody may try to pay: card testers try many cards, buyers one or two."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Q

from upsell import conf
from upsell.models import Attempt, Offer, OfferEvent
from upsell.services import recording

logger = logging.getLogger("upsell")

MOST_READ = 200
"""Attempts looked at; whoever has more is over every limit anyway."""
ADDRESS_SHOWN = 14
"""Characters of an address's key that staff see."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """How long somebody must wait, and for which limit."""

    limit: str
    """BUYER, ADDRESS or REFUSED, as the setting ends."""
    length: timedelta


def wait_for(offer: Offer, *, address: str, now: datetime) -> Wait | None:
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
        Wait(limit=name, length=length)
        for name, times in (("BUYER", buyers), ("ADDRESS", nearby), ("REFUSED", refused))
        if (length := _wait(times, *limits[name], now=now)) is not None
    ]
    return max(waits, key=lambda wait: wait.length, default=None)


def _wait(
    times: Iterable[datetime], most: int, span: timedelta, *, now: datetime
) -> timedelta | None:
    """Until the oldest of the last ``most`` has left the span."""
    recent = sorted((at for at in times if at > now - span), reverse=True)
    return None if len(recent) < most else recent[most - 1] + span - now


def note(offer: Offer, *, wait: Wait, address: str, now: datetime) -> None:
    """Let staff see who is locked out until when, once per offer however often they press.

    Of the address the beginning of its hash is kept: enough to see that two are one.
    """
    if not OfferEvent.objects.filter(offer=offer, kind="locked_out").exists():
        figures = {"until": (now + wait.length).isoformat(), "address": address[:ADDRESS_SHOWN]}
        reason = f"limit_{wait.limit.lower()}"
        recording.append([recording.event(offer, "locked_out", at=now, reason=reason, **figures)])
    logger.warning("offer %s: too many tries to pay", offer.pk)


def wait_to_tell(*, address: str, now: datetime) -> timedelta | None:
    """Count one event told from an address; return how long it must wait, none = not at all.

    Counted in Django's cache, by the clock's whole spans, under the address's keyed hash: where
    the cache is of one process, each process counts for itself. No statement.
    """
    key = address_key(address)
    if not key:
        return None
    most, span = conf.get("UPSELL_LIMIT_EVENTS")
    number, passed = divmod(now - datetime.min.replace(tzinfo=now.tzinfo), span)
    place = f"upsell.events.{key}.{number}"
    cache.add(place, 0, timeout=span.total_seconds())
    try:
        count = cache.incr(place)
    except ValueError:  # a cache that keeps nothing
        return None
    return None if count <= most else span - passed


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOut:
    """Somebody who may not try to pay for now."""

    offer_id: int
    limit: str
    """``limit_buyer``, ``limit_address`` or ``limit_refused``."""
    until: datetime
    buyer: str
    """The buyer's key, hashed where it is an address; empty where none is known."""
    address: str
    """The beginning of the network address's hash; empty where none is known."""


def locked_out(*, now: datetime, channels: Collection[str] | None = None) -> list[LockOut]:
    """Return who is locked out at ``now``, the latest first, by one statement.

    Args:
        channels: Only offers of these sales channels; none = of all.
    """
    longest: timedelta = max(
        conf.get(f"UPSELL_LIMIT_{name}")[1] for name in ("BUYER", "ADDRESS", "REFUSED")
    )
    rows = OfferEvent.objects.filter(kind="locked_out", at__gt=now - longest)
    if channels is not None:
        rows = rows.filter(offer__channel__in=sorted(channels))
    told = [
        LockOut(
            offer_id=row.offer_id,
            limit=row.reason,
            until=until,
            buyer=row.offer.customer_key,
            address=row.figures.get("address", ""),
        )
        for row in rows.select_related("offer").order_by("-at", "-pk")[:MOST_READ]
        if (until := until_of(row)) is not None
    ]
    return [row for row in told if row.until > now]


def until_of(event: OfferEvent) -> datetime | None:
    """Return until when a lock-out lasts; none for events written before it was kept."""
    until = event.figures.get("until")
    return datetime.fromisoformat(until) if until else None
