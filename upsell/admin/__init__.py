"""Staff screens: one module per family; registering happens on import."""

from __future__ import annotations

from upsell.admin import (
    backtests,
    campaigns,
    channels,
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
