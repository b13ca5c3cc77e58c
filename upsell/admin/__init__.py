"""Staff screens: one module per family; registering happens on import."""

from __future__ import annotations

from upsell.admin import (
    backtests,
    campaigns,
    channels,
    contact_lists,
    decisions,
    desk,
    experiments,
    health,
    journey_runs,
    journeys,
    offers,
    results,
    segments,
    templates,
)

__all__ = [
    "backtests",
    "campaigns",
    "channels",
    "contact_lists",
    "decisions",
    "desk",
    "experiments",
    "health",
    "journey_runs",
    "journeys",
    "offers",
    "results",
    "segments",
    "templates",
]
