"""A browser of the buyer, and an offer of theirs to look at."""

from __future__ import annotations

from typing import Any

from django.test import Client

from example_shop.models import Product
from tests.factories import campaign, catalogue
from upsell.models import Offer


def shop_with_an_offer(**options: Any) -> dict[str, Product]:
    """Stock the shop without end, and offer the smart machine for the plain one."""
    products = catalogue()
    Product.objects.update(stock=None)
    campaign(products["W2"], products["W1"], kind="UPSELL", **options)
    return products


def placing(offer: Offer, **options: Any) -> Client:
    """Return the browser in which the order was placed."""
    client = Client(**options)
    session = client.session
    session["order_ref"] = offer.order_ref
    session.save()
    return client
