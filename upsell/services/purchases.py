"""What buyers bought, as the mirror of the shop's orders has it."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from upsell.engine.history import Bought
from upsell.models import OrderFact

_COLUMNS = (
    *("customer_key", "order_ref", "channel", "placed_at", "currency", "net", "refunded_net"),
    *("products__product_ref", "products__parent_ref", "products__category_ref", "products__net"),
)


def of(customer_keys: Collection[str], *, limit: int | None = None) -> list[tuple[str, Bought]]:
    """Return whose and what was bought and kept, newest first: one statement.

    Cancelled and fully refunded orders are left out. Of a part that came back the mirror knows
    the order alone: all its lines are less by the same share.

    Args:
        customer_keys: Whose.
        limit: How many lines at most; none = all.
    """
    rows = OrderFact.objects.filter(customer_key__in=customer_keys, cancelled=False)
    found = rows.order_by("-placed_at", "-pk", "products__pk").values_list(*_COLUMNS)
    return [
        (
            key,
            Bought(
                order_ref=ref,
                product_ref=product or "",
                parent_ref=parent or "",
                category_refs=frozenset({category} - {"", None}),
                channel=channel,
                currency=currency,
                net=_kept(amount or Decimal(0), net, refunded),
                at=at,
            ),
        )
        for (
            key, ref, channel, at, currency, net, refunded, product, parent, category, amount,
        ) in found[:limit]
        if refunded < net or not refunded
    ]  # fmt: skip


def _kept(amount: Decimal, net: Decimal, refunded: Decimal) -> Decimal:
    return amount if not refunded or not net else amount * (net - refunded) / net
