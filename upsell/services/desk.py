"""What staff who talk to a buyer need to know of one order, and the link they may send."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import transaction

from upsell import clock, conf, queries, snapshots
from upsell.engine import explain, states
from upsell.engine.campaigns import FINAL_UNLESS, Candidate
from upsell.engine.deciding import expires_at
from upsell.exceptions import NotFound, Refused
from upsell.models import Campaign, Offer, OutboxMessage
from upsell.ports import Occasion
from upsell.queries import Page
from upsell.services import explaining, previewing, recording, replaying
from upsell.services.asking import Ports
from upsell.services.locking import locked, retried
from upsell.services.offering import Draft

LINK = "LINK"
NOTED = "link_sent"
ONE_ADDRESS = re.compile(r"""[^\s@,;:<>()\[\]\\"\x00-\x20\x7f]+@[^\s@,;:<>()\\"\x00-\x20\x7f]+""")
"""One address and nothing else: a shop that hands on more must not make us write to strangers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTheDesk:
    """One order, and what its buyer is offered, was offered, or why nothing."""

    occasion: Occasion
    page: Page | None = None
    """The offer: as it was made, or as it would be made now; none where there is none."""
    campaign: Campaign | None = None
    made: bool = False
    """The offer is there. Else nobody has looked yet, and nothing of it is written."""
    codes: tuple[str, ...] = ()
    """Why nothing: the order's reason, then each campaign's, the highest rank first."""
    not_sent: str = ""
    """Why the link cannot be sent now; empty where it can."""


def look(*, order_ref: str, now: datetime) -> AtTheDesk:
    """Return what an order is offered now and why, or why nothing. Writes nothing at all.

    What was decided stands: a declined offer stays declined, and no offer stays none. Only an
    order that nobody has looked at yet, or that is decided again, is asked about anew.

    Raises:
        NotFound: The shop does not know the order.
    """
    occasion = snapshots.gather(order_ref)
    page = queries.page_for(occasion.ref)
    decision = page.decision if page else None
    if page is not None and page.offer is not None:
        return AtTheDesk(
            occasion=occasion,
            page=page,
            campaign=Campaign.objects.get(pk=page.offer.campaign_id),
            made=True,
            not_sent=_not_sent(page.offer, occasion, now=now),
        )
    if decision is not None and decision.reason not in FINAL_UNLESS:
        codes = (decision.reason, *(str(code) for _pk, code in decision.candidates))
        return AtTheDesk(occasion=occasion, codes=codes)
    return _would_be(occasion, now=now)


def _would_be(occasion: Occasion, *, now: datetime) -> AtTheDesk:
    """Decide as the confirmation would, and keep nothing of it."""
    ports = Ports(shop=conf.shop(), occasion=occasion, now=now, products={}, availability={})
    policy = replaying.policy_of(occasion.channel)
    told = explain(
        occasion,
        snapshots.all_specs(),
        now=now,
        ask=ports.ask,
        history=explaining.history_of(occasion, now),
        policy=policy,
    )
    codes = (str(told.reason), *(str(verdict.reason) for verdict in told.verdicts))
    won = None if told.reason else next((v for v in told.verdicts if v.candidate), None)
    if won is None or won.candidate is None:
        return AtTheDesk(occasion=occasion, codes=codes)
    refusal = _refused(won.candidate, occasion, ports)
    if refusal:
        return AtTheDesk(occasion=occasion, codes=(refusal,))
    campaign = Campaign.objects.prefetch_related("copies").get(pk=won.campaign.id)
    until = expires_at(occasion, policy)
    page = previewing.page_of(campaign, won.candidate, occasion, ports, now=now, until=until)
    return AtTheDesk(occasion=occasion, page=page, campaign=campaign, not_sent="not_made")


def _refused(candidate: Candidate, occasion: Occasion, ports: Ports) -> str:
    try:
        quote = conf.shop().quote(Draft.of(candidate, occasion, ports).change)
    except NotFound:
        return "product_unavailable"
    except Refused as refused:
        return refused.reason
    return "" if quote.available else quote.reason or "product_unavailable"


def send_link(*, offer_id: int, actor: str) -> str:
    """Have the buyer mailed the link to an open offer, once; note who had it done.

    It goes to the order's own address and to no other. The caller has seen that the buyer asked
    for it: that is what makes it no advertisement.

    Args:
        actor: Who pressed the button, ``staff:`` and their number.

    Returns:
        Why it was not sent; empty where it will be.
    """
    offer = Offer.objects.get(pk=offer_id)
    try:
        occasion = snapshots.gather(offer.order_ref or offer.occasion_ref)
    except NotFound:
        return "not_open"
    return retried(partial(_sent, offer_id, occasion, actor))


def _sent(offer_id: int, occasion: Occasion, actor: str) -> str:
    with transaction.atomic(durable=True):
        offer = locked(pk=offer_id)
        now = clock.database_now()
        refusal = _not_sent(offer, occasion, now=now)
        if refusal:
            return refusal
        recording.enqueue(offer, [LINK], now=now)
        recording.append([recording.event(offer, NOTED, at=now, actor=actor, reason="asked_for")])
        return ""


def _not_sent(offer: Offer, occasion: Occasion, *, now: datetime) -> str:
    if OutboxMessage.objects.filter(offer=offer, kind=LINK).exists():
        return "already_sent"
    if offer.trial:
        return "trial"
    if not is_answerable(offer, now=now):
        return "not_open"
    if snapshots.gone(occasion) or occasion.released:
        return "not_open"
    if not ONE_ADDRESS.fullmatch(occasion.customer.email.strip()):
        return "no_address"
    return "" if conf.get("UPSELL_BASE_URL") else "no_base"


def is_answerable(offer: Offer, *, now: datetime) -> bool:
    """Whether a buyer can still say yes: what a link to it is good for."""
    return (
        offer.state in states.UNANSWERED
        and offer.expires_at > now
        and offer.revoke_requested_at is None
        and snapshots.policy(offer.channel).enabled
    )
