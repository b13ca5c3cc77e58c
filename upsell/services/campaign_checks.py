"""What is wrong, or merely unwise, about a campaign: plain values in, findings out."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from upsell.engine.campaigns import (
    OfferBy,
    OfferKind,
    QuantityRule,
    RuleKind,
    ShippingPolicy,
    TriggerKind,
)
from upsell.services.campaign_labels import label_findings
from upsell.services.campaign_products import Known, known, never_qualifies, product_findings
from upsell.services.campaign_rivals import rival_findings
from upsell.services.campaign_shapes import Finding, Values, datetime_of, decimal_of, shapes

__all__ = ["Finding", "validate"]

_NEEDS_AMOUNTS = frozenset({RuleKind.AMOUNT, RuleKind.FIXED, RuleKind.FIXED_DIFFERENCE})


def validate(
    values: Values, *, campaign_id: int | None = None
) -> tuple[list[Finding], list[Finding]]:
    """Return (errors, warnings) of a campaign; errors forbid saving, warnings never do.

    Args:
        values: As ``dump`` gives them.
        campaign_id: The row these values belong to, so that it is not compared with itself.

    Cost: at most five statements about other campaigns and two about a recent order, one
    ``Shop.products`` and ``Shop.availability``, and the ``Shop.order`` that prices need.
    """
    errors = list(shapes(values))
    if any(error.code == "invalid" for error in errors):
        return errors, []  # nothing further can be read
    told = known(values)
    label_errors, label_warnings = label_findings(values)
    product_errors, product_warnings = product_findings(values, told)
    errors += _contradictions(values)
    errors += never_qualifies(values, told)
    warnings = list(_habits(values, told))
    warnings += rival_findings(values, campaign_id=campaign_id)
    return (
        [*errors, *label_errors, *product_errors],
        [*warnings, *label_warnings, *product_warnings],
    )


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
            code="percent_range",
            field="percent",
            message=_("A percentage is between 0 and 100, and “%s” is not.")
            % values.get("percent"),
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


def _habits(values: Values, told: Known) -> Iterator[Finding]:
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
    yield from _currencies(values, told)
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
                language=language,
                part="image_alt",
                message=_("%s: the image has no text for those who cannot see it.") % language,
            )


def _currencies(values: Values, told: Known) -> Iterator[Finding]:
    """Yield the currencies that the campaign is open to, and has no amount in."""
    wanted = set(values.get("currencies", [])) | set(values.get("bounds", {}))
    if not wanted and told.occasion is not None:
        wanted = {told.occasion.currency}
    needed = (
        ("amounts", values.get("rule", RuleKind.LIST) in _NEEDS_AMOUNTS),
        ("shipping_flat", values.get("shipping") == ShippingPolicy.FLAT),
    )
    for field, is_read in needed:
        missing = sorted(wanted - set(values.get(field, {})))
        if is_read and values.get(field) and missing:
            yield Finding(
                code="currency_missing",
                field=field,
                message=_("There is no amount in %s: orders in it are offered nothing.")
                % ", ".join(missing),
            )
