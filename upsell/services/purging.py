"""What has been kept long enough goes: links, decisions, whole offers, told messages."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from django.db import models, transaction

from upsell import clock, conf
from upsell.engine import states
from upsell.models import (
    Acceptance,
    Attempt,
    Decision,
    GatewayEvent,
    Offer,
    OfferEvent,
    OfferQuote,
    OutboxMessage,
    Refund,
)

logger = logging.getLogger("upsell")

BATCH = 500
_CLOSED = sorted(set(states.OfferState) - states.OPEN - {states.OfferState.NEEDS_ATTENTION})


def purge(*, now: datetime | None = None, dry_run: bool = False) -> Iterator[tuple[str, int]]:
    """Remove what is older than its retention; yield what and how many, batch by batch.

    Links stop opening ``UPSELL_LINK_RETENTION`` after an offer closed. Decisions go after
    ``UPSELL_DECISION_RETENTION``, closed offers with all their rows after ``UPSELL_RETENTION``.
    What is open, or waits for staff or for money, is never touched. Each batch is a short
    transaction of its own; what was removed is in the log. Safe to interrupt, and to repeat.

    Args:
        now: The time that ages are counted to; the database's if none is given.
        dry_run: Only count.
    """
    told = now or clock.database_now()
    links = Offer.objects.filter(
        closed_at__lt=told - conf.duration("UPSELL_LINK_RETENTION"), state__in=_CLOSED
    ).exclude(token_hash=None, undo_hash=None)
    offers = Offer.objects.filter(
        closed_at__lt=told - conf.duration("UPSELL_RETENTION"), state__in=_CLOSED
    ).exclude(attempts__live_offer__isnull=False)
    offers = offers.exclude(attempts__refunds__state="PENDING")
    decisions = Decision.objects.filter(at__lt=told - conf.duration("UPSELL_DECISION_RETENTION"))
    decisions = decisions.exclude(offer__state__in=sorted(states.OPEN))
    reports = GatewayEvent.objects.filter(
        received_at__lt=told - conf.duration("UPSELL_REPORT_RETENTION")
    ).exclude(state="PARKED")
    for name, rows, remove in (
        ("links", links, _unlink),
        ("offers", offers, _remove_offers),
        ("decisions", decisions, _remove_decisions),
        ("reports", reports, _remove_reports),
    ):
        if dry_run:
            yield name, rows.distinct().count()
            continue
        while ids := list(rows.order_by("pk").values_list("pk", flat=True).distinct()[:BATCH]):
            with transaction.atomic():
                removed = remove(ids)
            logger.info("purged %s %s", sum(removed.values()), name)
            yield name, len(ids)


def _unlink(ids: list[int]) -> Counter[str]:
    rows = Offer.objects.filter(pk__in=ids)
    return Counter(links=rows.update(token_hash=None, undo_hash=None))


def _remove_offers(ids: list[int]) -> Counter[str]:
    """Remove offers and everything of theirs, in the order that PROTECT asks for."""
    removed: Counter[str] = Counter()
    decisions = list(
        Offer.objects.filter(pk__in=ids, decision__isnull=False).values_list("decision", flat=True)
    )
    removed["events"] = OfferEvent.objects.filter(offer__in=ids).purge()
    for model, lookup in (
        (OutboxMessage, "offer__in"),
        (Refund, "attempt__offer__in"),
        (Acceptance, "offer__in"),
        (Attempt, "offer__in"),
        (OfferQuote, "offer__in"),
        (Offer, "pk__in"),
    ):
        rows: models.QuerySet[models.Model] = model._default_manager.filter(**{lookup: ids})
        removed[model._meta.model_name or ""] = rows.delete()[0]
    removed["decisions"] = Decision.objects.filter(pk__in=decisions).delete()[0]
    return removed


def _remove_decisions(ids: list[int]) -> Counter[str]:
    """An offer outlives its decision: the reference becomes empty."""
    return Counter(decisions=Decision.objects.filter(pk__in=ids).delete()[0])


def _remove_reports(ids: list[int]) -> Counter[str]:
    return Counter(reports=GatewayEvent.objects.filter(pk__in=ids).delete()[0])
