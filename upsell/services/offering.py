"""An order to its one offer, decided when the page first asks."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction
from django.http import HttpRequest

from upsell import clock, conf, queries, signals, snapshots
from upsell.engine import decide
from upsell.engine.campaigns import (
    FINAL_UNLESS,
    Candidate,
    History,
    Reason,
)
from upsell.engine.campaigns import Decision as EngineDecision
from upsell.engine.deciding import expires_at
from upsell.engine.index import CampaignIndex
from upsell.engine.traits import Traits, Visit, traits_of
from upsell.models import (
    CampaignCopy,
    Decision,
    Exposure,
    Offer,
    OutboxMessage,
)
from upsell.models.tokens import hashed, make_token
from upsell.ports import (
    Availability,
    Change,
    ChangeKind,
    Collection,
    CollectionWay,
    Occasion,
    Product,
    Quote,
)
from upsell.presenting.visitors import is_a_person, sees_trials, visit_of
from upsell.queries import Page
from upsell.services import recording
from upsell.services.asking import OutOfTime, Ports
from upsell.services.quote_rows import quote_row

logger = logging.getLogger("upsell")


def offer_for(
    *,
    order_ref: str,
    now: datetime,
    staff: bool = False,
    show: bool = False,
    visit: Visit | None = None,
) -> Page | None:
    """Return what this order is offered, deciding it if nobody has asked before.

    Idempotent: two first visits write one row, the loser reads the winner's. A decided
    order costs one statement, a first decision at most eight of ours. Without
    any campaign nothing is decided and nothing is written.

    Args:
        order_ref: The placed order.
        now: The page's time.
        staff: The viewer may see STAFF_ONLY campaigns.
        show: The buyer is looking at it: stamp it shown.
        visit: What the request says of who looks; none = there is no page.

    Raises:
        NotFound: The shop does not know the order.
    """
    known = queries.look(order_ref)
    if known.decision is None and not len(snapshots.index(known.version)):
        # Installed and not used yet: the shop is asked nothing, and nothing is written.
        return None
    page: Page | None = known
    if known.decision is None or _is_to_be_decided_again(known):
        page = _decided(
            order_ref, now=now, staff=staff, show=show, earlier=known, visit=visit or Visit()
        )
    if page is None or page.offer is None:
        return page
    if page.offer.trial and not staff:
        return None
    if show and page.offer.state == "CREATED" and page.offer.expires_at > now:
        stamp_shown(page.offer, now=now)
    return page


def page_for_request(request: HttpRequest, order_ref: str) -> Page | None:
    """Return an order's page, made on the first look of somebody who may act for the buyer.

    A robot, or a browser that looks ahead, is shown what exists; a stranger nothing.
    """
    if not conf.shop().may_act(request, order_ref):
        return None
    if not is_a_person(request):
        return queries.page_for(order_ref)
    return offer_for(
        order_ref=order_ref,
        now=clock.now(),
        staff=sees_trials(request),
        show=True,
        visit=visit_of(request),
    )


def decide_once_more(*, order_ref: str, now: datetime, validity: timedelta) -> Page | None:
    """Decide for an order that never had an offer, though its window is over: for a journey.

    The answer that stood before is kept in the facts of the new one. Idempotent, and nothing of
    an order that has an offer is touched.

    Args:
        order_ref: The placed order.
        now: When.
        validity: How long what is offered stands.

    Raises:
        NotFound: The shop does not know the order.
    """
    known = queries.look(order_ref)
    if known.offer is not None or not len(snapshots.index(known.version)):
        return known if known.offer is not None else None
    return _decided(
        order_ref,
        now=now,
        staff=False,
        show=False,
        earlier=known,
        visit=Visit(),
        validity=validity,
    )


def stamp_shown(offer: Offer, *, now: datetime) -> None:
    """Stamp the first impression, once, whoever else is looking."""
    with transaction.atomic():
        stamped = Offer.objects.filter(pk=offer.pk, state="CREATED").update(
            state="SHOWN", first_shown_at=now
        )
        if stamped:
            recording.append(
                [recording.event(offer, "shown", at=now, before="CREATED", after="SHOWN")]
            )
            recording.announce(offer, "SHOWN", at=now)
    if stamped:
        offer.state, offer.first_shown_at = "SHOWN", now


def show(*, offer_id: int, now: datetime) -> None:
    """Stamp an offer's first impression by its id; what is over is not seen any more."""
    offer = Offer.objects.answerable_at(now).filter(pk=offer_id).first()
    if offer is not None:
        stamp_shown(offer, now=now)


def _is_to_be_decided_again(page: Page) -> bool:
    decision = page.decision
    return page.offer is None and decision is not None and decision.reason in FINAL_UNLESS


def _decided(
    order_ref: str,
    *,
    now: datetime,
    staff: bool,
    show: bool,
    earlier: Page,
    visit: Visit,
    validity: timedelta | None = None,
) -> Page | None:
    budget = conf.duration("UPSELL_TIME_BUDGET").total_seconds()
    started = time.monotonic()
    shop = conf.shop()
    occasion = shop.order(order_ref)
    if validity is not None:
        # Asked by a journey, whose own window it is: as if the checkout were now.
        occasion = replace(occasion, checkout_completed_at=now)
    keys = snapshots.customer_keys(occasion.customer)
    version, index = earlier.version, snapshots.index(earlier.version)
    known = queries.Known(version=version)
    if index.remembers or index.running or index.policy(occasion.channel).holdout:
        known = queries.known_of(keys)
        version, index = known.version, snapshots.index(known.version)
    ports = Ports(
        shop=shop,
        occasion=occasion,
        now=now,
        deadline=started + budget,
        products={},
        availability={},
    )
    quote: Quote | None = None
    try:
        answer = decide(
            occasion,
            index,
            now=now,
            ask=ports.ask,
            history=History(staff=staff, seen=known.seen, unit=known.unit),
        )
        if answer.chosen is not None:
            draft = Draft.of(answer.chosen, occasion, ports)
            quote = shop.quote(draft.change)
            refusal = _refused(quote, occasion)
            if refusal:
                answer = replace(
                    answer,
                    chosen=None,
                    reason=Reason.NO_MATCH,
                    passed_over={answer.chosen.campaign.id: refusal, **answer.passed_over},
                    held_out=False,
                    arm="",
                )
    except OutOfTime:
        logger.warning("deciding order %s took longer than %s s", order_ref, budget)
        answer = EngineDecision(reason=Reason.TIMEOUT, version=version)
    except DatabaseError:
        raise
    except Exception:
        # The host's ports are foreign code. No offer is the safe answer, and the next ask tries
        # again; why there was none stands in the decision.
        logger.exception("order %s could not be decided", order_ref)
        answer = EngineDecision(reason=Reason.ERROR, version=version)
    try:
        with transaction.atomic():
            if earlier.decision is not None:
                Decision.objects.filter(pk=earlier.decision.pk).delete()
            first = earlier.decision if validity is not None else None
            decision = _write_decision(answer, occasion, now=now, first=first)
            if not decision.trial:
                _write_exposures(answer, occasion, known.unit, now=now)
            if answer.chosen is None or quote is None:
                return Page(decision=decision, offer=None, quote=None, version=version)
            traits = traits_of(occasion, visit, bought=ports.known_purchases)
            return _write_offer(
                decision,
                draft,
                quote,
                answer,
                now=now,
                show=show,
                version=version,
                index=index,
                traits=traits,
                until=None if validity is None else now + validity,
            )
    except IntegrityError:
        # Another first visit was faster: its rows are the answer.
        return queries.page_for(order_ref)


def _refused(quote: Quote, occasion: Occasion) -> str:
    if not quote.available:
        return quote.reason or Reason.PRODUCT_UNAVAILABLE
    if quote.amount_due.currency != occasion.currency:
        return Reason.CURRENCY_UNSUPPORTED
    if quote.amount_due.gross < 0:
        return Reason.NOT_MORE_EXPENSIVE
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A promise about to be written."""

    candidate: Candidate
    occasion: Occasion
    change: Change
    product: Product
    availability: Availability
    uuid: uuid.UUID

    @classmethod
    def of(cls, candidate: Candidate, occasion: Occasion, ports: Ports) -> Draft:
        offer_uuid = uuid.uuid4()
        return cls(
            candidate=candidate,
            occasion=occasion,
            product=ports.products[candidate.product_ref],
            availability=ports.availability[candidate.product_ref],
            uuid=offer_uuid,
            change=Change(
                id=str(offer_uuid),
                kind=ChangeKind.REPLACE if candidate.replaces else ChangeKind.APPEND,
                order_ref=occasion.ref,
                product_ref=candidate.product_ref,
                quantity=candidate.quantity,
                unit=candidate.unit,
                replaces=candidate.replaces,
                shipping=candidate.shipping,
                stock_policy=candidate.campaign.stock.value,
            ),
        )

    def terms(self, copy: Mapping[str, Any], default_language: str) -> dict[str, Any]:
        """Everything promised, as JSON: an edit of the campaign changes none of it."""
        by_ref = {line.ref: line for line in self.occasion.lines}
        lowest = self.availability.lowest_30d
        return {
            "product": _product_json(self.product),
            "tax_code": self.candidate.unit.tax_code,
            "selling": snapshots.price_json(self.candidate.selling),
            "lowest_30d": None if lowest is None else snapshots.price_json(lowest),
            "replaced": [
                {
                    **_product_json(by_ref[part.line_ref].product),
                    "line_ref": part.line_ref,
                    "product_ref": by_ref[part.line_ref].product.ref,
                    "quantity": part.quantity,
                    "of": by_ref[part.line_ref].live_quantity,
                    "credit_net": str(part.credit.net),
                    "credit_gross": str(part.credit.gross),
                }
                for part in self.candidate.replaces
            ],
            "rule": self.candidate.campaign.rule.kind.value,
            "shipping": snapshots.price_json(self.candidate.shipping),
            "requires_shipping": self.product.requires_shipping,
            "documents": self.candidate.campaign.documents.value,
            "stock": self.candidate.campaign.stock.value,
            "copy": dict(copy),
            "default_language": default_language,
            "order_number": self.occasion.number,
            "campaign": self.candidate.campaign.slug,
            "total": snapshots.price_json(self.occasion.total),
            "tax_exempt": self.occasion.tax_exempt,
        }


def _product_json(product: Product) -> dict[str, Any]:
    return {
        "ref": product.ref,
        "sku": product.sku,
        "title": product.title,
        "url": product.url,
        "image_url": product.image_url,
        "image_alt": product.image_alt,
        "attributes": dict(product.attributes),
    }


def _write_decision(
    answer: EngineDecision, occasion: Occasion, *, now: datetime, first: Decision | None = None
) -> Decision:
    chosen = answer.chosen
    before: dict[str, Any] = {}
    if first is not None:
        before["before"] = {"reason": first.reason, "at": first.at.isoformat()}
    return Decision.objects.create(
        order_ref=occasion.ref,
        channel=occasion.channel,
        customer_key=snapshots.customer_key(occasion.customer),
        at=now,
        version=answer.version,
        campaign_id=chosen.campaign.id if chosen else None,
        reason=answer.reason,
        candidates=[[key, str(reason)] for key, reason in answer.passed_over.items()],
        facts=facts_of(occasion) | _chance_of(answer) | before,
        trial=bool(chosen and chosen.campaign.status == "STAFF_ONLY") or occasion.is_test,
    )


def _chance_of(answer: EngineDecision) -> dict[str, Any]:
    """Return what experiments and selection had to do with an answer: enough to draw again."""
    told: dict[str, Any] = {}
    if answer.exposed:
        told["arms"] = [one.label for one in answer.exposed]
    if answer.drawn is not None:
        told["selection"] = {
            "by": answer.drawn.by.value,
            "beliefs": answer.drawn.version,
            "candidates": list(answer.drawn.candidates),
            "floor": answer.drawn.is_floor,
            "propensity": answer.drawn.propensity,
        }
    return told


def _write_exposures(
    answer: EngineDecision, occasion: Occasion, unit: str, *, now: datetime
) -> None:
    """Note for which experiments this buyer counts from now on; the first time stays."""
    if not answer.exposed:
        return
    since = occasion.placed_at or occasion.checkout_completed_at or now
    Exposure.objects.bulk_create(
        [
            Exposure(
                experiment_id=one.experiment,
                phase_id=one.phase,
                unit=unit,
                arm=one.arm,
                at=now,
                since=min(since, now),
            )
            for one in answer.exposed
        ],
        ignore_conflicts=True,
    )


def facts_of(occasion: Occasion) -> dict[str, Any]:
    """Return what the rules read of an order, and nothing that says who the buyer is."""
    return {
        "moment": str(occasion.moment),
        "channel": occasion.channel,
        "currency": occasion.currency,
        "goods_net": str(occasion.goods.net),
        "total_gross": str(occasion.total.gross),
        "country": occasion.shipping_country,
        "payment_method": occasion.payment_method,
        "groups": sorted(occasion.customer.group_refs),
        "guest": not occasion.customer.ref,
        "orders_count": occasion.customer.orders_count,
        "coupons": len(occasion.coupons),
        "released": occasion.released,
        "cancelled": occasion.cancelled,
        "test": occasion.is_test,
        "version": occasion.version,
        "lines": [
            {
                "ref": line.ref,
                "product": line.product.ref,
                "parent": line.product.parent_ref,
                "quantity": line.quantity,
                "returned": line.returned,
                "net": str(line.total.net),
                "gross": str(line.total.gross),
                "locked": line.locked_reason,
            }
            for line in occasion.lines
        ],
    }


def _write_offer(
    decision: Decision,
    draft: Draft,
    quote: Quote,
    answer: EngineDecision,
    *,
    now: datetime,
    show: bool,
    version: int,
    index: CampaignIndex,
    traits: Traits,
    until: datetime | None = None,
) -> Page:
    candidate, occasion = draft.candidate, draft.occasion
    show = show and not answer.held_out
    rows = CampaignCopy.objects.filter(campaign_id=candidate.campaign.id).select_related("campaign")
    default_language, copy = "en", {}
    for row in rows:
        default_language = row.campaign.default_language
        copy[row.language] = {
            "headline": row.headline,
            "body": row.body,
            "benefits": row.benefits,
            "image_url": row.image_url,
            "image_alt": row.image_alt,
            "accept_label": row.accept_label,
            "decline_label": row.decline_label,
        }
    if answer.arm:
        _change_words(copy, default_language, candidate, answer, index)
    terms = snapshots.policy(occasion.channel, version)
    hold = terms.hold and not answer.held_out
    state = "SUPPRESSED" if answer.held_out else "SHOWN" if show else "CREATED"
    less = (candidate.selling.net - candidate.unit.net) * candidate.quantity
    offer = Offer(
        uuid=draft.uuid,
        decision=decision,
        moment=str(occasion.moment),
        occasion_ref=occasion.ref,
        order_ref=occasion.ref,
        campaign_id=candidate.campaign.id,
        revision=candidate.campaign.revision,
        arm=answer.arm,
        state=state,
        kind=candidate.campaign.kind.value,
        product_ref=candidate.product_ref,
        quantity=candidate.quantity,
        currency=occasion.currency,
        unit_net=candidate.unit.net,
        unit_gross=candidate.unit.gross,
        discount_net=max(less, Decimal(0)),
        terms=draft.terms(copy, default_language),
        token_hash=None if answer.held_out else hashed(make_token("offer", draft.uuid, 1)),
        undo_hash=None if answer.held_out else hashed(make_token("undo", draft.uuid, 1)),
        channel=occasion.channel,
        customer_key=decision.customer_key,
        trial=decision.trial,
        created_at=now,
        first_shown_at=now if show else None,
        expires_at=until or expires_at(occasion, index.policy(occasion.channel)),
        hold_requested_at=now if hold else None,
        closed_at=now if answer.held_out else None,
        **asdict(traits),
    )
    offer.save(force_insert=True)
    collection = candidate.collection or Collection(how=CollectionWay.NONE)
    row = quote_row(offer, quote, collection, number=1, at=now)
    row.save(force_insert=True)
    made = "SUPPRESSED" if answer.held_out else "CREATED"
    events = [recording.event(offer, "created", at=now, after=made)]
    if show:
        events.append(recording.event(offer, "shown", at=now, before="CREATED", after="SHOWN"))
        transaction.on_commit(
            partial(signals.offer_shown.send_robust, sender=Offer, offer_id=offer.pk, at=now)
        )
    recording.append(events)
    if hold:
        OutboxMessage.objects.create(
            key=f"o:{offer.pk}:HOLD", offer=offer, kind="HOLD", not_before=now, created_at=now
        )
    return Page(decision=decision, offer=offer, quote=row, version=version)


def _change_words(
    copy: dict[str, dict[str, Any]],
    default_language: str,
    candidate: Candidate,
    answer: EngineDecision,
    index: CampaignIndex,
) -> None:
    """Put an arm's words in place of the campaign's; what it does not name stays."""
    arm = answer.arm.partition("/")[2]
    words = index.running[candidate.campaign.id].arms[arm].copy
    for language, changed in words.items():
        known = copy.get(language) or copy.get(default_language) or {}
        copy[language] = {**known, **changed}
