"""All due work as a task of Django's own, where Django has them."""

from __future__ import annotations

import pytest

from tests.services.journeys import END, T0, H, journey, tell
from upsell.models import Heartbeat, JourneyRun

tasks = pytest.importorskip("django.tasks", reason="Django has tasks from 6.0")

WAITS = {
    "hours": {"type": "wait", "for": "PT3H", "to": {"next": "month"}},
    "month": {"type": "wait", "for": "P30D", "to": {"next": "end"}},
    "end": END,
}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def at_once(settings) -> None:
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}}


def test_due_work_is_done_by_whoever_enqueues_it():
    from upsell.django_tasks import run_due  # noqa: PLC0415 - needs Django 6.0

    journey(WAITS)
    tell(order_ref="A1")

    told = run_due.enqueue()

    assert told.status is tasks.TaskResultStatus.SUCCESSFUL, told.errors
    assert told.return_value["steps"] == 1
    assert JourneyRun.objects.get(step="month").since > T0 + H
    assert Heartbeat.objects.exists()


def test_twice_is_as_good_as_once():
    from upsell.django_tasks import run_due  # noqa: PLC0415 - needs Django 6.0

    journey(WAITS)
    tell(order_ref="A1")

    first, second = run_due.enqueue(), run_due.enqueue()

    assert (first.return_value["steps"], second.return_value["steps"]) == (1, 0)
