"""Offers as they would stand after a life of their own, written straight into the tables."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from decimal import Decimal

from upsell.models import Acceptance, Attempt, Campaign, Offer, OfferEvent, OfferQuote

ANSWERED = {"ACCEPTED", "REVERSED", "DECLINED"}


def a_campaign(slug: str = "add") -> Campaign:
    """Return a campaign by its slug, made where it is not there."""
    found = Campaign.objects.filter(slug=slug).first()
    return found or Campaign.objects.create(
        name=slug.title(), slug=slug, status="LIVE", kind="CROSS_SELL", product_ref="1",
        channels=["web"],
    )  # fmt: skip


def lived(
    state: str,
    *,
    made: datetime,
    after: timedelta = timedelta(minutes=2),
    line: str = "20.00",
    credit: str = "0",
    discount: str = "0",
    returned: str = "0",
    back_after: timedelta | None = None,
    undo: bool = False,
    of: Campaign | None = None,
    channel: str = "web",
    moment: str = "post_purchase",
    arm: str = "",
    currency: str = "EUR",
    shown: bool = True,
    trial: bool = False,
    score: int | None = None,
    cost: str | None = None,
    replaced_cost: str | None = "0",
) -> Offer:
    """Write an offer, answered ``after`` it was made, with the log of what happened to it."""
    ref = uuid.uuid4().hex
    answered_at = made + after if state in ANSWERED else None
    offer = Offer.objects.create(
        moment=moment, occasion_ref=ref, order_ref=ref, campaign=of or a_campaign(), arm=arm,
        state=state, kind="CROSS_SELL", product_ref="1", currency=currency, unit_net=line,
        unit_gross=line, discount_net=discount, channel=channel, trial=trial, created_at=made,
        first_shown_at=made if shown else None, responded_at=answered_at,
        expires_at=made + timedelta(days=3), closed_at=answered_at,
        satisfaction=score,
    )  # fmt: skip
    for number, net in ((1, "999.00"), (2, line)):  # the first figures were not those agreed to
        quote = OfferQuote.objects.create(
            offer=offer, number=number, at=made, currency=currency, line_net=net, line_gross=net,
            credit_net=credit, credit_gross=credit, due_net=Decimal(net) - Decimal(credit),
            due_gross=max(Decimal(net) - Decimal(credit), Decimal(0)), collection="CHARGE_SAVED",
        )  # fmt: skip
    Offer.objects.filter(pk=offer.pk).update(quote_number=2)
    log = [("created", made, "")]
    if state in {"ACCEPTED", "REVERSED"}:
        back_at = answered_at + (back_after or timedelta(minutes=5))
        attempt = Attempt.objects.create(
            offer=offer, number=1, key=ref, quote=quote, state="APPLIED", currency=currency,
            amount=quote.due_gross, started_at=answered_at,
        )  # fmt: skip
        Acceptance.objects.create(
            offer=offer, quote=quote, attempt=attempt, at=answered_at, line_ref="1",
            undo_until=answered_at + timedelta(minutes=30), total_before_net=0,
            total_before_gross=0, total_after_net=0, total_after_gross=0, returned_net=returned,
            cost_net=cost, replaced_cost_net=replaced_cost,
            reversed_at=back_at if state == "REVERSED" else None,
        )  # fmt: skip
        log.append(("accepted", answered_at, ""))
        if state == "REVERSED":
            log.append(("reversed", back_at, "customer_undo" if undo else "order_cancelled"))
    elif answered_at is not None:
        log.append((state.lower(), answered_at, ""))
    OfferEvent.objects.bulk_create(
        OfferEvent(offer=offer, kind=kind, at=at, reason=reason) for kind, at, reason in log
    )
    return offer
