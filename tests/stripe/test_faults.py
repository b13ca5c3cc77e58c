"""Idempotency keys and faults: what is executed, what the client sees, what a repeat gets."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

import pytest

from tests.stripe.buying import intent_of

sdk = pytest.importorskip("stripe", reason="the extra stripe-tests is not installed")

KEY = {"idempotency_key": "ups-1"}
PATIENT_SECONDS, IMPATIENT_SECONDS = 20, 1


@pytest.fixture
def pay(stripe, client_of):
    """Create and confirm an intent with a saved card, under one key unless told otherwise."""
    card = stripe.save_card()

    def create(options=KEY, patience=PATIENT_SECONDS, **other):
        return client_of(patience).v1.payment_intents.create(intent_of(card, **other), options)

    return create


# Keys


def test_the_same_key_is_answered_the_same_and_charged_once(pay, stripe):
    first, second = pay(), pay()

    assert first.id == second.id
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert stripe.ledger.charges_by_key() == {"ups-1": 1}
    assert [(call.executed, call.replayed) for call in stripe.ledger.writes()] == [
        (True, False),
        (False, True),
    ]


def test_without_a_key_every_request_charges(pay, stripe):
    pay(options=None)
    pay(options=None)

    assert stripe.ledger.net({"order": "7"}) == 2598
    # The client makes a key up where it is given none, so that its own retries are safe.
    assert len({call.key for call in stripe.ledger.writes()}) == 2


def test_a_decline_is_kept_too(pay, stripe):
    poor = stripe.save_card("pm_card_chargeCustomerFail")
    theirs = {"customer": poor.customer, "payment_method": poor.payment_method}

    declines = []
    for _ in range(2):
        with pytest.raises(sdk.CardError) as declined:
            pay(**theirs)
        declines.append(declined.value)

    assert [error.headers.get("Idempotent-Replayed") for error in declines] == [None, "true"]
    assert len({error.error.payment_intent.id for error in declines}) == 1


def test_other_parameters_under_the_same_key_are_an_error(pay, client, stripe):
    paid = pay()

    with pytest.raises(sdk.IdempotencyError, match="same parameters"):
        pay(amount=1300)
    with pytest.raises(sdk.IdempotencyError, match="same endpoint"):
        client.v1.refunds.create({"payment_intent": paid.id}, KEY)

    assert stripe.ledger.net() == 1299


def test_what_is_wrong_in_itself_is_not_kept(pay, stripe):
    with pytest.raises(sdk.InvalidRequestError):
        pay(amount=1)

    assert pay().status == "succeeded"
    assert [call.executed for call in stripe.ledger.writes()] == [False, True]


def test_what_failed_while_executing_is_kept(client, stripe):
    """The refund comes too early; its key says so for ever, even once there is a payment."""
    intent = client.v1.payment_intents.create({"amount": 1299, "currency": "eur"})

    for replayed in (None, "true"):
        with pytest.raises(sdk.InvalidRequestError, match="no successful charge") as refused:
            client.v1.refunds.create({"payment_intent": intent.id}, KEY)
        assert refused.value.headers.get("Idempotent-Replayed") == replayed


@pytest.mark.parametrize("executed", [False, True], ids=["waiting", "done and not answered"])
def test_a_second_request_while_the_first_is_under_way(pay, stripe, executed):
    with stripe.faults.hold(executed=executed) as held:
        answers: list = []
        first = threading.Thread(target=lambda: answers.append(pay()))
        first.start()
        held.wait()
        if executed:  # the key has its answer; only the first client has not
            assert pay().status == "succeeded"
        else:
            with pytest.raises(sdk.APIError) as refused:
                pay()
            assert refused.value.http_status == 409
            assert refused.value.json_body["error"]["code"] == "idempotency_key_in_use"
        held.release()
        first.join()

    assert answers[0].status == "succeeded"
    assert stripe.ledger.charges_by_key() == {"ups-1": 1}


def test_a_key_older_than_a_day_charges_again(pay, stripe):
    pay()

    stripe.forget_key("ups-1")
    pay()

    assert stripe.ledger.net() == 2598


def test_a_read_takes_no_notice_of_a_key(client, pay, stripe):
    paid = pay()
    stripe.refund(paid.id)

    read = client.v1.payment_intents.retrieve(paid.id, {"expand": ["latest_charge"]}, KEY)

    assert read.latest_charge.refunded is True


# Faults

CONNECTION, SERVER = sdk.APIConnectionError, sdk.APIError
TAKEN, UNTAKEN = 1299, 0


@pytest.mark.parametrize(
    ("arm", "raises", "taken", "replayed"),
    [
        pytest.param(
            lambda faults: faults.drop_request(), CONNECTION, UNTAKEN, False, id="request dropped"
        ),
        pytest.param(
            lambda faults: faults.drop_response(), CONNECTION, TAKEN, True, id="response dropped"
        ),
        pytest.param(
            lambda faults: faults.reset(executed=False), CONNECTION, UNTAKEN, False, id="reset"
        ),
        pytest.param(
            lambda faults: faults.reset(executed=True), CONNECTION, TAKEN, True, id="late reset"
        ),
        pytest.param(
            lambda faults: faults.hang(executed=False), CONNECTION, UNTAKEN, False, id="hang"
        ),
        pytest.param(
            lambda faults: faults.hang(executed=True), CONNECTION, TAKEN, True, id="late hang"
        ),
        pytest.param(
            lambda faults: faults.slow(2, executed=True), CONNECTION, TAKEN, True, id="slow"
        ),
        pytest.param(
            lambda faults: faults.truncate(), CONNECTION, TAKEN, True, id="body cut short"
        ),
        pytest.param(lambda faults: faults.html(200), SERVER, TAKEN, True, id="html with 200"),
        pytest.param(lambda faults: faults.html(502), SERVER, TAKEN, True, id="html with 502"),
        pytest.param(
            lambda faults: faults.html(502, executed=False),
            SERVER,
            UNTAKEN,
            False,
            id="html, early",
        ),
        pytest.param(
            lambda faults: faults.server_error(executed=False), SERVER, UNTAKEN, False, id="500"
        ),
        pytest.param(
            lambda faults: faults.server_error(executed=True, recorded=False),
            SERVER,
            TAKEN,
            True,
            id="500 after capture",
        ),
        pytest.param(
            lambda faults: faults.rate_limit(), sdk.RateLimitError, UNTAKEN, False, id="429"
        ),
        pytest.param(
            lambda faults: faults.lock_timeout(), sdk.RateLimitError, UNTAKEN, False, id="lock"
        ),
        pytest.param(
            lambda faults: faults.lock_timeout(status=409), SERVER, UNTAKEN, False, id="lock, 409"
        ),
        pytest.param(
            lambda faults: faults.refuse(403, code="platform_api_key_expired"),
            sdk.PermissionError,
            UNTAKEN,
            False,
            id="403",
        ),
    ],
)
def test_a_fault_strikes_once_and_the_repeat_is_right(pay, stripe, arm, raises, taken, replayed):
    """After any of them the same key, sent again, leads to exactly one charge."""
    armed = arm(stripe.faults)

    with pytest.raises(raises):
        pay(patience=IMPATIENT_SECONDS)
    assert stripe.ledger.net({"order": "7"}) == taken
    repeat = pay()

    assert repeat.status == "succeeded"
    assert (repeat.last_response.headers.get("Idempotent-Replayed") == "true") is replayed
    assert stripe.ledger.net({"order": "7"}) == TAKEN
    assert armed.hits == 1
    assert stripe.ledger.calls[0].fault


@pytest.mark.parametrize(
    ("arm", "ends_with"),
    [
        pytest.param(lambda faults: faults.drop_request(method="GET"), b"", id="closed"),
        pytest.param(
            lambda faults: faults.reset(executed=True, method="GET"),
            ConnectionResetError,
            id="reset",
        ),
        pytest.param(
            lambda faults: faults.hang(executed=True, method="GET"), TimeoutError, id="hang"
        ),
    ],
)
def test_a_connection_ends_as_the_fault_says(stripe, arm, ends_with):
    """Looked at without a client, to whom these are all the same error."""
    arm(stripe.faults)
    address = urlsplit(stripe.url)
    with socket.create_connection((address.hostname, address.port), timeout=1) as opened:
        opened.sendall(
            f"GET /v1/events HTTP/1.1\r\nAuthorization: Bearer {stripe.api_key}\r\n\r\n".encode()
        )

        try:
            ended = opened.recv(1)
        except OSError as error:
            ended = type(error)

    assert ended == ends_with


def test_a_500_after_capture_is_what_the_key_keeps(pay, client, stripe):
    """Stripe's own words: the same result, including 500 errors. Only reading tells the truth."""
    stripe.faults.server_error(executed=True)

    for replayed in (None, "true"):
        with pytest.raises(sdk.APIError) as failed:
            pay()
        assert failed.value.headers.get("Idempotent-Replayed") == replayed

    assert stripe.ledger.net() == 1299
    assert client.v1.payment_intents.list().data[0].status == "succeeded"


def test_a_rate_limit_says_when_to_come_back(pay, stripe):
    stripe.faults.rate_limit(retry_after=7)

    with pytest.raises(sdk.RateLimitError) as limited:
        pay()

    assert limited.value.headers["Retry-After"] == "7"


def test_a_request_can_take_effect_after_its_client_gave_up(pay, client, stripe):
    """The worst there is: whoever looks in between finds nothing, and then it is there."""
    with stripe.faults.hold() as held:
        with pytest.raises(sdk.APIConnectionError):
            pay(patience=IMPATIENT_SECONDS)
        held.wait()
        assert client.v1.payment_intents.list().data == []
        held.release()
        held.done()

    assert pay().status == "succeeded"
    assert stripe.ledger.charges_by_key() == {"ups-1": 1}


@pytest.mark.parametrize("changes", [{"amount": 1}, {"currency": "usd"}])
def test_an_answer_can_be_wrong_where_the_charge_is_right(pay, client, stripe, changes):
    stripe.faults.alter(changes=changes)
    stripe.faults.alter(changes=changes, method="GET", path="/v1/payment_intents")

    answered, listed = pay(), client.v1.payment_intents.list().data[0]

    ((name, wrong),) = changes.items()
    assert (answered[name], listed[name]) == (wrong, wrong)
    assert stripe.intent(answered.id)["amount"] == 1299
    assert stripe.ledger.charges()[0].currency == "eur"


def test_a_closed_port_refuses_and_opens_again(pay, stripe):
    with stripe.refused(), pytest.raises(sdk.APIConnectionError, match="refused"):
        pay()

    assert stripe.ledger.calls == []
    assert pay().status == "succeeded"


def test_a_fault_strikes_only_what_it_is_armed_for(pay, client, stripe):
    """Armed for the second refund: payments and the first refund pass."""
    armed = stripe.faults.drop_response(path="/v1/refunds", skip=1)
    paid = pay()

    client.v1.refunds.create({"payment_intent": paid.id, "amount": 100}, {"idempotency_key": "r1"})
    with pytest.raises(sdk.APIConnectionError):
        client.v1.refunds.create(
            {"payment_intent": paid.id, "amount": 100}, {"idempotency_key": "r2"}
        )

    assert armed.hits == 1
    assert stripe.ledger.net() == 1099


def test_reset_leaves_nothing(pay, client, stripe):
    pay()
    stripe.faults.drop_request(times=None)

    stripe.reset()

    assert client.v1.payment_intents.list().data == []
    assert (stripe.webhooks.events, stripe.ledger.net()) == ([], 0)
    assert [call.path for call in stripe.ledger.calls] == ["/v1/payment_intents"]
