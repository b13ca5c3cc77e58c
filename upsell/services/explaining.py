"""Why an order was offered that, or nothing: the engine's own answer for every campaign."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from upsell import clock, conf, queries, snapshots
from upsell.engine import explain
from upsell.engine.arms import by_campaign
from upsell.engine.campaigns import CampaignSpec, Explanation, History
from upsell.engine.deciding import gate
from upsell.models import Decision
from upsell.ports import Occasion
from upsell.services import replaying
from upsell.services.asking import Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """An order, what was decided for it, and what every campaign says to it."""

    occasion: Occasion
    decision: Decision | None
    """What stands; none where nobody has asked yet, and in a simulation."""
    at: datetime
    """The time that windows were read at."""
    explanation: Explanation
    simulated: bool = False
    held_back: str = ""
    """Simulations only: why in truth the order would be offered nothing at that time."""


def explain_order(*, order_ref: str, at: datetime | None = None) -> Explained:
    """Ask every campaign about an order. Writes nothing, and costs what it costs.

    Stock, prices and campaigns are today's; windows are read at ``at``, which is the time of
    the decision where none is given. Purchases and offers seen from then on do not count.

    Raises:
        NotFound: The shop does not know the order.
    """
    occasion = snapshots.gather(order_ref)
    page = queries.page_for(occasion.ref)
    decision = page.decision if page else None
    told = at or (decision.at if decision else clock.now())
    explanation = _explained(occasion, snapshots.all_specs(), history_of(occasion, told), at=told)
    return Explained(occasion=occasion, decision=decision, at=told, explanation=explanation)


def simulate(
    *, order_ref: str, at: datetime | None = None, drafts: Collection[int] = ()
) -> Explained:
    """Ask every campaign about an order as it was placed, at a time, with drafts as if live.

    Writes nothing. Stock, prices and campaigns are today's. What became of the order since is
    left out of account: that its time to answer is over, that it was sent, cancelled, refunded
    or changed by an offer. What of it would in truth end the matter is in ``held_back``.

    Args:
        order_ref: A placed order.
        at: The time of the simulation; when its checkout was completed if none is given.
        drafts: Campaigns that are taken as if they were live, whatever their schedule.

    Raises:
        NotFound: The shop does not know the order.
    """
    real = snapshots.gather(order_ref)
    told = at or real.checkout_completed_at or real.placed_at or clock.now()
    history = history_of(real, told)
    placed = replaying.as_placed(real, replaying.accepted_by([real.ref]).get(real.ref, ()))
    asked = replace(placed, checkout_completed_at=told, placed_at=told)
    specs = replaying.as_if_live(snapshots.all_specs(), drafts)
    refusal = gate(real, replaying.policy_of(real.channel), now=told, history=history)
    return Explained(
        occasion=placed,
        decision=None,
        at=told,
        explanation=_explained(asked, specs, history, at=told),
        simulated=True,
        held_back=refusal or "",
    )


def history_of(occasion: Occasion, at: datetime) -> History:
    """What the buyer was shown before: what this very order was offered came later."""
    keys = snapshots.customer_keys(occasion.customer)
    seen: dict[int, datetime] = {}
    for shown in queries.seen_before(keys, at).values():
        for campaign_id, when in shown.items():
            seen[campaign_id] = max(when, seen.get(campaign_id, when))
    return History(seen=seen, unit=queries.oldest_key(keys))


def _explained(
    occasion: Occasion, specs: Iterable[CampaignSpec], history: History, *, at: datetime
) -> Explanation:
    ports = Ports(shop=conf.shop(), occasion=occasion, now=at, products={}, availability={})
    return explain(
        occasion,
        specs,
        now=at,
        ask=replaying.ask_as_of(ports, at),
        history=history,
        policy=replaying.policy_of(occasion.channel),
        running=by_campaign(snapshots.running_experiments()),
        selection=snapshots.selections().get(str(occasion.moment)),
    )
