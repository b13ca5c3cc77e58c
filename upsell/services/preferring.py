"""What a buyer gets by which medium, and what they change of it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from upsell import conf
from upsell.engine.caps import MARKETING
from upsell.engine.journeys.definition import MEDIA
from upsell.models import Consent, JourneyRun
from upsell.ports import Contact, Who
from upsell.services import consenting, leaving, linking
from upsell.services.locking import retried

logger = logging.getLogger("upsell")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One medium: whether marketing comes by it."""

    medium: str
    is_on: bool
    may_turn_on: bool
    """By who is signed in; a link that was passed on agrees to nothing."""
    refused: bool = False
    """The buyer said no in the shop's own account: only there it becomes a yes."""


def choices(*, customer_key: str, medium: str, is_owner: bool) -> list[Choice]:
    """Return what a buyer can choose: each medium that they have, had, or came by.

    Args:
        medium: The one of the link.
        is_owner: Whether the buyer is signed in, and not only holds the link.
    """
    keys = linking.family([customer_key])
    who = _who(customer_key, keys)
    rows = Consent.objects.filter(customer_key__in=keys, purpose=MARKETING)
    said = set(rows.values_list("medium", flat=True))
    found: list[Choice] = []
    for name in MEDIA:
        contact = _contact(who, name)
        if contact is None and name not in {*said, medium}:
            continue
        reach = consenting.wants(who, name, contact=contact)
        refused = reach.detail == "refused"
        found.append(
            Choice(
                medium=name,
                is_on=reach.ok,
                may_turn_on=is_owner and not reach.ok and not refused,
                refused=refused,
            )
        )
    return found


def save(
    *,
    customer_key: str,
    offered: Sequence[Choice],
    wanted: Collection[str],
    words: dict[str, str],
    now: datetime,
) -> None:
    """Take what a buyer chose. Twice is the same as once.

    What is not wanted any more is taken back; where nothing is left on, journeys end, too. What is
    wanted anew is an explicit consent, from who may turn it on.

    Args:
        offered: What they saw.
        wanted: The media that they ticked.
        words: What they agree to, as they read it, by medium.
    """

    def work() -> None:
        with transaction.atomic():
            on = False
            for row in offered:
                ticked = row.medium in wanted
                if ticked and row.may_turn_on:
                    consenting.grant(
                        customer_key=customer_key,
                        medium=row.medium,
                        source="preferences",
                        text_version=words.get(row.medium, ""),
                        now=now,
                    )
                elif row.is_on and not ticked:
                    consenting.withdraw(
                        customer_key, row.medium, MARKETING, how="preferences", now=now
                    )
                on = on or (ticked and (row.is_on or row.may_turn_on))
            if not on:
                leaving.leave(linking.family([customer_key]), now=now)

    retried(work)


def _who(customer_key: str, keys: Sequence[str]) -> Who:
    """Return what we hold of the buyer: as in their newest run, else what the key says."""
    run = JourneyRun.objects.filter(customer_key__in=keys).order_by("-entered_at", "-pk").first()
    users = [key[2:] for key in keys if key.startswith("u:")]
    user_ref = users[0] if users else ""
    if run is None:
        return Who(customer_key=customer_key, user_ref=user_ref)
    return Who(
        customer_key=customer_key,
        user_ref=run.user_ref or user_ref,
        order_ref=run.order_ref,
        cart_ref=run.cart_ref,
    )


def _contact(who: Who, medium: str) -> Contact | None:
    if medium == consenting.ONSITE:
        return None
    try:
        return conf.shop().contact(who, medium)
    except Exception:
        # Foreign code; the buyer can leave all the same.
        logger.exception("the shop could not say whether somebody can be reached")
        return None
