"""The Stripe server of the tests, for whichever shop: started once, empty for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

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
