"""Reports as anymail makes them, from a provider's own request. Needs the extra [anymail]."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from django.test import RequestFactory

from tests.letters import T0, message, run
from upsell import receivers
from upsell.models import JourneyRun, MessageEvent, OutboxMessage
from upsell.services import consenting

pytest.importorskip("anymail")

from anymail.signals import (
    AnymailTrackingEvent,
    EventType,
    RejectReason,
    tracking,
)
from anymail.webhooks.postmark import PostmarkTrackingWebhookView

pytestmark = pytest.mark.django_db

ADDRESS = "ann@example.org"
COMPLAINT = {
    "RecordType": "SpamComplaint",
    "ID": 42,
    "Type": "SpamComplaint",
    "TypeCode": 512,
    "Tag": "",
    "MessageID": "<1@mail>",
    "Email": ADDRESS,
    "BouncedAt": "2026-03-02T10:00:00Z",
    "Description": "The subscriber explicitly marked this message as spam.",
}


@pytest.fixture
def wired(settings):
    """Install anymail beside us, as a host does: our app wires its signal when it is ready."""
    settings.ANYMAIL = {"WEBHOOK_SECRET": "postmark:secret"}
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "anymail"]
    yield
    tracking.disconnect(dispatch_uid="upsell.anymail")


@pytest.fixture
def letter() -> OutboxMessage:
    return message(run(), state="SENT", provider="Postmark", provider_id="<1@mail>")


def report(body: dict[str, object]) -> int:
    request = RequestFactory().post(
        "/anymail/postmark/tracking/",
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": "Basic cG9zdG1hcms6c2VjcmV0"},
    )
    return PostmarkTrackingWebhookView.as_view()(request).status_code


def test_a_complaint_as_the_provider_posts_it(wired, letter) -> None:
    assert [report(COMPLAINT), report(COMPLAINT)] == [200, 200]

    row = MessageEvent.objects.get()
    assert (row.provider, row.kind, row.message, row.at) == ("Postmark", "complained", letter, T0)
    assert JourneyRun.objects.get().state == "EXITED"
    assert consenting.is_suppressed("email", ADDRESS)


def test_a_hard_bounce_finds_the_message_by_our_own_id(wired, letter) -> None:
    bounce = COMPLAINT | {
        "RecordType": "Bounce",
        "Type": "HardBounce",
        "TypeCode": 1,
        "MessageID": "<of nobody@mail>",
        "Metadata": {"upsell_message": str(letter.pk)},
    }

    assert report(bounce) == 200

    row = MessageEvent.objects.get()
    assert (row.kind, row.reason, row.message) == ("bounced", "bounced", letter)
    assert consenting.is_suppressed("email", ADDRESS, scope="all")


def test_without_anymail_installed_nobody_hears(letter) -> None:
    receivers.connect()

    assert not any("upsell" in str(key[0][0]) for key in tracking.receivers)


@pytest.mark.parametrize(
    "kind",
    [name for name in vars(EventType) if name.isupper() and name not in {"INBOUND"}],
)
def test_every_kind_and_reason_of_anymail_s_is_taken(kind, letter) -> None:
    """Also the ones of a newer anymail: a report that raises is sent again and again."""
    reasons = [None, *(value for name, value in vars(RejectReason).items() if name.isupper())]
    for number, reason in enumerate(reasons):
        told = AnymailTrackingEvent(
            event_type=getattr(EventType, kind),
            timestamp=datetime(2026, 3, 2, 10, tzinfo=UTC),
            event_id=f"{kind}-{number}",
            message_id="<1@mail>",
            recipient=ADDRESS,
            reject_reason=reason,
        )
        receivers._reported(event=told, esp_name="Postmark")

    assert MessageEvent.objects.count() == len(reasons)
