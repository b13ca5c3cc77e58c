"""A campaign beside the others: who has the same priority, who is always in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from upsell import clock
from upsell.engine.campaigns import Match, OfferBy, OfferKind, RuleKind, TriggerKind
from upsell.models import Campaign
from upsell.models.campaign import CampaignQuerySet
from upsell.services.campaign_shapes import Finding, Values, datetime_of, decimal_of

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def rival_findings(values: Values, *, campaign_id: int | None) -> Iterator[Finding]:
    """Yield what other campaigns that are switched on make of this one.

    Cost: at most five statements, however many campaigns there are: equals and campaigns in
    front are looked up by priority and offered product.
    """
    if values.get("status") == Campaign.Status.OFF:
        return
    priority = int(values.get("priority") or 0)
    others: CampaignQuerySet = (
        Campaign.objects.filter(archived=False)
        .exclude(Q(status=Campaign.Status.OFF) | Q(valid_until__lt=clock.now()))
        .exclude(pk=campaign_id or 0)
    )
    channels = set(values.get("channels", []))
    for other in others.filter(priority=priority).ranked():
        if channels & set(other.channels) and _meet(other, values):
            yield Finding(
                code="equal_priority",
                field="priority",
                message=_("“%s” has the same priority in the same sales channel: "
                          "the one edited last wins.") % other.name,
            )  # fmt: skip
            break
    if values.get("offer_by", OfferBy.PRODUCT) == OfferBy.PRODUCT:
        in_front = others.filter(
            priority__gt=priority,
            offer_by=Campaign.OfferBy.PRODUCT,
            product_ref=values.get("product_ref", ""),
        )
        for other in in_front.ranked().prefetch_related("triggers", "exclusions"):
            if shadows(other, values):
                yield Finding(
                    code="shadowed",
                    field="priority",
                    message=_("“%s” comes first and always appears where this one could: "
                              "this campaign is never shown.") % other.name,
                )  # fmt: skip
                break
    yield from _mostly_discounted(values, others)


def _mostly_discounted(values: Values, others: CampaignQuerySet) -> Iterator[Finding]:
    if values.get("status") != Campaign.Status.LIVE:
        return
    lowered = [RuleKind.PERCENT.value, RuleKind.AMOUNT.value]
    counted = others.filter(status=Campaign.Status.LIVE).aggregate(
        live=Count("pk"), discounted=Count("pk", filter=Q(rule__in=lowered))
    )
    live = counted["live"] + 1
    discounted = counted["discounted"] + (values.get("rule") in lowered)
    if live > 1 and discounted * 2 > live:
        told = ngettext(
            "%(discounted)d of %(live)d live campaign is discounted: buyers learn to wait.",
            "%(discounted)d of %(live)d live campaigns are discounted: buyers learn to wait.",
            live,
        )
        yield Finding(
            code="mostly_discounted",
            field="rule",
            message=told % {"discounted": discounted, "live": live},
        )


def _window(values: Values) -> tuple[datetime, datetime]:
    start, end = datetime_of(values.get("valid_from")), datetime_of(values.get("valid_until"))
    return start or _FIRST, end or _LAST


def _meet(other: Campaign, values: Values) -> bool:
    """Whether there is a moment that belongs to both."""
    start, end = _window(values)
    return (other.valid_from or _FIRST) <= end and start <= (other.valid_until or _LAST)


# ------------------------------------------------------------------ shadowed


def shadows(other: Campaign, values: Values) -> bool:
    """Whether ``other`` can be offered wherever these values can; in doubt, no.

    They offer the same product, so that neither is there while the other is sold out.
    """
    covers: tuple[Any, ...] = (
        _covers_status,
        _covers_triggers,
        _covers_filters,
        _covers_time,
        _covers_price,
        _covers_stock,
    )
    return other.kind == values["kind"] and all(check(other, values) for check in covers)


def _covers_status(other: Campaign, values: Values) -> bool:
    return other.status in (Campaign.Status.LIVE, values.get("status"))


def _covers_triggers(other: Campaign, values: Values) -> bool:
    mine = {(row["kind"], row["ref"]): row for row in values["triggers"]}
    theirs = {(row.kind, row.ref): row for row in other.triggers.all()}
    if not mine or not theirs:
        return False
    if values["kind"] == OfferKind.UPSELL and set(mine) != set(theirs):
        return False  # they would replace other lines
    if (TriggerKind.ALWAYS.value, "") in theirs:
        return True
    covered = [
        key in theirs
        and theirs[key].quantity <= int(row.get("quantity", 1))
        and (not theirs[key].exact or bool(row.get("exact")))
        for key, row in mine.items()
    ]
    all_of_mine = values.get("match") == Match.ALL
    if other.match == Match.ALL and len(theirs) > 1:
        return all_of_mine and set(theirs) <= set(mine) and sum(covered) == len(theirs)
    return any(covered) if all_of_mine else all(covered)


def _covers_filters(other: Campaign, values: Values) -> bool:
    for name in ("currencies", "groups", "countries", "payment_methods"):
        theirs, mine = set(getattr(other, name)), set(values.get(name, []))
        if theirs and not (mine and mine <= theirs):
            return False
    for name in ("channels", "moments"):
        if not set(values.get(name, [])) <= set(getattr(other, name)):
            return False
    mine_excluded = {
        (row["kind"], row["ref"]): int(row.get("quantity", 1))
        for row in values.get("exclusions", [])
    }
    return (
        (not other.bounds or other.bounds == values.get("bounds"))
        and not other.must_fit
        and (other.allow_if_present or not values.get("allow_if_present"))
        and all(
            mine_excluded.get((row.kind, row.ref), row.quantity + 1) <= row.quantity
            for row in other.exclusions.all()
        )
    )


def _covers_time(other: Campaign, values: Values) -> bool:
    start, end = _window(values)
    days = values.get("not_bought_days")
    return (
        (other.valid_from or _FIRST) <= start
        and end <= (other.valid_until or _LAST)
        and other.not_seen_days is None
        and (other.not_bought_days is None or (days is not None and other.not_bought_days <= days))
    )


def _covers_price(other: Campaign, values: Values) -> bool:
    same = (
        other.rule == values.get("rule", RuleKind.LIST)
        and other.percent == decimal_of(values.get("percent", 0))
        and other.amounts == values.get("amounts", {})
        and other.from_regular == bool(values.get("from_regular"))
    )
    # The selling price is there in every currency, and the highest a rule can come to.
    return (same or other.rule == RuleKind.LIST) and (
        other.allow_free or not values.get("allow_free")
    )


def _covers_stock(other: Campaign, values: Values) -> bool:
    units = (
        other.quantity <= int(values.get("quantity", 1))
        if values["kind"] == OfferKind.CROSS_SELL
        else other.quantity_rule == values.get("quantity_rule")
    )
    delivered = other.shipping == Campaign.Shipping.FREE or (
        other.shipping == values.get("shipping", Campaign.Shipping.FREE)
        and set(values.get("shipping_flat", {})) <= set(other.shipping_flat)
    )
    return (
        units
        and delivered
        and other.stock in (Campaign.Stock.IGNORE, values.get("stock", Campaign.Stock.REQUIRE))
        and (
            other.documents != Campaign.Documents.SKIP_IF_INVOICED
            or other.documents == values.get("documents")
        )
    )
