"""The one bridge from rows to engine values, and from a promise to a change of the order."""

from __future__ import annotations

import hashlib
import hmac
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time, timedelta
from decimal import Decimal
from itertools import islice
from time import monotonic
from typing import Any

from django.core.signals import setting_changed
from django.db import models

from upsell import conf
from upsell.engine.arms import ArmOffer, Running, RunningExperiment, by_campaign
from upsell.engine.bandit import PRIOR_VIEWS, Posterior
from upsell.engine.campaigns import (
    Bounds,
    By,
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
from upsell.engine.experiments import BUCKETS, HOLDOUT_SALT, MAX_HOLDOUT, ArmSpec, PhaseSpec
from upsell.engine.index import CampaignIndex, compile_index
from upsell.engine.selecting import Selection
from upsell.models import (
    Arm,
    Belief,
    Campaign,
    CampaignExclusion,
    CampaignSet,
    CampaignTrigger,
    ChannelSettings,
    Experiment,
    Journey,
    Offer,
    Phase,
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
    postal_address: str
    """Of the shop, for the footer of marketing mails; lines as they are written."""
    hold: bool
    holdout: int
    """Buckets of buyers who are never offered anything."""
    holdout_salt: str
    time_zone: str
    quiet_hours: Mapping[str, tuple[time, time]]
    """Of media that have their own here; the settings say what holds for the others."""
    ask_satisfaction: bool
    ancillary_tags: frozenset[str]
    ancillary_categories: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    version: int
    index: CampaignIndex
    channels: Mapping[str, ChannelTerms]


_lock = threading.Lock()
_snapshot: _Snapshot | None = None
_journeys: bool | None = None
"""Whether there is one that may listen to events; none = not looked yet."""
_looked = 0.0
"""When that was looked at, on the monotonic clock."""
LOOKS = timedelta(minutes=1)
"""How long a look at which there was none is believed."""


def index(version: int | None = None) -> CampaignIndex:
    """Return the compiled campaigns, renewed when ``version`` is not the one held.

    Without a version it is read first: one statement more.
    """
    return _held(version).index


def policy(channel: str, version: int | None = None) -> ChannelTerms:
    """Return what holds for a sales channel: its row, else the row for all, else the settings."""
    channels = _held(version).channels
    return channels.get(channel) or channels.get("") or _terms(None)


def is_unused() -> bool:
    """Whether there was no campaign and no journey when last looked.

    No statement; false = not known.
    """
    held = _snapshot
    return held is not None and not len(held.index) and _journeys is False


def may_have_journeys() -> bool:
    """Whether some journey might have listened when last looked. No statement; true = not known."""
    return _journeys is not False


def had_no_journeys() -> bool:
    """Whether there was no journey at a look of the last minute. No statement."""
    return _journeys is False and monotonic() - _looked < LOOKS.total_seconds()


def has_journeys_lately() -> bool:
    """Whether there are journeys; looked at anew once a minute while there are none."""
    if _journeys:
        return True
    return False if had_no_journeys() else look_for_journeys()


def has_journeys() -> bool:
    """Whether some journey listened when last looked; a statement where nobody has looked yet."""
    return look_for_journeys() if _journeys is None else _journeys


def look_for_journeys() -> bool:
    """Look whether there is a journey that may listen to events: one statement.

    Whoever compiles the campaigns looks along, since a journey's edit raises their version too.
    """
    global _journeys, _looked
    _looked = monotonic()
    # One that is paused, or takes nobody in any more, has runs that events end.
    _journeys = Journey.objects.filter(state__in=["LIVE", "PAUSED", "SUNSET"]).exists()
    return _journeys


def forget(**_kwargs: object) -> None:
    """Drop what is held: the next decision compiles anew."""
    global _snapshot, _journeys
    _snapshot, _journeys = None, None


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
        around = _Around(
            policies={
                channel: policy_of(terms)
                for channel, terms in {"": _terms(None), **channels}.items()
            },
            running=by_campaign(running_experiments()),
            selections=selections(),
        )
        _snapshot = _Snapshot(
            version=version,
            index=_followed(_snapshot, version, around)
            or compile_index(
                all_specs(),
                version=version,
                policies=around.policies,
                running=around.running,
                selections=around.selections,
            ),
            channels=channels,
        )
        look_for_journeys()
        return _snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """What an index holds besides its campaigns."""

    policies: Mapping[str, ChannelPolicy]
    running: Running
    selections: Mapping[str, Selection]


def policy_of(terms: ChannelTerms) -> ChannelPolicy:
    """Return what the engine reads of what staff may set for a sales channel."""
    return ChannelPolicy(
        enabled=terms.enabled,
        validity=terms.validity,
        allow_recurring=bool(conf.get("UPSELL_ALLOW_RECURRING")),
        holdout=terms.holdout,
        holdout_salt=terms.holdout_salt,
    )


def _followed(held: _Snapshot | None, version: int, around: _Around) -> CampaignIndex | None:
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
        policies=around.policies,
        running=around.running,
        selections=around.selections,
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
        postal_address=(
            (row and row.postal_address) or str(conf.get("UPSELL_POSTAL_ADDRESS"))
        ).strip(),
        hold=bool(conf.get("UPSELL_FULFILMENT_HOLD")) if hold is None else hold,
        holdout=min(row.holdout * BUCKETS // 100, MAX_HOLDOUT) if row else 0,
        holdout_salt=row.holdout_salt if row else HOLDOUT_SALT,
        time_zone=(row and row.time_zone) or "",
        quiet_hours={} if row is None else _quiet(row),
        ask_satisfaction=bool(row and row.ask_satisfaction),
        ancillary_tags=frozenset(row.ancillary_tags if row else ()),
        ancillary_categories=frozenset(row.ancillary_categories if row else ()),
    )


def _quiet(row: ChannelSettings) -> dict[str, tuple[time, time]]:
    told = {
        "email": (row.quiet_email_from, row.quiet_email_until),
        "sms": (row.quiet_sms_from, row.quiet_sms_until),
    }
    return {
        medium: (begins, ends)
        for medium, (begins, ends) in told.items()
        if begins is not None and ends is not None
    }


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
        weight=campaign.weight,
    )


def _amount(value: str | None) -> Decimal | None:
    return None if value in (None, "") else Decimal(str(value))


def _amounts(values: Mapping[str, str]) -> dict[str, Decimal]:
    return {currency: Decimal(str(value)) for currency, value in values.items()}


# ------------------------------------------------------------------ experiments and beliefs


def running_experiments() -> list[RunningExperiment]:
    """Return the experiments that run, each in its present phase. One statement without any.

    Three statements more where an arm changes what its campaign offers.
    """
    arms = Arm.objects.filter(
        phase__started_at__isnull=False,
        phase__ended_at__isnull=True,
        phase__experiment__state=Experiment.State.RUNNING,
    ).select_related("phase__experiment")
    by_phase: dict[Phase, list[Arm]] = {}
    for arm in arms.order_by("phase_id", "pk"):
        by_phase.setdefault(arm.phase, []).append(arm)
    changed = {
        arm.campaign_id
        for rows in by_phase.values()
        for arm in rows
        if arm.overrides and arm.campaign_id is not None
    }
    found = _compiled(Campaign.objects.filter(pk__in=changed)) if changed else ()
    specs = {spec.id: spec for spec in found}
    return [_running(phase, rows, specs) for phase, rows in by_phase.items()]


def _running(
    phase: Phase, arms: Sequence[Arm], specs: Mapping[int, CampaignSpec]
) -> RunningExperiment:
    return RunningExperiment(
        id=phase.experiment_id,
        phase_id=phase.pk,
        slug=phase.experiment.slug,
        moment=phase.experiment.moment,
        phase=phase_spec(phase, arms),
        arms={
            arm.slug: ArmOffer(
                campaign=arm.campaign_id,
                instead=_changed_by(arm, specs),
                copy=arm.overrides.get("copy", {}),
            )
            for arm in arms
        },
    )


def _changed_by(arm: Arm, specs: Mapping[int, CampaignSpec]) -> CampaignSpec | None:
    spec = specs.get(arm.campaign_id or 0)
    return overridden(spec, arm.overrides) if spec and arm.overrides else None


def phase_spec(phase: Phase, arms: Iterable[Arm]) -> PhaseSpec:
    """Return who is in which arm of a phase."""
    return PhaseSpec(
        salt=phase.experiment.salt,
        traffic=phase.traffic,
        arms=tuple(ArmSpec(slug=arm.slug, weight=arm.weight) for arm in arms),
    )


def overridden(spec: CampaignSpec, overrides: Mapping[str, Any]) -> CampaignSpec:
    """Return a campaign as an arm changes it; its words are changed where the offer is written."""
    if "product_ref" in overrides:
        ref = str(overrides["product_ref"])
        spec = replace(spec, offer_by=OfferBy.PRODUCT, product_ref=ref)
    if "rule" in overrides:
        rule = PriceRule(
            kind=RuleKind(overrides["rule"]),
            percent=Decimal(str(overrides.get("percent", 0))),
            amounts=_amounts(overrides.get("amounts", {})),
            from_regular=spec.rule.from_regular,
            allow_free=spec.rule.allow_free,
        )
        spec = replace(spec, rule=rule)
    return spec


def selections() -> dict[str, Selection]:
    """Return how equals are told apart, by moment; no statement where all go by rank.

    Two statements for each moment that goes by what is believed.
    """
    found: dict[str, Selection] = {}
    for moment, name in dict(conf.get("UPSELL_SELECTION")).items():
        by = By(name)
        if by is By.WEIGHTED:
            found[moment] = Selection(by=by)
        elif by is not By.FIRST:
            found[moment] = _believed(moment, by)
    return found


def _believed(moment: str, by: By) -> Selection:
    newest = Belief.objects.filter(moment=moment).order_by("-made_at", "-pk").first()
    if newest is None:
        return Selection(by=by)
    rows = list(Belief.objects.filter(moment=moment, version=newest.version))
    beliefs = {
        row.campaign_id: Posterior(alpha=row.alpha, beta=row.beta, worth=row.worth) for row in rows
    }
    mean = sum(row.alpha for row in rows) / sum(row.alpha + row.beta for row in rows)
    return Selection(
        by=by,
        beliefs=beliefs,
        prior=Posterior(
            alpha=PRIOR_VIEWS * mean,
            beta=PRIOR_VIEWS * (1 - mean),
            worth=sum((row.worth for row in rows), Decimal(0)) / len(rows),
        ),
        version=newest.version,
        paused=frozenset(row.campaign_id for row in rows if row.paused),
    )


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
