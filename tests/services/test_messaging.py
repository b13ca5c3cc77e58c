"""What must be told is told, also when a process dies with it in its hands (I19, F39, F40)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone

from tests.factories import campaign, catalogue, order
from tests.flow.test_accept import accept, offered
from upsell.models import OutboxMessage
from upsell.services import messaging

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]


@pytest.fixture
def message() -> OutboxMessage:
    """The confirmation of an accepted offer, not yet sent."""
    products = catalogue()
    campaign(products["CA"])
    accept(offered(order(products)))
    return OutboxMessage.objects.get(kind="CONFIRMATION")


class Killed(BaseException):
    """The process is gone: no handler of ours runs."""


def test_a_killed_sender_is_followed_by_another_with_the_same_message_id(message, monkeypatch):
    send = EmailMultiAlternatives.send

    def dies(self, *args, **kwargs):
        send(self, *args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(EmailMultiAlternatives, "send", dies)
        with pytest.raises(Killed):
            messaging.send_due()
    assert messaging.send_due() == 0, "it is still in the hands of the first"

    later = timezone.now() + messaging.LEASE + timedelta(seconds=1)
    assert messaging.send_due(now=later) == 1
    assert messaging.send_due(now=later) == 0

    first, second = mail.outbox
    assert first.extra_headers["Message-ID"] == second.extra_headers["Message-ID"]
    message.refresh_from_db()
    assert message.state == "SENT"


def test_f40_a_mail_server_that_refuses_is_asked_again_and_given_up_in_sight(message, monkeypatch):
    def refuses(self, *args, **kwargs):
        raise ConnectionRefusedError

    monkeypatch.setattr(EmailMultiAlternatives, "send", refuses)
    now = timezone.now()
    for _ in range(messaging.TRIES):
        messaging.send_due(now=now)
        now += timedelta(days=1)

    message.refresh_from_db()
    assert (message.state, message.reason) == ("FAILED", "ConnectionRefusedError")
    assert message.attempts == messaging.TRIES
    assert mail.outbox == []
