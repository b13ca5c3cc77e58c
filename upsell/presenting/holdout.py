"""What offers really earn, in words: measured against buyers who are offered nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _

from upsell.engine.aggregates import Sums
from upsell.engine.stats import Comparison
from upsell.presenting.mails import shown_money
from upsell.presenting.results import number

_PLACES = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One currency's comparison, readable."""

    currency: str
    headline: str
    """One sentence that says what may be concluded, and no more."""
    rows: tuple[tuple[str, str, str], ...]
    """What, for the buyers who may be offered something, for the holdout."""


def in_words(
    currency: str, treated: Sums, held: Sums, total: Comparison | None, fewest: int
) -> Words:
    """Say what was earned in all, with its interval, or how many buyers are missing.

    Args:
        currency: Of all amounts.
        treated: Net revenue of the buyers who may be offered something.
        held: That of the holdout.
        total: The difference of the means times the treated buyers; none = too few.
        fewest: How many are needed on either side.
    """
    return Words(
        currency=currency,
        headline=_headline(currency, treated, held, total, fewest),
        rows=(
            (_("Buyers"), number(treated.n), number(held.n)),
            (_("Net revenue per buyer"), _money(treated.mean, currency),
             _money(held.mean, currency)),
        ),
    )  # fmt: skip


def _headline(
    currency: str, treated: Sums, held: Sums, total: Comparison | None, fewest: int
) -> str:
    if total is None:
        told = {"n": number(min(treated.n, held.n)), "needed": number(fewest)}
        return _("Not enough data yet: %(n)s buyers on the smaller side, of %(needed)s.") % told
    if not math.isfinite(total.interval.low):
        return _("Not enough data yet: nothing differs.")
    low, high = total.interval.low, total.interval.high
    told = {
        "sum": _money(abs(total.difference), currency),
        "low": _money(low, currency),
        "high": _money(high, currency),
    }
    if low > 0:
        text = _("Offers brought %(sum)s more than nothing would have: surely between %(low)s "
                 "and %(high)s.")  # fmt: skip
    elif high < 0:
        text = _("Offers cost %(sum)s: without them buyers would have ordered more. Between "
                 "%(low)s and %(high)s.")  # fmt: skip
    else:
        text = _("Whether offers bring anything cannot be told yet: somewhere between %(low)s and "
                 "%(high)s.")  # fmt: skip
    return text % told


def _money(value: float, currency: str) -> str:
    """Say an estimate as money; it is no amount that anybody pays."""
    return shown_money(Decimal(str(value)).quantize(_PLACES), currency)
