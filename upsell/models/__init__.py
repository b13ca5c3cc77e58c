"""Rows. What a host may rely on is in ports, hooks, signals and exceptions, not here."""

from __future__ import annotations

from upsell.models.backfill import Backfill
from upsell.models.backtest import BacktestRun
from upsell.models.campaign import (
    Campaign,
    CampaignCopy,
    CampaignExclusion,
    CampaignRevision,
    CampaignSet,
    CampaignTrigger,
)
from upsell.models.channel import ChannelAccess, ChannelSettings
from upsell.models.consent import Consent, MessageEvent, Reachability, Suppression
from upsell.models.contact_list import ListMember
from upsell.models.decision import Decision
from upsell.models.event import OfferEvent
from upsell.models.experiment import Arm, Belief, Experiment, Exposure, KeyLink, Look, Phase
from upsell.models.inbox import EventInbox
from upsell.models.journey import (
    EntryRefused,
    GoalHit,
    Journey,
    JourneyRun,
    JourneyStep,
    JourneyVersion,
    Listener,
    StepLog,
)
from upsell.models.measure import (
    Alarm,
    DailyMetric,
    DecisionCount,
    OrderFact,
    OrderLineFact,
    OrderNote,
    Progress,
    ShopNumber,
)
from upsell.models.message import OutboxMessage
from upsell.models.offer import Desk, Offer, OfferLink, OfferQuote
from upsell.models.payment import Acceptance, Attempt, Refund
from upsell.models.provider import GatewayEvent, GatewayHealth, Heartbeat
from upsell.models.segment import Segment
from upsell.models.template import MessageTemplate, TemplateVersion

__all__ = [
    "Acceptance",
    "Alarm",
    "Arm",
    "Attempt",
    "Backfill",
    "BacktestRun",
    "Belief",
    "Campaign",
    "CampaignCopy",
    "CampaignExclusion",
    "CampaignRevision",
    "CampaignSet",
    "CampaignTrigger",
    "ChannelAccess",
    "ChannelSettings",
    "Consent",
    "DailyMetric",
    "Decision",
    "DecisionCount",
    "Desk",
    "EntryRefused",
    "EventInbox",
    "Experiment",
    "Exposure",
    "GatewayEvent",
    "GatewayHealth",
    "GoalHit",
    "Heartbeat",
    "Journey",
    "JourneyRun",
    "JourneyStep",
    "JourneyVersion",
    "KeyLink",
    "ListMember",
    "Listener",
    "Look",
    "MessageEvent",
    "MessageTemplate",
    "Offer",
    "OfferEvent",
    "OfferLink",
    "OfferQuote",
    "OrderFact",
    "OrderLineFact",
    "OrderNote",
    "OutboxMessage",
    "Phase",
    "Progress",
    "Reachability",
    "Refund",
    "Segment",
    "ShopNumber",
    "StepLog",
    "Suppression",
    "TemplateVersion",
]
