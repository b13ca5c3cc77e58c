"""Every ``UPSELL_STRIPE_*`` setting: name, default, meaning. Read when used, never at import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings

API_VERSION = "2025-08-27.basil"
"""The version of Stripe's API that this gateway was written and tested against; it is sent with
every request, so that a change of the account's own version changes nothing here."""

DEFAULTS: Mapping[str, Any] = {
    "UPSELL_STRIPE_SECRET_KEY": "",  # sk_… or rk_…; needed
    "UPSELL_STRIPE_WEBHOOK_SECRETS": (),  # whsec_…, more than one while they are rotated
    "UPSELL_STRIPE_WEBHOOK_TOLERANCE": timedelta(minutes=5),  # how old or early a report may be
    "UPSELL_STRIPE_ACCOUNT": "",  # acct_… of a connected account; empty = the key's own
    "UPSELL_STRIPE_CARD": "",  # dotted path of a function: occasion -> Card or none
    "UPSELL_STRIPE_API_BASE": "",  # another address than Stripe's, for tests
    "UPSELL_STRIPE_TIMEOUT": timedelta(seconds=5),  # of one request, connecting included
}


def get(name: str) -> Any:
    """Return a setting, or its default. KeyError for a name that is not ours."""
    return getattr(settings, name, DEFAULTS[name])


def webhook_secrets() -> Sequence[str]:
    """Return the secrets that a report may be signed with; a single one may be a string."""
    told = get("UPSELL_STRIPE_WEBHOOK_SECRETS")
    return [told] if isinstance(told, str) and told else list(told)
