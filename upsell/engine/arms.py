"""Running experiments, as a decision reads them: which arm a buyer is in, and what it offers.

A campaign is in at most one running experiment. The index keeps campaigns as they stand; what an
arm changes stands beside it, one campaign for each (campaign, arm).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from upsell.engine.campaigns import CampaignId, CampaignSpec, Exposed, Reason, ReasonCode
from upsell.engine.experiments import PhaseSpec, arm_of
from upsell.engine.rules import View, first_refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmOffer:
    """What one arm offers."""

    campaign: CampaignId | None = None
    """None = nothing of this experiment: the buyer gets what there is besides."""
    instead: CampaignSpec | None = None
    """The campaign as the arm changes it; none = as it stands."""
    copy: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Language to the words that the arm changes, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningExperiment:
    """An experiment in its present phase."""

    id: int
    phase_id: int
    slug: str
    moment: str
    phase: PhaseSpec
    arms: Mapping[str, ArmOffer]
    """By the slugs of the phase's arms."""
    campaigns: frozenset[CampaignId] = field(init=False)
    """Those of any arm."""

    def __post_init__(self) -> None:
        named = {one.campaign for one in self.arms.values()}
        object.__setattr__(self, "campaigns", frozenset(named - {None}))


Running = Mapping[CampaignId, RunningExperiment]
"""Campaign to the experiment that it is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A campaign that passes every check that its arms share, as this buyer would be offered it."""

    spec: CampaignSpec
    """As the buyer's arm changes it."""
    reason: ReasonCode = ""
    """Why the arm does not offer it; empty = it does."""
    exposed: Exposed | None = None
    """The experiment and the arm, where it is in one and the buyer takes part."""


def by_campaign(experiments: list[RunningExperiment]) -> dict[CampaignId, RunningExperiment]:
    """Return each campaign's experiment."""
    return {campaign: one for one in experiments for campaign in one.campaigns}


def enter(spec: CampaignSpec, view: View, running: Running) -> Entrant:
    """Return a campaign as this buyer would be offered it; it passed the checks as it stands.

    Without a key of the buyer, outside the traffic, and for staff who see more than buyers do,
    it is the campaign as it stands, and nothing is noted.
    """
    one = running.get(spec.id)
    unit = view.history.unit
    if one is None or not unit or view.history.staff or one.moment != view.occasion.moment:
        return Entrant(spec=spec)
    arm = arm_of(one.phase, unit)
    if arm is None:
        return Entrant(spec=spec)
    exposed = Exposed(experiment=one.id, phase=one.phase_id, slug=one.slug, arm=arm)
    offer = one.arms[arm]
    if offer.campaign != spec.id:
        return Entrant(spec=spec, reason=Reason.OTHER_ARM, exposed=exposed)
    if offer.instead is None:
        return Entrant(spec=spec, exposed=exposed)
    changed = offer.instead
    return Entrant(spec=changed, reason=first_refusal(changed, view) or "", exposed=exposed)
