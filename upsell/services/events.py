"""Take what is told of a buyer: one row an event, in a transaction of our own."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.functional import Promise

from upsell import clock, conf, snapshots
from upsell.models import EventInbox
from upsell.services import journey_hearing
from upsell.services.locking import retried

logger = logging.getLogger("upsell")

MOST_PARAMETERS = 80
MOST_BYTES = 16 * 1024
"""Of the parameters as JSON, in UTF-8."""

_NAME = re.compile(r"[a-z0-9_.]{1,80}")
_KEY = re.compile(r"[uav]:.{1,198}|e:[0-9a-f]{64}", re.DOTALL)
"""A customer key. Of an address only its keyed hash is stored."""
LONGEST_ID = 190
_UNSTORED = re.compile("[\x00\ud800-\udfff]")
_REF = 190

Whose = str | Callable[[], str]


def record(
    name: str,
    *,
    customer_key: Whose,
    source: EventInbox.Source,
    order_ref: str = "",
    at: datetime | None = None,
    event_id: str = "",
    parameters: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> None:
    """Keep an event, once the host's transaction is committed. Never raises.

    What cannot be kept is logged, with what was wanted and what there was. Nothing is kept of an
    event that is nobody's.

    Args:
        name: 1 to 80 characters of ``a-z``, ``0-9``, ``_`` and ``.``.
        customer_key: Whose it is; a function that says so is asked after the commit.
        at: When it happened, aware; none = now. A time to come is now.
        event_id: The same id from the same source is the same event; empty = one of its own.
        parameters: As ``checked`` wants them.
        now: When it is told; the process's time if none is given.

    Cost: one short transaction with one INSERT, and what the function asks.
    """
    try:
        told = now or clock.now()
        row = EventInbox(
            source=source,
            event_id=_text("an event_id", event_id) or uuid.uuid4().hex,
            name=named(name),
            order_ref=_text("an order_ref", order_ref),
            parameters=checked(parameters or {}),
            occurred_at=_happened(at, now=told),
            received_at=told,
        )
        # No partial: Django's log of one that raises asks for its name, and raises in turn.
        transaction.on_commit(lambda: _keep(row, customer_key), robust=True)
    except ValueError as error:
        logger.warning("event %.80r was not taken: %s", name, error)
    except Exception:
        # The host's request is on the other side: nothing of ours may pass.
        logger.exception("event %.80r was not taken", name)


def _keep(row: EventInbox, whose: Whose) -> None:
    try:
        key = whose if isinstance(whose, str) else whose()
        if not key:
            return  # nobody's, or of somebody who does not want it
        if not _KEY.fullmatch(key):
            raise ValueError(
                "wanted is a customer key, u:, a: or v: and a reference or e: and a hash of 64, "
                f"and there were {len(key)} other characters"
            )
        row.customer_key = key
        retried(lambda: arrive(row))
    except ValueError as error:
        logger.warning("event %s was not taken: %s", row.name, error)
    except Exception:
        # The host has committed, and its request is still under way: nothing of ours may pass.
        logger.exception("event %s was not taken", row.name)


def arrive(row: EventInbox) -> None:
    """Write an event that was not told before, with what follows from it for its buyer.

    Both are there or neither. Where no journey is known, or the shop cannot be asked just now, the
    event alone is kept, and due work follows it up. Outside any transaction.

    Cost: one INSERT where no journey is known; else what following takes.
    """
    if not (snapshots.has_journeys() and _followed_at_once(row)):
        row.processed_at = None
        with transaction.atomic(durable=True):
            _is_new(row)


def _followed_at_once(row: EventInbox) -> bool:
    now = clock.database_now()
    for _try in range(3):
        try:
            answered = journey_hearing.ask(row, now=now)
        except Exception:
            logger.exception("event %s is followed later", row.name)
            return False
        try:
            with transaction.atomic(durable=True):
                row.processed_at = now
                if not _is_new(row):
                    logger.debug("event %s was told before", row.name)
                else:
                    journey_hearing.follow(row, answered, now=now)
            return True
        except journey_hearing.ListenersChanged:
            continue
    return False


def _is_new(row: EventInbox) -> bool:
    row.pk = None
    try:
        with transaction.atomic():  # a savepoint: the loser of a race goes on
            row.save(force_insert=True)
    except IntegrityError:
        if not EventInbox.objects.filter(source=row.source, event_id=row.event_id).exists():
            raise
        return False
    return True


def row(
    name: str,
    *,
    customer_key: str,
    source: EventInbox.Source,
    event_id: str,
    order_ref: str,
    parameters: Mapping[str, Any],
    at: datetime,
    now: datetime,
) -> EventInbox:
    """Return an event that we found ourselves, not yet written.

    Parameters that are too long for one are cut: the longest list loses its end.
    """
    return EventInbox(
        source=source,
        event_id=event_id,
        name=name,
        customer_key=customer_key,
        order_ref=order_ref,
        parameters=checked(_fitting(parameters)),
        occurred_at=min(at, now),
        received_at=now,
    )


def tell(rows: Iterable[EventInbox]) -> None:
    """Write events in the transaction that is open; whatever follows from them is still to do.

    One statement, none for no rows. An event that was told before is not told again.
    """
    EventInbox.objects.bulk_create(list(rows), ignore_conflicts=True)


def _fitting(parameters: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        name: [str(one) for one in value] if isinstance(value, list | tuple) else value
        for name, value in parameters.items()
    }
    lists = {name: value for name, value in found.items() if isinstance(value, list)}

    def size(name: str) -> int:
        return len(json.dumps(lists[name], ensure_ascii=False).encode())

    while lists and sum(map(size, lists)) > MOST_BYTES // 2:
        longest = max(lists, key=size)
        found[longest] = lists[longest] = lists[longest][: len(lists[longest]) // 2]
    return found


def forget(*, customer_key: str) -> int:
    """Remove what was told of a visitor who does not want it any more; return how many rows."""
    if not customer_key:
        return 0
    return EventInbox.objects.filter(customer_key=customer_key).delete()[0]


# ------------------------------------------------------------------ what may be told


def referenced(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with the shop's own products and categories as references."""
    found: dict[str, Any] = {}
    for key, value in parameters.items():
        if key in {"product", "category"} and value is not None:
            found[f"{key}_ref"] = conf.shop().ref(value)
        else:
            found[key] = value
    return found


def named(name: str) -> str:
    """Return the name of an event.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError("wanted is a name of 1 to 80 characters of a-z, 0-9, _ and .")
    return name


def checked(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as they are stored: at most 80, at most 16 KB.

    Values are texts, whole numbers, yes or no, nothing, or lists of them; Decimals, dates and
    aware datetimes become texts.

    Raises:
        ValueError: Anything else; a float too, for it may have been money.
    """
    if len(parameters) > MOST_PARAMETERS:
        raise ValueError(
            f"wanted are at most {MOST_PARAMETERS} parameters, and there were {len(parameters)}"
        )
    found = {_named(key): _plain(key, value) for key, value in parameters.items()}
    size = len(json.dumps(found, ensure_ascii=False).encode())
    if size > MOST_BYTES:
        raise ValueError(f"wanted are at most {MOST_BYTES} bytes as JSON, and there were {size}")
    return found


def _named(key: object) -> str:
    if not isinstance(key, str) or not 0 < len(key) <= 80:
        raise ValueError("wanted are names of parameters of 1 to 80 characters")
    return _whole("the name of a parameter", key)


def _plain(key: str, value: object) -> Any:
    if isinstance(value, list | tuple | set | frozenset):
        rows = value if isinstance(value, list | tuple) else sorted(value, key=str)
        return [_scalar(key, row) for row in rows]
    return _scalar(key, value)


def _scalar(key: str, value: object) -> str | int | bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Decimal) and value.is_finite():
        return str(value)
    if isinstance(value, datetime) and timezone.is_aware(value):
        return value.isoformat()
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str | Promise | uuid.UUID):
        return _whole(key, str(value))
    there = "naive datetime" if isinstance(value, datetime) else type(value).__name__
    raise ValueError(
        f"wanted in {key} is a text, a whole number, a Decimal, an aware datetime, or a list of "
        f"them, and there was a {there}"
    )


def _text(what: str, value: object) -> str:
    text = "" if value is None else _whole(what, str(value))
    if len(text) > _REF:
        raise ValueError(
            f"wanted is {what} of at most {_REF} characters, and there were {len(text)}"
        )
    return text


def _whole(what: str, text: str) -> str:
    """No database stores NUL, or half of a surrogate pair."""
    if _UNSTORED.search(text):
        raise ValueError(f"wanted in {what} is text, and there was what no database stores")
    return text


def _happened(at: datetime | None, *, now: datetime) -> datetime:
    if at is None:
        return now
    if not isinstance(at, datetime) or timezone.is_naive(at):
        raise ValueError("wanted in at is an aware datetime, and there was another thing")
    return min(at, now)
