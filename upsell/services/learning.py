"""What is believed of each campaign's acceptance and worth, made anew once a day.

Only moments at which equals are told apart by value or by learning have beliefs. They are made
from the sums per day, older days counting less, and kept under a version that decisions name.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Sum

from upsell import clock, conf
from upsell.engine.aggregates import Rate
from upsell.engine.bandit import PRIOR_VIEWS, SETTLED_VIEWS, Taken, forget, posteriors
from upsell.engine.campaigns import By
from upsell.engine.stats import compare_rates
from upsell.models import Belief, Campaign, DailyMetric
from upsell.models.versioned import bump
from upsell.services import pacing

logger = logging.getLogger("upsell")

NAME = "beliefs"
EVERY = timedelta(days=1)
SETTLED_AFTER = timedelta(days=1)
"""A view younger than this may yet be accepted, and is no failure."""
LOOKS_BACK = timedelta(days=365)
"""Twelve half-lives: what is older counts for nothing."""
_CERTAIN = 0.01
_PLACES = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What came of a campaign at one moment."""

    taken: Taken
    sold: int
    came_back: int
    revenue: Decimal
    """Net, after what came back; in all."""
    costed: int
    """Of the sold, those whose cost is known."""
    profit: Decimal
    """Of these: net revenue less what they cost."""


def learn_due() -> int:
    """Renew beliefs if they are a day old; return how many were made. Safe in parallel."""
    moments = learning_moments()
    if not moments:
        return 0
    now = clock.now()
    with transaction.atomic():
        if not pacing.claimed(NAME, every=EVERY, now=now):
            return 0
        return sum(learn(moment, now=now) for moment in moments)


def learning_moments() -> list[str]:
    """Return the moments at which equals are told apart by what is believed of them."""
    chosen = dict(conf.get("UPSELL_SELECTION"))
    return sorted(moment for moment, by in chosen.items() if By(by) in {By.VALUE, By.LEARNED})


def learn(moment: str, *, now: datetime) -> int:
    """Make the beliefs of a moment anew, under a version of their own; return how many.

    A campaign that gives back more than the rest, surely and after 100 views, is paused: it comes
    last among its equals until a later version says otherwise.

    Cost: two statements, and one row for each live campaign.
    """
    version = f"{now:%Y%m%dT%H%M%S}"
    live = Campaign.objects.filter(status=Campaign.Status.LIVE, archived=False)
    names = [pk for pk, moments in live.values_list("pk", "moments") if moment in moments]
    if not names:
        return 0
    seen = _seen(moment, names, now.date())
    worth = _worth(seen)
    beliefs = posteriors({str(key): one.taken for key, one in seen.items()}, worth)
    rows = [
        Belief(
            moment=moment,
            version=version,
            campaign_id=key,
            made_at=now,
            views=one.taken.views,
            accepts=one.taken.accepts,
            alpha=beliefs[str(key)].alpha,
            beta=beliefs[str(key)].beta,
            worth=beliefs[str(key)].worth.quantize(_PLACES),
            paused=_gives_back_too_much(one, seen),
        )
        for key, one in seen.items()
    ]
    with transaction.atomic():
        Belief.objects.bulk_create(rows, ignore_conflicts=True)
        bump()  # every process reads them with its next decision
    logger.info("beliefs of %s made anew: %s campaigns, version %s", moment, len(rows), version)
    return len(rows)


def _seen(moment: str, names: list[int], today: date) -> dict[int, _Seen]:
    rows = (
        DailyMetric.objects.filter(
            moment=moment,
            campaign__in=names,
            day__lt=today - SETTLED_AFTER + timedelta(days=1),
            day__gte=today - LOOKS_BACK,
        )
        .order_by()
        .values("campaign_id", "day", "currency")
        .annotate(
            views=Sum("shown"),
            accepts=Sum("accepted"),
            sales=Sum("sold"),
            back=Sum("undone") + Sum("refunded"),
            revenue=Sum("revenue_net") - Sum("returned_net"),
            known=Sum("costed"),
            profit=Sum("costed_net") - Sum("cost_net"),
        )
    )
    found = dict.fromkeys(names, _NOTHING)
    currencies = set()
    for row in rows:
        before = found[row["campaign_id"]]
        day = Taken(views=row["views"], accepts=min(row["accepts"], row["views"]))
        kept = forget(day, today - row["day"])
        currencies.add(row["currency"])
        found[row["campaign_id"]] = _Seen(
            taken=Taken(
                views=before.taken.views + kept.views, accepts=before.taken.accepts + kept.accepts
            ),
            sold=before.sold + row["sales"],
            came_back=before.came_back + row["back"],
            revenue=before.revenue + Decimal(row["revenue"]),
            costed=before.costed + row["known"],
            profit=before.profit + Decimal(row["profit"]),
        )
    if len(currencies) > 1:  # amounts of two currencies are never added
        found = {key: replace(_NOTHING, taken=one.taken) for key, one in found.items()}
    return found


_NOTHING = _Seen(
    taken=Taken(views=0, accepts=0),
    sold=0,
    came_back=0,
    revenue=Decimal(0),
    costed=0,
    profit=Decimal(0),
)


def _worth(seen: Mapping[int, _Seen]) -> dict[str, Decimal] | None:
    """Return what one acceptance brings, drawn towards the mean of all; none = not known.

    The margin, where the cost of all that was sold is known; else net revenue, for all alike.
    """
    sold = sum(one.sold for one in seen.values())
    if not sold:
        return None
    by_margin = all(one.costed == one.sold for one in seen.values())
    brought = {key: one.profit if by_margin else one.revenue for key, one in seen.items()}
    mean = sum(brought.values(), Decimal(0)) / sold
    prior = Decimal(int(PRIOR_VIEWS))
    return {
        str(key): max((brought[key] + prior * mean) / (one.sold + prior), Decimal(0))
        for key, one in seen.items()
    }


def _gives_back_too_much(one: _Seen, seen: Mapping[int, _Seen]) -> bool:
    others_sold = sum(other.sold for other in seen.values()) - one.sold
    others_back = sum(other.came_back for other in seen.values()) - one.came_back
    if one.taken.views < SETTLED_VIEWS or not one.sold or not others_sold:
        return False
    told = compare_rates(
        Rate(hits=min(others_back, others_sold), n=others_sold),
        Rate(hits=min(one.came_back, one.sold), n=one.sold),
    )
    return told.difference > 0 and told.p_value < _CERTAIN
