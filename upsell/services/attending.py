"""What staff do about an offer that waits for them: ask the provider again, or give it all back.

Both write down first who asked for what, and commit; what follows is the reconciler's own work,
done at once. A process that dies in between leaves a row that the reconciler finishes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.db import transaction

from upsell import clock
from upsell.models import Attempt, Offer, Refund
from upsell.services import fulfilling, guarding, reconciling, recording, refunding
from upsell.services.locking import locked, retried

HELD = timedelta(seconds=60)
"""So long the reconciler leaves to us what staff just asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attended:
    """What became of an offer that staff attended to."""

    offer: Offer
    outcome: str
    """``accepted`` or ``closed``: it waits no more. ``going_back``: the refund is under way.
    ``unknown``: it goes back as soon as the provider says that it was charged. ``absent_once``:
    the provider knows of no charge, and is asked once more. ``not_asked``: it is left alone for
    now. ``still_waits``: nothing changed. ``not_waiting``: it needed nobody, nothing was done."""


def ask_again(*, offer_id: int, actor: str) -> Attended:
    """Ask the provider what became of an offer's payment, and carry out what it says.

    As the reconciler would: paid, the order changes; refused, or twice a minute apart not known
    to the provider, nothing is owed and the offer closes. Harmless to repeat.

    Args:
        actor: Who asks, as the log names staff: ``staff:7``.
    """
    offer, attempt = retried(partial(_asking, offer_id, actor))
    if attempt is None:
        return Attended(offer=offer, outcome="not_waiting")
    if attempt.live_offer_id is not None:
        said = reconciling.look(attempt_id=attempt.pk)
    else:
        said = _asked_of_closed(attempt)
    return _told(offer, said, actor)


def give_back(*, offer_id: int, actor: str) -> Attended:
    """Give back all that was charged for an offer, let go what is held for it, and close it.

    The order is never changed by it. What was charged is asked first where it is not known; where
    nothing was, the offer only closes. A refund has the key that it has already, if it has one.
    Harmless to repeat, and to do twice at once.

    Args:
        actor: Who says so, as the log names staff: ``staff:7``.
    """
    offer, attempt, due = retried(partial(_giving_back, offer_id, actor))
    if attempt is None and not due:
        outcome = "going_back" if _goes_back(offer) else "not_waiting"
        return Attended(offer=offer, outcome=outcome)
    said = "still_waits" if attempt is None else reconciling.look(attempt_id=attempt.pk)
    for refund_id in due:
        refunding.send(refund_id=refund_id)
    return _told(offer, said, actor)


def _asking(offer_id: int, actor: str) -> tuple[Offer, Attempt | None]:
    with transaction.atomic(durable=True):
        offer = locked(pk=offer_id)
        if not _waits(offer):
            return offer, None
        now = clock.database_now()
        _note(offer, "asked_again", actor=actor)
        live = Attempt.objects.select_for_update().filter(live_offer=offer).first()
        if live is not None and live.state not in {"NEEDS_ATTENTION", "REFUNDING"}:
            live.next_look_at = now + HELD
            live.save(update_fields=["next_look_at"])
        return offer, live or _attempt_of_closed(offer)


def _giving_back(offer_id: int, actor: str) -> tuple[Offer, Attempt | None, list[int]]:
    """Return the attempt to look at, for a live one; for closed offers the refunds to send."""
    with transaction.atomic(durable=True):
        offer = locked(pk=offer_id)
        live = Attempt.objects.select_for_update().filter(live_offer=offer).first()
        if not _waits(offer) or (live is not None and live.state == "REFUNDING"):
            return offer, None, []
        now = clock.database_now()
        _note(offer, "giving_back", actor=actor)
        if live is not None:
            recording.stand(live, "REFUNDING")
            live.next_look_at = now + HELD
            live.save(update_fields=["state", "next_look_at"])
            return offer, live, []
        due: list[int] = []
        for attempt in _with_money(offer):
            if attempt.state == "NEEDS_ATTENTION":  # it had been let go before the money came
                recording.stand(attempt, "RELEASED")
                attempt.save(update_fields=["state"])
            due += refunding.all_back(attempt, reason="given_back", now=now)
        return offer, None, due


def _waits(offer: Offer) -> bool:
    return Offer.objects.filter(pk=offer.pk).waiting_for_staff().exists()


def _with_money(offer: Offer) -> list[Attempt]:
    """Return a closed offer's attempts with money that nobody gives back by itself."""
    rows = Attempt.objects.select_for_update().filter(offer=offer).order_by("pk")
    return [
        row
        for row in rows
        if row.state == "NEEDS_ATTENTION" or row.refunds.filter(state="REFUSED").exists()
    ]


def _attempt_of_closed(offer: Offer) -> Attempt | None:
    return next(iter(_with_money(offer)), None)


def _asked_of_closed(attempt: Attempt) -> str:
    """A closed offer stays closed; what went back in the provider's dashboard is written down."""
    try:
        fulfilling.settle(attempt_id=attempt.pk)
    except guarding.NotAsked:
        return "not_asked"
    return "still_waits"


def _goes_back(offer: Offer) -> bool:
    pending = Refund.objects.filter(attempt__offer=offer, state="PENDING").exists()
    return pending or Attempt.objects.filter(live_offer=offer, state="REFUNDING").exists()


def _note(offer: Offer, kind: str, *, actor: str) -> None:
    """Write down who asked for what, of which offer in which state, before anything is done."""
    now = clock.database_now()
    row = recording.event(
        offer, kind, at=now, before=offer.state, actor=actor, reason=offer.failure_code
    )
    recording.append([row])


def _told(before: Offer, said: str, actor: str) -> Attended:
    """Write down what it came to, and who had asked."""
    offer = Offer.objects.get(pk=before.pk)
    outcome = _outcome(offer, said)
    row = recording.event(
        offer,
        "attended",
        at=clock.database_now(),
        before=before.state,
        actor=actor,
        reason=outcome,
        state=offer.state,
    )
    recording.append([row])
    return Attended(offer=offer, outcome=outcome)


def _outcome(offer: Offer, said: str) -> str:
    if not _waits(offer):
        return "accepted" if offer.state == "ACCEPTED" else "closed"
    if Refund.objects.filter(attempt__offer=offer, state="PENDING").exists():
        return "going_back"
    if said in {"absent_once", "not_asked"}:
        return said
    return "unknown" if _goes_back(offer) else "still_waits"
