"""Messages of journeys on the shop's own pages: one at a time, each once, after a last look.

A message waits in PENDING for its buyer's next visit. Whoever claims the row under its run's lock
shows it; as with an offer, a look that may be a robot's or a prefetch claims nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.models import IntegerField, Q, QuerySet, Value
from django.http import HttpRequest
from django.utils.translation import get_language

from upsell import conf, signals, snapshots
from upsell.engine.placeholders import Unresolved
from upsell.models import Journey, JourneyRun, KeyLink, OutboxMessage
from upsell.models.journey import ACTIVE
from upsell.presenting import journey_letters, visitors
from upsell.presenting.messages import Shown
from upsell.services import consenting, journey_last_looks, journey_leaving, journey_running
from upsell.services.journey_hearing import who_of
from upsell.services.journey_sending import PAUSES

logger = logging.getLogger("upsell")

MOST = 5
"""Messages that one page asks about, where the first ones may not be shown any more."""
_BY_KEY, _BY_ORDER = 1, 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OnPage:
    """A message that is about to be shown."""

    key: str
    category: str
    page: Shown


def show(request: HttpRequest, *, render: Callable[[OnPage], str], now: datetime) -> str:
    """Return the message that this visitor sees now, rendered, and note that they saw it.

    Empty where there is none.

    The oldest that is due of those that wait for whoever is signed in, by all keys of theirs, for
    the visitor that our cookie tells of where they agreed to it, and for the order just placed in
    this session. A robot, a prefetch and anything but a GET is shown nothing, and uses none up; nor
    does what fails on the way.

    Args:
        request: The page's.
        render: Makes of a message what stands on the page.
        now: The process's time will do.

    Cost: nothing for a visitor of whom nothing is known, and one statement a minute where there is
    no journey; else one on indexes for whoever nobody writes to, in a savepoint where a
    transaction is open, and what ``Shop.customer`` and ``Shop.order_for_request`` cost. A message
    adds its last look, which asks the shop, and its claim.
    """
    if not visitors.is_a_person(request) or snapshots.had_no_journeys():
        return ""
    keys, mine, order_ref = _who_looks(request)
    if not keys and not order_ref:
        return ""
    with _apart():
        if not snapshots.has_journeys_lately():
            return ""
        for message_id in _waiting(request, keys, mine, order_ref, now=now):
            found = _shown(message_id, render, now=now)
            if found:
                return found
    return ""


def dismiss(key: str) -> bool:
    """Note that a buyer closed a message; say whether it was not noted before. One statement."""
    shown = OutboxMessage.objects.filter(
        key=key, kind=OutboxMessage.Kind.JOURNEY, medium=consenting.ONSITE, state="SENT"
    )
    return bool(shown.exclude(reason="dismissed").update(reason="dismissed"))


# ------------------------------------------------------------------ whose they are


def _who_looks(request: HttpRequest) -> tuple[list[str], list[str], str]:
    """Return every key to look for, those of whoever is signed in, and the order just placed."""
    shop = conf.shop()
    customer = shop.customer(request)
    mine = [] if customer is None else snapshots.customer_keys(customer)
    visitor = visitors.visitor_key(request)
    keys = [*mine, visitor] if visitor and shop.may_track(request) else mine
    return keys, mine, str(shop.order_for_request(request) or "")


def _waiting(
    request: HttpRequest, keys: list[str], mine: list[str], order_ref: str, *, now: datetime
) -> list[int]:
    branches = _of_buyer(_due(now), mine, keys)
    if order_ref:
        of_order = _due(now).filter(run__order_ref=order_ref).exclude(customer_key="")
        branches.append(_told(of_order, _BY_ORDER))
    first, *rest = branches
    rows = first.union(*rest) if rest else first
    found = list(rows.order_by("not_before", "pk", "-found_by")[: 2 * MOST])
    theirs = {pk for pk, _at, found_by in found if found_by == _BY_KEY}
    others = {pk for pk, _at, _by in found} - theirs
    if others and conf.shop().may_act(request, order_ref):
        theirs |= others
    return list(dict.fromkeys(pk for pk, _at, _by in found if pk in theirs))[:MOST]


def _of_buyer(
    due: QuerySet[OutboxMessage], mine: list[str], keys: list[str]
) -> list[QuerySet[Any, Any]]:
    """Return queries for these keys, and for those linked with the signed-in buyer's own.

    One for each way to find a row: an "or" of them would use no index.
    """
    if not keys:
        return []
    branches = [_told(due.filter(customer_key__in=keys), _BY_KEY)]
    if mine:
        older = KeyLink.objects.filter(new__in=mine).values("old")
        for linked in (
            older,
            KeyLink.objects.filter(old__in=mine).values("new"),
            KeyLink.objects.filter(old__in=older).values("new"),
        ):
            branches.append(_told(due.filter(customer_key__in=linked), _BY_KEY))
    return branches


def _due(now: datetime) -> QuerySet[OutboxMessage]:
    return (
        OutboxMessage.objects.filter(
            kind=OutboxMessage.Kind.JOURNEY,
            medium=consenting.ONSITE,
            state="PENDING",
            not_before__lte=now,
        )
        .filter(Q(expires_at=None) | Q(expires_at__gt=now))
        .exclude(run__journey__state=Journey.State.PAUSED)
    )


def _told(rows: QuerySet[OutboxMessage], found_by: int) -> QuerySet[Any, Any]:
    by = Value(found_by, output_field=IntegerField())
    return rows.annotate(found_by=by).values_list("pk", "not_before", "found_by")


# ------------------------------------------------------------------ the last look


def _shown(message_id: int, render: Callable[[OnPage], str], *, now: datetime) -> str:
    rows = OutboxMessage.objects.select_related("run__journey", "template__template")
    message = rows.get(pk=message_id)
    run = message.run
    if run is None:
        return ""
    try:
        with _apart():
            page = _looked(message, run, now=now)
            if page is None:
                return ""
            made = render(OnPage(key=message.key, category=message.category, page=page))
    except Exception as error:
        # The shop's ports are foreign code. Nothing was shown: it is tried again later.
        logger.exception("message %s was not shown", message.pk)
        _later(message, type(error).__name__, now=now)
        return ""
    if not _settled(message, "SENT", now=now):
        return ""
    told: dict[str, Any] = {"sender": OutboxMessage, "message_id": message.pk, "at": now}
    transaction.on_commit(partial(signals.message_sent.send_robust, **told), robust=True)
    return made


def _apart() -> AbstractContextManager[None]:
    """Keep an error of ours from the host's transaction; where none is open, begin none."""
    return transaction.atomic() if connection.in_atomic_block else nullcontext()


def _looked(message: OutboxMessage, run: JourneyRun, *, now: datetime) -> Shown | None:
    """Return what a message says, if there is still a reason to say it."""
    leaves = journey_last_looks.why_left(run, now=now)
    if leaves:
        with transaction.atomic():
            journey_leaving.leave([run.pk], state="EXITED", reason=leaves, now=now)
        return None
    reach = consenting.may_write(
        who_of(run), message.medium, message.category, contact=None, now=now
    )
    if not reach.ok:
        _settled(message, "SKIPPED", reason=reach.reason, now=now)
        return None
    try:
        return journey_letters.on_page(message, run, language=get_language() or "")
    except Unresolved as error:
        _settled(message, "SKIPPED", reason=f"render_error: {error.name}", now=now)
        return None


def _settled(message: OutboxMessage, state: str, *, reason: str = "", now: datetime) -> bool:
    """Settle a message that still waits, and let its run go on; say whether it was ours to do.

    A page waits for nobody: a run that another has locked is left for the next look, where the
    database can tell.
    """
    skips = connection.features.has_select_for_update_skip_locked
    with transaction.atomic():
        rows = JourneyRun.objects.select_for_update(skip_locked=skips).filter(
            pk=message.run_id or 0
        )
        run = rows.first()
        if run is None:
            return False
        waits = OutboxMessage.objects.filter(pk=message.pk, state="PENDING")
        if run.state not in ACTIVE or not run.customer_key:
            waits.update(state="CANCELLED", reason="the run is over", reserved_at=None)
            return False
        # What is shown counts for the caps from when it was seen, not from when it was written.
        reserved = now if state == "SENT" and message.reserved_at is not None else None
        seen = now if state == "SENT" else None
        done = waits.filter(Q(expires_at=None) | Q(expires_at__gt=now)).update(
            state=state, reason=reason[:190], reserved_at=reserved, sent_at=seen
        )
        if done:
            message.state = state
            journey_running.settle(message, journey_running.outcome_of(message), now=now)
    return bool(done)


def _later(message: OutboxMessage, reason: str, *, now: datetime) -> None:
    """Show it no earlier than after a pause; after the last pause it failed."""
    tries = message.attempts
    if tries >= len(PAUSES):
        _settled(message, "FAILED", reason=reason, now=now)
        return
    OutboxMessage.objects.filter(pk=message.pk, state="PENDING").update(
        attempts=tries + 1, reason=reason[:190], not_before=now + PAUSES[tries]
    )
