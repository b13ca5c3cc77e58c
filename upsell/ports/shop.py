"""What a host shop is to us: one ``Shop``, and what it can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Protocol

from upsell.engine.types import (
    Applied,
    Availability,
    Change,
    Choice,
    Customer,
    Fact,
    Occasion,
    Price,
    Product,
    Purchase,
    Quote,
    Ref,
)
from upsell.exceptions import NotFound, Refused

if TYPE_CHECKING:
    from django.http import HttpRequest


class Capability(StrEnum):
    """What a shop can tell or do. Unknown is not empty: without it, filters on it never match."""

    TAX = "TAX"
    STOCK = "STOCK"
    HOLD = "HOLD"
    SHIPPING_QUOTE = "SHIPPING_QUOTE"
    REPLACE = "REPLACE"
    REVERT = "REVERT"
    CART = "CART"
    GROUPS = "GROUPS"
    CATEGORIES = "CATEGORIES"
    BRANDS = "BRANDS"
    CHANNELS = "CHANNELS"
    COUNTRY = "COUNTRY"
    PAYMENT_METHOD = "PAYMENT_METHOD"
    RETURNS = "RETURNS"
    HISTORY = "HISTORY"
    CONSENT = "CONSENT"
    FULFILMENT_HOLD = "FULFILMENT_HOLD"


class Shop(Protocol):
    """The host's shop.

    Reads are bulk, lock nothing and raise ``NotFound``; writes are idempotent on ``change.id``.
    """

    slug: str
    capabilities: frozenset[Capability]
    shares_database: bool
    signals: Mapping[str, str]

    def ref(self, thing: object) -> Ref: ...
    def order(self, ref: Ref) -> Occasion: ...
    def products(self, refs: Sequence[Ref]) -> Mapping[Ref, Product]: ...
    def availability(
        self, wanted: Sequence[tuple[Ref, int]], occasion: Occasion
    ) -> Mapping[Ref, Availability]: ...
    def order_for_request(self, request: HttpRequest) -> Ref | None: ...
    def may_act(self, request: HttpRequest, order_ref: Ref) -> bool: ...
    def purchases(self, customer: Customer, since: datetime, limit: int) -> Sequence[Purchase]: ...
    def orders_since(self, after: datetime, limit: int) -> Sequence[Ref]: ...
    def baskets(self, since: datetime) -> Iterator[Sequence[Ref]]: ...
    def choices(self, kind: str, query: str, limit: int) -> Sequence[Choice]: ...
    def facts(self, customer: Customer) -> Mapping[str, Fact]: ...
    def order_url(self, order_ref: Ref) -> str: ...

    def quote(self, change: Change) -> Quote: ...
    def hold(self, change: Change, quote: Quote) -> str: ...
    def release(self, hold: str) -> None: ...

    def apply(self, change: Change, quote: Quote, hold: str = "") -> Applied: ...
    def revert(self, change: Change, applied: Applied) -> Applied: ...
    def record_payment(
        self,
        order_ref: Ref,
        kind: str,
        amount: Decimal,
        currency: str,
        reference: str,
        gateway: str,
    ) -> None: ...
    def hold_fulfilment(self, order_ref: Ref, until: datetime) -> None: ...
    def release_fulfilment(self, order_ref: Ref) -> None: ...

    def cart(self, request: HttpRequest) -> Occasion | None: ...
    def change_cart(self, request: HttpRequest, change: Change, quote: Quote) -> Applied: ...
    def free_shipping(self, occasion: Occasion) -> Price | None: ...


class BaseShop:
    """A shop with sensible answers for everything that is optional.

    A subclass must give ``order``, ``products``, ``availability``, ``may_act``,
    ``quote``, ``apply`` and, for undo, ``revert``; the rest as its capabilities say.
    """

    slug: str = "shop"
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    shares_database: bool = True
    """True: hold, apply, revert and record_payment run inside our one transaction."""
    signals: ClassVar[Mapping[str, str]] = {}
    """``placed``, ``changed``, ``cancelled``, ``refunded``, ``shipped``, ``delivered``
    or ``returned`` to the dotted name of any Django signal."""

    def ref(self, thing: object) -> Ref:
        """Turn one of the shop's own objects into its reference; a string passes through."""
        return thing if isinstance(thing, str) else str(getattr(thing, "pk", thing))

    def order(self, ref: Ref) -> Occasion:
        raise NotFound(f"{type(self).__name__} has no order {ref}")

    def products(self, refs: Sequence[Ref]) -> Mapping[Ref, Product]:
        return {}

    def availability(
        self, wanted: Sequence[tuple[Ref, int]], occasion: Occasion
    ) -> Mapping[Ref, Availability]:
        return {}

    def order_for_request(self, request: HttpRequest) -> Ref | None:
        """The order just placed in this session."""
        return None

    def may_act(self, request: HttpRequest, order_ref: Ref) -> bool:
        """The placing session or the signed-in owner. Seeing the page is not enough."""
        return False

    def purchases(self, customer: Customer, since: datetime, limit: int) -> Sequence[Purchase]:
        """What this buyer bought, newest first; cancelled and fully refunded orders left out."""
        return ()

    def orders_since(self, after: datetime, limit: int) -> Sequence[Ref]:
        """Orders placed or changed since, oldest first: finds what a lost signal missed."""
        return ()

    def baskets(self, since: datetime) -> Iterator[Sequence[Ref]]:
        """Order history for mining, one basket at a time."""
        return iter(())

    def choices(self, kind: str, query: str, limit: int) -> Sequence[Choice]:
        """Admin pickers. ``kind``: product, category, brand, tag, group, channel, country,
        payment_method or order. A ``query`` that is exactly a reference finds that row first."""
        return ()

    def facts(self, customer: Customer) -> Mapping[str, Fact]:
        return {}

    def order_url(self, order_ref: Ref) -> str:
        """Where the buyer looks at the order; empty where there is no such page."""
        return ""

    def quote(self, change: Change) -> Quote:
        raise NotFound(f"{type(self).__name__} cannot quote {change.product_ref}")

    def hold(self, change: Change, quote: Quote) -> str:
        return ""

    def release(self, hold: str) -> None:
        return None

    def apply(self, change: Change, quote: Quote, hold: str = "") -> Applied:
        raise Refused("product_unavailable", f"{type(self).__name__} cannot change orders")

    def revert(self, change: Change, applied: Applied) -> Applied:
        raise Refused("order_changed", f"{type(self).__name__} cannot undo")

    def record_payment(
        self,
        order_ref: Ref,
        kind: str,
        amount: Decimal,
        currency: str,
        reference: str,
        gateway: str,
    ) -> None:
        """Book our money on the order, once per (kind, reference). ``kind``: charge or refund."""
        return None

    def hold_fulfilment(self, order_ref: Ref, until: datetime) -> None:
        return None

    def release_fulfilment(self, order_ref: Ref) -> None:
        return None

    def cart(self, request: HttpRequest) -> Occasion | None:
        return None

    def change_cart(self, request: HttpRequest, change: Change, quote: Quote) -> Applied:
        raise Refused("product_unavailable", f"{type(self).__name__} has no cart")

    def free_shipping(self, occasion: Occasion) -> Price | None:
        return None
