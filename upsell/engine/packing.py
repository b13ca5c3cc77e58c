"""A campaign in a few hundred bytes, for an index that keeps a hundred thousand of them.

The packed form is a JSON list in the order of ``CampaignSpec``'s fields, with 0 for whatever
is empty. It never leaves the process that made it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from upsell.engine.campaigns import (
    Bounds,
    CampaignSpec,
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

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


def micros(at: datetime) -> int:
    """Return an instant as whole microseconds since 1970, which compare exactly."""
    return (at - _EPOCH) // _MICROSECOND


def instant(since_1970: int) -> datetime:
    """Return the instant that ``micros`` gave."""
    return _EPOCH + timedelta(microseconds=since_1970)


def pack(spec: CampaignSpec) -> bytes:
    """Return a campaign as JSON without anything that is empty."""
    rule = spec.rule
    return _encode(
        [
            spec.id,
            spec.slug,
            spec.name,
            spec.revision,
            spec.status,
            spec.kind,
            spec.priority,
            micros(spec.edited_at),
            _when(spec.valid_from),
            _when(spec.valid_until),
            sorted(spec.channels) or 0,
            sorted(spec.moments) if spec.moments != _MOMENTS else 0,
            spec.match,
            [[row.kind, row.ref, int(row.exact), row.quantity] for row in spec.triggers],
            [[row.kind, row.ref, row.quantity] for row in spec.exclusions] or 0,
            {
                currency: [_text(ends.least), _text(ends.most)]
                for currency, ends in spec.bounds.items()
            }
            or 0,
            sorted(spec.currencies) or 0,
            sorted(spec.groups) or 0,
            sorted(spec.countries) or 0,
            sorted(spec.payment_methods) or 0,
            spec.offer_by,
            spec.product_ref,
            spec.product_map or 0,
            int(spec.must_fit),
            int(spec.allow_if_present),
            spec.not_bought_days,
            spec.not_seen_days,
            0
            if rule == _RULE
            else [
                rule.kind,
                str(rule.percent),
                _texts(rule.amounts),
                int(rule.from_regular),
                int(rule.allow_free),
            ],
            spec.quantity_rule,
            spec.quantity,
            spec.shipping,
            _texts(spec.shipping_flat) or 0,
            spec.stock,
            spec.documents,
            int(spec.allow_below_cost),
            spec.weight,
        ]
    ).encode()


def unpack(packed: bytes) -> CampaignSpec:
    """Return the campaign that was packed."""
    row = json.loads(packed)
    return CampaignSpec(
        id=row[0],
        slug=row[1],
        name=row[2],
        revision=row[3],
        status=Status(row[4]),
        kind=OfferKind(row[5]),
        priority=row[6],
        edited_at=instant(row[7]),
        valid_from=None if row[8] is None else instant(row[8]),
        valid_until=None if row[9] is None else instant(row[9]),
        channels=frozenset(row[10] or ()),
        moments=frozenset(row[11]) if row[11] else _MOMENTS,
        match=Match(row[12]),
        triggers=tuple(
            Trigger(kind=TriggerKind(kind), ref=ref, exact=bool(exact), quantity=quantity)
            for kind, ref, exact, quantity in row[13]
        ),
        exclusions=tuple(
            Exclusion(kind=TriggerKind(kind), ref=ref, quantity=quantity)
            for kind, ref, quantity in row[14] or ()
        ),
        bounds={
            currency: Bounds(least=_amount(least), most=_amount(most))
            for currency, (least, most) in (row[15] or {}).items()
        },
        currencies=frozenset(row[16] or ()),
        groups=frozenset(row[17] or ()),
        countries=frozenset(row[18] or ()),
        payment_methods=frozenset(row[19] or ()),
        offer_by=OfferBy(row[20]),
        product_ref=row[21],
        product_map=tuple((bought, offered) for bought, offered in row[22] or ()),
        must_fit=bool(row[23]),
        allow_if_present=bool(row[24]),
        not_bought_days=row[25],
        not_seen_days=row[26],
        rule=_rule(*row[27]) if row[27] else _RULE,
        quantity_rule=QuantityRule(row[28]),
        quantity=row[29],
        shipping=ShippingPolicy(row[30]),
        shipping_flat=_amounts(row[31] or {}),
        stock=StockPolicy(row[32]),
        documents=DocumentPolicy(row[33]),
        allow_below_cost=bool(row[34]),
        weight=row[35],
    )


_MOMENTS = frozenset({"post_purchase"})
_RULE = PriceRule()


def _rule(
    kind: str, percent: str, amounts: Mapping[str, str], from_regular: int, allow_free: int
) -> PriceRule:
    return PriceRule(
        kind=RuleKind(kind),
        percent=Decimal(percent),
        amounts=_amounts(amounts),
        from_regular=bool(from_regular),
        allow_free=bool(allow_free),
    )


def _when(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {currency: str(amount) for currency, amount in amounts.items()}


def _amounts(texts: Mapping[str, str]) -> dict[str, Decimal]:
    return {currency: Decimal(text) for currency, text in texts.items()}
