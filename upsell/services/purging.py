"""What has been kept long enough goes: links, decisions, whole offers, told messages."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from django.db import models, transaction

from upsell import clock, conf
from upsell.engine import states
from upsell.engine.reports import COUNTED
from upsell.models import (
    Acceptance,
    Attempt,
    Belief,
    DailyMetric,
    Decision,
    DecisionCount,
    EntryRefused,
    EventInbox,
    GatewayEvent,
    JourneyRun,
    ListMember,
    MessageEvent,
    Offer,
    OfferEvent,
    OfferLink,
    OfferQuote,
    OrderFact,
    OrderLineFact,
    OutboxMessage,
    Refund,
)
from upsell.models.journey import ENDED

logger = logging.getLogger("upsell")

BATCH = 500
_CLOSED = sorted(set(states.OfferState) - states.OPEN - {states.OfferState.NEEDS_ATTENTION})


def purge(*, now: datetime | None = None, dry_run: bool = False) -> Iterator[tuple[str, int]]:
    """Remove what is older than its retention; yield what and how many, batch by batch.

    Links stop opening ``UPSELL_LINK_RETENTION`` after an offer closed. Decisions go after
    ``UPSELL_DECISION_RETENTION``, closed offers with all their rows after ``UPSELL_RETENTION``,
    mirrored orders and sums per day after ``UPSELL_MEASURE_RETENTION``, events told of buyers
    and entries refused after ``UPSELL_EVENT_RETENTION``, runs of journeys with their messages
    and places on contact lists after ``UPSELL_JOURNEY_RETENTION``, reports on messages after
    ``UPSELL_MESSAGE_REPORT_RETENTION``, though never before soft bounces are counted.
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
    behaviour = told - conf.duration("UPSELL_EVENT_RETENTION")
    events = EventInbox.objects.filter(received_at__lt=behaviour)
    heard = told - max(conf.duration("UPSELL_MESSAGE_REPORT_RETENTION"), COUNTED)
    kept = told - conf.duration("UPSELL_JOURNEY_RETENTION")
    runs = JourneyRun.objects.filter(state__in=ENDED, ended_at__lt=kept)
    measured = told - conf.duration("UPSELL_MEASURE_RETENTION")
    for name, rows, remove in (
        ("links", links, _unlink),
        ("offers", offers, _remove_offers),
        ("decisions", decisions, _remove_decisions),
        ("reports", reports, _remove_reports),
        ("events", events, _remove_events),
        ("orders", OrderFact.objects.filter(placed_at__lt=measured), _remove_orders),
        ("sums", DailyMetric.objects.filter(day__lt=measured.date()), _remove_sums),
        ("beliefs", Belief.objects.filter(made_at__lt=_before(told)), _remove_beliefs),
        ("runs", runs, _remove_runs),
        ("members", ListMember.objects.filter(joined_at__lt=kept), _remove_members),
        ("message_reports", MessageEvent.objects.filter(received_at__lt=heard), _remove_told),
        ("refusals", EntryRefused.objects.filter(at__lt=behaviour), _remove_refusals),
        ("counts", DecisionCount.objects.filter(hour__lt=measured), _remove_counts),
    ):
        if dry_run:
            yield name, rows.distinct().count()
            continue
        while ids := list(rows.order_by("pk").values_list("pk", flat=True).distinct()[:BATCH]):
            with transaction.atomic():
                removed = remove(ids)
            logger.info("purged %s %s", sum(removed.values()), name)
            yield name, len(ids)


def _before(now: datetime) -> datetime:
    """Beliefs are kept as long as the decisions that name them, and the newest in any case."""
    oldest = now - conf.duration("UPSELL_DECISION_RETENTION")
    newest = Belief.objects.order_by("-made_at").values_list("made_at", flat=True).first()
    return min(oldest, newest or oldest)


def _remove_beliefs(ids: list[int]) -> Counter[str]:
    return Counter(beliefs=Belief.objects.filter(pk__in=ids).delete()[0])


def _unlink(ids: list[int]) -> Counter[str]:
    rows = Offer.objects.filter(pk__in=ids)
    OfferLink.objects.filter(offer__in=ids).delete()
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


def _remove_orders(ids: list[int]) -> Counter[str]:
    lines = OrderLineFact.objects.filter(order_fact__in=ids).delete()[0]
    return Counter(orders=OrderFact.objects.filter(pk__in=ids).delete()[0], lines=lines)


def _remove_runs(ids: list[int]) -> Counter[str]:
    """Runs with their steps, messages and goals."""
    return Counter(runs=JourneyRun.objects.filter(pk__in=ids).delete()[0])


def _remove_members(ids: list[int]) -> Counter[str]:
    return Counter(members=ListMember.objects.filter(pk__in=ids).delete()[0])


def _remove_told(ids: list[int]) -> Counter[str]:
    return Counter(message_reports=MessageEvent.objects.filter(pk__in=ids).delete()[0])


def _remove_refusals(ids: list[int]) -> Counter[str]:
    return Counter(refusals=EntryRefused.objects.filter(pk__in=ids).delete()[0])


def _remove_sums(ids: list[int]) -> Counter[str]:
    return Counter(sums=DailyMetric.objects.filter(pk__in=ids).delete()[0])


def _remove_counts(ids: list[int]) -> Counter[str]:
    return Counter(counts=DecisionCount.objects.filter(pk__in=ids).delete()[0])


def _remove_reports(ids: list[int]) -> Counter[str]:
    return Counter(reports=GatewayEvent.objects.filter(pk__in=ids).delete()[0])


def _remove_events(ids: list[int]) -> Counter[str]:
    return Counter(events=EventInbox.objects.filter(pk__in=ids).delete()[0])
