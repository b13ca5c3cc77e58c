"""What offers really earn: all orders of buyers who may be offered something, and of the holdout.

Counted by buyer, over all they ordered in the range, so that an add-on which only replaces what
they would have bought anyway earns nothing. Both sides are counted at the same point: the first
order for which there was an offer, seen or kept from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, F, Min, QuerySet, Sum

from upsell import conf
from upsell.engine.aggregates import Sums
from upsell.engine.stats import Comparison
from upsell.models import Offer, OrderFact

FEWEST = 100
"""Buyers on either side, below which nothing is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """The two sides in one currency."""

    currency: str
    treated: Sums
    held: Sums
    comparison: Comparison | None
    """Net revenue a buyer; none while a side has fewer than 100 buyers."""

    @property
    def incremental(self) -> Comparison | None:
        """What offers brought in all: the difference times the treated buyers."""
        return None if self.comparison is None else self.comparison.times(self.treated.n)


def began(*, since: datetime, until: datetime, channels: frozenset[str] | None) -> datetime | None:
    """Return when the first buyer of the range was held out; none = there was no holdout.

    What came before is not compared: nobody was held out then. One statement.
    """
    rows = _offers(since, until, channels).filter(state=Offer.State.SUPPRESSED)
    first: datetime | None = rows.aggregate(first=Min("created_at"))["first"]
    return first


def earned(
    *, since: datetime, until: datetime, channels: frozenset[str] | None = None
) -> Mapping[str, Earned]:
    """Return currency to what both sides ordered, from the first buyer held out until the end.

    Args:
        since: The range begins.
        until: It ends; this instant is out.
        channels: These sales channels only; none = all.

    Raises:
        MissingExtra: The extra ``stats`` is not installed, and there is something to compare.

    Cost: three statements and two for each currency, whatever the orders; SQL adds up.
    """
    first = began(since=since, until=until, channels=channels)
    if first is None:
        return {}
    offers = _offers(first, until, channels)
    held = offers.filter(state=Offer.State.SUPPRESSED).values("customer_key")
    treated = offers.exclude(state=Offer.State.SUPPRESSED).values("customer_key")
    orders = OrderFact.objects.filter(placed_at__gte=first, placed_at__lt=until, cancelled=False)
    if channels is not None:
        orders = orders.filter(channel__in=sorted(channels))
    # Whoever was on both sides, since the holdout grew or was rotated, is on neither.
    sides = {
        "held": _sums(orders.filter(customer_key__in=held).exclude(customer_key__in=treated)),
        "treated": _sums(orders.filter(customer_key__in=treated).exclude(customer_key__in=held)),
    }
    found = {}
    for currency in sorted(sides["held"].keys() & sides["treated"].keys()):
        control, other = sides["held"][currency], sides["treated"][currency]
        enough = min(control.n, other.n) >= FEWEST
        found[currency] = Earned(
            currency=currency,
            treated=other,
            held=control,
            comparison=conf.inference().means(control, other) if enough else None,
        )
    return found


def _offers(since: datetime, until: datetime, channels: frozenset[str] | None) -> QuerySet[Offer]:
    rows = Offer.objects.filter(created_at__gte=since, created_at__lt=until, trial=False)
    if channels is not None:
        rows = rows.filter(channel__in=sorted(channels))
    return rows.exclude(customer_key="").order_by()


def _sums(orders: QuerySet[OrderFact]) -> dict[str, Sums]:
    """Return currency to the sums over buyers."""
    buyers = (
        orders.order_by()
        .values("currency", "customer_key")
        .annotate(spent=Sum(F("net") - F("refunded_net")))
    )
    found = {}
    for currency in orders.order_by().values_list("currency", flat=True).distinct():
        told = buyers.filter(currency=currency).aggregate(
            n=Count("customer_key"), total=Sum("spent"), squares=Sum(F("spent") * F("spent"))
        )
        found[currency] = Sums(
            n=told["n"], total=Decimal(told["total"]), squares=Decimal(told["squares"])
        )
    return found
