"""What the shop says about the products a campaign names: do they fit, and at what price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from upsell import conf
from upsell.engine.campaigns import Match, OfferBy, OfferKind, RuleKind, TriggerKind
from upsell.engine.money import round_money
from upsell.engine.rules import keys_of
from upsell.exceptions import UpsellError
from upsell.models import Decision
from upsell.ports import Availability, Occasion, Price, Product
from upsell.services.campaign_shapes import Finding, Values, decimal_of

CROSS_SELL_SHARE, UPSELL_TIMES = Decimal("0.6"), Decimal("2.5")
"""A cross-sell above, an upsell beyond this part of its trigger's price is rarely taken."""

_LOOKED_AT = 10
"""So many of the latest orders are looked at for one of the campaign's sales channels."""
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the shop said, asked once for all checks."""

    products: Mapping[str, Product] = field(default_factory=dict)
    availability: Mapping[str, Availability] = field(default_factory=dict)
    occasion: Occasion | None = None
    """A recent order of one of the campaign's sales channels: prices depend on it."""
    answered: bool = True
    """False = the shop could not say; nothing is then concluded from what is missing."""

    def title(self, ref: str) -> str:
        """What the shop calls a product."""
        found = self.products.get(ref)
        return found.title if found else ref

    def quoted(self, ref: str) -> str:
        """The same between quotation marks, for a sentence."""
        return _("“%s”") % self.title(ref)


def known(values: Values) -> Known:
    """Ask the shop about every product a campaign names.

    Cost: one ``Shop.products``, at most one ``Shop.availability``, and as many
    ``Shop.order`` as it takes to find an order of the campaign's sales channels.
    """
    refs = [ref for offered, bought in pairs(values) for ref in (offered, *bought)]
    refs += [row["ref"] for row in values.get("triggers", []) if row["kind"] == TriggerKind.PRODUCT]
    refs = list(dict.fromkeys(refs))
    if not refs:
        return Known()
    try:
        products = conf.shop().products(refs)
        occasion = sample_occasion(values.get("channels", []))
        found = (
            conf.shop().availability([(ref, 1) for ref in refs], occasion)
            if occasion is not None
            else {}
        )
    except (UpsellError, LookupError, ValueError):
        return Known(answered=False)
    return Known(products=products, availability=found, occasion=occasion)


def pairs(values: Values) -> list[tuple[str, list[str]]]:
    """Return (offered product, bought products) as far as staff named them."""
    offer_by = values.get("offer_by", OfferBy.PRODUCT)
    if offer_by == OfferBy.MAP:
        return [(offered, [bought]) for bought, offered in values.get("product_map", [])]
    if offer_by != OfferBy.PRODUCT or not values.get("product_ref"):
        return []
    rows = values.get("triggers", [])
    bought = [row["ref"] for row in rows if row["kind"] == TriggerKind.PRODUCT]
    return [(values["product_ref"], bought)]


def sample_occasion(channels: Sequence[str]) -> Occasion | None:
    """Return a recent order of one of these sales channels; none where there is none.

    One that was decided is taken first, since our own row says its channel.
    """
    shop = conf.shop()
    decided = Decision.objects.filter(order_ref__isnull=False).order_by("-at", "-pk")
    if channels:
        decided = decided.filter(channel__in=list(channels))
    refs = [str(ref) for ref in decided.values_list("order_ref", flat=True)[:1]]
    refs += [choice.ref for choice in shop.choices("order", "", _LOOKED_AT)]
    for ref in refs:
        try:
            occasion = shop.order(ref)
        except (UpsellError, LookupError, ValueError):
            continue
        if not channels or occasion.channel in channels:
            return occasion
    return None


# ------------------------------------------------------------------ which products


def product_findings(values: Values, told: Known) -> tuple[list[Finding], list[Finding]]:
    """Return (errors, warnings) about the products that a campaign names."""
    named = pairs(values)
    if not named or not told.answered:
        return [], []
    errors = _joined(
        "offers_trigger",
        [told.quoted(offered) for offered, bought in named if _is_bought(offered, bought, values,
                                                                         told)],
        _("%(names)s is what triggers the campaign: choose another product or variant."),
        values,
    )  # fmt: skip
    warnings = _joined(
        "product_unknown",
        [told.quoted(offered) for offered, _bought in named if offered not in told.products],
        _("The shop does not know %(names)s: nothing will be offered."),
        values,
    )
    warnings += _joined(
        "nothing_links",
        [
            told.quoted(offered)
            for offered, bought in named
            if offered in told.products and not _linked(offered, bought, values, told)
        ],
        _("Nothing links %(names)s to what triggers it: no common category, brand or tag, "
          "and it is not said to fit."),
        values,
    )  # fmt: skip
    price_errors, price_warnings = _prices(values, told)
    return errors + price_errors, warnings + price_warnings


def never_qualifies(values: Values, told: Known) -> Iterator[Finding]:
    """Yield that what has to be bought is excluded, by itself or by all that it belongs to."""
    triggers = values.get("triggers", [])
    excluded = {
        (row["kind"], row["ref"]): int(row.get("quantity", 1))
        for row in values.get("exclusions", [])
    }
    hit = [row["ref"] for row in triggers if _is_excluded(row, excluded, told.products)]
    if hit and (values.get("match") == Match.ALL or len(hit) == len(triggers)):
        yield Finding(
            code="excludes_trigger",
            field="exclusions",
            message=_("“%s” is both a trigger and excluded: the campaign can never qualify.")
            % told.title(hit[0]),
        )
    offered = values.get("product_ref", "")
    if offered and (TriggerKind.PRODUCT, offered) in excluded:
        yield Finding(
            code="excludes_offered",
            field="exclusions",
            message=_("“%s” is offered and excluded as well: take it out of one of them.")
            % told.title(offered),
        )


def _is_excluded(
    row: Mapping[str, Any], excluded: Mapping[tuple[str, str], int], products: Mapping[str, Product]
) -> bool:
    """Whether the units that meet a trigger are enough to meet an exclusion."""
    keys = [(row["kind"], row["ref"])]
    bought = products.get(row["ref"]) if row["kind"] == TriggerKind.PRODUCT else None
    if bought is not None:
        keys += [(kind.value, ref) for kind, ref in keys_of(bought)]
    units = int(row.get("quantity", 1))
    return any(key in excluded and excluded[key] <= units for key in keys)


def _is_bought(offered: str, bought: Sequence[str], values: Values, told: Known) -> bool:
    if offered in bought:
        return True
    if values["kind"] != OfferKind.CROSS_SELL or values.get("allow_if_present"):
        return False
    family = told.products[offered].family_ref if offered in told.products else offered
    return any(ref in told.products and told.products[ref].family_ref == family for ref in bought)


def _linked(offered_ref: str, bought: Sequence[str], values: Values, told: Known) -> bool:
    offered = told.products[offered_ref]
    rows: Sequence[Mapping[str, Any]] = values.get("triggers", [])
    if values.get("offer_by") == OfferBy.MAP:
        rows = [{"kind": TriggerKind.PRODUCT, "ref": ref} for ref in bought]
    keys = {(str(kind), ref) for kind, ref in keys_of(offered)}
    fits = set(offered.attributes.get("fits", "").split())
    for row in rows:
        if row["kind"] == TriggerKind.ALWAYS or (str(row["kind"]), row["ref"]) in keys:
            return True
        other = told.products.get(row["ref"]) if row["kind"] == TriggerKind.PRODUCT else None
        if other is not None and (
            other.category_refs & offered.category_refs
            or other.tags & offered.tags
            or (other.brand_ref and other.brand_ref == offered.brand_ref)
            or other.family_ref == offered.family_ref
            or fits & {other.ref, other.sku, other.parent_ref} - {""}
        ):
            return True
    return not rows


# ------------------------------------------------------------------ at what price


def _prices(values: Values, told: Known) -> tuple[list[Finding], list[Finding]]:
    if told.occasion is None:
        return [], []
    below: list[str] = []
    dear: list[str] = []
    for offered, bought in pairs(values):
        unit = _unit(offered, told)
        price = None if unit is None else _ruled(values, told.availability[offered], told.occasion)
        if unit is None or price is None:
            continue
        net = _net(unit, price, told.occasion)
        cost = told.products[offered].cost if offered in told.products else None
        if cost is not None and net < cost and not values.get("allow_below_cost"):
            told_prices = {"name": told.quoted(offered), "net": net, "currency": unit.currency,
                           "cost": round_money(cost, unit.currency)}  # fmt: skip
            below.append(_("%(name)s at %(net)s %(currency)s before tax costs you %(cost)s")
                         % told_prices)  # fmt: skip
        others = [other.gross for ref in bought if (other := _unit(ref, told)) and other.gross > 0]
        least = min(others, default=None)
        gross = unit.gross if told.occasion.prices_include_tax else unit.net
        share = price / gross * unit.gross if gross else price
        most = CROSS_SELL_SHARE if values["kind"] == OfferKind.CROSS_SELL else UPSELL_TIMES
        if least is not None and share > least * most:
            dear.append(told.quoted(offered))
    errors = _joined(
        "below_cost",
        below,
        _("Sold below what it costs you: %(names)s. Tick “may be below cost” if that is meant."),
        values,
        place="allow_below_cost",
    )
    if values["kind"] == OfferKind.CROSS_SELL:
        told_dear = _(
            "%(names)s costs more than 60 %% of what triggers it; such offers are rarely taken."
        )
        return errors, _joined("dear_cross_sell", dear, told_dear, values)
    told_dear = _(
        "%(names)s costs more than 2.5 times what it replaces; such offers are rarely taken."
    )
    return errors, _joined("dear_upsell", dear, told_dear, values)


def _unit(ref: str, told: Known) -> Price | None:
    found = told.availability.get(ref)
    unit = found.unit if found else None
    wanted = told.occasion.currency if told.occasion else ""
    return unit if unit is not None and unit.currency == wanted else None


def _net(unit: Price, price: Decimal, occasion: Occasion) -> Decimal:
    """What is left of a price of the order's basis without tax."""
    basis = unit.gross if occasion.prices_include_tax else unit.net
    return round_money(unit.net * price / basis if basis else unit.net, unit.currency)


def _ruled(values: Values, found: Availability, occasion: Occasion) -> Decimal | None:
    """The unit price after the rule, roughly: for warnings, never for a promise."""
    unit, rule = found.unit, values.get("rule", RuleKind.LIST)
    if unit is None or rule == RuleKind.FIXED_DIFFERENCE:
        return None

    def basis(price: Price) -> Decimal:
        return price.gross if occasion.prices_include_tax else price.net

    ceiling = start = basis(unit)
    if values.get("from_regular") and found.regular is not None:
        start = max(basis(found.regular), ceiling)
    amount = decimal_of(values.get("amounts", {}).get(unit.currency))
    if rule == RuleKind.PERCENT:
        price = start * (100 - (decimal_of(values.get("percent")) or Decimal(0))) / 100
    elif rule == RuleKind.LIST:
        price = ceiling
    elif amount is None:
        return None
    else:
        price = start - amount if rule == RuleKind.AMOUNT else amount
    return min(max(price, Decimal(0)), ceiling)


def _joined(
    code: str, titles: Sequence[str], message: str, values: Values, *, place: str = ""
) -> list[Finding]:
    """Return one finding for all products it is true of, naming the first of them."""
    if not titles:
        return []
    names = list(dict.fromkeys(titles))
    listed = ", ".join(names[:_NAMED])
    if len(names) > _NAMED:
        listed = _("%(names)s and %(more)d more") % {"names": listed, "more": len(names) - _NAMED}
    by_map = values.get("offer_by") == OfferBy.MAP
    field_name = place or ("product_map" if by_map else "product_ref")
    return [Finding(code=code, field=field_name, message=message % {"names": listed})]
