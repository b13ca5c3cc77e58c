"""The settings of the Stripe gateway: amounts, cards, checks, and what the page says of them."""

from __future__ import annotations

import doctest
from decimal import Decimal

import pytest

from tests.docs.pages import DOCS
from tests.engine.builders import order
from upsell.contrib.stripe import amounts, checks, conf
from upsell.contrib.stripe.cards import Card
from upsell.contrib.stripe.client import client
from upsell.contrib.stripe.gateway import StripeGateway
from upsell.exceptions import ConfigurationError
from upsell.ports import ChargeRequest, ChargeState, CollectionWay

PAGE = (DOCS / "how-to" / "stripe.md").read_text()
KEPT = {"stripe_customer": "cus_1", "stripe_payment_method": "pm_1", "stripe_label": "Visa 4242"}
mine = Card(customer="cus_2", payment_method="pm_2", label="Mine")


def find(occasion):
    """A host's own function."""
    return mine


def none(occasion):
    return None


def collection(facts: dict[str, str], amount: str | None = "24.00", **options):
    trusted, currency = options.pop("trusted", True), options.pop("currency", "EUR")
    due = None if amount is None else Decimal(amount)
    return StripeGateway().collection(order(facts=facts), due, currency, trusted=trusted)


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        pytest.param("28.90", "EUR", 2890, id="cents"),
        pytest.param("999", "JPY", 999, id="yen"),
        pytest.param("1.250", "KWD", 1250, id="dinars end in 0"),
        pytest.param("5", "ISK", 500, id="Stripe counts kronur in hundredths"),
        pytest.param("5", "UGX", 500, id="and shillings"),
        pytest.param("5", "MGA", 5, id="and ariary whole"),
    ],
)
def test_an_amount_is_counted_as_stripe_counts_it(amount, currency, units):
    assert amounts.units(Decimal(amount), currency) == units
    assert amounts.amount(units, currency.lower()) == Decimal(amount)


@pytest.mark.parametrize(
    ("amount", "currency"), [("0.001", "EUR"), ("1.5", "JPY"), ("1.235", "KWD"), ("0.5", "MGA")]
)
def test_what_stripe_cannot_charge_is_not_rounded(amount, currency):
    with pytest.raises(ValueError, match="no amount that Stripe can charge"):
        amounts.units(Decimal(amount), currency)
    assert collection(KEPT, amount, currency=currency).how is CollectionWay.NONE


def test_the_examples_of_amounts_are_true():
    assert doctest.testmod(amounts).failed == 0


@pytest.mark.parametrize(
    ("facts", "path", "credential"),
    [
        pytest.param(KEPT, "", "cus_1 pm_1", id="facts of the order"),
        pytest.param({}, "", "", id="no card was kept"),
        pytest.param({"stripe_customer": "cus_1"}, "", "", id="a customer without a card"),
        pytest.param({"stripe_payment_intent": "pi_1"}, "", "", id="dj-stripe is not there"),
        pytest.param(KEPT, f"{__name__}.find", "cus_2 pm_2", id="the host's function wins"),
        pytest.param(KEPT, f"{__name__}.none", "", id="the host's function says none"),
    ],
)
def test_the_card_that_paid_the_order_is_found(settings, facts, path, credential):
    settings.UPSELL_STRIPE_CARD = path

    answer = collection(facts)

    assert answer.credential == credential
    assert answer.how is (CollectionWay.CHARGE_SAVED if credential else CollectionWay.NONE)


def test_t7_who_only_holds_a_link_pays_nothing_silently():
    assert collection(KEPT, trusted=False).how is CollectionWay.NONE


def test_the_least_amount_is_stripes():
    assert collection(KEPT).min_amount == Decimal("0.50")
    assert collection(KEPT, None, currency="JPY").min_amount == 50


def test_without_a_key_nothing_is_sent():
    request = ChargeRequest(
        key="ups-1",
        order_ref="1",
        order_number="1",
        amount=Decimal(1),
        currency="EUR",
        minor_units=100,
    )

    answer = StripeGateway().charge(request)

    assert (answer.state, answer.decline_code) == (ChargeState.DECLINED, "configuration")
    with pytest.raises(ConfigurationError, match="UPSELL_STRIPE_SECRET_KEY"):
        client()


@pytest.mark.parametrize(
    ("name", "value", "ids"),
    [
        pytest.param("SECRET_KEY", "", ["upsell.E102"], id="no key"),
        pytest.param("SECRET_KEY", "pk_live_1", ["upsell.E102"], id="the public key"),
        pytest.param("WEBHOOK_SECRETS", ["sk_1"], ["upsell.E103"], id="not a signing secret"),
        pytest.param("WEBHOOK_SECRETS", (), ["upsell.W101"], id="no secret"),
        pytest.param("WEBHOOK_SECRETS", "whsec_1", [], id="a single one"),
        pytest.param("CARD", "nowhere.find", ["upsell.E104"], id="not to be imported"),
        pytest.param("ACOUNT", "acct_1", ["upsell.W102"], id="a typing error"),
    ],
)
def test_a_wrong_setting_is_said(settings, name, value, ids):
    settings.UPSELL_STRIPE_SECRET_KEY = "sk_test_1"
    settings.UPSELL_STRIPE_WEBHOOK_SECRETS = ["whsec_1"]
    setattr(settings, f"UPSELL_STRIPE_{name}", value)

    assert [row.id for row in checks.check_settings(None)] == ids


def test_the_page_names_every_setting_check_and_the_version():
    assert [name for name in conf.DEFAULTS if f"| `{name}` |" not in PAGE] == []
    assert f"`{conf.API_VERSION}`" in PAGE
    for check in ("E101", "E102", "E103", "E104", "W101", "W102"):
        assert f"| `upsell.{check}` |" in PAGE
