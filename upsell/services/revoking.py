"""Taking a promise back: by staff, or because the order is gone."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from upsell import clock, snapshots
from upsell.engine import states
from upsell.exceptions import NotFound
from upsell.models import Acceptance, Offer
from upsell.services import recording, refunding, undoing
from upsell.services.locking import locked


def revoke(*, offer_id: int, reason: str, actor: str = "") -> Offer:
    """Withdraw one offer; where a payment is under way, as soon as that is settled.

    Returns:
        The offer: REVOKED, or still ACCEPTING with ``revoke_requested_at`` set. An offer
        that is closed already is returned as it stands.
    """
    with transaction.atomic():
        offer = locked(pk=offer_id)
        _revoke(offer, reason=reason, actor=actor, now=clock.database_now())
    return offer


def _revoke(offer: Offer, *, reason: str, actor: str, now: datetime) -> None:
    if offer.state in states.UNANSWERED:
        recording.move(offer, "REVOKED", at=now, reason=reason, actor=actor)
    elif offer.state in states.OPEN and offer.revoke_requested_at is None:
        offer.revoke_requested_at = now
        offer.save(update_fields=["revoke_requested_at"])
        recording.append(
            [recording.event(offer, "revoke_requested", at=now, reason=reason, actor=actor)]
        )


def withdraw_outstanding(*, campaign_id: int, actor: str) -> tuple[int, int]:
    """Withdraw every open offer of a campaign.

    Returns:
        How many were withdrawn at once, and how many wait for their payment to settle.
    """
    done = waiting = 0
    open_ones = Offer.objects.filter(campaign_id=campaign_id, state__in=sorted(states.OPEN))
    for offer_id in open_ones.order_by("pk").values_list("pk", flat=True):
        offer = revoke(offer_id=offer_id, reason="withdrawn", actor=actor)
        done += offer.state == "REVOKED"
        waiting += offer.state in states.OPEN
    return done, waiting


def order_changed(*, order_ref: str) -> None:
    """Look at an order again: gone means its open offer is revoked, an accepted one reversed."""
    offer = Offer.objects.filter(order_ref=order_ref).first()
    if offer is None:
        return
    try:
        reason = snapshots.gone(snapshots.gather(order_ref))
    except NotFound:
        return
    if not reason:
        return
    refund_id: int | None = None
    with transaction.atomic():
        offer = locked(pk=offer.pk)
        now = clock.database_now()
        if offer.state == "ACCEPTED":
            acceptance = Acceptance.objects.select_related("attempt").get(offer=offer)
            refund_id = undoing.reverse(offer, acceptance, reason=reason, actor="host", now=now)
        else:
            _revoke(offer, reason=reason, actor="host", now=now)
    if refund_id is not None:
        refunding.send(refund_id=refund_id)
