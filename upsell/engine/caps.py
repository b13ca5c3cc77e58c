"""How often, at what time of the day, and by which medium a buyer may be written to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Decimal

from upsell.engine.journeys.waits import at as instant_of

ANY = "*"
"""Every medium together."""
MARKETING = "marketing"
ADS = "ads"
"""The purpose of a consent: an address, or its hash, may be handed to who shows advertising."""
TRANSACTIONAL = "transactional"

UNKNOWN_MEAN = Decimal("0.05")
"""Clicks a delivery of a medium that nothing is known of yet."""
PRIOR_DELIVERIES = 20
"""A buyer's own deliveries count as much as the medium's mean once there are so many."""
EXPLORED = Decimal("0.05")
"""The share of choices that any medium may win, so that one which lost early is tried again."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """At most ``most`` marketing messages by ``medium`` in any span of time as long as ``within``.

    The span rolls: a message counts from its instant until ``within`` later, when it counts no
    more. ``medium`` is ``*`` for all of them together.
    """

    medium: str
    most: int
    within: timedelta

    def __post_init__(self) -> None:
        if self.most < 1 or self.within <= timedelta(0):
            raise ValueError(
                f"wanted is a cap of at least 1 in a span of time, and there were {self.most} in "
                f"{self.within}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How often a buyer was written to by one medium, and how often a link of it was opened."""

    deliveries: int = 0
    clicks: int = 0


def first_free(times: Collection[tuple[str, datetime]], caps: Iterable[Cap], *, medium: str,
               now: datetime) -> datetime:  # fmt: skip
    """Return the first instant, ``now`` or later, at which one more message breaks no cap.

    Args:
        times: Medium and instant of every marketing message that takes a place: sent, being sent,
            or reserved, also for a time to come.
        caps: Those of other media are not asked.
        medium: What the message is to be sent by.
        now: Aware, as every instant here.

    The answer never lies where reserved messages that are still to come would be too many.

    >>> sent = datetime(2026, 3, 2, 10, tzinfo=UTC)
    >>> cap = Cap(medium="email", most=1, within=timedelta(hours=16))
    >>> str(first_free([("email", sent)], [cap], medium="email", now=sent))
    '2026-03-03 02:00:00+00:00'
    """
    free = now
    for cap in caps:
        if cap.medium not in {medium, ANY}:
            continue
        counted = sorted(
            (when for by, when in times if cap.medium in {by, ANY} and when > now - cap.within),
            reverse=True,
        )
        if len(counted) >= cap.most:
            free = max(free, counted[cap.most - 1] + cap.within)
    return free


def longest(caps: Iterable[Cap]) -> timedelta:
    """Return how far back messages still count under any of these caps; no caps = not at all."""
    return max((cap.within for cap in caps), default=timedelta(0))


def quiet_until(hours: tuple[time, time] | None, zone: tzinfo, now: datetime) -> datetime:
    """Return ``now``, or the end of the quiet hours that it lies in, in UTC.

    Args:
        hours: From when, included, until when, excluded, by the clock of ``zone``; over midnight
            where the first is later. None, or two equal times = never quiet.
        zone: The buyer's.

    An end that a night does not have, when clocks go forward, is the first minute that there is.

    >>> night = (time(21), time(9))
    >>> str(quiet_until(night, UTC, datetime(2026, 3, 2, 21, tzinfo=UTC)))
    '2026-03-03 09:00:00+00:00'
    >>> str(quiet_until(night, UTC, datetime(2026, 3, 2, 9, tzinfo=UTC)))
    '2026-03-02 09:00:00+00:00'
    """
    if hours is None or hours[0] == hours[1]:
        return now
    begins, ends = hours
    local = now.astimezone(zone)
    wall = local.time()
    over_midnight = begins > ends
    quiet = wall >= begins or wall < ends if over_midnight else begins <= wall < ends
    if not quiet:
        return now
    day = local.date() + _DAY if over_midnight and wall >= begins else local.date()
    # A night whose clocks go back has some minutes twice: an end that is past is no end.
    return max(now.astimezone(UTC), instant_of(day, ends, zone))


def score(told: Told, *, mean: Decimal | None = None) -> Decimal:
    """Return how well a medium reaches a buyer: clicks a delivery, drawn to the medium's mean.

    Args:
        told: The buyer's, over the last 180 days.
        mean: Clicks a delivery of this medium over all buyers, 0 to 1; None = not known.

    >>> score(Told(deliveries=20, clicks=4), mean=Decimal("0.1"))
    Decimal('0.15')
    """
    prior = UNKNOWN_MEAN if mean is None else mean
    return (told.clicks + PRIOR_DELIVERIES * prior) / Decimal(told.deliveries + PRIOR_DELIVERIES)


def best_medium(
    media: Sequence[str],
    told: Mapping[str, Told],
    *,
    means: Mapping[str, Decimal],
    draw: Decimal = Decimal(1),
) -> str:
    """Return the medium to write by; empty where there is none.

    Args:
        media: Those by which the buyer can be reached and no cap forbids, in the order that staff
            wrote them in: of equals the first one wins.
        told: What is known of the buyer, by medium.
        means: Of each medium that is known.
        draw: From 0 to 1, evenly, the same for the same run and step. Below ``EXPLORED`` any
            medium may win; 1 = never.
    """
    if not media:
        return ""
    if draw < EXPLORED:
        return media[int(draw / EXPLORED * len(media))]
    return max(media, key=lambda one: score(told.get(one, Told()), mean=means.get(one)))
