"""System checks of the settings: what is missing, said before a buyer finds it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from upsell.checks import unread
from upsell.contrib.stripe import conf


def register() -> None:
    """Register every check."""
    checks.register(check_settings, "upsell")


def check_settings(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """The library is there, the keys are set, and the card can be found."""
    if find_spec("stripe") is None:
        return [
            checks.Error(
                "upsell.contrib.stripe needs the package stripe.",
                hint='Install it: pip install "django-upsell[stripe]".',
                id="upsell.E101",
            )
        ]
    found: list[checks.CheckMessage] = []
    key = str(conf.get("UPSELL_STRIPE_SECRET_KEY"))
    if not key.startswith(("sk_", "rk_")):
        told = "is empty" if not key else "does not begin with sk_ or rk_"
        found.append(
            checks.Error(
                f"UPSELL_STRIPE_SECRET_KEY {told}.",
                hint="Use the secret key, or a restricted one that may write payments and refunds.",
                id="upsell.E102",
            )
        )
    if not all(secret.startswith("whsec_") for secret in conf.webhook_secrets()):
        found.append(
            checks.Error(
                "UPSELL_STRIPE_WEBHOOK_SECRETS holds something that is no signing secret.",
                hint="Signing secrets begin with whsec_.",
                id="upsell.E103",
            )
        )
    elif not conf.webhook_secrets():
        found.append(
            checks.Warning(
                "UPSELL_STRIPE_WEBHOOK_SECRETS is empty: Stripe's reports are refused.",
                hint="Payments are found by the reconciler all the same, only later; refunds "
                "and disputes in Stripe's dashboard are not.",
                id="upsell.W101",
            )
        )
    path = conf.get("UPSELL_STRIPE_CARD")
    if path:
        try:
            import_string(path)
        except ImportError:
            found.append(
                checks.Error(
                    f"UPSELL_STRIPE_CARD names {path}, which cannot be imported.",
                    hint="Name a function that takes an Occasion and returns a Card or None.",
                    id="upsell.E104",
                )
            )
    return found + unread(dir(settings), "UPSELL_STRIPE_", conf.DEFAULTS, code="upsell.W102")
