"""What goods cost the shop, asked when an order is changed and kept with the acceptance."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction

from upsell import conf
from upsell.models import Offer
from upsell.ports import Product, Ref
from upsell.services.locking import GAVE_UP

logger = logging.getLogger("upsell")

_PLACES = Decimal("0.0001")
_MOST = Decimal(10) ** 15
"""A column has no room for more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Before tax, in the offer's currency; none = not known."""

    added: Decimal | None = None
    """Of all units that an offer adds."""
    replaced: Decimal | None = None
    """Of all units that leave the order for it; 0 where none does."""


UNKNOWN = Costs()


def costs_of(offer: Offer) -> Costs:
    """Return what the goods of an offer cost: one question to the shop.

    Costs are in ``UPSELL_COST_CURRENCY``. For an offer in another currency, or where it is not
    set, the shop is not asked. Whatever the shop raises, the sale goes on without its costs.
    """
    if not offer.currency or offer.currency != conf.get("UPSELL_COST_CURRENCY"):
        return UNKNOWN
    leaving = [(row["product_ref"], row["quantity"]) for row in offer.terms["replaced"]]
    refs = list(dict.fromkeys([offer.product_ref, *(ref for ref, _units in leaving)]))
    try:
        with _savepoint():
            products = conf.shop().products(refs)
        return Costs(
            added=_cost(products, [(offer.product_ref, offer.quantity)]),
            replaced=_cost(products, leaving),
        )
    except GAVE_UP:
        raise
    except Exception:
        # The host's adapter is foreign code; a figure is no reason to give a buyer's money back.
        logger.exception("offer %s: what its products cost could not be asked", offer.pk)
        return UNKNOWN


def _savepoint() -> AbstractContextManager[Any]:
    return transaction.atomic() if conf.shop().shares_database else nullcontext()


def _cost(products: Mapping[Ref, Product], units: list[tuple[Ref, int]]) -> Decimal | None:
    total = Decimal(0)
    for ref, number in units:
        product = products.get(ref)
        if product is None or product.cost is None:
            return None
        total += product.cost * number
    # A comparison is False for what is not a number, and raises for some of it.
    return total.quantize(_PLACES) if total.is_finite() and abs(total) < _MOST else None
