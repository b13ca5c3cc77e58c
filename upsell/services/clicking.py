"""That a person came by a link of a message: as if the provider had reported it, once a message."""

from __future__ import annotations

import logging

from upsell import clock, conf
from upsell.models import MessageEvent, OutboxMessage
from upsell.services import reporting

logger = logging.getLogger("upsell")


def confirm(message_key: str) -> bool:
    """Note that a person came by a link of a message; return whether it is new. Never raises.

    The first time it is a report ``clicked`` on the message, with all that follows from one:
    the window of goals begins, and the medium is known to reach the buyer. Twice is the same as
    once. A message that did not go out, or is a buyer's who was erased, has none.

    Args:
        message_key: As a mark named it; empty = from no message.

    Cost: none without a message; two statements, and the first time what a report costs. In no
    transaction of the caller's.
    """
    if not message_key or not conf.click_links():
        return False
    try:
        rows = OutboxMessage.objects.filter(
            key=message_key, kind=OutboxMessage.Kind.JOURNEY, state__in=["SENT", "UNKNOWN"]
        ).exclude(customer_key="")
        found = rows.values_list("pk", flat=True).first()
        if found is None:
            return False
        told = reporting.hear(
            provider=MessageEvent.OURS,
            kind="clicked",
            event_id=message_key,
            message_id=found,
            at=clock.database_now(),
        )
        return told == "done"
    except Exception:
        # Whoever follows a link wants the page, or buys: nothing of ours may stand between.
        logger.exception("a click on a message could not be noted")
        return False
