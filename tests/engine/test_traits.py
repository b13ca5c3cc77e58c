"""Who an offer is made to: what is known, and what is not said where it is not."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest

from tests.engine.builders import order
from upsell.engine.traits import Traits, Visit, traits_of
from upsell.engine.types import Customer, Purchase

AT = datetime(2026, 11, 1, tzinfo=UTC)
GUEST = {"email": "ann@example.org"}


def bought(*order_refs: str) -> list[Purchase]:
    return [Purchase(order_ref=ref, product_ref="1", at=AT) for ref in order_refs]


def told(customer: Customer, purchases=None, visit: Visit | None = None, **changes) -> dict:
    occasion = replace(
        order(), **{"ref": "o1", "shipping_country": None, "customer": customer} | changes
    )
    found = asdict(traits_of(occasion, visit or Visit(), bought=purchases))
    return {name: value for name, value in found.items() if value}


@pytest.mark.parametrize(
    ("customer", "purchases", "is_"),
    [
        pytest.param({"orders_count": 1}, None, "new", id="the shop counts one order"),
        pytest.param({"orders_count": 0}, None, "new", id="or none yet"),
        pytest.param({"orders_count": 2}, None, "returning", id="or two"),
        pytest.param({"orders_count": 1}, ["o0"], "new", id="the shop's count wins"),
        pytest.param(GUEST, None, "", id="neither count nor history"),
        pytest.param(GUEST, [], "new", id="nothing bought before"),
        pytest.param(GUEST, ["o1"], "new", id="this order alone"),
        pytest.param(GUEST, ["o1", "o0"], "returning", id="another order"),
        pytest.param({}, [], "", id="nobody to look up"),
    ],
)
def test_new_or_returning(customer, purchases, is_):
    purchases = None if purchases is None else bought(*purchases)

    assert told(Customer(**customer), purchases).get("new_or_returning", "") == is_


@pytest.mark.parametrize(
    ("values", "trait"),
    [
        pytest.param({"customer": {"group_refs": frozenset({"vip", "b2b"})}},
                     {"customer_group": "b2b, vip"}, id="two groups are one line"),
        pytest.param({"customer": {"group_refs": frozenset({"x" * 300})}},
                     {"customer_group": "x" * 190}, id="a long name is cut"),
        pytest.param({"shipping_country": "at"}, {"country": "AT"}, id="a country"),
        pytest.param({"shipping_country": "Austria"}, {}, id="a name is no code"),
        pytest.param({"shipping_country": "ÄÖ"}, {}, id="nor are umlauts"),
        pytest.param({"customer": {"locale": "de-AT"}}, {"language": "de"}, id="the buyer's"),
        pytest.param({"customer": {"locale": "de"}, "visit": Visit(language="en")},
                     {"language": "de"}, id="before the page's"),
        pytest.param({"visit": Visit(language="pt-br", device="phone")},
                     {"language": "pt", "device": "phone"}, id="the page's"),
        pytest.param({"customer": {"locale": None}}, {}, id="an adapter that says None"),
        pytest.param({"customer": {"locale": "x"}}, {}, id="no language"),
    ],
)  # fmt: skip
def test_what_is_known(values, trait):
    values = values | {"customer": Customer(**values.get("customer", {}))}

    assert told(**values) == trait


def test_no_column_is_too_short():
    longest = Traits(new_or_returning="returning", device="desktop")

    assert len(longest.new_or_returning) <= 9
    assert len(longest.device) <= 8
