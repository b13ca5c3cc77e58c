"""Qualify, rank, choose. Pure: the same arguments give the same answer."""

from __future__ import annotations

from datetime import datetime, timedelta

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

    Only candidates are looked at: campaigns with a trigger in the occasion, best first.
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
    qualified: list[CampaignSpec] = []
    for spec in index.candidates(view):
        reason = first_refusal(spec, view)
        if reason is None:
            qualified.append(spec)
        else:
            passed_over[spec.id] = reason
    chosen = choose(qualified, view, ask, passed_over)
    return Decision(
        chosen=chosen,
        reason="" if chosen else Reason.NO_MATCH,
        passed_over=passed_over,
        version=index.version,
    )


def choose(
    qualified: list[CampaignSpec],
    view: View,
    ask: Ask,
    passed_over: dict[CampaignId, ReasonCode],
) -> Candidate | None:
    """Return the first of the qualified that can be promised; note why the others lost.

    Asks once for the first sixteen, and once more for the rest only when those are gone.
    """
    chosen: Candidate | None = None
    for batch in (qualified[:FIRST_BATCH], qualified[FIRST_BATCH:]):
        if not batch:
            continue
        if chosen is not None:
            passed_over.update((spec.id, Reason.OUTRANKED) for spec in batch)
            continue
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
