"""What providers' reports come to: whether a buyer can be reached, in any order they came in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

SOFT_MOST = 3
"""So many soft bounces ..."""
SOFT_WITHIN = timedelta(days=30)
"""... in so long, and nobody writes by that medium ..."""
SOFT_PAUSE = timedelta(days=30)
"""... for so long."""
COUNTED = SOFT_WITHIN + SOFT_PAUSE + timedelta(days=1)
"""An older report changes nothing any more: the last that counts for a pause has its day."""


class Effect(StrEnum):
    """What a report says of the buyer, or of the message alone."""

    HARD = "hard"
    """There is no such address."""
    SOFT = "soft"
    """Not just now."""
    SPAM = "spam"
    """The provider took it for unwanted: no marketing to that address."""
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    REACHED = "reached"
    CLICKED = "clicked"
    REFUSED = "refused"
    """The provider did not send it; it says nothing of the person."""
    NONE = "none"


_NO_SUCH_ADDRESS = frozenset({"bounced", "invalid"})
_NOT_NOW = frozenset({"", "timed_out", "other"})


def effect_of(kind: str, reason: str) -> Effect:
    """Return what a report means, by anymail's names of kinds and reasons; unknown ones nothing.

    >>> effect_of("bounced", "invalid").value, effect_of("rejected", "blocked").value
    ('hard', 'refused')
    """
    match kind:
        case "complained":
            return Effect.COMPLAINED
        case "unsubscribed":
            return Effect.UNSUBSCRIBED
        case "clicked":
            return Effect.CLICKED
        case "delivered" | "opened":
            return Effect.REACHED
        case "deferred":
            return Effect.SOFT
        case "failed":
            return Effect.REFUSED
        case "bounced" | "rejected":
            return _bounced(kind, reason)
    return Effect.NONE


def _bounced(kind: str, reason: str) -> Effect:
    if reason in _NO_SUCH_ADDRESS:
        return Effect.HARD
    if reason == "spam":
        return Effect.SPAM
    if reason == "unsubscribed":
        return Effect.UNSUBSCRIBED
    return Effect.SOFT if kind == "bounced" and reason in _NOT_NOW else Effect.REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a buyer can be reached by a medium, as its reports say."""

    hard: bool = False
    soft: int = 0
    first_soft_at: datetime | None = None
    until: datetime | None = None
    """Not before then; excluded. It may be past."""


def standing(reports: Iterable[tuple[datetime, Effect]]) -> Standing:
    """Return what all reports on a buyer's messages by one medium come to, in any order.

    The third soft bounce in 30 days pauses the medium for 30 days from then. Whatever shows that a
    message came through ends the count and the pause. A hard bounce stays.
    """
    hard = False
    soft: list[datetime] = []
    until: datetime | None = None
    # Of two at the same instant the bounce counts: nothing came through after it.
    for when, effect in sorted(reports, key=lambda row: (row[0], row[1] is Effect.SOFT)):
        if effect is Effect.HARD:
            hard = True
        elif effect in {Effect.REACHED, Effect.CLICKED}:
            soft, until = [], None
        elif effect is Effect.SOFT:
            soft = [one for one in soft if one > when - SOFT_WITHIN] + [when]
            if len(soft) >= SOFT_MOST:
                until = when + SOFT_PAUSE
    return Standing(hard=hard, soft=len(soft), first_soft_at=soft[0] if soft else None, until=until)
