"""What is wrong, or merely unwise, about a campaign: plain values in, findings out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext as _

from upsell import conf
from upsell.engine.campaigns import Match, OfferBy, OfferKind, QuantityRule, RuleKind, TriggerKind
from upsell.exceptions import UpsellError
from upsell.models import Campaign
from upsell.ports import Occasion, Product

Values = Mapping[str, Any]
"""A campaign as ``services.campaigns.dump`` gives it."""

HEADLINE, BODY, BENEFIT, BENEFITS, LABEL, ALT = 80, 300, 60, 5, 30, 160
CROSS_SELL_SHARE, UPSELL_TIMES = Decimal("0.6"), Decimal("2.5")
"""A cross-sell above, an upsell beyond this part of its trigger's price is rarely taken."""

EU = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "HR",
        "CY",
        "CZ",
        "DK",
        "EE",
        "FI",
        "FR",
        "DE",
        "GR",
        "HU",
        "IE",
        "IT",
        "LV",
        "LT",
        "LU",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SK",
        "SI",
        "ES",
        "SE",
    ]
)
# Directive 2011/83/EU, article 8(2): the button must say that pressing it obliges to pay.
REFUSED_LABELS = frozenset(
    {
        "add", "add it", "add to order", "add to my order", "yes", "yes please", "yes, please",
        "ok", "okay", "continue", "confirm", "next", "submit", "accept", "go", "get it",
        "i want it",
        "upgrade", "proceed", "done", "agree", "register",
        "ja", "ja, bitte", "ja bitte", "weiter", "bestätigen", "hinzufügen", "anmelden",
        "oui", "oui merci", "continuer", "confirmer", "ajouter", "valider",
        "sí", "si", "continuar", "confirmar", "añadir", "sì", "continua", "conferma", "aggiungi",
    }
)  # fmt: skip
SAFE_WORDS = (
    "pay", "buy", "order", "purchase", "zahlungspflichtig", "kaufen", "kostenpflichtig", "payer",
    "paiement", "acheter", "pagar", "pago", "comprar", "pagare", "paga", "acquista", "betalen",
    "kopen", "zapłac", "kupuj", "betala", "köp",
)  # fmt: skip
_NEEDS_AMOUNTS = frozenset({RuleKind.AMOUNT, RuleKind.FIXED, RuleKind.FIXED_DIFFERENCE})
_LISTS = ("channels", "moments", "currencies", "groups", "countries", "payment_methods")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to say about a campaign."""

    code: str
    field: str
    """The field it belongs to; empty = the whole campaign."""
    message: str


def validate(
    values: Values, *, campaign_id: int | None = None
) -> tuple[list[Finding], list[Finding]]:
    """Return (errors, warnings) of a campaign; errors forbid saving, warnings never do.

    Args:
        values: As ``dump`` gives them.
        campaign_id: The row these values belong to, so that it is not compared with itself.

    Cost: one statement for the other campaigns, one ``Shop.products`` and at most one
    ``Shop.order`` and ``Shop.availability``.
    """
    errors = list(_shapes(values))
    if errors:
        return errors, []
    errors += _contradictions(values)
    warnings = list(_habits(values))
    others = [
        other
        for other in Campaign.objects.filter(archived=False)
        .exclude(status=Campaign.Status.OFF)
        .prefetch_related("triggers", "exclusions")
        .order_by("-priority", "pk")
        if other.pk != campaign_id
    ]
    warnings += _beside_others(values, others)
    label_errors, label_warnings = _labels(values)
    product_errors, product_warnings = _products(values)
    return (
        [*errors, *label_errors, *product_errors],
        [*warnings, *label_warnings, *product_warnings],
    )


# ------------------------------------------------------------------ shapes


def _shapes(values: Values) -> Iterator[Finding]:
    for name in ("name", "slug", "kind"):
        if not values.get(name):
            yield Finding(code="required", field=name, message=_("This field is needed."))
    for field in ("kind", "status", "match", "offer_by", "rule", "quantity_rule", "shipping",
                  "stock", "documents"):  # fmt: skip
        allowed = {
            choice
            for choice, _label in getattr(Campaign._meta.get_field(field), "choices", None) or ()
        }
        if values.get(field) and values[field] not in allowed:
            yield _shape(field, _("“%s” is not one of the choices.") % values[field])
    for field in _LISTS:
        value = values.get(field, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            yield _shape(field, _("This must be a list of codes."))
    for currency in values.get("currencies", []) or []:
        if not re.fullmatch(r"[A-Z]{3}", str(currency)):
            yield _shape("currencies", _("“%s” is not a currency code such as EUR.") % currency)
    for country in values.get("countries", []) or []:
        if not re.fullmatch(r"[A-Z]{2}", str(country)):
            yield _shape("countries", _("“%s” is not a country code such as DE.") % country)
    for field in ("amounts", "shipping_flat"):
        yield from _amounts_shape(field, values.get(field, {}))
    yield from _bounds_shape(values.get("bounds", {}))
    rows = values.get("product_map", [])
    if not isinstance(rows, list) or not all(
        isinstance(row, list | tuple)
        and len(row) == 2
        and all(isinstance(r, str) and r for r in row)
        for row in rows
    ):
        yield _shape("product_map", _("Each row needs a bought and an offered product."))
    yield from _children_shape(values)
    yield from _copy_shape(values.get("copy", {}))


def _shape(field: str, message: str) -> Finding:
    return Finding(code="invalid", field=field, message=message)


def _amounts_shape(field: str, amounts: object) -> Iterator[Finding]:
    if not isinstance(amounts, Mapping):
        yield _shape(field, _("This must name an amount for each currency."))
        return
    for currency, amount in amounts.items():
        if not re.fullmatch(r"[A-Z]{3}", str(currency)):
            yield _shape(field, _("“%s” is not a currency code such as EUR.") % currency)
        parsed = decimal_of(amount)
        if parsed is None or parsed < 0:
            yield _shape(field, _("“%s” is not an amount such as 12.00.") % amount)


def _bounds_shape(bounds: object) -> Iterator[Finding]:
    if not isinstance(bounds, Mapping):
        yield _shape("bounds", _("This must name two ends for each currency."))
        return
    for currency, ends in bounds.items():
        if not isinstance(ends, list | tuple) or len(ends) != 2:
            yield _shape("bounds", _("%s needs a least and a most amount.") % currency)
            continue
        if not re.fullmatch(r"[A-Z]{3}", str(currency)):
            yield _shape("bounds", _("“%s” is not a currency code such as EUR.") % currency)
        least, most = (decimal_of(end) for end in ends)
        for end, parsed in zip(ends, (least, most), strict=True):
            if end not in (None, "") and (parsed is None or parsed < 0):
                yield _shape("bounds", _("“%s” is not an amount such as 12.00.") % end)
        if least is not None and most is not None and least > most:
            yield Finding(
                code="min_above_max",
                field="bounds",
                message=_("In %(currency)s the least value %(least)s is above the most, %(most)s.")
                % {"currency": currency, "least": ends[0], "most": ends[1]},
            )


def _children_shape(values: Values) -> Iterator[Finding]:
    kinds = {kind.value for kind in TriggerKind}
    for field in ("triggers", "exclusions"):
        seen: set[tuple[str, str]] = set()
        for row in values.get(field, []):
            kind, ref = row.get("kind", ""), row.get("ref", "")
            if kind not in kinds or (field == "exclusions" and kind == TriggerKind.ALWAYS):
                yield _shape(field, _("“%s” is not a kind of trigger.") % kind)
            elif kind == TriggerKind.ALWAYS and ref:
                yield _shape(field, _("“Every order” names no product."))
            elif kind != TriggerKind.ALWAYS and not ref:
                yield _shape(field, _("Choose which product, category, brand or tag is meant."))
            if int(row.get("quantity") or 0) < 1:
                yield _shape(field, _("The least quantity is at least 1."))
            if (kind, ref) in seen:
                yield _shape(field, _("“%s” is named twice.") % ref)
            seen.add((kind, ref))


def _copy_shape(copy: object) -> Iterator[Finding]:
    if not isinstance(copy, Mapping):
        yield _shape("copy", _("The words must be given by language."))
        return
    lengths = {"headline": HEADLINE, "body": BODY, "accept_label": LABEL,
               "decline_label": LABEL, "image_alt": ALT}  # fmt: skip
    for language, words in copy.items():
        for name, most in lengths.items():
            if len(words.get(name) or "") > most:
                yield Finding(
                    code="too_long",
                    field="copy",
                    message=_("%(language)s: %(what)s has more than %(most)d characters.")
                    % {"language": language, "what": name.replace("_", " "), "most": most},
                )
        benefits = words.get("benefits") or []
        if not isinstance(benefits, list) or not all(isinstance(text, str) for text in benefits):
            yield _shape("copy", _("%s: benefits are lines of text.") % language)
            continue
        if len(benefits) > BENEFITS:
            yield Finding(
                code="too_many_benefits",
                field="copy",
                message=_("%(language)s: at most %(most)d benefits are shown.")
                % {"language": language, "most": BENEFITS},
            )
        if any(len(text) > BENEFIT for text in benefits):
            yield Finding(
                code="too_long",
                field="copy",
                message=_("%(language)s: a benefit has more than %(most)d characters.")
                % {"language": language, "most": BENEFIT},
            )
        if words.get("image_url") and not re.fullmatch(r"(https?://|/)\S*", words["image_url"]):
            yield _shape(
                "copy", _("%s: the image must be an https:// address or a path.") % language
            )


# ------------------------------------------------------------------ one campaign by itself


def _contradictions(values: Values) -> Iterator[Finding]:
    triggers, kind = values.get("triggers", []), values["kind"]
    always = any(row["kind"] == TriggerKind.ALWAYS for row in triggers)
    if kind == OfferKind.UPSELL and always:
        yield Finding(
            code="upsell_always",
            field="triggers",
            message=_("An upsell replaces what was bought, so it needs a trigger that names it: "
                      "“every order” is not possible."),
        )  # fmt: skip
    if always and len(triggers) > 1:
        yield Finding(
            code="always_alone",
            field="triggers",
            message=_("“Every order” stands alone: remove the other triggers, or this one."),
        )
    start, end = datetime_of(values.get("valid_from")), datetime_of(values.get("valid_until"))
    if start and end and end < start:
        yield Finding(
            code="until_before_from",
            field="valid_until",
            message=_("The campaign would end before it begins."),
        )
    percent = decimal_of(values.get("percent", 0))
    if percent is None or not 0 <= percent <= 100:
        yield Finding(
            code="percent_range", field="percent", message=_("A percentage is between 0 and 100.")
        )
    rule = values.get("rule", RuleKind.LIST)
    if rule in _NEEDS_AMOUNTS and not values.get("amounts"):
        yield Finding(
            code="amount_missing",
            field="amounts",
            message=_("This price needs an amount in at least one currency, such as EUR 12.00."),
        )
    if rule == RuleKind.FIXED_DIFFERENCE and kind != OfferKind.UPSELL:
        yield Finding(
            code="difference_of_cross_sell",
            field="rule",
            message=_("A fixed difference is for upsells: a cross-sell replaces nothing."),
        )
    if values.get("shipping") == "FLAT" and not values.get("shipping_flat"):
        yield Finding(
            code="flat_missing",
            field="shipping_flat",
            message=_("Flat delivery needs an amount in at least one currency."),
        )
    fixed = values.get("quantity_rule", QuantityRule.FIXED) == QuantityRule.FIXED
    if (kind == OfferKind.UPSELL) == fixed:
        yield Finding(
            code="quantity_rule",
            field="quantity_rule",
            message=_(
                "An upsell takes its number from what it replaces; choose one of those rules."
            )
            if fixed
            else _("A cross-sell offers a fixed number."),
        )
    offer_by = values.get("offer_by", OfferBy.PRODUCT)
    if offer_by == OfferBy.PRODUCT and not values.get("product_ref"):
        yield Finding(
            code="product_missing", field="product_ref", message=_("Choose the offered product.")
        )
    if offer_by == OfferBy.MAP and not values.get("product_map"):
        yield Finding(
            code="map_missing",
            field="product_map",
            message=_("The table needs at least one row: bought product, offered product."),
        )
    if offer_by == OfferBy.NEXT_MODEL and kind != OfferKind.UPSELL:
        yield Finding(
            code="next_model_of_cross_sell",
            field="offer_by",
            message=_("The next dearer model replaces what was bought: that is an upsell."),
        )
    yield from _excluded(values)


def _excluded(values: Values) -> Iterator[Finding]:
    excluded = {(row["kind"], row["ref"]) for row in values.get("exclusions", [])}
    triggers = [(row["kind"], row["ref"]) for row in values.get("triggers", [])]
    hit = [ref for kind, ref in triggers if (kind, ref) in excluded]
    everything = values.get("match") == Match.ALL or len(hit) == len(triggers)
    if hit and everything:
        yield Finding(
            code="excludes_trigger",
            field="exclusions",
            message=_("“%s” is both a trigger and excluded: the campaign can never qualify.")
            % hit[0],
        )
    if values.get("product_ref") and (TriggerKind.PRODUCT, values["product_ref"]) in excluded:
        yield Finding(
            code="excludes_offered",
            field="exclusions",
            message=_("The offered product is excluded as well."),
        )


def _habits(values: Values) -> Iterator[Finding]:
    if not values.get("channels"):
        yield Finding(
            code="no_channel",
            field="channels",
            message=_("No sales channel is chosen: this campaign runs nowhere."),
        )
    if not values.get("triggers"):
        yield Finding(
            code="no_trigger",
            field="triggers",
            message=_("There is no trigger: this campaign never appears. "
                      "Choose “every order” if that is meant."),
        )  # fmt: skip
    rule = values.get("rule", RuleKind.LIST)
    if rule in _NEEDS_AMOUNTS:
        wanted = set(values.get("currencies", [])) | set(values.get("bounds", {}))
        missing = sorted(wanted - set(values.get("amounts", {})))
        if missing:
            yield Finding(
                code="currency_missing",
                field="amounts",
                message=_("There is no amount in %s: orders in it are offered nothing.")
                % ", ".join(missing),
            )
    if not any(words.get("headline") for words in values.get("copy", {}).values()):
        yield Finding(
            code="no_words",
            field="copy",
            message=_("There is no headline: the shopper reads a plain sentence of ours instead."),
        )
    language = values.get("default_language", "en")
    if values.get("copy") and language not in values["copy"]:
        yield Finding(
            code="no_default_language",
            field="default_language",
            message=_("There are no words in the default language, %s.") % language,
        )
    for language, words in values.get("copy", {}).items():
        if words.get("image_url") and not words.get("image_alt"):
            yield Finding(
                code="no_alt",
                field="copy",
                message=_("%s: the image has no text for those who cannot see it.") % language,
            )


# ------------------------------------------------------------------ button words


def _labels(values: Values) -> tuple[list[Finding], list[Finding]]:
    errors: list[Finding] = []
    warnings: list[Finding] = []
    countries = set(values.get("countries", []))
    in_eu = not countries or bool(countries & EU)
    if not conf.get("UPSELL_EU_LABELS") or not in_eu or _is_free(values):
        return errors, warnings
    for language, words in values.get("copy", {}).items():
        label = " ".join((words.get("accept_label") or "").split())
        bare = label.casefold().strip(" .!…")
        if not bare:
            continue
        if bare in REFUSED_LABELS:
            errors.append(
                Finding(
                    code="label_refused",
                    field="copy",
                    message=_("%(language)s: “%(label)s” does not say that pressing it costs "
                              "money, which EU law demands. Write “Pay now” or leave it empty.")
                    % {"language": language, "label": label},
                )
            )  # fmt: skip
        elif not any(word in bare for word in SAFE_WORDS):
            warnings.append(
                Finding(
                    code="label_unusual",
                    field="copy",
                    message=_("%(language)s: have somebody check whether “%(label)s” says "
                              "clearly enough that pressing it costs money.")
                    % {"language": language, "label": label},
                )
            )  # fmt: skip
    return errors, warnings


def _is_free(values: Values) -> bool:
    if values.get("rule") == RuleKind.PERCENT:
        return decimal_of(values.get("percent")) == 100
    if values.get("rule") == RuleKind.FIXED:
        return all(decimal_of(amount) == 0 for amount in values.get("amounts", {}).values())
    return False


# ------------------------------------------------------------------ beside other campaigns


def _beside_others(values: Values, others: Sequence[Campaign]) -> Iterator[Finding]:
    channels = set(values.get("channels", []))
    if values.get("status") == Campaign.Status.OFF:
        return
    for other in others:
        if other.priority == values.get("priority") and channels & set(other.channels):
            yield Finding(
                code="equal_priority",
                field="priority",
                message=_("“%s” has the same priority in the same sales channel: "
                          "the one edited last wins.") % other.name,
            )  # fmt: skip
            break
    for other in others:
        if other.priority > int(values.get("priority") or 0) and _shadows(other, values):
            yield Finding(
                code="shadowed",
                field="priority",
                message=_("“%s” comes first and always appears where this one could: "
                          "this campaign is never shown.") % other.name,
            )  # fmt: skip
            break
    if values.get("status") == Campaign.Status.LIVE:
        rules = [other.rule for other in others if other.status == Campaign.Status.LIVE]
        rules.append(values.get("rule", RuleKind.LIST))
        discounted = sum(rule in (RuleKind.PERCENT, RuleKind.AMOUNT) for rule in rules)
        if len(rules) > 1 and discounted * 2 > len(rules):
            yield Finding(
                code="mostly_discounted",
                field="rule",
                message=_("More than half of the live campaigns are discounted: "
                          "buyers may learn to wait for it."),
            )  # fmt: skip


def _shadows(other: Campaign, values: Values) -> bool:
    """Whether ``other`` qualifies wherever these values do, with the same availability."""
    if (other.offer_by, other.product_ref, other.stock) != (
        values.get("offer_by", OfferBy.PRODUCT),
        values.get("product_ref", ""),
        values.get("stock", "REQUIRE"),
    ) or other.offer_by != OfferBy.PRODUCT:
        return False
    if other.status != values.get("status") or other.kind != values["kind"] or other.must_fit:
        return False
    mine = {(row["kind"], row["ref"]): int(row.get("quantity", 1)) for row in values["triggers"]}
    theirs = {(row.kind, row.ref): row.quantity for row in other.triggers.all() if not row.exact}
    always = (TriggerKind.ALWAYS.value, "") in theirs
    covered = [key in theirs and theirs[key] <= units for key, units in mine.items()]
    if other.match == Match.ALL and len(theirs) > 1:
        reached = values.get("match") == Match.ALL and set(theirs) <= set(mine)
    elif values.get("match") == Match.ALL:
        reached = any(covered)
    else:
        reached = bool(covered) and all(covered)
    filters = all(
        not getattr(other, field) or (set(values.get(field, [])) and
        set(values[field]) <= set(getattr(other, field)))
        for field in ("currencies", "groups", "countries", "payment_methods")
    )  # fmt: skip
    excluded = {(row["kind"], row["ref"]) for row in values.get("exclusions", [])}
    start, end = datetime_of(values.get("valid_from")), datetime_of(values.get("valid_until"))
    return (
        (always or reached)
        and filters
        and set(values.get("channels", [])) <= set(other.channels)
        and (not other.bounds or other.bounds == values.get("bounds"))
        and all((row.kind, row.ref) in excluded for row in other.exclusions.all())
        and (other.valid_from is None or (start is not None and other.valid_from <= start))
        and (other.valid_until is None or (end is not None and other.valid_until >= end))
        and other.not_seen_days is None
        and (
            other.not_bought_days is None or other.not_bought_days == values.get("not_bought_days")
        )
    )


# ------------------------------------------------------------------ products and prices


def _products(values: Values) -> tuple[list[Finding], list[Finding]]:
    errors: list[Finding] = []
    warnings: list[Finding] = []
    if values.get("offer_by", OfferBy.PRODUCT) != OfferBy.PRODUCT or not values.get("product_ref"):
        return errors, warnings
    offered_ref = values["product_ref"]
    triggers = values.get("triggers", [])
    bought_refs = [row["ref"] for row in triggers if row["kind"] == TriggerKind.PRODUCT]
    try:
        products = conf.shop().products([offered_ref, *bought_refs])
    except (UpsellError, LookupError, ValueError):
        return errors, warnings
    offered = products.get(offered_ref)
    if offered is None:
        warnings.append(
            Finding(
                code="product_unknown",
                field="product_ref",
                message=_("The shop does not know the offered product: nothing will be offered."),
            )
        )
    if _offers_its_trigger(values, offered, products):
        errors.append(
            Finding(
                code="offers_trigger",
                field="product_ref",
                message=_("The offered product is what triggers the campaign: "
                          "choose another product or variant."),
            )
        )  # fmt: skip
    if offered is None:
        return errors, warnings
    if triggers and not _linked(offered, triggers, products):
        warnings.append(
            Finding(
                code="nothing_links",
                field="product_ref",
                message=_("Nothing links the offered product to what triggers it: "
                          "no common category, brand or tag, and it is not said to fit."),
            )
        )  # fmt: skip
    price_errors, price_warnings = _prices(values, offered, bought_refs)
    return errors + price_errors, warnings + price_warnings


def _offers_its_trigger(
    values: Values, offered: Product | None, products: Mapping[str, Product]
) -> bool:
    for row in values.get("triggers", []):
        if row["kind"] != TriggerKind.PRODUCT:
            continue
        if row["ref"] == values["product_ref"]:
            return True
        bought = products.get(row["ref"])
        if (
            values["kind"] == OfferKind.CROSS_SELL
            and not values.get("allow_if_present")
            and offered is not None
            and bought is not None
            and offered.family_ref == bought.family_ref
        ):
            return True
    return False


def _linked(
    offered: Product, triggers: Sequence[Mapping[str, Any]], products: Mapping[str, Product]
) -> bool:
    fits = set(offered.attributes.get("fits", "").split())
    for row in triggers:
        kind, ref = row["kind"], row["ref"]
        if kind == TriggerKind.ALWAYS:
            return True
        if (
            (kind == TriggerKind.CATEGORY and ref in offered.category_refs)
            or (kind == TriggerKind.BRAND and ref == offered.brand_ref)
            or (kind == TriggerKind.TAG and ref in offered.tags)
        ):
            return True
        bought = products.get(ref) if kind == TriggerKind.PRODUCT else None
        if bought is not None and (
            bought.category_refs & offered.category_refs
            or bought.tags & offered.tags
            or (bought.brand_ref and bought.brand_ref == offered.brand_ref)
            or bought.family_ref == offered.family_ref
            or fits & {bought.ref, bought.sku, bought.parent_ref} - {""}
        ):
            return True
    return False


def _prices(
    values: Values, offered: Product, bought_refs: Sequence[str]
) -> tuple[list[Finding], list[Finding]]:
    errors: list[Finding] = []
    warnings: list[Finding] = []
    occasion = sample_occasion()
    if occasion is None:
        return errors, warnings
    wanted = [(ref, 1) for ref in dict.fromkeys([offered.ref, *bought_refs])]
    found = conf.shop().availability(wanted, occasion)
    unit = found[offered.ref].unit if offered.ref in found else None
    if unit is None or unit.currency != occasion.currency:
        return errors, warnings
    basis = unit.gross if occasion.prices_include_tax else unit.net
    price = _ruled(values, basis, unit.currency)
    net = unit.net if not basis else unit.net * price / basis if price is not None else None
    if (
        price is not None
        and net is not None
        and offered.cost is not None
        and net < offered.cost
        and not values.get("allow_below_cost")
    ):
        errors.append(
            Finding(
                code="below_cost",
                field="allow_below_cost",
                message=_("At this price the product is sold below what it costs "
                          "(%(cost)s net). Tick “may be below cost” if that is meant.")
                % {"cost": offered.cost},
            )
        )  # fmt: skip
    others = [found[ref].unit for ref in bought_refs if ref in found]
    grosses = [other.gross for other in others if other is not None and other.gross > 0]
    if not grosses or price is None:
        return errors, warnings
    least = min(grosses)
    if values["kind"] == OfferKind.CROSS_SELL and price > least * CROSS_SELL_SHARE:
        warnings.append(
            Finding(
                code="dear_cross_sell",
                field="product_ref",
                message=_("The offered product costs more than 60 % of what triggers it; "
                          "such offers are rarely taken."),
            )
        )  # fmt: skip
    if values["kind"] == OfferKind.UPSELL and price > least * UPSELL_TIMES:
        warnings.append(
            Finding(
                code="dear_upsell",
                field="product_ref",
                message=_("The offered product costs more than 2.5 times what it replaces; "
                          "such offers are rarely taken."),
            )
        )  # fmt: skip
    return errors, warnings


def _ruled(values: Values, basis: Decimal, currency: str) -> Decimal | None:
    """The unit price after the rule, roughly: for warnings, never for a promise."""
    rule = values.get("rule", RuleKind.LIST)
    if rule == RuleKind.PERCENT:
        return basis * (100 - (decimal_of(values.get("percent")) or Decimal(0))) / 100
    amount = decimal_of(values.get("amounts", {}).get(currency))
    if rule == RuleKind.AMOUNT:
        return None if amount is None else max(basis - amount, Decimal(0))
    if rule == RuleKind.FIXED:
        return None if amount is None else min(amount, basis)
    return None if rule == RuleKind.FIXED_DIFFERENCE else basis


def sample_occasion() -> Occasion | None:
    """Return a recent order to ask prices with; none where the shop has none."""
    shop = conf.shop()
    try:
        choice = next(iter(shop.choices("order", "", 1)), None)
        return shop.order(choice.ref) if choice else None
    except (UpsellError, LookupError, ValueError):
        return None


# ------------------------------------------------------------------ reading plain values


def decimal_of(value: object) -> Decimal | None:
    """Read an amount; none for nothing and for what is no amount. A float is no amount."""
    if value in (None, "") or isinstance(value, float | bool):
        return None
    try:
        parsed = Decimal(str(value))
    except InvalidOperation:
        return None
    return parsed if parsed.is_finite() else None


def datetime_of(value: object) -> datetime | None:
    """Read a time, aware; a time without a zone is UTC."""
    if not value:
        return None
    told = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return told if told.tzinfo else told.replace(tzinfo=UTC)
