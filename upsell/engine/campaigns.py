"""Values of the campaign, and of the engine's answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from upsell.engine.experiments import HOLDOUT_SALT
from upsell.engine.types import Availability, Collection, Price, Product, Purchase, Ref, Replaced

CampaignId = int
ReasonCode = str
"""A ``Reason``, or ``condition:<fact>`` and ``fact_missing:<fact>``."""


class Status(StrEnum):
    OFF = "OFF"
    STAFF_ONLY = "STAFF_ONLY"
    LIVE = "LIVE"


class OfferKind(StrEnum):
    CROSS_SELL = "CROSS_SELL"
    UPSELL = "UPSELL"


class Match(StrEnum):
    ANY = "ANY"
    ALL = "ALL"


class TriggerKind(StrEnum):
    """What a trigger or an exclusion names. Exclusions have no ALWAYS."""

    ALWAYS = "ALWAYS"
    PRODUCT = "PRODUCT"
    CATEGORY = "CATEGORY"
    BRAND = "BRAND"
    TAG = "TAG"


class OfferBy(StrEnum):
    """How the offered product is found."""

    PRODUCT = "PRODUCT"
    MAP = "MAP"
    NEXT_MODEL = "NEXT_MODEL"


class RuleKind(StrEnum):
    """What happens to the selling price."""

    LIST = "LIST"
    PERCENT = "PERCENT"
    AMOUNT = "AMOUNT"
    FIXED = "FIXED"
    FIXED_DIFFERENCE = "FIXED_DIFFERENCE"


class QuantityRule(StrEnum):
    """FIXED for a cross-sell; MATCH, ONE or SET for an upsell."""

    FIXED = "FIXED"
    MATCH = "MATCH"
    ONE = "ONE"
    SET = "SET"


class ShippingPolicy(StrEnum):
    FREE = "FREE"
    FLAT = "FLAT"
    NONE_NEEDED_ONLY = "NONE_NEEDED_ONLY"


class StockPolicy(StrEnum):
    REQUIRE = "REQUIRE"
    BACKORDER = "BACKORDER"
    IGNORE = "IGNORE"


class DocumentPolicy(StrEnum):
    ADD_AND_NOTIFY = "ADD_AND_NOTIFY"
    SKIP_IF_INVOICED = "SKIP_IF_INVOICED"
    ADD_AND_SIGNAL = "ADD_AND_SIGNAL"


class By(StrEnum):
    """How campaigns of the same, highest priority are told apart."""

    FIRST = "first"
    VALUE = "value"
    WEIGHTED = "weighted"
    LEARNED = "learned"


class Reason(StrEnum):
    """Why nothing was offered, or why a campaign lost. Stored and sent as it stands."""

    # of the whole order
    DISABLED = "disabled"
    ALREADY_HAS_OFFER = "already_has_offer"
    ORDER_CANCELLED = "order_cancelled"
    ORDER_REFUNDED = "order_refunded"
    ORDER_TEST = "order_test"
    ORDER_DRAFT = "order_draft"
    ORDER_RENEWAL = "order_renewal"
    PAYMENT_FAILED = "payment_failed"
    WINDOW_CLOSED = "window_closed"
    ORDER_RELEASED = "order_released"
    TIMEOUT = "timeout"
    ERROR = "error"
    NO_CAMPAIGN = "no_campaign"
    NO_MATCH = "no_match"
    # of one campaign, in the order of the checks
    OFF = "off"
    STAFF_ONLY = "staff_only"
    NOT_STARTED = "not_started"
    ENDED = "ended"
    WRONG_MOMENT = "wrong_moment"
    WRONG_CHANNEL = "wrong_channel"
    TRIGGER_ABSENT = "trigger_absent"
    BELOW_MIN = "below_min"
    ABOVE_MAX = "above_max"
    CURRENCY_UNSUPPORTED = "currency_unsupported"
    GROUP = "group"
    COUNTRY = "country"
    PAYMENT_METHOD_FILTER = "payment_method_filter"
    EXCLUDED_PRODUCT_PRESENT = "excluded_product_present"
    ALREADY_IN_ORDER = "already_in_order"
    ALREADY_PURCHASED = "already_purchased"
    SEEN_BEFORE = "seen_before"
    OTHER_ARM = "other_arm"
    # of availability, in the order of the checks
    PRODUCT_UNAVAILABLE = "product_unavailable"
    OUT_OF_STOCK = "out_of_stock"
    NO_SHIPPING_ADDRESS = "no_shipping_address"
    SHIPPING_POLICY = "shipping_policy"
    NO_PRICE = "no_price"
    UPSELL_TARGET_MISSING = "upsell_target_missing"
    TARGET_NOT_REPLACEABLE = "target_not_replaceable"
    NOT_COMPATIBLE = "not_compatible"
    NOT_MORE_EXPENSIVE = "not_more_expensive"
    BELOW_MIN_CHARGE = "below_min_charge"
    PAYMENT_NOT_SUPPORTED = "payment_not_supported"
    INVOICED = "invoiced"
    SELLER = "seller"
    RECURRING = "recurring"
    OUTRANKED = "outranked"
    NOT_REACHED = "not_reached"


FINAL_UNLESS = frozenset({Reason.TIMEOUT, Reason.ERROR, Reason.ORDER_DRAFT, Reason.PAYMENT_FAILED})
"""An order without a winner is decided again on the next ask for these reasons only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    kind: TriggerKind
    ref: Ref = ""
    """Product (parent or variant), category, brand or tag. Empty for ALWAYS."""
    exact: bool = False
    """PRODUCT only: this very variant, not its siblings."""
    quantity: int = 1
    """Least units, summed over the lines that match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    kind: TriggerKind
    ref: Ref
    quantity: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRule:
    kind: RuleKind = RuleKind.LIST
    percent: Decimal = Decimal(0)
    """0 to 100, for PERCENT."""
    amounts: Mapping[str, Decimal] = field(default_factory=dict)
    """Currency to amount, in the order's price basis, for AMOUNT, FIXED and FIXED_DIFFERENCE."""
    from_regular: bool = False
    """Discount from the regular price of a product on sale; never above its selling price."""
    allow_free: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Net value of the order, both ends included; none = open."""

    least: Decimal | None = None
    most: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSpec:
    """A campaign as the engine reads it. Empty filters restrict nothing; no channel: nowhere."""

    id: CampaignId
    slug: str = ""
    name: str = ""
    revision: int = 0
    """The ``CampaignRevision`` this was compiled from."""
    status: Status = Status.LIVE
    kind: OfferKind = OfferKind.CROSS_SELL
    priority: int = 0
    edited_at: datetime
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    """Both ends belong to the window."""
    channels: frozenset[str] = frozenset()
    moments: frozenset[str] = frozenset({"post_purchase"})
    match: Match = Match.ANY
    triggers: tuple[Trigger, ...] = (Trigger(kind=TriggerKind.ALWAYS),)
    exclusions: tuple[Exclusion, ...] = ()
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    """Currency to bounds. Where any is given, other currencies are unsupported."""
    currencies: frozenset[str] = frozenset()
    groups: frozenset[Ref] = frozenset()
    countries: frozenset[str] = frozenset()
    payment_methods: frozenset[str] = frozenset()
    offer_by: OfferBy = OfferBy.PRODUCT
    product_ref: Ref = ""
    product_map: tuple[tuple[Ref, Ref], ...] = ()
    """MAP: trigger product (variant or parent) to offered product, in staff's order."""
    must_fit: bool = False
    allow_if_present: bool = False
    not_bought_days: int | None = None
    """Skip buyers who bought the offered product in so many days. None = do not ask."""
    not_seen_days: int | None = None
    """Skip buyers who were shown this campaign in so many days. None = do not ask."""
    rule: PriceRule = PriceRule()
    quantity_rule: QuantityRule = QuantityRule.FIXED
    quantity: int = 1
    """Units for FIXED."""
    shipping: ShippingPolicy = ShippingPolicy.FREE
    shipping_flat: Mapping[str, Decimal] = field(default_factory=dict)
    """Currency to amount in the order's price basis, for FLAT."""
    stock: StockPolicy = StockPolicy.REQUIRE
    documents: DocumentPolicy = DocumentPolicy.ADD_AND_NOTIFY
    allow_below_cost: bool = False
    weight: int = 1
    """Among equals of the top priority, where they are chosen by weight; 1 or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPolicy:
    """What holds for every campaign of one sales channel."""

    enabled: bool = True
    validity: timedelta = timedelta(minutes=30)
    """How long after checkout an offer stands, clamped to 5 to 120 minutes."""
    allow_recurring: bool = False
    holdout: int = 0
    """Buckets of buyers who are never offered anything, 0 to 2,000."""
    holdout_salt: str = HOLDOUT_SALT
    """Another one holds out other buyers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What our own tables know about this occasion before anything is decided."""

    has_offer: bool = False
    staff: bool = False
    """The viewer is staff who may see STAFF_ONLY campaigns."""
    seen: Mapping[CampaignId, datetime] = field(default_factory=dict)
    """When this buyer was last shown each campaign; only shown ones are in it."""
    unit: str = ""
    """The oldest key this buyer is known by: who is counted in experiments. Empty = not known."""


Wanted = tuple[Ref, int]
"""A product and how many units of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the ports said about the candidates, in one batch."""

    products: Mapping[Ref, Product] = field(default_factory=dict)
    availability: Mapping[Ref, Availability] = field(default_factory=dict)
    purchases: Sequence[Purchase] = ()
    collection: Collection | None = None
    """None = the order's payment method has no gateway."""
    can_replace: bool = True
    """Whether the shop can take lines out of an order at all."""


Ask = Callable[[Sequence[Wanted]], Answers]
"""The engine's only way out: called at most twice in one decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A product a campaign could offer, best first, and why it was passed over."""

    product_ref: Ref
    reason: ReasonCode = ""
    """Empty for the one that was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A campaign that won, with everything needed to promise it."""

    campaign: CampaignSpec
    product_ref: Ref
    quantity: int
    unit: Price
    """After the rule, one unit, in the order's currency."""
    selling: Price
    """Current selling price of one unit, before the rule."""
    shipping: Price
    replaces: tuple[Replaced, ...] = ()
    credit: Price
    amount_due: Price
    """What the engine makes of it; the shop's quote has the last word."""
    collection: Collection | None = None
    picks: tuple[Pick, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """A buyer for whom an experiment mattered: in this arm something may be offered, or is not."""

    experiment: int
    phase: int
    slug: str
    """The experiment's."""
    arm: str

    @property
    def label(self) -> str:
        """The arm, told from arms of the same name in other experiments."""
        return f"{self.slug}/{self.arm}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """How the order of equals came about; kept with the decision."""

    by: By
    version: str
    candidates: tuple[CampaignId, ...]
    """In the order in which they were tried."""
    is_floor: bool = False
    """All weights were equal: what an experiment may be read from."""
    propensity: float | None = None
    """How likely the winner was to come first of those that could be had; for ``learned``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The engine's answer: a winner or none, and a reason for every candidate."""

    chosen: Candidate | None = None
    reason: ReasonCode = ""
    """Why there is no winner, for the whole order; empty when there is one."""
    passed_over: Mapping[CampaignId, ReasonCode] = field(default_factory=dict)
    """Candidates looked at, in rank order, each with why it lost."""
    version: int = 0
    """The campaign set's version this was decided under."""
    held_out: bool = False
    """The winner is kept from this buyer, who belongs to the sales channel's holdout."""
    exposed: tuple[Exposed, ...] = ()
    """The experiments that came first in rank, the winner's own last."""
    arm: str = ""
    """Where the winner is in one of them: experiment and arm."""
    drawn: Drawn | None = None
    """How equals were told apart, where not by rank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One campaign's outcome in an explanation."""

    campaign: CampaignSpec
    reason: ReasonCode
    """Empty for the winner: the first check it fails otherwise."""
    also: tuple[ReasonCode, ...] = ()
    """Further checks it fails, in their order."""
    candidate: Candidate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Every campaign in rank order, and the same winner as ``decide``."""

    reason: ReasonCode
    verdicts: tuple[Verdict, ...]
    held_out: bool = False
    """The winner is kept from this buyer, who belongs to the sales channel's holdout."""

    @property
    def winner(self) -> CampaignId | None:
        """The campaign that wins, if any."""
        return next((v.campaign.id for v in self.verdicts if not v.reason), None)
