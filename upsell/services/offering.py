"""An order to its one offer, decided when the page first asks."""

from __future__ import annotations

import hashlib
import json
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    Answers,
    Candidate,
    History,
    Reason,
    Wanted,
)
from upsell.engine.campaigns import Decision as EngineDecision
from upsell.engine.deciding import expires_at
from upsell.engine.index import CampaignIndex
from upsell.models import (
    CampaignCopy,
    Decision,
    Offer,
    OfferEvent,
    OfferQuote,
    OutboxMessage,
)
from upsell.models.tokens import hashed, make_token
from upsell.ports import (
    Availability,
    Capability,
    Change,
    ChangeKind,
    Collection,
    CollectionWay,
    Occasion,
    Product,
    Purchase,
    Quote,
    Shop,
)
from upsell.presenting.visitors import is_a_person, sees_trials
from upsell.queries import Page
from upsell.services import recording

logger = logging.getLogger("upsell")


LONGEST_MEMORY = timedelta(days=730)
"""How far back purchases are asked for; campaigns look back less."""


class _OutOfTime(Exception):
    """The time budget is spent; there will be no offer."""


@dataclass(slots=True, kw_only=True)
class Ports:
    """One decision's way to the host: each port once a batch, the time looked at in between."""

    shop: Shop
    occasion: Occasion
    now: datetime
    trusted: bool = True
    deadline: float | None = None
    products: dict[str, Product]
    availability: dict[str, Availability]
    purchases: Sequence[Purchase] | None = None

    def ask(self, wanted: Sequence[Wanted]) -> Answers:
        """Answer the engine about these products."""
        refs = list(dict.fromkeys(ref for ref, _ in wanted))
        self.products.update(self.shop.products(refs))
        self._look_at_the_clock()
        self.availability.update(self.shop.availability(wanted, self.occasion))
        self._look_at_the_clock()
        if self.purchases is None:
            self.purchases = self._bought()
            self._look_at_the_clock()
        return Answers(
            products=self.products,
            availability=self.availability,
            purchases=self.purchases,
            collection=collection_for(self.occasion, None, trusted=self.trusted),
            can_replace=Capability.REPLACE in self.shop.capabilities,
        )

    def _bought(self) -> Sequence[Purchase]:
        if Capability.HISTORY not in self.shop.capabilities:
            return ()
        return self.shop.purchases(self.occasion.customer, self.now - LONGEST_MEMORY, 500)

    def _look_at_the_clock(self) -> None:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise _OutOfTime


def collection_for(occasion: Occasion, amount: Any, *, trusted: bool) -> Collection | None:
    """Ask the order's own payment how more can be collected; none = it has no gateway."""
    gateway = conf.gateways().get(occasion.payment_method or "")
    if gateway is None:
        return None
    answer = gateway.collection(occasion, amount, occasion.currency, trusted=trusted)
    if answer.how is CollectionWay.REDIRECT_APPROVAL and not conf.get("UPSELL_APPROVAL"):
        return replace(answer, how=CollectionWay.NONE)
    return answer


def offer_for(
    *, order_ref: str, now: datetime, staff: bool = False, show: bool = False
) -> Page | None:
    """Return what this order is offered, deciding it if nobody has asked before.

    Idempotent: two first visits write one row, the loser reads the winner's. A decided
    order costs one statement, a first decision at most eight of ours.

    Args:
        order_ref: The placed order.
        now: The page's time.
        staff: The viewer may see STAFF_ONLY campaigns.
        show: The buyer is looking at it: stamp it shown.

    Raises:
        NotFound: The shop does not know the order.
    """
    page = queries.page_for(order_ref)
    if page is None or _is_to_be_decided_again(page):
        page = _decided(order_ref, now=now, staff=staff, show=show, earlier=page)
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
    return offer_for(order_ref=order_ref, now=clock.now(), staff=sees_trials(request), show=True)


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
    order_ref: str, *, now: datetime, staff: bool, show: bool, earlier: Page | None
) -> Page | None:
    budget = conf.duration("UPSELL_TIME_BUDGET").total_seconds()
    started = time.monotonic()
    shop = conf.shop()
    occasion = shop.order(order_ref)
    keys = snapshots.customer_keys(occasion.customer)
    remembers = snapshots.remembers()
    version, seen = queries.version_and_seen(keys if remembers else ())
    index = snapshots.index(version)
    if index.remembers and not remembers:  # the first decision after such a campaign came
        version, seen = queries.version_and_seen(keys)
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
            occasion, index, now=now, ask=ports.ask, history=History(staff=staff, seen=seen)
        )
        if answer.chosen is not None:
            draft = Draft.of(answer.chosen, occasion, ports)
            quote = shop.quote(draft.change)
            refusal = _refused(quote, occasion)
            if refusal:
                answer = EngineDecision(
                    reason=Reason.NO_MATCH,
                    passed_over={answer.chosen.campaign.id: refusal, **answer.passed_over},
                    version=answer.version,
                )
    except _OutOfTime:
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
            if earlier is not None and earlier.decision is not None:
                Decision.objects.filter(pk=earlier.decision.pk).delete()
            decision = _write_decision(answer, occasion, now=now)
            if answer.chosen is None or quote is None:
                return Page(decision=decision, offer=None, quote=None, version=version)
            return _write_offer(
                decision, draft, quote, now=now, show=show, version=version, index=index
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
            "total": snapshots.price_json(self.occasion.total),
            "tax_exempt": self.occasion.tax_exempt,
        }


def _product_json(product: Product) -> dict[str, Any]:
    return {
        "ref": product.ref,
        "title": product.title,
        "url": product.url,
        "image_url": product.image_url,
        "image_alt": product.image_alt,
        "attributes": dict(product.attributes),
    }


def _write_decision(answer: EngineDecision, occasion: Occasion, *, now: datetime) -> Decision:
    chosen = answer.chosen
    return Decision.objects.create(
        order_ref=occasion.ref,
        channel=occasion.channel,
        customer_key=snapshots.customer_key(occasion.customer),
        at=now,
        version=answer.version,
        campaign_id=chosen.campaign.id if chosen else None,
        reason=answer.reason,
        candidates=[[key, str(reason)] for key, reason in answer.passed_over.items()],
        facts=facts_of(occasion),
        trial=bool(chosen and chosen.campaign.status == "STAFF_ONLY") or occasion.is_test,
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
    *,
    now: datetime,
    show: bool,
    version: int,
    index: CampaignIndex,
) -> Page:
    candidate, occasion = draft.candidate, draft.occasion
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
    terms = snapshots.policy(occasion.channel, version)
    offer = Offer(
        uuid=draft.uuid,
        decision=decision,
        moment=str(occasion.moment),
        occasion_ref=occasion.ref,
        order_ref=occasion.ref,
        campaign_id=candidate.campaign.id,
        revision=candidate.campaign.revision,
        state="SHOWN" if show else "CREATED",
        kind=candidate.campaign.kind.value,
        product_ref=candidate.product_ref,
        quantity=candidate.quantity,
        currency=occasion.currency,
        unit_net=candidate.unit.net,
        unit_gross=candidate.unit.gross,
        terms=draft.terms(copy, default_language),
        token_hash=hashed(make_token("offer", draft.uuid, 1)),
        undo_hash=hashed(make_token("undo", draft.uuid, 1)),
        channel=occasion.channel,
        customer_key=decision.customer_key,
        trial=decision.trial,
        created_at=now,
        first_shown_at=now if show else None,
        expires_at=expires_at(occasion, index.policy(occasion.channel)),
        hold_requested_at=now if terms.hold else None,
    )
    offer.save(force_insert=True)
    collection = candidate.collection or Collection(how=CollectionWay.NONE)
    row = quote_row(offer, quote, collection, number=1, at=now)
    row.save(force_insert=True)
    events = [recording.event(offer, "created", at=now, after="CREATED")]
    if show:
        events.append(recording.event(offer, "shown", at=now, before="CREATED", after="SHOWN"))
        transaction.on_commit(
            partial(signals.offer_shown.send_robust, sender=Offer, offer_id=offer.pk, at=now)
        )
    OfferEvent.objects.bulk_create(events)
    if terms.hold:
        OutboxMessage.objects.create(
            key=f"o:{offer.pk}:HOLD", offer=offer, kind="HOLD", not_before=now, created_at=now
        )
    return Page(decision=decision, offer=offer, quote=row, version=version)


def quote_row(
    offer: Offer, quote: Quote, collection: Collection, *, number: int, at: datetime
) -> OfferQuote:
    """Return the figures of a quote as a row, not yet written."""
    due = quote.amount_due
    how = collection.how if due.gross > 0 else "NONE"
    label = collection.label if due.gross > 0 else ""
    tax_lines = [
        {"label": line.label, "rate": _plain(line.rate), "amount": _plain(line.amount)}
        for line in quote.tax_lines
    ]
    row = OfferQuote(
        offer=offer,
        number=number,
        at=at,
        currency=offer.currency,
        line_net=quote.line.net,
        line_gross=quote.line.gross,
        shipping_net=quote.shipping.net,
        shipping_gross=quote.shipping.gross,
        credit_net=quote.credit.net,
        credit_gross=quote.credit.gross,
        due_net=due.net,
        due_gross=due.gross,
        tax_lines=tax_lines,
        collection=str(how),
        collection_label=label,
        order_version=quote.order_version,
    )
    row.hash = _hash_of(row, offer)
    return row


def _hash_of(row: OfferQuote, offer: Offer) -> str:
    """Amounts, tax, the way of collecting and what is replaced; never the words."""
    bound = [
        row.currency,
        *(
            _plain(amount)
            for amount in (
                row.line_net,
                row.line_gross,
                row.shipping_net,
                row.shipping_gross,
                row.credit_net,
                row.credit_gross,
                row.due_net,
                row.due_gross,
            )
        ),
        row.tax_lines,
        row.collection,
        row.collection_label,
        [[part["line_ref"], part["quantity"]] for part in offer.terms["replaced"]],
    ]
    return hashlib.sha256(json.dumps(bound).encode()).hexdigest()


def _plain(amount: Decimal) -> str:
    """Return an amount without trailing zeros, so that 4.00 and 4.0000 are one."""
    return format(amount.normalize(), "f")
