"""One decision's way to the host: what the engine asks, answered in batches, within a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from upsell import conf
from upsell.engine.campaigns import Answers, Wanted
from upsell.ports import (
    Availability,
    Capability,
    Collection,
    CollectionWay,
    Occasion,
    Product,
    Purchase,
    Shop,
)

LONGEST_MEMORY = timedelta(days=730)
"""How far back purchases are asked for; campaigns look back less."""


class OutOfTime(Exception):
    """The time budget is spent; there will be no offer."""


@dataclass(slots=True, kw_only=True)
class Ports:
    """One decision's way to the host: each port once a batch, the time looked at in between."""

    shop: Shop
    occasion: Occasion
    now: datetime
    trusted: bool = True
    deadline: float | None = None
    products: dict[str, Product]
    availability: dict[str, Availability]
    purchases: Sequence[Purchase] | None = None

    def ask(self, wanted: Sequence[Wanted]) -> Answers:
        """Answer the engine about these products."""
        refs = list(dict.fromkeys(ref for ref, _ in wanted))
        self.products.update(self.shop.products(refs))
        self._look_at_the_clock()
        self.availability.update(self.shop.availability(wanted, self.occasion))
        self._look_at_the_clock()
        if self.purchases is None:
            self.purchases = self._bought()
            self._look_at_the_clock()
        return Answers(
            products=self.products,
            availability=self.availability,
            purchases=self.purchases,
            collection=collection_for(self.occasion, None, trusted=self.trusted),
            can_replace=Capability.REPLACE in self.shop.capabilities,
        )

    @property
    def known_purchases(self) -> Sequence[Purchase] | None:
        """What this buyer bought, as it was asked for; none = the shop cannot tell."""
        return self.purchases if Capability.HISTORY in self.shop.capabilities else None

    def _bought(self) -> Sequence[Purchase]:
        if Capability.HISTORY not in self.shop.capabilities:
            return ()
        return self.shop.purchases(self.occasion.customer, self.now - LONGEST_MEMORY, 500)

    def _look_at_the_clock(self) -> None:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OutOfTime


def collection_for(occasion: Occasion, amount: Any, *, trusted: bool) -> Collection | None:
    """Ask the order's own payment how more can be collected; none = it has no gateway."""
    gateway = conf.gateways().get(occasion.payment_method or "")
    if gateway is None:
        return None
    answer = gateway.collection(occasion, amount, occasion.currency, trusted=trusted)
    if answer.how is CollectionWay.REDIRECT_APPROVAL and not conf.get("UPSELL_APPROVAL"):
        return replace(answer, how=CollectionWay.NONE)
    return answer
