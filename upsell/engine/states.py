"""Which state may follow which: one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class OfferState(StrEnum):
    """Where an offer stands."""

    CREATED = "CREATED"
    SHOWN = "SHOWN"
    ACCEPTING = "ACCEPTING"
    ACTION_REQUIRED = "ACTION_REQUIRED"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"
    FAILED = "FAILED"
    NEEDS_ATTENTION = "NEEDS_ATTENTION"
    REVERSED = "REVERSED"
    SUPPRESSED = "SUPPRESSED"


class AttemptState(StrEnum):
    """Where one try to collect stands. It lives until one of the last four."""

    STARTED = "STARTED"
    ACTION_REQUIRED = "ACTION_REQUIRED"
    REFUNDING = "REFUNDING"
    NEEDS_ATTENTION = "NEEDS_ATTENTION"
    APPLIED = "APPLIED"
    DECLINED = "DECLINED"
    RELEASED = "RELEASED"
    REFUNDED = "REFUNDED"


class RefundState(StrEnum):
    """Where money on its way back stands."""

    PENDING = "PENDING"
    DONE = "DONE"
    REFUSED = "REFUSED"


_S = OfferState
_FROM_OPEN = frozenset({_S.SHOWN, _S.ACCEPTING, _S.DECLINED, _S.EXPIRED, _S.REVOKED})
_FROM_ATTEMPT = frozenset(
    {_S.ACCEPTED, _S.SHOWN, _S.EXPIRED, _S.FAILED, _S.REVOKED, _S.NEEDS_ATTENTION}
)

TRANSITIONS: Mapping[OfferState, frozenset[OfferState]] = {
    _S.CREATED: _FROM_OPEN,
    _S.SHOWN: _FROM_OPEN,
    _S.ACCEPTING: _FROM_ATTEMPT | {_S.ACTION_REQUIRED},
    _S.ACTION_REQUIRED: _FROM_ATTEMPT,
    _S.ACCEPTED: frozenset({_S.REVERSED}),
    _S.NEEDS_ATTENTION: frozenset({_S.ACCEPTED, _S.FAILED}),
    # Re-issued by a journey: as unseen as it was. FAILED only after payment_declined.
    _S.EXPIRED: frozenset({_S.CREATED, _S.SHOWN}),
    _S.FAILED: frozenset({_S.SHOWN}),
    _S.DECLINED: frozenset(),
    _S.REVOKED: frozenset(),
    _S.REVERSED: frozenset(),
    _S.SUPPRESSED: frozenset(),
}
"""What may follow what. SHOWN follows SHOWN: a reload."""

OPEN = frozenset({_S.CREATED, _S.SHOWN, _S.ACCEPTING, _S.ACTION_REQUIRED})
"""States from which an offer can still come to a charge."""

UNANSWERED = frozenset({_S.CREATED, _S.SHOWN})
"""States in which the buyer may answer."""


def may(current: str, following: str) -> bool:
    """Whether an offer in ``current`` may go to ``following``.

    >>> may("SHOWN", "ACCEPTING"), may("DECLINED", "ACCEPTING")
    (True, False)
    """
    return OfferState(following) in TRANSITIONS[OfferState(current)]
