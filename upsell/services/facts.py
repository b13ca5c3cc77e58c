"""Gather what conditions ask of a buyer: everything in one go, and nothing that is not asked."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from upsell import conf
from upsell.engine import facts
from upsell.engine.conditions import Asked, FactSpec, FactType, Value
from upsell.engine.history import (
    EVENTS,
    PURCHASES,
    Ancillary,
    Around,
    Bought,
    Done,
    of_events,
    of_purchases,
    oldest,
)
from upsell.exceptions import NotFound
from upsell.models import EventInbox
from upsell.ports import Line, Occasion, Who
from upsell.services import ancillaries, linking, purchases, shop_numbers

logger = logging.getLogger("upsell")

MOST_EVENTS = 5_000
"""Of one buyer, the newest: more are not looked at."""
MOST_LINES = 5_000

_CLOSER = frozenset({"category", "tag", "ancillary"})


def specs() -> Mapping[str, FactSpec]:
    """Return every fact that conditions may name: ours, and the shop's own.

    One of the shop's that has the name of one of ours is not taken.
    """
    theirs = {spec.name: spec for spec in conf.shop().fact_specs}
    return {**theirs, **facts.OURS}


def gather(
    asked: Collection[Asked],
    *,
    who: Who,
    starter: Mapping[str, Any],
    entered_at: datetime | None,
    now: datetime,
    event: Mapping[str, Any] | None = None,
    answers: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[Asked, Value]:
    """Return the values of what is asked; what is not known is left out.

    Args:
        asked: As ``conditions.facts_needed`` says.
        who: The buyer. Whatever was told under a linked key is theirs too.
        starter: The frozen event of the run: ``name``, ``at``, ``order_ref``, ``parameters``;
            empty where there is none.
        entered_at: When the run began; none = there is no run.
        now: One instant for all of it.
        event: The event at hand, told as the starter is, where a condition is asked because one
            came; at the entry it is the starter itself.
        answers: What the run's calls were answered, by step; none = there is no run, or no call.

    Raises:
        Exception: Whatever the shop's ports raise, but for NotFound: what is not known for a
            moment is no ground to write to anybody.

    Cost: for what is asked alone: the order once, the shop's facts once, its products once where
    categories or tags of what was bought are asked for; one statement for linked keys, one for
    events, one for orders; one more for the version of the settings where ancillaries are asked,
    and one for the numbers of the shop where a buyer is measured by them.
    """
    wanted = frozenset(asked)
    gathering = _Gathering(
        who=who,
        starter=starter,
        entered_at=entered_at,
        now=now,
        event=event,
        answers=answers or {},
    )
    found = {one: gathering.value(one, wanted) for one in wanted}
    return {one: value for one, value in found.items() if value is not None}


class _Unread:
    """Not asked yet, which is not the same as not there."""


_UNREAD = _Unread()


class _Gathering:
    """One look: each source is read when first needed, once, for all that is asked."""

    def __init__(
        self,
        *,
        who: Who,
        starter: Mapping[str, Any],
        entered_at: datetime | None,
        now: datetime,
        event: Mapping[str, Any] | None,
        answers: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.who, self.starter, self.event = who, starter, event
        self.answers = answers
        self.parameters = facts.parameters_of(starter)
        self.around = Around(starter=self.parameters, entered_at=entered_at, now=now)
        self._order: Occasion | _Unread | None = _UNREAD
        self._keys: list[str] | None = None
        self._bought: list[Bought] | None = None
        self._done: list[Done] | None = None
        self._shops: Mapping[str, Value] | None = None
        self._numbers: shop_numbers.Numbers | None = None
        self._of_order: Mapping[str, Value] | None = None

    def value(self, asked: Asked, wanted: frozenset[Asked]) -> Value | None:
        name = asked.fact
        if name in PURCHASES:
            bought = self.bought(wanted)
            return of_purchases(asked, bought, self.around) if self.is_known() else None
        if name == EVENTS:
            return of_events(asked, self.done(wanted), self.around) if self.keys() else None
        if name == shop_numbers.TO_MEDIAN:
            return self.to_median()
        if name == shop_numbers.GAPS:
            return self.gaps(wanted)
        if name == "returned":
            return self.returned(dict(asked.args))
        if name.startswith("order."):
            return self.of_order().get(name)
        if name.startswith("customer."):
            return self.of_customer(wanted).get(name)
        if name.startswith("starter."):
            return facts.of_starter(asked, self.starter)
        if name.startswith("event."):
            return None if self.event is None else facts.of_event(asked, self.event, self.starter)
        if name.startswith("webhook."):
            return facts.of_answer(asked, self.answers)
        if name in facts.OURS:
            return None  # nothing tells of it yet
        return self.of_shop(wanted).get(name)

    # -------------------------------------------------------------- the order

    def order(self) -> Occasion | None:
        if isinstance(self._order, _Unread):
            self._order = None
            if self.who.order_ref:
                try:
                    self._order = conf.shop().order(self.who.order_ref)
                except NotFound:
                    logger.debug("order %s is not there any more", self.who.order_ref)
        return self._order

    def of_order(self) -> Mapping[str, Value]:
        if self._of_order is None:
            order = self.order()
            self._of_order = {} if order is None else facts.of_order(order)
        return self._of_order

    def to_median(self) -> Decimal | None:
        order = self.order()
        if order is None:
            return None
        return self.numbers().to_median(
            order.goods.net, channel=order.channel, currency=order.currency
        )

    def gaps(self, wanted: frozenset[Asked]) -> Decimal | None:
        last = max((row.at for row in self.bought(wanted)), default=None)
        return None if last is None else self.numbers().gaps(self.around.now - last)

    def numbers(self) -> shop_numbers.Numbers:
        if self._numbers is None:
            self._numbers = shop_numbers.read()
        return self._numbers

    def of_customer(self, wanted: frozenset[Asked]) -> Mapping[str, Value]:
        order = self.order()
        counted = any(one.fact in {"customer.orders_count", "customer.new"} for one in wanted)
        bought = None
        if counted and self.is_known():
            bought = len({row.order_ref for row in self.bought(wanted)})
        if order is not None:
            return facts.of_customer(order.customer, bought=bought)
        if not self.who.customer_key or bought is None:
            return {}
        return {"customer.orders_count": bought, "customer.new": bought <= 1}

    def returned(self, args: Mapping[str, str]) -> bool | None:
        order = self.order()
        if order is None:
            return None
        primary = None
        if args.get("primary") == "true":
            primary = self.primary(order)
        return facts.came_back(order, primary=primary)

    def primary(self, order: Occasion) -> frozenset[str]:
        """Return what the order was about when the run began: not what goes along with it."""
        began = self.parameters.get("product_refs") or sorted(facts.products_of(order.lines))
        along = ancillaries.of(order, channel=order.channel, now=self.around.now)
        extra = {line.product.ref for line in order.lines if _is_along(line, along)}
        return frozenset(map(str, began)) - extra or frozenset(map(str, began))

    def is_known(self) -> bool:
        """Whether there is anything to go by: of nobody it is not said that they bought nothing."""
        return bool(self.keys()) or self.order() is not None

    # -------------------------------------------------------------- the past

    def keys(self) -> list[str]:
        if self._keys is None:
            key = self.who.customer_key
            self._keys = linking.keys_with([key]) if key else []
        return self._keys

    def bought(self, wanted: frozenset[Asked]) -> list[Bought]:
        """Return all that this buyer kept, the order itself as it is now.

        The mirror may be a minute late: who has just bought what a message would offer has.
        """
        if self._bought is None:
            order = self.order()
            keys = self.keys()
            rows = [row for _key, row in purchases.of(keys, limit=MOST_LINES)] if keys else []
            asked = [dict(one.args) for one in wanted if one.fact in PURCHASES]
            if any(_CLOSER & args.keys() for args in asked):
                rows = _with_products(rows)
            if order is not None:
                rows = [row for row in rows if row.order_ref != order.ref]
                rows += self._now(order)
            if any("ancillary" in args for args in asked):
                channel = order.channel if order else str(self.parameters.get("channel") or "")
                along = ancillaries.of(order, channel=channel, now=self.around.now)
                self.around = replace(self.around, ancillary=along)
            currency = order.currency if order else str(self.parameters.get("currency") or "")
            self.around = replace(self.around, currency=currency)
            self._bought = rows
        return self._bought

    def _now(self, order: Occasion) -> Iterable[Bought]:
        placed_at = order.placed_at or order.checkout_completed_at
        if order.cancelled or facts.is_refunded(order) or placed_at is None:
            return
        began = frozenset(map(str, self.parameters.get("line_refs") or ()))
        is_starters = order.ref == self.parameters.get("order_ref")
        for line in order.lines:
            if line.live_quantity > 0:
                yield Bought(
                    order_ref=order.ref,
                    product_ref=line.product.ref,
                    parent_ref=line.product.parent_ref,
                    category_refs=line.product.category_refs,
                    tags=line.product.tags,
                    channel=order.channel,
                    currency=order.currency,
                    net=line.total.net * line.live_quantity / line.quantity,
                    at=placed_at,
                    added=bool(is_starters and began and line.ref not in began),
                )

    def done(self, wanted: frozenset[Asked]) -> list[Done]:
        if self._done is None:
            asked = [one for one in wanted if one.fact == EVENTS]
            bounds = [oldest(one, self.around) for one in asked]
            rows = EventInbox.objects.filter(
                customer_key__in=self.keys(),
                name__in={dict(one.args).get("name", "") for one in asked},
                occurred_at__lte=self.around.now,
            )
            if bounds and None not in bounds:
                rows = rows.filter(occurred_at__gt=min(at for at in bounds if at is not None))
            columns = ("name", "occurred_at", "order_ref", "parameters")
            found = (
                rows.order_by("-occurred_at", "-pk").values_list(*columns) if self.keys() else ()
            )
            self._done = [
                Done(
                    name=name,
                    at=at,
                    parameters=facts.parameters_of({"order_ref": ref, "parameters": parameters}),
                )
                for name, at, ref, parameters in found[:MOST_EVENTS]
            ]
        return self._done

    # -------------------------------------------------------------- the shop's own

    def of_shop(self, wanted: frozenset[Asked]) -> Mapping[str, Value]:
        if self._shops is None:
            declared = specs()
            names = sorted({one.fact for one in wanted} & declared.keys() - facts.OURS.keys())
            told = conf.shop().facts(self.who, names) if names else {}
            self._shops = {
                name: value for name, value in told.items() if _is_as_said(declared, name, value)
            }
        return self._shops


def _is_as_said(declared: Mapping[str, FactSpec], name: str, value: object) -> bool:
    spec = declared.get(name)
    kind = FactType.TEXT if spec is None else spec.type
    if spec is not None and facts.is_of(kind, value):
        return True
    logger.warning(
        "the shop's fact %.80r is not taken: wanted is %s, and there is %s",
        name, kind, type(value).__name__,
    )  # fmt: skip
    return False


def _is_along(line: Line, along: Ancillary) -> bool:
    product = line.product
    refs = frozenset({product.ref, product.parent_ref} - {""})
    return along.has(refs, product.category_refs, product.tags)


def _with_products(rows: Sequence[Bought]) -> list[Bought]:
    """Return what was bought with its categories and tags as the shop tells them now."""
    products = conf.shop().products(sorted({row.product_ref for row in rows} - {""}))
    return [
        replace(row, category_refs=row.category_refs | found.category_refs, tags=found.tags)
        if (found := products.get(row.product_ref))
        else row
        for row in rows
    ]
