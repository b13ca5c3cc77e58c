"""A campaign as a shopper would see it, worked out and not written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.utils.translation import gettext as _

from upsell import conf, snapshots
from upsell.engine import explain
from upsell.engine.campaigns import (
    Answers,
    CampaignSpec,
    Candidate,
    ChannelPolicy,
    History,
    Match,
    OfferBy,
    Status,
    StockPolicy,
    TriggerKind,
    Wanted,
)
from upsell.engine.rules import View, first_refusal
from upsell.exceptions import UpsellError
from upsell.models import Campaign, Offer
from upsell.models.tokens import hashed
from upsell.ports import Collection, CollectionWay, Line, Occasion, Price, Quote
from upsell.queries import Page
from upsell.services import campaigns
from upsell.services.asking import Ports
from upsell.services.campaign_products import sample_occasion
from upsell.services.offering import Draft
from upsell.services.quote_rows import quote_row

_LOOKED_AT = 20
"""So many of the latest orders are looked at for one that the campaign would suit."""
EXAMPLE_NUMBER = "1042"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a shopper would see, or why there is nothing to show."""

    page: Page | None = None
    occasion: Occasion | None = None
    is_example: bool = True
    """The order was made up from what triggers the campaign; false: it is a real one."""
    reason: str = ""
    """Why this order would not be offered it: a reason code; ``no_order`` = there is none."""


def preview(*, campaign: Campaign, order_ref: str = "", now: datetime) -> Preview:
    """Return the offer that a campaign comes to, whatever its status and schedule.

    Args:
        campaign: As it is saved.
        order_ref: A real order to see it on, as if it had just been placed; empty = an
            example, made of what triggers the campaign at today's prices.
        now: When it is looked at.

    Raises:
        NotFound: The shop does not know the order.
    """
    spec = replace(
        snapshots.spec_of(campaign), status=Status.LIVE, valid_from=None, valid_until=None
    )
    if order_ref:
        occasion = conf.shop().order(order_ref)
        return _shown(campaign, spec, _just_placed(occasion, now), now=now, is_example=False)
    example = _example(spec, now)
    if example is None:
        return Preview(reason="no_order")
    return _shown(campaign, _open_to_all(spec), example, now=now, is_example=True)


def _just_placed(occasion: Occasion, now: datetime) -> Occasion:
    return replace(
        occasion,
        placed_at=now,
        checkout_completed_at=now,
        cancelled=False,
        released=False,
        closed_reason="",
        is_draft=False,
        is_test=False,
        payment_failed=False,
    )


def _open_to_all(spec: CampaignSpec) -> CampaignSpec:
    """Leave out who it is for: an example is an order of somebody it is for."""
    return replace(
        spec,
        bounds={},
        groups=frozenset(),
        countries=frozenset(),
        payment_methods=frozenset(),
        exclusions=(),
        not_bought_days=None,
        not_seen_days=None,
        stock=StockPolicy.IGNORE,
    )


def _example(spec: CampaignSpec, now: datetime) -> Occasion | None:
    """Return an order that the campaign suits: made up where it names what is bought."""
    base = sample_occasion(sorted(spec.channels))
    if base is None:
        return None
    base = replace(_just_placed(base, now), number=EXAMPLE_NUMBER, has_shipping_address=True)
    lines = _lines(_named(spec), base)
    if lines:
        goods = sum((line.total for line in lines), Price.zero(base.currency))
        return replace(base, lines=lines, goods=goods, total=goods)
    for occasion in (base, *_latest(spec, now)):
        view = View(occasion, now=now, history=History(staff=True), policy=ChannelPolicy())
        if first_refusal(_open_to_all(spec), view) is None:
            return replace(occasion, number=EXAMPLE_NUMBER)
    return base


def _named(spec: CampaignSpec) -> list[tuple[str, int]]:
    """Return the products and numbers of them that the campaign says must be bought."""
    if spec.offer_by is OfferBy.MAP:
        return [(bought, 1) for bought, _offered in spec.product_map[:1]]
    named = [(row.ref, row.quantity) for row in spec.triggers if row.kind is TriggerKind.PRODUCT]
    if spec.match is Match.ALL:
        return named if len(named) == len(spec.triggers) else []
    return named[:1]


def _lines(named: Sequence[tuple[str, int]], base: Occasion) -> tuple[Line, ...]:
    """Return lines for these products at today's prices; empty where one has none."""
    products = conf.shop().products([ref for ref, _units in named]) if named else {}
    found = conf.shop().availability(named, base) if named else {}
    lines = []
    for position, (ref, units) in enumerate(named):
        unit = found[ref].unit if ref in found else None
        if ref not in products or unit is None or unit.currency != base.currency:
            return ()
        total = unit.times(units)
        lines.append(
            Line(
                ref=f"example-{position}",
                product=products[ref],
                quantity=units,
                unit=unit,
                total=total,
                total_before_discounts=total,
            )
        )
    return tuple(lines)


def _latest(spec: CampaignSpec, now: datetime) -> Iterator[Occasion]:
    shop = conf.shop()
    for choice in shop.choices("order", "", _LOOKED_AT):
        try:
            occasion = shop.order(choice.ref)
        except (UpsellError, LookupError, ValueError):
            continue
        if not spec.channels or occasion.channel in spec.channels:
            yield _just_placed(occasion, now)


def _shown(
    campaign: Campaign,
    spec: CampaignSpec,
    occasion: Occasion,
    *,
    now: datetime,
    is_example: bool,
) -> Preview:
    terms = snapshots.policy(occasion.channel)
    ports = Ports(
        shop=conf.shop(), occasion=occasion, now=now, products={}, availability={}, purchases=()
    )

    def ask(wanted: Sequence[Wanted]) -> Answers:
        answers = ports.ask(wanted)
        if is_example:
            # Whose card it was does not matter: an example is paid by one that is on file.
            card = Collection(how=CollectionWay.CHARGE_SAVED, label=_("your card"))
            return replace(answers, collection=card)
        return answers

    policy = ChannelPolicy(
        validity=terms.validity, allow_recurring=bool(conf.get("UPSELL_ALLOW_RECURRING"))
    )
    told = explain(occasion, [spec], now=now, ask=ask, history=History(staff=True), policy=policy)
    candidate = told.verdicts[0].candidate
    if candidate is None:
        reason = told.verdicts[0].reason or told.reason
        return Preview(occasion=occasion, is_example=is_example, reason=str(reason))
    page = page_of(campaign, candidate, occasion, ports, now=now, until=now + terms.validity)
    return Preview(page=page, occasion=occasion, is_example=is_example)


def page_of(
    campaign: Campaign,
    candidate: Candidate,
    occasion: Occasion,
    ports: Ports,
    *,
    now: datetime,
    until: datetime,
) -> Page:
    """Return the rows an offer would be, none of them written."""
    draft = Draft.of(candidate, occasion, ports)
    copy = {
        row.language: {name: getattr(row, name) for name in campaigns.COPY}
        for row in campaign.copies.all()
    }
    offer = Offer(
        uuid=draft.uuid,
        moment=str(occasion.moment),
        occasion_ref=occasion.ref,
        order_ref=occasion.ref,
        campaign=campaign,
        state=Offer.State.SHOWN,
        kind=candidate.campaign.kind.value,
        product_ref=candidate.product_ref,
        quantity=candidate.quantity,
        currency=occasion.currency,
        unit_net=candidate.unit.net,
        unit_gross=candidate.unit.gross,
        terms=draft.terms(copy, campaign.default_language),
        # A link of its own that no row answers to: nothing can be pressed here.
        token_hash=hashed(str(draft.uuid)),
        channel=occasion.channel,
        created_at=now,
        first_shown_at=now,
        expires_at=until,
    )
    collection = candidate.collection or Collection(how=CollectionWay.NONE)
    quote = Quote(
        change_id=str(draft.uuid),
        unit=candidate.unit,
        line=candidate.unit.times(candidate.quantity),
        credit=candidate.credit,
        shipping=candidate.shipping,
        amount_due=candidate.amount_due,
        order_version=occasion.version,
    )
    row = quote_row(offer, quote, collection, number=1, at=now)
    return Page(decision=None, offer=offer, quote=row)
