"""What became of offers, told as events beside the log, while a journey may listen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from upsell import snapshots
from upsell.models import Campaign, EventInbox, OfferEvent
from upsell.services import events

KINDS = frozenset({"shown", "accepted", "declined", "expired", "reversed", "failed"})


def write(rows: Iterable[OfferEvent]) -> None:
    """Write what became of offers, in the transaction of the log.

    Nothing of a trial by staff, and of an offer that is nobody's. Without a journey that may
    listen it costs nothing; with one, a statement to write and one for the campaigns' names.
    """
    meant = [
        row for row in rows if row.kind in KINDS and row.offer.customer_key and not row.offer.trial
    ]
    if meant and snapshots.has_journeys():
        events.tell(_told(meant))


def _told(rows: list[OfferEvent]) -> Iterator[EventInbox]:
    ids = {row.offer.campaign_id for row in rows}
    slugs = dict(Campaign.objects.filter(pk__in=ids).values_list("pk", "slug"))
    for row in rows:
        offer = row.offer
        yield events.row(
            f"offer.{row.kind}",
            customer_key=offer.customer_key,
            source=EventInbox.Source.OURS,
            # An offer that is made again may expire again.
            event_id=f"{offer.uuid}:{row.kind}:{offer.generation}",
            order_ref=offer.order_ref or "",
            parameters={
                "offer": offer.uuid,
                "campaign": slugs.get(offer.campaign_id, ""),
                "order_ref": offer.order_ref or "",
                "channel": offer.channel,
                "product_ref": offer.product_ref,
                "amount": offer.unit_gross * offer.quantity,
                "currency": offer.currency,
                "reason": row.reason,
            },
            at=row.at,
            now=row.at,
        )
