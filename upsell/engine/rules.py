"""One condition, one function; each answers yes (none) or a reason.

``STATIC`` needs the occasion and our own tables only and runs before anything is asked;
``evaluate`` goes on with what the ports answered. Both follow the order of the checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from upsell.engine.campaigns import (
    Answers,
    CampaignSpec,
    Candidate,
    ChannelPolicy,
    DocumentPolicy,
    History,
    Match,
    OfferBy,
    OfferKind,
    Pick,
    QuantityRule,
    Reason,
    ReasonCode,
    RuleKind,
    ShippingPolicy,
    Status,
    StockPolicy,
    Trigger,
    TriggerKind,
    Wanted,
)
from upsell.engine.quoting import amount_due, credit, unit_price, with_tax_of
from upsell.engine.types import (
    Availability,
    CollectionWay,
    Line,
    Occasion,
    Price,
    Product,
    Ref,
    Replaced,
)

Key = tuple[TriggerKind, Ref]

# Held by name: before Python 3.12 a member of an enum is looked up by a function of its class,
# which costs more than the whole of most checks below.
_PRODUCT, _CATEGORY, _BRAND, _TAG, _ALWAYS = (
    TriggerKind.PRODUCT,
    TriggerKind.CATEGORY,
    TriggerKind.BRAND,
    TriggerKind.TAG,
    TriggerKind.ALWAYS,
)
_LIVE, _STAFF_ONLY = Status.LIVE, Status.STAFF_ONLY
_ALL, _FLAT = Match.ALL, ShippingPolicy.FLAT
_IN_ANY_CURRENCY = frozenset({RuleKind.LIST, RuleKind.PERCENT})


class View:
    """An occasion as the rules read it: summed once, looked up often. Never changed."""

    __slots__ = ("_exact", "_families", "history", "lines", "now", "occasion", "policy", "units")

    def __init__(
        self, occasion: Occasion, *, now: datetime, history: History, policy: ChannelPolicy
    ) -> None:
        """Sum up an occasion. Cost: lines times their categories."""
        self.occasion = occasion
        self.now = now
        self.history = history
        self.policy = policy
        self.lines: list[Line] = []
        """Lines with units left."""
        self.units: dict[Key, int] = {}
        """Units per product (variants also under their parent), category, brand and tag."""
        self._exact: dict[Ref, int] | None = None
        self._families: frozenset[Ref] | None = None
        units = self.units
        for line in occasion.lines:
            live = line.quantity - line.returned
            if live > 0:
                self.lines.append(line)
                for key in keys_of(line.product):
                    units[key] = units.get(key, 0) + live

    @property
    def exact(self) -> Mapping[Ref, int]:
        """Units per product, variants each for themselves. Few campaigns ask."""
        if self._exact is None:
            self._exact = {}
            for line in self.lines:
                ref = line.product.ref
                self._exact[ref] = self._exact.get(ref, 0) + line.live_quantity
        return self._exact

    @property
    def families(self) -> frozenset[Ref]:
        """The parents of what is in the order, and products without one."""
        if self._families is None:
            self._families = frozenset(line.product.family_ref for line in self.lines)
        return self._families


def keys_of(product: Product) -> list[Key]:
    """Return everything a trigger or an exclusion could name of a product."""
    keys: list[Key] = [(_PRODUCT, product.ref)]
    if product.parent_ref and product.parent_ref != product.ref:
        keys.append((_PRODUCT, product.parent_ref))
    if product.category_refs:
        keys += [(_CATEGORY, ref) for ref in product.category_refs]
    if product.brand_ref:
        keys.append((_BRAND, product.brand_ref))
    if product.tags:
        keys += [(_TAG, tag) for tag in product.tags]
    return keys


# ------------------------------------------------------------------ before asking


def status(spec: CampaignSpec, view: View) -> Reason | None:
    if spec.status is _LIVE:
        return None
    if spec.status is _STAFF_ONLY:
        return None if view.history.staff else Reason.STAFF_ONLY
    return Reason.OFF


def window(spec: CampaignSpec, view: View) -> Reason | None:
    if spec.valid_from is not None and view.now < spec.valid_from:
        return Reason.NOT_STARTED
    if spec.valid_until is not None and view.now > spec.valid_until:
        return Reason.ENDED
    return None


def moment(spec: CampaignSpec, view: View) -> Reason | None:
    return None if view.occasion.moment in spec.moments else Reason.WRONG_MOMENT


def channel(spec: CampaignSpec, view: View) -> Reason | None:
    return None if view.occasion.channel in spec.channels else Reason.WRONG_CHANNEL


def triggered(spec: CampaignSpec, view: View) -> Reason | None:
    enough = spec.match is _ALL
    for trigger in spec.triggers:
        if _is_met(trigger, view) is not enough:
            enough = not enough
            break
    return None if enough else Reason.TRIGGER_ABSENT


def _is_met(trigger: Trigger, view: View) -> bool:
    if trigger.kind is _ALWAYS:
        return True
    if trigger.exact and trigger.kind is _PRODUCT:
        return view.exact.get(trigger.ref, 0) >= trigger.quantity
    return view.units.get((trigger.kind, trigger.ref), 0) >= trigger.quantity


def worth(spec: CampaignSpec, view: View) -> Reason | None:
    if not spec.bounds:
        return None
    bounds = spec.bounds.get(view.occasion.currency)
    if bounds is None:
        return Reason.CURRENCY_UNSUPPORTED
    net = view.occasion.goods.net
    if bounds.least is not None and net < bounds.least:
        return Reason.BELOW_MIN
    if bounds.most is not None and net > bounds.most:
        return Reason.ABOVE_MAX
    return None


def currency(spec: CampaignSpec, view: View) -> Reason | None:
    code = view.occasion.currency
    priced = spec.rule.kind in _IN_ANY_CURRENCY or code in spec.rule.amounts
    shipped = spec.shipping is not _FLAT or code in spec.shipping_flat
    if (spec.currencies and code not in spec.currencies) or not priced or not shipped:
        return Reason.CURRENCY_UNSUPPORTED
    return None


def group(spec: CampaignSpec, view: View) -> Reason | None:
    if spec.groups and spec.groups.isdisjoint(view.occasion.customer.group_refs):
        return Reason.GROUP
    return None


def country(spec: CampaignSpec, view: View) -> Reason | None:
    if spec.countries and view.occasion.shipping_country not in spec.countries:
        return Reason.COUNTRY
    return None


def payment_method(spec: CampaignSpec, view: View) -> Reason | None:
    if spec.payment_methods and view.occasion.payment_method not in spec.payment_methods:
        return Reason.PAYMENT_METHOD_FILTER
    return None


def exclusions(spec: CampaignSpec, view: View) -> Reason | None:
    for row in spec.exclusions:
        if view.units.get((row.kind, row.ref), 0) >= row.quantity:
            return Reason.EXCLUDED_PRODUCT_PRESENT
    return None


Static = Callable[[CampaignSpec, View], Reason | None]

STATIC: tuple[Static, ...] = (
    status,
    window,
    moment,
    channel,
    triggered,
    worth,
    currency,
    group,
    country,
    payment_method,
    exclusions,
)


def first_refusal(spec: CampaignSpec, view: View) -> Reason | None:
    """Return the first of the static checks that a campaign fails."""
    for check in STATIC:
        reason = check(spec, view)
        if reason is not None:
            return reason
    return None


def all_refusals(spec: CampaignSpec, view: View) -> list[Reason]:
    """Return every static check that a campaign fails, in their order."""
    return [reason for check in STATIC if (reason := check(spec, view)) is not None]


# ------------------------------------------------------------------ what to ask for


def trigger_lines(spec: CampaignSpec, view: View) -> list[Line]:
    """Return the lines that made a campaign qualify, in their order; all of them for ALWAYS."""
    return [
        line
        for line in view.lines
        if any(_matches(trigger, line.product) for trigger in spec.triggers)
    ]


def _matches(trigger: Trigger, product: Product) -> bool:
    if trigger.kind is TriggerKind.ALWAYS:
        return True
    if trigger.exact and trigger.kind is TriggerKind.PRODUCT:
        return product.ref == trigger.ref
    return (trigger.kind, trigger.ref) in set(keys_of(product))


def targets(spec: CampaignSpec, view: View) -> list[Line]:
    """Return the lines an upsell takes out of the order.

    Every line that meets a PRODUCT trigger; where a trigger names no item (category, brand,
    tag), the one matching line with the highest net, then the lowest position.
    """
    named = [trigger for trigger in spec.triggers if trigger.kind is TriggerKind.PRODUCT]
    if named:
        return [
            line for line in view.lines if any(_matches(trigger, line.product) for trigger in named)
        ]
    matching = trigger_lines(spec, view)
    best = min(range(len(matching)), key=lambda i: (-matching[i].total.net, i), default=None)
    return [] if best is None else [matching[best]]


def offered_units(spec: CampaignSpec, leaving: list[Line]) -> int:
    """Return how many units are offered."""
    if spec.kind is OfferKind.CROSS_SELL:
        return spec.quantity
    if spec.quantity_rule is QuantityRule.MATCH:
        return max(1, sum(line.live_quantity for line in leaving))
    return 1


def product_refs(spec: CampaignSpec, view: View) -> list[Ref]:
    """Return the products a campaign could offer here, in the order of choice where known."""
    if spec.offer_by is OfferBy.PRODUCT:
        return [spec.product_ref]
    if spec.offer_by is OfferBy.MAP:
        mapped = (
            offered
            for bought, offered in spec.product_map
            if (TriggerKind.PRODUCT, bought) in view.units
        )
        return list(dict.fromkeys(mapped))
    lines = targets(spec, view)
    return list(dict.fromkeys(ref for line in lines[:1] for ref in line.product.alternatives))


def wanted(spec: CampaignSpec, view: View) -> list[Wanted]:
    """Return what to ask the ports about for this campaign."""
    units = offered_units(spec, targets(spec, view) if spec.kind is OfferKind.UPSELL else [])
    return [(ref, units) for ref in product_refs(spec, view)]


# ------------------------------------------------------------------ after asking


def evaluate(spec: CampaignSpec, view: View, answers: Answers) -> Candidate | ReasonCode:
    """Return the promise a campaign comes to, or why it cannot be made.

    Products are tried in the order of choice; an unavailable one falls to the next, and
    the first one's reason stands where none can be had.
    """
    picks: list[Pick] = []
    for ref in _in_order_of_choice(spec, view, answers):
        outcome = _evaluate_product(spec, view, answers, ref)
        if isinstance(outcome, Candidate):
            taken = Pick(product_ref=ref)
            return replace(outcome, picks=(*picks, taken))
        picks.append(Pick(product_ref=ref, reason=outcome))
    return picks[0].reason if picks else Reason.PRODUCT_UNAVAILABLE


def _in_order_of_choice(spec: CampaignSpec, view: View, answers: Answers) -> list[Ref]:
    refs = product_refs(spec, view)
    if spec.offer_by is not OfferBy.NEXT_MODEL:
        return refs
    leaving = targets(spec, view)
    if not leaving:
        return []
    bought = leaving[0]
    paid = answers.availability.get(bought.product.ref)
    current = paid.unit.gross if paid and paid.unit else bought.unit.gross
    dearer: list[tuple[Decimal, Ref]] = []
    for ref in refs:
        answer = answers.availability.get(ref)
        if answer and answer.unit and ref != bought.product.ref and answer.unit.gross > current:
            dearer.append((answer.unit.gross, ref))
    return [ref for _, ref in sorted(dearer)]


def _evaluate_product(
    spec: CampaignSpec, view: View, answers: Answers, ref: Ref
) -> Candidate | ReasonCode:
    product, answer = answers.products.get(ref), answers.availability.get(ref)
    leaving = targets(spec, view) if spec.kind is OfferKind.UPSELL else []
    units = offered_units(spec, leaving)
    refusal = _bought_or_seen(spec, view, answers, ref, product)
    if refusal is None:
        refusal = _unavailable(spec, view, product, answer, units)
    if refusal is not None or product is None or answer is None or answer.unit is None:
        return refusal or Reason.NO_PRICE
    return _priced(spec, view, answers, product, answer, leaving, units)


def _bought_or_seen(
    spec: CampaignSpec, view: View, answers: Answers, ref: Ref, product: Product | None
) -> Reason | None:
    family = product.family_ref if product else ref
    if not spec.allow_if_present:
        if spec.kind is OfferKind.UPSELL:
            present = ref in view.exact
        else:
            present = ref in view.exact or family in view.families
        if present:
            return Reason.ALREADY_IN_ORDER
    if spec.not_bought_days is not None:
        since = view.now - timedelta(days=spec.not_bought_days)
        for bought in answers.purchases:
            same = bought.product_ref == ref or (bought.parent_ref or bought.product_ref) == family
            if same and bought.at >= since and bought.order_ref != view.occasion.ref:
                return Reason.ALREADY_PURCHASED
    if spec.not_seen_days is not None:
        seen_at = view.history.seen.get(spec.id)
        if seen_at is not None and seen_at >= view.now - timedelta(days=spec.not_seen_days):
            return Reason.SEEN_BEFORE
    return None


def _unavailable(
    spec: CampaignSpec,
    view: View,
    product: Product | None,
    answer: Availability | None,
    units: int,
) -> Reason | None:
    if product is None or answer is None or not (product.sellable and answer.sellable):
        return Reason.PRODUCT_UNAVAILABLE
    if spec.stock is not StockPolicy.IGNORE:
        short = answer.quantity is not None and answer.quantity < units
        if short and not (spec.stock is StockPolicy.BACKORDER and answer.backorder):
            return Reason.OUT_OF_STOCK
    if product.requires_shipping:
        if not view.occasion.has_shipping_address:
            return Reason.NO_SHIPPING_ADDRESS
        if spec.shipping is ShippingPolicy.NONE_NEEDED_ONLY or not answer.ships:
            return Reason.SHIPPING_POLICY
    if answer.unit is None or answer.unit.currency != view.occasion.currency:
        return Reason.NO_PRICE
    return None


def _priced(
    spec: CampaignSpec,
    view: View,
    answers: Answers,
    product: Product,
    answer: Availability,
    leaving: list[Line],
    units: int,
) -> Candidate | ReasonCode:
    occasion = view.occasion
    selling = answer.unit
    if selling is None:
        return Reason.NO_PRICE
    if spec.kind is OfferKind.UPSELL and not leaving:
        return Reason.UPSELL_TARGET_MISSING
    locked = any(line.locked_reason or line.returned for line in leaving)
    if locked or (leaving and not answers.can_replace):
        return Reason.TARGET_NOT_REPLACEABLE
    if spec.must_fit and not _fits(product, trigger_lines(spec, view)):
        return Reason.NOT_COMPATIBLE
    replaced = _replaced(spec, leaving)
    credited = Price.zero(occasion.currency)
    for part in replaced:
        credited += part.credit
    unit = unit_price(
        spec.rule,
        selling=selling,
        regular=answer.regular,
        prices_include_tax=occasion.prices_include_tax,
        tax_exempt=occasion.tax_exempt,
        credit=credited if replaced else None,
        quantity=units,
    )
    if unit is None:
        return Reason.NO_PRICE
    shipping = _shipping(spec, view, product, selling)
    due = amount_due(line=unit.times(units), shipping=shipping, credit=credited)
    refusal = _uncollectable(spec, view, answers, product, due)
    if refusal is not None:
        return refusal
    return Candidate(
        campaign=spec,
        product_ref=product.ref,
        quantity=units,
        unit=unit,
        selling=selling,
        shipping=shipping,
        replaces=replaced,
        credit=credited,
        amount_due=due,
        collection=answers.collection,
    )


def _fits(product: Product, lines: list[Line]) -> bool:
    fits = set(product.attributes.get("fits", "").split())
    return any(
        not fits.isdisjoint({line.product.ref, line.product.sku, line.product.family_ref} - {""})
        for line in lines
    )


def _replaced(spec: CampaignSpec, leaving: list[Line]) -> tuple[Replaced, ...]:
    if spec.quantity_rule is QuantityRule.ONE:
        counted = [(line, 1) for line in leaving[:1]]
    else:
        counted = [(line, line.live_quantity) for line in leaving]
    return tuple(
        Replaced(
            line_ref=line.ref,
            quantity=units,
            credit=credit(line, units=units),
            product_ref=line.product.ref,
            title=line.product.title,
        )
        for line, units in counted
    )


def _shipping(spec: CampaignSpec, view: View, product: Product, selling: Price) -> Price:
    occasion = view.occasion
    if spec.shipping is not ShippingPolicy.FLAT or not product.requires_shipping:
        return Price.zero(occasion.currency)
    return with_tax_of(
        selling,
        spec.shipping_flat[occasion.currency],
        prices_include_tax=occasion.prices_include_tax,
        tax_exempt=occasion.tax_exempt,
    )


def _uncollectable(
    spec: CampaignSpec, view: View, answers: Answers, product: Product, due: Price
) -> Reason | None:
    if due.gross < 0:
        return Reason.NOT_MORE_EXPENSIVE
    collection = answers.collection
    if due.gross > 0:
        if collection is None or collection.how is CollectionWay.NONE:
            return Reason.PAYMENT_NOT_SUPPORTED
        if collection.remaining_charges == 0:
            return Reason.PAYMENT_NOT_SUPPORTED
        if due.gross < collection.min_amount:
            return Reason.BELOW_MIN_CHARGE
    if spec.documents is DocumentPolicy.SKIP_IF_INVOICED and view.occasion.invoiced:
        return Reason.INVOICED
    if product.seller_ref:
        return Reason.SELLER
    if product.recurring and not view.policy.allow_recurring:
        return Reason.RECURRING
    return None
