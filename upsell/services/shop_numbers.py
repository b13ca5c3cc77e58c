"""Numbers of the whole shop that a buyer is measured by: made nightly, from the mirrored orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Count, DateTimeField, F, Q, Window
from django.db.models.functions import Lag

from upsell import clock
from upsell.models import OrderFact, Progress, ShopNumber

EVERY = timedelta(hours=24)
ORDERS = timedelta(days=90)
"""The orders that a median order is of."""
GAPS_OF = timedelta(days=365)
"""The orders that a median gap is between."""
LEAST = 20
"""Fewer orders, or gaps, have no median."""
MOST = 200_000
"""The newest orders: gaps between older ones are not looked at."""
TO_MEDIAN, GAPS = "order.to_median", "customer.gaps_since_last"
"""The facts that are told with these numbers."""

_NAME = "shop_numbers"
_EXACT = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The numbers of the shop as they were last made."""

    orders: Mapping[tuple[str, str], Decimal]
    """The median order, net, by sales channel and currency."""
    gap_seconds: Decimal | None

    def to_median(self, net: Decimal, *, channel: str, currency: str) -> Decimal | None:
        """Return an order's goods, net, as a multiple of the median order; none = not known."""
        median = self.orders.get((channel, currency))
        return None if median is None else (net / median).quantize(_EXACT)

    def gaps(self, ago: timedelta) -> Decimal | None:
        """Return a length of time as a multiple of the median gap; none = not known."""
        if self.gap_seconds is None:
            return None
        return (Decimal(ago // timedelta(seconds=1)) / self.gap_seconds).quantize(_EXACT)


def read() -> Numbers:
    """Return the numbers of the shop. One statement."""
    rows = list(ShopNumber.objects.all())
    names = ShopNumber.Name
    return Numbers(
        orders={
            (row.channel, row.currency): row.value for row in rows if row.name == names.MEDIAN_ORDER
        },
        gap_seconds=next((row.value for row in rows if row.name == names.MEDIAN_GAP), None),
    )


def renew_due() -> int:
    """Make the numbers anew where they are a day old; return how many were made.

    A process that dies on it leaves those of the night before for a day more. Cost: one statement
    where they are not; else two a sales channel and currency, and one pass over the orders of a
    year.
    """
    now = clock.now()
    progress = Progress.objects.filter(name=_NAME).first()
    if progress is not None and progress.at is not None and now - EVERY < progress.at <= now:
        return 0
    if progress is None:
        Progress.objects.bulk_create([Progress(name=_NAME)], ignore_conflicts=True)
    # Whoever notes it first makes them: of two at once one does.
    mine = Progress.objects.filter(name=_NAME, at=None if progress is None else progress.at)
    if not mine.update(at=now):
        return 0
    rows = [*_orders(now), *_gap(now)]
    with transaction.atomic():
        ShopNumber.objects.all().delete()
        ShopNumber.objects.bulk_create(rows)
    return len(rows)


def _orders(now: datetime) -> list[ShopNumber]:
    """Return the median of what orders came to, at the nearest rank: an order that there was."""
    found = OrderFact.objects.filter(
        placed_at__gt=now - ORDERS, placed_at__lte=now, cancelled=False, net__gt=0
    )
    counts = found.values("channel", "currency").annotate(n=Count("pk")).filter(n__gte=LEAST)
    made = []
    for row in counts.order_by("channel", "currency"):
        of = found.filter(channel=row["channel"], currency=row["currency"]).order_by("net")
        middle = of.values_list("net", flat=True)[(row["n"] - 1) // 2]
        made.append(
            ShopNumber(
                name=ShopNumber.Name.MEDIAN_ORDER,
                channel=row["channel"],
                currency=row["currency"],
                value=middle,
                among=row["n"],
                at=now,
            )
        )
    return made


def _gap(now: datetime) -> list[ShopNumber]:
    """Return the median time from one order of a buyer to their next, over all sales channels."""
    found = (
        OrderFact.objects.filter(
            ~Q(customer_key=""), placed_at__gt=now - GAPS_OF, placed_at__lte=now, cancelled=False
        )
        .annotate(
            before=Window(
                Lag("placed_at"),
                partition_by=F("customer_key"),
                order_by=[F("placed_at").asc(), F("pk").asc()],
                output_field=DateTimeField(null=True),
            )
        )
        .order_by("-placed_at")
        .values_list("placed_at", "before")[:MOST]
    )
    gaps = sorted(
        (placed_at - before) // timedelta(seconds=1)
        for placed_at, before in found.iterator(chunk_size=5_000)
        if before is not None and before < placed_at
    )
    if len(gaps) < LEAST:
        return []
    middle = max(gaps[(len(gaps) - 1) // 2], 1)
    return [
        ShopNumber(name=ShopNumber.Name.MEDIAN_GAP, value=Decimal(middle), among=len(gaps), at=now)
    ]
