"""An order as it was when it was placed, so that it can be decided again; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from upsell import conf, snapshots
from upsell.engine.campaigns import Answers, Ask, CampaignSpec, ChannelPolicy, Status, Wanted
from upsell.engine.types import Line, Product
from upsell.models import Acceptance, Campaign
from upsell.ports import Occasion, Price, Ref
from upsell.services.asking import Ports

SHIPPED = frozenset({"shipped", "released"})
"""Why a line is locked because the order has left; it was not when the order was placed."""

Products = Callable[[Sequence[Ref]], Mapping[Ref, Product]]


def as_placed(
    occasion: Occasion, accepted: Iterable[Acceptance] = (), *, products: Products | None = None
) -> Occasion:
    """Return an order as it was placed: not cancelled, refunded, sent or changed by an offer.

    Args:
        occasion: The order as it is today.
        accepted: What offers of ours did to it, with their offers: what they added leaves, and
            what they replaced is back.
        products: The shop's products, for what is back; the shop is asked if none is given.
    """
    order = replace(
        occasion,
        cancelled=False,
        released=False,
        closed_reason="",
        lines=tuple(_as_bought(line) for line in occasion.lines),
    )
    for acceptance in accepted:
        order = _without(order, acceptance, products or conf.shop().products)
    return order


def _as_bought(line: Line) -> Line:
    locked = "" if line.locked_reason in SHIPPED else line.locked_reason
    return replace(line, returned=0, locked_reason=locked)


def _without(order: Occasion, acceptance: Acceptance, products: Products) -> Occasion:
    added = next((line for line in order.lines if line.ref == acceptance.line_ref), None)
    if added is None:  # it was undone: the order is what it was
        return order
    lines = {line.ref: line for line in order.lines if line is not added}
    replaced: Sequence[Mapping[str, Any]] = acceptance.offer.terms.get("replaced", ())
    found = products([row["product_ref"] for row in replaced]) if replaced else {}
    goods = order.goods - added.total
    for row in replaced:
        back = Price(
            currency=order.currency,
            net=Decimal(row["credit_net"]),
            gross=Decimal(row["credit_gross"]),
        )
        goods = goods + back
        kept = lines.get(row["line_ref"])
        lines[row["line_ref"]] = _more(kept, row, back) if kept else _line(row, back, found)
    difference = goods - order.goods
    return replace(order, lines=tuple(lines.values()), goods=goods, total=order.total + difference)


def _more(line: Line, row: Mapping[str, Any], back: Price) -> Line:
    total = line.total + back
    return replace(line, quantity=line.quantity + row["quantity"], total=total,
                   total_before_discounts=total)  # fmt: skip


def _line(row: Mapping[str, Any], back: Price, found: Mapping[Ref, Product]) -> Line:
    units = Decimal(row["quantity"])
    gone = Product(ref=row["product_ref"], title=row.get("title", ""), sellable=False)
    return Line(
        ref=row["line_ref"],
        product=found.get(row["product_ref"], gone),
        quantity=row["quantity"],
        unit=replace(back, net=back.net / units, gross=back.gross / units),
        total=back,
        total_before_discounts=back,
    )


def accepted_by(order_refs: Sequence[Ref]) -> dict[Ref, list[Acceptance]]:
    """Return what our offers did to these orders. One statement."""
    found: dict[Ref, list[Acceptance]] = {}
    rows = Acceptance.objects.filter(offer__order_ref__in=order_refs).select_related("offer")
    for row in rows.order_by("pk"):
        found.setdefault(str(row.offer.order_ref), []).append(row)
    return found


def ask_as_of(ports: Ports, now: datetime) -> Ask:
    """Return the way to the shop that knows of no purchase from ``now`` on."""

    def ask(wanted: Sequence[Wanted]) -> Answers:
        answers = ports.ask(wanted)
        return replace(answers, purchases=[row for row in answers.purchases if row.at < now])

    return ask


def as_if_live(specs: Iterable[CampaignSpec], drafts: Collection[int]) -> Iterable[CampaignSpec]:
    """Return campaigns, those among ``drafts`` as if they were live, whatever their schedule."""
    return (live(spec) if spec.id in drafts else spec for spec in specs)


def live(spec: CampaignSpec) -> CampaignSpec:
    """Return a campaign as if it were live, today and always."""
    return replace(spec, status=Status.LIVE, valid_from=None, valid_until=None)


def draft_spec(campaign: Campaign) -> CampaignSpec:
    """Return a campaign as it is saved, as the engine would read it were it live."""
    return live(snapshots.spec_of(campaign))


def policy_of(channel: str) -> ChannelPolicy:
    """Return what holds for every campaign of a sales channel today."""
    return snapshots.policy_of(snapshots.policy(channel))
