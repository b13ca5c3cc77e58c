"""Why an order was offered that, or nothing: the engine's own answer for every campaign."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from upsell import clock, conf, queries, snapshots
from upsell.engine import explain
from upsell.engine.campaigns import ChannelPolicy, Explanation, History
from upsell.models import Decision
from upsell.ports import Occasion
from upsell.services.offering import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """An order, what was decided for it, and what every campaign says to it."""

    occasion: Occasion
    decision: Decision | None
    """What stands; none where nobody has asked yet."""
    at: datetime
    """The time that windows were read at."""
    explanation: Explanation


def explain_order(*, order_ref: str, at: datetime | None = None) -> Explained:
    """Ask every campaign about an order. Writes nothing, and costs what it costs.

    Stock, prices and campaigns are today's; windows are read at ``at``, which is the time of
    the decision where none is given.

    Raises:
        NotFound: The shop does not know the order.
    """
    occasion = snapshots.gather(order_ref)
    page = queries.page_for(occasion.ref)
    decision = page.decision if page else None
    told = at or (decision.at if decision else clock.now())
    terms = snapshots.policy(occasion.channel)
    _version, seen = queries.version_and_seen(snapshots.customer_keys(occasion.customer))
    ports = Ports(shop=conf.shop(), occasion=occasion, now=told, products={}, availability={})
    explanation = explain(
        occasion,
        snapshots.all_specs(),
        now=told,
        ask=ports.ask,
        # What this very order was offered must not rule it out when asking again.
        history=History(seen={pk: when for pk, when in seen.items() if when < told}),
        policy=ChannelPolicy(
            enabled=terms.enabled,
            validity=terms.validity,
            allow_recurring=bool(conf.get("UPSELL_ALLOW_RECURRING")),
        ),
    )
    return Explained(occasion=occasion, decision=decision, at=told, explanation=explanation)
