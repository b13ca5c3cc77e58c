"""Fixtures: a Stripe server of our own, started once, empty for every test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.stripe.control import Stripe
from tests.stripe.proxy import Proxy
from tests.stripe.server import LocalStripe, missing

LACKING = missing()
if LACKING and "stripe" in os.environ.get("UPSELL_TEST_REQUIRE", "").split(","):
    raise pytest.UsageError(f"stripe is required and not installed: {LACKING}")


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[Proxy]:
    """localstripe in a process of its own and the proxy before it."""
    if LACKING:
        pytest.skip(f"not installed: {LACKING} (the extra stripe-tests)")
    localstripe = LocalStripe()
    try:
        localstripe.start()
        proxy = Proxy(localstripe.url)
        proxy.start()
        yield proxy
        proxy.stop()
    finally:
        localstripe.stop()


@pytest.fixture
def stripe(stripe_server) -> Iterator[Stripe]:
    """The account, without any object, event, fault or call of an earlier test."""
    control = Stripe(stripe_server)
    control.reset()
    yield control
    control.reset()


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
