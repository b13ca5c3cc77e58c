"""What a message says of its buyer, gathered when its step comes and frozen as texts.

Nothing that leads to a person is among it: links, the address and the first name are asked for when
the message is sent (``variables.SENT_WITH``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime
from django.utils import timezone, translation

from upsell import conf, snapshots
from upsell.engine import blocks, conditions
from upsell.engine.conditions import Asked, FactSpec, Value
from upsell.engine.money import round_money, share_of_units
from upsell.engine.variables import MOST_ITEMS, ROWS, SENT_WITH, forms_of, locale_of, shown
from upsell.exceptions import NotFound
from upsell.models import EventInbox, JourneyRun, Offer, OrderFact, TemplateVersion
from upsell.ports import Line, Occasion, Product, Who
from upsell.presenting.mails import absolute, language_of
from upsell.presenting.messages import CONDITION, MET, flat
from upsell.presenting.offers import copy_for
from upsell.presenting.wording import leaving, listed, suggested
from upsell.services import linking

MOST_ROWS = 50
"""Of an order, in the block that lists its items."""
_ALWAYS = ("shop.name", "shop.url")
_BACK = timedelta(days=730)
_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How the conditions of blocks are asked: the facts there are, and who gathers them."""

    specs: Mapping[str, FactSpec]
    gather: Callable[[Collection[Asked]], Mapping[Asked, Value]]


def names_of(version: TemplateVersion) -> frozenset[str]:
    """Return what has to be gathered for a published message, in any of its languages.

    The conditions of its blocks are among it, each by a name of its own.
    """
    content, faults = blocks.read(version.content, medium=version.template.medium)
    if content is None:
        raise ValueError(f"version {version.pk} cannot be read: {faults[0]}")
    letters = content.letters.values()
    names = frozenset(_ALWAYS).union(*(letter.names for letter in letters))
    asked = frozenset[str]().union(*(letter.conditions for letter in letters))
    return names | {CONDITION + one for one in asked}


def gather(
    names: Collection[str], *, run: JourneyRun, now: datetime, asking: Asking | None = None
) -> dict[str, str]:
    """Return the values of these names as texts, as of now; what has none is left out.

    Amounts and dates are written as the buyer's language has them.

    Args:
        names: As ``names_of`` says.
        run: The buyer's passage. ``found`` may hold ``offer``, the key of one, ``suggestions``,
            rows as ``services.suggesting`` makes them, and ``webhook``, fields by step.
        now: The step's time; ``last`` and ``latest`` look no further.
        asking: For the conditions of blocks; without it, a block with one is not shown.

    Raises:
        Exception: Whatever the shop's ports raise, but for ``NotFound``.

    Cost: for what is named alone. The order once, products once; two statements for the offer;
    for ``last`` two statements, the shop's purchases and one order; one statement an event that
    ``latest`` names.
    """
    gathering = _Gathering(run=run, now=now)
    found: dict[str, str] = {}
    asked = [name for name in names if name.startswith(CONDITION)]
    for family in {_family(name) for name in names if name not in SENT_WITH} - {CONDITION}:
        found |= gathering.values(family, [name for name in names if _family(name) == family])
    told = {
        name: text if name == ROWS else flat(text)[:_LONGEST]
        for name, text in found.items()
        if name in names and text
    }
    return told | (_met(asked, asking) if asking is not None else {})


def _family(name: str) -> str:
    return CONDITION if name.startswith(CONDITION) else name.partition(".")[0]


def _met(asked: Collection[str], asking: Asking) -> dict[str, str]:
    trees = {
        name: conditions.parse(json.loads(name.removeprefix(CONDITION)), asking.specs)
        for name in asked
    }
    needed = frozenset[Asked]().union(*(conditions.facts_needed(tree) for tree in trees.values()))
    facts = asking.gather(needed) if needed else {}
    return {name: MET for name, tree in trees.items() if conditions.evaluate(tree, facts).matches}


class _Gathering:
    """One look at a run: each source is read when it is first needed, and once."""

    def __init__(self, *, run: JourneyRun, now: datetime) -> None:
        self.run, self.now = run, now
        self.starter: Mapping[str, Any] = run.starter.get("parameters") or {}

    def values(self, family: str, names: Collection[str]) -> dict[str, str]:
        match family:
            case "order":
                return self.of_order()
            case "purchased":
                return self.of_items(names)
            case "starter":
                return self.of_starter(names)
            case "last":
                return self.of_last()
            case "latest":
                return self.of_latest(names)
            case "offer":
                return self.of_offer()
            case "suggestion":
                return self.of_suggestions()
            case "webhook":
                return self.of_webhooks(names)
            case "shop":
                return self.of_shop()
            case "journey":
                return {"journey.name": self.run.journey.name}
        return {}

    # -------------------------------------------------------------- what is known of the run

    @cached_property
    def order(self) -> Occasion | None:
        return _order(self.run.order_ref or str(self.starter.get("order_ref") or ""))

    @cached_property
    def who(self) -> Who:
        run = self.run
        return Who(
            customer_key=run.customer_key,
            user_ref=run.user_ref,
            order_ref=run.order_ref,
            cart_ref=run.cart_ref,
        )

    @cached_property
    def tag(self) -> str:
        """The buyer's language: as the order has it, else as the shop says."""
        tag = self.order.customer.locale if self.order is not None else ""
        if not tag:
            contact = conf.shop().contact(self.who, "email")
            tag = contact.locale if contact is not None else ""
        return tag or language_of(tag)

    @cached_property
    def locale(self) -> Locale:
        return locale_of(self.tag)

    @cached_property
    def zone(self) -> tzinfo:
        for name in (self.run.time_zone, snapshots.policy(self.channel).time_zone):
            try:
                if name:
                    return ZoneInfo(name)
            except (KeyError, ValueError):  # no such zone, or no name of one
                continue
        return timezone.get_default_timezone()

    @property
    def channel(self) -> str:
        return self.run.channel or (self.order.channel if self.order is not None else "")

    @cached_property
    def keys(self) -> list[str]:
        return linking.keys_with([self.run.customer_key]) if self.run.customer_key else []

    def day(self, at: datetime | None) -> str:
        if at is None:
            return ""
        return str(format_date(at.astimezone(self.zone), format="long", locale=self.locale))

    def money(self, name: str, amount: Decimal, currency: str) -> dict[str, str]:
        return forms_of(name, amount, currency, self.locale)

    # -------------------------------------------------------------- the order and its items

    def of_order(self) -> dict[str, str]:
        order = self.order
        if order is None:
            return {}
        services = [line.service_at for line in _live(order) if line.service_at is not None]
        return {
            "order.number": order.number,
            "order.date": self.day(order.placed_at),
            "order.currency": order.currency,
            "order.service_date": self.day(min(services, default=None)),
            **self.money("order.total", order.total.gross, order.currency),
        }

    def of_items(self, names: Collection[str]) -> dict[str, str]:
        order = self.order
        if order is None:
            return {}
        lines = _live(order)
        with translation.override(language_of(self.tag)):
            items = listed([_counted(line) for line in lines[:MOST_ROWS]])
        found = {
            "purchased.items": items,
            "purchased.currency": order.currency,
            "purchased.total_count": str(sum(line.live_quantity for line in lines)),
            "purchased.kinds": str(len({line.product.ref for line in lines})),
            **self.money("purchased.total_amount", order.total.gross, order.currency),
        }
        for place, line in enumerate(lines[:MOST_ITEMS], start=1):
            name = f"purchased.{place}"
            found |= self.of_item(name, line, order.currency)
            if f"{name}.category" in names:
                found[f"{name}.category"] = _category(line.product)
        if ROWS in names:
            found[ROWS] = json.dumps([self.row(line, order.currency) for line in lines[:MOST_ROWS]])
        return found

    def of_item(self, name: str, line: Line, currency: str) -> dict[str, str]:
        product, quantity = line.product, line.quantity
        price = round_money(line.total.gross / quantity, currency)
        before = round_money(line.total_before_discounts.gross / quantity, currency)
        return {
            **{f"{name}.{key}": text for key, text in _told_of(product).items()},
            f"{name}.id": product.ref,
            f"{name}.sku": product.sku,
            f"{name}.variant": line.options,
            f"{name}.quantity": str(line.live_quantity),
            **self.money(f"{name}.price", price, currency),
            **self.money(f"{name}.original_price", before, currency),
            **self.money(f"{name}.line_total", _paid(line, currency), currency),
        }

    def row(self, line: Line, currency: str) -> dict[str, str]:
        told = _told_of(line.product)
        return {
            "name": flat(_counted(line)),
            "options": flat(line.options),
            "url": told["url"],
            "image": told["image"],
            "total": shown(_paid(line, currency), currency, self.locale),
        }

    # -------------------------------------------------------------- events

    def of_starter(self, names: Collection[str]) -> dict[str, str]:
        found = {f"starter.{key}": _text(value) for key, value in self.starter.items()}
        if "starter.product_name" not in found and any(
            name.startswith("starter.product_") for name in names
        ):
            product = self.begun_with()
            if product is not None:
                told = _told_of(product)
                found |= {f"starter.product_{key}": text for key, text in told.items()}
        return found

    def begun_with(self) -> Product | None:
        """Return the product that the run began with: as the event says, else the order's first."""
        refs = self.starter.get("product_ref") or self.starter.get("product_refs") or []
        ref = str(refs if isinstance(refs, str) else next(iter(refs), ""))
        lines = self.order.lines if self.order is not None else ()
        for line in lines:
            if not ref or ref in (line.product.ref, line.product.parent_ref):
                return line.product
        return conf.shop().products([ref]).get(ref) if ref else None

    def of_latest(self, names: Collection[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for event in {name.partition(".")[2].rpartition(".")[0] for name in names}:
            rows = EventInbox.objects.filter(
                customer_key__in=self.keys, name=event, occurred_at__lte=self.now
            )
            row = rows.order_by("-occurred_at", "-pk").first()
            if row is not None:
                told = row.parameters.items()
                found |= {f"latest.{event}.{key}": _text(value) for key, value in told}
        return found

    def of_webhooks(self, names: Collection[str]) -> dict[str, str]:
        answers = self.run.found.get("webhook") or {}
        found = {}
        for name in names:
            _family, step, key = name.split(".", 2)
            found[name] = _text((answers.get(step) or {}).get(key))
        return found

    # -------------------------------------------------------------- the newest purchase

    def of_last(self) -> dict[str, str]:
        order = _order(self.newest())
        if order is None:
            return {}
        lines = _live(order)
        told = _told_of(lines[0].product) if lines else {}
        return {
            "last.purchase_date": self.day(order.placed_at),
            "last.currency": order.currency,
            **self.money("last.purchase_amount", order.total.gross, order.currency),
            **{f"last.product_{key}": text for key, text in told.items()},
        }

    def newest(self) -> str:
        """Return the order that was placed last: as mirrored, or as the shop tells."""
        rows = OrderFact.objects.filter(
            customer_key__in=self.keys, cancelled=False, placed_at__lte=self.now
        )
        row = rows.order_by("-placed_at", "-pk").first()
        found = [] if row is None else [(row.placed_at, row.order_ref)]
        if self.order is not None:
            shop, customer = conf.shop(), self.order.customer
            bought = shop.purchases(customer, self.now - _BACK, MOST_ITEMS)
            found += [(one.at, one.order_ref) for one in bought if one.at <= self.now]
            if self.order.placed_at is not None and not self.order.cancelled:
                found.append((self.order.placed_at, self.order.ref))
        return max(found, default=(None, ""))[1]

    # -------------------------------------------------------------- what is offered

    def of_offer(self) -> dict[str, str]:
        offer = Offer.objects.filter(pk=self.run.found.get("offer") or 0).first()
        quote = None if offer is None else offer.quotes.filter(number=offer.quote_number).first()
        if offer is None or quote is None:
            return {}
        terms = offer.terms
        product = terms["product"]
        with translation.override(language_of(self.tag)):
            words = copy_for(terms)
            replaces = listed([leaving(row) for row in terms["replaced"]])
        until = offer.expires_at.astimezone(self.zone)
        found = {
            "offer.name": product["title"],
            "offer.url": absolute(product["url"]),
            "offer.image": absolute(words["image_url"] or product["image_url"]),
            "offer.headline": words["headline"],
            "offer.body": words["body"],
            "offer.expires_at": str(format_datetime(until, format="medium", locale=self.locale)),
            "offer.kind": offer.kind.lower(),
            "offer.replaces": replaces,
            **self.money("offer.price", quote.line_gross, offer.currency),
            **self.money("offer.due", quote.due_gross, offer.currency),
        }
        # The law allows no other comparison: the lowest price of the last 30 days.
        lowest = terms.get("lowest_30d")
        before = Decimal(lowest["gross"]) * offer.quantity if lowest else Decimal(0)
        if before > quote.line_gross:
            found |= self.money("offer.original_price", before, offer.currency)
            found |= self.money("offer.saving", before - quote.line_gross, offer.currency)
        return found

    def of_suggestions(self) -> dict[str, str]:
        rows = self.run.found.get("suggestions") or []
        found: dict[str, str] = {}
        for place, row in enumerate(rows[:MOST_ITEMS], start=1):
            told = {"name": _text(row.get("name")), "price": self.price_of(row)}
            with translation.override(language_of(self.tag)):
                told["reason"] = suggested(_text(row.get("reason")))
            told |= {key: absolute(_text(row.get(key))) for key in ("url", "image")}
            found |= {f"suggestion.{place}.{key}": text for key, text in told.items()}
        return found

    def price_of(self, row: Mapping[str, Any]) -> str:
        price, currency = _text(row.get("price")), _text(row.get("currency"))
        return shown(Decimal(price), currency, self.locale) if price and currency else ""

    def of_shop(self) -> dict[str, str]:
        channel = self.channel
        names = conf.shop().choices("channel", channel, 5) if channel else ()
        label = next((choice.label for choice in names if choice.ref == channel), "")
        return {"shop.name": label, "shop.url": absolute("/")}


def _order(ref: str) -> Occasion | None:
    if not ref:
        return None
    try:
        return conf.shop().order(ref)
    except NotFound:
        return None


def _live(order: Occasion) -> list[Line]:
    """Return the lines that were not returned as a whole, in the order's own order."""
    return [line for line in order.lines if line.live_quantity > 0]


def _counted(line: Line) -> str:
    count = line.live_quantity
    return line.product.title if count == 1 else f"{count} × {line.product.title}"


def _paid(line: Line, currency: str) -> Decimal:
    """Return what the units that were not returned cost, after discounts."""
    return share_of_units(
        line.total.gross,
        units=line.quantity,
        first=line.returned,
        count=line.live_quantity,
        currency=currency,
    )


def _told_of(product: Product) -> dict[str, str]:
    return {
        "name": product.title,
        "url": absolute(product.url),
        "image": absolute(product.image_url),
    }


def _category(product: Product) -> str:
    """Return what the shop calls one of a product's categories; it asks the shop."""
    for ref in sorted(product.category_refs):
        for choice in conf.shop().choices("category", ref, 5):
            if choice.ref == ref:
                return choice.label
    return ""


def _text(value: object) -> str:
    if value is None or isinstance(value, bool | dict):
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(_text(one) for one in value)
    return str(value)
