"""The one bridge from rows to engine values, and from a promise to a change of the order."""

from __future__ import annotations

import hashlib
import hmac
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from django.core.signals import setting_changed
from django.db import models

from upsell import conf
from upsell.engine.campaigns import (
    Bounds,
    CampaignSpec,
    ChannelPolicy,
    DocumentPolicy,
    Exclusion,
    Match,
    OfferBy,
    OfferKind,
    PriceRule,
    QuantityRule,
    RuleKind,
    ShippingPolicy,
    Status,
    StockPolicy,
    Trigger,
    TriggerKind,
)
from upsell.engine.index import CampaignIndex, compile_index
from upsell.models import (
    Campaign,
    CampaignExclusion,
    CampaignSet,
    CampaignTrigger,
    ChannelSettings,
    Offer,
)
from upsell.models.versioned import SET_ID
from upsell.ports import Change, ChangeKind, Customer, Occasion, Price, Replaced

SHORTEST, LONGEST = timedelta(minutes=5), timedelta(minutes=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelTerms:
    """Everything staff may set for a sales channel, row over settings."""

    enabled: bool
    validity: timedelta
    undo_time: timedelta
    confirmation_mail: bool
    sender: str
    staff_address: str
    hold: bool
    holdout: int
    time_zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    version: int
    index: CampaignIndex
    channels: Mapping[str, ChannelTerms]


_lock = threading.Lock()
_snapshot: _Snapshot | None = None


def index(version: int | None = None) -> CampaignIndex:
    """Return the compiled campaigns, renewed when ``version`` is not the one held.

    Without a version it is read first: one statement more.
    """
    return _held(version).index


def remembers() -> bool:
    """Whether the campaigns held ask what a buyer was shown before. No statement."""
    held = _snapshot
    return held is None or held.index.remembers


def policy(channel: str, version: int | None = None) -> ChannelTerms:
    """Return what holds for a sales channel: its row, else the row for all, else the settings."""
    channels = _held(version).channels
    return channels.get(channel) or channels.get("") or _terms(None)


def forget(**_kwargs: object) -> None:
    """Drop what is held: the next decision compiles anew."""
    global _snapshot
    _snapshot = None


def _forget_setting(*, setting: str, **_kwargs: object) -> None:
    if setting.startswith("UPSELL_"):
        forget()


setting_changed.connect(_forget_setting, dispatch_uid="upsell.snapshots")


def _held(version: int | None) -> _Snapshot:
    global _snapshot
    if version is None:
        version = current_version()
    held = _snapshot
    if held is not None and held.version == version:
        return held
    with _lock:
        if _snapshot is not None and _snapshot.version == version:
            return _snapshot
        # The version was read before the rows: an edit in between is seen by the next look.
        channels = {row.channel: _terms(row) for row in ChannelSettings.objects.all()}
        policies = {
            channel: ChannelPolicy(
                enabled=terms.enabled,
                validity=terms.validity,
                allow_recurring=bool(conf.get("UPSELL_ALLOW_RECURRING")),
            )
            for channel, terms in {"": _terms(None), **channels}.items()
        }
        _snapshot = _Snapshot(
            version=version,
            index=_followed(_snapshot, version, policies)
            or compile_index(all_specs(), version=version, policies=policies),
            channels=channels,
        )
        return _snapshot


def _followed(
    held: _Snapshot | None, version: int, policies: Mapping[str, ChannelPolicy]
) -> CampaignIndex | None:
    """Return the index held with the edits since; none = it has to be made anew."""
    if held is None or held.version > version:  # a database restored from a backup
        return None
    known = CampaignSet.objects.filter(pk=SET_ID, anew_since__lte=held.version)
    changed = Campaign.objects.filter(changed_in__gt=held.version)
    ids = list(changed.values_list("pk", flat=True)[: CHUNK + 1])
    if len(ids) > CHUNK or not known.exists():
        return None
    rows = Campaign.objects.filter(pk__in=ids, archived=False).order_by("pk")
    return held.index.edited(
        ids,
        _compiled(rows),
        version=version,
        total=Campaign.objects.filter(archived=False).count(),
        policies=policies,
    )


def current_version() -> int:
    """Return the campaign set's version: one statement."""
    found = CampaignSet.objects.filter(pk=SET_ID).values_list("version", flat=True).first()
    return 1 if found is None else found


def _terms(row: ChannelSettings | None) -> ChannelTerms:
    validity = (row and row.validity) or conf.duration("UPSELL_OFFER_LIFETIME")
    mail = row.confirmation_mail if row else None
    hold = row.hold if row else None
    return ChannelTerms(
        enabled=row.enabled if row else bool(conf.get("UPSELL_OFFERS_ENABLED")),
        validity=min(max(validity, SHORTEST), LONGEST),
        undo_time=(row and row.undo_time) or conf.duration("UPSELL_UNDO_LIFETIME"),
        confirmation_mail=bool(conf.get("UPSELL_CONFIRMATION_MAIL")) if mail is None else mail,
        sender=(row and row.sender) or str(conf.get("UPSELL_FROM_EMAIL")),
        staff_address=(row and row.staff_address) or str(conf.get("UPSELL_STAFF_EMAIL")),
        hold=bool(conf.get("UPSELL_FULFILMENT_HOLD")) if hold is None else hold,
        holdout=row.holdout if row else 0,
        time_zone=(row and row.time_zone) or "",
    )


# ------------------------------------------------------------------ campaigns


CHUNK = 2000


def all_specs() -> Iterator[CampaignSpec]:
    """Yield every campaign that is not archived, compiled. Three statements per 2,000."""
    return _compiled(Campaign.objects.filter(archived=False).ranked())


def _compiled(campaigns: models.QuerySet[Campaign]) -> Iterator[CampaignSpec]:
    """Yield these campaigns, compiled, a batch at a time with their child rows by hand.

    Prefetching makes a queryset for each campaign, which costs more than all the rest.
    """
    rows = campaigns.defer("note").iterator(chunk_size=CHUNK)
    while batch := list(islice(rows, CHUNK)):
        ids = [row.pk for row in batch]
        children = {row.pk: (list[Trigger](), list[Exclusion]()) for row in batch}
        columns = ("campaign_id", "kind", "ref", "quantity")
        triggers = CampaignTrigger.objects.filter(campaign_id__in=ids).order_by("pk")
        for key, kind, ref, least, exact in triggers.values_list(*columns, "exact"):
            trigger = Trigger(kind=TriggerKind(kind), ref=ref, exact=exact, quantity=least)
            children[key][0].append(trigger)
        exclusions = CampaignExclusion.objects.filter(campaign_id__in=ids).order_by("pk")
        for key, kind, ref, least in exclusions.values_list(*columns):
            children[key][1].append(Exclusion(kind=TriggerKind(kind), ref=ref, quantity=least))
        for row in batch:
            yield _spec(row, *children[row.pk])


def spec_of(campaign: Campaign) -> CampaignSpec:
    """Return a campaign as the engine reads it; its child rows should be prefetched."""
    return _spec(
        campaign,
        [
            Trigger(kind=TriggerKind(row.kind), ref=row.ref, exact=row.exact, quantity=row.quantity)
            for row in sorted(campaign.triggers.all(), key=lambda row: row.pk or 0)
        ],
        [
            Exclusion(kind=TriggerKind(row.kind), ref=row.ref, quantity=row.quantity)
            for row in sorted(campaign.exclusions.all(), key=lambda row: row.pk or 0)
        ],
    )


def _spec(
    campaign: Campaign, triggers: Iterable[Trigger], exclusions: Iterable[Exclusion]
) -> CampaignSpec:
    return CampaignSpec(
        id=campaign.pk,
        slug=campaign.slug,
        name=campaign.name,
        revision=campaign.revision,
        status=Status(campaign.status),
        kind=OfferKind(campaign.kind),
        priority=campaign.priority,
        edited_at=campaign.edited_at,
        valid_from=campaign.valid_from,
        valid_until=campaign.valid_until,
        channels=frozenset(campaign.channels),
        moments=frozenset(campaign.moments),
        match=Match(campaign.match),
        triggers=tuple(triggers),
        exclusions=tuple(exclusions),
        bounds={
            currency: Bounds(least=_amount(ends[0]), most=_amount(ends[1]))
            for currency, ends in campaign.bounds.items()
        },
        currencies=frozenset(campaign.currencies),
        groups=frozenset(campaign.groups),
        countries=frozenset(campaign.countries),
        payment_methods=frozenset(campaign.payment_methods),
        offer_by=OfferBy(campaign.offer_by),
        product_ref=campaign.product_ref,
        product_map=tuple((row[0], row[1]) for row in campaign.product_map),
        must_fit=campaign.must_fit,
        allow_if_present=campaign.allow_if_present,
        not_bought_days=campaign.not_bought_days,
        not_seen_days=campaign.not_seen_days,
        rule=PriceRule(
            kind=RuleKind(campaign.rule),
            percent=Decimal(campaign.percent),
            amounts=_amounts(campaign.amounts),
            from_regular=campaign.from_regular,
            allow_free=campaign.allow_free,
        ),
        quantity_rule=QuantityRule(campaign.quantity_rule),
        quantity=campaign.quantity,
        shipping=ShippingPolicy(campaign.shipping),
        shipping_flat=_amounts(campaign.shipping_flat),
        stock=StockPolicy(campaign.stock),
        documents=DocumentPolicy(campaign.documents),
        allow_below_cost=campaign.allow_below_cost,
    )


def _amount(value: str | None) -> Decimal | None:
    return None if value in (None, "") else Decimal(str(value))


def _amounts(values: Mapping[str, str]) -> dict[str, Decimal]:
    return {currency: Decimal(str(value)) for currency, value in values.items()}


# ------------------------------------------------------------------ buyers and orders


def gather(order_ref: str) -> Occasion:
    """Return the placed order as an occasion.

    Raises:
        NotFound: The shop does not know it.
    """
    return conf.shop().order(order_ref)


def gone(occasion: Occasion) -> str:
    """Return why there is nothing left of an order to change or to pay for; empty = it stands."""
    if occasion.cancelled:
        return "order_cancelled"
    return "order_refunded" if occasion.closed_reason == "refunded" else ""


def customer_keys(customer: Customer) -> list[str]:
    """Return every key this buyer may be stored under, the current one first.

    ``u:`` and the host's reference, else ``e:`` and the HMAC-SHA256 of the e-mail
    address, trimmed, NFKC, lower-cased, under the current key and each fallback.
    """
    if customer.ref:
        return [f"u:{customer.ref}"]
    email = unicodedata.normalize("NFKC", customer.email).strip().lower()
    if not email:
        return []
    return [
        "e:" + hmac.new(key, email.encode(), hashlib.sha256).hexdigest() for key in conf.hash_keys()
    ]


def customer_key(customer: Customer) -> str:
    """Return the key this buyer is stored under from now on; empty if there is nothing to go by."""
    return next(iter(customer_keys(customer)), "")


# ------------------------------------------------------------------ promises


def price_json(price: Price) -> dict[str, str]:
    """Return an amount as it is stored in terms: strings, never floats."""
    return {"net": str(price.net), "gross": str(price.gross)}


def change_of(offer: Offer) -> Change:
    """Return the change that an offer's frozen terms promise."""
    terms: Mapping[str, Any] = offer.terms
    shipping = terms["shipping"]
    return Change(
        id=str(offer.uuid),
        kind=ChangeKind.REPLACE if terms["replaced"] else ChangeKind.APPEND,
        order_ref=offer.order_ref or offer.occasion_ref,
        product_ref=offer.product_ref,
        quantity=offer.quantity,
        unit=Price(
            currency=offer.currency,
            net=offer.unit_net,
            gross=offer.unit_gross,
            tax_code=terms.get("tax_code", ""),
        ),
        replaces=_replaced(terms["replaced"], offer.currency),
        shipping=Price(
            currency=offer.currency,
            net=Decimal(shipping["net"]),
            gross=Decimal(shipping["gross"]),
        ),
        note=terms.get("note", ""),
        stock_policy=terms.get("stock", "REQUIRE"),
    )


def _replaced(rows: Sequence[Mapping[str, Any]], currency: str) -> tuple[Replaced, ...]:
    return tuple(
        Replaced(
            line_ref=row["line_ref"],
            product_ref=row["product_ref"],
            title=row["title"],
            quantity=row["quantity"],
            credit=Price(
                currency=currency,
                net=Decimal(row["credit_net"]),
                gross=Decimal(row["credit_gross"]),
            ),
        )
        for row in rows
    )
