"""Which saved card paid an order: the one thing that Stripe's gateway must learn from the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.utils.module_loading import import_string

from upsell.contrib.stripe import conf
from upsell.ports import Occasion


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card that Stripe keeps for a customer, with consent to charge it again."""

    customer: str
    """``cus_…``"""
    payment_method: str
    """``pm_…`` or ``card_…``"""
    label: str = ""
    """For the buyer: "Visa ending 4242"."""


Find = Callable[[Occasion], Card | None]


def card_of(order: Occasion) -> Card | None:
    """Return the card that paid an order; none where none was kept. No network.

    In this order: the function that ``UPSELL_STRIPE_CARD`` names; the facts
    ``stripe_customer``, ``stripe_payment_method`` and ``stripe_label`` that the shop's adapter
    puts into ``Occasion.facts``; the fact ``stripe_payment_intent``, looked up in dj-stripe's
    own tables where that app is installed.
    """
    path = conf.get("UPSELL_STRIPE_CARD")
    if path:
        find: Find = import_string(path)
        return find(order)
    customer = str(order.facts.get("stripe_customer") or "")
    method = str(order.facts.get("stripe_payment_method") or "")
    if customer and method:
        label = str(order.facts.get("stripe_label") or "")
        return Card(customer=customer, payment_method=method, label=label)
    intent = str(order.facts.get("stripe_payment_intent") or "")
    return _from_djstripe(intent) if intent and apps.is_installed("djstripe") else None


def _from_djstripe(intent_id: str) -> Card | None:
    """Read dj-stripe's copy of the payment: its JSON has the ids whatever its version's fields."""
    models: Any = apps.get_app_config("djstripe")
    model: Any = models.get_model("PaymentIntent")
    row = model.objects.filter(id=intent_id).first()
    told = getattr(row, "stripe_data", None) or {}
    customer = told.get("customer") or getattr(row, "customer_id", "") or ""
    method = told.get("payment_method") or getattr(row, "payment_method_id", "") or ""
    if not (customer and method):
        return None
    return Card(customer=str(customer), payment_method=str(method))
