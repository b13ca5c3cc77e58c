"""What should make staff look: looked for once an hour, announced once, kept until it is over.

Nothing is an alarm before it is very likely so: an interval of 99 % has to lie beyond the bound,
and three offers prove nothing. Once tripped, it clears when the rate itself is back within.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, Sum

from upsell import clock, signals
from upsell.engine.aggregates import Rate
from upsell.engine.stats import newcombe, relative_change, wilson
from upsell.models import (
    Alarm,
    Campaign,
    DailyMetric,
    Decision,
    EventInbox,
    Offer,
    OrderFact,
    Progress,
)
from upsell.ports import Moment
from upsell.services import pacing
from upsell.services.metrics import TAKEN

NAME = "guardrails"
EVERY = timedelta(hours=1)
PERIOD = timedelta(days=30)
CONFIDENCE = 0.99
LEAST = 30
"""So many sold, or so many orders, before a share of them is judged."""
NEAR_ZERO = 0.01
MOST_DISCOUNTED = 0.60
UNSHOWN = timedelta(days=3)
"""How long a campaign is live before it is odd that it was never shown."""
STARTED, COMPLETED = "checkout.started", "checkout.completed"

_COLUMNS = ("shown", "accepted", "sold", "undone", "refunded", "discounted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A figure beyond its bound."""

    kind: Alarm.Kind
    campaign_id: int
    """Which to look at; for a share over a sales channel, the one with most of it."""
    channel: str = ""
    """Empty where it is of one campaign, in all its channels."""
    rate: Rate
    base: Rate | None = None
    """What the rate is measured against, where that is a rate too."""
    surely: bool = True
    """Whether the whole interval is beyond it: then it trips, else it only goes on."""

    @property
    def key(self) -> str:
        """What it is an alarm of: the same until it clears."""
        of = self.channel if self.kind == Alarm.Kind.DISCOUNT else self.campaign_id
        return f"{self.kind}:{of}"


def check_due() -> int:
    """Look once an hour, whoever does due work; return how many alarms are new."""
    now = clock.now()
    return check(now=now) if pacing.claimed(NAME, every=EVERY, now=now) else 0


def check(*, now: datetime) -> int:
    """Write down what is alarming now, and announce what was not so before.

    Thirteen statements at most, whatever there is. Two at a time wait for each other.

    Returns:
        How many alarms are new.
    """
    with transaction.atomic():
        Progress.objects.filter(name=NAME).update(name=NAME)
        known = {row.key: row for row in Alarm.objects.all()}
        found = {one.key: one for one in look(now=now) if one.surely or one.key in known}
        over = [row.pk for key, row in known.items() if key not in found]
        Alarm.objects.filter(pk__in=over).delete()
        goes_on = [_told(row, found[key], now=now) for key, row in known.items() if key in found]
        Alarm.objects.bulk_update(goes_on, _TOLD)
        new = [
            _told(Alarm(key=key, kind=one.kind, channel=one.channel, tripped_at=now), one, now=now)
            for key, one in found.items()
            if key not in known
        ]
        Alarm.objects.bulk_create(new)
        for row in new:
            transaction.on_commit(partial(_announce, row, now))
    return len(new)


def look(*, now: datetime) -> Iterator[Found]:
    """Yield every figure that is beyond its bound, surely or not. Seven statements at most."""
    sums = _sums(now=now)
    live = _live(now=now)
    yield from _refunds(sums, live, now=now)
    yield from _acceptance(sums, live)
    yield from _discounts(sums)
    yield from _never_shown(live, now=now)
    yield from _checkouts(now=now)


def unwatched(*, now: datetime) -> list[str]:
    """Return the events without which a guardrail has nothing to go by. One statement."""
    since = now - 2 * PERIOD
    told = EventInbox.objects.filter(name=STARTED, occurred_at__gt=since).exists()
    return [] if told else [STARTED]


_TOLD = ("campaign", "hits", "n", "base_hits", "base_n", "looked_at")


def _told(row: Alarm, found: Found, *, now: datetime) -> Alarm:
    row.campaign_id = found.campaign_id
    row.hits, row.n = found.rate.hits, found.rate.n
    row.base_hits, row.base_n = (
        (None, None) if found.base is None else (found.base.hits, found.base.n)
    )
    row.looked_at = now
    return row


def _announce(row: Alarm, now: datetime) -> None:
    signals.guardrail_tripped.send_robust(
        sender=Alarm, guardrail=row.kind, campaign_id=row.campaign_id, channel=row.channel, at=now
    )


# ------------------------------------------------------------------ what is looked at

_Sums = Mapping[tuple[int, str], Mapping[str, int]]
"""Campaign and sales channel to the sums of the last 30 days."""


def _sums(*, now: datetime) -> _Sums:
    rows = DailyMetric.objects.filter(day__gt=(now - PERIOD).date())
    sums = {f"n_{name}": Sum(name) for name in _COLUMNS}
    groups = rows.order_by().values("campaign_id", "channel").annotate(**sums)
    return {
        (campaign_id, channel): dict(zip(_COLUMNS, counts, strict=True))
        for campaign_id, channel, *counts in groups.values_list("campaign_id", "channel", *sums)
    }


def _live(*, now: datetime) -> Mapping[int, Campaign]:
    """Return the campaigns that buyers may be shown now, and whether each ever was."""
    shown = Offer.objects.filter(campaign=OuterRef("pk"), first_shown_at__isnull=False, trial=False)
    rows = Campaign.objects.filter(
        Q(valid_from=None) | Q(valid_from__lte=now),
        Q(valid_until=None) | Q(valid_until__gte=now),
        status=Campaign.Status.LIVE,
        archived=False,
    ).annotate(ever_shown=Exists(shown))
    names = ("pk", "channels", "moments", "edited_at", "valid_from")
    return {row.pk: row for row in rows.order_by("pk").only(*names)}


def _by_campaign(sums: _Sums) -> Mapping[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_COLUMNS, 0))
    for (campaign_id, _channel), row in sums.items():
        for name in _COLUMNS:
            found[campaign_id][name] += row[name]
    return found


def _refunds(sums: _Sums, live: Collection[int], *, now: datetime) -> Iterator[Found]:
    """More of what a campaign sold comes back than of orders that accepted no offer."""
    accepted = Offer.objects.filter(order_ref=OuterRef("order_ref"), state__in=TAKEN)
    orders = OrderFact.objects.filter(~Exists(accepted), placed_at__gt=now - PERIOD)
    came_back = Count("pk", filter=Q(refunded_net__gt=0) | Q(cancelled=True))
    groups = orders.order_by().values("channel").annotate(n=Count("pk"), back=came_back)
    base_of = {row["channel"]: (row["back"], row["n"]) for row in groups}
    for campaign_id, row in _by_campaign(sums).items():
        channels = {channel for key, channel in sums if key == campaign_id}
        back, n = (sum(base_of.get(one, (0, 0))[at] for one in channels) for at in (0, 1))
        if campaign_id not in live or row["sold"] < LEAST or n < LEAST:
            continue
        rate = Rate(hits=min(row["undone"] + row["refunded"], row["sold"]), n=row["sold"])
        base = Rate(hits=back, n=n)
        if rate.value > base.value:
            more = newcombe(base, rate, confidence=CONFIDENCE)
            yield Found(
                kind=Alarm.Kind.REFUNDS,
                campaign_id=campaign_id,
                rate=rate,
                base=base,
                surely=more.low > 0,
            )


def _acceptance(sums: _Sums, live: Collection[int]) -> Iterator[Found]:
    """Hardly anybody who sees it accepts."""
    for campaign_id, row in _by_campaign(sums).items():
        if campaign_id not in live or not row["shown"]:
            continue
        rate = Rate(hits=min(row["accepted"], row["shown"]), n=row["shown"])
        if rate.value < NEAR_ZERO:
            surely = wilson(rate, confidence=CONFIDENCE).high < NEAR_ZERO
            yield Found(
                kind=Alarm.Kind.ACCEPTANCE, campaign_id=campaign_id, rate=rate, surely=surely
            )


def _discounts(sums: _Sums) -> Iterator[Found]:
    """Most of what a sales channel sells this way is sold with a discount."""
    found: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for (campaign_id, channel), row in sums.items():
        found[channel].append((row["discounted"], row["sold"], campaign_id))
    for channel, rows in found.items():
        sold = sum(row[1] for row in rows)
        if sold < LEAST:
            continue
        rate = Rate(hits=sum(row[0] for row in rows), n=sold)
        if rate.value > MOST_DISCOUNTED:
            yield Found(
                kind=Alarm.Kind.DISCOUNT,
                campaign_id=max(rows)[2],
                channel=channel,
                rate=rate,
                surely=wilson(rate, confidence=CONFIDENCE).low > MOST_DISCOUNTED,
            )


def _never_shown(live: Mapping[int, Any], *, now: datetime) -> Iterator[Found]:
    """Orders came, and it was not shown after one of them."""
    orders = Decision.objects.filter(at__gt=now - UNSHOWN, trial=False)
    groups = orders.order_by().values("channel").annotate(n=Count("pk"))
    decided = {row["channel"]: row["n"] for row in groups}
    for campaign_id, row in live.items():
        since = max(row.edited_at, row.valid_from or row.edited_at)
        n = sum(decided.get(channel, 0) for channel in set(row.channels))
        if row.ever_shown or since > now - UNSHOWN or n < LEAST:
            continue
        if Moment.POST_PURCHASE in row.moments:
            yield Found(
                kind=Alarm.Kind.NEVER_SHOWN, campaign_id=campaign_id, rate=Rate(hits=0, n=n)
            )


def _checkouts(*, now: datetime) -> Iterator[Found]:
    """Offers earn more than in the 30 days before, and fewer begun checkouts are completed."""
    base, rate = (_completed(until=now - ago) for ago in (PERIOD, _NO_TIME))
    if base is None or rate is None or rate.value >= base.value:
        return
    earned, before = (_earned(until=now - ago) for ago in (_NO_TIME, PERIOD))
    more = {key: amount for key, amount in earned.items() if amount > before.get(key, Decimal(0))}
    if not more:
        return
    change = relative_change(base, rate, confidence=CONFIDENCE)
    yield Found(
        kind=Alarm.Kind.CHECKOUT,
        campaign_id=max(more, key=lambda key: more[key])[0],
        rate=rate,
        base=base,
        surely=change is not None and change.interval.high < 0,
    )


def _completed(*, until: datetime) -> Rate | None:
    """Return buyers who completed a checkout, of those who began one, in 30 days; none = few."""
    rows = EventInbox.objects.filter(occurred_at__gt=until - PERIOD, occurred_at__lte=until)
    buyers = rows.exclude(customer_key="").order_by().values("customer_key")
    counted = buyers.filter(name__in=[STARTED, COMPLETED]).aggregate(
        n=Count("customer_key", filter=Q(name=STARTED), distinct=True),
        hits=Count("customer_key", filter=Q(name=COMPLETED), distinct=True),
    )
    if counted["n"] < LEAST:
        return None
    return Rate(hits=min(counted["hits"], counted["n"]), n=counted["n"])


def _earned(*, until: datetime) -> Mapping[tuple[int, str], Decimal]:
    """Return campaign and currency to net revenue of 30 days."""
    first, last = (until - PERIOD).date(), until.date()
    rows = DailyMetric.objects.filter(day__gt=first, day__lte=last).order_by()
    sums = rows.values("campaign_id", "currency").annotate(
        earned=Sum("revenue_net") - Sum("returned_net")
    )
    return {
        (campaign_id, currency): Decimal(earned)
        for campaign_id, currency, earned in sums.values_list("campaign_id", "currency", "earned")
    }


_NO_TIME = timedelta(0)
