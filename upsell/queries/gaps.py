"""How long after one thing another is bought, in the mirror of the shop's orders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection

Goods = tuple[Sequence[str], Sequence[str]]
"""References of products, or of what they are variants of, and references of categories."""


def gaps(
    *,
    since: datetime,
    ends: str,
    least: int,
    pairs: int,
    channels: Sequence[str] | None = None,
    main: Goods | None = None,
    ancillary: Goods | None = None,
) -> list[tuple[Any, ...]]:
    """Return how long after their first ``main`` buyers first bought ``ancillary``, as mirrored.

    Without goods, of every pair of categories. Each row: main, ancillary, buyers, and the first
    quartile, the median and the third as the database tells a length of time. One statement,
    for the buyers whose key ends so; empty = all.
    """
    where, within = "", [*(channels or [])]
    if channels is not None:
        where = f" AND f.channel IN ({_marks(channels)})" if channels else " AND 1 = 0"
    mains, main_values = _goods(main)
    others, other_values = _goods(ancillary)
    one, other = ("''" if goods else "l.category_ref" for goods in (main, ancillary))
    gap, _none = connection.ops.subtract_temporals(
        "DateTimeField", ("MIN(f.placed_at)", ()), ("a.began", ())
    )
    quarters = ", ".join(
        f"MAX(CASE WHEN 4 * place >= {at} * n AND 4 * (place - 1) < {at} * n THEN gap END)"
        for at in (1, 2, 3)
    )
    apart = "" if ancillary else " AND l.category_ref <> a.main"
    sql = (
        f"WITH firsts AS (SELECT f.customer_key AS buyer, {one} AS main, MIN(f.placed_at) AS began"
        " FROM upsell_orderfact f JOIN upsell_orderlinefact l ON l.order_fact_id = f.id"
        f" WHERE f.customer_key <> '' AND NOT f.cancelled AND f.placed_at >= %s"
        f" AND f.customer_key LIKE %s{where}{mains}"
        f" GROUP BY f.customer_key{'' if main else ', l.category_ref'}"
        "),"
        f" nexts AS (SELECT a.main AS main, {other} AS ancillary, {gap} AS gap FROM firsts a"
        " JOIN upsell_orderfact f ON f.customer_key = a.buyer AND f.placed_at > a.began"
        " JOIN upsell_orderlinefact l ON l.order_fact_id = f.id"
        f" WHERE NOT f.cancelled{where}{others}{apart}"
        f" GROUP BY a.buyer, a.main, a.began{'' if ancillary else ', l.category_ref'}),"
        " ranked AS (SELECT main, ancillary, gap,"
        " COUNT(*) OVER (PARTITION BY main, ancillary) AS n,"
        " ROW_NUMBER() OVER (PARTITION BY main, ancillary ORDER BY gap) AS place FROM nexts)"
        f" SELECT main, ancillary, n, {quarters} FROM ranked GROUP BY main, ancillary, n"
        " HAVING n >= %s ORDER BY n DESC, main, ancillary LIMIT %s"
    )
    values: list[Any] = [
        connection.ops.adapt_datetimefield_value(since),
        f"%{ends}",
        *within,
        *main_values,
    ]
    values += [*within, *other_values, least, pairs]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def _goods(goods: Goods | None) -> tuple[str, list[str]]:
    """Return the condition that a line is of these goods, and its values; none = has a category."""
    if goods is None:
        return " AND l.category_ref <> ''", []
    products, categories = goods
    parts = [
        f"l.{column} IN ({_marks(values)})"
        for column, values in (
            *(("product_ref", products), ("parent_ref", products)),
            ("category_ref", categories),
        )
        if values
    ]
    return f" AND ({' OR '.join(parts) or '1 = 0'})", [*products, *products, *categories]


def _marks(values: Sequence[str]) -> str:
    return ", ".join(["%s"] * len(values))
