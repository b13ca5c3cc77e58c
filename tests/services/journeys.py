"""Journeys for tests: short to write, published for real."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count

from upsell.models import (
    EventInbox,
    Journey,
    JourneyRun,
    JourneyStep,
    Listener,
    MessageTemplate,
    OutboxMessage,
    StepLog,
)
from upsell.models.journey import ACTIVE, ENDED
from upsell.services import (
    consenting,
    journey_hearing,
    journey_running,
    journey_sending,
    journey_states,
    templates,
)

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
H, D = timedelta(hours=1), timedelta(days=1)
KEY = "u:42"

WAIT_3H = {"type": "wait", "for": "PT3H", "to": {"next": "mail"}}
MAIL = {
    "type": "send",
    "medium": "email",
    "template": "reminder",
    "to": {"sent": "end", "skipped": "end", "failed": "end"},
}
END: dict[str, Any] = {"type": "exit", "to": {}}


def template(slug: str = "reminder", text: str = "Hello", **options: Any) -> MessageTemplate:
    """Return a published message of one line."""
    content = options.pop("content", None) or {
        "en": {
            "subject": options.pop("subject", "About your order"),
            "blocks": [{"kind": "text", "text": text}],
        }
    }
    row = MessageTemplate.objects.create(slug=slug, name=slug, content=content, **options)
    templates.publish(row, user=None, now=T0)
    row.refresh_from_db()
    return row


def consent(key: str = KEY, medium: str = "email") -> None:
    """Let a buyer have agreed to being written to."""
    consenting.grant(customer_key=key, medium=medium, source="a test", now=T0 - D)


def journey(
    steps: dict[str, dict[str, Any]] | None = None, *, live: bool = True, **values: Any
) -> Journey:
    """Return a journey, live unless it shall not be; two steps and an end where none are given."""
    values = {
        "slug": f"journey-{Journey.objects.count() + 1}",
        "event": "order.placed",
        "channels": ["web"],
        "control": 0,
        "cap_per_day": 0,
    } | values
    row = Journey.objects.create(name=values["slug"], **values)
    steps = steps or {"wait": WAIT_3H, "mail": MAIL, "end": END}
    wants = {str(step.get("template")) for step in steps.values() if step["type"] == "send"}
    for slug in wants - set(MessageTemplate.objects.values_list("slug", flat=True)):
        template(slug)
    for place, (name, step) in enumerate(steps.items()):
        told = {key: value for key, value in step.items() if key not in {"type", "to"}}
        JourneyStep.objects.create(
            journey=row, name=name, position=place, kind=step["type"], told=told, to=step["to"]
        )
    if live:
        journey_states.go_live(row, now=T0)
    return row


def tell(
    name: str = "order.placed", *, at: datetime = T0, key: str = KEY, **told: Any
) -> EventInbox:
    """Tell an event of a buyer who agreed to being written to, and follow it up."""
    consent(key)
    number = EventInbox.objects.count() + 1
    row = EventInbox.objects.create(
        source="HOST",
        event_id=told.pop("event_id", f"e{number}"),
        name=name,
        customer_key=key,
        order_ref=told.pop("order_ref", ""),
        parameters={"channel": "web", **told},
        occurred_at=told.pop("occurred_at", at),
        received_at=at,
    )
    journey_hearing.work_on(row.pk, now=at)
    return row


def move(at: datetime) -> int:
    """Let due runs move; return how many steps they left behind."""
    return journey_running.advance_due(now=at)


def send(at: datetime) -> int:
    """Send what is due; return how many messages."""
    return journey_sending.send_due(now=at)


def go(at: datetime) -> None:
    """Move and send until nothing more happens at this time."""
    for _round in range(20):
        if not move(at) and not send(at):
            return


def way(run: JourneyRun) -> str:
    """Return the steps of a run with their outcomes, as one line."""
    rows = StepLog.objects.filter(run=run).order_by("seq")
    return " ".join(f"{row.step}:{row.outcome}" for row in rows)


def only() -> JourneyRun:
    """Return the one run there is."""
    return JourneyRun.objects.get()


def message(run: JourneyRun) -> OutboxMessage:
    """Return the one message of a run."""
    return OutboxMessage.objects.get(run=run)


def adds_up() -> None:
    """J92: entered = active + ended, for each journey, and what hangs on a run goes with it."""
    for row in Journey.objects.annotate(entered=Count("runs")):
        runs = JourneyRun.objects.filter(journey=row)
        assert (
            row.entered
            == runs.filter(state__in=ACTIVE).count()
            + runs.filter(state__in=ENDED, ended_at__isnull=False).exclude(end_reason="").count()
        )
    ended = JourneyRun.objects.filter(state__in=ENDED)
    assert not ended.exclude(active_key=None).exists()
    assert not ended.filter(due_at__isnull=False).exists()
    assert not Listener.objects.filter(run__in=ended).exclude(purpose="GOAL").exists()
    assert not OutboxMessage.objects.filter(run__in=ended, state="PENDING").exists()
    for run in JourneyRun.objects.all():
        numbers = list(StepLog.objects.filter(run=run).values_list("seq", flat=True))
        assert sorted(numbers) == list(range(1, run.seq + 1))
