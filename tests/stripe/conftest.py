"""Fixtures: the example shop, and the Stripe server that it takes its cards with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from example_shop.models import Product
from tests.factories import campaign, catalogue
from tests.stripe import shopping
from tests.stripe.serving import stripe, stripe_server
from upsell import signals

__all__ = ["stripe", "stripe_server"]


@pytest.fixture
def client_of(stripe) -> Callable[..., Any]:
    """Make Stripe's own client of this patience, without any retries of its own."""
    sdk = pytest.importorskip("stripe", reason="the extra stripe-tests is not installed")

    def make(timeout_seconds: float = 20) -> Any:
        return sdk.StripeClient(
            stripe.api_key,
            base_addresses={"api": stripe.url},
            http_client=sdk.RequestsClient(timeout=timeout_seconds),
            max_network_retries=0,
        )

    return make


@pytest.fixture
def client(client_of) -> Any:
    """Stripe's own client, patient."""
    return client_of()


@pytest.fixture
def products(stripe, settings, transactional_db) -> dict[str, Product]:
    """The example shop, which takes its cards with Stripe and offers a case to every order."""
    for name, value in shopping.settings_for(stripe).items():
        setattr(settings, name, value)
    settings.UPSELL_STRIPE_TIMEOUT = timedelta(seconds=1)
    settings.UPSELL_BREAKER_FAILURES = 50  # a provider that is left alone has tests of its own
    shopping.CARDS.clear()
    stripe.webhooks.account = None
    made = catalogue()
    campaign(made["CA"])
    return made


@pytest.fixture
def alarms() -> Iterator[list[str]]:
    """What staff are told, one after the other."""
    told: list[str] = []

    def late(**_told: object) -> None:
        told.append("late money")

    def attention(*, code: str, **_told: object) -> None:
        told.append(code)

    signals.late_money.connect(late)
    signals.offer_needs_attention.connect(attention)
    yield told
    signals.late_money.disconnect(late)
    signals.offer_needs_attention.disconnect(attention)
