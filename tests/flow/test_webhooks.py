"""A sender that dies with a webhook in its hands, and two senders at once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import signal

import pytest

from tests.flow import clock, faults, killed
from tests.flow.processes import Started, command, server
from tests.flow.sales import Sale, accepts, offered, sold
from tests.receiver import SECRET, receiving
from upsell.models import OutboxMessage

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases,
    pytest.mark.long,
]


@pytest.fixture
def receiver(noon, settings):
    with receiving() as made:
        settings.UPSELL_WEBHOOK_PRIVATE_HOSTS = ["127.0.0.1"]
        settings.UPSELL_WEBHOOKS = [{"url": made.url, "secret": SECRET}]
        yield made


@pytest.fixture
def sale(receiver) -> Sale:
    """Accepted; nothing of it has left yet."""
    made = sold(offered("CROSS_SELL"))
    with server() as shop:
        accepts(made, shop)
    assert made.offer.state == "ACCEPTED"
    return made


def row() -> OutboxMessage:
    return OutboxMessage.objects.get(kind="WEBHOOK")


def is_signed(headers: dict[str, str], body: bytes) -> bool:
    """Whether the signature is right, by the specification: the library would look at the time."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    made = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{made}"


@pytest.mark.parametrize("fault", [faults.dies_before_posting, faults.dies_after_posting])
def test_a_sender_killed_after_the_answer_sends_again_under_the_same_id(fault, sale, receiver):
    died = command("upsell_run", "--once", fault=fault)
    assert died.ended() == -signal.SIGKILL
    before = len(receiver.taken)
    assert before == (1 if fault is faults.dies_after_posting else 0)
    assert row().state == "SENDING"

    command("upsell_run", "--once")
    assert len(receiver.taken) == before, "it is still in the hands of the first"
    clock.set_to(minutes=2.5)
    for _ in range(2):
        command("upsell_run", "--once")

    assert row().state == "SENT"
    assert len(receiver.taken) == before + 1
    assert set(receiver.ids) == {f"{sale.offer.uuid}-accepted"}
    assert len({body for _headers, body in receiver.taken}) == 1
    assert all(is_signed(headers, body) for headers, body in receiver.taken)


def test_of_two_senders_at_once_one_sends(sale, receiver):
    receiver.seconds = 0.5
    both = [Started(killed.command, "upsell_run", "--once") for _ in range(2)]

    assert [sender.ended() for sender in both] == [0, 0]
    assert len(receiver.taken) == 1
    assert row().state == "SENT"


def test_a_purchase_does_not_wait_for_a_receiver(receiver):
    """Nothing is posted while the buyer waits."""
    receiver.seconds = 3.0
    made = sold(offered("CROSS_SELL"))
    with server() as shop:
        assert accepts(made, shop).state == "accepted"

    assert receiver.taken == []
    assert row().state == "PENDING"
