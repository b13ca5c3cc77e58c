"""The same answer as ``decide``, with a reason for every campaign there is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from upsell.engine.campaigns import (
    Ask,
    CampaignSpec,
    Candidate,
    ChannelPolicy,
    Explanation,
    History,
    Reason,
    ReasonCode,
    Verdict,
)
from upsell.engine.deciding import gate
from upsell.engine.index import rank
from upsell.engine.rules import View, all_refusals, evaluate, wanted
from upsell.engine.types import Occasion


def explain(
    occasion: Occasion,
    campaigns: Iterable[CampaignSpec],
    *,
    now: datetime,
    ask: Ask,
    history: History = History(),  # noqa: B008
    policy: ChannelPolicy = ChannelPolicy(),  # noqa: B008
) -> Explanation:
    """Return every campaign in rank order with the first check it fails, and the rest of them.

    A campaign that could have been offered but stands below the winner is ``outranked``.
    It costs what it costs: every campaign is looked at, and one question asked for all.
    """
    specs = sorted(campaigns, key=rank)
    refusal = gate(occasion, policy, now=now, history=history)
    if refusal is None and not specs:
        refusal = Reason.NO_CAMPAIGN
    view = View.of(occasion, now=now, history=history, policy=policy)
    failed = {spec.id: all_refusals(spec, view) for spec in specs}
    qualified = [spec for spec in specs if not failed[spec.id]]
    wants = list(dict.fromkeys(want for spec in qualified for want in wanted(spec, view)))
    answers = ask(wants) if wants and refusal is None else None
    verdicts: list[Verdict] = []
    won = False
    for spec in specs:
        candidate: Candidate | None = None
        reason: ReasonCode = ""
        if failed[spec.id]:
            reason = failed[spec.id][0]
        elif answers is None:
            reason = refusal or Reason.PRODUCT_UNAVAILABLE
        else:
            outcome = evaluate(spec, view, answers)
            if not isinstance(outcome, Candidate):
                reason = outcome
            elif won:
                reason = Reason.OUTRANKED
            else:
                candidate, won = outcome, True
        verdicts.append(
            Verdict(
                campaign=spec,
                reason=reason,
                also=tuple(failed[spec.id][1:]),
                candidate=candidate,
            )
        )
    if refusal is not None:
        return Explanation(reason=refusal, verdicts=tuple(verdicts))
    return Explanation(reason="" if won else Reason.NO_MATCH, verdicts=tuple(verdicts))
