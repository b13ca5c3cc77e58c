"""Rows. What a host may rely on is in ports, hooks, signals and exceptions, not here."""

from __future__ import annotations

from upsell.models.campaign import (
    Campaign,
    CampaignCopy,
    CampaignExclusion,
    CampaignRevision,
    CampaignSet,
    CampaignTrigger,
)
from upsell.models.channel import ChannelAccess, ChannelSettings
from upsell.models.decision import Decision
from upsell.models.event import OfferEvent
from upsell.models.message import OutboxMessage
from upsell.models.offer import Offer, OfferQuote
from upsell.models.payment import Acceptance, Attempt, Refund
from upsell.models.provider import GatewayEvent, GatewayHealth

__all__ = [
    "Acceptance",
    "Attempt",
    "Campaign",
    "CampaignCopy",
    "CampaignExclusion",
    "CampaignRevision",
    "CampaignSet",
    "CampaignTrigger",
    "ChannelAccess",
    "ChannelSettings",
    "Decision",
    "GatewayEvent",
    "GatewayHealth",
    "Offer",
    "OfferEvent",
    "OfferQuote",
    "OutboxMessage",
    "Refund",
]
