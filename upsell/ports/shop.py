"""What a host shop is to us: one ``Shop``, and what it can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Protocol

from upsell.engine.conditions import FactSpec
from upsell.engine.types import (
    Agreed,
    Applied,
    Availability,
    Change,
    Choice,
    Contact,
    Customer,
    Fact,
    Occasion,
    Price,
    Product,
    Purchase,
    Quote,
    Ref,
    Who,
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
    WITHDRAWAL = "WITHDRAWAL"


class Shop(Protocol):
    """The host's shop.

    Reads are bulk, lock nothing and raise ``NotFound``; writes are idempotent on ``change.id``.
    """

    slug: str
    capabilities: frozenset[Capability]
    shares_database: bool
    signals: Mapping[str, str]
    fact_specs: Sequence[FactSpec]

    def ref(self, thing: object) -> Ref: ...
    def order(self, ref: Ref) -> Occasion: ...
    def orders(self, refs: Sequence[Ref]) -> Mapping[Ref, Occasion]: ...
    def products(self, refs: Sequence[Ref]) -> Mapping[Ref, Product]: ...
    def availability(
        self, wanted: Sequence[tuple[Ref, int]], occasion: Occasion
    ) -> Mapping[Ref, Availability]: ...
    def order_for_request(self, request: HttpRequest) -> Ref | None: ...
    def customer(self, request: HttpRequest) -> Customer | None: ...
    def may_track(self, request: HttpRequest) -> bool: ...
    def may_act(self, request: HttpRequest, order_ref: Ref) -> bool: ...
    def purchases(self, customer: Customer, since: datetime, limit: int) -> Sequence[Purchase]: ...
    def orders_since(self, cursor: str, limit: int) -> tuple[Sequence[Ref], str]: ...
    def baskets(self, since: datetime) -> Iterator[Sequence[Ref]]: ...
    def choices(self, kind: str, query: str, limit: int) -> Sequence[Choice]: ...
    def facts(self, who: Who, names: Sequence[str]) -> Mapping[str, Fact]: ...
    def contact(self, who: Who, medium: str) -> Contact | None: ...
    def consent(self, who: Who, medium: str, purpose: str) -> Agreed: ...
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

    def withdrawal_until(self, order_ref: Ref, line_ref: Ref) -> datetime | None: ...
    def withdrawal_made(self, change: Change, applied: Applied, original: Decimal) -> None: ...

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
    fact_specs: ClassVar[Sequence[FactSpec]] = ()
    """Facts of your own that conditions may name; ``facts`` tells their values."""

    def ref(self, thing: object) -> Ref:
        """Turn one of the shop's own objects into its reference; a string passes through."""
        return thing if isinstance(thing, str) else str(getattr(thing, "pk", thing))

    def order(self, ref: Ref) -> Occasion:
        raise NotFound(f"{type(self).__name__} has no order {ref}")

    def orders(self, refs: Sequence[Ref]) -> Mapping[Ref, Occasion]:
        """These orders, unknown ones left out. One at a time here; better in one batch."""
        found: dict[Ref, Occasion] = {}
        for ref in refs:
            try:
                found[ref] = self.order(ref)
            except NotFound:
                continue
        return found

    def products(self, refs: Sequence[Ref]) -> Mapping[Ref, Product]:
        return {}

    def availability(
        self, wanted: Sequence[tuple[Ref, int]], occasion: Occasion
    ) -> Mapping[Ref, Availability]:
        return {}

    def order_for_request(self, request: HttpRequest) -> Ref | None:
        """The order just placed in this session."""
        return None

    def customer(self, request: HttpRequest) -> Customer | None:
        """The buyer who is signed in, with the reference that their orders have; none = nobody."""
        user = getattr(request, "user", None)
        if user is None or not getattr(user, "is_authenticated", False):
            return None
        return Customer(ref=str(user.pk), email=str(getattr(user, "email", "") or ""))

    def may_track(self, request: HttpRequest) -> bool:
        """Whether this visitor agreed that what they look at is remembered."""
        return False

    def may_act(self, request: HttpRequest, order_ref: Ref) -> bool:
        """The placing session or the signed-in owner. Seeing the page is not enough."""
        return False

    def purchases(self, customer: Customer, since: datetime, limit: int) -> Sequence[Purchase]:
        """What this buyer bought, newest first; cancelled and fully refunded orders left out."""
        return ()

    def orders_since(self, cursor: str, limit: int) -> tuple[Sequence[Ref], str]:
        """Orders placed or changed since, oldest first, and where to go on: at most ``limit``.

        ``cursor`` is a text of the shop's own making (``make_cursor`` makes one); empty = from
        the first order. Nothing more: no orders, and the cursor as it was. An order may be told
        twice and may never be left out. It finds what a lost signal missed.
        """
        return (), cursor

    def baskets(self, since: datetime) -> Iterator[Sequence[Ref]]:
        """Order history for mining, one basket at a time."""
        return iter(())

    def choices(self, kind: str, query: str, limit: int) -> Sequence[Choice]:
        """Admin pickers. ``kind``: product, category, brand, tag, group, channel, country,
        payment_method or order. A ``query`` that is exactly a reference finds that row first."""
        return ()

    def facts(self, who: Who, names: Sequence[str]) -> Mapping[str, Fact]:
        """What is known of a buyer, of these of ``fact_specs``; what is not known is left out."""
        return {}

    def contact(self, who: Who, medium: str) -> Contact | None:
        """Where to write to a buyer by ``email``, ``sms`` or ``push``; none = not to be reached.

        Here: as the order says, and nowhere by push: what its address is, only what sends there
        knows (``UPSELL_PUSH``). A shop with accounts answers by user first.
        """
        if not who.order_ref or medium not in {"email", "sms"}:
            return None
        try:
            customer = self.order(who.order_ref).customer
        except NotFound:
            return None
        address = customer.email if medium == "email" else customer.phone
        if not address:
            return None
        return Contact(address=address, locale=customer.locale, timezone=customer.timezone)

    def consent(self, who: Who, medium: str, purpose: str) -> Agreed:
        """What the buyer said to the shop about a purpose by this medium.

        ``marketing``: they are written to. ``ads``, with ``email``: their address, or its hash, is
        handed to who shows advertising. A yes to one is none to the other, nor to any other word.
        """
        return Agreed.UNKNOWN

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

    def withdrawal_until(self, order_ref: Ref, line_ref: Ref) -> datetime | None:
        """Until when, by law, the buyer may withdraw from the contract for an added line.

        The instant itself is too late. None = not, or not any more: the default, and a service
        that was used already.
        """
        return None

    def withdrawal_made(self, change: Change, applied: Applied, original: Decimal) -> None:
        """The buyer withdrew from an added line that could not be taken out of the order again.

        Note that it comes back, and give back ``original`` from the order's own payment: what
        was paid with the order for the lines that this one replaced, tax included. They do not
        come back. Our own charge is given back by us. Once per ``change.id``.
        """
        raise Refused("order_changed", f"{type(self).__name__} cannot take a withdrawal")

    def cart(self, request: HttpRequest) -> Occasion | None:
        return None

    def change_cart(self, request: HttpRequest, change: Change, quote: Quote) -> Applied:
        raise Refused("product_unavailable", f"{type(self).__name__} has no cart")

    def free_shipping(self, occasion: Occasion) -> Price | None:
        return None
