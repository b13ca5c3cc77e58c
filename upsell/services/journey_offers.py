"""What a journey's ``offer`` step finds: the order's own offer again, or its first, or pictures.

An offer is a promise, and an order has one in its life: it is issued again while nobody answered
it, made where there never was one, and never after a yes or a no.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from upsell import conf, queries, snapshots
from upsell.engine.journeys.definition import Step
from upsell.exceptions import NotFound
from upsell.models import JourneyRun, Offer, OfferLink
from upsell.models.tokens import hashed, make_token
from upsell.ports import Occasion
from upsell.services import offering, recording, suggesting
from upsell.services.locking import locked, retried

logger = logging.getLogger("upsell")

VALIDITY = timedelta(hours=72)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What an ``offer`` step came to."""

    outcome: str
    """``offer``, ``suggestions`` (pictures alone), or ``none``."""
    found: Mapping[str, Any] = field(default_factory=dict)
    """For later steps: ``offer`` (its id) and ``suggestions``, as the message shows them."""


def offer(run: JourneyRun, step: Step, *, now: datetime) -> Offered:
    """Find what a message about a run's order may carry. Idempotent, outside any transaction."""
    told: dict[str, Any] = {}
    occasion = _order(run)
    made = None if occasion is None else _offer_of(run, occasion, now=now)
    if made is not None:
        told["offer"] = made.pk
    count = step.told.get("suggestions", 0)
    if isinstance(count, int) and count and occasion is not None:
        offered = {made.product_ref} if made is not None else set()
        shown = suggesting.suggestions(
            run, occasion, count=count, without=offered | _declined(occasion), now=now
        )
        if shown:
            told["suggestions"] = shown
    if made is not None:
        return Offered(outcome="offer", found=told)
    if "suggestions" in told:
        return Offered(outcome="suggestions", found={**told, "offer": None})
    return Offered(outcome="none", found={"offer": None, "suggestions": []})


def _order(run: JourneyRun) -> Occasion | None:
    if not run.order_ref:
        return None
    try:
        return conf.shop().order(run.order_ref)
    except NotFound:
        return None


def _offer_of(run: JourneyRun, occasion: Occasion, *, now: datetime) -> Offer | None:
    if snapshots.gone(occasion) or occasion.closed_reason or occasion.released:
        return None
    page = queries.look(occasion.ref)
    if page.offer is None:
        page_made = offering.decide_once_more(order_ref=occasion.ref, now=now, validity=VALIDITY)
        row = None if page_made is None else page_made.offer
        if row is None or row.trial or row.state not in {"CREATED", "SHOWN"}:
            return None
        return row
    row = page.offer
    if row.trial:
        return None
    if row.state in {"CREATED", "SHOWN"} and row.expires_at > now:
        return row  # still open: as it stands
    return retried(lambda: reissue(row.pk, now=now))


def reissue(offer_id: int, *, now: datetime) -> Offer | None:
    """Open an unanswered offer once more, for 72 hours under a new link; none = it may not be.

    The links that it had open the same page. Twice is the same as once.
    """
    with transaction.atomic():
        row = locked(pk=offer_id)
        if row.state in {"CREATED", "SHOWN"}:
            if row.expires_at > now:
                return row
            recording.move(row, "EXPIRED", at=now, actor="system")
        refused = row.state == "FAILED" and row.failure_code == "payment_declined"
        if not (row.state == "EXPIRED" or refused) or row.token_hash is None:
            return None
        OfferLink.objects.bulk_create(
            [OfferLink(offer=row, generation=row.generation, token_hash=row.token_hash)],
            ignore_conflicts=True,
        )
        row.generation += 1
        row.token_hash = hashed(make_token("offer", row.uuid, row.generation))
        row.undo_hash = hashed(make_token("undo", row.uuid, row.generation))
        row.expires_at = now + VALIDITY
        row.attempts_made = 0
        row.failure_code = ""
        row.closed_at = None
        recording.move(
            row,
            "SHOWN" if row.first_shown_at is not None else "CREATED",
            at=now,
            actor="journey",
            reason="issued_again",
            fields=(
                *("generation", "token_hash", "undo_hash", "expires_at", "attempts_made"),
                *("failure_code", "closed_at"),
            ),
        )
        return row


def _declined(occasion: Occasion) -> set[str]:
    """What this buyer said no to is not shown to them again."""
    keys = snapshots.customer_keys(occasion.customer)
    rows = Offer.objects.filter(customer_key__in=keys, state="DECLINED")
    return set(rows.values_list("product_ref", flat=True))
