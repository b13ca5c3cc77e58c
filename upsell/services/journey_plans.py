"""Published versions, read once in a process: they never change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any

from upsell.engine.journeys.definition import Definition, Kind, Step
from upsell.engine.journeys.reading import read
from upsell.engine.journeys.waits import Span
from upsell.models import JourneyVersion
from upsell.services import facts

COMPRESSION = 1_440
"""In a test a day is a minute."""


def plan_of(version_id: int, *, compressed: bool = False) -> Definition:
    """Return a published version, read. One statement for each version of a process.

    Raises:
        LookupError: It cannot be read any more: a fact of the shop's own is gone.
    """
    return _plan(version_id, compressed)


def forget() -> None:
    """Read versions anew: the shop's own facts are others."""
    _plan.cache_clear()


@lru_cache(maxsize=512)
def _plan(version_id: int, compressed: bool) -> Definition:
    if compressed:
        return _compressed(_plan(version_id, False))
    row = JourneyVersion.objects.get(pk=version_id)
    plan, faults, _warnings = read(row.definition, facts.specs())
    if plan is None:
        told = "; ".join(f"{fault.path}: {fault.message}" for fault in faults)
        raise LookupError(f"version {row.number} of journey {row.journey_id}: {told}")
    return plan


def _compressed(plan: Definition) -> Definition:
    steps = {name: replace(step, told=_faster(step)) for name, step in plan.steps.items()}
    return replace(plan, steps=steps)


def _faster(step: Step) -> Mapping[str, Any]:
    """Times of the day are not waited for: a minute is a day."""
    told = dict(step.told)
    span, timeout = told.get("for"), told.get("timeout")
    if step.kind is Kind.WAIT and isinstance(span, Span):
        told = {"for": Span(clock=span.about / COMPRESSION)}
    elif isinstance(timeout, timedelta):
        told["timeout"] = timeout / COMPRESSION
    return told
