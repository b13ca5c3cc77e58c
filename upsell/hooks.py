"""What a host may call. Idempotent, after commit, and never raising towards the checkout."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from upsell import clock, conf, snapshots
from upsell.engine.caps import ADS, MARKETING
from upsell.models import EventInbox
from upsell.ports import Customer
from upsell.presenting import visitors
from upsell.queries import Page
from upsell.services import (
    campaigns,
    consenting,
    events,
    experiment_slugs,
    leaving,
    linking,
    offering,
    order_facts,
    ready_journeys,
    returning,
    revoking,
    withdrawing,
)

logger = logging.getLogger("upsell")


def order_placed(*, order_ref: str) -> None:
    """Tell that an order was placed: after the commit it is noted, to be measured.

    The page decides when it first asks; this hurries nothing of that. Never raises.
    """
    try:
        transaction.on_commit(lambda: _note(order_ref, "placed"), robust=True)
    except Exception:
        logger.exception("order %s could not be noted", order_ref)


def order_changed(*, order_ref: str) -> None:
    """Tell that an order changed: if it is gone, its offer is taken back after the commit.

    Once or ten times is the same, and where nobody tells us, the next ask and the accept find
    out by themselves. Never raises.
    """
    _changed(order_ref, "changed")


def _changed(order_ref: str, name: str) -> None:
    try:
        # No partial: Django's log of one that raises asks for its name, and raises in turn.
        transaction.on_commit(lambda: _look_again(order_ref, name), robust=True)
    except Exception:
        logger.exception("order %s could not be looked at again", order_ref)


def _look_again(order_ref: str, name: str) -> None:
    try:
        revoking.order_changed(order_ref=order_ref)
    except Exception:
        # The host has committed, and its request is still under way: nothing of ours may pass.
        logger.exception("order %s could not be looked at again", order_ref)
    _note(order_ref, name)


def _note(order_ref: str, name: str) -> None:
    if snapshots.is_unused():
        return  # installed and not used yet: the walk along the orders is enough
    try:
        order_facts.note(order_ref=order_ref, name=name)
    except Exception:
        # As above. The walk along the shop's orders finds it later.
        logger.exception("order %s could not be noted", order_ref)


def order_cancelled(*, order_ref: str) -> None:
    """Tell that an order was cancelled: an open offer is revoked, an accepted one reversed."""
    _changed(order_ref, "cancelled")


def order_refunded(*, order_ref: str) -> None:
    """Tell that money went back: a fully refunded order is as gone as a cancelled one."""
    _changed(order_ref, "refunded")


def order_returned(*, order_ref: str) -> None:
    """Tell that goods came back. The order is looked at again."""
    _changed(order_ref, "returned")


def order_shipped(*, order_ref: str) -> None:
    """Tell that an order left: journeys may wait for it. Accept and undo ask the order itself."""
    _heard(order_ref, "shipped")


def order_delivered(*, order_ref: str) -> None:
    """Tell that an order arrived: journeys may wait for it."""
    _heard(order_ref, "delivered")


def _heard(order_ref: str, name: str) -> None:
    """Note what nobody but a journey asks for, where there is one."""
    try:
        if snapshots.may_have_journeys():
            transaction.on_commit(lambda: _note(order_ref, name), robust=True)
    except Exception:
        logger.exception("order %s could not be noted", order_ref)


def link_buyer(*, old: Customer, new: Customer) -> None:
    """Tell that two customers are one buyer: a guest who has an account, say. Never raises.

    After the commit. Experiments count the buyer once from then on, in the arm of ``old``; who saw
    two arms is left out of them. So ``old`` is whoever bought here first, and nothing is told of
    an address that nobody bought with. Once or ten times is the same.
    """
    try:
        transaction.on_commit(lambda: _link(old, new), robust=True)
    except Exception:
        logger.exception("two customers could not be linked")


def _link(old: Customer, new: Customer) -> None:
    try:
        linking.link(old=snapshots.customer_key(old), new=snapshots.customer_key(new))
    except Exception:
        # As above: the host's log-in is under way. It tells us again at the next one.
        logger.exception("two customers could not be linked")


ORDER_EVENTS: Mapping[str, Callable[..., None]] = {
    "placed": order_placed,
    "changed": order_changed,
    "cancelled": order_cancelled,
    "refunded": order_refunded,
    "shipped": order_shipped,
    "delivered": order_delivered,
    "returned": order_returned,
}
"""What a shop may tell of an order, by the name it has in ``Shop.signals``."""


def track(
    name: str,
    *,
    subject: str = "",
    request: HttpRequest | None = None,
    order_ref: str = "",
    at: datetime | None = None,
    event_id: str = "",
    **parameters: Any,
) -> None:
    """Tell that something happened to a buyer: after the commit it is noted, once. Never raises.

    Whose it is: the ``subject``, else the buyer who is signed in, else the order's, else, where
    ``Shop.may_track`` says yes, the visitor that our cookie tells of. Of nobody nothing is kept.
    What somebody signed in does is kept as you tell it: to ask them first is yours.

    Args:
        name: One of the documented names, or your own: ``a-z``, ``0-9``, ``_`` and ``.``.
        subject: A customer key: ``u:``, ``e:``, ``a:`` or ``v:``.
        request: The buyer's.
        order_ref: The order that it is about.
        at: When it happened, aware; none = now.
        event_id: The same id is the same event, however often it is told.
        parameters: Texts, whole numbers, Decimals, aware datetimes, or lists of them; a
            ``product`` or ``category`` of yours becomes its reference.
    """
    track_from(
        EventInbox.Source.HOST,
        name,
        subject=subject,
        request=request,
        order_ref=order_ref,
        at=at,
        event_id=event_id,
        **parameters,
    )


def track_from(
    source: EventInbox.Source,
    name: str,
    *,
    subject: str = "",
    request: HttpRequest | None = None,
    order_ref: str = "",
    at: datetime | None = None,
    event_id: str = "",
    **parameters: Any,
) -> None:
    """Do what ``track`` does, and note who told."""
    try:
        events.record(
            name,
            customer_key=subject or partial(_whose, request, order_ref),
            source=source,
            order_ref=order_ref,
            at=at,
            event_id=event_id,
            parameters=events.referenced(parameters),
        )
    except Exception:
        # The host's request is on the other side: nothing of ours may pass.
        logger.exception("event %.80r was not taken", name)


def _whose(request: HttpRequest | None, order_ref: str) -> str:
    shop = conf.shop()
    customer = None if request is None else shop.customer(request)
    if customer is None and order_ref:
        customer = shop.order(order_ref).customer
    if customer is not None and (key := snapshots.customer_key(customer)):
        return key
    if request is None or not shop.may_track(request):
        return ""
    return visitors.visitor_key(request)


def forget_visitor(request: HttpRequest, response: HttpResponseBase) -> None:
    """Forget what a browser looked at, with its cookie: for who takes their consent back."""
    events.forget(customer_key=visitors.visitor_key(request))
    visitors.forget(response)


def grant_consent(
    *,
    customer: Customer,
    medium: str,
    source: str,
    text_version: str = "",
    purpose: str = "marketing",
) -> None:
    """Note that a buyer agreed to offers and news by a medium, with its proof.

    It holds from now on, also where they took it back or complained before. Yours to make sure that
    it was they who agreed: an address that anybody may type is theirs once they answered a mail.

    Args:
        customer: Of the request or of the order.
        medium: ``email``, ``sms``, ``onsite`` or ``push``; ``*`` = all of them.
        source: Where, such as ``checkout``: 1 to 120 characters.
        text_version: Which words they agreed to: up to 190 characters.
        purpose: ``marketing``; or ``ads``, that their address may be handed to who shows
            advertising, with ``medium="email"``.

    Raises:
        ValueError: Nobody, no medium, no source, or no purpose.
    """
    consenting.grant(
        customer_key=snapshots.customer_key(customer),
        medium=medium,
        purpose=_purpose(purpose),
        source=source,
        text_version=text_version,
        now=clock.database_now(),
    )


def withdraw_consent(
    *, customer: Customer, medium: str = "*", how: str = "shop", purpose: str = "marketing"
) -> None:
    """Note that a buyer wants no more offers and news, and end their marketing journeys.

    Args:
        purpose: ``ads`` = their address is not handed to who shows advertising any more; mails
            and journeys go on.

    Raises:
        ValueError: Nobody, no medium, or no purpose.
    """
    key, now = snapshots.customer_key(customer), clock.database_now()
    if _purpose(purpose) == ADS:
        consenting.withdraw(key, medium, ADS, how=how, now=now)
    else:
        leaving.unsubscribe(customer_key=key, medium=medium, how=how, now=now)


def _purpose(told: str) -> str:
    if told not in {MARKETING, ADS}:
        raise ValueError(f"wanted is {MARKETING} or {ADS}, and there was {told!r}")
    return told


def start_journey(
    slug: str, *, channels: Sequence[str], testers: Sequence[str] = (), compressed: bool = False
) -> None:
    """Copy a ready-made journey with its messages, publish them, and let it begin. For set-up.

    Where there is a journey of that slug already nothing is done.

    Args:
        slug: Of a ready-made journey, such as ``flight``: the admin lists them.
        channels: Sales channels it is for.
        testers: Customer keys, or ``*`` for everybody: in test mode, for these alone.
        compressed: In test mode a day is a minute.

    Raises:
        LookupError: There is no such journey.
        UpsellError: It cannot be published as the shop is set up; says why.
    """
    ready_journeys.start(slug, channels=channels, testers=testers, compressed=compressed)


def offer_for(*, order_ref: str) -> Page | None:
    """Return what an order is offered, deciding it if nobody has asked before."""
    return offering.offer_for(order_ref=order_ref, now=clock.now())


shop = conf.shop
refund_line = returning.refund_line
save_campaign = campaigns.save_campaign
save_experiment = experiment_slugs.save_experiment
start_experiment = experiment_slugs.start_experiment
withdraw = withdrawing.withdraw
withdrawal_of = withdrawing.withdrawal_of
