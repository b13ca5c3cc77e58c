"""Contact lists: who is on one, and handing those over who agreed to that."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, OuterRef, QuerySet, Subquery

from upsell import conf
from upsell.engine.caps import ADS, ANY
from upsell.models import Consent, JourneyRun, ListMember
from upsell.ports import Who
from upsell.services import consenting

logger = logging.getLogger("upsell")

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A list, and how many are on it."""

    slug: str
    members: int
    newest: datetime
    """When the last one joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """One who agreed to being handed over."""

    address: str
    """Trimmed."""
    joined_at: datetime

    @property
    def sha256(self) -> str:
        """As platforms for advertising want it: of the trimmed, lower-case address."""
        return hashlib.sha256(self.address.lower().encode()).hexdigest()


def member(slug: str, run: JourneyRun, *, now: datetime) -> ListMember:
    """Return the place of a run's buyer on a list, not yet written."""
    return ListMember(
        slug=slug,
        customer_key=run.customer_key,
        user_ref=run.user_ref,
        order_ref=run.order_ref,
        cart_ref=run.cart_ref,
        channel=run.channel,
        journey_id=run.journey_id,
        joined_at=now,
    )


def join(members: Iterable[ListMember]) -> None:
    """Write places on lists; who is on one already stands there since now, as we know them now."""
    for row in members:
        told = {name: getattr(row, name) for name in _RENEWED}
        ListMember.objects.update_or_create(
            slug=row.slug, customer_key=row.customer_key, defaults=told
        )


_RENEWED = ("user_ref", "order_ref", "cart_ref", "channel", "journey_id", "joined_at")


def members(slug: str, *, channels: Iterable[str] | None) -> QuerySet[ListMember]:
    """Return who is on a list.

    Args:
        channels: Only those who came by one of these sales channels; none = all.
    """
    rows = ListMember.objects.known().filter(slug=slug)
    return rows if channels is None else rows.filter(channel__in=sorted(channels))


def counted(*, channels: Iterable[str] | None, holding: str = "") -> list[Counted]:
    """Return the lists there are, by name. One statement.

    Args:
        holding: Only those with this in their name, whatever its case.
    """
    rows = ListMember.objects.known().filter(slug__icontains=holding)
    if channels is not None:
        rows = rows.filter(channel__in=sorted(channels))
    found = rows.values("slug").annotate(n=Count("pk"), newest=Max("joined_at")).order_by("slug")
    return [Counted(slug=row["slug"], members=row["n"], newest=row["newest"]) for row in found]


def agreed(rows: QuerySet[ListMember]) -> QuerySet[ListMember]:
    """Return those of whom a consent to being handed over is noted, with ``agreed_at``.

    It asks neither the shop nor what stands against it: to look at, not to hand over.
    """
    stands = Consent.objects.filter(
        customer_key=OuterRef("customer_key"),
        medium__in=[consenting.EMAIL, ANY],
        purpose=ADS,
        basis=Consent.Basis.EXPLICIT,
        withdrawn_at=None,
    )
    since = Subquery(stands.order_by("at", "pk").values("at")[:1])
    return rows.annotate(agreed_at=since).filter(agreed_at__isnull=False)


def handed_over(rows: QuerySet[ListMember], *, clock: Callable[[], datetime]) -> Iterator[Handed]:
    """Yield those of a list who agreed to being handed over, each address once, oldest place first.

    The shop is asked for each, when their turn comes. One of whom it cannot be asked is left out,
    and logged. What the shop grants is noted first (``consenting.may_hand_over``).

    Args:
        rows: Of ``members``; their order is ours.
        clock: Says when each is asked.

    Cost: one statement for 500; for each of them two calls of the shop and up to six statements.
    Memory: a hash for each address.
    """
    seen: set[bytes] = set()
    last, lost = 0, 0
    while batch := list(rows.filter(pk__gt=last).order_by("pk")[:BATCH]):
        for row in batch:
            last = row.pk
            try:
                address = _address(row, now=clock())
            except Exception:
                # The shop's ports are foreign code: the others are no worse for it.
                logger.exception("the shop could not be asked of member %s of a list", row.pk)
                lost += 1
                continue
            told = hashlib.sha256(address.lower().encode()).digest()
            if address and told not in seen:
                seen.add(told)
                yield Handed(address=address, joined_at=row.joined_at)
    logger.info("a contact list was handed over: %s addresses, %s not asked", len(seen), lost)


def _address(row: ListMember, *, now: datetime) -> str:
    """Return the address of a member who agreed; empty = they did not, or there is none."""
    who = who_of(row)
    contact = conf.shop().contact(who, consenting.EMAIL)
    if contact is None or "@" not in contact.address:
        return ""
    reach = consenting.may_hand_over(who, contact=contact, now=now)
    return contact.address.strip() if reach.ok else ""


def who_of(row: ListMember) -> Who:
    """Return what is held of a member, to ask the shop by."""
    return Who(
        customer_key=row.customer_key,
        user_ref=row.user_ref,
        order_ref=row.order_ref,
        cart_ref=row.cart_ref,
    )


def journeys_of(rows: QuerySet[ListMember]) -> Sequence[tuple[int, str]]:
    """Return key and name of the journeys that put these on their list, by name."""
    found = rows.filter(journey__isnull=False).values_list("journey", "journey__name")
    return sorted(set(found.order_by()), key=lambda row: (row[1], row[0]))
