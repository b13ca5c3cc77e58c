"""What goes along with an order, as its sales channel's settings and its cross-sells say."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

from upsell import snapshots
from upsell.engine import rules
from upsell.engine.campaigns import History, OfferKind
from upsell.engine.history import Ancillary
from upsell.ports import Occasion

MOST_CAMPAIGNS = 500
"""So many of the best ranked that could be for this order are looked at."""

_MEANT = (rules.status, rules.window, rules.channel, rules.triggered)


def of(order: Occasion | None, *, channel: str, now: datetime) -> Ancillary:
    """Return which products are ancillaries of an order: what goes along with it.

    Those with a tag or category that the sales channel's settings name, and those that a live
    cross-sell offers whose trigger the order meets. Without an order, the first alone.

    Cost: one statement for the version of what is held.
    """
    version = snapshots.current_version()
    terms = snapshots.policy(channel, version)
    products: set[str] = set()
    if order is not None:
        index = snapshots.index(version)
        policy = index.policy(order.channel)
        view = rules.View(order, now=now, history=History(), policy=policy)
        for spec in islice(index.candidates(view), MOST_CAMPAIGNS):
            if spec.kind is OfferKind.CROSS_SELL and not any(ask(spec, view) for ask in _MEANT):
                products.update(rules.product_refs(spec, view))
    return Ancillary(
        tags=terms.ancillary_tags,
        category_refs=terms.ancillary_categories,
        product_refs=frozenset(products),
    )
