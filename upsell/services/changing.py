"""The host's order, changed and changed back.

Where the shop shares our database, its writes stand in our one transaction, so that money and
lines move together. Where it does not, it is called outside any transaction and what it said
is recorded after; each call is idempotent on the change, and is made again until it is recorded.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db import transaction

from upsell import conf, snapshots
from upsell.exceptions import Refused
from upsell.models import Acceptance, Attempt, Offer
from upsell.ports import Applied, Capability, ChargeResult, ChargeState, Price, Quote
from upsell.services.costing import UNKNOWN, Costs, costs_of
from upsell.services.locking import GAVE_UP

logger = logging.getLogger("upsell")


class NotSaid(Exception):
    """A shop elsewhere did not say what became of a change: it is asked again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What became of an order: changed, or why it was not."""

    applied: Applied | None = None
    refusal: str = ""
    invoiced: bool = False
    """An invoice had been issued before the order changed."""
    costs: Costs = UNKNOWN
    """What the goods that moved cost the shop."""


def is_shared() -> bool:
    """Whether the shop writes in our transaction."""
    return conf.shop().shares_database


def carry_out(offer: Offer, attempt: Attempt, result: ChargeResult) -> Changed:
    """Change the order, once per offer, and book what was charged for it.

    Raises:
        NotSaid: The shop is elsewhere and answered nothing that can be understood.
    """
    try:
        with _savepoint():
            changed = _carried_out(offer, attempt, result)
        return replace(changed, costs=costs_of(offer))
    except Refused as refused:
        logger.warning("offer %s: the shop refused to apply: %s", offer.pk, refused.reason)
        return Changed(refusal=refused.reason)
    except GAVE_UP:
        raise
    except Exception as error:
        # The host's adapter is foreign code. Whatever it raises here was rolled back, and the
        # buyer gets the money back; elsewhere it may have been done, and must be asked again.
        logger.exception("offer %s: the shop's apply raised", offer.pk)
        if not is_shared():
            raise NotSaid from error
        return Changed(refusal="apply_failed")


def _carried_out(offer: Offer, attempt: Attempt, result: ChargeResult) -> Changed:
    shop, change = conf.shop(), snapshots.change_of(offer)
    applied = shop.apply(change, quote_of(offer, attempt), attempt.hold)
    grew = (applied.total_after - applied.total_before).gross
    if grew != attempt.amount:
        if not shop.shares_database:  # no savepoint takes it back
            shop.revert(change, applied)
        raise Refused("order_changed", f"the order grew by {grew}, charged {attempt.amount}")
    if attempt.amount > 0 and result.state is not ChargeState.DEFERRED:
        shop.record_payment(
            change.order_ref,
            "charge",
            attempt.amount,
            attempt.currency,
            result.reference,
            attempt.gateway,
        )
    return Changed(applied=applied, invoiced=snapshots.gather(change.order_ref).invoiced)


def take_back(offer: Offer, acceptance: Acceptance) -> None:
    """Change the order back: replaced lines with their amounts and references.

    Raises:
        Refused: The shop will not.
    """
    with _savepoint():
        conf.shop().revert(snapshots.change_of(offer), applied_of(offer, acceptance))


def forget(offer: Offer, attempt: Attempt, applied: Applied) -> None:
    """Have a shop elsewhere forget a change that was never recorded here, and what it booked."""
    shop, change = conf.shop(), snapshots.change_of(offer)
    shop.revert(change, applied)
    if attempt.amount > 0 and attempt.charge_state != ChargeState.DEFERRED:
        shop.record_payment(
            change.order_ref,
            "refund",
            attempt.amount,
            attempt.currency,
            attempt.key,
            attempt.gateway,
        )


def note_withdrawal(offer: Offer, acceptance: Acceptance, original: Decimal) -> None:
    """Tell the shop that an added line comes back, and what of it the order itself had paid.

    Raises:
        Refused: The shop will not: the line is not there any more.
    """
    with _savepoint():
        change, applied = snapshots.change_of(offer), applied_of(offer, acceptance)
        conf.shop().withdrawal_made(change, applied, original)


def let_go(attempt: Attempt) -> None:
    """Put back the stock that an attempt holds."""
    shop = conf.shop()
    hold = attempt.hold
    if not hold and not shop.shares_database and Capability.HOLD in shop.capabilities:
        # Killed between the shop's answer and our record of it: asked again, it says the same.
        try:
            hold = shop.hold(snapshots.change_of(attempt.offer), quote_of(attempt.offer, attempt))
        except Refused:
            return
    if hold:
        shop.release(hold)


def _savepoint() -> AbstractContextManager[Any]:
    return transaction.atomic() if is_shared() else nullcontext()


def quote_of(offer: Offer, attempt: Attempt) -> Quote:
    """Return the figures an attempt was made for, as the shop gave them."""
    row = attempt.quote

    def price(net: Any, gross: Any) -> Price:
        return Price(currency=row.currency, net=net, gross=gross)

    return Quote(
        change_id=str(offer.uuid),
        unit=price(offer.unit_net, offer.unit_gross),
        line=price(row.line_net, row.line_gross),
        credit=price(row.credit_net, row.credit_gross),
        shipping=price(row.shipping_net, row.shipping_gross),
        amount_due=price(row.due_net, row.due_gross),
        order_version=row.order_version,
    )


def applied_of(offer: Offer, acceptance: Acceptance) -> Applied:
    """Return what ``Shop.apply`` returned when this was accepted."""

    def price(net: Any, gross: Any) -> Price:
        return Price(currency=offer.currency, net=net, gross=gross)

    return Applied(
        change_id=str(offer.uuid),
        line_ref=acceptance.line_ref,
        total_before=price(acceptance.total_before_net, acceptance.total_before_gross),
        total_after=price(acceptance.total_after_net, acceptance.total_after_gross),
        removed=tuple(acceptance.removed),
    )
