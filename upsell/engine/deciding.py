"""Qualify, rank, choose. Pure: the same arguments give the same answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, islice

from upsell.engine.arms import Entrant, enter
from upsell.engine.campaigns import (
    Answers,
    Ask,
    By,
    CampaignId,
    Candidate,
    ChannelPolicy,
    Decision,
    Drawn,
    Exposed,
    History,
    Reason,
    ReasonCode,
)
from upsell.engine.experiments import is_held_out
from upsell.engine.index import CampaignIndex
from upsell.engine.rules import View, evaluate, first_refusal, wanted
from upsell.engine.selecting import Selection, arranged, propensity
from upsell.engine.types import Occasion

FIRST_BATCH = 16
SHORTEST, LONGEST = timedelta(minutes=5), timedelta(minutes=120)
LEAST_LEFT = timedelta(seconds=60)
"""With less left at the first look, nothing is offered."""

_REFUSALS = (
    Reason.DISABLED,
    Reason.ALREADY_HAS_OFFER,
    Reason.ORDER_CANCELLED,
    Reason.ORDER_REFUNDED,
    Reason.ORDER_TEST,
    Reason.ORDER_DRAFT,
    Reason.ORDER_RENEWAL,
    Reason.PAYMENT_FAILED,
)
"""In the order of ``gate``'s questions."""


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
    refused = (
        not policy.enabled,
        history.has_offer,
        occasion.cancelled,
        occasion.closed_reason == "refunded",
        occasion.is_test and not history.staff,
        occasion.is_draft,
        occasion.is_renewal,
        occasion.payment_failed,
    )
    if True in refused:
        return _REFUSALS[refused.index(True)]
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
    held_out = is_kept_back(policy, history)
    if held_out:
        history = replace(history, unit="")  # who is offered nothing is in no experiment
    view = View(occasion, now=now, history=history, policy=policy)
    passed_over: dict[CampaignId, ReasonCode] = {}
    qualified = _qualified(index, view, passed_over)
    selection = index.selections.get(occasion.moment)
    won, exposed = _Won(), list[Exposed]()
    if selection is not None:
        equals, qualified = _equals(qualified)
        won = _choose_equal(equals, selection, view, ask, passed_over, exposed)
    batch = list(islice(qualified, FIRST_BATCH))
    while batch and won.candidate is None:
        won = _choose(batch, view, ask, passed_over, exposed)
        batch = list(qualified) if won.candidate is None else []
    for one in batch:
        passed_over[one.spec.id] = one.reason or Reason.OUTRANKED
    return Decision(
        chosen=won.candidate,
        reason="" if won.candidate else Reason.NO_MATCH,
        passed_over=passed_over,
        version=index.version,
        held_out=held_out and won.candidate is not None,
        exposed=tuple(dict.fromkeys(exposed)),
        arm=won.arm,
        drawn=won.drawn,
    )


def is_kept_back(policy: ChannelPolicy, history: History) -> bool:
    """Say whether this buyer belongs to the sales channel's holdout. Never staff who try."""
    if not policy.holdout or not history.unit or history.staff:
        return False
    return is_held_out(history.unit, holdout=policy.holdout, salt=policy.holdout_salt)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Won:
    """Who won among some candidates, if anybody did."""

    candidate: Candidate | None = None
    arm: str = ""
    drawn: Drawn | None = None


def _qualified(
    index: CampaignIndex, view: View, passed_over: dict[CampaignId, ReasonCode]
) -> Iterator[Entrant]:
    """Yield the candidates that pass every check before asking; note why the others do not."""
    running = index.running
    for spec in index.candidates(view):
        reason = first_refusal(spec, view)
        if reason is None:
            yield enter(spec, view, running) if running else Entrant(spec=spec)
        else:
            passed_over[spec.id] = reason


def _equals(qualified: Iterator[Entrant]) -> tuple[list[Entrant], Iterator[Entrant]]:
    """Take those of the highest priority; return them, and the rest."""
    equals: list[Entrant] = []
    for one in qualified:
        if equals and one.spec.priority != equals[0].spec.priority:
            return equals, chain((one,), qualified)
        equals.append(one)
    return equals, iter(())


def _choose_equal(
    equals: list[Entrant],
    selection: Selection,
    view: View,
    ask: Ask,
    passed_over: dict[CampaignId, ReasonCode],
    exposed: list[Exposed],
) -> _Won:
    """Return the first of equals that can be promised, in the order the selection gives them."""
    if not equals:
        return _Won()
    ranked, drawn = arranged(equals, selection, view)
    won = _choose(ranked, view, ask, passed_over, exposed, all_of_them=True)
    if won.candidate is None:
        return won
    winner = won.candidate.campaign.id
    if selection.by is By.LEARNED and winner in drawn.candidates:
        could = [key for key in drawn.candidates if passed_over.get(key, _COULD) == _COULD]
        drawn = replace(drawn, propensity=propensity(selection, could, winner))
    return replace(won, drawn=drawn)


_COULD = Reason.OUTRANKED
_NOTHING = Answers()


def _choose(
    batch: list[Entrant],
    view: View,
    ask: Ask,
    passed_over: dict[CampaignId, ReasonCode],
    exposed: list[Exposed],
    *,
    all_of_them: bool = False,
) -> _Won:
    """Return the first of the batch that can be promised; note why the others lost.

    With ``all_of_them`` also those below the winner are tried, to know which could be had.
    """
    won = _Won()
    wants = [want for one in batch if not one.reason for want in wanted(one.spec, view)]
    answers = ask(list(dict.fromkeys(wants))) if any(not one.reason for one in batch) else _NOTHING
    for one in batch:
        spec = one.spec
        if won.candidate is not None and not all_of_them:
            passed_over[spec.id] = one.reason or Reason.OUTRANKED
            continue
        if won.candidate is None and one.exposed is not None:
            exposed.append(one.exposed)
        outcome = one.reason or evaluate(spec, view, answers)
        if not isinstance(outcome, Candidate):
            passed_over[spec.id] = outcome
        elif won.candidate is None:
            won = _Won(candidate=outcome, arm=one.exposed.label if one.exposed else "")
        else:
            passed_over[spec.id] = Reason.OUTRANKED
    return won
