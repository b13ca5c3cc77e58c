"""The same answer as ``decide``, with a reason for every campaign there is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from upsell.engine.arms import Entrant, Running, enter
from upsell.engine.campaigns import (
    Ask,
    CampaignId,
    CampaignSpec,
    Candidate,
    ChannelPolicy,
    Explanation,
    History,
    Reason,
    ReasonCode,
    Verdict,
)
from upsell.engine.deciding import gate, is_kept_back
from upsell.engine.index import rank
from upsell.engine.rules import View, all_refusals, evaluate, wanted
from upsell.engine.selecting import Selection, arranged
from upsell.engine.types import Occasion


def explain(
    occasion: Occasion,
    campaigns: Iterable[CampaignSpec],
    *,
    now: datetime,
    ask: Ask,
    history: History = History(),  # noqa: B008
    policy: ChannelPolicy = ChannelPolicy(),  # noqa: B008
    running: Running | None = None,
    selection: Selection | None = None,
) -> Explanation:
    """Return every campaign in rank order with the first check it fails, and the rest of them.

    A campaign that could have been offered but stands below the winner is ``outranked``.
    It costs what it costs: every campaign is looked at, and one question asked for all.

    Args:
        occasion: As for ``decide``, like all that is not named here.
        campaigns: All of them, also those that are off.
        now: When the offer would be made.
        ask: Called at most once.
        history: What our own tables know.
        policy: What holds for the sales channel.
        running: The experiments that run.
        selection: How equals are told apart at this moment; none = by rank.
    """
    specs = sorted(campaigns, key=rank)
    refusal = gate(occasion, policy, now=now, history=history)
    if refusal is None and not specs:
        refusal = Reason.NO_CAMPAIGN
    held_out = is_kept_back(policy, history)
    if held_out:
        history = replace(history, unit="")
    view = View(occasion, now=now, history=history, policy=policy)
    failed = {spec.id: all_refusals(spec, view) for spec in specs}
    entrants = [enter(spec, view, running or {}) for spec in specs if not failed[spec.id]]
    wants = [want for one in entrants if not one.reason for want in wanted(one.spec, view)]
    answers = ask(list(dict.fromkeys(wants))) if wants and refusal is None else None
    outcomes: dict[CampaignId, Candidate | ReasonCode] = {}
    won = False
    for one in _in_turn(entrants, selection, view):
        outcome: Candidate | ReasonCode = one.reason
        if not outcome and answers is None:
            outcome = refusal or Reason.PRODUCT_UNAVAILABLE
        elif not outcome and answers is not None:
            outcome = evaluate(one.spec, view, answers)
        if isinstance(outcome, Candidate) and won:
            outcome = Reason.OUTRANKED
        won = won or isinstance(outcome, Candidate)
        outcomes[one.spec.id] = outcome
    verdicts = tuple(_verdict(spec, failed[spec.id], outcomes.get(spec.id, "")) for spec in specs)
    if refusal is not None:
        return Explanation(reason=refusal, verdicts=verdicts)
    return Explanation(
        reason="" if won else Reason.NO_MATCH, verdicts=verdicts, held_out=held_out and won
    )


def _in_turn(entrants: list[Entrant], selection: Selection | None, view: View) -> list[Entrant]:
    """Return campaigns in the order in which they are tried."""
    if selection is None or not entrants:
        return entrants
    equals = [one for one in entrants if one.spec.priority == entrants[0].spec.priority]
    return arranged(equals, selection, view)[0] + entrants[len(equals) :]


def _verdict(spec: CampaignSpec, failed: list[Reason], outcome: Candidate | ReasonCode) -> Verdict:
    if failed:
        return Verdict(campaign=spec, reason=failed[0], also=tuple(failed[1:]))
    if isinstance(outcome, Candidate):
        return Verdict(campaign=spec, reason="", candidate=outcome)
    return Verdict(campaign=spec, reason=outcome)
