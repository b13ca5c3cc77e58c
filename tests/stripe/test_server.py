"""The Stripe server of the tests, met with Stripe's own client: processes and payments."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.stripe.buying import RETURN_URL, intent_of
from tests.stripe.server import LocalStripe

sdk = pytest.importorskip("stripe", reason="the extra stripe-tests is not installed")


def posted(url: str, **form: str) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.request(
        "POST",
        parts.path,
        urlencode(form),
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


# The process


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux lists its ports so")
def test_only_the_loopback_is_listened_on(stripe, stripe_server):
    """Another address of this very machine is refused, by both of the two servers."""
    ports = [urlsplit(url).port for url in (stripe.url, stripe_server.provider.localstripe_url)]
    tables = [path for path in Path("/proc/net").glob("tcp*") if path.name in ("tcp", "tcp6")]
    table = "".join(path.read_text() for path in tables)
    listening = [line.split() for line in table.splitlines() if line.split()[3] == "0A"]

    for port in ports:
        addresses = [row[1].split(":")[0] for row in listening if row[1].endswith(f":{port:04X}")]
        assert addresses == ["0100007F"]  # 127.0.0.1, as the kernel writes it
        with (
            pytest.raises(ConnectionRefusedError),
            socket.create_connection(("127.0.0.2", port), timeout=2),
        ):
            pass


@pytest.mark.usefixtures("stripe_server")
def test_localstripe_ends_with_the_process_that_started_it(tmp_path):
    """A test run that is killed leaves no server behind, and no files."""
    program = (
        "import os; from tests.stripe.server import LocalStripe\n"
        "server = LocalStripe(); server.start(); print(server.url, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )

    killed = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    port = urlsplit(killed.stdout.strip()).port

    assert port
    assert gone(port)
    assert list(tmp_path.iterdir()) == []


def gone(port: int) -> bool:
    """Return whether nothing listens; a connection that is open ends when the process does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as opened:
            return opened.recv(1) == b""
    except ConnectionError:
        return True


def test_localstripe_that_cannot_start_says_why(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    server = LocalStripe()

    with pytest.raises(RuntimeError, match="did not start"):
        server.start()
    server.stop()


# Payments


@pytest.mark.parametrize("off_session", [True, None], ids=["off session", "on session"])
def test_a_saved_card_pays(client, stripe, off_session):
    parameters = intent_of(stripe.save_card())
    if off_session:
        parameters["off_session"] = True

    paid = client.v1.payment_intents.create(parameters, {"idempotency_key": "ups-1"})
    again = client.v1.payment_intents.retrieve(paid.id, {"expand": ["latest_charge"]})

    assert (paid.status, paid.amount_received, paid.description) == ("succeeded", 1299, "Order 7")
    assert paid.latest_charge == again.latest_charge.id
    assert again.latest_charge.metadata["order"] == "7"
    (charge,) = stripe.ledger.charges({"order": "7"}, key="ups-1")
    assert (charge.amount, charge.currency, charge.id) == (1299, "eur", paid.latest_charge)
    assert [event["type"] for event in stripe.webhooks.events] == [
        "payment_intent.created",
        "payment_intent.succeeded",
    ]


@pytest.mark.parametrize(
    ("card", "decline_code", "code"),
    [
        ("pm_card_chargeCustomerFail", "generic_decline", "card_declined"),
        ("pm_card_visa_chargeDeclined", "generic_decline", "card_declined"),
        (
            "pm_card_visa_chargeDeclinedInsufficientFunds",
            "insufficient_funds",
            "card_declined",
        ),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ],
)
def test_a_card_declines_as_its_name_says(client, stripe, card, decline_code, code):
    with pytest.raises(sdk.CardError) as declined:
        client.v1.payment_intents.create(intent_of(stripe.save_card(card)))

    error = declined.value.error
    assert (error.code, error.decline_code) == (code, decline_code)
    failed = client.v1.payment_intents.retrieve(error.payment_intent.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error.decline_code == decline_code
    assert failed.metadata["key"] == "ups-1"
    assert stripe.ledger.charges() == []
    assert len(stripe.webhooks.find("payment_intent.payment_failed")) == 1


def test_a_declined_intent_is_paid_with_another_card(client, stripe):
    poor = stripe.save_card("pm_card_chargeCustomerFail")
    rich = stripe.save_card(customer=poor.customer)
    with pytest.raises(sdk.CardError) as declined:
        client.v1.payment_intents.create(intent_of(poor))
    intent_id = declined.value.error.payment_intent.id

    paid = client.v1.payment_intents.confirm(
        intent_id, {"payment_method": rich.payment_method, "return_url": RETURN_URL}
    )

    assert paid.status == "succeeded"
    assert stripe.ledger.net({"order": "7"}) == 1299


def test_an_intent_is_made_first_and_confirmed_later(client, stripe):
    """Its new card is then the customer's, and what was held back is shown."""
    customer = stripe.save_card().customer
    made = client.v1.payment_intents.create(
        {
            "amount": 1299,
            "currency": "EUR",
            "customer": customer,
            "payment_method": "pm_card_visa",
            "setup_future_usage": "off_session",
        }
    )
    client.v1.payment_intents.update(made.id, {"description": "Later", "amount": 1300})

    paid = client.v1.payment_intents.confirm(made.id, {"return_url": RETURN_URL})

    assert (made.status, paid.status) == ("requires_confirmation", "succeeded")
    assert (paid.amount_received, paid.currency) == (1300, "eur")
    assert (paid.description, paid.setup_future_usage) == ("Later", "off_session")
    cards = client.v1.payment_methods.list({"customer": customer})
    assert paid.payment_method in [card.id for card in cards.data]


def test_authentication_is_not_to_be_had_off_session(client, stripe):
    card = stripe.save_card("pm_card_authenticationRequired")

    with pytest.raises(sdk.CardError) as declined:
        client.v1.payment_intents.create(intent_of(card, off_session=True))

    assert declined.value.error.code == "authentication_required"
    assert declined.value.error.payment_intent.status == "requires_payment_method"


@pytest.mark.parametrize(
    ("card", "answer", "redirect_status", "status", "taken"),
    [
        ("pm_card_authenticationRequired", "approve", "succeeded", "succeeded", 1299),
        ("pm_card_authenticationRequired", "fail", "failed", "requires_payment_method", 0),
        (
            "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
            "approve",
            "failed",
            "requires_payment_method",
            0,
        ),
    ],
)
def test_the_bank_sends_the_buyer_back(
    client, stripe, card, answer, redirect_status, status, taken
):
    asked = client.v1.payment_intents.create(intent_of(stripe.save_card(card)))
    redirect = asked.next_action.redirect_to_url
    assert (asked.status, redirect.return_url) == ("requires_action", RETURN_URL)

    back = posted(redirect.url, answer=answer)

    address = urlsplit(back.headers["Location"])
    assert (back.status, address.netloc, address.path) == (303, "shop.test", "/return/")
    assert parse_qs(address.query) == {
        "order": ["7"],
        "payment_intent": [asked.id],
        "payment_intent_client_secret": [asked.client_secret],
        "redirect_status": [redirect_status],
    }
    after = client.v1.payment_intents.retrieve(asked.id)
    assert (after.status, after.next_action) == (status, None)
    assert stripe.ledger.net({"order": "7"}) == taken


def test_a_challenge_is_cancelled_or_paid_never_both(client, stripe):
    card = stripe.save_card("pm_card_authenticationRequired")
    first = client.v1.payment_intents.create(intent_of(card))
    second = client.v1.payment_intents.create(intent_of(card))

    cancelled = client.v1.payment_intents.cancel(first.id, {"cancellation_reason": "abandoned"})
    stripe.approve(first.id)
    stripe.approve(second.id)
    with pytest.raises(sdk.InvalidRequestError) as refused:
        client.v1.payment_intents.cancel(second.id)

    assert (cancelled.status, cancelled.cancellation_reason) == ("canceled", "abandoned")
    assert refused.value.code == "payment_intent_unexpected_state"
    assert refused.value.error.payment_intent.status == "succeeded"
    assert [charge.payment_intent for charge in stripe.ledger.charges()] == [second.id]


def test_an_authorised_amount_is_captured_or_let_go(client, stripe):
    card = stripe.save_card()
    kept = client.v1.payment_intents.create(intent_of(card, capture_method="manual"))
    let_go = client.v1.payment_intents.create(intent_of(card, capture_method="manual"))
    assert (kept.status, kept.amount_capturable, kept.amount_received) == (
        "requires_capture",
        1299,
        0,
    )
    assert stripe.ledger.net() == 0

    client.v1.payment_intents.capture(kept.id, {"amount_to_capture": 1000})
    client.v1.payment_intents.cancel(let_go.id)

    assert stripe.ledger.net() == 1000


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"colour": "red"}, "colour"),
        ({"amount": 49}, "amount"),
        ({"amount": "12.99"}, "amount"),
        ({"currency": "isk", "amount": 1299}, "amount"),
        ({"currency": "kwd", "amount": 12995}, "amount"),
        ({"return_url": None}, None),
        ({"confirm": False}, "return_url"),
        ({"metadata": {"k" * 41: "v"}}, f"metadata[{'k' * 41}]"),
    ],
)
def test_what_stripe_refuses_is_refused(client, stripe, wrong, param):
    parameters = {**intent_of(stripe.save_card()), **wrong}
    parameters = {name: value for name, value in parameters.items() if value is not None}

    with pytest.raises(sdk.InvalidRequestError) as refused:
        client.v1.payment_intents.create(parameters)

    assert refused.value.http_status == 400
    assert refused.value.error.param == param


def test_the_card_of_another_customer_is_refused(client, stripe):
    theirs, ours = stripe.save_card(), stripe.save_card()

    with pytest.raises(sdk.InvalidRequestError, match="belongs to a customer"):
        client.v1.payment_intents.create(intent_of(theirs, customer=ours.customer))


def test_a_wrong_key_of_the_api_is_refused(stripe):
    client = sdk.StripeClient("sk_test_other", base_addresses={"api": stripe.url})

    with pytest.raises(sdk.AuthenticationError):
        client.v1.payment_intents.list()
