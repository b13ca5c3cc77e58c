"""The one way out to Stripe: a client with a time-out, without hidden retries, one API version."""

from __future__ import annotations

from functools import cache
from typing import Any

import stripe
from django.core.signals import setting_changed

from upsell.contrib.stripe import conf
from upsell.exceptions import ConfigurationError


@cache
def client() -> stripe.StripeClient:
    """Return the client, one per process. Safe between threads.

    Raises:
        ConfigurationError: ``UPSELL_STRIPE_SECRET_KEY`` is missing.
    """
    key = str(conf.get("UPSELL_STRIPE_SECRET_KEY"))
    if not key:
        raise ConfigurationError("UPSELL_STRIPE_SECRET_KEY must be your secret key, and is empty")
    seconds = conf.get("UPSELL_STRIPE_TIMEOUT").total_seconds()
    options: dict[str, Any] = {}
    if conf.get("UPSELL_STRIPE_API_BASE"):
        options["base_addresses"] = {"api": str(conf.get("UPSELL_STRIPE_API_BASE"))}
    if conf.get("UPSELL_STRIPE_ACCOUNT"):
        options["stripe_account"] = str(conf.get("UPSELL_STRIPE_ACCOUNT"))
    return stripe.StripeClient(
        key,
        stripe_version=conf.API_VERSION,
        max_network_retries=0,
        # Connecting and reading share the time: a request is over when both are used up.
        http_client=stripe.RequestsClient(timeout=(seconds * 0.3, seconds * 0.7)),
        **options,
    )


def _forget(*, setting: str, **_kwargs: Any) -> None:
    if setting.startswith("UPSELL_STRIPE_"):
        client.cache_clear()


setting_changed.connect(_forget, dispatch_uid="upsell.contrib.stripe")
