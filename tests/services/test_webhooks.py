"""Each accept, undo and refund leaves once, signed, and is tried for a day."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import transaction
from django.utils import timezone
from standardwebhooks import Webhook

from tests.factories import campaign, catalogue
from tests.receiver import SECRET, Receiver, receiving
from tests.standing import offer_in
from tests.views.buyers import shop_with_an_offer
from upsell import checks, conf
from upsell.models import Offer, OfferEvent, OutboxMessage, Refund
from upsell.models.tokens import offer_token
from upsell.services import erasing, health, messaging, recording, returning, undoing, webhooks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

OTHER = "whsec_" + "YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3RzLCBsb25n"
DAY = timedelta(days=1)


@pytest.fixture
def receiver(settings):
    with receiving() as made:
        settings.UPSELL_WEBHOOK_PRIVATE_HOSTS = ["127.0.0.1"]
        settings.UPSELL_WEBHOOKS = [{"url": made.url, "secret": SECRET}]
        yield made


def rows(**wanted) -> list[OutboxMessage]:
    return list(OutboxMessage.objects.filter(kind="WEBHOOK", **wanted).order_by("pk"))


def told(receiver: Receiver, secret: str = SECRET) -> list[dict]:
    """Return what came, each verified by the library of the specification."""
    return [Webhook(secret).verify(body, headers) for headers, body in receiver.taken]


def test_an_accept_leaves_once_and_signed(receiver):
    offer = offer_in("ACCEPTED", shop_with_an_offer())

    assert messaging.send_due() == 2  # the confirmation, too
    assert messaging.send_due() == 0

    (event,) = told(receiver)
    assert receiver.ids == [f"{offer.uuid}-accepted"]
    assert event["type"] == "offer.accepted"
    assert event["data"] == {
        "event_id": f"{offer.uuid}-accepted",
        "offer": str(offer.uuid),
        "order_ref": offer.order_ref,
        "channel": "web",
        "campaign": offer.campaign.slug,
        "arm": "",
        "kind": "upsell",
        "product_ref": offer.product_ref,
        "quantity": 1,
        "currency": "EUR",
        "net": "200.00",
        "gross": "240.00",
        "amount": "240.00",
        "reason": "",
        "trial": False,
    }
    assert [row.state for row in rows()] == ["SENT"]


def test_an_undo_is_a_reversal_and_a_refund(receiver):
    offer = offer_in("REVERSED", shop_with_an_offer())

    messaging.send_due()

    events = {event["type"]: event["data"] for event in told(receiver)}
    refund = Refund.objects.get()
    assert list(events) == ["offer.accepted", "offer.reversed", "offer.refunded"]
    assert events["offer.reversed"]["reason"] == "customer_undo"
    assert events["offer.reversed"]["net"] == "200.00"
    assert "amount" not in events["offer.reversed"]
    assert events["offer.refunded"]["amount"] == "240.00"
    assert events["offer.refunded"]["event_id"] == f"{offer.uuid}-refunded-{refund.uuid}"
    assert len(set(receiver.ids)) == 3


def test_each_refund_of_a_part_leaves_by_itself(receiver):
    products = catalogue()
    campaign(products["CA"])
    offer = offer_in("ACCEPTED", products)
    line = offer.acceptance.line_ref

    for amount in ("4.00", "6.00"):
        returning.refund_line(order_ref=offer.order_ref, line_ref=line, amount=Decimal(amount))
    messaging.send_due()

    amounts = [e["data"]["amount"] for e in told(receiver) if e["type"] == "offer.refunded"]
    assert amounts == ["4.00", "6.00"]


@pytest.mark.parametrize("state", ["SHOWN", "DECLINED", "EXPIRED", "REVOKED", "FAILED"])
def test_nothing_leaves_where_nothing_was_bought(state, receiver):
    offer_in(state, shop_with_an_offer())

    assert rows() == []


def test_nothing_of_a_person_leaves(receiver):
    offer = offer_in("REVERSED", shop_with_an_offer())
    messaging.send_due()

    for _headers, body in receiver.taken:
        for personal in (b"@", b"Street", offer_token(offer).encode(), offer.customer_key.encode()):
            assert personal not in body


def test_without_receivers_nothing_is_written():
    offer_in("REVERSED", shop_with_an_offer())

    assert rows() == []


def test_a_receiver_gets_the_events_that_it_asks_for(receiver, settings):
    settings.UPSELL_WEBHOOKS = [
        {"url": receiver.url, "secret": SECRET, "events": ["offer.reversed"]}
    ]
    offer_in("REVERSED", shop_with_an_offer())
    messaging.send_due()

    assert [event["type"] for event in told(receiver)] == ["offer.reversed"]


def test_while_a_secret_is_changed_both_are_believed(receiver, settings):
    settings.UPSELL_WEBHOOKS = [{"url": receiver.url, "secret": [OTHER, SECRET]}]
    offer_in("ACCEPTED", shop_with_an_offer())
    messaging.send_due()

    assert told(receiver, SECRET) == told(receiver, OTHER) != []


def test_a_row_is_written_with_its_event_or_not_at_all(receiver):
    offer = offer_in("SHOWN", shop_with_an_offer())
    event = recording.event(offer, "accepted", at=timezone.now())

    def breaks() -> None:
        with transaction.atomic():
            recording.append([event])
            assert len(rows()) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks()

    assert rows() == []
    assert not OfferEvent.objects.filter(kind="accepted").exists()


def test_the_same_event_is_written_once(receiver):
    offer = offer_in("ACCEPTED", shop_with_an_offer())
    event = OfferEvent.objects.get(kind="accepted")

    webhooks.write([event])
    webhooks.write([event])

    assert len(rows(offer=offer)) == 1


# ------------------------------------------------------------------ a receiver in trouble


def test_it_is_tried_for_a_day_and_then_given_up_in_sight(receiver):
    receiver.status = 500
    offer_in("ACCEPTED", shop_with_an_offer())
    (row,) = rows()
    began, now = row.created_at, row.not_before
    tried = []

    while row.state == "PENDING":
        now = row.not_before
        tried.append(now - began)
        messaging.send_due(now=now)
        row.refresh_from_db()

    assert (row.state, row.reason) == ("FAILED", "status 500")
    assert DAY <= tried[-1] < DAY + webhooks.PAUSES[-1]
    assert [one.total_seconds() for one in tried[:5]] == [0, 30, 150, 750, 2550]
    assert set(receiver.ids) == {row.variables["data"]["event_id"]}
    assert len(receiver.taken) == len(tried) == row.attempts
    (measure,) = [one for one in health.read(now=now) if one.name == "webhook"]
    assert (measure.fine, measure.count) == (False, 1)
    assert measure.facts["offer"] == row.offer_id


def test_when_it_is_back_it_gets_the_same_body_under_the_same_id(receiver):
    receiver.status = 503
    offer_in("ACCEPTED", shop_with_an_offer())
    messaging.send_due()
    receiver.status = 200

    messaging.send_due(now=timezone.now() + timedelta(minutes=1))

    (first, before), (second, after) = receiver.taken
    assert before == after
    assert first["webhook-id"] == second["webhook-id"]
    assert [row.state for row in rows()] == ["SENT"]


def test_one_that_is_down_is_asked_once_a_round_and_holds_up_nobody(receiver, settings):
    receiver.status = 500
    with receiving() as other:
        settings.UPSELL_WEBHOOKS = [
            {"url": receiver.url, "secret": SECRET},
            {"url": other.url, "secret": SECRET},
        ]
        products = shop_with_an_offer()
        for _ in range(3):
            offer_in("ACCEPTED", products)

        assert messaging.send_due() == 6
        assert (len(receiver.taken), len(other.taken), len(mail.outbox)) == (1, 3, 3)

        receiver.status = 200
        assert messaging.send_due(now=timezone.now() + timedelta(minutes=1)) == 3
        assert len(set(receiver.ids)) == 3


def test_slow_ones_do_not_hold_up_what_else_is_due(receiver, monkeypatch):
    monkeypatch.setattr(messaging, "POSTING", timedelta(seconds=0.5))
    receiver.seconds = 0.3
    products = shop_with_an_offer()
    for _ in range(6):
        offer_in("ACCEPTED", products)

    messaging.send_due()

    assert len(mail.outbox) == 6
    assert 1 <= len(receiver.taken) < 6
    rounds = 0
    while rows(state="PENDING"):
        messaging.send_due()
        rounds += 1
    assert rounds >= 1
    assert len(set(receiver.ids)) == len(receiver.taken) == 6


def test_after_a_day_all_that_waited_along_is_given_up(receiver):
    receiver.status = 500
    products = shop_with_an_offer()
    for _ in range(3):
        offer_in("ACCEPTED", products)

    messaging.send_due(now=timezone.now() + DAY + timedelta(minutes=1))

    assert [row.state for row in rows()] == ["FAILED"] * 3
    assert len(receiver.taken) == 1


@pytest.mark.parametrize(("minutes", "fine"), [(59, True), (61, False)])
def test_health_speaks_of_one_that_is_down_for_an_hour(minutes, fine, receiver):
    offer_in("ACCEPTED", shop_with_an_offer())
    now = timezone.now() + timedelta(minutes=minutes)

    (measure,) = [one for one in health.read(now=now) if one.name == "webhook"]

    assert measure.fine is fine


def test_what_waits_for_a_receiver_that_left_is_cancelled(receiver, settings):
    offer_in("ACCEPTED", shop_with_an_offer())
    settings.UPSELL_WEBHOOKS = []

    messaging.send_due()

    assert [row.state for row in rows()] == ["CANCELLED"]
    assert receiver.taken == []


def test_t21_a_private_address_is_refused_unless_it_is_named(receiver, settings):
    offer_in("ACCEPTED", shop_with_an_offer())
    settings.UPSELL_WEBHOOKS = [{"url": "https://127.0.0.1/", "secret": SECRET}]
    settings.UPSELL_WEBHOOK_PRIVATE_HOSTS = []
    OutboxMessage.objects.filter(kind="WEBHOOK").update(
        key=f"w:{conf.webhook_endpoints()[0].name}:x"
    )

    messaging.send_due()

    assert [row.reason for row in rows()] == ["private address"]


def test_an_unusable_setting_does_not_stop_a_purchase(settings):
    settings.UPSELL_WEBHOOKS = [{"url": "http://plain.example/"}, "nothing"]

    offer = offer_in("ACCEPTED", shop_with_an_offer())

    assert offer.state == "ACCEPTED"
    assert rows() == []


def test_the_row_keeps_neither_the_secret_nor_the_address(receiver):
    offer_in("ACCEPTED", shop_with_an_offer())

    kept = json.dumps([{**row.variables, "key": row.key} for row in rows()])

    assert SECRET not in kept
    assert "127.0.0.1" not in kept


def test_erasing_a_buyer_leaves_what_the_books_need(receiver):
    offer = offer_in("ACCEPTED", shop_with_an_offer())

    erasing.erase(customer_keys=[offer.customer_key])
    messaging.send_due()

    (event,) = told(receiver)
    assert event["data"]["order_ref"] == offer.order_ref


def test_a_trial_by_staff_says_so(receiver):
    offer = offer_in("SHOWN", shop_with_an_offer())
    Offer.objects.update(trial=True)
    offer.refresh_from_db()
    recording.append([recording.event(offer, "accepted", at=timezone.now())])

    assert rows()[0].variables["data"]["trial"] is True


# ------------------------------------------------------------------ system checks


@pytest.mark.parametrize(
    ("row", "ids"),
    [
        pytest.param({"url": "https://a.example/", "secret": SECRET}, [], id="fine"),
        pytest.param({"url": "http://a.example/", "secret": SECRET}, ["upsell.E012"], id="plain"),
        pytest.param({"url": "https://a.example/"}, ["upsell.E013"], id="no secret"),
        pytest.param("https://a.example/", ["upsell.E012"], id="no dict"),
    ],
)
def test_checks(row, ids, settings):
    settings.UPSELL_WEBHOOKS = [row]

    assert [message.id for message in checks.check_webhooks(None)] == ids


def test_without_the_extra_the_start_is_stopped(settings, monkeypatch):
    settings.UPSELL_WEBHOOKS = [{"url": "https://a.example/", "secret": SECRET}]
    monkeypatch.setitem(__import__("sys").modules, "upsell.media.webhook", None)

    with pytest.raises(SystemCheckError) as stopped:
        call_command("check")

    assert "upsell.E011" in str(stopped.value)
    assert "django-upsell[webhooks]" in str(stopped.value)


def test_undoing_twice_tells_once(receiver):
    offer = offer_in("ACCEPTED", shop_with_an_offer())
    for _ in range(2):
        undoing.undo(token=offer_token(offer), trusted=True)

    assert len(rows()) == 3
