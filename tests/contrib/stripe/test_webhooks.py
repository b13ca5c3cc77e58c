"""Stripe's reports: which are believed, and what each says in the words of our port."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from decimal import Decimal

import pytest
from django.test import RequestFactory

from upsell.contrib.stripe.gateway import StripeGateway
from upsell.ports import ChargeState

SECRET, KEY = "whsec_of_the_test", "ups-5f0c"


@pytest.fixture(autouse=True)
def _settings(settings):
    settings.UPSELL_STRIPE_WEBHOOK_SECRETS = ["whsec_of_before", SECRET]


def event(kind: str, thing: object, **more: object) -> dict[str, object]:
    return {"id": "evt_1", "type": kind, "data": {"object": thing}} | more


def intent(**told: object) -> dict[str, object]:
    plain = {"id": "pi_1", "status": "succeeded", "currency": "eur", "amount": 2400}
    return plain | {"amount_received": 2400, "metadata": {"key": KEY}} | told


def sent(body: object, *, secret: str = SECRET, at: float = 0, header: str | None = None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    stamp = int(time.time() + at)
    signature = hmac.new(secret.encode(), b"%d.%s" % (stamp, raw), hashlib.sha256).hexdigest()
    headers = {"Stripe-Signature": f"t={stamp},v1={signature}" if header is None else header}
    return RequestFactory().post("/", raw, content_type="application/json", headers=headers)


def heard(body: object, **how) -> list[tuple[str, object]]:
    return list(StripeGateway().parse_webhook(sent(body, **how)))


@pytest.mark.parametrize(
    ("thing", "state", "amount"),
    [
        pytest.param({}, ChargeState.CAPTURED, Decimal("24.00"), id="paid"),
        pytest.param(
            {"status": "requires_capture", "amount_received": 0},
            ChargeState.AUTHORIZED,
            Decimal("24.00"),
            id="authorised",
        ),
        pytest.param(
            {"status": "processing"}, ChargeState.PENDING, Decimal("24.00"), id="on its way"
        ),
        pytest.param({"status": "canceled"}, ChargeState.DECLINED, None, id="cancelled"),
        pytest.param(
            {"status": "of_next_year"}, ChargeState.UNKNOWN, Decimal("24.00"), id="a new word"
        ),
        pytest.param(
            {"currency": "jpy", "amount_received": 999},
            ChargeState.CAPTURED,
            Decimal(999),
            id="yen have no cents",
        ),
        pytest.param(
            {"currency": "kwd", "amount_received": 1050},
            ChargeState.CAPTURED,
            Decimal("1.050"),
            id="dinars have three places",
        ),
    ],
)
def test_a_payment_is_reported(thing, state, amount):
    [(key, result)] = heard(event("payment_intent.succeeded", intent(**thing)))

    assert (key, result.state, result.amount) == (KEY, state, amount)
    assert (result.reference, result.event_id) == ("pi_1", "evt_1")


def test_a_challenge_says_where():
    action = {"redirect_to_url": {"url": "https://bank.example/"}}
    thing = intent(status="requires_action", next_action=action, client_secret="cs")

    [(_, result)] = heard(event("payment_intent.requires_action", thing))

    assert result.state is ChargeState.REQUIRES_ACTION
    assert (result.action_url, result.client_secret) == ("https://bank.example/", "cs")


def test_a_refund_in_the_dashboard_is_reported_with_what_is_back():
    charge = {"payment_intent": "pi_1", "captured": True, "paid": True, "currency": "eur"}
    charge |= {"amount": 2400, "amount_captured": 2400, "amount_refunded": 500}

    [(key, result)] = heard(event("charge.refunded", charge | {"metadata": {"key": KEY}}))

    assert (key, result.refunded, result.reference) == (KEY, Decimal("5.00"), "pi_1")


@pytest.mark.parametrize(
    ("status", "told"), [("needs_response", "open"), ("won", "won"), ("lost", "lost")]
)
def test_a_dispute_is_reported_by_its_payment(status, told):
    dispute = {"payment_intent": "pi_1", "amount": 2400, "currency": "eur", "status": status}

    [(key, result)] = heard(event("charge.dispute.created", dispute))

    assert (key, result.reference, result.dispute) == ("", "pi_1", told)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(event("customer.created", {"id": "cus_1"}), id="of something else"),
        pytest.param(event("payment_intent.succeeded", intent(metadata={})), id="not ours"),
        pytest.param(
            event("payment_intent.succeeded", intent(metadata={"key": "theirs"})),
            id="another app's key",
        ),
        pytest.param(event("payment_intent.succeeded", []), id="no object"),
        pytest.param(
            event("payment_intent.created", intent(status="requires_payment_method")),
            id="created and not confirmed yet",
        ),
    ],
)
def test_what_is_not_about_us_gives_nothing(body):
    assert heard(body) == []


PAID = event("payment_intent.succeeded", intent())


@pytest.mark.parametrize(
    ("body", "how"),
    [
        pytest.param(PAID, {"secret": "whsec_of_a_stranger"}, id="signed by a stranger"),
        pytest.param(PAID, {"header": ""}, id="not signed"),
        pytest.param(PAID, {"header": "t=1,v1=00"}, id="a wrong signature"),
        pytest.param(PAID, {"header": "t=now,v1=00"}, id="no time"),
        pytest.param(PAID, {"at": -301}, id="five minutes and a second old"),
        pytest.param(PAID, {"at": 303}, id="of the future"),
        pytest.param(PAID | {"account": "acct_other"}, {}, id="of another account"),
        pytest.param(b"not json", {}, id="no JSON"),
        pytest.param(b"[1]", {}, id="no object"),
        pytest.param(b"\xff\xfe", {}, id="no text"),
        pytest.param(b'"' + b"x" * 300_000 + b'"', {}, id="too long"),
    ],
)
def test_t5_what_cannot_be_trusted_is_refused_in_the_same_words(body, how):
    with pytest.raises(ValueError, match=r"^this report cannot be trusted$"):
        heard(body, **how)


def test_a_report_of_the_account_that_is_set_is_believed(settings):
    settings.UPSELL_STRIPE_ACCOUNT = "acct_ours"

    assert len(heard(PAID | {"account": "acct_ours"})) == 1
    with pytest.raises(ValueError, match="cannot be trusted"):
        heard(PAID)


def test_without_a_secret_nothing_is_believed(settings):
    settings.UPSELL_STRIPE_WEBHOOK_SECRETS = []

    with pytest.raises(ValueError, match="cannot be trusted"):
        heard(PAID)
