"""Journeys to start from: each may be published as it stands, once its messages are there."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from upsell.engine.journeys.reading import read
from upsell.models import Journey, MessageTemplate, TemplateVersion
from upsell.services import facts, journey_drafts, ready_journeys

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY, HOUR = 24 * 60, 60


@pytest.mark.parametrize("ready", ready_journeys.READY, ids=lambda one: one.slug)
def test_nothing_is_wrong_with(ready) -> None:
    plan, faults, warnings = read(ready.document, facts.specs())

    assert faults == []
    assert plan is not None
    assert [w for w in warnings if "checks whether" not in w.message] == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("slug", "minutes"),
    [
        ("flight", DAY + 3 * HOUR), ("room", DAY + 2 * HOUR), ("car", DAY + 2 * HOUR),
        ("warranty", DAY), ("cross-sell", 7 * DAY), ("limit-80", 0), ("limit-100", 0),
        ("renewal", 0), ("thank-you", 3 * DAY), ("cart", DAY + HOUR), ("trial", 4 * DAY),
    ],
)  # fmt: skip
def test_a_copy_is_a_draft_of_the_same(slug, minutes, settings) -> None:
    settings.UPSELL_BASE_URL = "https://shop.example"
    made = ready_journeys.copy(slug)
    again = ready_journeys.copy(slug)

    for path in {step.told["template"] for step in made.steps.filter(kind="send")}:
        template = MessageTemplate.objects.create(slug=path, name=path)
        template.version = TemplateVersion.objects.create(
            template=template, number=1, content={}, published_at=NOON
        )
        template.save()
    look = journey_drafts.look_at(made)
    assert (made.state, made.channels, made.slug) == (Journey.State.DRAFT, [], slug)
    assert again.slug == f"{slug}-2"
    assert look.faults == ()
    assert look.plan is not None
    assert look.plan.lasts()[1].total_seconds() == minutes * 60


@pytest.mark.django_db
def test_there_is_no_copy_of_what_is_not_there() -> None:
    with pytest.raises(LookupError, match="odd"):
        ready_journeys.copy("odd")
    assert not Journey.objects.exists()
