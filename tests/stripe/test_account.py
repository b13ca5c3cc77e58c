"""The Stripe server of the tests, met with Stripe's own client: what follows a payment."""

from __future__ import annotations

import random

import pytest

from tests.stripe.buying import intent_of

sdk = pytest.importorskip("stripe", reason="the extra stripe-tests is not installed")

# Refunds and disputes


def test_a_refund_is_at_most_what_is_left(client, stripe):
    paid = client.v1.payment_intents.create(intent_of(stripe.save_card()))

    client.v1.refunds.create({"payment_intent": paid.id, "amount": 299, "reason": "duplicate"})
    with pytest.raises(sdk.InvalidRequestError, match="greater than unrefunded amount"):
        client.v1.refunds.create({"payment_intent": paid.id, "amount": 1001})
    assert stripe.ledger.net_by("order") == {"7": 1000}
    stripe.refund(paid.id)
    with pytest.raises(sdk.InvalidRequestError) as refused:
        client.v1.refunds.create({"charge": paid.latest_charge})

    assert refused.value.code == "charge_already_refunded"
    assert stripe.ledger.net({"order": "7"}) == 0
    assert [(refund.amount, refund.outside) for refund in stripe.ledger.refunds()] == [
        (299, False),
        (1000, True),
    ]
    listed = client.v1.refunds.list({"payment_intent": paid.id})
    assert [(item.amount, item.reason) for item in listed.data] == [
        (1000, "requested_by_customer"),
        (299, "duplicate"),
    ]


def test_a_refund_that_fails_later_was_not_given_back(client, stripe):
    paid = client.v1.payment_intents.create(intent_of(stripe.save_card()))
    stripe.start_refunds_as("pending")

    refund = client.v1.refunds.create({"payment_intent": paid.id})
    pending = stripe.ledger.net()
    stripe.settle_refund(refund.id, "failed")

    assert (refund.status, pending, stripe.ledger.net()) == ("pending", 0, 1299)
    assert client.v1.refunds.retrieve(refund.id).status == "failed"
    names = [event["type"] for event in stripe.webhooks.find(payment_intent=paid.id)]
    assert names[-4:] == ["refund.created", "charge.refunded", "refund.updated", "refund.failed"]


def test_a_disputed_charge_is_not_refunded(client, stripe):
    paid = client.v1.payment_intents.create(intent_of(stripe.save_card()))
    dispute = stripe.open_dispute(paid.id)

    with pytest.raises(sdk.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": paid.id})
    stripe.close_dispute(dispute["id"], won=False)

    assert refused.value.code == "charge_disputed"
    opened, closed = stripe.webhooks.events[-2:]
    assert (opened["type"], opened["data"]["object"]["status"]) == (
        "charge.dispute.created",
        "needs_response",
    )
    assert (closed["type"], closed["data"]["object"]["status"]) == (
        "charge.dispute.closed",
        "lost",
    )
    assert client.v1.disputes.retrieve(dispute["id"]).status == "lost"


# Lists and searches


def test_intents_are_listed_newest_first(client, stripe):
    ours, theirs = stripe.save_card(), stripe.save_card()
    made = [client.v1.payment_intents.create(intent_of(ours)).id for _ in range(3)]
    client.v1.payment_intents.create(intent_of(theirs))

    first = client.v1.payment_intents.list({"customer": ours.customer, "limit": 2})
    rest = client.v1.payment_intents.list(
        {"customer": ours.customer, "starting_after": first.data[-1].id}
    )
    since = client.v1.payment_intents.list({"created": {"gte": first.data[0].created}})
    later = client.v1.payment_intents.list({"created": {"gt": first.data[0].created + 60}})

    assert ([item.id for item in first.data], first.has_more) == (made[:0:-1], True)
    assert ([item.id for item in rest.data], rest.has_more) == (made[:1], False)
    assert first.data[0].description == "Order 7"
    assert len(since.data) >= 1
    assert later.data == []


def test_search_finds_by_metadata_once_it_has_caught_up(client, stripe):
    card = stripe.save_card()
    wanted = client.v1.payment_intents.create(intent_of(card)).id
    client.v1.payment_intents.create(intent_of(card, metadata={"key": "ups-2"}))
    query = {"query": "metadata['key']:'ups-1' AND status:'succeeded'"}

    stripe.search_finds_nothing(2)
    looks = [client.v1.payment_intents.search(query) for _ in range(3)]

    assert [[item.id for item in look.data] for look in looks] == [[], [], [wanted]]
    assert (looks[2].object, looks[2].has_more) == ("search_result", False)


# Webhooks


def test_an_event_is_signed_as_stripe_signs(client, stripe):
    paid = client.v1.payment_intents.create(intent_of(stripe.save_card()))
    (event,) = stripe.webhooks.find("payment_intent.succeeded")
    sent = stripe.webhooks.signed(event)

    read = sdk.Webhook.construct_event(sent.body, sent.signature, stripe.webhooks.secret)

    assert (read.id, read.account, read.data.object.id) == (event["id"], "acct_upsell", paid.id)
    assert client.v1.events.retrieve(event["id"]).type == "payment_intent.succeeded"


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"secret": "whsec_other"}, id="another secret"),
        pytest.param({"tampered": True}, id="changed on the way"),
        pytest.param({"age_seconds": 301}, id="too old"),
    ],
)
def test_a_bad_signature_is_bad(client, stripe, how):
    client.v1.payment_intents.create(intent_of(stripe.save_card()))
    sent = stripe.webhooks.signed(stripe.webhooks.events[-1], **how)

    with pytest.raises(sdk.SignatureVerificationError):
        sdk.Webhook.construct_event(sent.body, sent.signature, stripe.webhooks.secret)


def test_deliveries_are_repeated_shuffled_and_altered(client, stripe):
    client.v1.payment_intents.create(intent_of(stripe.save_card()))
    stripe.refund(stripe.webhooks.events[-1]["data"]["object"]["id"])
    seen = []

    stripe.webhooks.deliver(
        seen.append, times=2, shuffled=7, account="acct_other", changes={"amount": 1}
    )

    in_order = [event["id"] for event in stripe.webhooks.events] * 2
    random.Random(7).shuffle(in_order)
    assert [delivery.event["id"] for delivery in seen] == in_order
    assert {delivery.event["account"] for delivery in seen} == {"acct_other"}
    assert {delivery.event["data"]["object"]["amount"] for delivery in seen} == {1}
    assert stripe.webhooks.events[0]["data"]["object"]["amount"] == 1299


def test_events_are_delivered_as_they_happen(client, stripe):
    """The proxy's own redirect address answers anything with 404: a target that is there."""
    stripe.webhooks.deliver_to(f"{stripe.url}/redirect/nobody", times=2)

    client.v1.payment_intents.create(intent_of(stripe.save_card()))
    stripe.settle_webhooks()

    assert sorted(stripe.webhooks.delivered) == sorted(
        (event["id"], 404) for event in stripe.webhooks.events for _ in range(2)
    )
