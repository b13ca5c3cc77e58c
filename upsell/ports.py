"""What a host shop implements: one ``Shop``, one ``Gateway`` per way to pay, and their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Protocol

from upsell.engine.money import allocate, exponent, minor_units, round_money, share_of_units
from upsell.engine.quoting import (
    credit,
    ensure_as_quoted,
    gross_price,
    order_version,
    plan_change,
)
from upsell.engine.types import (
    Applied,
    Availability,
    Change,
    ChangeKind,
    Choice,
    Collection,
    CollectionWay,
    Customer,
    Fact,
    Line,
    Moment,
    Occasion,
    Price,
    Product,
    Purchase,
    Quote,
    Ref,
    Replaced,
    TaxLine,
)
from upsell.exceptions import NotFound, Refused

if TYPE_CHECKING:
    from django.http import HttpRequest

__all__ = [
    "Applied",
    "Availability",
    "BaseGateway",
    "BaseShop",
    "Capability",
    "Change",
    "ChangeKind",
    "ChargeRequest",
    "ChargeResult",
    "ChargeState",
    "Choice",
    "Collection",
    "CollectionWay",
    "Customer",
    "Fact",
    "Gateway",
    "Line",
    "Moment",
    "NotFound",
    "Occasion",
    "Price",
    "Product",
    "Purchase",
    "Quote",
    "Ref",
    "RefundResult",
    "RefundState",
    "Refused",
    "Replaced",
    "Shop",
    "TaxLine",
    "allocate",
    "credit",
    "ensure_as_quoted",
    "exponent",
    "gross_price",
    "minor_units",
    "order_version",
    "plan_change",
    "round_money",
    "share_of_units",
]


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


# ------------------------------------------------------------------ payment


class ChargeState(StrEnum):
    """What became of a charge."""

    CAPTURED = "CAPTURED"
    AUTHORIZED = "AUTHORIZED"
    """The host captures it with the order's own payment."""
    REQUIRES_ACTION = "REQUIRES_ACTION"
    """The buyer has to do something; ``action_url`` or ``client_secret`` says where."""
    PENDING = "PENDING"
    """Waits without anything for the buyer to do."""
    DECLINED = "DECLINED"
    """Refused by the provider, definitely. Nothing else is DECLINED."""
    DEFERRED = "DEFERRED"
    """On the host's open balance."""
    UNKNOWN = "UNKNOWN"
    """Time-out, reset, 5xx, unreadable: it may or may not have been charged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRequest:
    """One try to collect. The same ``key`` never charges twice."""

    key: str
    """``ups-<attempt uuid>``, at most 64 characters."""
    order_ref: Ref
    order_number: str
    amount: Decimal
    currency: str
    minor_units: int
    """``amount`` by the currency's ISO exponent, never times 100."""
    credential: str = ""
    customer_present: bool = True
    return_url: str = ""
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Carries the key, the order and the offer's uuid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeResult:
    """What the provider says of a charge. ``amount`` and ``currency`` are what was really taken."""

    state: ChargeState
    reference: str = ""
    """The provider's object, unique."""
    action_url: str = ""
    client_secret: str = ""
    decline_code: str = ""
    """``configuration`` = our mistake, not the buyer's card."""
    public_message: str = ""
    amount: Decimal | None = None
    currency: str = ""


class RefundState(StrEnum):
    """What became of a refund."""

    REFUNDED = "REFUNDED"
    PENDING = "PENDING"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundResult:
    state: RefundState
    reference: str = ""
    message: str = ""


class Gateway(Protocol):
    """One way to pay. No method raises for the network: UNKNOWN is an answer."""

    slug: str

    def collection(
        self, order: Occasion, amount: Decimal | None, currency: str, *, trusted: bool
    ) -> Collection:
        """Say how the order's own payment can collect more; the shop's tables only, no network.

        ``amount`` is none while deciding (not known yet) and exact when accepting.
        Where ``trusted`` is false (who only holds a link) never answer a silent way.
        """
        ...

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """Collect, once per key. At most 5 s."""
        ...

    def resume(self, reference: str) -> ChargeResult:
        """Look again at a charge that needed the buyer, finishing it if it can be."""
        ...

    def find(self, key: str, order_ref: Ref, since: datetime) -> ChargeResult | None:
        """Say what became of this key. None = certainly nothing."""
        ...

    def cancel(self, reference: str, key: str) -> ChargeResult:
        """Give up a charge before its challenge expires. May answer that it was paid."""
        ...

    def refund(self, reference: str, amount: Decimal, currency: str, key: str) -> RefundResult:
        """Give back, once per key; voids what is not captured yet."""
        ...

    def parse_webhook(self, request: HttpRequest) -> Sequence[tuple[str, ChargeResult]]:
        """Verify the signature on the raw body; return (key, result) pairs.

        Raises:
            ValueError: The signature is wrong or too old.
        """
        ...


class BaseGateway:
    """Answers for a gateway that has no challenges, no look-up and no webhooks.

    One that only ever answers ADD_TO_BALANCE is never asked to charge.
    """

    slug: str = ""

    def charge(self, request: ChargeRequest) -> ChargeResult:
        return ChargeResult(state=ChargeState.DECLINED, decline_code="configuration")

    def resume(self, reference: str) -> ChargeResult:
        return ChargeResult(state=ChargeState.UNKNOWN, reference=reference)

    def find(self, key: str, order_ref: Ref, since: datetime) -> ChargeResult | None:
        return ChargeResult(state=ChargeState.UNKNOWN)

    def cancel(self, reference: str, key: str) -> ChargeResult:
        return ChargeResult(state=ChargeState.UNKNOWN, reference=reference)

    def refund(self, reference: str, amount: Decimal, currency: str, key: str) -> RefundResult:
        return RefundResult(state=RefundState.REFUSED, message="this gateway cannot refund")

    def parse_webhook(self, request: HttpRequest) -> Sequence[tuple[str, ChargeResult]]:
        raise ValueError(f"{self.slug} sends no webhooks")


# ------------------------------------------------------------------ the shop


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
