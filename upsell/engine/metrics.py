"""What is measured, one definition for each figure. Counts and sums in, figures out.

A column of ``Tally`` says what it counts; a figure made from columns is a property. SQL adds the
columns up (``upsell.services.metrics``), the words are in ``upsell.presenting.metrics``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from decimal import Decimal

from upsell.engine.aggregates import Rate
from upsell.engine.stats import mean_within, wilson

OUTCOME = timedelta(days=30)
"""What comes back later than this after an accept is not counted against it."""
SCORES = (1, 2, 3, 4, 5)
"""What a buyer may say of an offer, from very poor to very good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A share of all, 0 to 1, or a mean, with the ends of its interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Sums over offers; the amounts are of one currency, before tax and delivery.

    The funnel counts offers by the day they were made, money by the day of the accept.
    """

    eligible: int = 0
    """Offers made: decisions that had a winner, those held out included."""
    held_out: int = 0
    """Of them, held out on purpose and never shown."""
    shown: int = 0
    """Of them, seen by the buyer at least once."""
    accepted: int = 0
    """Of them, accepted, also where it was undone or refunded later."""
    declined: int = 0
    """Of them, declined."""
    sold: int = 0
    """Offers accepted on the day."""
    undone: int = 0
    """Of them, undone by the buyer."""
    refunded: int = 0
    """Of them, given back within 30 days in part or whole, other than by undo."""
    revenue_net: Decimal = Decimal(0)
    """What they added: the new lines, less what was paid for the lines they replaced."""
    returned_net: Decimal = Decimal(0)
    """What of that came back within 30 days: undo, refund, withdrawal, cancellation."""
    discount_net: Decimal = Decimal(0)
    """How much less they cost than their selling prices. Its own row, never subtracted."""
    accepted_rated: int = 0
    """Of the accepted, those whose buyer said how it was."""
    accepted_points: int = 0
    """What these said, added up: each 1 to 5."""
    declined_rated: int = 0
    """Of the declined, those whose buyer said how it was."""
    declined_points: int = 0
    """What these said, added up."""
    discounted: int = 0
    """Of those sold, the ones that cost less than their selling price."""
    costed: int = 0
    """Of those sold, the ones whose products' costs are known, of what they replaced too."""
    costed_net: Decimal = Decimal(0)
    """What the costed ones added, less what of it came back within 30 days."""
    costed_discount_net: Decimal = Decimal(0)
    """The discount given on the costed ones."""
    cost_net: Decimal = Decimal(0)
    """What the costed ones cost the shop: the new units, less the replaced ones. Nothing where
    the whole came back within 30 days."""

    def __add__(self, other: Tally) -> Tally:
        sums = {row.name: getattr(self, row.name) + getattr(other, row.name) for row in _COLUMNS}
        return Tally(**sums)

    @property
    def view_rate(self) -> float | None:
        """Shown, of the eligible. None where there was none."""
        return self.shown / self.eligible if self.eligible else None

    @property
    def acceptance_rate(self) -> Estimate | None:
        """Accepted, of the shown: by unit, never a mean of daily rates. None where none was."""
        return _estimate(self.accepted, self.shown)

    @property
    def decline_rate(self) -> float | None:
        """Declined, of the shown. None where none was."""
        return self.declined / self.shown if self.shown else None

    @property
    def unanswered(self) -> int:
        """Shown, and neither accepted nor declined, or not yet."""
        return self.shown - self.accepted - self.declined

    @property
    def net_revenue(self) -> Decimal:
        """Upsell revenue, less what came back of it within 30 days."""
        return self.revenue_net - self.returned_net

    @property
    def revenue_per_shown(self) -> Decimal | None:
        """Net revenue by shown offer, to four places. None where none was shown."""
        return (self.net_revenue / self.shown).quantize(Decimal("0.0001")) if self.shown else None

    @property
    def satisfaction_accepted(self) -> Estimate | None:
        """Mean score of those who accepted, 1 to 5. None where nobody said."""
        return _mean_score(self.accepted_points, self.accepted_rated)

    @property
    def satisfaction_declined(self) -> Estimate | None:
        """Mean score of those who declined, 1 to 5. None where nobody said."""
        return _mean_score(self.declined_points, self.declined_rated)

    @property
    def profit(self) -> Decimal | None:
        """Net revenue less what the goods cost, of the sold with known costs. None = of no one."""
        return self.costed_net - self.cost_net if self.costed else None

    @property
    def return_on_investment(self) -> Decimal | None:
        """Profit by the discount given for it, to four places. None without either."""
        if self.profit is None or self.costed_discount_net <= 0:
            return None
        return (self.profit / self.costed_discount_net).quantize(Decimal("0.0001"))

    @property
    def discount_share(self) -> Estimate | None:
        """Sold with a discount, of the sold. None where none was."""
        return _estimate(self.discounted, self.sold)

    @property
    def discount_rate(self) -> Decimal | None:
        """Discount given, as a share of the revenue it brought. None where there was no revenue."""
        if self.revenue_net <= 0:
            return None
        return (self.discount_net / self.revenue_net).quantize(Decimal("0.0001"))


def _estimate(hits: int, n: int) -> Estimate | None:
    if not n:
        return None
    rate = Rate(hits=hits, n=n)
    ends = wilson(rate)
    return Estimate(value=rate.value, low=ends.low, high=ends.high)


def _mean_score(points: int, answers: int) -> Estimate | None:
    if not answers:
        return None
    ends = mean_within(points, answers, least=SCORES[0], most=SCORES[-1])
    return Estimate(value=points / answers, low=ends.low, high=ends.high)


_COLUMNS = fields(Tally)
COLUMNS = tuple(row.name for row in _COLUMNS)
COUNTS = tuple(name for name in COLUMNS if not name.endswith("_net"))
FIGURES = ("view_rate", "acceptance_rate", "decline_rate", "unanswered", "net_revenue",
           "revenue_per_shown", "profit", "return_on_investment", "discount_share",
           "discount_rate", "satisfaction_accepted", "satisfaction_declined")  # fmt: skip
