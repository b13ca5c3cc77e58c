"""Values of the order: what the host tells us, what we ask it to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

Ref = str
"""The host's identifier, opaque: 1 to 190 characters, unique within its kind."""

Fact = bool | int | Decimal | str | datetime | frozenset[str]
"""What a named fact may hold."""


class Moment(StrEnum):
    """Where in the buyer's way an offer may appear."""

    POST_PURCHASE = "post_purchase"
    CART = "cart"
    PRODUCT_PAGE = "product_page"
    LISTING = "listing"
    CHECKOUT = "checkout"
    IN_PRODUCT = "in_product"
    RENEWAL = "renewal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """An amount, without and with tax, in major units of one currency.

    A shop without tax sets ``net`` and ``gross`` equal.
    """

    currency: str
    net: Decimal
    gross: Decimal
    tax_code: str = ""

    @property
    def tax(self) -> Decimal:
        """The tax in it."""
        return self.gross - self.net

    @classmethod
    def zero(cls, currency: str) -> Price:
        """Nothing, in this currency."""
        return cls(currency=currency, net=Decimal(0), gross=Decimal(0))

    def __add__(self, other: Price) -> Price:
        return self._combined(other, 1)

    def __sub__(self, other: Price) -> Price:
        return self._combined(other, -1)

    def times(self, quantity: int) -> Price:
        """The price of that many units."""
        return Price(
            currency=self.currency,
            net=self.net * quantity,
            gross=self.gross * quantity,
            tax_code=self.tax_code,
        )

    def _combined(self, other: Price, sign: int) -> Price:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up")
        return Price(
            currency=self.currency,
            net=self.net + sign * other.net,
            gross=self.gross + sign * other.gross,
            tax_code=self.tax_code,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product of the host; a variant when ``parent_ref`` is set."""

    ref: Ref
    sku: str = ""
    title: str = ""
    url: str = ""
    image_url: str = ""
    image_alt: str = ""
    parent_ref: Ref = ""
    category_refs: frozenset[Ref] = frozenset()
    """With all their ancestors."""
    brand_ref: Ref = ""
    tags: frozenset[str] = frozenset()
    requires_shipping: bool = True
    sellable: bool = True
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Name to value, for the side-by-side comparison. ``fits`` holds references or
    SKUs of products (or parents) that this one fits, separated by white space."""
    alternatives: tuple[Ref, ...] = ()
    """The same family, cheapest first."""
    cost: Decimal | None = None
    """What one unit costs the shop, net, in the shop's own currency."""
    seller_ref: Ref = ""
    """Who sells it, if it is not the merchant who took the order."""
    recurring: bool = False

    @property
    def family_ref(self) -> Ref:
        """The parent, or the product itself where it has none."""
        return self.parent_ref or self.ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the order, with what was really charged for it."""

    ref: Ref
    product: Product
    quantity: int
    """Units bought, returned ones included."""
    unit: Price
    total: Price
    """For all ``quantity`` units, after line and allocated order discounts."""
    total_before_discounts: Price
    options: str = ""
    returned: int = 0
    """Units refunded or cancelled since."""
    service_at: datetime | None = None
    """Departure, check-in, pick-up."""
    locked_reason: str = ""
    """Shipped, bundled, personalised, gift card …: cannot be replaced. Empty = free."""

    @property
    def live_quantity(self) -> int:
        """Units that still count."""
        return self.quantity - self.returned


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who bought. ``email`` and ``phone`` are never stored by us."""

    ref: Ref = ""
    """Empty for a guest."""
    email: str = ""
    phone: str = ""
    group_refs: frozenset[Ref] = frozenset()
    locale: str = ""
    timezone: str = ""
    orders_count: int | None = None
    """Orders placed so far, this one included; none = not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """What we hold of a buyer, to ask the shop by: a hashed key means nothing to it.

    Any may be empty. The shop answers by user, else by order, else by cart.
    """

    customer_key: str = ""
    user_ref: Ref = ""
    order_ref: Ref = ""
    cart_ref: Ref = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Where and how to write to a buyer. Asked when a message is sent, and never stored."""

    address: str
    """An e-mail address, or a telephone number in E.164."""
    first_name: str = ""
    locale: str = ""
    timezone: str = ""


class Agreed(StrEnum):
    """What a buyer said to being written to."""

    GRANTED = "GRANTED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What the engine decides on; after checkout it is the placed order.

    Money is in ``currency``. ``version`` changes with currency, line references,
    quantities, totals and returned units, and with nothing else.
    """

    moment: str
    ref: Ref
    currency: str
    lines: tuple[Line, ...]
    goods: Price
    """All lines after discounts, without shipping and fees."""
    shipping: Price
    total: Price
    customer: Customer
    channel: str
    number: str = ""
    """What the buyer knows the order by."""
    version: str = ""
    placed_at: datetime | None = None
    checkout_completed_at: datetime | None = None
    shipping_country: str | None = None
    """ISO 3166 alpha-2. None = the shop cannot say."""
    has_shipping_address: bool = False
    shipping_method: str = ""
    payment_method: str | None = None
    """The host's code. None = the shop cannot say; empty = nothing was paid."""
    coupons: tuple[str, ...] = ()
    status: str = ""
    cancelled: bool = False
    released: bool = False
    """Picked, packed or shipped, in part or whole."""
    closed_reason: str = ""
    """``refunded`` once fully refunded; else why the order may not change; empty = it may."""
    is_test: bool = False
    is_draft: bool = False
    is_renewal: bool = False
    payment_failed: bool = False
    invoiced: bool = False
    """An invoice was issued already."""
    tax_exempt: bool = False
    prices_include_tax: bool = True
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """May this buyer have that many units now, and at what price."""

    ref: Ref
    sellable: bool = True
    ships: bool = True
    """To this order's address; true where nothing needs shipping."""
    quantity: int | None = None
    """Units to be had. None = untracked, counts as in stock."""
    backorder: bool = False
    unit: Price | None = None
    """Current selling price for this buyer and currency, before any rule of ours."""
    regular: Price | None = None
    """Where the product is on sale: the price without the sale."""
    lowest_30d: Price | None = None
    """Lowest price of the last 30 days. Without it nothing is struck through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A product bought earlier, in an order neither cancelled nor fully refunded."""

    order_ref: Ref
    product_ref: Ref
    at: datetime
    parent_ref: Ref = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One row of an admin picker."""

    ref: Ref
    label: str


class CollectionWay(StrEnum):
    """How what is due is collected."""

    ADD_TO_BALANCE = "ADD_TO_BALANCE"
    CHARGE_SAVED = "CHARGE_SAVED"
    REDIRECT_APPROVAL = "REDIRECT_APPROVAL"
    NONE = "NONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What the order's own payment allows."""

    how: CollectionWay
    credential: str = ""
    """The gateway's handle, opaque to us and never stored."""
    remaining_charges: int | None = None
    """None = not limited."""
    min_amount: Decimal = Decimal(0)
    label: str = ""
    """For the buyer: "Visa ending 4242", "your invoice"."""


class ChangeKind(StrEnum):
    """What a change does to the order."""

    APPEND = "APPEND"
    REPLACE = "REPLACE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """Units of one line that leave the order, and what was paid for them."""

    line_ref: Ref
    quantity: int
    credit: Price
    product_ref: Ref = ""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of one order. ``id`` is the offer's uuid: do it once.

    The shop never sees the rule that made ``unit``: it is frozen when the offer is made.
    """

    id: str
    kind: ChangeKind
    order_ref: Ref
    product_ref: Ref
    quantity: int
    unit: Price
    replaces: tuple[Replaced, ...] = ()
    shipping: Price
    """Gross and net for it; zero when free."""
    note: str = ""
    stock_policy: str = "REQUIRE"
    """REQUIRE, BACKORDER or IGNORE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxLine:
    """Tax of the change at one rate. Negative where more leaves than arrives."""

    label: str
    rate: Decimal
    """0.2 is 20 %."""
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a change would cost now, by the shop's own arithmetic."""

    change_id: str
    unit: Price
    line: Price
    credit: Price
    shipping: Price
    amount_due: Price
    """line + shipping - credit. ``gross`` is what the buyer pays now."""
    tax_lines: tuple[TaxLine, ...] = ()
    order_version: str = ""
    available: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a change did. All of it is stored with the acceptance, as JSON."""

    change_id: str
    line_ref: Ref
    total_before: Price
    total_after: Price
    removed: tuple[Mapping[str, object], ...] = ()
    """A full dump of every removed line: what ``revert`` needs. JSON values only."""
