"""Qualify, rank, choose. Pure: the same arguments give the same answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from upsell.engine.campaigns import (
    Ask,
    CampaignId,
    CampaignSpec,
    Candidate,
    ChannelPolicy,
    Decision,
    History,
    Reason,
    ReasonCode,
)
from upsell.engine.index import CampaignIndex
from upsell.engine.rules import View, evaluate, first_refusal, wanted
from upsell.engine.types import Occasion

FIRST_BATCH = 16
SHORTEST, LONGEST = timedelta(minutes=5), timedelta(minutes=120)
LEAST_LEFT = timedelta(seconds=60)
"""With less left at the first look, nothing is offered."""


def expires_at(occasion: Occasion, policy: ChannelPolicy) -> datetime:
    """Return when an offer for this order ends; that instant is no longer part of its life.

    Raises:
        ValueError: The order says neither when checkout was completed nor when it was placed.
    """
    start = occasion.checkout_completed_at or occasion.placed_at
    if start is None:
        raise ValueError(f"order {occasion.ref} has no time of checkout")
    return start + min(max(policy.validity, SHORTEST), LONGEST)


def gate(
    occasion: Occasion, policy: ChannelPolicy, *, now: datetime, history: History
) -> Reason | None:
    """Return why this order is offered nothing at all, whatever the campaigns."""
    refusals = (
        (not policy.enabled, Reason.DISABLED),
        (history.has_offer, Reason.ALREADY_HAS_OFFER),
        (occasion.cancelled, Reason.ORDER_CANCELLED),
        (occasion.closed_reason == "refunded", Reason.ORDER_REFUNDED),
        (occasion.is_test and not history.staff, Reason.ORDER_TEST),
        (occasion.is_draft, Reason.ORDER_DRAFT),
        (occasion.is_renewal, Reason.ORDER_RENEWAL),
        (occasion.payment_failed, Reason.PAYMENT_FAILED),
    )
    for refused, reason in refusals:
        if refused:
            return reason
    if expires_at(occasion, policy) - now < LEAST_LEFT:
        return Reason.WINDOW_CLOSED
    if occasion.released or occasion.closed_reason:
        return Reason.ORDER_RELEASED
    return None


def decide(
    occasion: Occasion,
    index: CampaignIndex,
    *,
    now: datetime,
    ask: Ask,
    history: History = History(),  # noqa: B008
) -> Decision:
    """Return the best campaign for this occasion, and why each candidate lost.

    Only candidates are looked at: campaigns with a trigger in the occasion, best first, and
    none below the sixteen among which the winner was found.
    ``explain`` gives a reason for every campaign and names the same winner.

    Args:
        occasion: What was bought, by whom, where.
        index: The compiled campaigns.
        now: When the offer would be made; windows are read at it, both ends included.
        ask: The only way out: products, availability, purchases and collection for the
            first 16 candidates, then for the rest. Not called without candidates.
        history: What our own tables know.

    Cost: proportional to the candidates, not to the campaigns.
    """
    policy = index.policy(occasion.channel)
    refusal = gate(occasion, policy, now=now, history=history)
    if refusal is None and not len(index):
        refusal = Reason.NO_CAMPAIGN
    if refusal is not None:
        return Decision(reason=refusal, version=index.version)
    view = View.of(occasion, now=now, history=history, policy=policy)
    passed_over: dict[CampaignId, ReasonCode] = {}
    qualified = _qualified(index, view, passed_over)
    chosen: Candidate | None = None
    batch = list(islice(qualified, FIRST_BATCH))
    while batch and chosen is None:
        chosen = _choose(batch, view, ask, passed_over)
        batch = list(qualified) if chosen is None else []
    return Decision(
        chosen=chosen,
        reason="" if chosen else Reason.NO_MATCH,
        passed_over=passed_over,
        version=index.version,
    )


def _qualified(
    index: CampaignIndex, view: View, passed_over: dict[CampaignId, ReasonCode]
) -> Iterator[CampaignSpec]:
    """Yield the candidates that pass every check before asking; note why the others do not."""
    for spec in index.candidates(view):
        reason = first_refusal(spec, view)
        if reason is None:
            yield spec
        else:
            passed_over[spec.id] = reason


def _choose(
    batch: list[CampaignSpec],
    view: View,
    ask: Ask,
    passed_over: dict[CampaignId, ReasonCode],
) -> Candidate | None:
    """Return the first of the batch that can be promised; note why the others lost."""
    chosen: Candidate | None = None
    answers = ask(list(dict.fromkeys(want for spec in batch for want in wanted(spec, view))))
    for spec in batch:
        if chosen is not None:
            passed_over[spec.id] = Reason.OUTRANKED
            continue
        outcome = evaluate(spec, view, answers)
        if isinstance(outcome, Candidate):
            chosen = outcome
        else:
            passed_over[spec.id] = outcome
    return chosen
